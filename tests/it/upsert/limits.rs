//! Limits of the lengths of texts and of the numbers of list members.

use serde_json::{Value, json};

use crate::harness::TestServer;

const UPSERT: &str =
    "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code path } } }";

on_both!(texts_are_stored_up_to_their_limit, lists_are_stored_up_to_their_limit);

async fn texts_are_stored_up_to_their_limit(server: &TestServer) {
    for (path, limit) in [
        ("client.firstName", 255),
        ("client.notes", 65_535),
        ("client.clientId", 32),
        ("addresses.0.line1", 255),
        ("idDocuments.0.documentId", 255),
    ] {
        let segments: Vec<&str> = ["input"].into_iter().chain(path.split('.')).collect();
        let too_long = json!([{ "code": "TOO_LONG", "path": segments }]);
        for (length, problems) in [(limit, json!([])), (limit + 1, too_long)] {
            let mut input = json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" }, "addresses": [{}],
                "idDocuments": [{ "documentType": "T", "documentId": "1" }] });
            let place = format!("/{}", path.replace('.', "/"));
            let (parent, name) = place.rsplit_once('/').expect("a path");
            input.pointer_mut(parent).expect("a place")[name] = json!("\u{1f600}".repeat(length));
            let before = server.snapshot().await;
            let answer = server.graphql(UPSERT, json!({ "input": input })).await;
            assert_eq!(
                answer.body["data"]["upsertClient"]["userErrors"], problems,
                "{path} {length}"
            );
            assert_eq!(server.snapshot().await == before, length > limit);
        }
    }
}

async fn lists_are_stored_up_to_their_limit(server: &TestServer) {
    let documents = |count: usize| {
        (0..count)
            .map(|number| json!({ "documentType": "T", "documentId": number.to_string() }))
            .collect::<Value>()
    };
    let addresses = |count| json!(vec![json!({}); count]);
    for (list, longest, too_long) in [
        ("idDocuments", documents(200), documents(201)),
        ("addresses", addresses(200), addresses(201)),
    ] {
        let problem = json!([{ "code": "TOO_MANY", "path": ["input", list] }]);
        for (members, problems) in [(longest, json!([])), (too_long, problem)] {
            let input = json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" }, list: members });
            let before = server.snapshot().await;
            let answer = server.graphql(UPSERT, json!({ "input": input })).await;
            assert_eq!(answer.body["data"]["upsertClient"]["userErrors"], problems, "{list}");
            assert_eq!(server.snapshot().await == before, problems != json!([]), "{list}");
        }
    }
}
