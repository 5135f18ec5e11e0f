//! How many connections the system lets this process have, whatever is configured.

/// What a server needs beside its connections: the database's, files, the log.
const RESERVED: usize = 256;

/// The connections that can be had: as many as configured, or as the limit of open files leaves, which is then logged.
pub fn places(configured: usize) -> usize {
    let limit = std::fs::read_to_string("/proc/self/limits")
        .ok()
        .and_then(|text| open_files(&text));
    let Some(limit) = limit else { return configured };
    let possible = limit.saturating_sub(RESERVED).max(limit / 2).max(1);
    if possible < configured {
        tracing::warn!(
            configured,
            possible,
            limit,
            "the limit of open files allows fewer connections than http.connections: raise it (ulimit -n, LimitNOFILE)"
        );
    }
    configured.min(possible)
}

/// The soft limit in what Linux tells of a process; none when there is no limit.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::open_files;

    #[test]
    fn the_soft_limit_is_found() {
        let head = "Limit                     Soft Limit           Hard Limit           Units\n";
        for (line, found) in [
            (
                "Max open files            1024                 524288               files",
                Some(1024),
            ),
            (
                "Max open files            unlimited            unlimited            files",
                None,
            ),
            (
                "Max processes             63432                63432                processes",
                None,
            ),
        ] {
            assert_eq!(open_files(&format!("{head}{line}\n")), found);
        }
    }
}
