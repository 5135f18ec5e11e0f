//! Global ids: every object with one is found by it, with its type.

use clientele::caller::{Permission, Rights};
use serde_json::{Value, json};

use crate::{
    access::in_branches,
    harness::{
        TestServer,
        graphql::{data, define, define_document_template, store},
    },
};

const IDS: &str = "id clientRole { id } addresses { id } idDocuments { id template { id } } customInformation { id \
    field { id set { id } } }";
const NODES: &str = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id
    ... on Client { firstName } ... on Address { line1 } ... on ClientRole { isDefault }
    ... on IdDocument { documentId template { templateId } } ... on IdDocumentTemplate { templateId active }
    ... on CustomField { fieldId set { setId } } ... on CustomFieldSet { setId fields { fieldId } }
    ... on CustomFieldValue { linkedClient { firstName } } } }";

on_both!(
    entry_of_the_suppression_list_is_found_by_those_who_may_read_it,
    objects_are_found_by_global_id_with_their_type,
    selection_with_all_fields_skipped_is_an_empty_object,
    unknown_ids_and_keys_answer_null,
);

async fn entry_of_the_suppression_list_is_found_by_those_who_may_read_it(server: &TestServer) {
    let add = "mutation { addSuppression(input: { channel: EMAIL, recipient: \"ana@bank.test\" }) {
        suppression { id recipient } } }";
    let added = data(server, add, json!({})).await;
    let entry = &added["addSuppression"]["suppression"];
    let query = "query($id: ID!) { node(id: $id) { ... on Suppression { id recipient } } }";
    let variables = json!({ "id": entry["id"] });
    for (rights, found) in [
        (Rights::of([Permission::ViewMessages]), entry.clone()),
        (Rights::of([Permission::ViewClient, Permission::Audit]), Value::Null),
        (in_branches(&["south"]), Value::Null),
    ] {
        let answer = server.as_caller(&rights).graphql(query, variables.clone()).await;
        assert_eq!(answer.body, json!({ "data": { "node": found } }));
    }
}

async fn objects_are_found_by_global_id_with_their_type(server: &TestServer) {
    define(
        server,
        "facts",
        json!([{ "fieldId": "next", "name": "Next", "type": "CLIENT_LINK" }]),
    )
    .await;
    let template = json!({ "templateId": "passport", "encodedKey": "passportKey", "documentType": "T" });
    define_document_template(server, template).await;
    let bob = store(
        server,
        json!({ "client": { "firstName": "Bob", "lastName": "Bellweather" } }),
        "encodedKey",
    )
    .await;
    let input = json!({ "client": { "firstName": "Ana", "lastName": "A" }, "addresses": [{ "line1": "1 Test Lane" }],
        "idDocuments": [{ "documentType": "T", "documentId": "X1", "templateKey": "passportKey" }],
        "customInformation": [{ "fieldId": "next", "linkedKey": bob["encodedKey"] }] });
    let ana = store(server, input, IDS).await;
    let found = [
        ("/id", json!({ "__typename": "Client", "firstName": "Ana" })),
        (
            "/addresses/0/id",
            json!({ "__typename": "Address", "line1": "1 Test Lane" }),
        ),
        (
            "/idDocuments/0/id",
            json!({ "__typename": "IdDocument", "documentId": "X1", "template": { "templateId": "passport" } }),
        ),
        (
            "/customInformation/0/id",
            json!({ "__typename": "CustomFieldValue", "linkedClient": { "firstName": "Bob" } }),
        ),
        (
            "/customInformation/0/field/id",
            json!({ "__typename": "CustomField", "fieldId": "next", "set": { "setId": "facts" } }),
        ),
        (
            "/customInformation/0/field/set/id",
            json!({ "__typename": "CustomFieldSet", "setId": "facts", "fields": [{ "fieldId": "next" }] }),
        ),
        (
            "/clientRole/id",
            json!({ "__typename": "ClientRole", "isDefault": true }),
        ),
        (
            "/idDocuments/0/template/id",
            json!({ "__typename": "IdDocumentTemplate", "templateId": "passport", "active": true }),
        ),
    ];
    let ids: Vec<&Value> = found
        .iter()
        .map(|(place, _)| ana.pointer(place).expect("it has an id"))
        .collect();
    let nodes: Vec<Value> = found
        .iter()
        .zip(&ids)
        .map(|((_, node), id)| {
            let mut node = node.clone();
            node["id"] = (*id).clone();
            node
        })
        .collect();
    assert_eq!(
        data(server, NODES, json!({ "ids": ids })).await,
        json!({ "nodes": nodes })
    );
    // In the order of the ids, with duplicates, and null for missing objects.
    let mixed = json!([ids[6], "nothing", ids[0], ids[0]]);
    assert_eq!(
        data(server, NODES, json!({ "ids": mixed })).await,
        json!({ "nodes": [nodes[6], null, nodes[0], nodes[0]] })
    );
    let one = "query($id: ID!) { node(id: $id) { ... on CustomFieldValue { value linkedClient { firstName \
        customInformation { id } } } } }";
    assert_eq!(
        data(server, one, json!({ "id": ids[3] })).await,
        json!({ "node": { "value": null, "linkedClient": { "firstName": "Bob", "customInformation": [] } } })
    );
    // A removed object is not found; the client is found in every way.
    let key = data(
        server,
        "query($id: ID!) { client(by: { id: $id }) { encodedKey clientId } }",
        json!({ "id": ids[0] }),
    )
    .await;
    let input =
        json!({ "client": { "encodedKey": key["client"]["encodedKey"] }, "addresses": [], "customInformation": [] });
    store(server, input, "version").await;
    let gone = data(server, NODES, json!({ "ids": [ids[1], ids[3], ids[2]] })).await;
    assert_eq!(gone, json!({ "nodes": [null, null, nodes[2]] }));
    for by in [
        json!({ "encodedKey": key["client"]["encodedKey"] }),
        json!({ "clientId": key["client"]["clientId"] }),
        json!({ "id": ids[0] }),
    ] {
        let query = "query($by: ClientBy!) { client(by: $by) { firstName } }";
        server
            .graphql(query, json!({ "by": by }))
            .await
            .data(json!({ "client": { "firstName": "Ana" } }));
    }
}

