//! Creation by query parameters and by form, and combinations that are refused.

use reqwest::Method;
use serde_json::{Value, json};

use super::{CLIENTS, FIRST, client, create, expanded, refusal};
use crate::harness::{Answer, TestServer};

const EVERY_PARAMETER: &str = "firstName=Trevor&lastName=Linden&id=chosen&state=INACTIVE&middleName=Good&homePhone=1\
     &emailAddress=t%40example.test&mobilePhone1=%2B2&mobilePhone2=3&birthDate=1990-04-17&gender=FEMALE&notes=a+b%20c\
     &assignedUserKey=u1&assignedBranchKey=b1&assignedCentreKey=c1&preferredLanguage=GERMAN";

fn every_member() -> Value {
    client(json!({
        "id": "chosen", "middleName": "Good", "homePhone": "1", "emailAddress": "t@example.test", "mobilePhone1": "+2",
        "mobilePhone2": "3", "birthDate": "1990-04-17T00:00:00+0000", "gender": "FEMALE", "notes": "a b c",
        "assignedUserKey": "u1", "assignedBranchKey": "b1", "assignedCentreKey": "c1", "preferredLanguage": "GERMAN",
    }))
}

async fn send(server: &TestServer, path: &str, content_type: Option<&str>, body: &'static str) -> Answer {
    let mut request = server.request(Method::POST, path);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    if !body.is_empty() {
        request = request.body(body);
    }
    server.send(request).await
}

on_both!(
    parameters_create_a_bare_client,
    form_creates_a_bare_client,
    old_spellings_are_accepted,
    content_type_without_a_body_is_refused_with_advice,
    parameters_with_a_json_body_are_refused,
    unknown_parameter_is_named,
    parameters_cannot_change_a_client,
    parameters_are_validated_like_members,
    content_type_of_a_get_is_ignored,
);

async fn parameters_create_a_bare_client(server: &TestServer) {
    send(server, &format!("{CLIENTS}?{EVERY_PARAMETER}"), None, "")
        .await
        .is(200, every_member());
}

async fn form_creates_a_bare_client(server: &TestServer) {
    for content_type in [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=UTF-8",
    ] {
        let request = server
            .request(Method::POST, CLIENTS)
            .header("content-type", content_type);
        let answer = server
            .send(request.body(EVERY_PARAMETER.replace("chosen", content_type)))
            .await;
        assert_eq!(
            answer.status,
            if content_type.len() <= 32 { 200 } else { 400 },
            "{}",
            answer.text
        );
    }
    let request = server
        .request(Method::POST, CLIENTS)
        .header("content-type", "application/x-www-form-urlencoded");
    server.send(request.body(EVERY_PARAMETER)).await.is(200, every_member());
}

async fn old_spellings_are_accepted(server: &TestServer) {
    let path = "/api/clients?firstName=Trevor&lastName=Linden&homephone=1&mobilephone=2&birthdate=1990-04-17\
                &email=t%40example.test";
    let members = json!({
        "homePhone": "1", "mobilePhone1": "2", "birthDate": "1990-04-17T00:00:00+0000",
            "emailAddress": "t@example.test",
    });
    send(server, path, None, "").await.is(200, client(members));
}

async fn content_type_without_a_body_is_refused_with_advice(server: &TestServer) {
    let before = server.snapshot().await;
    for content_type in ["application/json", "text/plain", "application/vnd.mambu.v1+json"] {
        let answer = send(
            server,
            "/api/clients?firstName=Trevor&lastName=Linden",
            Some(content_type),
            "",
        )
        .await;
        let source = answer.body["errorSource"].as_str().unwrap_or_default();
        assert!(source.contains("Content-Type"), "{source}");
        answer.is(400, refusal(30, "MISSING_ENTITY_JSON", source));
    }
    assert_eq!(server.snapshot().await, before);
}

async fn parameters_with_a_json_body_are_refused(server: &TestServer) {
    let body = json!({ "client": { "firstName": "Trevor", "lastName": "Linden" } });
    let before = server.snapshot().await;
    let answer = server.post("/api/clients?firstName=Trevor", body.clone()).await;
    assert_eq!(
        (answer.status, &answer.body["returnCode"]),
        (400, &json!(27)),
        "{}",
        answer.text
    );
    assert_eq!(server.snapshot().await, before);
    // Parameters that do not describe the client are allowed: real callers always send them.
    server
        .post("/api/clients?fullDetails=true&limit=5&offset=0", body)
        .await
        .is(200, expanded(client(json!({})), json!({})));
}

async fn unknown_parameter_is_named(server: &TestServer) {
    let before = server.snapshot().await;
    for name in ["surname", "firstname", "clientRole", "addresses"] {
        let answer = send(
            server,
            &format!("/api/clients?firstName=Trevor&lastName=Linden&{name}=x"),
            None,
            "",
        )
        .await;
        assert_eq!(
            (answer.status, &answer.body["returnCode"]),
            (400, &json!(27)),
            "{}",
            answer.text
        );
        assert!(
            answer.body["errorSource"].as_str().unwrap_or_default().contains(name),
            "{}",
            answer.text
        );
    }
    assert_eq!(server.snapshot().await, before);
}

async fn parameters_cannot_change_a_client(server: &TestServer) {
    create(server, json!({})).await;
    let before = server.snapshot().await;
    for path in [
        "/api/clients/<key 1>?firstName=Changed",
        "/api/clients/<id 1>?notes=x&middleName=y",
        FIRST,
    ] {
        let answer = send(server, path, None, "").await;
        assert_eq!(
            (answer.status, &answer.body["returnCode"]),
            (400, &json!(30)),
            "{}",
            answer.text
        );
    }
    assert_eq!(server.snapshot().await, before);
}

async fn parameters_are_validated_like_members(server: &TestServer) {
    let before = server.snapshot().await;
    for (query, code) in [
        ("lastName=Linden", 4),
        ("firstName=&lastName=Linden", 4),
        ("firstName=T&lastName=L&gender=other", 4),
        ("firstName=T&lastName=L&birthDate=1990-02-30", 309),
        ("firstName=T&lastName=L&emailAddress=x", 711),
        ("firstName=T&lastName=L&preferredLanguage=KLINGON", 2427),
        ("firstName=T&lastName=L&notes=%00", 3742),
        ("firstName=T&lastName=L&state=ACTIVE", 305),
        ("firstName=%FF&lastName=L", 22),
    ] {
        let answer = send(server, &format!("/api/clients?{query}"), None, "").await;
        assert_eq!(
            (answer.status, &answer.body["returnCode"]),
            (400, &json!(code)),
            "{query} {}",
            answer.text
        );
    }
    assert_eq!(server.snapshot().await, before);
}

async fn content_type_of_a_get_is_ignored(server: &TestServer) {
    create(server, json!({})).await;
    let request = server
        .request(Method::GET, FIRST)
        .header("content-type", "application/json");
    server
        .send(request.header("accept", "application/vnd.mambu.v1+json"))
        .await
        .is(200, client(json!({})));
}
