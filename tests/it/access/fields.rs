//! Permissions of nested fields, global ids and root fields.

use clientele::caller::{Permission::*, Rights};
use reqwest::Method;
use serde_json::{Value, json};

use super::{UPSERT, errors, without};
use crate::harness::{
    TestServer,
    graphql::{data, define, define_template, store},
};

/// `ana` links to `bob`; both were written to.
pub(super) async fn two_clients(server: &TestServer) -> Value {
    define(
        server,
        "facts",
        json!([{ "fieldId": "friend", "name": "Friend", "type": "CLIENT_LINK" }]),
    )
    .await;
    define_template(
        server,
        json!({ "templateId": "hello", "name": "Hello", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "variants": [{ "language": "ENGLISH", "subject": "S", "text": "T" }] }),
    )
    .await;
    let bob = json!({ "client": { "clientId": "bob", "firstName": "B", "lastName": "Bellweather",
        "emailAddress": "b@example.test" } });
    let bob = store(server, bob, "encodedKey").await;
    let ana = json!({ "client": { "clientId": "ana", "firstName": "Amara", "lastName": "A",
        "emailAddress": "a@example.test" },
        "addresses": [{ "line1": "1 Lane" }], "idDocuments": [{ "documentType": "T", "documentId": "1" }],
        "customInformation": [{ "fieldId": "friend", "linkedKey": bob["encodedKey"] }] });
    let ids = "encodedKey id addresses { id } idDocuments { id } customInformation { id field { id } } messages { \
        nodes { id } }";
    store(server, ana, ids).await
}

on_both!(
    forbidden_nested_field_is_null_with_an_error_at_its_path,
    repeated_field_errors_stop_at_twenty,
    client_of_a_message_requires_view_client,
    hidden_objects_are_not_found_by_global_id,
    payload_shows_only_the_written_client,
    forbidden_mutation_refuses_request_before_execution,
    forbidden_query_leaves_the_other_fields,
);

async fn forbidden_nested_field_is_null_with_an_error_at_its_path(server: &TestServer) {
    two_clients(server).await;
    let some = server.as_caller(&without(&[ViewMessages]));
    let query =
        "{ first: client(by: { clientId: \"ana\" }) { clientId mine: messages(first: 9) { nodes { client { id } } } }
            clients(first: 2) { edges { node { messages { totalCount } } } nodes { clientId
                customInformation { linkedClient { clientId messages { totalCount } } } } } }";
    some.graphql(query, json!({})).await;
    server.statements();
    let answer = some.graphql(query, json!({})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body["data"],
        json!({ "first": { "clientId": "ana", "mine": null },
        "clients": { "edges": [{ "node": { "messages": null } }, { "node": { "messages": null } }], "nodes": [
            { "clientId": "bob", "customInformation": [] },
            { "clientId": "ana", "customInformation": [{ "linkedClient": { "clientId": "bob",
                "messages": null } }] }] } })
    );
    let mut reported = errors(&answer).as_array().expect("errors").clone();
    reported.sort_by_key(Value::to_string);
    assert_eq!(
        json!(reported),
        json!([
            ["FORBIDDEN", ["clients", "edges", 0, "node", "messages"]],
            ["FORBIDDEN", ["clients", "edges", 1, "node", "messages"]],
            [
                "FORBIDDEN",
                [
                    "clients",
                    "nodes",
                    1,
                    "customInformation",
                    0,
                    "linkedClient",
                    "messages"
                ]
            ],
            ["FORBIDDEN", ["first", "mine"]]
        ])
    );
    assert!(
        answer.body["errors"]
            .as_array()
            .expect("errors")
            .iter()
            .all(|error| error["locations"][0]["line"].is_u64()),
        "{}",
        answer.text
    );
    assert_eq!(
        answer.body["errors"][0]["message"],
        "This needs the permission VIEW_MESSAGES."
    );
    // Nothing is loaded for it.
    let statements = server.statements();
    assert!(
        statements.iter().all(|sql| !sql.contains("FROM message m")),
        "{statements:#?}"
    );
}

