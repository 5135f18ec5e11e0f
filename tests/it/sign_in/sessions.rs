//! Sessions of browser applications: sign-in, refresh, sign-out, lists and revocation.

mod anonymous;
mod ends;
mod lifetimes;
mod pages;
mod races;

use clientele::caller::Permission;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    credentials::{PASSWORD, user},
    grants::UPSERT,
};
use crate::harness::{Answer, Settings, TestServer};

const SIGN_IN: &str = "mutation($input: SignInInput!) { signIn(input: $input) { accessToken refreshToken \
    userErrors { code message path } } }";
const REFRESH: &str = "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) { accessToken \
    refreshToken userErrors { code message path } } }";
const WRONG_PASSWORD: &str = "The name or the password is wrong, or the user can't sign in.";
const WRONG_TOKEN: &str = "The refresh token is unknown, expired or revoked. Sign in again.";
const REPLACED: &str =
    "Another request has just replaced this refresh token. Use the tokens that it got, or sign in again.";

/// The tokens of a session.
#[derive(Clone, Debug, PartialEq)]
struct Tokens {
    access: String,
    refresh: String,
}

impl Tokens {
    /// The tokens in the payload of this mutation. None if it has user errors.
    fn of(answer: &Answer, mutation: &str) -> Option<Self> {
        let body: Value = serde_json::from_str(&answer.text).expect("JSON");
        let payload = &body["data"][mutation];
        let text = |name: &str| payload[name].as_str().map(str::to_owned);
        let tokens = text("accessToken").zip(text("refreshToken"));
        assert_eq!(tokens.is_none(), payload["userErrors"] != json!([]), "{}", answer.text);
        tokens.map(|(access, refresh)| Self { access, refresh })
    }
}

async fn ask_to_sign_in(server: &TestServer, name: &str, password: &str) -> Answer {
    let input = json!({ "name": name, "password": password });
    server.graphql(SIGN_IN, json!({ "input": input })).await
}

async fn sign_in(server: &TestServer, name: &str) -> Tokens {
    let answer = ask_to_sign_in(server, name, PASSWORD).await;
    Tokens::of(&answer, "signIn").expect(&answer.text)
}

pub async fn ask_to_refresh(server: &TestServer, token: &str) -> Answer {
    server
        .graphql(REFRESH, json!({ "input": { "refreshToken": token } }))
        .await
}

async fn refresh(server: &TestServer, token: &str) -> Tokens {
    let answer = ask_to_refresh(server, token).await;
    Tokens::of(&answer, "refreshSession").expect(&answer.text)
}

/// The status of a request with this access token, on both APIs.
async fn status(server: &TestServer, tokens: &Tokens) -> u16 {
    let bearer = server.as_bearer(&*tokens.access);
    let [graphql, rest] = [
        bearer.graphql("{ viewer { name } }", json!({})).await.status,
        bearer.get("/api/customfieldsets").await.status,
    ];
    assert_eq!(graphql, rest);
    graphql
}

fn refused(code: &str, message: &str, path: &[&str]) -> Value {
    json!([{ "code": code, "message": message, "path": path }])
}

on_both!(
    session_has_the_rights_of_its_user,
    refresh_replaces_both_tokens,
    replaced_refresh_token_ends_the_session,
    sign_in_is_audited_without_its_tokens,
);

