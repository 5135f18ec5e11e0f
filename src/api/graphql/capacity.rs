//! The capacity for open subscriptions, shared fairly by caller.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use clientele_core::flow::Flow;
use graphql_server::{Code, GraphqlError};
use tokio::sync::oneshot;

const DISPLACED: &str = "The server has as many subscriptions as it can hold, and you have the most of them. Subscribe \
                         again later, after the last position that you have.";
const FULL: &str = "The server has as many subscriptions as it can hold. Subscribe again later.";

/// The permits of all subscriptions. Cloning shares them.
#[derive(Clone, Debug)]
pub struct SubscriptionCapacity(Arc<Permits>);

#[derive(Debug)]
struct Permits {
    most: usize,
    in_use: Mutex<InUse>,
}

#[derive(Debug, Default)]
struct InUse {
    all: usize,
    /// The number of the latest permit.
    last: u64,
    /// The permits of each caller, in the order of their numbers.
    by_flow: HashMap<Flow, Vec<(u64, oneshot::Sender<()>)>>,
}

impl SubscriptionCapacity {
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Permits {
            most,
            in_use: Mutex::default(),
        }))
    }

    /// Returns a permit. When all are in use, the caller with the most loses the latest one, unless this caller would
    /// then have more. The future holds the permit, and completes if it is lost.
    ///
    /// # Errors
    /// There is no permit for this caller.
    pub fn acquire(&self, flow: Flow) -> Result<impl Future<Output = GraphqlError> + Send + use<>, GraphqlError> {
        let mut in_use = self.in_use();
        if in_use.all >= self.0.most && !in_use.displace(&flow) {
            return Err(GraphqlError::new(Code::RateLimited, FULL));
        }
        in_use.all += 1;
        in_use.last += 1;
        let number = in_use.last;
        let (sender, lost) = oneshot::channel();
        in_use.by_flow.entry(flow.clone()).or_default().push((number, sender));
        drop(in_use);
        let permit = Permit {
            capacity: self.clone(),
            flow,
            number,
        };
        Ok(async move {
            let _permit = permit;
            match lost.await {
                Ok(()) => GraphqlError::new(Code::RateLimited, DISPLACED),
                Err(_) => pending().await,
            }
        })
    }

    fn in_use(&self) -> MutexGuard<'_, InUse> {
        self.0.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InUse {
    /// Takes a permit from the caller with the most. False if this caller has as many, or one less.
    fn displace(&mut self, flow: &Flow) -> bool {
        let own = self.by_flow.get(flow).map_or(0, Vec::len);
        let Some((most, count)) = self
            .by_flow
            .iter()
            .map(|(flow, permits)| (flow, permits.len()))
            .max_by_key(|(_, count)| *count)
        else {
            return false;
        };
        if count <= own + 1 {
            return false;
        }
        let most = most.clone();
        let Some((_, lost)) = self.by_flow.get_mut(&most).and_then(Vec::pop) else {
            return false;
        };
        self.all -= 1;
        let _ = lost.send(());
        true
    }

    fn release(&mut self, flow: &Flow, number: u64) {
        let Some(permits) = self.by_flow.get_mut(flow) else {
            return;
        };
        // One that was lost is missing.
        if let Some(at) = permits.iter().position(|(other, _)| *other == number) {
            permits.remove(at);
            self.all -= 1;
        }
        if permits.is_empty() {
            self.by_flow.remove(flow);
        }
    }
}

struct Permit {
    capacity: SubscriptionCapacity,
    flow: Flow,
    number: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.capacity.in_use().release(&self.flow, self.number);
    }
}

#[cfg(test)]
mod tests {
    use clientele_core::flow::Flow;
    use futures_util::FutureExt;

    use super::{DISPLACED, FULL, SubscriptionCapacity};

    fn caller(name: &str) -> Flow {
        Flow::Caller("TOKEN", name.into())
    }

    #[test]
    fn caller_with_the_most_permits_loses_the_latest_one_to_others() {
        let capacity = SubscriptionCapacity::new(4);
        let acquire = |name| {
            capacity
                .acquire(caller(name))
                .map_err(|error| error.message.into_owned())
        };
        let mut ana: Vec<_> = (0..4).map(|_| Box::pin(acquire("ana").expect("a permit"))).collect();
        assert_eq!(acquire("ana").err().as_deref(), Some(FULL));
        let mut lost = |at: usize| ana[at].as_mut().now_or_never().map(|error| error.message.into_owned());
        let bo = [
            acquire("bo").expect("a permit of ana"),
            acquire("bo").expect("another one"),
        ];
        assert_eq!(
            [0, 1, 2, 3].map(&mut lost),
            [None, None, Some(DISPLACED.into()), Some(DISPLACED.into())]
        );
        // Both have two.
        assert_eq!(acquire("bo").err().as_deref(), Some(FULL));
        assert_eq!(acquire("cy").err().as_deref(), None);
        drop(bo);
        drop(ana);
        assert_eq!(capacity.in_use().all, 0);
    }

    #[test]
    fn permits_are_released_when_they_are_dropped() {
        let capacity = SubscriptionCapacity::new(2);
        for _ in 0..5 {
            let both = ["ana", "bo"].map(|name| capacity.acquire(caller(name)).expect("a permit"));
            assert!(capacity.acquire(caller("cy")).is_err());
            drop(both);
            assert_eq!(capacity.in_use().all, 0);
        }
        assert!(capacity.in_use().by_flow.is_empty());
    }
}
