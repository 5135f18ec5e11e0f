//! Writes refusals in the form of the application.

mod prepared;

use axum::{
    http::{Request, header::RETRY_AFTER},
    response::Response,
};

pub use self::prepared::PreparedRefusal;
use crate::{application::Application, refusal::Refusal, request_id::RequestId};

/// Refuses a request in the form that the application has for it.
pub fn refuse<A: Application, B>(request: &Request<B>, refusal: Refusal) -> Response {
    Refusable::<A>::of(request).refuse(refusal)
}

/// The parts of a request that are needed to refuse it after it has been passed on.
pub struct Refusable<A: Application> {
    pub form: A::Form,
    pub id: RequestId,
}

impl<A: Application> Refusable<A> {
    pub fn of<B>(request: &Request<B>) -> Self {
        Self {
            form: A::form(request.uri().path(), request.headers()),
            id: RequestId::of(request),
        }
    }

    pub fn refuse(&self, refusal: Refusal) -> Response {
        let mut response = A::refusal(self.form, refusal, &self.id);
        if let Some(seconds) = refusal.retry_after_seconds() {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        refusal.report().add_to(&mut response);
        response
    }
}
