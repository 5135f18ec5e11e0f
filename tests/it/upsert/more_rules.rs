//! The rules of the upsert in GraphQL's own words.

use serde_json::json;

use super::{create_trevor, payload, problem, refused, upsert};
use crate::harness::TestServer;

on_both!(
    without_a_key_a_client_is_created_and_with_one_changed,
    a_mutation_id_comes_back,
    null_in_place_of_a_list_is_refused_with_what_to_send_instead,
    every_problem_is_told_at_once_in_the_order_of_the_parts,
    match_on_client_id_creates_and_then_changes,
    another_version_than_the_expected_one_is_refused,
    a_key_that_nobody_has_is_refused,
    a_caller_that_hangs_up_leaves_all_of_it_or_nothing,
);

async fn without_a_key_a_client_is_created_and_with_one_changed(server: &TestServer) {
    create_trevor(server).await;
    let input = json!({ "client": { "encodedKey": "<key 1>", "notes": "n" }, "addresses": [{ "city": "A" }] });
    let changed = json!({ "notes": "n", "addresses": [{ "city": "A" }] });
    upsert(server, input.clone())
        .await
        .data(payload(false, 2, changed.clone()));
    // Said again with the address's own place left out: another address, so another version; said as stored: none.
    let input = json!({ "client": { "encodedKey": "<key 1>", "notes": "n" } });
    let before = server.snapshot().await;
    upsert(server, input).await.data(payload(false, 2, changed));
    assert_eq!(server.snapshot().await, before);
}

async fn a_mutation_id_comes_back(server: &TestServer) {
    let input = json!({ "client": { "firstName": "Trevor", "lastName": "Linden" }, "clientMutationId": "mine ✓" });
    let mut expected = payload(true, 1, json!({}));
    expected["upsertClient"]["clientMutationId"] = json!("mine ✓");
    upsert(server, input).await.data(expected);
}

async fn null_in_place_of_a_list_is_refused_with_what_to_send_instead(server: &TestServer) {
    create_trevor(server).await;
    for list in ["idDocuments", "addresses", "customInformation"] {
        let message = format!("Send [] to empty {list}, or leave it out to keep what is stored.");
        let input = json!({ "client": { "encodedKey": "<key 1>" }, list: null });
        refused(server, input, json!([problem("NULL_LIST", &[list], &message)])).await;
    }
}

async fn every_problem_is_told_at_once_in_the_order_of_the_parts(server: &TestServer) {
    let input = json!({
        "customInformation": [{ "fieldId": "nonsense", "value": "x" }],
        "addresses": [{ "latitude": 91 }],
        "idDocuments": [{ "documentType": "Visa", "encodedKey": "nobody", "documentId": "1" }],
        "client": { "lastName": "", "emailAddress": "x", "clientRole": { "roleId": "nobody" }, "assignedUserKey": "no key" },
    });
    let role = "There is no client role of this name: the query clientRoles lists those there are.";
    let key = "The key nobody isn't one of this client's idDocuments: leave encodedKey out to add a new member.";
    let field = "There is no custom field with this id: the query customFieldSets lists those there are.";
    refused(
        server,
        input,
        json!([
            problem(
                "BLANK",
                &["client", "firstName"],
                "firstName is required and must not be blank."
            ),
            problem(
                "BLANK",
                &["client", "lastName"],
                "lastName is required and must not be blank."
            ),
            problem(
                "NOT_AN_EMAIL_ADDRESS",
                &["client", "emailAddress"],
                "emailAddress must be an address of the form name@example.com."
            ),
            problem("NOT_FOUND", &["client", "clientRole", "roleId"], role),
            problem(
                "MALFORMED",
                &["client", "assignedUserKey"],
                "assignedUserKey must be a key of 1 to 32 letters and digits."
            ),
            problem("NOT_OWNED", &["idDocuments", "0", "encodedKey"], key),
            problem(
                "INVALID",
                &["addresses", "0", "latitude"],
                "latitude must be from -90 to 90 degrees."
            ),
            problem("NOT_FOUND", &["customInformation", "0", "fieldId"], field),
        ]),
    )
    .await;
}

