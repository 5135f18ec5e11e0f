//! The GraphQL door: what the schema has, and how requests are answered.

pub mod answer;
pub mod door;
pub mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod limits;
mod load;
mod messages;
mod mutation;
mod node;
mod nodes;
mod object;
mod objects;
mod page;
pub mod prepare;
mod query;
mod reach;
#[cfg(test)]
mod toy;
mod world;

use std::sync::Arc;

use async_graphql::{EmptySubscription, Schema, SchemaBuilder};
use axum::{Router, http::HeaderMap, response::Response};
use chrono::{DateTime, Utc};

use self::{
    door::Door,
    error::{Code, Fault},
    limits::Limits,
    load::loaders,
    mutation::Mutation,
    object::Budget,
    query::Query,
};
use super::{RequestId, authentication::Refusal};
use crate::{Clientele, access::Caller};

/// The GraphQL API of these clients, under `/graphql`.
pub fn router(clientele: Arc<Clientele>, limits: Limits) -> Router {
    let build = move || schema().data(clientele.clone()).data(loaders(clientele.clone()));
    let answer_fields = limits.answer_fields;
    http::router(Arc::new(Door::new(build, limits)), move |data, head| {
        data.insert(Budget::new(answer_fields));
        // Without one, every field that needs to know is refused.
        if let Some(caller) = head.extensions.get::<Caller>() {
            data.insert(caller.clone());
        }
    })
}

/// The answer to somebody who isn't let in.
pub(super) fn refuse_caller(refusal: &Refusal, headers: &HeaderMap, id: &RequestId) -> Response {
    let fault = match refusal {
        Refusal::Missing(_) | Refusal::Wrong => Fault::new(Code::Unauthenticated, refusal.sentence()),
        Refusal::TooMany(_) => Fault::new(Code::RateLimited, refusal.sentence()),
        Refusal::Surprise(error) => {
            let (code, message) = error::of_domain(error, &id.0);
            Fault::new(code, message)
        }
    };
    http::refuse(fault, headers, id)
}

/// The schema in the schema definition language.
pub fn sdl() -> String {
    schema().finish().sdl()
}

fn schema() -> SchemaBuilder<Query, Mutation, EmptySubscription> {
    Schema::build(Query, Mutation, EmptySubscription)
}

/// The door is where time comes from; below it, time is a parameter.
#[expect(clippy::disallowed_methods, reason = "this is a door")]
fn now() -> DateTime<Utc> {
    Utc::now()
}
