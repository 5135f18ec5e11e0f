//! Requests without credentials, which can only sign in or refresh a session.
//!
//! The GraphQL API reads such a request within a small limit and decides if it is one of these. Any other request is
//! refused with the same bytes as if it had not been read.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use axum::{
    extract::Request,
    http::{Method, StatusCode, header::CONTENT_LENGTH},
    middleware::Next,
    response::Response,
};

use super::{Gate, SignInRefusal, credentials, refuse};
use crate::api::{
    RequestId,
    metrics::{SignInMethod, SignInOutcome},
    origin::is_foreign,
};
use clientele_domain::{access::SignInError, caller::Api};

/// The limit of a request's body. A document that signs in, with its variables, has less than a tenth of it.
pub const MOST_BYTES: usize = 16 * 1024;

const FOREIGN: &str = "This request needs credentials. A page of another site can't sign in unless its origin is in \
                       the setting cors.allowed_origins.";

/// Marks a request without credentials, in its extensions. Cloning shares the outcome.
#[derive(Clone, Debug, Default)]
pub struct Anonymous(Arc<AtomicBool>);

impl Anonymous {
    /// The request only signs in or refreshes a session.
    pub fn admit(&self) {
        self.0.store(true, Relaxed);
    }

    pub fn is_admitted(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Returns true if the request can be one to sign in. Reads only its head.
pub fn is_possible(api: Api, request: &Request) -> bool {
    let headers = request.headers();
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let is_small = length.is_none_or(|length| length.parse::<usize>().is_ok_and(|length| length <= MOST_BYTES));
    api == Api::Graphql && request.method() == Method::POST && is_small && credentials::header(headers).is_none()
}

/// Lets the API answer a request that signs in, and refuses all others.
pub async fn answer(gate: &Gate, mut request: Request, next: Next, id: RequestId) -> Response {
    let missing = SignInError::Missing(match is_foreign(request.headers(), request.extensions()) {
        true => FOREIGN,
        false => credentials::NO_CREDENTIALS,
    });
    let refused = refuse(gate.api, &missing, request.headers(), &id);
    let (anonymous, refusal) = (Anonymous::default(), SignInRefusal::default());
    request.extensions_mut().insert(id);
    request.extensions_mut().insert(refusal.clone());
    request.extensions_mut().insert(anonymous.clone());
    let mut response = next.run(request).await;
    // The rate limit refuses a request before it is read.
    if !anonymous.is_admitted() && response.status() != StatusCode::TOO_MANY_REQUESTS {
        gate.metrics.signed_in(SignInMethod::None, SignInOutcome::Missing);
        return refused;
    }
    refusal.add_to(&mut response);
    response
}
