//! Reads requests, and refuses unreadable ones.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use serde_json::json;

use super::{NEW, OLD, app_with, code, get, post, send, send_to};
use crate::settings::GraphqlSettings;

#[tokio::test]
async fn a_malformed_body_is_400_with_a_sentence_for_both_media_types() {
    for (body, sentence) in [
        (
            &b"{"[..],
            "The body is not JSON, or nested too deeply: see line 1, column 1.",
        ),
        (b"", "The body is not JSON, or nested too deeply: see line 1, column 0."),
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
            "\"query\" is given twice. Send each member of an object once.",
        ),
    ] {
        for media in [NEW, OLD] {
            let (status, _, answer) = send(post(media, body.to_vec())).await;
            assert_eq!((status, code(&answer)), (StatusCode::BAD_REQUEST, "BAD_REQUEST"));
            assert_eq!(answer["errors"][0]["message"], sentence);
        }
    }
    for (body, path) in [
        (r#"{"query":"{a}","variables":{"i":{"a":1,"a":2}}}"#, json!(["i", "a"])),
        (
            r#"[{"query":"{a}","variables":{"i":{"a":1,"a":2}}}]"#,
            json!(["i", "a"]),
        ),
        (r#"{"query":"{a}","variables":{},"variables":{}}"#, json!(["variables"])),
        (
            r#"{"query":"{a}","extensions":{"a":{"b":1,"b":2}}}"#,
            json!(["extensions", "a", "b"]),
        ),
    ] {
        let (_, _, answer) = send(post(NEW, body)).await;
        assert_eq!(answer["errors"][0]["extensions"]["path"], path, "{body}");
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
    let (status, _, body) = send(get(
        "query=query(%24n%3AInt)%7Brequired(number%3A%24n)%7D&variables=%7B%22n%22%3A3%7D&operationName=\
         &extensions=%7B%7D",
    ))
    .await;
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

/// JSON in texts in JSON, each 100 lists deep. A parser that treats the member of this name as serde_json's own
/// continues in the text, until the stack is used up. Escaped like this, another level costs a few hundred bytes.
fn texts_in_texts() -> String {
    (0..150).fold("0".to_owned(), |inner, _| {
        let text = inner.replace('\\', "\\u005c").replace('"', "\\u0022");
        let (open, close) = ("[".repeat(100), "]".repeat(100));
        format!("{open}{{\"$serde_json::private::RawValue\":\"{text}\"}}{close}")
    })
}

#[tokio::test]
async fn nothing_reads_what_stands_inside_of_texts() {
    let app = app_with(GraphqlSettings::default());
    let deep = texts_in_texts();
    for (body, sentence) in [
        (
            format!("{{\"query\":\"{{__typename}}\",\"extensions\":{{\"a\":{deep}}}}}"),
            None,
        ),
        (
            format!("{{\"query\":\"{{__typename}}\",\"variables\":{{\"a\":{deep}}}}}"),
            None,
        ),
        (format!("{{\"query\":\"{{__typename}}\",\"other\":{deep}}}"), None),
        (
            format!("{{\"extensions\":{{\"persistedQuery\":{{\"version\":{deep}}}}}}}"),
            Some("\"persistedQuery\" must be of version 1."),
        ),
        (
            format!("{{\"query\":1,\"variables\":{{\"a\":{deep}}},\"other\":{deep}}}"),
            Some("\"query\" must be a string."),
        ),
        (
            deep.clone(),
            Some("Several requests in one body are not supported. Send one JSON object."),
        ),
    ] {
        let (status, _, answer) = send_to(&app, post(NEW, body)).await;
        assert_eq!(answer["errors"][0]["message"].as_str(), sentence);
        assert_eq!(status == StatusCode::OK, sentence.is_none());
    }
}
