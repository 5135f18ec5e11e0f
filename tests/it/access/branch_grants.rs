//! Limits to branches and centres of users, tokens and issued tokens: who can give them, and which are valid.

use clientele::{
    access::MOST_PLACES,
    api::authentication::{AuthenticationSettings, JwtSettings},
    caller::{Limit, Rights},
    secret::Secret,
};
use reqwest::Method;
use ring::hmac;
use serde_json::{Value, json};

use super::{in_branches, problems};
use crate::{
    harness::{Settings, TestServer, graphql::data, with},
    sign_in::{claims, sealed},
};

const USER: &str = "mutation($input: UpsertUserInput!) { upsertUser(input: $input) { user { branches centres } \
    userErrors { code path } } }";
const TOKEN: &str = "mutation($input: CreateTokenInput!) { createToken(input: $input) { token { branches centres } \
    userErrors { code path } } }";

on_both!(
    limits_can_be_given_within_the_own_ones,
    limits_are_bounded_lists_of_keys,
    stored_limits_count_for_sign_in,
    claims_limit_issued_tokens,
);

fn user(name: &str, members: Value) -> Value {
    let user = json!({ "name": name, "password": "correct horse battery", "permissions": ["VIEW_CLIENT"] });
    with(user, members)
}

async fn limits_can_be_given_within_the_own_ones(server: &TestServer) {
    let north = server.as_caller(&in_branches(&["north", "west"]));
    let refused = json!([["FORBIDDEN", ["input", "permissions"]]]);
    let mut number = 0;
    for (caller, members, expected) in [
        (&north, json!({ "branches": ["north"] }), json!([])),
        (
            &north,
            json!({ "branches": ["north", "west"], "centres": ["c1"] }),
            json!([]),
        ),
        (&north, json!({ "branches": [] }), json!([])),
        (&north, json!({ "branches": ["north", "south"] }), refused.clone()),
        (&north, json!({ "branches": null }), refused.clone()),
        (&north, json!({}), refused.clone()),
        (&north, json!({ "centres": ["c1"] }), refused.clone()),
        (server, json!({}), json!([])),
        (server, json!({ "branches": ["south"] }), json!([])),
    ] {
        number += 1;
        let before = server.snapshot().await;
        let name = format!("user{number}");
        let answer = caller
            .graphql(USER, json!({ "input": user(&name, members.clone()) }))
            .await;
        assert_eq!(problems(&answer, "upsertUser"), expected, "{members}");
        let token = with(json!({ "name": name, "permissions": ["VIEW_CLIENT"] }), members.clone());
        let answer = caller.graphql(TOKEN, json!({ "input": token })).await;
        assert_eq!(problems(&answer, "createToken"), expected, "{members}");
        assert_eq!(server.snapshot().await == before, expected != json!([]), "{members}");
    }
    // Users with more rights can't be changed.
    for (name, expected) in [
        ("user1", json!([])),
        ("user8", json!([["FORBIDDEN", ["input", "name"]]])),
    ] {
        let answer = north
            .graphql(USER, json!({ "input": { "name": name, "active": false } }))
            .await;
        assert_eq!(problems(&answer, "upsertUser"), expected, "{name}");
    }
    let query = "{ auditLog(filter: { subject: USER, action: CHANGED }) { nodes { changes { path } } } }";
    let found = data(server, query, json!({})).await;
    assert_eq!(
        found["auditLog"]["nodes"],
        json!([{ "changes": [{ "path": ["active"] }] }])
    );
    let mutation = "mutation { upsertUser(input: { name: \"user1\", branches: null }) { user { branches } } }";
    server
        .graphql(mutation, json!({}))
        .await
        .data(json!({ "upsertUser": { "user": { "branches": null } } }));
    let query = "{ auditLog(filter: { subject: USER }, first: 1) { nodes { changes { path before after } } } }";
    let found = data(server, query, json!({})).await;
    let change = json!([{ "path": ["branches"], "before": "[\"north\"]", "after": null }]);
    assert_eq!(found["auditLog"]["nodes"], json!([{ "changes": change }]));
}

async fn limits_are_bounded_lists_of_keys(server: &TestServer) {
    let keys = |count: usize| (0..count).map(|n| format!("b{n}")).collect::<Vec<_>>();
    for (members, code, path) in [
        (
            json!({ "branches": keys(MOST_PLACES + 1) }),
            "TOO_MANY",
            json!(["branches"]),
        ),
        (
            json!({ "centres": keys(MOST_PLACES + 1) }),
            "TOO_MANY",
            json!(["centres"]),
        ),
        (json!({ "branches": ["a", ""] }), "MALFORMED", json!(["branches", "1"])),
        (json!({ "branches": ["a b"] }), "MALFORMED", json!(["branches", "0"])),
        (json!({ "centres": ["\u{0}"] }), "MALFORMED", json!(["centres", "0"])),
        (
            json!({ "centres": ["x".repeat(33)] }),
            "MALFORMED",
            json!(["centres", "0"]),
        ),
        (json!({ "centres": ["*"] }), "MALFORMED", json!(["centres", "0"])),
    ] {
        let before = server.snapshot().await;
        let path: Vec<Value> = [json!("input")]
            .into_iter()
            .chain(path.as_array().cloned().expect("steps"))
            .collect();
        let answer = server
            .graphql(USER, json!({ "input": user("ana", members.clone()) }))
            .await;
        assert_eq!(problems(&answer, "upsertUser"), json!([[code, path]]));
        let token = with(json!({ "name": "t", "permissions": [] }), members);
        let answer = server.graphql(TOKEN, json!({ "input": token })).await;
        assert_eq!(problems(&answer, "createToken"), json!([[code, path]]));
        assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    }
    let most = json!({ "branches": keys(MOST_PLACES), "centres": ["x".repeat(32), "x".repeat(32)] });
    let answer = server.graphql(USER, json!({ "input": user("ana", most) })).await;
    let stored = &answer.body["data"]["upsertUser"]["user"];
    assert_eq!(
        stored["branches"].as_array().map(Vec::len),
        Some(MOST_PLACES),
        "{}",
        answer.text
    );
    assert_eq!(stored["centres"], json!(["x".repeat(32)]));
}

