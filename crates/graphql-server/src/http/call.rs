//! One call: its requests are priced, prepared and run within their time.

use std::sync::Arc;

use async_graphql::{Data, ObjectType, parser::types::OperationType};
use axum::http::{HeaderMap, Method, StatusCode};
use tokio::time::timeout_at;
use tracing::Instrument;

use super::{HttpError, Requests, params::Params};
use crate::{
    answer::Answer,
    context::RequestContext,
    error::{GraphqlError, RequestError, internal, timed_out},
    prepare::Prepared,
    server::GraphqlServer,
};
use clientele_core::budget::{BudgetPool, Priority, RequestBudget};

const COST_HEADER: &str = "graphql-cost";

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
    pub fn of(headers: &HeaderMap) -> Result<Self, HttpError> {
        match headers.get(COST_HEADER).map(|value| value.as_bytes()) {
            None => Ok(Self::Off),
            Some(b"report") => Ok(Self::Report),
            Some(b"validate") => Ok(Self::Validate),
            Some(_) => {
                let message = "The header GraphQL-Cost must be report or validate.";
                Err(HttpError::new(StatusCode::BAD_REQUEST, message))
            }
        }
    }
}

pub(super) struct Call<'a, Q, M, C> {
    pub server: Arc<GraphqlServer<Q, M>>,
    pub context: Arc<C>,
    pub method: &'a Method,
    pub cost_mode: CostMode,
    pub budgets: &'a BudgetPool,
}

impl<Q, M, C> Call<'_, Q, M, C>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    C: RequestContext,
{
    pub async fn answer(self, requests: Requests) -> Result<Answer, HttpError> {
        match requests {
            Requests::Single(params) => match self.prepare(params).await {
                Ok(prepared) => {
                    let priority = match prepared.is_mutation() {
                        true => Priority::Change,
                        false => Priority::Read,
                    };
                    self.context.on_operation(prepared.operation_type());
                    let budget = match self.start(priority) {
                        Ok(budget) => budget,
                        Err(refused) => return Ok(refused),
                    };
                    Ok(self.run(prepared, &budget).await?.charged_to(&budget))
                }
                Err(refusal) => Ok(self.refuse(&refusal)),
            },
            Requests::Batch(all) => self.batch(all).await,
        }
    }

    /// The budget of the request, or the answer that none is left.
    fn start(&self, priority: Priority) -> Result<RequestBudget, Answer> {
        let allowed = self.budgets.start(priority, self.context.flow());
        allowed.map_err(|error| Answer::refused(&GraphqlError::from(&error).into(), self.context.request_id()))
    }

    /// Runs the requests of a batch one after the other, after all have been prepared. Together they have the limits of
    /// one.
    async fn batch(&self, all: Vec<Result<Params, GraphqlError>>) -> Result<Answer, HttpError> {
        let context = &*self.context;
        if all.is_empty() {
            return Err(HttpError::new(StatusCode::BAD_REQUEST, "The body has no request."));
        }
        if all.len() > self.server.largest_batch() {
            return Err(self.server.too_many(all.len(), context).into());
        }
        self.server.batch_within(all.len(), 0, context)?;
        let mut prepared = Vec::with_capacity(all.len());
        for params in all {
            prepared.push(match params {
                Ok(params) => self.prepare(params).await,
                Err(error) => Err(error.into()),
            });
        }
        if prepared.iter().flatten().any(Prepared::is_mutation) {
            let message = "A mutation can't be sent together with other requests. Send it alone.";
            return Err(HttpError::new(StatusCode::BAD_REQUEST, message));
        }
        let cost = prepared
            .iter()
            .flatten()
            .map(Prepared::cost)
            .fold(0, usize::saturating_add);
        self.server.batch_within(1, cost, context)?;
        context.on_operation(OperationType::Query);
        let budget = match self.start(Priority::Read) {
            Ok(budget) => budget,
            Err(refused) => return Ok(refused),
        };
        let mut answers = Vec::with_capacity(prepared.len());
        for prepared in prepared {
            answers.push(match prepared {
                Ok(prepared) => self.run(prepared, &budget).await?,
                Err(refusal) => self.refuse(&refusal),
            });
        }
        Ok(Answer::batch(answers).charged_to(&budget))
    }

    async fn prepare(&self, params: Params) -> Result<Prepared, RequestError> {
        let Params {
            document,
            operation_name,
            variables,
        } = params;
        let query = self.server.persisted.text(document)?;
        let name = operation_name.as_deref();
        self.server
            .prepare(query.as_ref(), name, variables, &*self.context)
            .await
    }

    /// The answer to a request that isn't executed: with its price, which matters most when it is too high.
    fn refuse(&self, refusal: &RequestError) -> Answer {
        let answer = Answer::refused(refusal, self.context.request_id());
        match refusal.cost {
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

    async fn run(&self, prepared: Prepared, budget: &RequestBudget) -> Result<Answer, HttpError> {
        if prepared.is_mutation() && self.method == Method::GET {
            let message = "A mutation can't be sent by GET. Send it by POST.";
            return Err(HttpError {
                allow: Some("POST"),
                ..HttpError::new(StatusCode::METHOD_NOT_ALLOWED, message)
            });
        }
        let cost = prepared.cost();
        let answer = match self.cost_mode {
            CostMode::Validate => Answer::priced(),
            _ => self.execute(prepared, budget.clone()).await,
        };
        Ok(self.priced(answer, cost))
    }

    async fn execute(&self, prepared: Prepared, budget: RequestBudget) -> Answer {
        let mut data = Data::default();
        if let Err(refused) = self.context.provide(&prepared, &mut data) {
            return Answer::refused(&refused, self.context.request_id());
        }
        let deadline = budget.deadline();
        if !prepared.is_mutation() {
            let run = budget.scope(self.server.run(prepared, data, self.context.request_id()));
            return match timeout_at(deadline.at(), run).await {
                Ok(answer) if !deadline.is_over() => answer,
                // The answer can lack parts that were given up on the way.
                Ok(_) | Err(_) => Answer::refused(&timed_out().into(), self.context.request_id()),
            };
        }
        // A task of its own: when the caller hangs up, this future is dropped, but a change must not stop halfway. It
        // has no timeout, because past its deadline it commits nothing and says so.
        let (server, context) = (self.server.clone(), self.context.clone());
        let change = async move { server.run(prepared, data, context.request_id()).await };
        let change = change.in_current_span();
        let change = tokio::spawn(budget.scope(change));
        change
            .await
            .unwrap_or_else(|_| Answer::refused(&internal().into(), self.context.request_id()))
    }
}
