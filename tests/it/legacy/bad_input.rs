//! Bad input: each kind has its code, names the member, is answered quickly and stores nothing.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::{CLIENTS, FIRST, create, refusal};
use crate::harness::{Answer, TestServer};

async fn send(server: &TestServer, path: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
    let before = server.snapshot().await;
    let begun = Instant::now();
    let request = server
        .request(Method::POST, path)
        .header("content-type", content_type)
        .body(body.into());
    let answer = server.send(request).await;
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?} for {}",
        begun.elapsed(),
        answer.text
    );
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    answer
}

/// Sends a change of the first client.
async fn change(server: &TestServer, body: Value) -> Answer {
    send(server, FIRST, "application/json", body.to_string()).await
}

#[track_caller]
fn assert_code(answer: &Answer, status: u16, code: u16, what: &str) {
    let got = (answer.status, &answer.body["returnCode"]);
    assert_eq!(got, (status, &json!(code)), "{what}: {}", answer.text);
    assert_eq!(answer.content_type, "application/json; charset=utf-8");
}

/// A body for the first client, with one member of one part.
fn with(part: &str, name: &str, value: Value) -> Value {
    match part {
        "client" => json!({ "client": { name: value } }),
        "idDocuments" => {
            json!({ "idDocuments": [super::merged(json!({ "documentType": "a", "documentId": "b" }),
                json!({ name: value }))] })
        }
        "customInformation" => {
            json!({ "customInformation": [super::merged(json!({ "customFieldID": "x" }), json!({ name: value }))] })
        }
        part => json!({ part: [{ name: value }] }),
    }
}

const TEXTS: [(&str, &[&str]); 3] = [
    (
        "client",
        &[
            "firstName",
            "middleName",
            "lastName",
            "homePhone",
            "mobilePhone1",
            "mobilePhone2",
            "emailAddress",
        ],
    ),
    ("idDocuments", &["documentType", "documentId", "issuingAuthority"]),
    (
        "addresses",
        &["line1", "line2", "city", "region", "postcode", "country"],
    ),
];

fn code_of_text(part: &str) -> u16 {
    match part {
        "client" => 3742,
        "idDocuments" => 950,
        _ => 1150,
    }
}

on_both!(
    malformed_json_is_refused,
    lone_surrogate_is_refused,
    deeply_nested_json_is_refused,
    invalid_utf_8_is_refused,
    other_media_types_and_empty_bodies_are_refused,
    body_over_the_limit_is_refused,
    members_of_wrong_types_are_refused,
    texts_over_their_limit_are_refused,
    invalid_dates_are_refused,
    invalid_degrees_are_refused,
    invalid_languages_and_email_addresses_are_refused,
    too_many_members_are_refused,
    unknown_paths_and_methods_are_refused,
);

async fn malformed_json_is_refused(server: &TestServer) {
    create(server, json!({})).await;
    for body in [
        "{",
        "{\"client\":",
        "{\"client\":{}}}",
        "nonsense",
        "{'client':{}}",
        "{\"client\":{},}",
        "{\"client\":NaN}",
        "\u{feff}{\"client\":{}}x",
        "{\"client\":{\"notes\":\"\n\"}}",
    ] {
        assert_code(&send(server, CLIENTS, "application/json", body).await, 400, 26, body);
        assert_code(&send(server, FIRST, "application/json", body).await, 400, 26, body);
    }
}

