//! Requests without credentials: only those that sign in or refresh a session are answered.

use std::{
    convert::Infallible,
    fs,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Bytes, HttpBody},
    http::HeaderMap,
};
use clientele::api::{self, authentication::AuthenticationSettings};
use graphql_server::{
    persisted::{Manifest, Persisted},
    settings::TrustedDocuments,
};
use hyper::body::Frame;
use serde_json::{Value, json};

use super::{PASSWORD, REFRESH, SIGN_IN, WRONG_PASSWORD, anonymous, ask_to_sign_in, refused, sign_in};
use crate::{
    harness::{Backend, Settings, TestServer},
    sign_in::{credentials::on, user},
};

const ID: &str = "01a22422-b6f7-760e-8e62-2f48f7c66c40";
const JSON: (&str, &str) = ("content-type", "application/json");

/// The answer, without the time in its headers.
async fn answer(
    server: &TestServer,
    body: impl Into<reqwest::Body>,
    headers: &[(&str, &str)],
) -> (u16, HeaderMap, String) {
    let response = anonymous(server, body, &[headers, &[("x-request-id", ID)]].concat()).await;
    let mut answered = response.headers().clone();
    answered.remove("date");
    (
        response.status().as_u16(),
        answered,
        response.text().await.expect("a text"),
    )
}

fn document(query: &str) -> String {
    let input = json!({ "name": "ana", "password": PASSWORD });
    json!({ "query": query, "variables": { "input": input } }).to_string()
}

/// A request to sign in, with a body of this many bytes.
fn of_length(bytes: usize) -> String {
    let body = document(SIGN_IN);
    format!("{body}{}", " ".repeat(bytes - body.len()))
}

/// A body whose length is known only when it has been read.
struct UnsizedBody(Option<String>);

impl HttpBody for UnsizedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|text| Ok(Frame::data(text.into()))))
    }
}

on_both!(
    only_sign_in_and_refresh_need_no_credentials,
    mutation_that_signs_in_is_the_only_one_of_its_operation,
    wrong_passwords_are_alike_and_throttled,
    right_password_is_throttled_like_a_wrong_one,
    skipped_and_validated_sign_ins_begin_no_session,
);

