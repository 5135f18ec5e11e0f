//! The rules of `upsertClient`: matching, replaced lists, problems, versions and roles.

use serde_json::{Value, json};

use super::{create_trevor, payload, problem};
use crate::harness::{
    Answer, TestServer,
    graphql::{define, define_role, store},
};

const UPSERT: &str = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) {
    created client {
        encodedKey clientId firstName lastName version updatedAt
        addresses { encodedKey line1 city } idDocuments { encodedKey documentType documentId issuingAuthority }
        customInformation { encodedKey field { fieldId } value }
    } userErrors { code message path } clientMutationId } }";

async fn upsert(server: &TestServer, input: Value) -> Answer {
    server.graphql(UPSERT, json!({ "input": input })).await
}

/// Asserts the code and the path of every problem, that each has a message, and that nothing was written.
async fn refused(server: &TestServer, input: Value, expected: &[(&str, &str)]) {
    let before = server.snapshot().await;
    let answer = upsert(server, input).await;
    let payload = &answer.body["data"]["upsertClient"];
    assert_eq!(
        (&payload["client"], &payload["created"]),
        (&Value::Null, &json!(false)),
        "{}",
        answer.text
    );
    let problems = payload["userErrors"].as_array().expect("a list").iter();
    let found: Vec<(String, String)> = problems
        .map(|problem| {
            assert!(
                problem["message"]
                    .as_str()
                    .is_some_and(|message| message.ends_with('.')),
                "{problem}"
            );
            let path: Vec<&str> = problem["path"]
                .as_array()
                .expect("a list")
                .iter()
                .filter_map(Value::as_str)
                .collect();
            (problem["code"].as_str().unwrap_or_default().to_owned(), path.join("."))
        })
        .collect();
    let expected: Vec<(String, String)> = expected
        .iter()
        .map(|(code, path)| ((*code).into(), (*path).into()))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
}

/// A complete client with `<key 1>`; its address has `<key 2>`, its documents 3 and 4, its values 5 and 6.
async fn ana(server: &TestServer) {
    define(
        server,
        "facts",
        json!([{ "fieldId": "nick", "name": "Nick", "type": "TEXT" },
        { "fieldId": "shoe", "name": "Shoe", "type": "NUMBER" }]),
    )
    .await;
    upsert(
        server,
        json!({
            "client": { "clientId": "ana", "firstName": "Ana", "lastName": "Cruz" },
            "addresses": [{ "line1": "1 Test Lane", "city": "Exampleton" }],
            "idDocuments": [{ "documentType": "Passport", "documentId": "X1", "issuingAuthority": "here" },
                { "documentType": "Card", "documentId": "X2" }],
            "customInformation": [{ "fieldId": "nick", "value": "Al" }, { "fieldId": "shoe", "value": "41.50" }],
            "clientMutationId": "mine ✓",
        }),
    )
    .await
    .data(json!({ "upsertClient": { "created": true, "client": {
        "encodedKey": "<key 1>", "clientId": "ana", "firstName": "Ana", "lastName": "Cruz", "version": 1,
            "updatedAt": "<time>",
        "addresses": [{ "encodedKey": "<key 2>", "line1": "1 Test Lane", "city": "Exampleton" }],
        "idDocuments": [
            { "encodedKey": "<key 3>", "documentType": "Passport", "documentId": "X1", "issuingAuthority": "here" },
            { "encodedKey": "<key 4>", "documentType": "Card", "documentId": "X2", "issuingAuthority": null }],
        "customInformation": [
            { "encodedKey": "<key 5>", "field": { "fieldId": "nick" }, "value": "Al" },
            { "encodedKey": "<key 6>", "field": { "fieldId": "shoe" }, "value": "41.5" }],
    }, "userErrors": [], "clientMutationId": "mine ✓" } }));
}

