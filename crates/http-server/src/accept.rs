//! Accepts connections within the limits of their number: in all, by address, and by the system's limit of open files.

use std::{
    collections::HashMap,
    future::Future,
    io::ErrorKind,
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clientele_core::network::Network;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::{application::Application, connection::Connections, report::Reason};

/// The wait after the system has refused a socket.
const PAUSE: Duration = Duration::from_millis(100);
const BETWEEN_LINES: Duration = Duration::from_secs(60);
/// Open files other than connections, such as those of a database and the log.
const RESERVED: u64 = 256;

/// Accepts connections until `stop`, then waits for the requests in progress for at most `patience`, and drops the
/// others.
pub async fn accept<A: Application>(
    listener: TcpListener,
    connections: Arc<Connections<A>>,
    stop: impl Future<Output = ()>,
    patience: Duration,
) {
    let settings = &connections.settings;
    let most = possible_connections(settings.connections);
    let (in_use, mut open, all) = (Arc::default(), JoinSet::new(), TaskTracker::new());
    let (mut closed_log, mut failed_log) = (LogThrottle::default(), LogThrottle::default());
    let (stopping, stopped) = watch::channel(false);
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // The caller has closed the connection already.
            Err(error) if [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset].contains(&error.kind()) => {
                continue;
            }
            Err(_) => {
                failed_log.log(Instant::now(), || {
                    tracing::warn!("no connection could be accepted: is the limit of open files too low?")
                });
                sleep(PAUSE).await;
                continue;
            }
        };
        // A proxy forwards for many callers and may use all permits.
        let most_own = match settings.trusts(peer.ip()) {
            true => usize::MAX,
            false => settings.connections_per_address,
        };
        let Some(permit) = Permit::acquire(&in_use, Network::of_one_caller(peer.ip()), most, most_own, &all) else {
            connections.application.refused(Reason::Connections);
            // Closed without a response, so that the caller or a load balancer can try another server at once.
            closed_log.log(Instant::now(), || {
                tracing::warn!("connection closed: http.connections or http.connections_per_address are in use")
            });
            continue;
        };
        let (connections, stopped) = (connections.clone(), stopped.clone());
        open.spawn(async move { connections.serve(stream, peer, stopped, permit).await });
    }
    drop(listener);
    tracing::info!("stopping: no new requests");
    stopping.send_replace(true);
    // Connections that were upgraded run in tasks of the application.
    all.close();
    let all_ended = async {
        while open.join_next().await.is_some() {}
        all.wait().await;
    };
    if timeout(patience, all_ended).await.is_err() {
        tracing::warn!(seconds = patience.as_secs(), "requests were still in progress");
    }
    tracing::info!("stopped");
}

/// The numbers of connections, in all and by address.
#[derive(Default)]
struct InUse {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The permit of one connection.
struct Permit {
    address: IpAddr,
    in_use: Arc<Mutex<InUse>>,
    _open: TaskTrackerToken,
}

impl Permit {
    /// None when `most` permits are in use, or `most_own` of this address.
    fn acquire(
        in_use: &Arc<Mutex<InUse>>,
        address: IpAddr,
        most: usize,
        most_own: usize,
        all: &TaskTracker,
    ) -> Option<Self> {
        let mut counts = in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let own = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.all >= most || own >= most_own {
            return None;
        }
        counts.all += 1;
        counts.by_address.insert(address, own + 1);
        Some(Self {
            address,
            in_use: in_use.clone(),
            _open: all.token(),
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.all -= 1;
        if let Some(own) = in_use.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                in_use.by_address.remove(&self.address);
            }
        }
    }
}

/// Returns the number of possible connections: the configured one, or a lower one by the limit of open files, which is
/// logged. The soft limit is raised as far as needed and as the hard limit allows.
fn possible_connections(configured: usize) -> usize {
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

/// Limits log lines that many connections may cause, so that a flood of connections does not flood the log.
#[derive(Default)]
struct LogThrottle(Option<Instant>);

impl LogThrottle {
    /// Calls `write` unless it was called within the last minute.
    fn log(&mut self, now: Instant, write: impl FnOnce()) {
        if self.0.is_none_or(|last| last + BETWEEN_LINES < now) {
            self.0 = Some(now);
            write();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::Rlimit;

    use super::{Instant, LogThrottle, raised};

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

    #[test]
    fn line_is_logged_at_once_and_then_once_a_minute() {
        let (mut line, start, mut written) = (LogThrottle::default(), Instant::now(), 0);
        for (second, expected) in [(0, 1), (1, 1), (60, 1), (61, 2), (121, 2), (122, 3)] {
            for _ in 0..10 {
                line.log(start + Duration::from_secs(second), || written += 1);
            }
            assert_eq!(written, expected, "{second} s");
        }
    }
}
