//! Each form of credentials, on both APIs.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use chrono::{DateTime, Utc};
use clientele::api::authentication::AuthenticationSettings;
use clientele::{
    access::UpsertUser,
    caller::{Caller, Permission, Rights},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Backend, Settings, TestServer};

const NO_CREDENTIALS: &str =
    "Sign in: send the header Authorization with Basic and your name and password, or with Bearer and a token.";
const WRONG: &str = "These credentials are wrong, or not valid any more.";
pub const PASSWORD: &str = "correct horse battery";

pub fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

/// Creates a user with this name and [`PASSWORD`].
pub async fn user(server: &TestServer, name: &str, permissions: &[Permission]) {
    let input = UpsertUser {
        name: name.to_owned(),
        password: Given(PASSWORD.to_owned()),
        active: None,
        permissions: Given(permissions.to_vec()),
        view_sets: Undefined,
        edit_sets: Undefined,
        branches: Undefined,
        centres: Undefined,
        role: Undefined,
        client_mutation_id: None,
    };
    let made = server
        .services
        .accounts
        .create_user(&Caller::operator(), &input, now())
        .await;
    made.expect("the database answers").expect("the user is sound");
}

/// Runs on a server with these settings, on both databases.
pub async fn on(backend: Backend, settings: Settings, scenario: impl AsyncFnOnce(&TestServer)) {
    let Some(server) = TestServer::start(backend, settings).await else {
        return;
    };
    scenario(&server).await;
    server.stop().await;
}

/// As `on_both!`, with servers that require credentials.
macro_rules! signed_in {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                on(Backend::Sqlite, Settings::signed_in(), super::$name).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                on(Backend::Postgres, Settings::signed_in(), super::$name).await;
            }
        }
    )+};
}

async fn basic(server: &TestServer, name: &str, password: &str) -> u16 {
    let request = server
        .request(Method::GET, "/api/clients")
        .basic_auth(name, Some(password));
    server.send(request).await.status
}

signed_in!(
    request_without_credentials_is_refused_everywhere,
    all_wrong_credentials_get_the_same_refusal,
    user_name_is_case_insensitive_in_sign_in_and_throttling,
    each_kind_of_credentials_has_its_own_rights,
    password_change_and_removal_apply_on_every_server,
    token_revocation_applies_on_every_server,
    callers_cannot_grant_rights_they_lack,
    last_user_manager_cannot_be_removed,
    viewer_query_describes_the_caller,
);

