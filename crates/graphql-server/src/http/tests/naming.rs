//! Requests that name their document, that come together, that ask for their price, and that take too long.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{NEW, OLD, app_with, app_within, code, get, post, send_to};
use crate::settings::GraphqlSettings;

const QUERY: &str = "{__typename}";
/// Of the query above.
const HASH: &str = "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38";

fn persisted(hash: &str, query: Option<&str>) -> String {
    json!({"query": query, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash}}}).to_string()
}

#[tokio::test]
async fn a_document_is_registered_once_and_then_named_by_post_and_get() {
    let app = app_with(GraphqlSettings {
        persisted_query_bytes: 10_000,
        ..GraphqlSettings::default()
    });
    for (media, status) in [(NEW, StatusCode::BAD_REQUEST), (OLD, StatusCode::OK)] {
        let (found, _, body) = send_to(&app, post(media, persisted(HASH, None))).await;
        assert_eq!((found, code(&body)), (status, "PERSISTED_QUERY_NOT_FOUND"));
        assert_eq!(body["errors"][0]["message"], "PersistedQueryNotFound");
    }
    let (status, _, body) = send_to(&app, post(NEW, persisted(HASH, Some("{must}")))).await;
    assert_eq!((status, code(&body)), (StatusCode::BAD_REQUEST, "BAD_REQUEST"));
    let answer = json!({"data": {"__typename": "Query"}});
    assert_eq!(send_to(&app, post(NEW, persisted(HASH, Some(QUERY)))).await.2, answer);
    assert_eq!(send_to(&app, post(NEW, persisted(HASH, None))).await.2, answer);
    let with_prefix = persisted(&format!("sha256:{HASH}"), None);
    assert_eq!(send_to(&app, post(NEW, with_prefix)).await.2, answer);
    let by_get =
        format!("extensions=%7B%22persistedQuery%22%3A%7B%22version%22%3A1%2C%22sha256Hash%22%3A%22{HASH}%22%7D%7D");
    assert_eq!(send_to(&app, get(&by_get)).await.2, answer);
}

#[tokio::test]
async fn a_name_that_cant_be_read_is_a_bad_request() {
    let app = app_with(GraphqlSettings::default());
    for (body, sentence) in [
        (
            json!({"extensions": {"persistedQuery": {"version": 2, "sha256Hash": HASH}}}),
            "\"persistedQuery\" must be of version 1.",
        ),
        (
            json!({"extensions": {"persistedQuery": {"version": 1}}}),
            "\"sha256Hash\" must be 64 hexadecimal digits.",
        ),
        (
            json!({"query": QUERY, "documentId": "a"}),
            "\"documentId\" names the whole document. Send neither \"query\" nor \"persistedQuery\" with it.",
        ),
        (json!({"doc_id": 1}), "\"documentId\" must be a string."),
    ] {
        let (status, _, answer) = send_to(&app, post(NEW, body.to_string())).await;
        assert_eq!(
            (status, code(&answer)),
            (StatusCode::BAD_REQUEST, "BAD_REQUEST"),
            "{body}"
        );
        assert_eq!(answer["errors"][0]["message"], sentence);
    }
}

fn batching(batch: usize) -> GraphqlSettings {
    GraphqlSettings {
        batch,
        ..GraphqlSettings::default()
    }
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_order_up_to_the_limit() {
    let app = app_with(batching(3));
    let body = json!([
        {"query": QUERY},
        {"query": "{nothing}"},
        {"query": "query($n: Int!) {required(number: $n)}", "variables": {"n": 3}},
    ]);
    let (status, _, answer) = send_to(&app, post(NEW, body.to_string())).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer[0], json!({"data": {"__typename": "Query"}}));
    assert_eq!(code(&answer[1]), "GRAPHQL_VALIDATION_FAILED");
    assert_eq!(answer[2], json!({"data": {"required": 3}}));

    let four = Value::from(vec![json!({"query": QUERY}); 4]);
    let (status, _, answer) = send_to(&app, post(NEW, four.to_string())).await;
    assert_eq!((status, code(&answer)), (StatusCode::BAD_REQUEST, "QUERY_TOO_COMPLEX"));
    assert_eq!(
        answer["errors"][0]["message"],
        "The body has 4 requests, and at most 3 are allowed."
    );
    let (status, _, answer) = send_to(&app, post(NEW, "[]")).await;
    assert_eq!((status, code(&answer)), (StatusCode::BAD_REQUEST, "BAD_REQUEST"));
}

#[tokio::test]
async fn together_they_cost_no_more_than_one_may() {
    let settings = GraphqlSettings {
        complexity: 2,
        ..batching(3)
    };
    let app = app_with(settings);
    let of = |count: usize| Value::from(vec![json!({"query": QUERY}); count]).to_string();
    assert_eq!(send_to(&app, post(NEW, of(2))).await.0, StatusCode::OK);
    let (_, _, answer) = send_to(&app, post(NEW, of(3))).await;
    assert_eq!(code(&answer), "QUERY_TOO_COMPLEX");
}