on_both!(
    upsert_without_key_creates_and_with_key_changes,
    given_list_replaces_and_omitted_list_stays,
    unchanged_input_writes_nothing,
    null_list_is_refused_with_advice,
    all_problems_are_reported_at_once_in_fixed_order,
    cleared_name_and_changed_id_are_refused,
    expected_version_must_match_the_stored_one,
    match_on_client_id_changes_or_creates,
    unknown_encoded_key_is_refused,
    members_of_another_client_are_refused,
    role_is_found_by_key_or_id_and_has_a_default,
    disconnect_during_upsert_is_all_or_nothing,
);

async fn upsert_without_key_creates_and_with_key_changes(server: &TestServer) {
    create_trevor(server).await;
    let input = json!({ "client": { "encodedKey": "<key 1>", "notes": "n" }, "addresses": [{ "city": "A" }] });
    let changed = json!({ "notes": "n", "addresses": [{ "city": "A" }] });
    super::upsert(server, input.clone())
        .await
        .data(payload(false, 2, changed.clone()));
    // The stored notes again: nothing changes.
    let input = json!({ "client": { "encodedKey": "<key 1>", "notes": "n" } });
    let before = server.snapshot().await;
    super::upsert(server, input).await.data(payload(false, 2, changed));
    assert_eq!(server.snapshot().await, before);
}

async fn given_list_replaces_and_omitted_list_stays(server: &TestServer) {
    ana(server).await;
    // One document keeps its key at a new position, one is new, one is removed; values match by field.
    upsert(
        server,
        json!({
            "client": { "encodedKey": "<key 1>" },
            "idDocuments": [{ "documentType": "Visa", "documentId": "X3" },
                { "encodedKey": "<key 3>", "documentId": "X9" }],
            "customInformation": [{ "fieldId": "shoe", "value": "42" }],
        }),
    )
    .await
    .data(json!({ "upsertClient": { "created": false, "client": {
        "encodedKey": "<key 1>", "clientId": "ana", "firstName": "Ana", "lastName": "Cruz", "version": 2,
            "updatedAt": "<time>",
        "addresses": [{ "encodedKey": "<key 2>", "line1": "1 Test Lane", "city": "Exampleton" }],
        "idDocuments": [
            { "encodedKey": "<key 7>", "documentType": "Visa", "documentId": "X3", "issuingAuthority": null },
            { "encodedKey": "<key 3>", "documentType": "Passport", "documentId": "X9", "issuingAuthority": "here" }],
        "customInformation": [{ "encodedKey": "<key 6>", "field": { "fieldId": "shoe" }, "value": "42" }],
    }, "userErrors": [], "clientMutationId": null } }));
    upsert(
        server,
        json!({ "client": { "encodedKey": "<key 1>" }, "addresses": [], "idDocuments": [],
        "customInformation": [] }),
    )
    .await
    .data(json!({ "upsertClient": { "created": false, "client": {
        "encodedKey": "<key 1>", "clientId": "ana", "firstName": "Ana", "lastName": "Cruz", "version": 3,
            "updatedAt": "<time>",
        "addresses": [], "idDocuments": [], "customInformation": [],
    }, "userErrors": [], "clientMutationId": null } }));
    let snapshot = server.snapshot().await;
    for table in ["address", "id_document", "custom_field_value"] {
        assert_eq!(snapshot.rows(table), Vec::<&str>::new(), "{table}");
    }
}

async fn unchanged_input_writes_nothing(server: &TestServer) {
    ana(server).await;
    let (before, first) = (server.snapshot().await, updated_at(server).await);
    for input in [
        json!({ "client": { "encodedKey": "<key 1>" }, "expectedVersion": 1 }),
        json!({ "client": { "encodedKey": "<key 1>", "clientId": "ana", "firstName": "Ana", "middleName": null,
            "notes": "" } }),
        json!({ "client": { "clientId": "ana" }, "matchOn": "CLIENT_ID",
            "addresses": [{ "encodedKey": "<key 2>", "line1": "1 Test Lane" }],
            "idDocuments": [{ "encodedKey": "<key 3>" }, { "encodedKey": "<key 4>", "issuingAuthority": null }],
            "customInformation": [{ "fieldId": "nick" }, { "fieldId": "shoe", "value": "41.50" }] }),
    ] {
        let answer = upsert(server, input.clone()).await;
        let payload = &answer.body["data"]["upsertClient"];
        assert_eq!(
            (
                &payload["userErrors"],
                &payload["created"],
                &payload["client"]["version"]
            ),
            (&json!([]), &json!(false), &json!(1)),
            "{input:#}\n{}",
            answer.text
        );
        assert_eq!(server.snapshot().await, before, "{input:#}");
    }
    assert_eq!(updated_at(server).await, first);
}

