//! Answers as JSON: of executed requests, of refused requests, and of batches.

mod body;
mod json;
#[cfg(test)]
mod tests;
mod writer;

use async_graphql::{ServerError, Value, indexmap::IndexMap, parser::types::OperationDefinition, registry::Registry};
use axum::http::StatusCode;
use bytes::Bytes;

pub use self::body::Body;
use self::{
    json::Error,
    writer::{Completion, Writer},
};
use super::{
    error::{Cause, Code, GraphqlError, RequestError, shown},
    prepare::root,
};
use clientele_core::budget::RequestBudget;

/// A finished answer.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// JSON.
    pub body: Body,
    pub outcome: Outcome,
    /// The report of its errors for logs and metrics.
    pub errors: Option<Report>,
}

/// The codes and the cause of the errors of an answer, for logs and metrics. In the extensions of its response.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    pub codes: Vec<&'static str>,
    /// Set when the server is at fault.
    pub cause: Option<Cause>,
}

/// The outcome of a request, from which HTTP derives the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is data, perhaps with errors.
    Data,
    /// It was executed and every field of the root failed. The code is set if all have the same one.
    Nothing(Option<Code>),
    /// It wasn't executed.
    Refused(Code),
    /// It breaks the rules of HTTP, or of GraphQL over it: the status doesn't depend on the media type.
    Rejected(StatusCode),
}

/// A piece of JSON that becomes a part of the answer unchanged. It must be valid JSON, and its fields must be in the
/// order of [`collect`](crate::collect).
#[must_use]
pub fn raw(json: impl Into<Bytes>) -> Value {
    Value::Binary(json.into())
}

impl Answer {
    /// The answer to a request that wasn't executed: no data, not even null.
    #[must_use]
    pub fn refused(refusal: &RequestError, request_id: &str) -> Self {
        let mut body = Body::default();
        body.push("{\"errors\":");
        body.attach(&errors(refusal, request_id).to_vec().into());
        body.push("}");
        Self {
            body,
            outcome: refusal
                .status
                .map_or(Outcome::Refused(refusal.code()), Outcome::Rejected),
            errors: report(refusal.errors()),
        }
    }

    /// The answer to a request that asks for its price only.
    #[must_use]
    pub fn priced() -> Self {
        Self {
            body: Body::from("{\"data\":null}"),
            outcome: Outcome::Data,
            errors: None,
        }
    }

    /// Adds the price of the request, and the highest allowed price, in `extensions.cost`.
    #[must_use]
    pub fn with_cost(mut self, requested: usize, limit: usize) -> Self {
        self.body.pop();
        let cost = format!(",\"extensions\":{{\"cost\":{{\"requested\":{requested},\"limit\":{limit}}}}}}}");
        self.body.push(&cost);
        self
    }

    /// Several answers, in their order.
    #[must_use]
    pub fn batch(answers: Vec<Self>) -> Self {
        let mut body = Body::default();
        body.push("[");
        let mut errors: Option<Report> = None;
        for (index, answer) in answers.into_iter().enumerate() {
            if index > 0 {
                body.push(",");
            }
            if let Some(report) = answer.errors {
                let all = errors.get_or_insert_default();
                all.codes.extend(report.codes);
                all.cause = all.cause.take().or(report.cause);
            }
            answer.body.pieces().iter().for_each(|piece| body.attach(piece));
        }
        body.push("]");
        Self {
            body,
            outcome: Outcome::Data,
            errors,
        }
    }

    /// Charges the answer to its request until the connection has taken its last byte.
    #[must_use]
    pub fn charged_to(self, budget: &RequestBudget) -> Self {
        Self {
            body: Body::of(budget.keep(self.body.pieces())),
            ..self
        }
    }

    pub(super) fn executed(
        data: Value,
        errors: &[ServerError],
        operation: &OperationDefinition,
        registry: &Registry,
        request_id: &str,
    ) -> Self {
        let root = root(operation.ty, registry);
        let set = &operation.selection_set.node;
        let mut writer = Writer::new(registry, errors);
        writer.out.push("{\"data\":");
        // async-graphql answers null for the root if no field succeeded.
        let empty = IndexMap::new();
        let fields = if let Value::Object(fields) = &data {
            fields
        } else {
            &empty
        };
        let written = writer.object(fields, set, root);
        let mut body = writer.out;
        if written == Completion::NullParent {
            body.push("null");
        }
        let shown: Vec<GraphqlError> = errors.iter().map(|error| shown(error, set)).collect();
        let codes: Vec<Code> = shown.iter().map(|error| error.code).collect();
        if !errors.is_empty() {
            body.push(",\"errors\":[");
            for (index, (error, shown)) in errors.iter().zip(&shown).enumerate() {
                Error::new(shown, &error.locations, &error.path, request_id).write(&mut body, index);
            }
            body.push("]");
        }
        body.push("}");
        let nothing = written == Completion::NullParent
            || !codes.is_empty() && fields.values().all(|value| *value == Value::Null);
        let outcome = match codes.split_first() {
            Some((first, rest)) if nothing => Outcome::Nothing(rest.iter().all(|code| code == first).then_some(*first)),
            None if nothing => Outcome::Nothing(None),
            _ => Outcome::Data,
        };
        Self {
            body,
            outcome,
            errors: report(&shown),
        }
    }
}

/// The errors of a request that isn't executed, as a list.
pub(crate) fn errors(refusal: &RequestError, request_id: &str) -> Body {
    let mut body = Body::default();
    body.push("[");
    for (index, error) in refusal.errors().iter().enumerate() {
        Error::new(error, &error.locations, &[], request_id).write(&mut body, index);
    }
    body.push("]");
    body
}

fn report(errors: &[GraphqlError]) -> Option<Report> {
    (!errors.is_empty()).then(|| Report {
        codes: errors.iter().map(|error| error.code.as_str()).collect(),
        cause: errors.iter().find_map(|error| error.cause.clone()),
    })
}