async fn two_clients(server: &TestServer) {
    for (id, branch) in [("n", "north"), ("s", "south")] {
        let body = json!({ "client": { "id": id, "firstName": "Amara", "lastName": "Bellweather",
            "assignedBranchKey": branch, "assignedCentreKey": "c1" } });
        assert_eq!(server.post("/api/clients", body).await.status, 200);
    }
}

const SEEN: &str = "{ viewer { branches centres } clients { nodes { clientId } } }";

fn seen(branches: Value, centres: Value, ids: &[&str]) -> Value {
    let nodes: Value = ids.iter().map(|id| json!({ "clientId": id })).collect();
    json!({ "viewer": { "branches": branches, "centres": centres }, "clients": { "nodes": nodes } })
}

async fn stored_limits_count_for_sign_in(server: &TestServer) {
    two_clients(server).await;
    let strict = server.another(Settings::signed_in()).await;
    for (rights, expected) in [
        (Rights::all(), seen(Value::Null, Value::Null, &["n", "s"])),
        (in_branches(&["north"]), seen(json!(["north"]), Value::Null, &["n"])),
        (in_branches(&[]), seen(json!([]), Value::Null, &[])),
        (
            Rights {
                centres: Limit::To(["c1".to_owned(), "c2".to_owned()].into()),
                ..in_branches(&["south", "west"])
            },
            seen(json!(["south", "west"]), json!(["c1", "c2"]), &["s"]),
        ),
    ] {
        let token = server.token(&rights).await;
        strict.as_bearer(token).graphql(SEEN, json!({})).await.data(expected);
    }
    data(
        server,
        USER,
        json!({ "input": user("ana", json!({ "branches": ["south"] })) }),
    )
    .await;
    let request = strict
        .request(Method::POST, "/graphql")
        .basic_auth("ana", Some("correct horse battery"));
    let answer = strict.send(request.json(&json!({ "query": SEEN }))).await;
    answer.data(seen(json!(["south"]), Value::Null, &["s"]));
    strict.stop().await;
}

async fn claims_limit_issued_tokens(server: &TestServer) {
    two_clients(server).await;
    let secret = "a secret of at least thirty-two bytes";
    let settings = |branches: &str, centres: &str| {
        Settings::authenticated(AuthenticationSettings {
            jwt: JwtSettings {
                issuer: "https://issuer.test".to_owned(),
                audience: "clientele".to_owned(),
                algorithms: vec!["HS256".to_owned()],
                key: Secret::new(secret),
                branches_claim: branches.to_owned(),
                centres_claim: centres.to_owned(),
                ..JwtSettings::default()
            },
            ..AuthenticationSettings::default()
        })
    };
    let token = |own: Value| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let sign = |text: &[u8]| hmac::sign(&key, text).as_ref().to_vec();
        sealed(&json!({ "alg": "HS256", "typ": "JWT" }), &claims(own), sign)
    };
    let keys = |count: usize| Vec::from_iter((0..count).map(|n| n.to_string()));
    let strict = server.another(settings("offices", "")).await;
    let all = seen(Value::Null, Value::Null, &["n", "s"]);
    for (own, expected) in [
        (
            json!({ "offices": ["north"] }),
            seen(json!(["north"]), Value::Null, &["n"]),
        ),
        (
            json!({ "offices": "north south" }),
            seen(json!(["north", "south"]), Value::Null, &["n", "s"]),
        ),
        (json!({ "offices": ["*", "north"] }), all.clone()),
        (
            json!({ "offices": ["no key", 7, "south"] }),
            seen(json!(["south"]), Value::Null, &["s"]),
        ),
        // Without the claim, there is no client.
        (json!({}), seen(json!([]), Value::Null, &[])),
        (json!({ "offices": 7 }), seen(json!([]), Value::Null, &[])),
        (
            json!({ "offices": keys(MOST_PLACES).join(" ") }),
            seen(json!(sorted(keys(MOST_PLACES))), Value::Null, &[]),
        ),
    ] {
        let answer = strict.as_bearer(token(own.clone())).graphql(SEEN, json!({})).await;
        assert_eq!(answer.body["data"], expected, "{own}: {}", answer.text);
    }
    let many = token(json!({ "offices": keys(MOST_PLACES + 1).join(" ") }));
    assert_eq!(strict.as_bearer(many).graphql(SEEN, json!({})).await.status, 401);
    strict.stop().await;
    // Other settings: no limit, and one to centres.
    let open = server.another(settings("", "")).await;
    let answer = open
        .as_bearer(token(json!({ "offices": ["north"] })))
        .graphql(SEEN, json!({}))
        .await;
    answer.data(all);
    open.stop().await;
    let centres = server.another(settings("", "centres")).await;
    let answer = centres
        .as_bearer(token(json!({ "centres": ["c2"] })))
        .graphql(SEEN, json!({}))
        .await;
    answer.data(seen(Value::Null, json!(["c2"]), &[]));
    centres.stop().await;
}

fn sorted(mut keys: Vec<String>) -> Vec<String> {
    keys.sort();
    keys
}
