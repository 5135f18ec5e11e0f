//! The places that requests have while they are under way: how many there are, and what a request does with its own.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// All places. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Places {
    most: usize,
    most_waiting: usize,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    longest_wait: Duration,
}

impl Places {
    /// So many places, for one of which so many may wait for so long.
    pub fn new(most: usize, waiting: usize, longest_wait: Duration) -> Self {
        Self {
            most,
            most_waiting: waiting,
            running: Arc::new(Semaphore::new(most)),
            waiting: Arc::new(Semaphore::new(waiting)),
            longest_wait,
        }
    }

    /// A place, at once or after a moment; none when there is none.
    pub async fn take(&self) -> Option<Place> {
        let permit = self.permit().await?;
        Some(Place(Arc::new(Held {
            places: self.clone(),
            permit: Mutex::new(Some(permit)),
        })))
    }

    /// Whether there is none, nor room to wait for one.
    pub fn are_full(&self) -> bool {
        self.running.available_permits() == 0 && self.waiting.available_permits() == 0
    }

    /// The number of permits in use, and of requests that wait for one.
    pub fn in_use(&self) -> (usize, usize) {
        let taken = self.most.saturating_sub(self.running.available_permits());
        let waiting = self.most_waiting.saturating_sub(self.waiting.available_permits());
        (taken, waiting)
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.running.clone().try_acquire_owned() {
            return Some(permit);
        }
        let _waiting = self.waiting.try_acquire().ok()?;
        let permit = timeout(self.longest_wait, self.running.clone().acquire_owned()).await;
        permit.ok()?.ok()
    }
}

/// A request's place among those under way, in its extensions. Whoever works on when the caller has gone keeps it until that
/// is done: callers that hang up must not be able to start more than the server can do. Whoever only waits leaves it.
#[derive(Clone, Debug)]
pub struct Place(Arc<Held>);

#[derive(Debug)]
struct Held {
    places: Places,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Place {
    pub fn leave(&self) {
        self.hold(None);
    }

    pub fn is_taken(&self) -> bool {
        self.0.permit.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether there is a place for the request again, which has left its own.
    pub async fn come_back(self) -> bool {
        let permit = self.0.places.permit().await;
        let found = permit.is_some();
        self.hold(permit);
        found
    }

    fn hold(&self, permit: Option<OwnedSemaphorePermit>) {
        *self.0.permit.lock().unwrap_or_else(PoisonError::into_inner) = permit;
    }
}