async fn session_has_the_rights_of_its_user(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    user(server, "ana", &[Permission::ViewClient]).await;
    let branches = json!({ "name": "ana", "branches": ["north"] });
    server.graphql(UPSERT, json!({ "input": branches })).await;
    for (id, branch) in [("A-1", "north"), ("B-1", "south")] {
        let client = json!({ "id": id, "firstName": "Amara", "lastName": "Bellweather", "assignedBranchKey": branch });
        assert_eq!(
            server.post("/api/clients", json!({ "client": client })).await.status,
            200
        );
    }
    let query = "mutation($input: SignInInput!) { signIn(input: $input) { accessTokenExpiresAt refreshTokenExpiresAt \
        session { encodedKey userName isCurrent createdAt refreshedAt } clientMutationId userErrors { code } \
        viewer { kind name permissions branches passwordIsInitial } } }";
    let input = json!({ "name": "Ana", "password": PASSWORD, "clientMutationId": "m1" });
    let answer = strict.graphql(query, json!({ "input": input })).await;
    let viewer = json!({ "kind": "USER", "name": "ana", "permissions": ["VIEW_CLIENT"], "branches": ["north"],
        "passwordIsInitial": true });
    let refresh_end = answer.body["data"]["signIn"]["refreshTokenExpiresAt"].clone();
    answer.data(
        json!({ "signIn": { "accessTokenExpiresAt": "<time>", "refreshTokenExpiresAt": refresh_end,
        "session": { "encodedKey": "<key 3>", "userName": "ana", "isCurrent": false, "createdAt": "<time>",
            "refreshedAt": "<time>" },
        "clientMutationId": "m1", "userErrors": [], "viewer": viewer } }),
    );

    let tokens = sign_in(&strict, "ana").await;
    assert!(
        tokens.access.starts_with("cla_") && tokens.access.len() == 47,
        "{tokens:?}"
    );
    assert!(
        tokens.refresh.starts_with("clr_") && tokens.refresh.len() == 90,
        "{tokens:?}"
    );
    let bearer = strict.as_bearer(&*tokens.access);
    let query = "{ viewer { kind name permissions branches passwordIsInitial } \
        clients { totalCount nodes { clientId } } }";
    let clients = json!({ "totalCount": 1, "nodes": [{ "clientId": "A-1" }] });
    bearer
        .graphql(query, json!({}))
        .await
        .data(json!({ "viewer": viewer, "clients": clients }));
    let listed = bearer.get("/api/clients").await;
    assert_eq!(
        (listed.status, listed.body.as_array().map(Vec::len)),
        (200, Some(1)),
        "{}",
        listed.text
    );
    assert_eq!(bearer.get("/api/clients/B-1").await.status, 404);

    // The rights are those of the user now, not those at the sign-in.
    let rights = json!({ "name": "ana", "permissions": [], "branches": null });
    server.graphql(UPSERT, json!({ "input": rights })).await;
    assert_eq!(bearer.get("/api/clients").await.status, 403);
    // A refresh token is no access token.
    let swapped = strict.as_bearer(&*tokens.refresh);
    assert_eq!(swapped.get("/api/customfieldsets").await.status, 401);
    strict.stop().await;
}

async fn refresh_replaces_both_tokens(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    let other = server.another(Settings::signed_in()).await;
    user(server, "ana", &[]).await;
    let first = sign_in(&strict, "ana").await;
    assert_eq!(
        [status(&strict, &first).await, status(&other, &first).await],
        [200, 200]
    );
    let second = refresh(&other, &first.refresh).await;
    assert_eq!(
        [status(&strict, &first).await, status(&other, &first).await],
        [401, 401]
    );
    assert_eq!(
        [status(&strict, &second).await, status(&other, &second).await],
        [200, 200]
    );
    let third = refresh(&strict, &second.refresh).await;
    assert_eq!(
        [status(&strict, &second).await, status(&strict, &third).await],
        [401, 200]
    );
    let query = "{ sessions { totalCount nodes { userName isCurrent } } }";
    let sessions = json!({ "totalCount": 1, "nodes": [{ "userName": "ana", "isCurrent": true }] });
    let listed = strict.as_bearer(&*third.access).graphql(query, json!({})).await;
    listed.data(json!({ "sessions": sessions }));
    other.stop().await;
    strict.stop().await;
}

