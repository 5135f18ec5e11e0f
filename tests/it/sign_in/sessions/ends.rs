//! The ends of sessions: sign-out, revocation, changes of users, and the limit of sessions.

use std::time::Duration;

use clientele::{
    access::SignOut,
    api::authentication::AuthenticationSettings,
    caller::{Api, Permission, Rights},
};
use serde_json::{Value, json};

use super::{
    PASSWORD, Tokens, UPSERT,
    lifetimes::{ana, begin},
    refused, sign_in, status, user,
};
use crate::{
    harness::{Answer, Settings, TestServer, program},
    sign_in::credentials::now,
};

const SIGN_OUT: &str = "mutation($input: SignOutInput!) { signOut(input: $input) { endedSessions \
    userErrors { code message path } } }";
const REVOKE: &str = "mutation($input: RevokeSessionInput!) { revokeSession(input: $input) { session { userName } \
    userErrors { code message path } } }";
const NO_SESSION: &str = "There is no session with this key. The query sessions lists them.";

/// Runs a document with this access token.
async fn ask(server: &TestServer, tokens: &Tokens, query: &str, input: Value) -> Answer {
    let bearer = server.as_bearer(&*tokens.access);
    bearer.graphql(query, json!({ "input": input })).await
}

/// The key of the session with these tokens.
async fn key(server: &TestServer, tokens: &Tokens) -> String {
    let query = "{ sessions(first: 500) { nodes { encodedKey isCurrent } } }";
    let answer = server.as_bearer(&*tokens.access).graphql(query, json!({})).await;
    let body: Value = serde_json::from_str(&answer.text).expect("JSON");
    let nodes = body["data"]["sessions"]["nodes"].as_array().expect("a list");
    let current = nodes.iter().find(|node| node["isCurrent"] == true).expect("a session");
    current["encodedKey"].as_str().expect("a key").to_owned()
}

on_both!(
    signing_out_ends_one_session_or_all,
    signing_out_keeps_other_cached_accounts,
    server_that_ends_a_session_refuses_it_at_once,
    expired_sessions_are_neither_listed_nor_revoked,
    session_is_revoked_by_its_user_or_an_administrator,
    callers_see_their_own_sessions_and_administrators_all,
    session_of_another_user_is_no_node,
    change_of_the_user_ends_the_sessions,
    signed_in_page_can_change_the_password,
    new_password_is_right_at_once_on_every_server,
    oldest_of_more_than_a_hundred_sessions_ends,
);

async fn signing_out_ends_one_session_or_all(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    let other = server.another(Settings::signed_in()).await;
    user(server, "ana", &[]).await;
    user(server, "bo", &[]).await;
    let [first, second, third] = [
        sign_in(&strict, "ana").await,
        sign_in(&strict, "ana").await,
        sign_in(&strict, "ana").await,
    ];
    let unconcerned = sign_in(&strict, "bo").await;
    let ended = |sessions: i64| json!({ "signOut": { "endedSessions": sessions, "userErrors": [] } });
    ask(&strict, &first, SIGN_OUT, json!({})).await.data(ended(1));
    for server in [&strict, &other] {
        assert_eq!(
            [status(server, &first).await, status(server, &second).await],
            [401, 200]
        );
    }
    let out = ask(&strict, &second, SIGN_OUT, json!({ "everywhere": true })).await;
    out.data(ended(2));
    for server in [&strict, &other] {
        for (tokens, expected) in [(&second, 401), (&third, 401), (&unconcerned, 200)] {
            assert_eq!(status(server, tokens).await, expected);
        }
    }
    // Other credentials have no session.
    let fourth = sign_in(&strict, "ana").await;
    let basic = async |input: Value| {
        let request = strict.request(reqwest::Method::POST, "/graphql");
        let request = request.basic_auth("ana", Some(PASSWORD));
        let body = json!({ "query": SIGN_OUT, "variables": { "input": input } });
        strict.send(request.json(&body)).await
    };
    let message = "This request has no session: send the access token of signIn, or everywhere as true.";
    let errors = refused("INVALID", message, &["input"]);
    basic(json!({}))
        .await
        .data(json!({ "signOut": { "endedSessions": 0, "userErrors": errors } }));
    basic(json!({ "everywhere": true })).await.data(ended(1));
    assert_eq!(status(&strict, &fourth).await, 401);
    let token = strict.token(&Rights::of([])).await;
    let errors = refused("INVALID", "Only a user has sessions.", &["input", "everywhere"]);
    let answer = strict
        .as_bearer(token)
        .graphql(SIGN_OUT, json!({ "input": { "everywhere": true } }))
        .await;
    answer.data(json!({ "signOut": { "endedSessions": 0, "userErrors": errors } }));
    other.stop().await;
    strict.stop().await;
}

