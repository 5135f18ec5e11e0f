//! Memory of the started program while many callers send the largest inputs at once.

use std::sync::Arc;

use reqwest::Client;
use serde_json::{Value, json};

use crate::harness::program::Server;

/// Callers that send at once.
const CALLERS: usize = 16;
/// The memory that they may take together, in KiB.
const MOST_MEMORY: u64 = 200 * 1024;

const UPSERT: &str = "mutation($addresses: [AddressInput!], $values: [CustomFieldValueInput!]) { upsertClient(input: { \
    client: { firstName: \"Ines\", lastName: \"Okafor\" }, addresses: $addresses, customInformation: $values }) { \
    created \
    userErrors { code } } }";

/// Sends one body many times at once, and returns each different answer.
async fn send(server: &Server, path: &str, media_type: &'static str, body: String) -> Vec<(u16, Value)> {
    let client = Client::builder().no_proxy().build().expect("a client without options");
    let (url, body): (_, Arc<str>) = (format!("{}{path}", server.address), body.into());
    let requests: Vec<_> = (0..CALLERS)
        .map(|_| {
            let request = client
                .post(&url)
                .header("content-type", media_type)
                .header("graphql-cost", "validate")
                .body(body.to_string());
            tokio::spawn(async move {
                let response = request.send().await.expect("an answer");
                let status = response.status().as_u16();
                let mut body: Value = response.json().await.expect("JSON");
                if let Some(extensions) = body.pointer_mut("/errors/0/extensions") {
                    extensions.as_object_mut().expect("an object").remove("requestId");
                }
                (status, body)
            })
        })
        .collect();
    let mut answers = Vec::new();
    for request in requests {
        let answer = request.await.expect("a sent request");
        if !answers.contains(&answer) {
            answers.push(answer);
        }
    }
    answers
}

fn list(element: &str, count: usize) -> String {
    vec![element; count].join(",")
}

fn graphql(variables: &str) -> String {
    format!("{{\"query\":{},\"variables\":{variables}}}", json!(UPSERT))
}

#[tokio::test]
async fn many_values_are_refused_before_they_take_memory() {
    let server = Server::open(&[]);
    let before = server.memory("VmHWM");
    let addresses = list("{}", 345_000);

    let body = graphql(&format!("{{\"addresses\":[{addresses}]}}"));
    assert!(body.len() < 1024 * 1024, "it fits into a body");
    let message = "\"variables.addresses\" has more than 2000 elements. Send fewer at once.";
    let extensions = json!({ "code": "QUERY_TOO_COMPLEX", "path": ["addresses"] });
    let refused = json!({ "errors": [{ "message": message, "extensions": extensions }] });
    assert_eq!(
        send(&server, "/graphql", "application/json", body).await,
        [(400, refused)]
    );

    let lists = list(&format!("[{}]", list("{}", 1_000)), 340);
    let body = graphql(&format!("{{\"addresses\":[{lists}]}}"));
    let message = "The request has more than 20000 values (graphql.body_values). Send fewer at once.";
    let refused = json!({ "errors": [{ "message": message, "extensions": { "code": "QUERY_TOO_COMPLEX" } }] });
    assert_eq!(
        send(&server, "/graphql", "application/json", body).await,
        [(400, refused)]
    );

    let body = format!("{{\"client\":{{\"firstName\":\"A\",\"lastName\":\"B\"}},\"addresses\":[{addresses}]}}");
    let source = "The body has more than 100000 values (legacy.body_values). Send fewer at once.";
    let refused = json!({ "returnCode": 4, "returnStatus": "INVALID_PARAMETERS", "errorSource": source });
    assert_eq!(
        send(&server, "/api/clients", "application/json", body).await,
        [(400, refused)]
    );

    let source = "There are more than 100 parameters.";
    let refused = json!({ "returnCode": 27, "returnStatus": "PARAMETER_NOT_ALLOWED", "errorSource": source });
    let body = list("a=1&", 200_000);
    let answers = send(&server, "/api/clients", "application/x-www-form-urlencoded", body).await;
    assert_eq!(answers, [(400, refused)]);

    let grown = server.memory("VmHWM") - before;
    assert!(grown < MOST_MEMORY, "{grown} KiB for {CALLERS} callers");
}

#[tokio::test]
async fn most_values_that_are_accepted_take_bounded_memory() {
    let server = Server::open(&[]);
    let before = server.memory("VmHWM");

    // Without executing it: 16 changes in a row may take longer than the wait for the database.
    let values = list("{\"fieldId\":\"x\",\"value\":\"y\"}", 1_000);
    let others: String = ('a'..'f').map(|name| format!(",\"{name}\":[{values}]")).collect();
    let body = graphql(&format!("{{\"values\":[{values}]{others}}}"));
    let answers = send(&server, "/graphql", "application/json", body).await;
    assert_eq!(
        answers
            .iter()
            .map(|(status, body)| (*status, &body["data"]))
            .collect::<Vec<_>>(),
        [(200, &Value::Null)]
    );

    let lists: Vec<String> = ('a'..'j')
        .map(|name| format!("\"{name}\":[{}]", list("{\"a\":1}", 1_000)))
        .collect();
    let body = format!(
        "{{\"query\":\"{{ __typename }}\",\"variables\":{{{}}}}}",
        lists.join(",")
    );
    let answers = send(&server, "/graphql", "application/json", body).await;
    assert_eq!(answers.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200]);

    // Members that this API doesn't know are ignored.
    let other = list("{\"a\":\"b\"}", 49_900);
    let body = format!("{{\"client\":{{\"firstName\":\"A\",\"lastName\":\"B\"}},\"other\":[{other}]}}");
    let answers = send(&server, "/api/clients", "application/json", body).await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");

    let grown = server.memory("VmHWM") - before;
    assert!(grown < MOST_MEMORY, "{grown} KiB for {CALLERS} callers");
}
