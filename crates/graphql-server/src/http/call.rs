//! One call: its requests are priced, prepared and run within their time.

use std::sync::Arc;

use async_graphql::{Data, ObjectType, SubscriptionType, parser::types::OperationType};
use axum::http::{HeaderMap, Method, StatusCode};
use tokio::time::timeout_at;

use super::params::Params;
use crate::{
    answer::Answer,
    context::RequestContext,
    error::{GraphqlError, RequestError, internal, timed_out},
    persisted::DocumentRef,
    prepare::Prepared,
    server::GraphqlServer,
};
use clientele_core::{
    budget::{BudgetPool, Priority, RequestBudget},
    trace,
};

/// The price information that the caller requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CostMode {
    Off,
    /// `GraphQL-Cost: report`: the answer contains the price.
    Report,
    /// `GraphQL-Cost: validate`: the price is the answer, and nothing runs.
    Validate,
}

impl CostMode {
    /// None if the header has another value.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        match headers.get("graphql-cost").map(|value| value.as_bytes()) {
            None => Some(Self::Off),
            Some(b"report") => Some(Self::Report),
            Some(b"validate") => Some(Self::Validate),
            Some(_) => None,
        }
    }
}

pub(super) struct Call<'a, Q, M, S, C> {
    pub server: Arc<GraphqlServer<Q, M, S>>,
    pub context: Arc<C>,
    pub method: &'a Method,
    pub cost_mode: CostMode,
    pub budgets: &'a BudgetPool,
}

impl<Q, M, S, C> Call<'_, Q, M, S, C>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
    C: RequestContext,
{
    /// Starts the budget of a request.
    pub fn start(&self, operation: OperationType, name: Option<&str>) -> Result<RequestBudget, RequestError> {
        self.context.on_operation(operation, name);
        let priority = match operation {
            OperationType::Mutation => Priority::Change,
            OperationType::Query | OperationType::Subscription => Priority::Read,
        };
        let budget = self.budgets.start(priority, self.context.flow());
        budget.map_err(|error| GraphqlError::from(&error).into())
    }

    /// Runs the requests of a batch one after the other, after all have been prepared. Together they have the limits of
    /// one.
    pub async fn batch(&self, all: Vec<Result<Params, GraphqlError>>) -> Result<Answer, RequestError> {
        let context = &*self.context;
        if all.is_empty() {
            return Err(RequestError::http(StatusCode::BAD_REQUEST, "The body has no request."));
        }
        if all.len() > self.server.largest_batch() {
            let error = self.server.too_many(all.len(), context);
            return Err(RequestError::bad_request(error));
        }
        let within_limits = |requests, cost| {
            let within = self.server.batch_within(requests, cost, context);
            within.map_err(RequestError::bad_request)
        };
        within_limits(all.len(), 0)?;
        let mut prepared = Vec::with_capacity(all.len());
        for params in all {
            prepared.push(match params {
                Ok(params) => self.prepare(params).await,
                Err(error) => Err(error.into()),
            });
        }
        if prepared.iter().flatten().any(Prepared::is_mutation) {
            let message = "A mutation can't be sent together with other requests. Send it alone.";
            return Err(RequestError::http(StatusCode::BAD_REQUEST, message));
        }
        let cost = prepared
            .iter()
            .flatten()
            .map(Prepared::cost)
            .fold(0, usize::saturating_add);
        within_limits(1, cost)?;
        let budget = self.start(OperationType::Query, None)?;
        let mut answers = Vec::with_capacity(prepared.len());
        for prepared in prepared {
            answers.push(match prepared {
                Ok(prepared) => self.run(prepared, &budget).await?,
                Err(refusal) => self.refused(&refusal),
            });
        }
        Ok(Answer::batch(answers).charged_to(&budget))
    }

    /// Finds the document and prepares it.
    pub async fn prepare(&self, params: Params) -> Result<Prepared, RequestError> {
        let is_restricted = self.context.restriction().is_some();
        let is_only_named = matches!(params.document, DocumentRef::Hash { text: None, .. });
        let prepared = match self.server.persisted.text(params.document, !is_restricted) {
            Ok(query) => {
                let name = params.operation_name.as_deref();
                let prepared = self.server.prepare(&query, name, params.variables, &*self.context);
                prepared.await
            }
            Err(error) => Err(error.into()),
        };
        if prepared.is_err() && is_only_named && !self.context.is_admitted() {
            // Clients of Apollo's protocol expect this error, and send the document then. A document that others have
            // registered must look unknown, too.
            self.context.on_admitted();
            return Err(self.server.persisted.unknown_hash().into());
        }
        prepared
    }

    /// The answer to a request that isn't executed: with its price, which matters most when it is too high.
    pub fn refused(&self, error: &RequestError) -> Answer {
        let answer = Answer::refused(error, self.context.request_id());
        match error.cost {
            Some(cost) => self.priced(answer, cost),
            None => answer,
        }
    }

    /// Adds the price to an answer, if the caller requests it.
    fn priced(&self, answer: Answer, cost: usize) -> Answer {
        match self.cost_mode {
            CostMode::Off => answer,
            _ => answer.with_cost(cost, self.server.allowed_cost(&*self.context)),
        }
    }

    /// Runs one operation within its budget and time.
    pub async fn run(&self, prepared: Prepared, budget: &RequestBudget) -> Result<Answer, RequestError> {
        let (cost, is_mutation) = (prepared.cost(), prepared.is_mutation());
        if is_mutation && self.method == Method::GET {
            let message = "A mutation can't be sent by GET. Send it by POST.";
            return Err(RequestError::http(StatusCode::METHOD_NOT_ALLOWED, message));
        }
        if self.cost_mode == CostMode::Validate {
            return Ok(self.priced(Answer::priced(), cost));
        }
        let refused = |error: RequestError| Answer::refused(&error, self.context.request_id());
        let mut data = Data::default();
        let answer = if let Err(error) = self.context.provide(&prepared, &mut data) {
            refused(error)
        } else if is_mutation {
            // A task of its own: when the caller hangs up, this future is dropped, but a change must not stop halfway.
            // It has no timeout, because past its deadline it commits nothing and says so.
            let (server, context) = (self.server.clone(), self.context.clone());
            let change = async move { server.run(prepared, data, context.request_id()).await };
            let change = trace::within(trace::current(), budget.clone().scope(change));
            tokio::spawn(change)
                .await
                .unwrap_or_else(|_| refused(internal().into()))
        } else {
            let deadline = budget.deadline();
            let read = self.server.run(prepared, data, self.context.request_id());
            match timeout_at(deadline.at(), budget.clone().scope(read)).await {
                Ok(answer) if !deadline.is_over() => answer,
                // The answer can lack parts that were given up on the way.
                Ok(_) | Err(_) => refused(timed_out().into()),
            }
        };
        Ok(self.priced(answer, cost))
    }
}
