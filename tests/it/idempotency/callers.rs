//! Keys are separate per caller, and a replay requires present permissions.

use std::sync::Arc;

use async_graphql::MaybeUndefined::Value;
use chrono::{DateTime, TimeDelta, Utc};
use clientele::{
    caller::{Caller, CallerKind, Permission, Rights},
    client::ClientParts,
    error::Error,
    expiry::remove_expired_outcomes,
    problem::ProblemCode,
    upsert::{ClientInput, Outcome, UpsertClient, Upserted},
};

use super::counts;
use crate::harness::TestServer;

fn caller(kind: CallerKind, id: &str, permissions: &[Permission]) -> Caller {
    Caller {
        kind,
        id: id.into(),
        rights: Arc::new(Rights::of(permissions.iter().copied())),
        ..Caller::operator()
    }
}

fn ana() -> UpsertClient {
    UpsertClient {
        client: ClientInput {
            first_name: Value("Ana".to_owned()),
            last_name: Value("Cruz".to_owned()),
            ..ClientInput::default()
        },
        idempotency_key: Some("k".to_owned()),
        ..UpsertClient::default()
    }
}

async fn try_upsert(
    server: &TestServer,
    caller: &Caller,
    input: &UpsertClient,
    now: DateTime<Utc>,
) -> Result<Upserted, Error> {
    let answer = server
        .services
        .clients
        .upsert(caller, input, ClientParts::default(), now)
        .await?;
    Ok(answer.expect("the submission is sound"))
}

fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

on_both!(
    two_callers_can_use_the_same_key,
    replay_requires_the_permission_at_present,
    outcome_is_kept_for_a_day,
);

async fn two_callers_can_use_the_same_key(server: &TestServer) {
    let mut keys = Vec::new();
    for (kind, id) in [
        (CallerKind::User, "a"),
        (CallerKind::Token, "a"),
        (CallerKind::User, "b"),
    ] {
        let caller = caller(kind, id, &Permission::ALL);
        for _ in 0..2 {
            let upserted = try_upsert(server, &caller, &ana(), now()).await.expect("everybody may");
            assert_eq!(upserted.outcome, Outcome::Created);
            keys.push(upserted.client.client.encoded_key);
        }
    }
    keys.dedup();
    assert_eq!((keys.len(), counts(server).await), (3, [3, 0, 3]));
}

async fn replay_requires_the_permission_at_present(server: &TestServer) {
    let at = |permissions: &[Permission]| caller(CallerKind::User, "a", permissions);
    let created = try_upsert(server, &at(&[Permission::CreateClient]), &ana(), now())
        .await
        .expect("may create");
    let mut change = ana();
    change.client.encoded_key = Value(created.client.client.encoded_key);
    change.idempotency_key = Some("change".to_owned());
    try_upsert(server, &at(&[Permission::EditClient]), &change, now())
        .await
        .expect("may change");
    let before = server.snapshot().await;
    let error = try_upsert(server, &at(&[Permission::ViewClient]), &ana(), now())
        .await
        .expect_err("may not");
    assert!(matches!(error, Error::Forbidden(_)), "{error:?}");
    // As a user error: earlier fields of the same document were executed and need their answer.
    for (permission, input) in [(Permission::EditClient, ana()), (Permission::CreateClient, change)] {
        let answer = server
            .services
            .clients
            .upsert(&at(&[permission]), &input, ClientParts::default(), now())
            .await;
        let problems = answer.expect("no surprise").expect_err("may not");
        assert_eq!(
            problems
                .iter()
                .map(|problem| (problem.code, problem.path.len()))
                .collect::<Vec<_>>(),
            [(ProblemCode::Forbidden, 0)]
        );
    }
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
}

async fn outcome_is_kept_for_a_day(server: &TestServer) {
    let (caller, begun) = (Caller::operator(), now());
    let first = try_upsert(server, &caller, &ana(), begun)
        .await
        .expect("all is well")
        .client;
    let almost = begun + TimeDelta::hours(24) - TimeDelta::seconds(1);
    let again = try_upsert(server, &caller, &ana(), almost)
        .await
        .expect("all is well")
        .client;
    assert_eq!(again.client, first.client);
    assert_eq!(
        remove_expired_outcomes(&server.services.db, almost)
            .await
            .expect("the database answers"),
        0
    );

    // The record still exists and is ignored.
    let over = begun + TimeDelta::hours(24);
    let second = try_upsert(server, &caller, &ana(), over)
        .await
        .expect("all is well")
        .client;
    assert_ne!(second.client.encoded_key, first.client.encoded_key);
    let again = try_upsert(server, &caller, &ana(), over)
        .await
        .expect("all is well")
        .client;
    assert_eq!((again.client, counts(server).await), (second.client, [2, 0, 1]));

    assert_eq!(
        remove_expired_outcomes(&server.services.db, over)
            .await
            .expect("the database answers"),
        0
    );
    assert_eq!(
        remove_expired_outcomes(&server.services.db, over + TimeDelta::hours(24))
            .await
            .expect("the database answers"),
        1
    );
    assert_eq!(counts(server).await, [2, 0, 0]);
}