async fn match_on_client_id_creates_and_then_changes(server: &TestServer) {
    let input = |notes: &str| {
        json!({
            "client": { "clientId": "c-1", "firstName": "Trevor", "lastName": "Linden", "notes": notes }, "matchOn": "CLIENT_ID",
        })
    };
    upsert(server, input("a"))
        .await
        .data(payload(true, 1, json!({ "clientId": "c-1", "notes": "a" })));
    upsert(server, input("b"))
        .await
        .data(payload(false, 2, json!({ "clientId": "c-1", "notes": "b" })));
    let both = "encodedKey and matchOn: CLIENT_ID exclude each other: leave one of them out.";
    let input = json!({ "client": { "clientId": "c-1", "encodedKey": "<key 1>" }, "matchOn": "CLIENT_ID" });
    refused(
        server,
        input,
        json!([problem("INVALID", &["client", "encodedKey"], both)]),
    )
    .await;
    for client in [json!({}), json!({ "clientId": null }), json!({ "clientId": " " })] {
        let none = problem(
            "BLANK",
            &["client", "clientId"],
            "matchOn: CLIENT_ID needs the clientId to look for.",
        );
        refused(
            server,
            json!({ "client": client, "matchOn": "CLIENT_ID" }),
            json!([none]),
        )
        .await;
    }
}

async fn another_version_than_the_expected_one_is_refused(server: &TestServer) {
    create_trevor(server).await;
    let input =
        |version: i32| json!({ "client": { "encodedKey": "<key 1>", "notes": "n" }, "expectedVersion": version });
    for version in [0, 2, -1] {
        let message = format!("The stored version is 1, not {version}: read the client again and decide anew.");
        refused(
            server,
            input(version),
            json!([problem("VERSION_CONFLICT", &["expectedVersion"], &message)]),
        )
        .await;
    }
    upsert(server, input(1))
        .await
        .data(payload(false, 2, json!({ "notes": "n" })));
    let new = |version: i32| json!({ "client": { "firstName": "T", "lastName": "L" }, "expectedVersion": version });
    let message = "There is no such client, so there is no version to expect: leave expectedVersion out to create one.";
    refused(
        server,
        new(1),
        json!([problem("VERSION_CONFLICT", &["expectedVersion"], message)]),
    )
    .await;
    assert_eq!(
        upsert(server, new(0)).await.body["data"]["upsertClient"]["created"],
        json!(true)
    );
}

async fn a_key_that_nobody_has_is_refused(server: &TestServer) {
    let message = "There is no client with this key: leave encodedKey out to create one.";
    for key in ["nobody", "", "\0"] {
        let input = json!({ "client": { "encodedKey": key, "firstName": "T", "lastName": "L" } });
        refused(
            server,
            input,
            json!([problem("NOT_FOUND", &["client", "encodedKey"], message)]),
        )
        .await;
    }
}

async fn a_caller_that_hangs_up_leaves_all_of_it_or_nothing(server: &TestServer) {
    create_trevor(server).await;
    for round in 0..60u64 {
        let number = format!("round {round}");
        let input = json!({
            "client": { "encodedKey": "<key 1>", "notes": number }, "addresses": [{ "city": number }],
            "idDocuments": [{ "documentType": "Passport", "documentId": number }],
        });
        // The connection closes at another moment each time: before, within and after the write.
        let patience = std::time::Duration::from_micros(round * 150);
        let _ = tokio::time::timeout(patience, upsert(server, input)).await;
        let query = "{ clients { nodes { notes addresses { city } idDocuments { documentId } } } }";
        let answer = server.graphql(query, json!({})).await;
        let client = &answer.body["data"]["clients"]["nodes"][0];
        let cities = client["addresses"]
            .as_array()
            .map(|all| all.iter().map(|it| &it["city"]).collect::<Vec<_>>());
        let numbers = client["idDocuments"]
            .as_array()
            .map(|all| all.iter().map(|it| &it["documentId"]).collect::<Vec<_>>());
        let expected = if client["notes"].is_null() {
            vec![]
        } else {
            vec![&client["notes"]]
        };
        assert_eq!(
            (cities, numbers),
            (Some(expected.clone()), Some(expected)),
            "{}",
            answer.text
        );
    }
    // The server is none the worse for it.
    create_other(server).await;
}

async fn create_other(server: &crate::harness::TestServer) {
    let input = json!({ "client": { "firstName": "Ines", "lastName": "Okafor" } });
    assert_eq!(
        upsert(server, input).await.body["data"]["upsertClient"]["created"],
        json!(true)
    );
}
