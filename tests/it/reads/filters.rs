//! Filters of client lists, alone and combined, and the filters of a client's custom values.

use serde_json::{Value, json};

use crate::harness::{
    TestServer,
    graphql::{data, define, store},
};

/// Four clients that share some values of each member.
async fn four(server: &TestServer) {
    define(
        server,
        "facts",
        json!([{ "fieldId": "nick", "name": "Nick", "type": "TEXT" },
        { "fieldId": "long", "name": "Long", "type": "LONG_TEXT" },
            { "fieldId": "boss", "name": "Boss", "type": "USER_LINK" }]),
    )
    .await;
    define(
        server,
        "more",
        json!([{ "fieldId": "age", "name": "Age", "type": "NUMBER" }]),
    )
    .await;
    let long = "x".repeat(2_000);
    for (id, client, documents, values) in [
        (
            "a",
            json!({ "firstName": "Ana", "lastName": "Öz", "birthDate": "1990-04-17", "emailAddress": "a@example.test",
                "homePhone": "1" }),
            json!([{ "documentType": "T", "documentId": "X1" }]),
            json!([{ "fieldId": "nick", "value": "Al" }, { "fieldId": "age", "value": "7.50" }]),
        ),
        (
            "b",
            json!({ "firstName": "Anabel", "lastName": "Öz%", "birthDate": "1990-04-17", "mobilePhone1": "1" }),
            json!([{ "documentType": "T", "documentId": "X2" }, { "documentType": "U", "documentId": "X1" }]),
            json!([{ "fieldId": "boss", "linkedKey": "u1" }, { "fieldId": "nick", "value": "al" }]),
        ),
        (
            "c",
            json!({ "firstName": "ana", "lastName": "\u{1f600}\u{10ffff}", "mobilePhone2": "1",
                "emailAddress": "A@example.test" }),
            json!([]),
            json!([{ "fieldId": "long", "value": long.clone() + "1" }]),
        ),
        (
            "d",
            json!({ "firstName": "An", "lastName": "\u{1f600}", "homePhone": "2" }),
            json!([]),
            json!([{ "fieldId": "long", "value": long + "2" }]),
        ),
    ] {
        let mut client = client;
        client["clientId"] = json!(id);
        store(
            server,
            json!({ "client": client, "idDocuments": documents, "customInformation": values }),
            "version",
        )
        .await;
    }
    // States other than the first cannot be set through an API yet.
    server
        .write("UPDATE client SET state = 'ACTIVE' WHERE client_id IN ('b', 'c')")
        .await
        .expect("a sound statement");
}

/// The ids of the matching clients, whose number must equal the total.
async fn passing(server: &TestServer, filter: &Value) -> String {
    let query = "query($filter: ClientFilter) { clients(filter: $filter) { nodes { clientId } totalCount } }";
    let found = data(server, query, json!({ "filter": filter })).await;
    let ids: String = found["clients"]["nodes"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|node| node["clientId"].as_str())
        .collect();
    assert_eq!(found["clients"]["totalCount"], ids.len(), "{filter}");
    ids
}

on_both!(
    filter_members_combine,
    impossible_texts_find_no_clients,
    time_range_includes_its_start_and_excludes_its_end,
    custom_values_are_filtered_by_field_and_set,
);