async fn replaced_refresh_token_ends_the_session(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    user(server, "ana", &[]).await;
    let (first, unconcerned) = (sign_in(&strict, "ana").await, sign_in(&strict, "ana").await);
    let second = refresh(&strict, &first.refresh).await;
    // Just replaced: another tab, or a lost answer.
    let answer = ask_to_refresh(&strict, &first.refresh).await;
    let errors = refused("TOKEN_REPLACED", REPLACED, &["input", "refreshToken"]);
    answer.data(json!({ "refreshSession": { "accessToken": null, "refreshToken": null, "userErrors": errors } }));
    let third = refresh(&strict, &second.refresh).await;
    assert_eq!(status(&strict, &third).await, 200);
    // Replaced before: one of the two that use it isn't the user.
    let errors = refused("WRONG_CREDENTIALS", WRONG_TOKEN, &["input", "refreshToken"]);
    let wrong = json!({ "refreshSession": { "accessToken": null, "refreshToken": null, "userErrors": errors } });
    for token in [&first.refresh, &third.refresh, &second.refresh] {
        ask_to_refresh(&strict, token).await.data(wrong.clone());
    }
    assert_eq!(status(&strict, &third).await, 401);
    assert_eq!(status(&strict, &unconcerned).await, 200);
    // Invented tokens, also those that begin like a valid one, are refused alike.
    let mut invented = refresh(&strict, &unconcerned.refresh).await.refresh;
    invented.replace_range(4..5, if invented[4..].starts_with('A') { "B" } else { "A" });
    for token in [&*invented, "", "clr_", &unconcerned.access] {
        ask_to_refresh(&strict, token).await.data(wrong.clone());
    }
    strict.stop().await;
}

async fn sign_in_is_audited_without_its_tokens(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    user(server, "ana", &[]).await;
    let first = sign_in(&strict, "ana").await;
    let second = refresh(&strict, &first.refresh).await;
    let third = refresh(&strict, &second.refresh).await;
    for token in [&first, &second, &third] {
        for secret in [&token.access, &token.refresh] {
            // Neither the token nor its second half.
            let rows = server.snapshot().await.0;
            assert!(rows.iter().all(|row| !row.contains(&secret[secret.len() - 43..])));
        }
    }
    ask_to_refresh(&strict, &first.refresh).await;
    let last = sign_in(&strict, "ana").await;
    let out = "mutation { signOut { endedSessions userErrors { code } } }";
    let answer = strict.as_bearer(&*last.access).graphql(out, json!({})).await;
    answer.data(json!({ "signOut": { "endedSessions": 1, "userErrors": [] } }));
    let query = "{ auditLog(filter: { subject: SESSION }) { nodes { action caller { kind name } door \
        changes { path before after } } } }";
    let answer = server.graphql(query, json!({})).await;
    let mut records = answer.body["data"]["auditLog"]["nodes"]
        .as_array()
        .expect("a list")
        .clone();
    records.reverse();
    let key = records[0]["changes"][0]["after"].clone();
    let end = |record: &Value| record["changes"][1]["after"].clone();
    let created = |record: &Value| {
        json!({ "action": "CREATED", "caller": { "kind": "USER", "name": "ana" }, "door": "GRAPHQL", "changes": [
            { "path": ["userKey"], "before": null, "after": key },
            { "path": ["expiresAt"], "before": null, "after": end(record) }] })
    };
    let ended = |reason: &str| {
        json!({ "action": "DELETED", "caller": { "kind": "USER", "name": "ana" }, "door": "GRAPHQL", "changes": [
            { "path": ["userKey"], "before": key, "after": null },
            { "path": ["endReason"], "before": null, "after": reason }] })
    };
    let expected = [
        created(&records[0]),
        ended("REFRESH_TOKEN_REUSED"),
        created(&records[2]),
        ended("SIGNED_OUT"),
    ];
    assert_eq!(records, expected);
    strict.stop().await;
}

/// Posts a request without credentials, with these headers.
async fn anonymous(server: &TestServer, body: impl Into<reqwest::Body>, headers: &[(&str, &str)]) -> reqwest::Response {
    let request = server.request(Method::POST, "/graphql").body(body);
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("an answer")
}
