//! Subscriptions as Server-Sent Events, on the started program.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{ALL, store};
use crate::harness::program::Server;

fn request(server: &Server, accept: &str, body: Value) -> RequestBuilder {
    let request = reqwest::Client::new().post(format!("{}/graphql", server.address));
    request.header("accept", accept).json(&body)
}

/// The texts between empty lines.
fn events(response: Response) -> impl Stream<Item = String> + Unpin {
    let bytes = response.bytes_stream().map(|bytes| bytes.expect("bytes").to_vec());
    let parts = bytes.scan(String::new(), |rest, bytes| {
        rest.push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
        let mut parts: Vec<String> = rest.split("\n\n").map(str::to_owned).collect();
        *rest = parts.pop().unwrap_or_default();
        std::future::ready(Some(futures_util::stream::iter(parts)))
    });
    Box::pin(parts.flatten())
}

/// The change in an event.
fn changed(event: &str) -> Value {
    let json = event
        .strip_prefix("event: next\ndata: ")
        .expect("an event with an answer");
    let mut answer: Value = serde_json::from_str(json).expect("JSON");
    answer["data"]["clientChanged"].take()
}

#[tokio::test]
async fn changes_are_events_of_a_stream() {
    let server = Server::open(&[]);
    store(&server, None, "a", "1").await;
    let body = json!({ "query": ALL, "variables": { "after": "0.0." } });
    // As urql and Apollo's clients send it.
    let accept = "application/graphql-response+json, application/json, text/event-stream, multipart/mixed";
    let response = request(&server, accept, body).send().await.expect("an answer");
    let header = |name| response.headers()[name].to_str().expect("a text").to_owned();
    assert_eq!(
        (
            response.status(),
            header("content-type"),
            header("cache-control"),
            header("x-accel-buffering")
        ),
        (
            StatusCode::OK,
            "text/event-stream; charset=utf-8".into(),
            "no-store".into(),
            "no".into()
        )
    );
    let mut events = events(response);
    let mut next = async || loop {
        let event = timeout(Duration::from_secs(30), events.next()).await;
        match event.expect("the server sends something").expect("an event") {
            comment if comment == ":" => {}
            event => return event,
        }
    };
    let first = changed(&next().await);
    assert_eq!((&first["kind"], &first["version"]), (&json!("CREATED"), &json!(1)));
    store(&server, None, "a", "2").await;
    let second = changed(&next().await);
    assert_eq!((&second["kind"], &second["version"]), (&json!("CHANGED"), &json!(2)));
    // The stream ends without its last event, so that the caller connects again.
    server.signal("TERM");
    assert_eq!(events.next().await, None);
    assert_eq!(server.wait().1, Some(0));
}

#[tokio::test]
async fn error_ends_a_stream_that_has_begun() {
    let server = Server::open(&[]);
    let body = json!({ "query": ALL, "variables": { "after": "9.9.a1f0Zq3f-0B_" } });
    let response = request(&server, "text/event-stream", body)
        .send()
        .await
        .expect("an answer");
    let events: Vec<String> = events(response).collect().await;
    let [comment, error, complete] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((&**comment, &**complete), (":", "event: complete\ndata:"));
    assert!(
        error.contains("\"code\":\"GONE\"") && !error.contains("\"data\""),
        "{error}"
    );
}

#[tokio::test]
async fn query_is_one_event_for_callers_who_accept_nothing_else() {
    let server = Server::open(&[]);
    let body = json!({ "query": "{ __typename }" });
    let response = request(&server, "text/event-stream", body.clone())
        .send()
        .await
        .expect("an answer");
    let events: Vec<String> = events(response).collect().await;
    assert_eq!(
        events,
        [
            ":",
            "event: next\ndata: {\"data\":{\"__typename\":\"Query\"}}",
            "event: complete\ndata:"
        ]
    );
    let both = request(&server, "text/event-stream, application/json", body)
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        both.text().await.expect("a text"),
        "{\"data\":{\"__typename\":\"Query\"}}"
    );
}

#[tokio::test]
async fn wrong_requests_are_answered_with_a_status() {
    let server = Server::open(&[]);
    for (accept, query, status, code) in [
        ("application/json", ALL, 406, "BAD_REQUEST"),
        ("application/graphql-response+json", ALL, 406, "BAD_REQUEST"),
        ("text/event-stream;q=0, application/json", ALL, 406, "BAD_REQUEST"),
        (
            "text/event-stream",
            "subscription { no }",
            400,
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("text/event-stream", "subscription {", 400, "GRAPHQL_PARSE_FAILED"),
    ] {
        let answer = request(&server, accept, json!({ "query": query }))
            .send()
            .await
            .expect("an answer");
        let found = answer.status().as_u16();
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(
            (found, &body["errors"][0]["extensions"]["code"]),
            (status, &json!(code)),
            "{accept} {query}"
        );
    }
}