async fn filter_members_combine(server: &TestServer) {
    four(server).await;
    let long = "x".repeat(2_000);
    for (filter, expected) in [
        (json!({}), "abcd"),
        (Value::Null, "abcd"),
        (json!({ "states": ["ACTIVE"] }), "bc"),
        (json!({ "states": ["ACTIVE", "INACTIVE", "ACTIVE"] }), "abcd"),
        (json!({ "states": [] }), ""),
        (json!({ "states": null }), "abcd"),
        (json!({ "firstNameStartsWith": "Ana" }), "ab"),
        (json!({ "firstNameStartsWith": "An" }), "abd"),
        (json!({ "firstNameStartsWith": "a" }), "c"),
        (json!({ "firstNameStartsWith": "" }), "abcd"),
        (json!({ "lastNameStartsWith": "Öz" }), "ab"),
        (json!({ "lastNameStartsWith": "Öz%" }), "b"),
        (json!({ "lastNameStartsWith": "%" }), ""),
        (json!({ "lastNameStartsWith": "\u{1f600}" }), "cd"),
        (json!({ "lastNameStartsWith": "\u{1f600}\u{10ffff}" }), "c"),
        (json!({ "lastNameStartsWith": "\u{10ffff}" }), ""),
        (json!({ "lastNameStartsWith": "O" }), ""),
        (json!({ "birthDate": "1990-04-17" }), "ab"),
        (json!({ "birthDate": "1990-04-18" }), ""),
        (json!({ "emailAddress": "a@example.test" }), "a"),
        (json!({ "emailAddress": "" }), ""),
        (json!({ "phone": "1" }), "abc"),
        (json!({ "phone": "2" }), "d"),
        (json!({ "documentId": "X1" }), "ab"),
        (json!({ "documentId": "x1" }), ""),
        (json!({ "customField": { "fieldId": "nick", "value": "Al" } }), "a"),
        (json!({ "customField": { "fieldId": "age", "value": "7.5" } }), "a"),
        (json!({ "customField": { "fieldId": "boss", "value": "u1" } }), "b"),
        (
            json!({ "customField": { "fieldId": "long", "value": long.clone() + "1" } }),
            "c",
        ),
        (json!({ "customField": { "fieldId": "long", "value": long } }), ""),
        (json!({ "createdAt": { "from": "2020-01-01T00:00:00Z" } }), "abcd"),
        (json!({ "createdAt": { "until": "2020-01-01T00:00:00+05:00" } }), ""),
        (
            json!({ "createdAt": { "from": null, "until": "9999-12-31T23:59:59Z" }, "updatedAt": {} }),
            "abcd",
        ),
        (json!({ "updatedAt": { "from": "9999-01-01T00:00:00Z" } }), ""),
        (
            json!({ "firstNameStartsWith": "An", "phone": "1", "documentId": "X1", "states": ["INACTIVE"] }),
            "a",
        ),
        (
            json!({ "birthDate": "1990-04-17", "customField": { "fieldId": "nick", "value": "al" }, "phone": "1" }),
            "b",
        ),
        (
            json!({ "birthDate": "1990-04-17", "emailAddress": "A@example.test" }),
            "",
        ),
    ] {
        assert_eq!(passing(server, &filter).await, expected, "{filter}");
    }
}

async fn impossible_texts_find_no_clients(server: &TestServer) {
    four(server).await;
    for text in [
        "\u{0}",
        "a\u{0}",
        "a\u{0}b",
        "\u{1b}",
        "\u{2029}",
        "x\u{fffd}",
        "' OR 1=1 --",
        "$1",
        &"y".repeat(500_000),
    ] {
        for filter in [
            json!({ "firstNameStartsWith": text }),
            json!({ "lastNameStartsWith": text }),
            json!({ "emailAddress": text }),
            json!({ "phone": text }),
            json!({ "documentId": text }),
            json!({ "customField": { "fieldId": "nick", "value": text } }),
        ] {
            assert_eq!(passing(server, &filter).await, "");
        }
    }
    for id in ["hat", "", "a\u{0}b"] {
        let filter = json!({ "customField": { "fieldId": id, "value": "x" } });
        let query = "query($filter: ClientFilter) { clients(filter: $filter) { nodes { clientId } } }";
        let answer = server.graphql(query, json!({ "filter": filter })).await;
        let error = &answer.body["errors"][0];
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{}", answer.text);
        assert_eq!(
            error["message"],
            "`filter.customField.fieldId`: There is no custom field with this id. The query customFieldSets lists \
                them."
        );
    }
}

async fn time_range_includes_its_start_and_excludes_its_end(server: &TestServer) {
    four(server).await;
    let times = data(server, "{ clients(first: 1) { nodes { createdAt } } }", json!({})).await;
    let first = &times["clients"]["nodes"][0]["createdAt"];
    assert_eq!(
        passing(server, &json!({ "createdAt": { "from": first } })).await,
        "abcd"
    );
    assert_eq!(passing(server, &json!({ "createdAt": { "until": first } })).await, "");
}

async fn custom_values_are_filtered_by_field_and_set(server: &TestServer) {
    four(server).await;
    let query = "query($fields: [String!], $set: String) { client(by: { clientId: \"a\" }) {
            customInformation(fields: $fields, set: $set) { field { fieldId } } } }";
    for (variables, expected) in [
        (json!({}), vec!["nick", "age"]),
        (json!({ "fields": null, "set": null }), vec!["nick", "age"]),
        (json!({ "fields": ["age", "nick"] }), vec!["nick", "age"]),
        (json!({ "fields": ["age", "hat"] }), vec!["age"]),
        (json!({ "fields": [] }), vec![]),
        (json!({ "set": "facts" }), vec!["nick"]),
        (json!({ "set": "none" }), vec![]),
        (json!({ "fields": ["age"], "set": "facts" }), vec![]),
    ] {
        let values: Value = expected
            .iter()
            .map(|id| json!({ "field": { "fieldId": id } }))
            .collect();
        server
            .graphql(query, variables)
            .await
            .data(json!({ "client": { "customInformation": values } }));
    }
}
