//! The connections that all requests of one caller may use together: whoever asks for much, in however many requests, leaves
//! some to others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Callers that have nothing under way are forgotten when there are as many of them.
const FORGOTTEN: usize = 1_024;

/// All callers that have something under way.
#[derive(Clone, Debug)]
pub(super) struct Callers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// For each of them.
    connections: usize,
    all: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// What one caller has, for one of its requests.
#[derive(Debug)]
pub(super) struct OfCaller(Arc<Semaphore>);

impl Callers {
    /// A quarter of the connections is for others, whoever asks, and at least one where there are several.
    pub fn new(connections: usize) -> Self {
        let of_others = (connections / 4).max(1);
        Self(Arc::new(Shared {
            connections: connections.saturating_sub(of_others).max(1),
            all: Mutex::default(),
        }))
    }

    pub fn one(&self, name: String) -> OfCaller {
        let Shared { connections, all } = &*self.0;
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.get(&name).and_then(Weak::upgrade) {
            return OfCaller(found);
        }
        if all.len() >= FORGOTTEN {
            all.retain(|_, caller| caller.strong_count() > 0);
        }
        let new = Arc::new(Semaphore::new(*connections));
        all.insert(name, Arc::downgrade(&new));
        OfCaller(new)
    }
}

impl OfCaller {
    pub async fn connection(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().acquire_owned().await.ok()
    }
}
