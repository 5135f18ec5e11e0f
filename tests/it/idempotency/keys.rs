//! The form of keys, and their binding to one request.

use reqwest::{Method, header::HeaderValue};
use serde_json::json;

use super::{CLIENTS, counts, ines, post, upsert};
use crate::harness::TestServer;

on_both!(
    key_is_bound_to_one_request,
    refused_request_leaves_the_key_free,
    malformed_keys_are_refused,
    quoted_key_equals_its_content_and_reads_need_no_key,
);

async fn key_is_bound_to_one_request(server: &TestServer) {
    assert_eq!(post(server, CLIENTS, "order-7319", &ines()).await.status, 200);
    let reused = json!({
        "returnCode": 4, "returnStatus": "INVALID_PARAMETERS",
        "errorSource": "This idempotency key has been used for another request: give each request a key of its own.",
    });
    let before = server.snapshot().await;
    let mut other = ines();
    other["client"]["notes"] = json!("other");
    for (path, body) in [
        (CLIENTS, &other),
        ("/api/clients/", &ines()),
        ("/api/clients?limit=1", &ines()),
        ("/api/clients/<key 1>", &ines()),
    ] {
        post(server, path, "order-7319", body).await.is(422, reused.clone());
    }
    // The same input through the other API is another request.
    let answer = upsert(server, "order-7319", &ines()).await;
    let error = json!({
        "code": "IDEMPOTENCY_KEY_REUSED", "path": ["input", "idempotencyKey"],
        "message": "This idempotency key has been used for another request: give each request a key of its own.",
    });
    answer.data(
        json!({ "upsertClient": { "created": false, "clientMutationId": null, "client": null,
        "userErrors": [error] } }),
    );
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
}

async fn refused_request_leaves_the_key_free(server: &TestServer) {
    let wrong = json!({ "client": { "firstName": "Ines" } });
    let before = server.snapshot().await;
    assert_eq!(post(server, CLIENTS, "rest", &wrong).await.status, 400);
    assert_eq!(post(server, "/api/clients/absent", "rest", &ines()).await.status, 404);
    assert_eq!(
        upsert(server, "graphql", &wrong).await.body["data"]["upsertClient"]["userErrors"][0]["code"],
        "BLANK"
    );
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    assert_eq!(post(server, CLIENTS, "rest", &ines()).await.status, 200);
    assert_eq!(
        upsert(server, "graphql", &ines()).await.body["data"]["upsertClient"]["created"],
        true
    );
}

async fn malformed_keys_are_refused(server: &TestServer) {
    let malformed = "An idempotency key is made of printable ASCII characters, at least one: a UUID for example.";
    let too_long = "An idempotency key has at most 255 characters.";
    let unreadable =
        "The Idempotency-Key header takes printable ASCII characters, as they are or as a string in double quotes.";
    let before = server.snapshot().await;
    let longer = "k".repeat(256);
    for (bytes, source) in [
        (&b""[..], malformed),
        (b"\"\"", malformed),
        (b"a\tb", malformed),
        (longer.as_bytes(), too_long),
        (b"\xc3\xbc", unreadable),
        (b"\"order-7319", unreadable),
        (b"\"k\";a=1", unreadable),
    ] {
        let value = HeaderValue::from_bytes(bytes).expect("a header can hold it");
        let request = server
            .request(Method::POST, CLIENTS)
            .header("Idempotency-Key", value)
            .json(&ines());
        let refusal = json!({ "returnCode": 4, "returnStatus": "INVALID_PARAMETERS", "errorSource": source });
        server.send(request).await.is(400, refusal);
    }
    let request = server
        .request(Method::POST, CLIENTS)
        .header("Idempotency-Key", "order-7319")
        .header("Idempotency-Key", "order-7319");
    let several = "Send one Idempotency-Key header, not several.";
    server.send(request.json(&ines())).await.is(
        400,
        json!({ "returnCode": 4, "returnStatus": "INVALID_PARAMETERS", "errorSource": several }),
    );
    for (key, code, message) in [
        ("", "MALFORMED", malformed),
        ("\u{7}", "MALFORMED", malformed),
        ("ü", "MALFORMED", malformed),
        (&longer, "TOO_LONG", too_long),
    ] {
        let error = json!({ "code": code, "path": ["input", "idempotencyKey"], "message": message });
        upsert(server, key, &ines()).await.data(
            json!({ "upsertClient": { "created": false, "clientMutationId": null, "client": null,
                "userErrors": [error] } }),
        );
    }
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
}

async fn quoted_key_equals_its_content_and_reads_need_no_key(server: &TestServer) {
    let longest = "k".repeat(255);
    for (key, same) in [("8e03978e-40d5", "\"8e03978e-40d5\""), (&*longest, &*longest)] {
        let (first, again) = (
            post(server, CLIENTS, key, &ines()).await,
            post(server, CLIENTS, same, &ines()).await,
        );
        assert_eq!((first.status, &first.text), (200, &again.text));
    }
    let request = server
        .request(Method::GET, "/api/clients/<key 1>")
        .header("Idempotency-Key", "\"");
    assert_eq!(server.send(request).await.status, 200);
    assert_eq!(counts(server).await, [2, 0, 2]);
}
