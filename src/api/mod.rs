//! The doors. Each turns what came over the wire into the domain's types, calls one domain function and writes the answer.

use std::sync::Arc;

use axum::Router;

use self::{graphql::limits::Limits, rest::RestSettings};
use crate::Clientele;

pub mod graphql;
pub mod health;
pub mod metrics;
pub mod origin;
pub mod playground;
pub mod rest;

/// The name of one request in answers and logs. A layer outside puts it into the request's extensions.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

impl RequestId {
    /// A fresh one: a UUIDv7, so that log lines sort by time.
    #[must_use]
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().to_string().into())
    }
}

/// Both doors to these clients.
pub fn router(clientele: Arc<Clientele>, limits: Limits, legacy: RestSettings) -> Router {
    graphql::router(clientele.clone(), limits).merge(rest::router(clientele, legacy))
}