#[tokio::test]
async fn a_mutation_among_others_keeps_all_of_them_from_running() {
    let app = app_with(batching(2));
    let body = json!([{"query": "mutation{up{a}}"}, {"query": QUERY}]);
    let (status, _, answer) = send_to(&app, post(NEW, body.to_string())).await;
    assert_eq!((status, code(&answer)), (StatusCode::BAD_REQUEST, "BAD_REQUEST"));
    let (_, _, answer) = send_to(&app, post(NEW, r#"{"query":"mutation{up{a}}"}"#)).await;
    assert_eq!(answer, json!({"data": {"up": {"a": 1}}}), "it is the first that ran");
}

#[tokio::test]
async fn the_price_is_told_when_asked_and_nothing_runs_when_only_it_is() {
    let app = app_with(GraphqlSettings::default());
    let priced = async |pricing: &'static str, query: &str| {
        let mut request = post(NEW, json!({"query": query}).to_string());
        request.headers_mut().insert("graphql-cost", pricing.parse().unwrap());
        send_to(&app, request).await
    };
    let cost = |requested: usize| json!({"cost": {"requested": requested, "limit": 50_000}});
    let (_, _, answer) = priced("report", "{person{friends(first:10){name}}}").await;
    assert_eq!(answer["extensions"], cost(12));
    assert_eq!(answer["data"]["person"]["friends"].as_array().map(Vec::len), Some(10));
    let (status, _, answer) = priced("validate", "mutation{up{a b}}").await;
    assert_eq!(
        (status, answer),
        (StatusCode::OK, json!({"data": null, "extensions": cost(3)}))
    );
    let (_, _, answer) = priced("report", "mutation{up{a}}").await;
    assert_eq!(answer["data"], json!({"up": {"a": 1}}), "it is the first that ran");
    let (status, _, answer) = priced("maybe", QUERY).await;
    assert_eq!((status, code(&answer)), (StatusCode::BAD_REQUEST, "BAD_REQUEST"));
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_given_up() {
    let app = app_within(GraphqlSettings::default(), Duration::from_millis(20));
    for media in [NEW, OLD] {
        let (status, _, answer) = send_to(&app, post(media, r#"{"query":"{stuck}"}"#)).await;
        assert_eq!((status, code(&answer)), (StatusCode::GATEWAY_TIMEOUT, "TIMEOUT"));
        assert!(answer.get("data").is_none());
    }
}

#[tokio::test]
async fn past_its_time_a_query_is_given_up_and_a_change_is_told() {
    let app = app_within(batching(2), Duration::ZERO);
    let (status, _, answer) = send_to(&app, post(NEW, r#"{"query":"{person{name}}"}"#)).await;
    assert_eq!((status, code(&answer)), (StatusCode::GATEWAY_TIMEOUT, "TIMEOUT"));
    let several = r#"[{"query":"{person{name}}"},{"query":"{person{name}}"}]"#;
    let (_, _, answers) = send_to(&app, post(OLD, several)).await;
    for answer in answers.as_array().unwrap() {
        assert_eq!(code(answer), "TIMEOUT");
    }
    let (status, _, answer) = send_to(&app, post(NEW, r#"{"query":"mutation{up{a}}"}"#)).await;
    assert_eq!((status, answer), (StatusCode::OK, json!({"data": {"up": {"a": 1}}})));
}

#[tokio::test]
async fn the_price_of_what_is_too_dear_is_told_too() {
    let app = app_with(GraphqlSettings {
        complexity: 5,
        ..batching(2)
    });
    let dear = json!({"query": "{person{friends(first:2){name}}}"});
    let dearer = json!({"query": "{person{friends(first:10){name}}}"});
    let cost = json!({"cost": {"requested": 12, "limit": 5}});
    for pricing in ["report", "validate"] {
        let priced = async |body: &Value| {
            let mut request = post(NEW, body.to_string());
            request.headers_mut().insert("graphql-cost", pricing.parse().unwrap());
            send_to(&app, request).await.2
        };
        let answer = priced(&dearer).await;
        assert_eq!((code(&answer), &answer["extensions"]), ("QUERY_TOO_COMPLEX", &cost));
        let answers = priced(&json!([dear, dearer])).await;
        assert_eq!(answers[0]["extensions"]["cost"]["requested"], 4);
        assert_eq!(
            (code(&answers[1]), &answers[1]["extensions"]),
            ("QUERY_TOO_COMPLEX", &cost)
        );
        // A document that isn't read has no price.
        assert_eq!(priced(&json!({"query": "{nothing}"})).await.get("extensions"), None);
    }
    let (_, _, silent) = send_to(&app, post(NEW, dearer.to_string())).await;
    assert_eq!((code(&silent), silent.get("extensions")), ("QUERY_TOO_COMPLEX", None));
}
