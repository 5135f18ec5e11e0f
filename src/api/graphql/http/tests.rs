//! What goes in by HTTP, and the status, headers and code that come out.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::router;
use crate::api::{
    RequestId,
    graphql::{limits::Limits, toy::door},
};

const NEW: &str = "application/graphql-response+json";
const OLD: &str = "application/json";

fn app() -> Router {
    router(
        Arc::new(door(Limits {
            body_bytes: 2000,
            ..Limits::default()
        })),
        |_, _| {},
    )
}

async fn send(request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
    let response = app().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, serde_json::from_slice(&body).unwrap())
}

fn post(accept: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post("/graphql")
        .header("accept", accept)
        .header("content-type", OLD)
        .body(body.into())
        .unwrap()
}

fn get(query: &str) -> Request<Body> {
    Request::get(format!("/graphql?{query}")).body(Body::empty()).unwrap()
}

fn code(body: &Value) -> &str {
    assert!(
        body.get("data").is_none_or(Value::is_null) || body["data"].is_object(),
        "{body}"
    );
    body["errors"][0]["extensions"]["code"].as_str().unwrap_or("none")
}

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
async fn a_malformed_body_is_400_with_a_sentence_for_both_media_types() {
    for (body, sentence) in [
        (&b"{"[..], "The body is not JSON."),
        (b"", "The body is not JSON."),
        (b"\"\xff\"", "The body is not UTF-8."),
        (
            b"[{\"query\":\"{__typename}\"}]",
            "Several requests in one body are not supported. Send one JSON object.",
        ),
        (b"1", "The body must be a JSON object."),
        (b"{}", "\"query\" is missing: it must hold a GraphQL document."),
        (
            b"{\"query\":null}",
            "\"query\" is missing: it must hold a GraphQL document.",
        ),
        (b"{\"query\":1}", "\"query\" must be a string."),
        (
            b"{\"query\":\"{a}\",\"operationName\":[]}",
            "\"operationName\" must be a string.",
        ),
        (
            b"{\"query\":\"{a}\",\"variables\":\"x\"}",
            "\"variables\" must be an object.",
        ),
        (
            b"{\"query\":\"{a}\",\"variables\":[]}",
            "\"variables\" must be an object.",
        ),
        (
            b"{\"query\":\"{a}\",\"extensions\":1}",
            "\"extensions\" must be an object.",
        ),
        (
            b"{\"query\":\"{a}\",\"query\":\"{b}\"}",
            "The body has the same parameter twice.",
        ),
    ] {
        for media in [NEW, OLD] {
            let (status, _, answer) = send(post(media, body.to_vec())).await;
            assert_eq!((status, code(&answer)), (StatusCode::BAD_REQUEST, "BAD_REQUEST"));
            assert_eq!(answer["errors"][0]["message"], sentence);
        }
    }
    let nulls = r#"{"query":"{__typename}","operationName":null,"variables":null,"extensions":null}"#;
    assert_eq!(send(post(NEW, nulls)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn only_json_in_utf_8_is_read() {
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/jsonp",
    ] {
        let request = Request::post("/graphql")
            .header("content-type", content_type)
            .body(Body::from(r#"{"query":"{__typename}"}"#))
            .unwrap();
        assert_eq!(
            send(request).await.0,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{content_type}"
        );
    }
    assert_eq!(
        send(Request::post("/graphql").body(Body::from("{}")).unwrap()).await.0,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let request = Request::post("/graphql")
        .header("content-type", "Application/JSON; charset=\"UTF-8\"")
        .body(Body::from(r#"{"query":"{__typename}"}"#))
        .unwrap();
    assert_eq!(send(request).await.0, StatusCode::OK);
    let mut foreign = get("query=%7B__typename%7D");
    foreign
        .headers_mut()
        .insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(send(foreign).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_large_body_is_413_announced_or_not() {
    let large = format!("{{\"query\":\"{{__typename}}\"{}}}", " ".repeat(2000));
    let announced = Request::post("/graphql")
        .header("content-type", OLD)
        .header("content-length", large.len())
        .body(Body::from(large.clone()))
        .unwrap();
    assert_eq!(send(announced).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let chunks = futures_util::stream::iter(
        large
            .into_bytes()
            .into_iter()
            .map(|byte| Ok::<_, std::io::Error>(vec![byte])),
    );
    assert_eq!(
        send(post(NEW, Body::from_stream(chunks))).await.0,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test]
async fn get_is_for_queries_only() {
    let (status, _, body) = send(get("query=query(%24n%3AInt)%7Brequired(number%3A%24n)%7D&variables=%7B%22n%22%3A3%7D&operationName=&extensions=%7B%7D")).await;
    assert_eq!((status, body), (StatusCode::OK, json!({"data": {"required": 3}})));
    let (status, headers, body) = send(get("query=mutation%7Bup%7Ba%7D%7D")).await;
    assert_eq!(
        (status, code(&body), headers["allow"].to_str().unwrap()),
        (StatusCode::METHOD_NOT_ALLOWED, "BAD_REQUEST", "POST")
    );
    for query in [
        "variables=1",
        "query=%7Ba%7D&variables=x",
        "query=%7Ba%7D&extensions=1",
        "query=",
    ] {
        assert_eq!(send(get(query)).await.0, StatusCode::BAD_REQUEST, "{query}");
    }
    for method in ["PUT", "DELETE", "PATCH", "BREW"] {
        let (status, headers, _) = send(
            Request::builder()
                .method(method)
                .uri("/graphql")
                .body(Body::empty())
                .unwrap(),
        )
        .await;
        assert_eq!(
            (status, headers["allow"].to_str().unwrap()),
            (StatusCode::METHOD_NOT_ALLOWED, "GET, POST")
        );
    }
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_unless_the_browser_had_to_ask() {
    let query = "query=%7B__typename%7D";
    let with = async |headers: &[(&'static str, &'static str)], mut request: Request<Body>| {
        headers
            .iter()
            .for_each(|(name, value)| drop(request.headers_mut().insert(*name, value.parse().unwrap())));
        let (status, _, body) = send(request).await;
        (status, code(&body).to_string())
    };
    let refused = (StatusCode::FORBIDDEN, "FORBIDDEN".to_string());
    let answered = (StatusCode::OK, "none".to_string());
    for request in [
        || get("query=%7B__typename%7D"),
        || post(NEW, r#"{"query":"{__typename}"}"#),
    ] {
        assert_eq!(with(&[("sec-fetch-site", "cross-site")], request()).await, refused);
        assert_eq!(with(&[("sec-fetch-site", "same-site")], request()).await, refused);
        assert_eq!(
            with(
                &[("origin", "https://evil.example"), ("host", "bank.example")],
                request()
            )
            .await,
            refused
        );
        assert_eq!(
            with(&[("origin", "null"), ("host", "bank.example")], request()).await,
            refused
        );
        assert_eq!(with(&[("sec-fetch-site", "same-origin")], request()).await, answered);
        assert_eq!(with(&[("sec-fetch-site", "none")], request()).await, answered);
        assert_eq!(
            with(
                &[("origin", "https://bank.example:8080"), ("host", "bank.example:8080")],
                request()
            )
            .await,
            answered
        );
        for header in [
            "graphql-require-preflight",
            "apollo-require-preflight",
            "x-apollo-operation-name",
        ] {
            assert_eq!(
                with(&[("sec-fetch-site", "cross-site"), (header, "1")], request()).await,
                answered
            );
        }
    }
    assert_eq!(with(&[], get(query)).await, answered);
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
async fn every_error_carries_the_request_id_from_outside_or_a_new_one() {
    let mut request = post(NEW, r#"{"query":"{"}"#);
    request.extensions_mut().insert(RequestId("outer".into()));
    assert_eq!(send(request).await.2["errors"][0]["extensions"]["requestId"], "outer");
    let (_, _, body) = send(post(NEW, "{")).await;
    assert_eq!(body["errors"][0]["extensions"]["requestId"].as_str().unwrap().len(), 36);
}
