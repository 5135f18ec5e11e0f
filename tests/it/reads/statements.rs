//! The number of SQL statements of reads.

use serde_json::{Value, json};

use crate::harness::TestServer;

/// All members of a client except links.
pub const EVERYTHING: &str = "
    id encodedKey clientId state firstName middleName lastName fullName birthDate gender emailAddress homePhone
    mobilePhone1 mobilePhone2 preferredLanguage notes clientRole { id encodedKey roleId name description isDefault }
    assignedBranchKey assignedCentreKey assignedUserKey createdAt updatedAt approvedAt activatedAt closedAt version
    addresses { id encodedKey line1 line2 city region postcode country latitude longitude }
    idDocuments { id encodedKey documentType documentId issuingAuthority validUntil }
    customInformation {
        id encodedKey groupIndex value linkedKey number date checked option { encodedKey value }
        field { id fieldId name type state required pattern maxLength options { value } set { setId name usage } }
    }";

/// The statements that a request runs once the definitions are known.
async fn statements(server: &TestServer, query: &str, variables: Value) -> Vec<String> {
    server.graphql(query, variables.clone()).await;
    server.statements();
    let answer = server.graphql(query, variables).await;
    assert_eq!(answer.body["errors"], Value::Null, "{}", answer.text);
    server.statements()
}

on_both!(
    page_of_complete_clients_takes_one_statement,
    complete_client_takes_one_statement,
    total_takes_a_statement_only_when_selected,
    each_level_of_links_takes_at_most_one_statement,
    nodes_of_many_clients_are_loaded_together,
);

async fn page_of_complete_clients_takes_one_statement(server: &TestServer) {
    server.seed(120).await;
    let query = format!(
        "query($first: Int, $after: String) {{
            clients(first: $first, after: $after) {{ nodes {{ {EVERYTHING} }} pageInfo {{ endCursor }} }} }}"
    );
    let large = statements(server, &query, json!({ "first": 50 })).await;
    let small = statements(server, &query, json!({ "first": 1 })).await;
    assert_eq!(large.len(), 1, "{large:#?}");
    // The text doesn't depend on the data either, so that it is prepared once.
    assert_eq!(large, small);
    let answer = server.graphql(&query, json!({ "first": 50 })).await;
    let nodes = answer.body["data"]["clients"]["nodes"]
        .as_array()
        .expect("a list")
        .clone();
    assert_eq!(nodes.len(), 50);
    for node in nodes {
        assert_eq!(node["idDocuments"].as_array().map(Vec::len), Some(2));
        assert_eq!(node["customInformation"].as_array().map(Vec::len), Some(5));
    }
}

async fn complete_client_takes_one_statement(server: &TestServer) {
    server.seed(3).await;
    let query = format!("{{ client(by: {{ clientId: \"SEED00000002\" }}) {{ {EVERYTHING} }} }}");
    assert_eq!(statements(server, &query, json!({})).await.len(), 1);
}

async fn total_takes_a_statement_only_when_selected(server: &TestServer) {
    server.seed(7).await;
    let query = "query($count: Boolean!) { clients(first: 2) { nodes { clientId } totalCount @include(if: $count) } }";
    assert_eq!(statements(server, query, json!({ "count": true })).await.len(), 2);
    assert_eq!(statements(server, query, json!({ "count": false })).await.len(), 1);
    server
        .graphql(query, json!({ "count": true }))
        .await
        .data(json!({ "clients": {
        "nodes": [{ "clientId": "SEED00000000" }, { "clientId": "SEED00000001" }], "totalCount": 7 } }));
}

async fn each_level_of_links_takes_at_most_one_statement(server: &TestServer) {
    let keys = chain_of_clients(server, 12).await;
    let level = |inner: &str| format!("lastName customInformation {{ linkedClient {{ {inner} }} }}");
    let three = level(&level(&level("lastName")));
    let one = format!("query($key: String!) {{ client(by: {{ encodedKey: $key }}) {{ {three} }} }}");
    assert_eq!(statements(server, &one, json!({ "key": keys[0] })).await.len(), 1 + 3);
    let page = format!("{{ clients(last: 5) {{ nodes {{ {three} }} }} }}");
    assert_eq!(statements(server, &page, json!({})).await.len(), 1 + 3);
    server
        .graphql(&one, json!({ "key": keys[0] }))
        .await
        .data(json!({ "client": {
        "lastName": "11", "customInformation": [{ "linkedClient": {
            "lastName": "10", "customInformation": [{ "linkedClient": {
                "lastName": "9", "customInformation": [{ "linkedClient": { "lastName": "8" } }] } }] } }] } }));
}

async fn nodes_of_many_clients_are_loaded_together(server: &TestServer) {
    server.seed(40).await;
    let answer = server
        .graphql(
            "{ clients { nodes { id addresses { id } idDocuments { id } } } }",
            json!({}),
        )
        .await;
    let nodes: Value = serde_json::from_str(&answer.text).expect("JSON");
    let nodes = nodes["data"]["clients"]["nodes"].as_array().expect("a list").clone();
    let ids: Vec<&Value> = nodes.iter().map(|node| &node["id"]).collect();
    let query = "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Client { clientId } } }";
    assert_eq!(statements(server, query, json!({ "ids": ids })).await.len(), 1);
    let addresses: Vec<&Value> = nodes.iter().map(|node| &node["addresses"][0]["id"]).collect();
    let query = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on Address { line1 } } }";
    assert_eq!(statements(server, query, json!({ "ids": addresses })).await.len(), 1);
}

/// Clients of which each links to the one before; the last one first.
async fn chain_of_clients(server: &TestServer, count: usize) -> Vec<String> {
    let set = json!({ "set": { "setId": "s", "name": "S" }, "fields": [{ "fieldId": "next", "name": "Next",
        "type": "CLIENT_LINK" }] });
    server
        .graphql(
            "mutation($set: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $set) { \
                userErrors { message } } }",
            json!({ "set": set }),
        )
        .await
        .data(json!({ "upsertCustomFieldSet": { "userErrors": [] } }));
    let mut keys: Vec<String> = Vec::new();
    for number in 0..count {
        let links: Vec<Value> = keys
            .first()
            .map(|key| json!({ "fieldId": "next", "linkedKey": key }))
            .into_iter()
            .collect();
        let input =
            json!({ "client": { "firstName": "Amara", "lastName": number.to_string() }, "customInformation": links });
        let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { client { encodedKey } \
            userErrors { message } } }";
        let answer = server.graphql(query, json!({ "input": input })).await;
        let body: Value = serde_json::from_str(&answer.text).expect("JSON");
        let key = body["data"]["upsertClient"]["client"]["encodedKey"]
            .as_str()
            .expect("a key");
        keys.insert(0, key.to_owned());
    }
    keys
}
