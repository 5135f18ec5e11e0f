//! The GraphQL API: its schema, and the glue between clientele and the crate `graphql-server`.

mod accounts;
mod audit;
mod capacity;
mod changes;
mod client_by;
mod context;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod global_id;
mod lifecycle;
mod load;
mod load_plan;
mod loaded;
mod many;
mod messages;
mod mutation;
mod node;
mod nodes;
mod objects;
mod page;
mod permits;
mod prices;
mod query;
mod request;
mod sessions;
mod sign_in;
mod socket;
mod suppressions;

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{MergedObject, SDLExportOptions, Schema, SchemaBuilder, registry::MetaField};
use axum::{Router, extract::Request, routing::any};
use chrono::{DateTime, Utc};
use graphql_server::{GraphqlServer, http, persisted::Persisted, settings::GraphqlSettings};
use tokio::sync::watch;

pub use self::prices::indexed_members_of_clients;
pub(super) use self::request::{refuse_caller, refused};
use self::{
    accounts::{AccountMutation, AccountQuery},
    audit::AuditQuery,
    capacity::SubscriptionCapacity,
    changes::{ChangesQuery, Subscriptions},
    lifecycle::LifecycleMutation,
    load::Sources,
    mutation::Mutation,
    query::Query,
    request::{GraphqlRequest, Shared, reported},
    sessions::{SessionMutation, SessionQuery},
    socket::Socket,
    suppressions::{SuppressionMutation, SuppressionQuery},
};
use super::{authentication::SignIn, metrics::ApiMetrics};
use crate::services::Services;
use clientele_core::budget::BudgetPool;
use clientele_domain::caller::Permission;

/// The GraphQL API of these clients, under `/graphql`.
pub fn router(
    services: &Services,
    settings: GraphqlSettings,
    persisted: Persisted,
    metrics: ApiMetrics,
    sign_in: SignIn,
    budgets: BudgetPool,
    stop: Option<watch::Receiver<bool>>,
) -> Router {
    let shared = Shared {
        sources: Arc::new(Sources {
            definitions: services.definitions.clone(),
            clients: services.clients.clone(),
            messages: services.messages.clone(),
            audit: services.audit.clone(),
        }),
        metrics: metrics.clone(),
        answer_fields: settings.answer_fields,
        capacity: SubscriptionCapacity::new(settings.subscriptions),
        stop,
    };
    let build = || {
        schema()
            .data(services.definitions.clone())
            .data(services.clients.clone())
            .data(services.custom_fields.clone())
            .data(services.templates.clone())
            .data(services.messages.clone())
            .data(services.suppressions.clone())
            .data(services.accounts.clone())
            .data(services.audit.clone())
            .data(services.changes.clone())
            .data(budgets.clone())
            .data(sign_in.clone())
            .data(metrics.clone())
    };
    let server = Arc::new(GraphqlServer::new(build, settings, prices::PRICES, persisted));
    let answer = any(async move |request: Request| {
        if http::is_websocket(&request) {
            let socket = Socket::of(&request, shared);
            return reported(http::open_websocket(server, socket, request).await);
        }
        let context = GraphqlRequest::of(&request, shared);
        reported(http::handle(server, &budgets, context, request).await)
    });
    Router::new()
        .route("/graphql", answer.clone())
        .route("/graphql/", answer)
}

/// The schema in the schema definition language.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().include_specified_by();
    schema().finish().sdl_with_options(options)
}

/// A server without data, which prepares documents and runs none.
fn server(
    build: impl Fn() -> SchemaBuilder<Queries, Mutations, Subscriptions>,
) -> GraphqlServer<Queries, Mutations, Subscriptions> {
    GraphqlServer::new(build, GraphqlSettings::default(), prices::PRICES, Persisted::default())
}

/// The fields below the root that require a permission, each with its type, and that permission.
pub fn guarded_fields() -> BTreeMap<String, Permission> {
    let server = server(schema);
    let types = server.registry().types.values();
    let fields = types.filter_map(|ty| Some((ty.name(), ty.fields()?)));
    let fields = fields.flat_map(|(ty, fields)| fields.values().map(move |field| (ty, field)));
    let required = |field: &MetaField| field.requires_scopes.iter().find_map(|name| Permission::parse(name));
    fields
        .filter_map(|(ty, field)| Some((format!("{ty}.{}", field.name), required(field)?)))
        .collect()
}

/// Reads clients, messages and definitions, the audit log and the change feed, and users, their sessions and API tokens.
#[derive(MergedObject)]
#[graphql(name = "Query")]
pub struct Queries(
    Query,
    AuditQuery,
    ChangesQuery,
    AccountQuery,
    SessionQuery,
    SuppressionQuery,
);

/// Changes clients, messages and definitions, users, sessions and API tokens. Mutations of one request run in order,
/// each in its own transaction: one that fails is null, with an error at its path, and doesn't undo or stop the others.
/// Send one mutation in each request, or use `idempotencyKey`, which makes it safe to repeat it.
#[derive(MergedObject)]
#[graphql(name = "Mutation")]
pub struct Mutations(
    Mutation,
    LifecycleMutation,
    AccountMutation,
    SessionMutation,
    SuppressionMutation,
);

fn schema() -> SchemaBuilder<Queries, Mutations, Subscriptions> {
    let queries = Queries(
        Query,
        AuditQuery,
        ChangesQuery,
        AccountQuery,
        SessionQuery,
        SuppressionQuery,
    );
    let mutations = Mutations(
        Mutation,
        LifecycleMutation,
        AccountMutation,
        SessionMutation,
        SuppressionMutation,
    );
    Schema::build(queries, mutations, Subscriptions)
}

/// The current time, which the domain takes as a parameter.
#[expect(clippy::disallowed_methods, reason = "time enters here")]
fn now() -> DateTime<Utc> {
    Utc::now()
}
