//! Concurrent writers: the stored client equals exactly one of their submissions.

use std::collections::HashSet;

use async_graphql::MaybeUndefined::Value;
use clientele::{
    caller::Caller,
    error::Error,
    problem::ProblemCode,
    upsert::{AddressInput, ClientMatch, IdDocumentInput, Outcome, UpsertClient},
};
use futures_util::{StreamExt, future::join_all, stream};

use super::{TestServer, trevor, try_upsert, upsert};

/// A submission whose every part carries the writer's number.
fn submission(writer: usize) -> UpsertClient {
    let text = |name: &str| Value(format!("{name} {writer}"));
    let mut input = trevor();
    input.client.first_name = text("name");
    input.client.notes = text("notes");
    input.addresses = Value(vec![AddressInput {
        line1: text("line"),
        ..AddressInput::default()
    }]);
    let document = |name: &str| IdDocumentInput {
        document_type: text(name),
        document_id: text(name),
        ..IdDocumentInput::default()
    };
    input.id_documents = Value(
        (0..=writer % 3)
            .map(|place| document(&format!("document {place}")))
            .collect(),
    );
    input
}

/// Runs all submissions concurrently, up to 64 at a time.
async fn race(server: &TestServer, submissions: Vec<UpsertClient>) -> Vec<Result<Outcome, Vec<ProblemCode>>> {
    let attempt = |input: UpsertClient| async move {
        let answer = try_upsert(server, &input).await.expect("every writer gets its turn");
        answer
            .map(|upserted| upserted.outcome)
            .map_err(|problems| problems.iter().map(|it| it.code).collect())
    };
    stream::iter(submissions)
        .map(attempt)
        .buffer_unordered(64)
        .collect()
        .await
}

on_both!(
    two_hundred_upserts_of_one_client_leave_one_submission,
    two_hundred_concurrent_creations_are_all_stored,
    second_creation_of_one_id_becomes_a_change,
    one_of_many_creations_with_one_id_succeeds,
    one_of_many_changes_expecting_one_version_succeeds,
    cancelled_upsert_is_all_or_nothing,
    unique_members_are_unique_in_the_database,
);