async fn only_sign_in_and_refresh_need_no_credentials(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    user(server, "ana", &[]).await;
    let before = server.snapshot().await;
    // No request like this has ever been read without credentials.
    let refusal = answer(
        &strict,
        document("{ viewer { name } }"),
        &[("content-type", "text/plain")],
    )
    .await;
    assert_eq!((refusal.0, refusal.1.get("www-authenticate").is_some()), (401, true));
    assert_eq!(refusal.1["cache-control"], "no-store");
    let aliases = "mutation($input: SignInInput!) { a: signIn(input: $input) { accessToken } \
        b: signIn(input: $input) { accessToken } }";
    let with_another = "mutation($input: SignInInput!) { signIn(input: $input) { accessToken } \
        deleteUser(input: { name: \"ana\" }) { deletedUserKey } }";
    let in_fragment = "mutation($input: SignInInput!) { ...all } fragment all on Mutation { \
        signIn(input: $input) { accessToken } deleteUser(input: { name: \"ana\" }) { deletedUserKey } }";
    for query in [
        "{ __typename }",
        "{ __schema { types { name } } }",
        "{ viewer { name } }",
        "{ clients { nodes { clientId } } }",
        "{ signIn }",
        "mutation { __typename }",
        "mutation { ... on Mutation { __typename } signIn { accessToken } }",
        "mutation { signOut { endedSessions } }",
        "mutation { signin }",
        "subscription { signIn }",
        "mutation { signIn",
        "",
        aliases,
        with_another,
        in_fragment,
    ] {
        assert_eq!(answer(&strict, document(query), &[JSON]).await, refusal, "{query}");
    }
    let two = "mutation Enter($input: SignInInput!) { signIn(input: $input) { accessToken } } \
        query Look { viewer { name } }";
    let named = |name: Option<&str>| {
        let mut body: Value = serde_json::from_str(&document(two)).expect("JSON");
        body["operationName"] = json!(name);
        body.to_string()
    };
    for body in [
        named(None),
        named(Some("Look")),
        named(Some("Nothing")),
        "{".to_owned(),
        String::new(),
        "[]".to_owned(),
        format!("[{}]", document(SIGN_IN)),
        of_length(16 * 1024 + 1),
    ] {
        assert_eq!(answer(&strict, body.clone(), &[JSON]).await, refusal, "{body}");
    }
    let unsized_body = reqwest::Body::wrap(UnsizedBody(Some(of_length(16 * 1024 + 1))));
    assert_eq!(answer(&strict, unsized_body, &[JSON]).await, refusal);
    for headers in [
        &[("content-type", "text/plain")][..],
        &[JSON, ("content-encoding", "gzip")],
        &[JSON, ("graphql-cost", "what")],
    ] {
        assert_eq!(
            answer(&strict, document(SIGN_IN), headers).await,
            refusal,
            "{headers:?}"
        );
    }
    // The answer to a page of another site names the setting, whatever the page sends.
    let foreign = [JSON, ("sec-fetch-site", "cross-site")];
    let of_page = answer(&strict, document(SIGN_IN), &foreign).await;
    assert_eq!((of_page.0, of_page.2.contains("cors.allowed_origins")), (401, true));
    assert_eq!(
        answer(&strict, document("{ viewer { name } }"), &foreign).await,
        of_page
    );
    // Wrong credentials don't become none.
    let wrong = [JSON, ("authorization", "Bearer clt_invented")];
    assert_eq!(answer(&strict, document(SIGN_IN), &wrong).await.0, 401);
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");

    let generated = SIGN_IN.replacen('{', "{ __typename", 1);
    for body in [
        named(Some("Enter")),
        of_length(16 * 1024),
        document(SIGN_IN),
        document(&generated),
    ] {
        let (status, headers, text) = answer(&strict, body, &[JSON]).await;
        assert_eq!(
            (status, &headers["cache-control"]),
            (200, &"no-store".parse().expect("a value"))
        );
        assert!(text.contains("\"accessToken\":\"cla_"), "{text}");
    }
    // A mistake in the document is explained, without names of the schema.
    let (status, _, text) = answer(&strict, document("mutation { signIn { acessToken } }"), &[JSON]).await;
    assert!(status == 200 && text.contains("VALIDATION_FAILED"), "{text}");
    assert!(!text.contains("accessToken"), "{text}");
    strict.stop().await;
}

/// The rule holds for authenticated callers, too: an operation can't try many passwords.
async fn mutation_that_signs_in_is_the_only_one_of_its_operation(server: &TestServer) {
    for (first, second) in [
        (
            "signIn(input: { name: \"a\", password: \"b\" })",
            "signOut { endedSessions }",
        ),
        (
            "refreshSession(input: { refreshToken: \"a\" })",
            "a: signIn(input: { name: \"a\", password: \"b\" }) { accessToken }",
        ),
    ] {
        let query = format!("mutation {{ {first} {{ accessToken }} {second} }}");
        let answer = server.graphql(&query, json!({})).await;
        let name = first.split('(').next().expect("a name");
        let message = format!("{name} must be the only field of its operation.");
        assert_eq!(answer.body["errors"][0]["message"], message, "{}", answer.text);
        assert_eq!(answer.body["errors"][0]["extensions"]["code"], "BAD_REQUEST");
    }
}

