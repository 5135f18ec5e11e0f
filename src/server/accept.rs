//! The accept loop: a place for each connection, or none.

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

use super::{connection::Connections, seldom::Seldom};
use crate::api::report::Reason;
use clientele_core::network::Network;

/// How long to wait when the system has no more sockets to give.
const PAUSE: Duration = Duration::from_millis(100);

pub struct Accepting {
    listener: TcpListener,
    connections: Arc<Connections>,
    places: Places,
    open: JoinSet<()>,
    of_closed: Seldom,
    of_failed: Seldom,
}

impl Accepting {
    /// `most` are the connections at once.
    pub fn new(listener: TcpListener, connections: Connections, most: usize) -> Self {
        let places = Places {
            most,
            most_per_address: connections.settings.connections_per_address,
            taken: Arc::default(),
        };
        Self {
            listener,
            connections: Arc::new(connections),
            places,
            open: JoinSet::new(),
            of_closed: Seldom::default(),
            of_failed: Seldom::default(),
        }
    }

    /// Accepts until `stop`, then waits for the requests under way for at most `patience`, and cuts the others off.
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
        let Some(place) = self.places.take(Network::of_one_caller(peer.ip()), proxy) else {
            self.connections.metrics.refused(Reason::Connections);
            // Closed by going away: its caller, or the balancer before us, can turn elsewhere at once.
            return self.of_closed.tell(Instant::now(), || {
                tracing::warn!("connection closed: http.connections or http.connections_per_address are in use")
            });
        };
        let (connections, stop) = (self.connections.clone(), stop.clone());
        self.open.spawn(async move {
            connections.serve(stream, peer, stop).await;
            drop(place);
        });
    }

    async fn failed(&mut self, error: &io::Error) {
        // A caller who has gone before being served is no failure of ours.
        let theirs = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
        if !theirs.contains(&error.kind()) {
            self.of_failed.tell(Instant::now(), || {
                tracing::warn!("no connection could be accepted: is the limit of open files too low?")
            });
            sleep(PAUSE).await;
        }
    }
}

/// Who has how many connections.
struct Places {
    most: usize,
    most_per_address: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

struct Place {
    address: IpAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    /// None when there is no place. A `proxy` speaks for many, and may have them all.
    fn take(&self, address: IpAddr, proxy: bool) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by_address.get(&address).copied().unwrap_or(0);
        if taken.all >= self.most || !proxy && own >= self.most_per_address {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, own + 1);
        Some(Place {
            address,
            taken: self.taken.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(own) = taken.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}
