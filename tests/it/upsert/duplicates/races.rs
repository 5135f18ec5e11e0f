//! Clients with the same values at the same time: an error lets exactly one of them through.

use clientele::client::{CheckLevel, DuplicateChecks};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{checking, checks};
use crate::harness::{TestServer, with};

on_both!(
    one_of_concurrent_creations_wins,
    changes_and_creations_compete,
    lists_compete_without_a_deadlock,
);

async fn one_of_concurrent_creations_wins(server: &TestServer) {
    for (name, members) in [
        ("names", json!({ "firstName": "Same", "lastName": "Name" })),
        ("birth", json!({ "birthDate": "1990-04-17" })),
        ("email", json!({ "emailAddress": "same@example.test" })),
        ("home", json!({ "homePhone": "12 34" })),
        ("mobile", json!({ "mobilePhone2": "56 78" })),
    ] {
        let strict = checking(server, checks(CheckLevel::Error)).await;
        let creations = (0..8).map(|number| {
            let own = json!({ "firstName": format!("{name}{number}"), "lastName": format!("Of {name}") });
            strict.post("/api/clients", json!({ "client": with(own, members.clone()) }))
        });
        let answers = join_all(creations).await;
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(won, 1, "{name}");
        assert!(
            answers
                .iter()
                .all(|answer| answer.status == 200 || answer.body["returnCode"] == 310),
            "{name}: {:?}",
            answers.iter().map(|answer| &answer.text).collect::<Vec<_>>()
        );
        strict.stop().await;
    }
    let strict = checking(
        server,
        DuplicateChecks {
            document: CheckLevel::Error,
            ..Default::default()
        },
    )
    .await;
    let creations = (0..8).map(|number| {
        let documents = json!([{ "documentType": "Passport", "documentId": "X-1" },
            { "documentType": "Visa", "documentId": number.to_string() }]);
        let client = json!({ "firstName": "A", "lastName": "B" });
        strict.post("/api/clients", json!({ "client": client, "idDocuments": documents }))
    });
    let answers = join_all(creations).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    strict.stop().await;
}

async fn changes_and_creations_compete(server: &TestServer) {
    let strict = checking(
        server,
        DuplicateChecks {
            email_address: CheckLevel::Error,
            ..Default::default()
        },
    )
    .await;
    for round in 0..8 {
        let client = json!({ "id": format!("C{round}"), "firstName": "A", "lastName": "B" });
        assert_eq!(
            strict.post("/api/clients", json!({ "client": client })).await.status,
            200
        );
        let email = json!({ "emailAddress": format!("{round}@example.test") });
        let patch = strict.request(Method::PATCH, &format!("/api/clients/C{round}"));
        let patch = strict.send(patch.json(&json!({ "client": email })));
        let client = with(json!({ "firstName": "A", "lastName": "B" }), email.clone());
        let (changed, created) = tokio::join!(patch, strict.post("/api/clients", json!({ "client": client })));
        let mut statuses = [changed.status, created.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400], "{} {}", changed.text, created.text);
    }
    strict.stop().await;
}

async fn lists_compete_without_a_deadlock(server: &TestServer) {
    let strict = checking(
        server,
        DuplicateChecks {
            email_address: CheckLevel::Error,
            ..Default::default()
        },
    )
    .await;
    let query = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { results { created } } }";
    let client = |number: usize| {
        let email = format!("{number}@example.test");
        json!({ "client": { "firstName": "A", "lastName": "B", "emailAddress": email } })
    };
    let list = |numbers: Vec<usize>| {
        let clients: Vec<Value> = numbers.into_iter().map(client).collect();
        strict.graphql(query, json!({ "input": { "clients": clients } }))
    };
    let answers = join_all([list((0..20).collect()), list((0..20).rev().collect())]).await;
    let created = answers.iter().flat_map(|answer| {
        let results = answer.body["data"]["upsertClients"]["results"].as_array();
        results.unwrap_or_else(|| panic!("{}", answer.text)).clone()
    });
    assert_eq!(created.filter(|result| result["created"] == true).count(), 20);
    strict.stop().await;
}