async fn wrong_passwords_are_alike_and_throttled(server: &TestServer) {
    let settings = AuthenticationSettings {
        failures_per_user: 2,
        ..AuthenticationSettings::default()
    };
    let strict = server.another(Settings::authenticated(settings)).await;
    user(server, "ana", &[]).await;
    user(server, "bo", &[]).await;
    let locked = json!({ "input": { "name": "bo", "active": false } });
    server.graphql(super::UPSERT, locked).await;
    let errors = refused("WRONG_CREDENTIALS", WRONG_PASSWORD, &["input"]);
    let wrong = json!({ "signIn": { "accessToken": null, "refreshToken": null, "userErrors": errors } });
    let hasher = &strict.services.accounts.hasher;
    for (name, password) in [("ana", "wrong"), ("bo", PASSWORD), ("absent", PASSWORD), ("", "")] {
        let before = hasher.comparisons();
        ask_to_sign_in(&strict, name, password).await.data(wrong.clone());
        assert_eq!(
            hasher.comparisons() - before,
            1,
            "{name}: it takes as long as any other"
        );
    }
    for (name, password, path, most) in [
        ("a".repeat(65), PASSWORD.to_owned(), "name", 64),
        ("ana".to_owned(), "a".repeat(1_001), "password", 1_000),
    ] {
        let message = format!("{path} must have at most {most} bytes.");
        let errors = refused("TOO_LONG", &message, &["input", path]);
        let long = json!({ "signIn": { "accessToken": null, "refreshToken": null, "userErrors": errors } });
        ask_to_sign_in(&strict, &name, &password).await.data(long);
    }
    ask_to_sign_in(&strict, &"a".repeat(64), &"a".repeat(1_000))
        .await
        .data(wrong.clone());
    // The failures of Basic count, too, and case makes no difference.
    let request = strict.request(reqwest::Method::GET, "/api/clients");
    assert_eq!(strict.send(request.basic_auth("ANA", Some("wrong"))).await.status, 401);
    let throttled = anonymous(&strict, document(SIGN_IN), &[JSON]).await;
    assert_eq!(throttled.status().as_u16(), 429);
    let wait: u64 = throttled.headers()["retry-after"]
        .to_str()
        .expect("a text")
        .parse()
        .expect("seconds");
    assert!((1..=150).contains(&wait), "{wait}");
    let throttled: Value = throttled.json().await.expect("JSON");
    assert_eq!(throttled["errors"][0]["extensions"]["code"], "RATE_LIMITED");
    strict.stop().await;
}

/// A caller on the network of a user who has just signed in can't find the password once the throttle is used up.
async fn right_password_is_throttled_like_a_wrong_one(server: &TestServer) {
    let settings = AuthenticationSettings {
        failures_per_user: 2,
        ..AuthenticationSettings::default()
    };
    let strict = server.another(Settings::authenticated(settings)).await;
    user(server, "ana", &[]).await;
    // Each sign-in is verified, also after one with Basic, whose credentials are remembered.
    let basic = strict.request(reqwest::Method::GET, "/api/customfieldsets");
    assert_eq!(strict.send(basic.basic_auth("ana", Some(PASSWORD))).await.status, 200);
    let before = strict.services.accounts.hasher.comparisons();
    sign_in(&strict, "ana").await;
    let tokens = sign_in(&strict, "ana").await;
    assert_eq!(strict.services.accounts.hasher.comparisons() - before, 2);
    // Case makes no difference.
    for name in ["ana", "ANA"] {
        assert_eq!(ask_to_sign_in(&strict, name, "wrong").await.status, 200);
    }
    let change = "mutation($input: ChangePasswordInput!) { changePassword(input: $input) { changed } }";
    for password in ["wrong", PASSWORD] {
        assert_eq!(ask_to_sign_in(&strict, "ana", password).await.status, 429, "{password}");
        let input = json!({ "oldPassword": password, "newPassword": "another good one" });
        let bearer = strict.as_bearer(&*tokens.access);
        let request = bearer.request(reqwest::Method::POST, "/graphql");
        let request = request.json(&json!({ "query": change, "variables": { "input": input } }));
        let throttled = request.send().await.expect("an answer");
        assert_eq!(throttled.status().as_u16(), 429, "{password}");
        let wait = throttled.headers()["retry-after"].to_str().expect("a text");
        assert!((1..=150).contains(&wait.parse::<u64>().expect("seconds")), "{wait}");
    }
    strict.stop().await;
}