async fn null_list_is_refused_with_advice(server: &TestServer) {
    create_trevor(server).await;
    for list in ["idDocuments", "addresses", "customInformation"] {
        let message = format!("Send [] to empty {list}, or leave it out to keep what is stored.");
        let input = json!({ "client": { "encodedKey": "<key 1>" }, list: null });
        super::refused(server, input, json!([problem("NULL_LIST", &[list], &message)])).await;
    }
}

async fn all_problems_are_reported_at_once_in_fixed_order(server: &TestServer) {
    ana(server).await;
    let before = server.snapshot().await;
    upsert(server, json!({
        "client": { "firstName": " ", "emailAddress": "no address", "homePhone": "1".repeat(256), "notes": "a\u{0}b",
            "clientRole": { "roleId": "absent" }, "assignedUserKey": "not a key" },
        "addresses": [{ "encodedKey": "<key 2>", "latitude": 90.5 }, { "encodedKey": "ignored" }],
        "idDocuments": null,
        "customInformation": [{ "fieldId": "nick", "value": "Al" }, { "fieldId": "nick", "value": "Bo" },
            { "fieldId": "shoe", "value": "big" }, { "fieldId": "hat", "value": "1" }],
        "clientMutationId": "m2",
    })).await.data(json!({ "upsertClient": { "created": false, "client": null, "clientMutationId": "m2", "userErrors": [
        { "code": "BLANK", "path": ["input", "client", "firstName"], "message": "firstName is required and must not be \
            blank." },
        { "code": "BLANK", "path": ["input", "client", "lastName"], "message": "lastName is required and must not be \
            blank." },
        { "code": "NOT_AN_EMAIL_ADDRESS", "path": ["input", "client", "emailAddress"],
          "message": "emailAddress must be an address of the form name@example.com." },
        { "code": "TOO_LONG", "path": ["input", "client", "homePhone"],
            "message": "homePhone must have at most 255 characters." },
        { "code": "INVALID_CHARACTER", "path": ["input", "client", "notes"],
            "message": "notes must not contain the character U+0000." },
        { "code": "NOT_FOUND", "path": ["input", "client", "clientRole", "roleId"],
          "message": "There is no client role of this name. The query clientRoles lists them." },
        { "code": "MALFORMED", "path": ["input", "client", "assignedUserKey"],
          "message": "assignedUserKey must be a key of 1 to 32 letters and digits." },
        { "code": "NULL_LIST", "path": ["input", "idDocuments"],
          "message": "Send [] to empty idDocuments, or leave it out to keep what is stored." },
        { "code": "NOT_OWNED", "path": ["input", "addresses", "0", "encodedKey"],
          "message": "The key <key 2> isn't one of this client's addresses: leave encodedKey out to add a new \
              member." },
        { "code": "INVALID", "path": ["input", "addresses", "0", "latitude"],
            "message": "latitude must be from -90 to 90 degrees." },
        { "code": "DUPLICATE", "path": ["input", "customInformation", "1", "fieldId"],
            "message": "The field nick is named twice." },
        { "code": "NOT_A_NUMBER", "path": ["input", "customInformation", "2", "value"],
          "message": "The field shoe takes a decimal number of up to 30 digits." },
        { "code": "NOT_FOUND", "path": ["input", "customInformation", "3", "fieldId"],
          "message": "There is no custom field with this id. The query customFieldSets lists them." },
    ] } }));
    assert_eq!(server.snapshot().await, before);
}