async fn signing_out_keeps_other_cached_accounts(server: &TestServer) {
    let (caller, accounts) = (ana(server).await, &server.services.accounts);
    let [first, second] = [begin(server, &caller, now()).await, begin(server, &caller, now()).await];
    let find = async |tokens: &Tokens| {
        let found = accounts.token(&tokens.access, Duration::from_secs(5), now(), || Ok(()));
        found.await.expect("the database answers")
    };
    assert!(find(&second).await.is_some());
    let caller = find(&first).await.expect("a session").caller(Api::Graphql, "".into());
    let ended = accounts.sign_out(&caller, &SignOut::default(), now()).await;
    assert_eq!(ended.expect("the database answers").ok(), Some(1));
    assert!(accounts.last_known_token(&second.access, now()).is_some());
    assert!(find(&first).await.is_none());
}

/// However fresh a cached account may be.
async fn server_that_ends_a_session_refuses_it_at_once(server: &TestServer) {
    let lax = AuthenticationSettings::default();
    let lax = server.another(Settings::authenticated(lax)).await;
    user(server, "ana", &[]).await;
    user(server, "boss", &Permission::ALL).await;
    let boss = sign_in(&lax, "boss").await;
    let first = sign_in(&lax, "ana").await;
    assert_eq!(status(&lax, &first).await, 200);
    let second = super::refresh(&lax, &first.refresh).await;
    assert_eq!([status(&lax, &first).await, status(&lax, &second).await], [401, 200]);
    let third = super::refresh(&lax, &second.refresh).await;
    assert_eq!(status(&lax, &third).await, 200);
    super::ask_to_refresh(&lax, &first.refresh).await;
    assert_eq!(status(&lax, &third).await, 401, "a replaced token was used again");
    let password = json!({ "name": "ana", "password": "another good one" });
    for (query, input) in [(SIGN_OUT, json!({})), (REVOKE, json!({})), (UPSERT, password)] {
        let tokens = sign_in(&lax, "ana").await;
        assert_eq!(status(&lax, &tokens).await, 200, "{query}");
        let (by, input) = match query {
            SIGN_OUT => (&tokens, input),
            REVOKE => (&boss, json!({ "encodedKey": key(&lax, &tokens).await })),
            _ => (&boss, input),
        };
        ask(&lax, by, query, input).await;
        assert_eq!(status(&lax, &tokens).await, 401, "{query}");
    }
    lax.stop().await;
}

async fn expired_sessions_are_neither_listed_nor_revoked(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    user(server, "ana", &[]).await;
    let (tokens, expired) = (sign_in(&strict, "ana").await, sign_in(&strict, "ana").await);
    let gone = key(&strict, &expired).await;
    let sql = format!("UPDATE session SET refresh_expires_at = created_at WHERE encoded_key = '{gone}'");
    server.write(&sql).await.expect("an expired session");
    let query = "{ sessions { totalCount nodes { isCurrent } } }";
    let listed = strict.as_bearer(&*tokens.access).graphql(query, json!({})).await;
    listed.data(json!({ "sessions": { "totalCount": 1, "nodes": [{ "isCurrent": true }] } }));
    let errors = refused("NOT_FOUND", NO_SESSION, &["input", "encodedKey"]);
    let answer = ask(&strict, &tokens, REVOKE, json!({ "encodedKey": gone })).await;
    answer.data(json!({ "revokeSession": { "session": null, "userErrors": errors } }));
    strict.stop().await;
}

