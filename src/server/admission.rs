//! How many requests are under way at once. Beyond that a few wait a moment, and the others are told to come back.
//!
//! A request counts from its head on, before its body is read: refusing must cost next to nothing, or the refusals themselves
//! would take the place of answers. Waiting is short, so that whoever is answered is answered in time, and whoever isn't
//! knows it at once.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::HttpSettings;
use crate::api::refusal::{Asked, Refusal};

#[derive(Clone, Debug)]
pub struct Admission {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    longest_wait: Duration,
}

impl Admission {
    pub fn new(settings: &HttpSettings) -> Self {
        Self {
            running: Arc::new(Semaphore::new(settings.requests)),
            waiting: Arc::new(Semaphore::new(settings.queue)),
            longest_wait: settings.queue_timeout,
        }
    }

    async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(permit) = self.running.try_acquire() {
            return Some(permit);
        }
        let _waiting = self.waiting.try_acquire().ok()?;
        timeout(self.longest_wait, self.running.acquire()).await.ok()?.ok()
    }
}

pub async fn admit(State(admission): State<Admission>, request: Request, next: Next) -> Response {
    // A server with much to do is a healthy one.
    if request.uri().path().starts_with("/health/") {
        return next.run(request).await;
    }
    match admission.permit().await {
        Some(_permit) => next.run(request).await,
        None => Asked::by(&request).refused(Refusal::Overloaded),
    }
}