async fn request_without_credentials_is_refused_everywhere(server: &TestServer) {
    let refused =
        json!({ "returnCode": 1, "returnStatus": "INVALID_BASIC_AUTHORIZATION", "errorSource": NO_CREDENTIALS });
    for (method, path) in [
        ("GET", "/api/clients"),
        ("POST", "/api/clients"),
        ("GET", "/api/nowhere"),
        ("DELETE", "/api/clients"),
        ("GET", "/api"),
        ("OPTIONS", "/api/clients/x"),
    ] {
        let request = server.request(method.parse().expect("a method"), path);
        server.send(request).await.is(401, refused.clone());
    }
    for media in ["application/json", "application/graphql-response+json"] {
        let request = server.request(Method::POST, "/graphql").header("accept", media);
        let answer = server.send(request.json(&json!({ "query": "{ __typename }" }))).await;
        assert_eq!(answer.content_type, format!("{media}; charset=utf-8"));
        assert_eq!(
            (answer.status, &answer.body["errors"][0]["message"]),
            (401, &json!(NO_CREDENTIALS))
        );
        assert_eq!(answer.body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }
    let (bearer, basic) = (
        "Bearer realm=\"clientele\"",
        "Basic realm=\"clientele\", charset=\"UTF-8\"",
    );
    for (path, header, challenges) in [
        ("/graphql", None, &[bearer, basic][..]),
        ("/graphql", Some(("sec-fetch-mode", "navigate")), &[bearer, basic]),
        // Scripts of pages: the browser must not show its password dialog for them.
        ("/graphql", Some(("sec-fetch-mode", "cors")), &[bearer]),
        ("/graphql", Some(("sec-fetch-mode", "same-origin")), &[bearer]),
        ("/graphql", Some(("x-requested-with", "XMLHttpRequest")), &[bearer]),
        ("/api", None, &[basic]),
    ] {
        let request = server.request(Method::GET, path);
        let request = header
            .into_iter()
            .fold(request, |request, (name, value)| request.header(name, value));
        let response = request.send().await.expect("an answer");
        let answered: Vec<_> = response.headers().get_all("www-authenticate").iter().collect();
        assert_eq!(answered, challenges, "{path} {header:?}");
    }
}

async fn all_wrong_credentials_get_the_same_refusal(server: &TestServer) {
    user(server, "ana", &[Permission::ViewClient]).await;
    let refused = json!({ "returnCode": 2, "returnStatus": "INVALID_CREDENTIALS", "errorSource": WRONG });
    for (name, password) in [
        ("ana", "wrong"),
        ("absent", PASSWORD),
        ("ana\0", PASSWORD),
        ("ana ", PASSWORD),
    ] {
        let request = server
            .request(Method::GET, "/api/clients")
            .basic_auth(name, Some(password));
        server.send(request).await.is(401, refused.clone());
    }
    for token in ["clt_unknown", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        server
            .as_bearer(token)
            .get("/api/clients")
            .await
            .is(401, refused.clone());
        let request = server.request(Method::GET, "/api/clients").header("apiKey", token);
        server.send(request).await.is(401, refused.clone());
    }
}

async fn user_name_is_case_insensitive_in_sign_in_and_throttling(server: &TestServer) {
    user(server, "Ana", &[Permission::ViewClient]).await;
    for name in ["Ana", "ana", "ANA"] {
        assert_eq!(basic(server, name, PASSWORD).await, 200, "{name}");
    }
    assert_eq!(server.services.accounts.hasher.comparisons(), 1, "the same credentials");
    for number in 0..11 {
        let name = ["ana", "ANA", "aNa"][number % 3];
        let expected = if number < 10 { 401 } else { 429 };
        assert_eq!(
            basic(server, name, &format!("wrong {number}")).await,
            expected,
            "{number}"
        );
    }
}

async fn each_kind_of_credentials_has_its_own_rights(server: &TestServer) {
    user(server, "ana", &[Permission::ViewClient]).await;
    assert_eq!(basic(server, "ana", PASSWORD).await, 200);
    let token = server.token(&Rights::of([Permission::ViewClient])).await;
    server.as_bearer(&token).get("/api/clients").await.is(200, json!([]));
    let key = server.request(Method::GET, "/api/clients").header("apiKey", &token);
    server.send(key).await.is(200, json!([]));
    let refused = server
        .as_bearer(&token)
        .post(
            "/api/clients",
            json!({ "client": { "firstName": "Amara", "lastName": "Bellweather" } }),
        )
        .await;
    assert_eq!((refused.status, &refused.body["returnCode"]), (403, &json!(15)));
}

async fn password_change_and_removal_apply_on_every_server(server: &TestServer) {
    user(server, "ana", &[Permission::ViewClient]).await;
    user(server, "boss", &Permission::ALL).await;
    let other = server.another(Settings::signed_in()).await;
    assert_eq!(
        (
            basic(server, "ana", PASSWORD).await,
            basic(&other, "ana", PASSWORD).await
        ),
        (200, 200)
    );
    let query =
        "mutation($input: ChangePasswordInput!) { changePassword(input: $input) { userErrors { code message path } } }";
    let change = async |old: &str, new: &str| {
        let body = json!({ "query": query, "variables": { "input": { "oldPassword": old, "newPassword": new } } });
        let request = server
            .request(Method::POST, "/graphql")
            .basic_auth("ana", Some(PASSWORD));
        server.send(request.json(&body)).await.body["data"]["changePassword"]["userErrors"].clone()
    };
    assert_eq!(
        change("wrong", "another good one").await[0]["path"],
        json!(["input", "oldPassword"])
    );
    assert_eq!(change(PASSWORD, "short").await[0]["code"], "MALFORMED");
    assert_eq!(
        change(PASSWORD, PASSWORD).await[0]["path"],
        json!(["input", "newPassword"])
    );
    assert_eq!(change(PASSWORD, "another good one").await, json!([]));
    for server in [server, &other] {
        assert_eq!(basic(server, "ana", PASSWORD).await, 401);
        assert_eq!(basic(server, "ana", "another good one").await, 200);
    }
    let gone = clientele::access::DeleteUser {
        name: "ana".to_owned(),
        client_mutation_id: None,
    };
    other
        .services
        .accounts
        .delete_user(&Caller::operator(), &gone, now())
        .await
        .expect("answers")
        .expect("removed");
    for server in [server, &other] {
        assert_eq!(basic(server, "ana", "another good one").await, 401);
    }
    other.stop().await;
}

async fn token_revocation_applies_on_every_server(server: &TestServer) {
    let other = server.another(Settings::signed_in()).await;
    let (token, manager) = (
        server.token(&Rights::of([Permission::ViewClient])).await,
        server.token(&Rights::all()).await,
    );
    assert_eq!(other.as_bearer(&token).get("/api/clients").await.status, 200);
    let tokens = server
        .as_bearer(&manager)
        .graphql("{ tokens(last: 2) { nodes { encodedKey } } }", json!({}))
        .await;
    let tokens: Value = serde_json::from_str(&tokens.text).expect("JSON");
    let key = &tokens["data"]["tokens"]["nodes"][0]["encodedKey"];
    let revoke =
        "mutation($key: String!) { revokeToken(input: { encodedKey: $key }) { token { name } userErrors { code } } }";
    let revoked = server.as_bearer(&manager).graphql(revoke, json!({ "key": key })).await;
    revoked.data(json!({ "revokeToken": { "token": { "name": "a test" }, "userErrors": [] } }));
    for server in [server, &other] {
        assert_eq!(server.as_bearer(&token).get("/api/clients").await.status, 401);
    }
    other.stop().await;
}

async fn callers_cannot_grant_rights_they_lack(server: &TestServer) {
    let token = server
        .token(&Rights::of([Permission::ManageUsers, Permission::ViewClient]))
        .await;
    let caller = server.as_bearer(token);
    let query = "mutation($input: UpsertUserInput!) { upsertUser(input: $input) { created user { name permissions } \
        userErrors { code message path } } }";
    let forbidden = |place: &str, message: &str| {
        json!({ "upsertUser": { "created": false, "user": null,
        "userErrors": [{ "code": "FORBIDDEN", "message": message, "path": ["input", place] }] } })
    };
    let audit = json!({ "name": "x", "password": PASSWORD, "permissions": ["AUDIT"] });
    let before = server.snapshot().await;
    caller.graphql(query, json!({ "input": audit })).await.data(forbidden(
        "permissions",
        "You can't give rights that you don't have yourself.",
    ));
    assert_eq!(server.snapshot().await, before);
    user(server, "boss", &Permission::ALL).await;
    let answer = caller
        .graphql(query, json!({ "input": { "name": "boss", "password": PASSWORD } }))
        .await;
    assert_eq!(
        answer.body["data"]["upsertUser"]["userErrors"][0]["path"],
        json!(["input", "name"])
    );
    let mine = json!({ "name": "x", "password": PASSWORD, "permissions": ["VIEW_CLIENT"] });
    caller.graphql(query, json!({ "input": mine })).await.data(
        json!({ "upsertUser": { "created": true, "user": { "name": "x", "permissions": ["VIEW_CLIENT"] },
            "userErrors": [] } }),
    );
}

async fn last_user_manager_cannot_be_removed(server: &TestServer) {
    user(server, "boss", &Permission::ALL).await;
    let all = server.as_bearer(server.token(&Rights::all()).await);
    let query = "mutation($input: UpsertUserInput!) { upsertUser(input: $input) { userErrors { code } } }";
    for input in [
        json!({ "name": "boss", "active": false }),
        json!({ "name": "boss", "permissions": [] }),
    ] {
        all.graphql(query, json!({ "input": input }))
            .await
            .data(json!({ "upsertUser": { "userErrors": [{ "code": "INVALID" }] } }));
    }
    user(server, "second", &Permission::ALL).await;
    all.graphql(query, json!({ "input": { "name": "boss", "active": false } }))
        .await
        .data(json!({ "upsertUser": { "userErrors": [] } }));
    assert_eq!(basic(server, "boss", PASSWORD).await, 401);
}

async fn viewer_query_describes_the_caller(server: &TestServer) {
    user(server, "ana", &[Permission::ViewClient]).await;
    let body = json!({ "query": "{ viewer { kind name permissions viewSets passwordIsInitial } }" });
    let request = server
        .request(Method::POST, "/graphql")
        .basic_auth("ana", Some(PASSWORD))
        .json(&body);
    server.send(request).await.data(
        json!({ "viewer": { "kind": "USER", "name": "ana", "permissions": ["VIEW_CLIENT"],
        "viewSets": null, "passwordIsInitial": true } }),
    );
    let refused = server
        .as_bearer(server.token(&Rights::of([])).await)
        .graphql("{ users { nodes { name } } }", json!({}))
        .await;
    assert_eq!(refused.body["errors"][0]["extensions"]["code"], "FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_caller_needs_no_statement_and_no_hash() {
    let settings = Settings::authenticated(AuthenticationSettings {
        freshness_seconds: 10,
        ..AuthenticationSettings::default()
    });
    on(Backend::Sqlite, settings, async |server| {
        user(server, "ana", &[]).await;
        let token = server.token(&Rights::of([])).await;
        // Both are refused after authentication and before any other statement.
        let ask = async || {
            assert_eq!(basic(server, "ana", PASSWORD).await, 403);
            assert_eq!(server.as_bearer(&token).get("/api/clients").await.status, 403);
        };
        ask().await;
        server.statements();
        for _ in 0..20 {
            ask().await;
        }
        assert_eq!(server.statements(), Vec::<String>::new());
        assert_eq!(server.services.accounts.hasher.comparisons(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_failures_throttle_only_the_failing_caller() {
    let settings = Settings::authenticated(AuthenticationSettings {
        failures_per_user: 2,
        failures_per_address: 6,
        failure_window_seconds: 3_600,
        ..AuthenticationSettings::default()
    });
    on(Backend::Sqlite, settings, async |server| {
        for name in ["ana", "bo"] {
            user(server, name, &[Permission::ViewClient]).await;
        }
        assert_eq!(basic(server, "ana", PASSWORD).await, 200);
        for (name, password, status) in [
            ("ana", "wrong", 401),
            ("ana", "wrong", 401),
            ("ana", "wrong", 429),
            // A user who has signed in recently stays signed in; other users are not affected.
            ("ana", PASSWORD, 200),
            ("bo", "wrong", 401),
            ("bo", PASSWORD, 200),
        ] {
            assert_eq!(basic(server, name, password).await, status, "{name} {password}");
        }
        let request = server
            .request(Method::GET, "/api/clients")
            .basic_auth("ana", Some("wrong"));
        let response = request.send().await.expect("an answer");
        let wait: u64 = response.headers()["retry-after"]
            .to_str()
            .expect("text")
            .parse()
            .expect("seconds");
        assert!((1_700..=1_800).contains(&wait), "{wait}");
        let request = server
            .request(Method::POST, "/graphql")
            .basic_auth("ana", Some("wrong"));
        let answer = server.send(request.json(&json!({ "query": "{ __typename }" }))).await;
        assert_eq!(
            (answer.status, &answer.body["errors"][0]["extensions"]["code"]),
            (429, &json!("RATE_LIMITED"))
        );
    })
    .await;
}
