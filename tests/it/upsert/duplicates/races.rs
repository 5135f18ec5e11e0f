//! Clients with the same values at the same time: an error lets exactly one of them through.

use std::collections::BTreeSet;

use clientele::client::{CheckLevel, DuplicateChecks};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{checking, checking_emails, checks, upsert};
use crate::{
    harness::{TestServer, graphql::define, with},
    upsert::many::assert_undisturbed,
};

const LIST: &str = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { results { created
    userErrors { code } } } }";
/// The clients of a list: so few that they share a transaction.
const CLIENTS: usize = 40;

on_both!(
    one_of_concurrent_creations_wins,
    changes_and_creations_compete,
    lists_compete_without_a_deadlock,
    loser_changes_the_client_that_it_names,
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
    let strict = checking_emails(server).await;
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
            document: CheckLevel::Error,
            email_address: CheckLevel::Error,
            home_phone: CheckLevel::Error,
            ..Default::default()
        },
    )
    .await;
    for (round, documents) in [0, 20, 200].into_iter().enumerate() {
        // Every tenth client has more documents than others.
        let client = |number: usize| {
            let of_client = (0..if number % 10 == 3 { documents } else { 1 })
                .map(|at| json!({ "documentType": "P", "documentId": format!("{round} {number} {at}") }));
            let (email, phone) = (format!("{round}.{number}@example.test"), format!("4{round}00{number}"));
            json!({ "client": { "firstName": "A", "lastName": "B", "emailAddress": email, "homePhone": phone },
                "idDocuments": Vec::from_iter(of_client) })
        };
        let list = |numbers: Vec<usize>| {
            let clients: Vec<Value> = numbers.into_iter().map(client).collect();
            strict.graphql(LIST, json!({ "input": { "clients": clients } }))
        };
        let lists = join_all([list((0..CLIENTS).collect()), list((0..CLIENTS).rev().collect())]);
        // Each has the values of two clients of the lists.
        let singles = join_all((0..CLIENTS / 2).map(|number| {
            let own = json!({ "homePhone": format!("4{round}00{}", CLIENTS - 1 - number) });
            let input = json!({ "client": with(client(number)["client"].clone(), own) });
            upsert(&strict, input)
        }));
        let (lists, singles) = tokio::join!(lists, singles);
        let of_lists = lists.iter().flat_map(|answer| {
            let results = answer.body["data"]["upsertClients"]["results"].as_array();
            results.unwrap_or_else(|| panic!("{}", answer.text)).clone()
        });
        let of_singles = singles.iter().map(|answer| answer.body["data"]["upsertClient"].clone());
        let results: Vec<Value> = of_lists.chain(of_singles).collect();
        for result in &results {
            let codes = result["userErrors"].as_array().expect("a list").iter();
            let codes: Vec<&str> = codes.filter_map(|error| error["code"].as_str()).collect();
            assert!(codes.iter().all(|code| *code == "DUPLICATE_CLIENT"), "{result}");
            assert_eq!(result["created"], codes.is_empty(), "{result}");
        }
    }
    // Its rows begin with the key, the names, the birth date, the e-mail address and the home phone number.
    let snapshot = server.snapshot().await;
    let rows = snapshot.rows("client_search");
    for column in [4, 5] {
        let value = |row: &str| serde_json::from_str::<Value>(row).expect("a row is JSON")[column].to_string();
        let values: BTreeSet<String> = rows.iter().map(|row| value(row)).collect();
        assert_eq!(values.len(), rows.len());
    }
    assert_undisturbed(&strict).await;
    strict.stop().await;
}

async fn loser_changes_the_client_that_it_names(server: &TestServer) {
    let fields = json!([{ "fieldId": "crm", "name": "CRM", "type": "TEXT", "unique": true }]);
    define(server, "facts", fields).await;
    let strict = checking_emails(server).await;
    for round in 0..4 {
        let client = |members: Value| with(json!({ "firstName": "A", "lastName": "B" }), members);
        let by_id = json!({ "matchOn": "CLIENT_ID", "client": client(
            json!({ "clientId": format!("C{round}"), "emailAddress": format!("id.{round}@example.test") })) });
        let by_value = json!({ "matchOn": "CUSTOM_FIELD",
            "matchCustomField": { "fieldId": "crm", "value": round.to_string() },
            "client": client(json!({ "emailAddress": format!("value.{round}@example.test") })) });
        for input in [by_id, by_value] {
            let answers = join_all((0..6).map(|number| {
                let notes = json!({ "notes": number.to_string() });
                let own = json!({ "client": with(input["client"].clone(), notes) });
                upsert(&strict, with(input.clone(), own))
            }));
            let answers = answers.await;
            let created = answers.iter().filter(|answer| {
                let upserted = &answer.body["data"]["upsertClient"];
                assert_eq!(upserted["userErrors"], json!([]), "{}", answer.text);
                upserted["created"] == true
            });
            assert_eq!(created.count(), 1);
        }
    }
    strict.stop().await;
}
