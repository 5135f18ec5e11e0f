//! The GraphQL door: what the schema has, and how requests are answered.

mod accounts;
pub mod answer;
mod audit;
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
mod permits;
pub mod persisted;
pub mod prepare;
mod query;
mod reach;
pub mod settings;
#[cfg(test)]
mod toy;
mod world;

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{EmptySubscription, MergedObject, SDLExportOptions, Schema, SchemaBuilder, registry::MetaField};
use axum::{Router, http::HeaderMap, response::Response};
use chrono::{DateTime, Utc};

use self::{
    accounts::{AccountMutation, AccountQuery},
    audit::AuditQuery,
    door::{Door, Strict},
    error::{Code, Fault},
    load::loaders,
    mutation::Mutation,
    object::Budget,
    persisted::Persisted,
    query::Query,
    settings::GraphqlSettings,
};
use super::{Place, RequestId, authentication::Refusal, metrics::ApiMetrics};
use clientele_core::budget::Means;
use clientele_domain::{
    Clientele,
    caller::{Caller, Permission},
};

/// The GraphQL API of these clients, under `/graphql`.
pub fn router(
    clientele: Arc<Clientele>,
    settings: GraphqlSettings,
    persisted: Persisted,
    metrics: ApiMetrics,
    means: Means,
) -> Router {
    let of = clientele.clone();
    let counted = metrics.clone();
    let build = move || schema().data(of.clone()).data(counted.clone());
    let answer_fields = settings.answer_fields;
    let door = Door::new(build, settings, persisted, metrics);
    http::router(Arc::new(door), means, move |data, head, prepared| {
        data.insert(Budget::new(answer_fields));
        data.insert(loaders(clientele.clone()));
        // Without one, every field that needs to know is refused.
        if let Some(caller) = head.extensions.get::<Caller>() {
            permits::admit(prepared, caller)?;
            data.insert(caller.clone());
        }
        if let Some(place) = head.extensions.get::<Place>() {
            data.insert(place.clone());
        }
        Ok(())
    })
}

/// The answer to somebody who isn't let in.
pub(super) fn refuse_caller(refusal: &Refusal, headers: &HeaderMap, id: &RequestId) -> Response {
    let fault = match refusal {
        Refusal::Missing(_) | Refusal::Wrong => Fault::new(Code::Unauthenticated, refusal.sentence()),
        Refusal::TooMany(_) => Fault::new(Code::RateLimited, refusal.sentence()),
        Refusal::Busy | Refusal::IssuerAway(_) => Fault::new(Code::Unavailable, refusal.sentence()),
        Refusal::Surprise(error) => error::of_domain(error),
    };
    http::refuse(fault, headers, id)
}

/// The schema in the schema definition language.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().include_specified_by();
    schema().finish().sdl_with_options(options)
}

/// The fields below those of the roots that take a permission of their own, each with its type, and that permission.
pub fn guarded_fields() -> BTreeMap<String, Permission> {
    let schema = Strict::new(schema());
    let types = schema.registry().types.values();
    let fields = types.filter_map(|ty| Some((ty.name(), ty.fields()?)));
    let fields = fields.flat_map(|(ty, fields)| fields.values().map(move |field| (ty, field)));
    let needs = |field: &MetaField| {
        Permission::ALL
            .into_iter()
            .find(|it| field.requires_scopes.iter().any(|name| name == it.as_str()))
    };
    fields
        .filter_map(|(ty, field)| Some((format!("{ty}.{}", field.name), needs(field)?)))
        .collect()
}

/// Reads the bank's clients, the definitions they follow, the history of both, and who may do what.
#[derive(MergedObject)]
#[graphql(name = "Query")]
pub struct Queries(Query, AuditQuery, AccountQuery);

/// Changes the bank's clients, the definitions they follow, and who may do that. The fields are carried out one after the
/// other, each a change of its own, whatever becomes of the others. As payloads can't be null, `data` is null as a whole when
/// one of them ends in an error: the errors' paths name those that failed, and the others have been carried out all the same.
/// Send one at a time, or with an `idempotencyKey`, under which the same input is answered again.
#[derive(MergedObject)]
#[graphql(name = "Mutation")]
pub struct Mutations(Mutation, AccountMutation);

fn schema() -> SchemaBuilder<Queries, Mutations, EmptySubscription> {
    let queries = Queries(Query, AuditQuery, AccountQuery);
    Schema::build(queries, Mutations(Mutation, AccountMutation), EmptySubscription)
}

/// The door is where time comes from; below it, time is a parameter.
#[expect(clippy::disallowed_methods, reason = "this is a door")]
fn now() -> DateTime<Utc> {
    Utc::now()
}