async fn two_hundred_upserts_of_one_client_leave_one_submission(server: &TestServer) {
    let key = upsert(server, &trevor()).await.client.client.encoded_key;
    let submissions = (0..200).map(|writer| {
        let mut input = submission(writer);
        input.client.encoded_key = Value(key.clone());
        input
    });
    let outcomes = race(server, submissions.collect()).await;
    assert_eq!(outcomes, vec![Ok(Outcome::Changed); 200]);

    let mut unchanged = trevor();
    unchanged.client = clientele::upsert::ClientInput {
        encoded_key: Value(key),
        ..Default::default()
    };
    let stored = upsert(server, &unchanged).await.client;
    assert_eq!(stored.client.version, 201);
    let winner: usize = stored.client.first_name["name ".len()..]
        .parse()
        .expect("a writer's number");
    assert_eq!(stored.client.notes, Some(format!("notes {winner}")));
    let lines: Vec<_> = stored
        .addresses
        .iter()
        .flatten()
        .map(|address| address.line1.clone())
        .collect();
    assert_eq!(lines, [Some(format!("line {winner}"))]);
    let documents = stored
        .id_documents
        .iter()
        .flatten()
        .map(|document| document.document_type.clone());
    let expected = (0..=winner % 3).map(|place| format!("document {place} {winner}"));
    assert_eq!(documents.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    let snapshot = server.snapshot().await;
    assert_eq!(
        snapshot.rows("address").len(),
        1,
        "no member of another submission is left"
    );
    assert_eq!(snapshot.rows("id_document").len(), winner % 3 + 1);
}

async fn two_hundred_concurrent_creations_are_all_stored(server: &TestServer) {
    let outcomes = race(server, (0..200).map(submission).collect()).await;
    assert_eq!(outcomes, vec![Ok(Outcome::Created); 200]);
    let snapshot = server.snapshot().await;
    assert_eq!(snapshot.rows("client").len(), 200);
    assert_eq!(snapshot.rows("address").len(), 200);
    assert_eq!(
        snapshot.rows("id_document").len(),
        (0..200).map(|writer| writer % 3 + 1).sum::<usize>()
    );
    let ids: HashSet<&str> = snapshot.rows("client_id_claim").into_iter().collect();
    assert_eq!(ids.len(), 200);
}

async fn second_creation_of_one_id_becomes_a_change(server: &TestServer) {
    for round in 0..10 {
        let submissions = (0..2).map(|writer| {
            let mut input = submission(writer);
            input.client.client_id = Value(format!("chosen {round}"));
            input.match_on = ClientMatch::ClientId;
            input
        });
        let mut outcomes = race(server, submissions.collect()).await;
        outcomes.sort_by_key(|outcome| *outcome != Ok(Outcome::Created));
        assert_eq!(outcomes, [Ok(Outcome::Created), Ok(Outcome::Changed)]);
    }
    assert_eq!(server.snapshot().await.rows("client").len(), 10);
}

async fn one_of_many_creations_with_one_id_succeeds(server: &TestServer) {
    let submissions = (0..20).map(|writer| {
        let mut input = submission(writer);
        input.client.client_id = Value("chosen".to_owned());
        input
    });
    let mut outcomes = race(server, submissions.collect()).await;
    outcomes.sort_by_key(Result::is_err);
    let mut expected = vec![Err(vec![ProblemCode::Taken]); 20];
    expected[0] = Ok(Outcome::Created);
    assert_eq!(outcomes, expected);
    assert_eq!(server.snapshot().await.rows("client").len(), 1);
}

async fn one_of_many_changes_expecting_one_version_succeeds(server: &TestServer) {
    let key = upsert(server, &trevor()).await.client.client.encoded_key;
    let submissions = (0..20).map(|writer| {
        let mut input = submission(writer);
        input.client.encoded_key = Value(key.clone());
        input.expected_version = Some(1);
        input
    });
    let mut outcomes = race(server, submissions.collect()).await;
    outcomes.sort_by_key(Result::is_err);
    let mut expected = vec![Err(vec![ProblemCode::VersionConflict]); 20];
    expected[0] = Ok(Outcome::Changed);
    assert_eq!(outcomes, expected);
}

async fn cancelled_upsert_is_all_or_nothing(server: &TestServer) {
    let key = upsert(server, &submission(0)).await.client.client.encoded_key;
    let attempt = |writer: usize| {
        let mut input = submission(writer);
        input.client.encoded_key = Value(key.clone());
        let (services, caller) = (server.services.clone(), Caller::operator());
        async move {
            let now = std::time::SystemTime::now().into();
            let work = services
                .clients
                .upsert(&caller, &input, clientele::client::ClientParts::ALL, now);
            // Each is dropped after a different number of polls, so that every stage is interrupted once.
            let mut work = std::pin::pin!(work);
            for _ in 0..writer {
                let polled = futures_util::poll!(work.as_mut());
                if polled.is_ready() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
    };
    for writer in 1..60 {
        attempt(writer).await;
        let snapshot = server.snapshot().await;
        let client: serde_json::Value = serde_json::from_str(snapshot.rows("client")[0]).expect("a row is JSON");
        let winner: usize = client[3].as_str().expect("the first name")["name ".len()..]
            .parse()
            .expect("a number");
        assert_eq!(snapshot.rows("id_document").len(), winner % 3 + 1);
        assert!(snapshot.rows("address")[0].contains(&format!("line {winner}")));
    }
    // The interrupted connections are still usable.
    let many = join_all((0..20).map(|_| async { try_upsert(server, &trevor()).await.is_ok() })).await;
    assert_eq!(many, [true; 20]);
}

async fn unique_members_are_unique_in_the_database(server: &TestServer) {
    let stored = upsert(server, &submission(0)).await.client;
    let (key, id) = (&stored.client.encoded_key, &stored.client.client_id);
    let other = upsert(server, &trevor()).await.client.client.encoded_key;
    let role = "INSERT INTO client_role (encoded_key, role_id, name, is_default, position)";
    for statement in [
        format!("INSERT INTO client_id_claim (client_id, client_key) VALUES ('{id}', '{other}')"),
        format!("INSERT INTO client SELECT * FROM client WHERE encoded_key = '{key}'"),
        format!("INSERT INTO address SELECT * FROM address WHERE client_key = '{key}'"),
        format!("INSERT INTO id_document SELECT * FROM id_document WHERE client_key = '{key}'"),
        format!("{role} SELECT 'other', role_id, name, FALSE, 1 FROM client_role"),
        format!("{role} SELECT 'other', 'other', name, TRUE, 1 FROM client_role"),
    ] {
        let error = server.write(&statement).await.expect_err(&statement);
        assert!(matches!(error, Error::Conflict), "{statement}: {error:?}");
    }
}
