//! Media type, status and headers of answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_graphql::Data;
use axum::{
    body::to_bytes,
    http::{StatusCode, Uri},
};
use futures_util::FutureExt;
use serde_json::json;
use tower::ServiceExt;

use super::{NEW, OLD, app, code, get, post, router, send, send_to};
use crate::{context::RequestContext, error::RequestError, prepare::Prepared, settings::GraphqlSettings};

#[tokio::test]
async fn the_media_type_is_negotiated_by_quality() {
    for (accept, content_type) in [
        ("*/*", OLD),
        ("application/*", OLD),
        (OLD, OLD),
        (NEW, NEW),
        ("application/json, application/graphql-response+json", NEW),
        ("application/json, application/graphql-response+json;q=0.9", OLD),
        (
            "application/json; q=0.8 , Application/GraphQL-Response+JSON; charset=utf-8; q=0.9, */*",
            NEW,
        ),
        ("text/html, application/graphql-response+json;q=0, */*;q=0.1", OLD),
    ] {
        let (status, headers, body) = send(post(accept, r#"{"query":"{__typename}"}"#)).await;
        assert_eq!(
            (status, &body),
            (StatusCode::OK, &json!({"data": {"__typename": "Query"}}))
        );
        assert_eq!(
            headers["content-type"],
            format!("{content_type}; charset=utf-8"),
            "{accept}"
        );
    }
    let (status, headers, _) = send(get("query=%7B__typename%7D")).await;
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(
        (status, headers["content-type"].to_str().unwrap()),
        (StatusCode::OK, "application/json; charset=utf-8")
    );
    let (status, _, body) = send(post("text/html, application/json;q=0", "{}")).await;
    assert_eq!((status, code(&body)), (StatusCode::NOT_ACCEPTABLE, "BAD_REQUEST"));
}

#[tokio::test]
async fn refused_documents_are_400_for_the_new_media_type_and_200_for_the_old() {
    for (body, expected) in [
        (json!({"query": "{"}), "GRAPHQL_PARSE_FAILED"),
        (json!({"query": "{nothing}"}), "GRAPHQL_VALIDATION_FAILED"),
        (
            json!({"query": "query($n: Int!) {required(number: $n)}"}),
            "BAD_USER_INPUT",
        ),
        (
            json!({"query": "{__typename}", "operationName": "Missing"}),
            "BAD_REQUEST",
        ),
        (json!({"query": "{".repeat(100)}), "QUERY_TOO_COMPLEX"),
        (
            json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "00"}}}),
            "PERSISTED_QUERY_NOT_SUPPORTED",
        ),
        (json!({"documentId": "sha256:00"}), "PERSISTED_QUERY_NOT_SUPPORTED"),
    ] {
        for (media, status) in [(NEW, StatusCode::BAD_REQUEST), (OLD, StatusCode::OK)] {
            let answer = send(post(media, body.to_string())).await;
            assert_eq!((answer.0, code(&answer.2)), (status, expected), "{body}");
            assert!(answer.2.get("data").is_none());
        }
    }
}

#[tokio::test]
async fn failed_fields_keep_200_and_what_may_be_tried_again_says_so() {
    for (query, status, expected) in [
        ("{person{mayBreak name}}", StatusCode::OK, "CONFLICT"),
        ("{must}", StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        ("{must __typename}", StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        ("{person{broken}}", StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        ("{person{broken} __typename}", StatusCode::OK, "UNAVAILABLE"),
        ("mutation{conflict}", StatusCode::CONFLICT, "CONFLICT"),
        ("{secret}", StatusCode::OK, "INTERNAL"),
        ("{forbidden}", StatusCode::OK, "FORBIDDEN"),
        ("{panics}", StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
    ] {
        for media in [NEW, OLD] {
            let (found, headers, body) = send(post(media, json!({"query": query}).to_string())).await;
            assert_eq!((found, code(&body)), (status, expected), "{query}: {body}");
            assert_eq!(
                headers.get("retry-after").is_some(),
                status == StatusCode::SERVICE_UNAVAILABLE
            );
        }
    }
}

#[tokio::test]
async fn every_error_carries_the_request_id_of_the_context() {
    for body in [
        r#"{"query":"{"}"#,
        "{",
        r#"{"query":"{secret}"}"#,
        r#"{"query":"{panics}"}"#,
    ] {
        let (_, _, answer) = send(post(NEW, body)).await;
        assert_eq!(answer["errors"][0]["extensions"]["requestId"], "r1", "{body}");
    }
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_stop_a_change_halfway() {
    let app = app();
    let leaving = app.clone().oneshot(post(NEW, r#"{"query":"mutation{lateUp{a}}"}"#));
    assert!(leaving.now_or_never().is_none());
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let response = app.oneshot(post(NEW, r#"{"query":"mutation{up{a}}"}"#)).await.unwrap();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert_eq!(body, r#"{"data":{"up":{"a":2}}}"#);
}

/// A context with the URI of the request, which counts how often it provides it.
struct UriContext {
    uri: Uri,
    provided: Arc<AtomicUsize>,
}

impl RequestContext for UriContext {
    fn request_id(&self) -> &str {
        "r1"
    }

    fn provide(&self, _: &Prepared, data: &mut Data) -> Result<(), RequestError> {
        data.insert(self.uri.clone());
        self.provided.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn resolvers_find_the_data_that_the_context_provides_once_for_each_valid_request() {
    let provided = Arc::new(AtomicUsize::new(0));
    let counter = provided.clone();
    let app = router(GraphqlSettings::default(), Duration::from_secs(30), move |request| {
        UriContext {
            uri: request.uri().clone(),
            provided: counter.clone(),
        }
    });
    let (_, _, answer) = send_to(&app, post(NEW, r#"{"query":"{uri}"}"#)).await;
    assert_eq!(answer, json!({ "data": { "uri": "/graphql" } }));
    let (_, _, answer) = send_to(&app, post(NEW, r#"{"query":"{nothing}"}"#)).await;
    assert_eq!(code(&answer), "GRAPHQL_VALIDATION_FAILED");
    assert_eq!(provided.load(Ordering::SeqCst), 1);
}
