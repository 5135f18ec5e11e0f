//! Upserts through the domain's functions: concurrent writers and exact values.

mod concurrency;
mod round_trip;

use clientele::{
    caller::Caller,
    client::ClientParts,
    error::Result,
    problem::{Problem, ProblemCode},
    upsert::{ClientInput, UpsertClient, Upserted},
};

use crate::harness::TestServer;

/// A client with only what is required.
fn trevor() -> UpsertClient {
    UpsertClient {
        client: ClientInput {
            first_name: async_graphql::MaybeUndefined::Value("Trevor".to_owned()),
            last_name: async_graphql::MaybeUndefined::Value("Linden".to_owned()),
            ..ClientInput::default()
        },
        ..UpsertClient::default()
    }
}

async fn try_upsert(server: &TestServer, input: &UpsertClient) -> Result<Result<Upserted, Vec<Problem>>> {
    let now = std::time::SystemTime::now().into();
    server
        .services
        .clients
        .upsert(&Caller::operator(), input, ClientParts::ALL, now)
        .await
}

async fn upsert(server: &TestServer, input: &UpsertClient) -> Upserted {
    try_upsert(server, input)
        .await
        .expect("the database answers")
        .expect("the submission is sound")
}

async fn refused(server: &TestServer, input: &UpsertClient) -> Vec<ProblemCode> {
    let before = server.snapshot().await;
    let problems = try_upsert(server, input).await.expect("the database answers");
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    problems
        .map(|_| ())
        .expect_err("the submission is wrong")
        .into_iter()
        .map(|problem| problem.code)
        .collect()
}
