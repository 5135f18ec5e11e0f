//! The memory that one response may take.

use reqwest::Method;
use serde_json::{Value, json};

use super::{NOTES, bounded, with_notes};
use crate::harness::{TestServer, graphql::data};

const MIB: usize = 1 << 20;

/// The only error of an answer without values.
async fn refused(server: &TestServer, query: &str, variables: Value) -> Value {
    let answer = server.graphql(query, variables).await;
    assert_eq!(answer.status, 200, "{:.300}", answer.text);
    let fields = answer.body["data"].as_object().expect("nullable fields");
    assert!(fields.values().any(Value::is_null), "{query}: {:.300}", answer.text);
    let error = answer.body["errors"][0].clone();
    assert_eq!(error["extensions"]["code"], "QUERY_TOO_COMPLEX", "{:.300}", answer.text);
    let sentence =
        "This takes more than the 4 MiB that one answer may take: ask for fewer entries, or for fewer fields.";
    assert_eq!(error["message"], sentence);
    error
}

on_both!(
    too_large_graphql_response_is_refused,
    too_large_legacy_list_is_refused,
    stored_change_is_reported_despite_a_large_response,
    large_response_to_a_refused_list_is_not_reported_as_stored,
    problems_of_a_list_take_its_memory,
    no_request_starts_without_response_memory,
);

async fn too_large_graphql_response_is_refused(server: &TestServer) {
    with_notes(server, 80).await;
    let server = &bounded(server, 4 * MIB, 64 * MIB).await;
    // Rows that are read.
    let page = |first: usize, fields: &str| format!("{{ clients(first: {first}) {{ nodes {{ {fields} }} }} }}");
    let error = refused(server, &page(80, "notes"), json!({})).await;
    assert_eq!(error["path"], json!(["clients"]));
    refused(server, &page(80, "clientId"), json!({})).await;
    // Bytes that are written.
    let aliases: String = (0..40).map(|n| format!("a{n}: notes ")).collect();
    refused(server, &page(2, &aliases), json!({})).await;
    // Several fields of the root together, and several requests of one body.
    let (fits, two) = (
        page(20, "notes"),
        "{ a: clients(first: 20) { nodes { notes } } b: clients(last: 20) { nodes { notes } } }",
    );
    refused(server, two, json!({})).await;
    let batch = json!([{ "query": fits }, { "query": fits }]);
    let answers = server.post("/graphql", batch).await.body;
    assert_eq!(answers[0].get("errors"), None);
    assert_eq!(answers[1]["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX");
    // Objects that are found by their ids.
    let ids = data(server, &page(20, "id"), json!({})).await;
    let ids: Vec<_> = ids["clients"]["nodes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|node| &node["id"])
        .collect();
    let nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Client { notes } } }";
    assert_eq!(
        data(server, nodes, json!({ "ids": ids })).await["nodes"]
            .as_array()
            .map(Vec::len),
        Some(20)
    );
    let again = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Client { a: notes b: notes c: notes } } }";
    refused(server, again, json!({ "ids": ids })).await;
    // A response that fits is complete.
    for node in data(server, &fits, json!({})).await["clients"]["nodes"]
        .as_array()
        .expect("a list")
    {
        assert_eq!(node["notes"].as_str().map(str::len), Some(NOTES));
    }
}

async fn too_large_legacy_list_is_refused(server: &TestServer) {
    with_notes(server, 80).await;
    let server = &bounded(server, 4 * MIB, 64 * MIB).await;
    let source = "limit: these clients take more than 4 MiB: ask for fewer by a lower limit.";
    let too_large =
        json!({ "returnCode": 14, "returnStatus": "OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE", "errorSource": source });
    // Rows that are read, and bytes that are written.
    for limit in [80, 40] {
        server
            .get(&format!("/api/clients?limit={limit}"))
            .await
            .is(400, too_large.clone());
    }
    let fits = server.get("/api/clients?limit=20").await;
    assert_eq!(fits.body.as_array().map(Vec::len), Some(20));
    let tiny = &bounded(server, 50_000, 64 * MIB).await;
    let source = "This takes more than the 50000 bytes that one answer may take: ask for less.";
    let too_large = json!({ "returnCode": 4, "returnStatus": "INVALID_PARAMETERS", "errorSource": source });
    tiny.get("/api/clients/SEED00000001").await.is(400, too_large);
}

