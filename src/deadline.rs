//! Until when the work of a request may take. It travels with the task, so that whatever is called on the way needn't pass
//! it on; [`Database::write`](crate::db::Database::write) is what asks for it.

use std::{
    future::Future,
    time::{Duration, Instant},
};

tokio::task_local! { static CURRENT: Deadline; }

/// A moment after which nothing new is begun and nothing is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Instant);

impl Deadline {
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    /// The deadline of the task that asks; none outside of a request.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|deadline| *deadline).ok()
    }

    pub fn is_over(self) -> bool {
        self.0 <= Instant::now()
    }

    /// `work` with this deadline.
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }
}
