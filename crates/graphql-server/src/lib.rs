//! GraphQL over HTTP around async-graphql: parses, validates, coerces and limits documents, runs them, and writes
//! answers in the order of the request. Knows neither the schema nor the application.
//!
//! [`GraphqlServer`] prepares and runs documents. [`http::handle`] serves it over HTTP. The application describes each
//! request by a [`RequestContext`] and the cost of its fields by [`Prices`]. [`object`] declares object types that are
//! written as JSON without a resolver for each field.

mod answer;
mod context;
mod cost;
mod engine_text;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
mod limits;
pub mod object;
pub mod persisted;
mod prepare;
mod selection;
mod server;
pub mod settings;
mod subscription;
mod suggestion;
#[cfg(test)]
mod tests;

pub use self::{
    answer::{Answer, Outcome, Report, raw},
    context::{Ended, RequestContext, Restriction, SocketContext, SubscriptionPermit},
    cost::{Link, Prices, RootField},
    error::{BudgetKind, Cause, Code, GraphqlError, RequestError},
    limits::LimitExceeded,
    prepare::{Prepared, Values, collect},
    server::GraphqlServer,
};