async fn stored_change_is_reported_despite_a_large_response(server: &TestServer) {
    let tiny = &bounded(server, 100_000, 64 * MIB).await;
    let body = json!({ "client": { "firstName": "Ines", "lastName": "Okafor", "notes": "n".repeat(NOTES) } });
    let answer = bounded(server, 1_000, 64 * MIB).await.post("/api/clients", body).await;
    assert_eq!(answer.status, 200, "{:.300}", answer.text);
    assert_eq!(answer.body["client"]["notes"].as_str().map(str::len), Some(NOTES));
    // A response that the selection made too large is refused, and the error says that the change is stored.
    let query = "mutation($notes: String) { upsertClient(input: { client: { firstName: \"Ines\", lastName: \"Okafor\", \
        notes: $notes } }) { client { a: notes b: notes } } }";
    let answer = tiny.graphql(query, json!({ "notes": "n".repeat(NOTES) })).await;
    let error = &answer.body["errors"][0];
    assert_eq!(error["extensions"]["code"], "INTERNAL", "{:.300}", answer.text);
    assert_eq!(
        error["message"],
        "The change has been stored, but its answer could not be completed: read it back, asking for less."
    );
    assert_eq!(server.snapshot().await.rows("client").len(), 2);
}

/// Nothing of the list is stored, so the error must not say so.
async fn large_response_to_a_refused_list_is_not_reported_as_stored(server: &TestServer) {
    let tiny = &bounded(server, 100_000, 64 * MIB).await;
    let before = server.snapshot().await;
    let client = |first: &str| json!({ "client": { "firstName": first, "lastName": "Okafor" } });
    let many: String = (0..40)
        .map(|n| format!("e{n}: userErrors {{ code message path }} "))
        .collect();
    let query =
        format!("mutation($input: UpsertClientsInput!) {{ upsertClients(input: $input) {{ results {{ {many} }} }} }}");
    let names: String = (0..40).map(|n| format!("n{n}: clientMutationId ")).collect();
    let checked = query.replace(&many, &names);
    for (query, input) in [
        (&query, json!({ "clients": vec![client(" "); 60] })),
        (
            &checked,
            json!({ "clients": vec![client("Ines"); 500], "validateOnly": true }),
        ),
    ] {
        let answer = tiny.graphql(query, json!({ "input": input })).await;
        let error = &answer.body["errors"][0];
        assert_eq!(error["extensions"]["code"], "QUERY_TOO_COMPLEX", "{:.300}", answer.text);
    }
    assert_eq!(server.snapshot().await, before);
}

/// A list can have a thousand times the problems of one client.
async fn problems_of_a_list_take_its_memory(server: &TestServer) {
    // A quarter of it is for the results.
    let small = &bounded(server, 4 * MIB, 64 * MIB).await;
    let value = json!({ "fieldId": "nothing", "value": "x" });
    let bad = json!({ "client": { "firstName": "Ines", "lastName": "Okafor" },
        "customInformation": vec![value; 100] });
    let input = json!({ "clients": vec![bad; 60] });
    let query =
        "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { results { userErrors { code } } } }";
    let answer = small.graphql(query, json!({ "input": input })).await;
    let results = answer.body["data"]["upsertClients"]["results"].as_array();
    let results = results.unwrap_or_else(|| panic!("{:.300}", answer.text)).clone();
    let left = results
        .iter()
        .position(|result| result["userErrors"] == json!([{ "code": "NOT_CARRIED_OUT" }]));
    let left = left.unwrap_or_else(|| panic!("{:.300}", answer.text));
    assert!((15..60).contains(&left), "{left}");
    assert!(
        results[..left]
            .iter()
            .all(|result| result["userErrors"].as_array().map(Vec::len) == Some(100))
    );
    let rest = &results[left..];
    assert!(
        rest.iter()
            .all(|result| result["userErrors"] == json!([{ "code": "NOT_CARRIED_OUT" }]))
    );
}

async fn no_request_starts_without_response_memory(server: &TestServer) {
    let full = &bounded(server, 4 * MIB, 0).await;
    let before = server.snapshot().await;
    let sentence = "The server has more to do than it can. Try again shortly.";
    let busy = json!({ "returnCode": 6, "returnStatus": "INTERNAL_ERROR", "errorSource": sentence });
    let client = json!({ "client": { "firstName": "Ines", "lastName": "Okafor" } });
    full.get("/api/clients").await.is(503, busy.clone());
    full.post("/api/clients", client).await.is(503, busy);
    full.statements();
    for query in [
        "{ __typename }",
        "mutation { upsertClient(input: { client: { firstName: \"Ines\", lastName: \"Okafor\" } }) { created } }",
    ] {
        let answer = full.graphql(query, json!({})).await;
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert_eq!(answer.body["errors"][0]["extensions"]["code"], "UNAVAILABLE");
        assert_eq!(answer.body["errors"][0]["message"], sentence);
    }
    assert_eq!(full.statements(), [""; 0]);
    for (method, path) in [
        (Method::GET, "/api/clients"),
        (Method::GET, "/graphql?query={__typename}"),
    ] {
        let response = full.request(method, path).send().await.expect("it is answered");
        assert_eq!(response.headers()["retry-after"], "1", "{path}");
    }
    assert_eq!(server.snapshot().await, before);
}
