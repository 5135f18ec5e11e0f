//! The places of open subscriptions, shared fairly by caller.

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

/// The places of all callers. Cloning shares them.
#[derive(Clone, Debug)]
pub struct SubscriptionPlaces(Arc<Places>);

#[derive(Debug)]
struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// The number of the latest place.
    last: u64,
    /// The places of each caller, in the order in which they were taken.
    by_flow: HashMap<Flow, Vec<(u64, oneshot::Sender<()>)>>,
}

impl SubscriptionPlaces {
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Places {
            most,
            taken: Mutex::default(),
        }))
    }

    /// Takes a place. When all are taken, the caller with the most loses the latest one, unless this caller would then
    /// have more. The place is given back when the future is dropped, which completes if it is lost.
    ///
    /// # Errors
    /// No place is free for this caller.
    pub fn take(&self, flow: Flow) -> Result<impl Future<Output = GraphqlError> + Send + use<>, GraphqlError> {
        let mut taken = self.taken();
        if taken.all >= self.0.most && !taken.displace(&flow) {
            return Err(GraphqlError::new(Code::RateLimited, FULL));
        }
        taken.all += 1;
        taken.last += 1;
        let number = taken.last;
        let (sender, lost) = oneshot::channel();
        taken.by_flow.entry(flow.clone()).or_default().push((number, sender));
        drop(taken);
        let place = Place {
            places: self.clone(),
            flow,
            number,
        };
        Ok(async move {
            let _place = place;
            match lost.await {
                Ok(()) => GraphqlError::new(Code::RateLimited, DISPLACED),
                Err(_) => pending().await,
            }
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Frees a place of the caller with the most. False if this caller has as many, or one less.
    fn displace(&mut self, flow: &Flow) -> bool {
        let own = self.by_flow.get(flow).map_or(0, Vec::len);
        let Some((most, count)) = self
            .by_flow
            .iter()
            .map(|(flow, places)| (flow, places.len()))
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

    fn give_back(&mut self, flow: &Flow, number: u64) {
        let Some(places) = self.by_flow.get_mut(flow) else {
            return;
        };
        // A place that was lost isn't there any more.
        if let Some(at) = places.iter().position(|(other, _)| *other == number) {
            places.remove(at);
            self.all -= 1;
        }
        if places.is_empty() {
            self.by_flow.remove(flow);
        }
    }
}

struct Place {
    places: SubscriptionPlaces,
    flow: Flow,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().give_back(&self.flow, self.number);
    }
}

#[cfg(test)]
mod tests {
    use clientele_core::flow::Flow;
    use futures_util::FutureExt;

    use super::{DISPLACED, FULL, SubscriptionPlaces};

    fn caller(name: &str) -> Flow {
        Flow::Caller("TOKEN", name.into())
    }

    #[test]
    fn caller_with_most_places_loses_the_latest_one_to_others() {
        let places = SubscriptionPlaces::new(4);
        let take = |name| places.take(caller(name)).map_err(|error| error.message.into_owned());
        let mut ana: Vec<_> = (0..4).map(|_| Box::pin(take("ana").expect("a place"))).collect();
        assert_eq!(take("ana").err().as_deref(), Some(FULL));
        let mut lost = |at: usize| ana[at].as_mut().now_or_never().map(|error| error.message.into_owned());
        let bo = [take("bo").expect("a place of ana"), take("bo").expect("another one")];
        assert_eq!(
            [0, 1, 2, 3].map(&mut lost),
            [None, None, Some(DISPLACED.into()), Some(DISPLACED.into())]
        );
        // Both have two.
        assert_eq!(take("bo").err().as_deref(), Some(FULL));
        assert_eq!(take("cy").err().as_deref(), None);
        drop(bo);
        drop(ana);
        assert_eq!(places.taken().all, 0);
    }

    #[test]
    fn places_are_given_back_when_they_are_dropped() {
        let places = SubscriptionPlaces::new(2);
        for _ in 0..5 {
            let both = ["ana", "bo"].map(|name| places.take(caller(name)).expect("a place"));
            assert!(places.take(caller("cy")).is_err());
            drop(both);
            assert_eq!(places.taken().all, 0);
        }
        assert!(places.taken().by_flow.is_empty());
    }
}
