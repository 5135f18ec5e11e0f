//! One call of the door: what was read of a request, priced, prepared and run within its time.

use std::sync::Arc;

use async_graphql::{Data, ObjectType};
use axum::http::{HeaderMap, Method, StatusCode, request::Parts};
use tokio::time::timeout_at;
use tracing::Instrument;

use super::{Asked, Rejection, params::Params};
use crate::api::{
    Place, RequestId,
    graphql::{
        answer::Answer,
        door::{Asker, Door, Unprepared},
        error::{Fault, Refused, internal, of_domain, timed_out},
        prepare::Prepared,
    },
    report::{GraphqlOperation, RequestReport},
};
use clientele_core::budget::{Allowance, Means, Purpose};
use clientele_domain::caller::Caller;

const PRICING: &str = "graphql-cost";

/// What the caller wants to know of the price.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pricing {
    Silent,
    /// `GraphQL-Cost: report`: it stands beside the answer.
    Report,
    /// `GraphQL-Cost: validate`: it is the answer, and nothing runs.
    Validate,
}

impl Pricing {
    pub fn of(headers: &HeaderMap) -> Result<Self, Rejection> {
        match headers.get(PRICING).map(|value| value.as_bytes()) {
            None => Ok(Self::Silent),
            Some(b"report") => Ok(Self::Report),
            Some(b"validate") => Ok(Self::Validate),
            Some(_) => {
                let message = "The header GraphQL-Cost must be report or validate.";
                Err(Rejection::new(StatusCode::BAD_REQUEST, message))
            }
        }
    }
}

pub(super) struct Call<'a, Q, M, C> {
    pub door: Arc<Door<Q, M>>,
    pub context: C,
    pub parts: &'a Parts,
    pub id: &'a RequestId,
    pub pricing: Pricing,
    pub means: &'a Means,
}

impl<Q, M, C> Call<'_, Q, M, C>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    C: Fn(&mut Data, &Parts, &Prepared) -> Result<(), Refused>,
{
    pub async fn answer(self, asked: Asked) -> Result<Answer, Rejection> {
        match asked {
            Asked::One(params) => match self.prepare(params).await {
                Ok(prepared) => {
                    let (purpose, operation) = match prepared.is_mutation() {
                        true => (Purpose::Change, GraphqlOperation::Mutation),
                        false => (Purpose::Read, GraphqlOperation::Query),
                    };
                    self.report(operation);
                    let allowance = match self.allow(purpose) {
                        Ok(allowance) => allowance,
                        Err(refused) => return Ok(refused),
                    };
                    Ok(self.run(prepared, &allowance).await?.kept(&allowance))
                }
                Err(unprepared) => Ok(self.refuse(unprepared)),
            },
            Asked::Several(all) => self.several(all).await,
        }
    }

    /// What the request may take of what is there, or the answer that nothing is left.
    fn allow(&self, purpose: Purpose) -> Result<Allowance, Answer> {
        let caller = self.parts.extensions.get::<Caller>().and_then(Caller::flow);
        let allowed = self.means.allow(purpose, caller);
        allowed.map_err(|error| Answer::refused(&of_domain(&error).into(), &self.id.0))
    }

    /// Nothing runs before everything has been looked at, and then one after the other. Together they may take what one may.
    async fn several(&self, all: Vec<Result<Params, Fault>>) -> Result<Answer, Rejection> {
        let asker = self.asker();
        if all.is_empty() {
            return Err(Rejection::new(StatusCode::BAD_REQUEST, "The body has no request."));
        }
        if all.len() > self.door.largest_batch() {
            return Err(self.door.too_many(all.len()).into());
        }
        self.door.batch_within(all.len(), 0, &asker)?;
        let mut prepared = Vec::with_capacity(all.len());
        for params in all {
            prepared.push(match params {
                Ok(params) => self.prepare(params).await,
                Err(fault) => Err(fault.into()),
            });
        }
        if prepared.iter().flatten().any(Prepared::is_mutation) {
            let message = "A mutation can't be sent together with other requests. Send it alone.";
            return Err(Rejection::new(StatusCode::BAD_REQUEST, message));
        }
        let cost = prepared
            .iter()
            .flatten()
            .map(Prepared::cost)
            .fold(0, usize::saturating_add);
        self.door.batch_within(1, cost, &asker)?;
        self.report(GraphqlOperation::Query);
        let allowance = match self.allow(Purpose::Read) {
            Ok(allowance) => allowance,
            Err(refused) => return Ok(refused),
        };
        let mut answers = Vec::with_capacity(prepared.len());
        for prepared in prepared {
            answers.push(match prepared {
                Ok(prepared) => self.run(prepared, &allowance).await?,
                Err(unprepared) => self.refuse(unprepared),
            });
        }
        Ok(Answer::together(answers).kept(&allowance))
    }