async fn session_is_revoked_by_its_user_or_an_administrator(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    user(server, "ana", &[Permission::Audit]).await;
    user(server, "bo", &[]).await;
    user(server, "helper", &[Permission::ManageUsers]).await;
    user(server, "boss", &[Permission::ManageUsers, Permission::Audit]).await;
    let [first, second, third] = [
        sign_in(&strict, "ana").await,
        sign_in(&strict, "ana").await,
        sign_in(&strict, "ana").await,
    ];
    let [bo, helper, boss] = [
        sign_in(&strict, "bo").await,
        sign_in(&strict, "helper").await,
        sign_in(&strict, "boss").await,
    ];
    let keys = [key(&strict, &first).await, key(&strict, &second).await];
    let refusal = |code, message, path: &[&str]| {
        let errors = refused(code, message, path);
        json!({ "revokeSession": { "session": null, "userErrors": errors } })
    };
    let before = server.snapshot().await;
    let missing = refusal("NOT_FOUND", NO_SESSION, &["input", "encodedKey"]);
    let lacking = "This session's user has rights that you don't have: you can't revoke it.";
    let invalid = "encodedKey must not contain control characters.";
    for (by, key, expected) in [
        (&bo, &*keys[0], missing.clone()),
        (&bo, "gone", missing),
        (
            &helper,
            &keys[0],
            refusal("FORBIDDEN", lacking, &["input", "encodedKey"]),
        ),
        (
            &boss,
            "\0",
            refusal("INVALID_CHARACTER", invalid, &["input", "encodedKey"]),
        ),
    ] {
        ask(&strict, by, REVOKE, json!({ "encodedKey": key }))
            .await
            .data(expected);
    }
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    let revoked = json!({ "revokeSession": { "session": { "userName": "ana" }, "userErrors": [] } });
    for (by, key) in [(&boss, &keys[0]), (&third, &keys[1])] {
        ask(&strict, by, REVOKE, json!({ "encodedKey": key }))
            .await
            .data(revoked.clone());
    }
    for (tokens, expected) in [(&first, 401), (&second, 401), (&third, 200)] {
        assert_eq!(status(&strict, tokens).await, expected);
    }
    strict.stop().await;
}