async fn selection_with_all_fields_skipped_is_an_empty_object(server: &TestServer) {
    let query = "query($no: Boolean!) { clients(first: 1) { nodes { id @include(if: $no) } pageInfo { endCursor \
        @include(if: $no) } }
            clientRoles { name @include(if: $no) } }";
    server
        .graphql(query, json!({ "no": false }))
        .await
        .data(json!({ "clients": { "nodes": [], "pageInfo": {} }, "clientRoles": [{}] }));
    let answer = server
        .graphql(
            "query($no: Boolean!) { clients { totalCount } clientRoles @include(if: $no) { id } b: \
        __typename a: clients { totalCount } }",
            json!({ "no": false }),
        )
        .await;
    assert_eq!(
        answer.text,
        r#"{"data":{"clients":{"totalCount":0},"b":"Query","a":{"totalCount":0}}}"#
    );
}

async fn unknown_ids_and_keys_answer_null(server: &TestServer) {
    store(
        server,
        json!({ "client": { "clientId": "a", "firstName": "Amara", "lastName": "Bellweather" } }),
        "id",
    )
    .await;
    let query = "query($id: ID!, $text: String!) { node(id: $id) { id } nodes(ids: [$id]) { id } byId: client(by: { \
        id: $id }) { id }
            byKey: client(by: { encodedKey: $text }) { id } client(by: { clientId: $text }) { id } customField(by: { \
            fieldId: $text }) { id } }";
    for text in [
        "",
        "b",
        "A",
        "\u{0}",
        "a\u{0}",
        "Q2xpZW50Og",
        "Q2xpZW50OgA",
        &"x".repeat(100_000),
    ] {
        server.graphql(query, json!({ "id": text, "text": text })).await.data(
            json!({ "node": null, "nodes": [null], "byId": null, "byKey": null, "client": null, "customField": null }),
        );
    }
    let ids = vec!["x"; 501];
    let answer = server
        .graphql("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", json!({ "ids": ids }))
        .await;
    assert_eq!(
        answer.body["errors"][0]["message"],
        "Ask for at most 500 ids; there are 501."
    );
}
