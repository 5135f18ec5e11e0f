//! Serves a schema of one field at `http://127.0.0.1:8000/graphql`, or at the address in the first argument:
//! `cargo run -p graphql-server --example hello_graphql`.

use std::{env, io, sync::Arc, time::Duration};

use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};
use axum::{Router, extract::Request, routing::any};
use clientele_core::budget::{AnswerSettings, BudgetPool, Connections};
use graphql_server::{
    GraphqlServer, Prices, RequestContext, http::handle, persisted::Persisted, settings::GraphqlSettings,
};
use tokio::net::TcpListener;

struct Query;

#[Object]
impl Query {
    async fn hello(&self, name: String) -> String {
        format!("Hello, {name}!")
    }
}

struct Context;

impl RequestContext for Context {
    fn request_id(&self) -> &str {
        "hello"
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let build = || Schema::build(Query, EmptyMutation, EmptySubscription);
    let settings = GraphqlSettings::default();
    let server = Arc::new(GraphqlServer::new(
        build,
        settings,
        Prices::default(),
        Persisted::default(),
    ));
    let budgets = BudgetPool::new(Duration::from_secs(30), Connections::ONE, &AnswerSettings::default());
    let answer = any(async move |request: Request| handle(server, &budgets, Context, request).await);
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/graphql", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/graphql", answer)).await
}