async fn cleared_name_and_changed_id_are_refused(server: &TestServer) {
    create_trevor(server).await;
    for (client, code, path) in [
        (
            json!({ "encodedKey": "<key 1>", "lastName": null }),
            "BLANK",
            "input.client.lastName",
        ),
        (
            json!({ "encodedKey": "<key 1>", "clientId": "other" }),
            "NOT_EDITABLE",
            "input.client.clientId",
        ),
    ] {
        refused(server, json!({ "client": client }), &[(code, path)]).await;
    }
}

async fn expected_version_must_match_the_stored_one(server: &TestServer) {
    let new = json!({ "clientId": "ana", "firstName": "Ana", "lastName": "Cruz" });
    let with = |version: i32| json!({ "client": new, "matchOn": "CLIENT_ID", "expectedVersion": version });
    refused(server, with(1), &[("VERSION_CONFLICT", "input.expectedVersion")]).await;
    let answer = upsert(server, with(0)).await;
    assert_eq!(answer.body["data"]["upsertClient"]["created"], true, "{}", answer.text);
    refused(server, with(0), &[("VERSION_CONFLICT", "input.expectedVersion")]).await;
    refused(server, with(2), &[("VERSION_CONFLICT", "input.expectedVersion")]).await;
    let renamed =
        json!({ "client": { "clientId": "ana", "firstName": "Eva" }, "matchOn": "CLIENT_ID", "expectedVersion": 1 });
    let answer = upsert(server, renamed).await;
    let payload = &answer.body["data"]["upsertClient"];
    assert_eq!(
        (&payload["created"], &payload["client"]["version"]),
        (&json!(false), &json!(2)),
        "{}",
        answer.text
    );
    let by_key =
        |version: i32| json!({ "client": { "encodedKey": "<key 1>", "notes": "n" }, "expectedVersion": version });
    for version in [0, 1, 3, -1] {
        refused(
            server,
            by_key(version),
            &[("VERSION_CONFLICT", "input.expectedVersion")],
        )
        .await;
    }
    let answer = upsert(server, by_key(2)).await;
    assert_eq!(
        answer.body["data"]["upsertClient"]["client"]["version"], 3,
        "{}",
        answer.text
    );
    let new = |version: i32| json!({ "client": { "firstName": "T", "lastName": "L" }, "expectedVersion": version });
    refused(server, new(1), &[("VERSION_CONFLICT", "input.expectedVersion")]).await;
    assert_eq!(
        upsert(server, new(0)).await.body["data"]["upsertClient"]["created"],
        true
    );
}

async fn match_on_client_id_changes_or_creates(server: &TestServer) {
    ana(server).await;
    let by_id = |client: Value| json!({ "client": client, "matchOn": "CLIENT_ID" });
    let found = upsert(server, by_id(json!({ "clientId": "ana", "lastName": "Diaz" }))).await;
    assert_eq!(found.body["data"]["upsertClient"]["client"]["encodedKey"], "<key 1>");
    let made = upsert(
        server,
        by_id(json!({ "clientId": "bob", "firstName": "Bob", "lastName": "Bellweather" })),
    )
    .await;
    assert_eq!(made.body["data"]["upsertClient"]["created"], true);
    let again = json!({ "clientId": "bob", "firstName": "Bob", "lastName": "Bellweather", "notes": "b" });
    let changed = upsert(server, by_id(again)).await;
    let changed = &changed.body["data"]["upsertClient"];
    assert_eq!(
        (&changed["created"], &changed["client"]["version"]),
        (&json!(false), &json!(2))
    );
    let both = "encodedKey and matchOn: CLIENT_ID exclude each other: leave one of them out.";
    let both = json!([problem("INVALID", &["client", "encodedKey"], both)]);
    super::refused(
        server,
        by_id(json!({ "clientId": "ana", "encodedKey": "<key 1>" })),
        both,
    )
    .await;
    for client in [
        json!({}),
        json!({ "firstName": "No", "lastName": "Id" }),
        json!({ "clientId": null }),
        json!({ "clientId": " " }),
    ] {
        let none = "matchOn: CLIENT_ID needs the clientId to look for.";
        let none = json!([problem("BLANK", &["client", "clientId"], none)]);
        super::refused(server, by_id(client), none).await;
    }
    // Ids compare exactly.
    refused(
        server,
        by_id(json!({ "clientId": "ANA" })),
        &[("BLANK", "input.client.firstName"), ("BLANK", "input.client.lastName")],
    )
    .await;
    let taken = json!({ "client": { "clientId": "ana", "firstName": "Amara", "lastName": "Bellweather" } });
    refused(server, taken, &[("TAKEN", "input.client.clientId")]).await;
}