async fn lone_surrogate_is_refused(server: &TestServer) {
    create(server, json!({})).await;
    let answer = send(server, FIRST, "application/json", r#"{"client":{"notes":"a\ud800b"}}"#).await;
    assert_code(&answer, 400, 3742, "surrogate");
    assert!(
        answer.body["errorSource"]
            .as_str()
            .unwrap_or_default()
            .starts_with("client.notes: "),
        "{}",
        answer.text
    );
}

async fn deeply_nested_json_is_refused(server: &TestServer) {
    create(server, json!({})).await;
    for bomb in [
        "[".repeat(500_000),
        "{\"a\":".repeat(150_000),
        format!("{{\"client\":{}", "[".repeat(500_000)),
        format!("{{\"x\":{}{}}}", "[".repeat(400_000), "]".repeat(400_000)),
    ] {
        let answer = send(server, FIRST, "application/json", bomb).await;
        assert_code(&answer, 400, 26, "bomb");
    }
}

async fn invalid_utf_8_is_refused(server: &TestServer) {
    for (content_type, body) in [
        (
            "application/json",
            b"{\"client\":{\"firstName\":\"\xff\",\"lastName\":\"b\"}}".to_vec(),
        ),
        ("application/json", b"\xff\xfe{\0}\0".to_vec()),
        (
            "application/json; charset=ISO-8859-1",
            b"{\"client\":{\"firstName\":\"a\",\"lastName\":\"b\"}}".to_vec(),
        ),
        (
            "application/x-www-form-urlencoded",
            b"firstName=%ff&lastName=b".to_vec(),
        ),
        (
            "application/x-www-form-urlencoded",
            b"firstName=\xff&lastName=b".to_vec(),
        ),
    ] {
        let answer = send(server, CLIENTS, content_type, body.clone()).await;
        assert_code(&answer, 400, 22, &String::from_utf8_lossy(&body));
    }
}

async fn other_media_types_and_empty_bodies_are_refused(server: &TestServer) {
    create(server, json!({})).await;
    let body = r#"{"client":{"firstName":"a","lastName":"b"}}"#;
    for content_type in [
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "nonsense",
    ] {
        assert_code(&send(server, CLIENTS, content_type, body).await, 400, 30, content_type);
    }
    assert_code(&send(server, CLIENTS, "application/json", "").await, 400, 30, "no body");
    // A client without members lacks its names.
    for body in ["{}", "{\"appkey\":\"x\"}", "{\"client\":null}"] {
        assert_code(&send(server, CLIENTS, "application/json", body).await, 400, 4, body);
    }
    for body in ["[]", "5", "\"text\"", "true", "null"] {
        assert_code(&send(server, CLIENTS, "application/json", body).await, 400, 26, body);
    }
}

async fn body_over_the_limit_is_refused(server: &TestServer) {
    let body = json!({ "client": { "firstName": "a", "lastName": "b", "x": "x".repeat(1024 * 1024) } }).to_string();
    assert_code(&send(server, CLIENTS, "application/json", body).await, 413, 4, "large");
    let form = format!("firstName=a&lastName=b&notes={}", "x".repeat(1024 * 1024));
    assert_code(
        &send(server, CLIENTS, "application/x-www-form-urlencoded", form).await,
        413,
        4,
        "large form",
    );
}

async fn members_of_wrong_types_are_refused(server: &TestServer) {
    create(server, json!({})).await;
    let wrong = [json!(5), json!(true), json!([]), json!({})];
    for (part, names) in TEXTS {
        for name in names {
            for wrong in &wrong {
                let answer = change(server, with(part, name, wrong.clone())).await;
                assert_code(&answer, 400, 4, &format!("{part}.{name} {wrong}"));
                let path = if part == "client" {
                    format!("client.{name}")
                } else {
                    format!("{part}[0].{name}")
                };
                let source = answer.body["errorSource"].as_str().unwrap_or_default();
                assert!(source.starts_with(&path), "{path} isn't at the start of {source}");
            }
        }
    }
    for (body, path) in [
        (json!({ "client": [] }), "client"),
        (json!({ "client": "x" }), "client"),
        (json!({ "idDocuments": {} }), "idDocuments"),
        (json!({ "addresses": "x" }), "addresses"),
        (json!({ "customInformation": 5 }), "customInformation"),
        (json!({ "idDocuments": [5] }), "idDocuments[0]"),
        (json!({ "idDocuments": [null] }), "idDocuments[0]"),
        (json!({ "addresses": ["x"] }), "addresses[0]"),
        (json!({ "customInformation": [[]] }), "customInformation[0]"),
        (json!({ "client": { "clientRole": "x" } }), "client.clientRole"),
        (
            json!({ "client": { "clientRole": { "encodedKey": 5 } } }),
            "client.clientRole.encodedKey",
        ),
        (json!({ "client": { "gender": "OTHER" } }), "client.gender"),
        (json!({ "client": { "gender": 5 } }), "client.gender"),
        (
            json!({ "client": { "assignedUserKey": "no key" } }),
            "client.assignedUserKey",
        ),
        (
            json!({ "client": { "assignedBranchKey": "x".repeat(33) } }),
            "client.assignedBranchKey",
        ),
        (
            json!({ "customInformation": [{ "customFieldID": 5 }] }),
            "customInformation[0].customFieldID",
        ),
        (
            json!({ "customInformation": [{ "customFieldID": "x", "customFieldSetGroupIndex": "many" }] }),
            "customInformation[0].customFieldSetGroupIndex",
        ),
        (
            json!({ "customInformation": [{ "customFieldID": "x", "customFieldSetGroupIndex": 1.5 }] }),
            "customInformation[0].customFieldSetGroupIndex",
        ),
    ] {
        let answer = change(server, body).await;
        assert_code(&answer, 400, 4, path);
        let source = answer.body["errorSource"].as_str().unwrap_or_default();
        let begins = [": ", " must "]
            .iter()
            .any(|end| source.starts_with(&format!("{path}{end}")));
        assert!(begins, "{path} isn't at the start of {source}");
    }
}

async fn texts_over_their_limit_are_refused(server: &TestServer) {
    create(server, json!({})).await;
    for (part, names) in TEXTS {
        for name in names.iter().filter(|name| **name != "emailAddress") {
            for character in ["x", "\u{1f600}"] {
                let answer = change(server, with(part, name, json!(character.repeat(256)))).await;
                assert_code(&answer, 400, code_of_text(part), name);
                assert!(answer.body["errorSource"].as_str().unwrap_or_default().contains(name));
                let longest = server.post(FIRST, with(part, name, json!(character.repeat(255)))).await;
                assert_eq!(longest.status, 200, "{name} {}", longest.text);
            }
        }
    }
    let answer = change(server, with("client", "notes", json!("x".repeat(65_536)))).await;
    assert_code(&answer, 400, 3742, "notes");
    assert_eq!(
        server
            .post(FIRST, with("client", "notes", json!("ä".repeat(65_535))))
            .await
            .status,
        200
    );
}

async fn invalid_dates_are_refused(server: &TestServer) {
    create(server, json!({})).await;
    for wrong in [
        "1990-02-30",
        "1990-13-01",
        "0000-01-01",
        "17.04.1990",
        "yesterday",
        "1990-4-17",
        "1990-04-17T",
        "1990-04-17T25:00:00+0000",
    ] {
        let answer = change(server, with("client", "birthDate", json!(wrong))).await;
        assert_code(&answer, 400, 309, wrong);
        let answer = change(server, with("idDocuments", "validUntil", json!(wrong))).await;
        assert_code(&answer, 400, 950, wrong);
    }
    for right in [
        "1990-04-17",
        "1990-04-17T23:59:59+0000",
        "1990-04-17T00:00:00+1400",
        "1990-04-17T12:00:00.000Z",
    ] {
        let answer = server.post(FIRST, with("client", "birthDate", json!(right))).await;
        assert_eq!(
            answer.body["client"]["birthDate"],
            json!("1990-04-17T00:00:00+0000"),
            "{right} {}",
            answer.text
        );
    }
}

async fn invalid_degrees_are_refused(server: &TestServer) {
    create(server, json!({})).await;
    for (name, wrong) in [
        ("latitude", json!(90.000001)),
        ("latitude", json!(-91)),
        ("longitude", json!("180.5")),
        ("longitude", json!(1e300)),
        ("latitude", json!("north")),
        ("latitude", json!("NaN")),
        ("longitude", json!("inf")),
    ] {
        let answer = change(server, with("addresses", name, wrong.clone())).await;
        assert_code(&answer, 400, 1150, &format!("{name} {wrong}"));
    }
    for (sent, answered) in [
        (json!("90"), json!(90.0)),
        (json!(-90), json!(-90.0)),
        (json!("-0.5"), json!(-0.5)),
    ] {
        let answer = server.post(FIRST, with("addresses", "latitude", sent.clone())).await;
        assert_eq!(
            answer.body["addresses"][0]["latitude"].as_f64(),
            answered.as_f64(),
            "{sent} {}",
            answer.text
        );
    }
}

async fn invalid_languages_and_email_addresses_are_refused(server: &TestServer) {
    create(server, json!({})).await;
    for (name, wrong, code) in [
        ("preferredLanguage", "KLINGON", 2427),
        ("preferredLanguage", "PORTUGUESE", 2427),
        ("preferredLanguage", "english", 2427),
        ("emailAddress", "absent", 711),
        ("emailAddress", "a@b@c", 711),
        ("emailAddress", "a b@example.test", 711),
        ("emailAddress", "a@example.test\r\nBcc: b@example.test", 711),
    ] {
        assert_code(
            &change(server, with("client", name, json!(wrong))).await,
            400,
            code,
            wrong,
        );
    }
}

async fn too_many_members_are_refused(server: &TestServer) {
    create(server, json!({})).await;
    let documents = |count| json!({ "idDocuments": vec![json!({ "documentType": "a", "documentId": "b" }); count] });
    assert_code(&change(server, documents(201)).await, 400, 4, "documents");
    assert_eq!(server.post(FIRST, documents(200)).await.status, 200);
    // The first address is read, the others are counted.
    let addresses = |count| {
        let mut list = vec![json!(5); count];
        list[0] = json!({ "city": "Exampleton" });
        json!({ "addresses": list })
    };
    assert_code(&change(server, addresses(201)).await, 400, 4, "addresses");
    assert_eq!(server.post(FIRST, addresses(200)).await.status, 200);
    let values: Vec<Value> = (0..1_001)
        .map(|number| json!({ "customFieldID": format!("f{number}"), "value": "x" }))
        .collect();
    assert_code(
        &change(server, json!({ "customInformation": values })).await,
        400,
        4,
        "values",
    );
}

async fn unknown_paths_and_methods_are_refused(server: &TestServer) {
    create(server, json!({})).await;
    for path in [
        "/api",
        "/api/",
        "/api/loans",
        "/api/savings",
        "/api/clients/<key 1>/loans",
        "/api//clients",
    ] {
        let answer = server.get(path).await;
        assert_code(&answer, 404, 3, path);
        let source = answer.body["errorSource"].as_str().unwrap_or_default();
        assert!(
            source.starts_with("There is no route GET ") && source.contains("/api") && !source.contains("<key 1>"),
            "{source}"
        );
    }
    let loans = server.post("/api/loans", json!({ "client": {} })).await;
    loans.is(
        404,
        refusal(
            3,
            "INVALID_API_OPERATION",
            "There is no route POST /api/loans: this server stores clients only.",
        ),
    );
    let strange = server.get("/api/%3Cb%3E").await;
    strange.is(
        404,
        refusal(
            3,
            "INVALID_API_OPERATION",
            "There is no route GET of this path below /api.",
        ),
    );
    for (method, path) in [(Method::PUT, CLIENTS), (Method::DELETE, CLIENTS), (Method::PUT, FIRST)] {
        assert_code(&server.send(server.request(method, path)).await, 405, 5, path);
    }
}
