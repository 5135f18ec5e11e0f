//! The doors. Each turns what came over the wire into the domain's types, calls one domain function and writes the answer.

pub mod graphql;
pub mod health;
pub mod playground;
pub mod rest;

/// What a request is called in the log, in the `X-Request-Id` header of its answer and beside its errors.
#[derive(Clone, Debug)]
pub struct RequestId(pub std::sync::Arc<str>);
