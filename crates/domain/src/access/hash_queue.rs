//! The queue for hashing passwords. A hash takes 19 MiB and a core, so that only a few run at once.
//!
//! Three lanes share the hashing evenly: callers that have signed in, networks with a successful sign-in before, and
//! all other networks. None has priority: each has at most one ticket more than can run at once in the common queue,
//! which is served in order. Within a lane, users or networks take turns.

use std::{net::IpAddr, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use clientele_core::{
    fair_queue::{FairQueue, Limits, Permit, QueueFull, Ticket},
    flow::Flow,
    network::Network,
};

/// Limit of the tickets that wait in one lane. One network can have them all, as many users may sign in from it at
/// once; the waiter with the most gives way to others.
pub const MOST_WAITING: usize = 1_024;

/// The user or network that waits for a hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Waiter {
    /// A caller that has signed in, or the operator.
    Caller(Flow),
    /// A network with a successful sign-in before.
    KnownNetwork(IpAddr),
    Network(IpAddr),
}

impl Waiter {
    /// The network of a caller with this address.
    pub fn network(address: IpAddr, is_known: bool) -> Self {
        let network = Network::of_one_caller(address);
        match is_known {
            true => Self::KnownNetwork(network),
            false => Self::Network(network),
        }
    }
}

/// The queue. Cloning shares it.
#[derive(Clone, Debug)]
pub struct HashQueue {
    callers: FairQueue<Waiter>,
    known_networks: FairQueue<Waiter>,
    networks: FairQueue<Waiter>,
    running: Arc<Semaphore>,
}

impl HashQueue {
    /// A queue for `at_once` hashes at the same time.
    pub fn new(at_once: usize) -> Self {
        let lane = || {
            FairQueue::new(Limits {
                // A lane keeps its last permit for waiters that hold none.
                permits: at_once + 1,
                waiting: MOST_WAITING,
                waiting_per_key: MOST_WAITING,
            })
        };
        Self {
            callers: lane(),
            known_networks: lane(),
            networks: lane(),
            running: Arc::new(Semaphore::new(at_once)),
        }
    }

    /// Joins the queue. Dropping the ticket leaves it.
    ///
    /// # Errors
    /// The queue is full.
    pub fn join(&self, waiter: Waiter) -> Result<HashTicket, QueueFull> {
        let lane = match waiter {
            Waiter::Caller(_) => &self.callers,
            Waiter::KnownNetwork(_) => &self.known_networks,
            Waiter::Network(_) => &self.networks,
        };
        Ok(HashTicket {
            ticket: lane.join(waiter)?,
            running: self.running.clone(),
        })
    }
}

/// A position in the queue.
#[derive(Debug)]
pub struct HashTicket {
    ticket: Ticket<Waiter>,
    running: Arc<Semaphore>,
}

impl HashTicket {
    /// Waits for the permit.
    ///
    /// # Errors
    /// The position went to a user or network that had fewer.
    pub async fn granted(self) -> Result<HashPermit, QueueFull> {
        let lane = self.ticket.granted().await?;
        let running = self.running.acquire_owned().await.map_err(|_| QueueFull)?;
        Ok(HashPermit {
            _running: running,
            _lane: lane,
        })
    }
}

/// Permits hashing one password until it is dropped.
#[derive(Debug)]
pub struct HashPermit {
    _running: OwnedSemaphorePermit,
    _lane: Permit<Waiter>,
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use futures_util::FutureExt;

    use super::{HashPermit, HashQueue, HashTicket, MOST_WAITING, Waiter};
    use clientele_core::{fair_queue::QueueFull, flow::Flow};

    fn stranger(number: u8) -> Waiter {
        Waiter::network(IpAddr::V4(Ipv4Addr::new(203, 0, 113, number)), false)
    }

    fn caller(name: &str) -> Waiter {
        Waiter::Caller(Flow::Caller("USER", name.into()))
    }

    fn permit(queue: &HashQueue, waiter: Waiter) -> Option<HashPermit> {
        let ticket = queue.join(waiter).expect("room");
        ticket.granted().now_or_never().map(|permit| permit.expect("a permit"))
    }

    #[test]
    fn all_permits_can_be_used_by_one_lane_and_no_more() {
        for at_once in [1, 2, 4, 8] {
            let queue = HashQueue::new(at_once);
            let permits: Vec<_> = (0..).map_while(|number| permit(&queue, stranger(number))).collect();
            assert_eq!(permits.len(), at_once);
            assert!(permit(&queue, caller("ana")).is_none());
        }
    }

    #[test]
    fn one_waiter_gives_way_to_others() {
        let queue = HashQueue::new(1);
        let held = permit(&queue, caller("eve"));
        let waiting: Vec<HashTicket> = (0..MOST_WAITING)
            .map(|_| queue.join(caller("eve")).expect("room"))
            .collect();
        assert_eq!(queue.join(caller("eve")).map(|_| ()), Err(QueueFull));
        for waiter in [caller("ana"), stranger(1)] {
            queue.join(waiter).expect("room");
        }
        drop((held, waiting));
        assert!(permit(&queue, caller("eve")).is_some());
    }

    /// Callers that hash without a pause get their share of the permits, and others get theirs.
    #[tokio::test]
    async fn lanes_and_waiters_take_turns() {
        let queue = HashQueue::new(1);
        let held = permit(&queue, caller("first")).expect("a permit");
        let mut order = Vec::new();
        let waiters = [
            vec![caller("eve"); 4],
            vec![caller("ana")],
            vec![stranger(1); 4],
            vec![stranger(2)],
        ];
        let (served, mut next) = tokio::sync::mpsc::unbounded_channel();
        for waiter in waiters.into_iter().flatten() {
            let ticket = queue.join(waiter.clone()).expect("room");
            let served = served.clone();
            tokio::spawn(async move {
                let permit = ticket.granted().await.expect("a permit");
                served.send((waiter, permit)).expect("the test listens");
            });
            tokio::task::yield_now().await;
        }
        drop((held, served));
        while let Some((waiter, permit)) = next.recv().await {
            order.push(waiter);
            drop(permit);
        }
        let position = |waiter: Waiter| order.iter().position(|other| *other == waiter);
        assert_eq!(order.len(), 10);
        for (waiter, latest) in [(caller("ana"), 3), (stranger(1), 3), (stranger(2), 4)] {
            let served = position(waiter.clone()).expect("served");
            assert!(served <= latest, "{waiter:?} at {served}: {order:?}");
        }
    }
}
