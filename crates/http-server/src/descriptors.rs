//! Limits connections to the number that the system's limit of open files allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files other than connections, such as those of a database and the log.
const RESERVED: u64 = 256;

/// Returns the number of possible connections: the configured one, or a lower one by the limit of open files, which is
/// logged. The soft limit is raised as far as needed and as the hard limit allows.
pub fn connections(configured: usize) -> usize {
    let needed = u64::try_from(configured).unwrap_or(u64::MAX).saturating_add(RESERVED);
    let limit = getrlimit(Resource::Nofile);
    if let Some(raised) = raised(limit, needed) {
        // On failure there are fewer connections, which is logged below.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return configured;
    };
    let possible = limit.saturating_sub(RESERVED).max(limit / 2).max(1);
    let possible = usize::try_from(possible).unwrap_or(usize::MAX);
    if possible < configured {
        tracing::warn!(
            configured,
            possible,
            limit,
            "the limit of open files allows fewer connections than http.connections: raise it (ulimit -Hn, LimitNOFILE)"
        );
    }
    configured.min(possible)
}

/// The limits with a raised soft limit. None when it is high enough or can't be raised.
fn raised(limit: Rlimit, needed: u64) -> Option<Rlimit> {
    let possible = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let is_low = limit.current.is_some_and(|current| current < possible);
    is_low.then_some(Rlimit {
        current: Some(possible),
        ..limit
    })
}

#[cfg(test)]
mod tests {
    use rustix::process::Rlimit;

    use super::raised;

    #[test]
    fn soft_limit_is_raised_as_far_as_needed_and_allowed() {
        for (current, maximum, needed, expected) in [
            (Some(1_024), Some(524_288), 16_640, Some(Some(16_640))),
            (Some(1_024), Some(4_096), 16_640, Some(Some(4_096))),
            (Some(1_024), None, 16_640, Some(Some(16_640))),
            (Some(1_024), Some(1_024), 16_640, None),
            (Some(20_000), Some(524_288), 16_640, None),
            (None, None, 16_640, None),
        ] {
            let raised = raised(Rlimit { current, maximum }, needed);
            assert_eq!(raised.map(|raised| raised.current), expected);
            assert!(raised.is_none_or(|raised| raised.maximum == maximum));
        }
    }
}
