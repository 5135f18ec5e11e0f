//! Accepts connections while there are permits for them.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{application::Application, connection::Connections, log_throttle::LogThrottle, report::Reason};
use clientele_core::network::Network;

/// The wait after the system has refused a socket.
const PAUSE: Duration = Duration::from_millis(100);

pub struct Accepting<A: Application> {
    listener: TcpListener,
    connections: Arc<Connections<A>>,
    permits: ConnectionPermits,
    open: JoinSet<()>,
    closed_log: LogThrottle,
    failed_log: LogThrottle,
}

impl<A: Application> Accepting<A> {
    /// `most` is the maximum number of connections.
    pub fn new(listener: TcpListener, connections: Connections<A>, most: usize) -> Self {
        let permits = ConnectionPermits {
            most,
            most_per_address: connections.settings.connections_per_address,
            in_use: Arc::default(),
        };
        Self {
            listener,
            connections: Arc::new(connections),
            permits,
            open: JoinSet::new(),
            closed_log: LogThrottle::default(),
            failed_log: LogThrottle::default(),
        }
    }

    /// Accepts until `stop`, then waits for the requests in progress for at most `patience`, and drops the others.
    pub async fn until(mut self, stop: impl Future<Output = ()>, patience: Duration) {
        let (stopping, stopped) = watch::channel(false);
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.open(stream, peer, &stopped),
                    Err(error) => self.failed(&error).await,
                },
                Some(_) = self.open.join_next() => {}
            }
        }
        let Self { listener, mut open, .. } = self;
        drop(listener);
        tracing::info!("stopping: no new requests");
        stopping.send_replace(true);
        let all_ended = async { while open.join_next().await.is_some() {} };
        if timeout(patience, all_ended).await.is_err() {
            tracing::warn!(seconds = patience.as_secs(), "requests were still under way");
        }
        tracing::info!("stopped");
    }

    fn open(&mut self, stream: TcpStream, peer: SocketAddr, stop: &watch::Receiver<bool>) {
        let settings = &self.connections.settings;
        let proxy = settings.trusts(peer.ip());
        let Some(permit) = self.permits.acquire(Network::of_one_caller(peer.ip()), proxy) else {
            self.connections.application.refused(Reason::Connections);
            // Closed without a response, so that the caller or a load balancer can try another server at once.
            return self.closed_log.log(Instant::now(), || {
                tracing::warn!("connection closed: http.connections or http.connections_per_address are in use")
            });
        };
        let (connections, stop) = (self.connections.clone(), stop.clone());
        self.open.spawn(async move {
            connections.serve(stream, peer, stop).await;
            drop(permit);
        });
    }

    async fn failed(&mut self, error: &io::Error) {
        // The caller has closed the connection already.
        let harmless = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
        if !harmless.contains(&error.kind()) {
            self.failed_log.log(Instant::now(), || {
                tracing::warn!("no connection could be accepted: is the limit of open files too low?")
            });
            sleep(PAUSE).await;
        }
    }
}

/// Counts connections, in all and by address.
struct ConnectionPermits {
    most: usize,
    most_per_address: usize,
    in_use: Arc<Mutex<InUse>>,
}

#[derive(Default)]
struct InUse {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

struct ConnectionPermit {
    address: IpAddr,
    in_use: Arc<Mutex<InUse>>,
}

impl ConnectionPermits {
    /// None when all permits, or those of the address, are in use. A `proxy` forwards for many callers and may have
    /// all.
    fn acquire(&self, address: IpAddr, proxy: bool) -> Option<ConnectionPermit> {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let own = in_use.by_address.get(&address).copied().unwrap_or(0);
        if in_use.all >= self.most || !proxy && own >= self.most_per_address {
            return None;
        }
        in_use.all += 1;
        in_use.by_address.insert(address, own + 1);
        Some(ConnectionPermit {
            address,
            in_use: self.in_use.clone(),
        })
    }
}

impl Drop for ConnectionPermit {
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