async fn callers_see_their_own_sessions_and_administrators_all(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    user(server, "ana", &[]).await;
    user(server, "boss", &[Permission::ManageUsers]).await;
    let (ana, boss) = (sign_in(&strict, "ana").await, sign_in(&strict, "boss").await);
    sign_in(&strict, "ana").await;
    let token = strict.token(&Rights::of([])).await;
    let names = async |token: &str, arguments: &str| {
        let query = format!("{{ sessions{arguments} {{ totalCount nodes {{ userName }} }} }}");
        let answer = strict.as_bearer(token).graphql(&query, json!({})).await;
        let sessions = &answer.body["data"]["sessions"];
        match sessions["nodes"].as_array() {
            Some(nodes) => {
                assert_eq!(sessions["totalCount"], nodes.len());
                nodes
                    .iter()
                    .map(|node| node["userName"].as_str().expect("a name").to_owned())
                    .collect()
            }
            None => vec![answer.body["errors"][0]["extensions"]["code"].to_string()],
        }
    };
    for (token, arguments, expected) in [
        (&ana.access, "", &["ana", "ana"][..]),
        (&ana.access, "(user: \"ANA\")", &["ana", "ana"]),
        (&ana.access, "(user: \"boss\")", &["\"FORBIDDEN\""]),
        (&boss.access, "", &["ana", "boss", "ana"]),
        (&boss.access, "(user: \"Ana\")", &["ana", "ana"]),
        (&boss.access, "(user: \"absent\")", &[]),
        (&token, "", &[]),
    ] {
        assert_eq!(names(token, arguments).await, expected, "{arguments}");
    }
    let (directory, url) = (program::directory(), server.database_url());
    let environment = [("CLIENTELE_LOG__FILTER", "off"), ("DATABASE_URL", &*url)];
    for (arguments, expected) in [
        (&["session", "list"][..], &["ana", "boss", "ana"][..]),
        (&["session", "list", "--user", "ANA"], &["ana", "ana"]),
    ] {
        let listed = program::clientele(&directory, arguments, &environment).output();
        let listed = String::from_utf8(listed.expect("the program starts").stdout).expect("text");
        let names: Vec<&str> = listed.lines().filter_map(|line| line.split("  ").nth(1)).collect();
        assert_eq!(names, expected, "{listed}");
    }
    let page = "{ sessions(first: 1) { pageInfo { endCursor hasNextPage } } }";
    let first = strict.as_bearer(&*boss.access).graphql(page, json!({})).await;
    let info = &first.body["data"]["sessions"]["pageInfo"];
    assert_eq!(info["hasNextPage"], true);
    let cursor = info["endCursor"].as_str().expect("a cursor");
    let page = format!("{{ sessions(first: 1, after: \"{cursor}\") {{ nodes {{ userName }} }} }}");
    let second = strict.as_bearer(&*boss.access).graphql(&page, json!({})).await;
    second.data(json!({ "sessions": { "nodes": [{ "userName": "boss" }] } }));
    strict.stop().await;
}

async fn change_of_the_user_ends_the_sessions(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    user(server, "boss", &Permission::ALL).await;
    for (name, query, input, reason) in [
        (
            "locked",
            UPSERT,
            json!({ "name": "locked", "active": false }),
            "USER_DEACTIVATED",
        ),
        (
            "renewed",
            UPSERT,
            json!({ "name": "renewed", "password": "another good one" }),
            "PASSWORD_CHANGED",
        ),
        (
            "deleted",
            "mutation($input: DeleteUserInput!) { deleteUser(input: $input) { userErrors { code } } }",
            json!({ "name": "deleted" }),
            "USER_DELETED",
        ),
    ] {
        user(server, name, &[]).await;
        let tokens = sign_in(&strict, name).await;
        assert_eq!(status(&strict, &tokens).await, 200);
        server.graphql(query, json!({ "input": input })).await;
        assert_eq!(status(&strict, &tokens).await, 401, "{name}");
        let refreshed = super::ask_to_refresh(&strict, &tokens.refresh).await;
        assert_eq!(Tokens::of(&refreshed, "refreshSession"), None, "{name}");
        assert_eq!(server.snapshot().await.rows("session"), [""; 0], "{name}");
        let query = "{ auditLog(first: 1, filter: { subject: SESSION }) { nodes { changes { after } } } }";
        let recorded = server.graphql(query, json!({})).await;
        let changes = json!([{ "after": null }, { "after": reason }]);
        recorded.data(json!({ "auditLog": { "nodes": [{ "changes": changes }] } }));
    }
    // Rights and names end nothing.
    user(server, "ana", &[]).await;
    let tokens = sign_in(&strict, "ana").await;
    let input = json!({ "name": "ana", "permissions": ["VIEW_CLIENT"], "role": "batch" });
    server.graphql(UPSERT, json!({ "input": input })).await;
    assert_eq!(status(&strict, &tokens).await, 200);
    strict.stop().await;
}