async fn repeated_field_errors_stop_at_twenty(server: &TestServer) {
    server.seed(40).await;
    let answer = server
        .as_caller(&Rights::of([ViewClient]))
        .graphql("{ clients { nodes { messages { totalCount } } } }", json!({}))
        .await;
    assert_eq!(answer.body["errors"].as_array().map(Vec::len), Some(20));
    assert_eq!(
        answer.body["data"]["clients"]["nodes"].as_array().map(Vec::len),
        Some(40)
    );
}

async fn client_of_a_message_requires_view_client(server: &TestServer) {
    two_clients(server).await;
    let query = "{ messages(first: 1) { nodes { recipient client { clientId messages { totalCount } } } } }";
    data(server, query, json!({})).await;
    let answer = server
        .as_caller(&Rights::of([ViewMessages]))
        .graphql(query, json!({}))
        .await;
    assert_eq!(
        answer.body["data"],
        json!({ "messages": { "nodes": [{ "recipient": "a@example.test", "client": null }] } })
    );
    assert_eq!(
        errors(&answer),
        json!([["FORBIDDEN", ["messages", "nodes", 0, "client"]]])
    );
}

async fn hidden_objects_are_not_found_by_global_id(server: &TestServer) {
    let ana = two_clients(server).await;
    let places = [
        "/id",
        "/addresses/0/id",
        "/idDocuments/0/id",
        "/customInformation/0/id",
        "/messages/nodes/0/id",
        "/customInformation/0/field/id",
    ];
    let ids: Vec<&Value> = places.iter().map(|place| ana.pointer(place).expect("an id")).collect();
    let query = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on Client { messages { totalCount } } ... on \
        Message { client { clientId } } } }";
    let types = |answer: &crate::harness::Answer| -> Vec<Value> {
        let nodes = answer.body["data"]["nodes"].as_array().expect("a list").iter();
        nodes.map(|node| node["__typename"].clone()).collect()
    };
    let (none, messages) = (Rights::of([]), Rights::of([ViewMessages]));
    let answer = server.as_caller(&none).graphql(query, json!({ "ids": ids })).await;
    assert_eq!(
        json!(types(&answer)),
        json!([null, null, null, null, null, "CustomField"])
    );
    assert_eq!(errors(&answer), json!([]));
    let answer = server.as_caller(&messages).graphql(query, json!({ "ids": ids })).await;
    assert_eq!(
        json!(types(&answer)),
        json!([null, null, null, null, "Message", "CustomField"])
    );
    assert_eq!(errors(&answer), json!([["FORBIDDEN", ["nodes", 4, "client"]]]));
    let answer = server
        .as_caller(&Rights::of([ViewClient]))
        .graphql(query, json!({ "ids": ids }))
        .await;
    assert_eq!(
        json!(types(&answer)),
        json!([
            "Client",
            "Address",
            "IdDocument",
            "CustomFieldValue",
            null,
            "CustomField"
        ])
    );
    assert_eq!(errors(&answer), json!([["FORBIDDEN", ["nodes", 0, "messages"]]]));
    // The same bytes as for a missing object, and no statements.
    let one = "query($id: ID!) { node(id: $id) { id ... on Client { firstName messages { totalCount } } ... on Message \
        { client { id } } } }";
    for id in &ids[..5] {
        server.statements();
        let hidden = server.as_caller(&none).graphql(one, json!({ "id": id })).await;
        assert_eq!(hidden.text, r#"{"data":{"node":null}}"#);
        assert_eq!(server.statements(), Vec::<String>::new());
    }
}

