//! ceiling DATABASE
//!
//! A server without GraphQL, authentication, limits or validation, on the tables of clientele: the most that the
//! database allows. It answers the workloads R1, R2, R3 and W1 of `bench/run` as clientele does, with the fewest
//! statements. DATABASE is `sqlite:FILE` or connection parameters of PostgreSQL, such as `host=/run/pg dbname=speed`.

mod answer;
mod postgres;
mod sql;
mod sqlite;
mod upsert;

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::{get, post},
};

use chrono::Utc;

use self::{postgres::Postgres, sqlite::Sqlite, upsert::Upsert};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

enum Database {
    Postgres(Box<Postgres>),
    Sqlite(Box<Sqlite>),
}

fn answer<E: std::fmt::Display>(outcome: Result<Vec<u8>, E>) -> Result<impl IntoResponse, (StatusCode, String)> {
    let failed = |error: E| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    outcome
        .map(|json| ([(CONTENT_TYPE, "application/json")], json))
        .map_err(failed)
}

async fn one(State(database): State<Arc<Database>>, Path(id): Path<String>) -> impl IntoResponse {
    match &*database {
        Database::Postgres(postgres) => answer(postgres.client(&id).await).into_response(),
        Database::Sqlite(sqlite) => answer(sqlite.client(&id)).into_response(),
    }
}

async fn page(State(database): State<Arc<Database>>) -> impl IntoResponse {
    match &*database {
        Database::Postgres(postgres) => answer(postgres.page().await).into_response(),
        Database::Sqlite(sqlite) => answer(sqlite.page()).into_response(),
    }
}

async fn three(State(database): State<Arc<Database>>, Path(id): Path<String>) -> impl IntoResponse {
    match &*database {
        Database::Postgres(postgres) => answer(postgres.three(&id).await).into_response(),
        Database::Sqlite(sqlite) => answer(sqlite.three(&id)).into_response(),
    }
}

async fn upsert(State(database): State<Arc<Database>>, body: Bytes) -> impl IntoResponse {
    let Ok(text) = std::str::from_utf8(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let input: Upsert = match serde_json::from_str(text) {
        Ok(input) => input,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    #[expect(clippy::disallowed_methods, reason = "the clock is read here, once for each change")]
    let now = Utc::now();
    match &*database {
        Database::Postgres(postgres) => answer(postgres.upsert(&input, text, now).await).into_response(),
        Database::Sqlite(sqlite) => answer(sqlite.upsert(&input, text, now)).into_response(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: ceiling DATABASE")?;
    let database = match url.strip_prefix("sqlite:") {
        Some(file) => Database::Sqlite(Box::new(Sqlite::open(file)?)),
        None => Database::Postgres(Box::new(Postgres::open(&url).await?)),
    };
    let router = Router::new()
        .route("/R1/{id}", get(one))
        .route("/R2", get(page))
        .route("/R3/{id}", get(three))
        .route("/W1", post(upsert))
        .with_state(Arc::new(database));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}