    fn report(&self, operation: GraphqlOperation) {
        if let Some(report) = self.parts.extensions.get::<RequestReport>() {
            report.set_operation(operation);
        }
    }

    fn asker(&self) -> Asker<'_> {
        let caller = self.parts.extensions.get::<Caller>();
        Asker {
            role: caller.and_then(|caller| caller.role.as_deref()),
            signed_in: caller.is_some(),
            request_id: &self.id.0,
        }
    }

    async fn prepare(&self, params: Params) -> Result<Prepared, Unprepared> {
        let Params {
            asked,
            operation_name,
            variables,
        } = params;
        let query = self.door.persisted.text(asked)?;
        let (name, asker) = (operation_name.as_deref(), self.asker());
        self.door.prepare(query.as_ref(), name, variables, &asker).await
    }

    /// Whoever asks for a price wants it most of all when it is too high.
    fn refuse(&self, Unprepared { refused, cost }: Unprepared) -> Answer {
        let answer = Answer::refused(&refused, &self.id.0);
        match cost {
            Some(cost) => self.priced(answer, cost),
            None => answer,
        }
    }

    /// With its price, if that is asked for.
    fn priced(&self, answer: Answer, cost: usize) -> Answer {
        match self.pricing {
            Pricing::Silent => answer,
            _ => answer.with_cost(cost, self.door.allowed_cost(&self.asker())),
        }
    }

    async fn run(&self, prepared: Prepared, allowance: &Allowance) -> Result<Answer, Rejection> {
        if prepared.is_mutation() && self.parts.method == Method::GET {
            let message = "A mutation can't be sent by GET. Send it by POST.";
            return Err(Rejection {
                allow: Some("POST"),
                ..Rejection::new(StatusCode::METHOD_NOT_ALLOWED, message)
            });
        }
        let cost = prepared.cost();
        let answer = match self.pricing {
            Pricing::Validate => Answer::priced(),
            _ => self.execute(prepared, allowance.clone()).await,
        };
        Ok(self.priced(answer, cost))
    }

    async fn execute(&self, prepared: Prepared, allowance: Allowance) -> Answer {
        let mut data = Data::default();
        if let Err(refused) = (self.context)(&mut data, self.parts, &prepared) {
            return Answer::refused(&refused, &self.id.0);
        }
        let deadline = allowance.deadline();
        if !prepared.is_mutation() {
            let run = allowance.scope(self.door.run(prepared, data, &self.id.0));
            return match timeout_at(deadline.at(), run).await {
                Ok(answer) if !deadline.is_over() => answer,
                // What is there by now may lack what was given up on the way.
                Ok(_) | Err(_) => Answer::refused(&timed_out().into(), &self.id.0),
            };
        }
        // A task of its own: when the caller goes away this future is dropped, and a change must not stop halfway. It is
        // waited for as long as it takes, because past its deadline it commits nothing and says so.
        let (door, id) = (self.door.clone(), self.id.clone());
        let place = self.parts.extensions.get::<Place>().cloned();
        let change = async move {
            let answer = door.run(prepared, data, &id.0).await;
            drop(place);
            answer
        };
        let change = change.in_current_span();
        let change = tokio::spawn(allowance.scope(change));
        change
            .await
            .unwrap_or_else(|_| Answer::refused(&internal().into(), &self.id.0))
    }
}