async fn payload_shows_only_the_written_client(server: &TestServer) {
    let ana = two_clients(server).await;
    let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { client { firstName addresses { \
        line1 }
            customInformation { linkedKey linkedClient { firstName } } messages { totalCount } } \
            userErrors { code } } }";
    let input = json!({ "client": { "encodedKey": ana["encodedKey"], "firstName": "An" } });
    let answer = server
        .as_caller(&Rights::of([EditClient]))
        .graphql(query, json!({ "input": input }))
        .await;
    assert_eq!(answer.body["data"]["upsertClient"]["client"]["firstName"], "An");
    assert_eq!(
        answer.body["data"]["upsertClient"]["client"]["addresses"],
        json!([{ "line1": "1 Lane" }])
    );
    assert_eq!(
        answer.body["data"]["upsertClient"]["client"]["customInformation"][0]["linkedClient"],
        Value::Null
    );
    assert_eq!(
        errors(&answer),
        json!([
            [
                "FORBIDDEN",
                ["upsertClient", "client", "customInformation", 0, "linkedClient"]
            ],
            ["FORBIDDEN", ["upsertClient", "client", "messages"]]
        ])
    );
    let failed = "UPDATE message SET state = 'FAILED', due_at = NULL, failed_at = '2026-01-02T03:04:05.000000Z', \
        attempts = 1, reason = 'REFUSED'";
    server.write(failed).await.expect("it can be stored");
    let query = "mutation($ids: [ID!]) { resendMessages(input: { ids: $ids }) { resent messages { recipient } \
        userErrors { code } } }";
    let ids = json!({ "ids": [ana["messages"]["nodes"][0]["id"]] });
    let answer = server
        .as_caller(&Rights::of([ResendMessages]))
        .graphql(query, ids)
        .await;
    assert_eq!(
        answer.body["data"],
        json!({ "resendMessages": { "resent": 1, "messages": null, "userErrors": [] } })
    );
    assert_eq!(errors(&answer), json!([["FORBIDDEN", ["resendMessages", "messages"]]]));
}

async fn forbidden_mutation_refuses_request_before_execution(server: &TestServer) {
    two_clients(server).await;
    let creates = server.as_caller(&Rights::of([CreateClient]));
    let mutation =
        "mutation { upsertClient(input: { client: { firstName: \"Amara\", lastName: \"Bellweather\" } }) { created }
            x: upsertClientRole(input: { roleId: \"r\", name: \"R\" }) { userErrors { code } } }";
    for (accept, status) in [("application/graphql-response+json", 403), ("application/json", 200)] {
        let before = server.snapshot().await;
        let request = creates
            .request(Method::POST, "/graphql")
            .header("accept", accept)
            .json(&json!({ "query": mutation }));
        let answer = creates.send(request).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.body.get("data"), None);
        assert_eq!(errors(&answer), json!([["FORBIDDEN", null]]));
        let sentence = "This needs the permission MANAGE_CUSTOM_FIELDS.";
        assert_eq!(answer.body["errors"][0]["message"], sentence);
        assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    }
    let either = server
        .as_caller(&Rights::of([]))
        .graphql(UPSERT, json!({ "input": { "client": {} } }))
        .await;
    assert_eq!(
        either.body["errors"][0]["message"],
        "This needs the permission CREATE_CLIENT or EDIT_CLIENT."
    );
}

async fn forbidden_query_leaves_the_other_fields(server: &TestServer) {
    two_clients(server).await;
    let query = "{ clientRoles { isDefault } c: client(by: { clientId: \"ana\" }) { id } clients { totalCount } \
        a: messages { totalCount } suppressions { totalCount } auditLog { totalCount } users { totalCount } \
        tokens { totalCount } }";
    let caller = server.as_caller(&Rights::of([CreateClient]));
    let request = caller
        .request(Method::POST, "/graphql")
        .header("accept", "application/graphql-response+json")
        .json(&json!({ "query": query }));
    let answer = caller.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        answer.body["data"],
        json!({ "clientRoles": [{ "isDefault": true }], "c": null, "clients": null, "a": null, "suppressions": null,
            "auditLog": null, "users": null, "tokens": null })
    );
    let refused = ["c", "clients", "a", "suppressions", "auditLog", "users", "tokens"];
    let expected: Value = refused.map(|field| json!(["FORBIDDEN", [field]])).into_iter().collect();
    assert_eq!(errors(&answer), expected);
    let message = |at: usize| &answer.body["errors"][at]["message"];
    assert_eq!(message(1), "This needs the permission VIEW_CLIENT.");
    assert_eq!(message(2), "This needs the permission VIEW_MESSAGES.");
}