async fn unknown_encoded_key_is_refused(server: &TestServer) {
    let message = "There is no client with this key: leave encodedKey out to create one.";
    for key in ["absent", "", "\0"] {
        let input = json!({ "client": { "encodedKey": key, "firstName": "T", "lastName": "L" } });
        super::refused(
            server,
            input,
            json!([problem("NOT_FOUND", &["client", "encodedKey"], message)]),
        )
        .await;
    }
}

async fn members_of_another_client_are_refused(server: &TestServer) {
    ana(server).await;
    let other = json!({ "client": { "firstName": "Bob", "lastName": "Bellweather" },
        "idDocuments": [{ "documentType": "T", "documentId": "1" }], "addresses": [{ "line1": "x" }] });
    let bob = store(server, other, "encodedKey").await;
    let theft = json!({ "client": bob, "addresses": [{ "encodedKey": "<key 2>" }],
        "idDocuments": [{ "encodedKey": "<key 3>" }, { "encodedKey": "<key 3>", "documentId": "1",
            "documentType": "T" }] });
    refused(
        server,
        theft,
        &[
            ("NOT_OWNED", "input.idDocuments.0.encodedKey"),
            ("NOT_OWNED", "input.idDocuments.1.encodedKey"),
            ("NOT_OWNED", "input.addresses.0.encodedKey"),
        ],
    )
    .await;
    let twice = json!({ "client": { "encodedKey": "<key 1>" }, "idDocuments": [{ "encodedKey": "<key \
        3>" }, { "encodedKey": "<key 3>" }] });
    let answer = upsert(server, twice).await;
    assert_eq!(
        answer.body["data"]["upsertClient"]["userErrors"][0]["code"], "DUPLICATE",
        "{}",
        answer.text
    );
    let unknown = json!({ "client": { "encodedKey": "<key 1>" },
        "idDocuments": [{ "documentType": "Visa", "encodedKey": "absent", "documentId": "1" }] });
    let key = "The key absent isn't one of this client's idDocuments: leave encodedKey out to add a new member.";
    let key = json!([problem("NOT_OWNED", &["idDocuments", "0", "encodedKey"], key)]);
    super::refused(server, unknown, key).await;
}

async fn role_is_found_by_key_or_id_and_has_a_default(server: &TestServer) {
    define_role(
        server,
        json!({ "roleId": "vip", "encodedKey": "vipKey", "name": "VIP" }),
    )
    .await;
    let with =
        |role: Value| json!({ "client": { "firstName": "Amara", "lastName": "Bellweather", "clientRole": role } });
    let role = "clientRole { roleId isDefault }";
    for (sent, is) in [
        (
            json!({ "encodedKey": "vipKey" }),
            json!({ "roleId": "vip", "isDefault": false }),
        ),
        (
            json!({ "roleId": "vip" }),
            json!({ "roleId": "vip", "isDefault": false }),
        ),
    ] {
        assert_eq!(store(server, with(sent), role).await, json!({ "clientRole": is }));
    }
    assert_eq!(
        store(server, with(Value::Null), role).await["clientRole"]["isDefault"],
        true
    );
}

async fn disconnect_during_upsert_is_all_or_nothing(server: &TestServer) {
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
    // The server still serves.
    let input = json!({ "client": { "firstName": "Ines", "lastName": "Okafor" } });
    assert_eq!(
        upsert(server, input).await.body["data"]["upsertClient"]["created"],
        true
    );
}

async fn updated_at(server: &TestServer) -> Value {
    crate::harness::graphql::data(server, "{ clients { nodes { updatedAt } } }", json!({})).await
}