async fn skipped_and_validated_sign_ins_begin_no_session(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    user(server, "ana", &[]).await;
    for directive in ["@skip(if: true)", "@include(if: false)"] {
        let query = format!("mutation($input: SignInInput!) {{ signIn(input: $input) {directive} {{ accessToken }} }}");
        let (status, _, text) = answer(&strict, document(&query), &[JSON]).await;
        assert_eq!((status, &*text), (200, r#"{"data":{}}"#), "{directive}");
    }
    let headers = [JSON, ("graphql-cost", "validate")];
    let (status, _, text) = answer(&strict, document(SIGN_IN), &headers).await;
    assert!(status == 200 && text.contains("\"cost\""), "{status} {text}");
    assert!(!text.contains("accessToken"), "{text}");
    assert_eq!(server.snapshot().await.rows("session"), [""; 0]);
    strict.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invented_refresh_tokens_are_throttled() {
    let settings = AuthenticationSettings {
        failures_per_address: 2,
        public_metrics: true,
        ..AuthenticationSettings::default()
    };
    on(Backend::Sqlite, Settings::authenticated(settings), async |server| {
        // A token that another request has just replaced is no guess.
        user(server, "ana", &[]).await;
        let tokens = sign_in(server, "ana").await;
        super::refresh(server, &tokens.refresh).await;
        for _ in 0..3 {
            let replaced = super::ask_to_refresh(server, &tokens.refresh).await;
            assert!(replaced.text.contains("TOKEN_REPLACED"), "{}", replaced.text);
        }
        let token = format!("clr_{}", "a".repeat(86));
        let body = json!({ "query": REFRESH, "variables": { "input": { "refreshToken": token } } }).to_string();
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(anonymous(server, body.clone(), &[JSON]).await.status().as_u16());
        }
        assert_eq!(statuses, [200, 200, 429]);
        let page = server.get("/metrics").await.text;
        for (outcome, count) in [("success", 1), ("wrong", 5), ("throttled", 1)] {
            let line = format!("clientele_sign_ins_total{{method=\"refresh_token\",outcome=\"{outcome}\"}} {count}\n");
            assert!(page.contains(&line), "{line}{page}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_are_registered_only_by_authenticated_callers() {
    let mut settings = Settings::signed_in();
    settings.doors = api::Settings {
        persisted: Persisted::automatic(1 << 20),
        ..settings.doors
    };
    on(Backend::Sqlite, settings, async |server| {
        user(server, "ana", &[]).await;
        let hash = |query: &str| {
            let hash = ring::digest::digest(&ring::digest::SHA256, query.as_bytes());
            hash.as_ref()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let named = |query: &str, text: bool| {
            let mut body: Value = serde_json::from_str(&document(query)).expect("JSON");
            body["extensions"] = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash(query) } });
            if !text {
                body.as_object_mut().expect("an object").remove("query");
            }
            body
        };
        let other = "query($input: SignInInput) { viewer { name } }";
        for _ in 0..2 {
            let (status, _, text) = answer(server, named(SIGN_IN, false).to_string(), &[JSON]).await;
            assert!(
                status == 200 && text.contains("PersistedQueryNotFound"),
                "{status} {text}"
            );
            let (status, _, text) = answer(server, named(SIGN_IN, true).to_string(), &[JSON]).await;
            assert!(status == 200 && text.contains("\"accessToken\":\"cla_"), "{text}");
            assert_eq!(answer(server, named(other, true).to_string(), &[JSON]).await.0, 401);
        }
        let tokens = sign_in(server, "ana").await;
        let bearer = server.as_bearer(&*tokens.access);
        assert_eq!(bearer.post("/graphql", named(SIGN_IN, true)).await.status, 200);
        let (_, _, text) = answer(server, named(SIGN_IN, false).to_string(), &[JSON]).await;
        assert!(text.contains("\"accessToken\":\"cla_"), "{text}");
        // An answer doesn't reveal which other documents are registered.
        let unknown = answer(server, named(other, false).to_string(), &[JSON]).await;
        assert!(
            unknown.0 == 200 && unknown.2.contains("PersistedQueryNotFound"),
            "{}",
            unknown.2
        );
        for registered in [other, "{ viewer { name } }", "{ viewer {"] {
            bearer.post("/graphql", named(registered, true)).await;
            let found = answer(server, named(registered, false).to_string(), &[JSON]).await;
            assert_eq!(found, unknown, "{registered}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_trusted_documents_sign_in_where_others_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("documents.json");
    fs::write(&file, json!({ "enter": SIGN_IN }).to_string()).expect("written");
    let manifest = Manifest::load(&file).expect("a manifest");
    let mut settings = Settings::signed_in();
    settings.doors = api::Settings {
        persisted: Persisted::default().trusting(manifest, TrustedDocuments::Only),
        ..settings.doors
    };
    on(Backend::Sqlite, settings, async |server| {
        user(server, "ana", &[]).await;
        assert_eq!(answer(server, document(SIGN_IN), &[JSON]).await.0, 401);
        let input = json!({ "name": "ana", "password": PASSWORD });
        let body = json!({ "documentId": "enter", "variables": { "input": input } }).to_string();
        let (status, _, text) = answer(server, body, &[JSON]).await;
        assert!(status == 200 && text.contains("\"accessToken\":\"cla_"), "{text}");
    })
    .await;
}