async fn signed_in_page_can_change_the_password(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    user(server, "ana", &[]).await;
    let tokens = sign_in(&strict, "ana").await;
    let query = "mutation($input: ChangePasswordInput!) { changePassword(input: $input) { changed \
        userErrors { code message path } } }";
    let wrong = json!({ "oldPassword": "wrong", "newPassword": "another good one" });
    let errors = refused("INVALID", "This isn't your password.", &["input", "oldPassword"]);
    ask(&strict, &tokens, query, wrong)
        .await
        .data(json!({ "changePassword": { "changed": false, "userErrors": errors } }));
    assert_eq!(status(&strict, &tokens).await, 200);
    let right = json!({ "oldPassword": PASSWORD, "newPassword": "another good one" });
    ask(&strict, &tokens, query, right)
        .await
        .data(json!({ "changePassword": { "changed": true, "userErrors": [] } }));
    assert_eq!(status(&strict, &tokens).await, 401);
    strict.stop().await;
}

/// The password is compared with the stored hash, however fresh a cached account may be.
async fn new_password_is_right_at_once_on_every_server(server: &TestServer) {
    let lax = AuthenticationSettings::default();
    let other = server.another(Settings::authenticated(lax)).await;
    user(server, "ana", &[]).await;
    let tokens = sign_in(&other, "ana").await;
    assert_eq!(status(&other, &tokens).await, 200);
    let input = json!({ "name": "ana", "password": "another good one" });
    server.graphql(UPSERT, json!({ "input": input })).await;
    // The session has ended, although its account may still be cached.
    let query = "mutation($input: ChangePasswordInput!) { changePassword(input: $input) { changed } }";
    let input = json!({ "oldPassword": "another good one", "newPassword": "a third good one" });
    let refused = ask(&other, &tokens, query, input).await;
    assert!(
        refused.text.contains("\"code\":\"UNAUTHENTICATED\""),
        "{}",
        refused.text
    );
    for (password, is_right) in [(PASSWORD, false), ("another good one", true)] {
        let answer = super::ask_to_sign_in(&other, "ana", password).await;
        assert_eq!(Tokens::of(&answer, "signIn").is_some(), is_right, "{}", answer.text);
    }
    other.stop().await;
}

async fn session_of_another_user_is_no_node(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    let mut signed_in = Vec::new();
    for (name, permissions) in [("ana", &[][..]), ("bo", &[]), ("boss", &[Permission::ManageUsers])] {
        user(server, name, permissions).await;
        signed_in.push(sign_in(&strict, name).await);
    }
    let bearer = strict.as_bearer(&*signed_in[0].access);
    let listed = bearer.graphql("{ sessions { nodes { id } } }", json!({})).await;
    let listed: Value = serde_json::from_str(&listed.text).expect("JSON");
    let id = listed["data"]["sessions"]["nodes"][0]["id"].clone();
    let query = "query($id: ID!) { node(id: $id) { ... on Session { userName } } }";
    let found = json!({ "userName": "ana" });
    for (tokens, expected) in signed_in.iter().zip([found.clone(), Value::Null, found]) {
        let bearer = strict.as_bearer(&*tokens.access);
        let answer = bearer.graphql(query, json!({ "id": id })).await;
        answer.data(json!({ "node": expected }));
    }
    strict.stop().await;
}

async fn oldest_of_more_than_a_hundred_sessions_ends(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    user(server, "ana", &[]).await;
    user(server, "bo", &[]).await;
    let unconcerned = sign_in(&strict, "bo").await;
    let first = sign_in(&strict, "ana").await;
    let second = sign_in(&strict, "ana").await;
    for _ in 2..100 {
        sign_in(&strict, "ana").await;
    }
    assert_eq!(
        [status(&strict, &first).await, status(&strict, &second).await],
        [200, 200]
    );
    sign_in(&strict, "ana").await;
    assert_eq!(
        [status(&strict, &first).await, status(&strict, &second).await],
        [401, 200]
    );
    assert_eq!(status(&strict, &unconcerned).await, 200);
    assert_eq!(server.snapshot().await.rows("session").len(), 101);
    strict.stop().await;
}
