//! Users and tokens: lists, deactivation, deletion and expiry.

use clientele::{
    access::CreateToken,
    caller::{Caller, Permission, Rights},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::credentials::{PASSWORD, now, user};
use crate::harness::{Settings, TestServer, token_input};

const PAGE: &str = "query($first: Int, $after: String, $last: Int, $before: String) {
    users(first: $first, after: $after, last: $last, before: $before) {
        nodes { name } edges { cursor } pageInfo { hasNextPage hasPreviousPage endCursor startCursor } totalCount } }";

/// A server that requires credentials, on the database of one that does not.
async fn strict(server: &TestServer) -> TestServer {
    server.another(Settings::signed_in()).await
}

async fn status(server: &TestServer, name: &str) -> u16 {
    let request = server.request(Method::GET, "/api/clients");
    server.send(request.basic_auth(name, Some(PASSWORD))).await.status
}

on_both!(
    users_come_in_pages_by_name,
    users_and_tokens_are_found_by_their_ids,
    tokens_come_in_pages_in_order_of_creation,
    deactivation_and_deletion_apply_on_every_server,
    deleting_a_user_requires_their_rights_and_works_once,
    expired_token_is_refused,
);

async fn users_come_in_pages_by_name(server: &TestServer) {
    for name in ["d", "b", "a", "c", "E"] {
        user(server, name, &[]).await;
    }
    let page = async |variables: Value| {
        let answer = server.graphql(PAGE, variables).await;
        let page = answer.body["data"]["users"].clone();
        assert!(page.is_object(), "{}", answer.text);
        page
    };
    let names = |page: &Value| {
        let nodes = page["nodes"].as_array().expect("a list").iter();
        nodes
            .map(|node| node["name"].as_str().expect("a name").to_owned())
            .collect::<String>()
    };
    let all = page(json!({})).await;
    assert_eq!((names(&all).as_str(), &all["totalCount"]), ("Eabcd", &json!(5)));
    let mut seen = String::new();
    let mut after = Value::Null;
    loop {
        let part = page(json!({ "first": 2, "after": after })).await;
        seen += &names(&part);
        after = part["pageInfo"]["endCursor"].clone();
        if part["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(seen, "Eabcd");
    let last = page(json!({ "last": 2, "before": all["edges"][4]["cursor"] })).await;
    assert_eq!(
        (names(&last).as_str(), &last["pageInfo"]["hasPreviousPage"]),
        ("bc", &json!(true))
    );
    let foreign = server
        .graphql("{ users(after: \"x\") { totalCount } }", json!({}))
        .await;
    assert_eq!(foreign.body["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
}

async fn users_and_tokens_are_found_by_their_ids(server: &TestServer) {
    user(server, "ana", &[]).await;
    user(server, "bo", &[Permission::ManageUsers]).await;
    server.token(&Rights::of([Permission::Audit])).await;
    let answer = server
        .graphql(
            "{ users { nodes { id name } } tokens { nodes { id name } } }",
            json!({}),
        )
        .await;
    let data = &answer.body["data"];
    let ids = json!([
        data["tokens"]["nodes"][0]["id"],
        data["users"]["nodes"][0]["id"],
        data["users"]["nodes"][1]["id"]
    ]);
    let query = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on User { name permissions } ... on Token \
        { name permissions } } }";
    let found = server.graphql(query, json!({ "ids": ids })).await;
    found.data(json!({ "nodes": [
        { "__typename": "Token", "id": ids[0], "name": "a test", "permissions": ["AUDIT"] },
        { "__typename": "User", "id": ids[1], "name": "ana", "permissions": [] },
        { "__typename": "User", "id": ids[2], "name": "bo", "permissions": ["MANAGE_USERS"] },
    ] }));
    let one = "query($id: ID!) { node(id: $id) { id } }";
    for id in ids.as_array().expect("a list") {
        server
            .graphql(one, json!({ "id": id }))
            .await
            .data(json!({ "node": { "id": id } }));
        let few = server.as_caller(&Rights::of([Permission::ViewClient, Permission::Audit]));
        few.graphql(one, json!({ "id": id }))
            .await
            .data(json!({ "node": null }));
    }
    // The deleted object has the same id.
    let delete = "mutation { deleteUser(input: { name: \"ana\" }) { deletedUserId userErrors { message } } }";
    server
        .graphql(delete, json!({}))
        .await
        .data(json!({ "deleteUser": { "deletedUserId": ids[1], "userErrors": [] } }));
    server
        .graphql(one, json!({ "id": ids[1] }))
        .await
        .data(json!({ "node": null }));
    let again = server.graphql(delete, json!({})).await;
    assert_eq!(again.body["data"]["deleteUser"]["deletedUserId"], Value::Null);
    let key = server.graphql("{ tokens { nodes { encodedKey } } }", json!({})).await;
    let key = &key.body["data"]["tokens"]["nodes"][0]["encodedKey"];
    let revoke = "mutation($key: String!) { revokeToken(input: { encodedKey: $key }) { revokedTokenId token { id } } }";
    server
        .graphql(revoke, json!({ "key": key }))
        .await
        .data(json!({ "revokeToken": { "revokedTokenId": ids[0], "token": { "id": ids[0] } } }));
}

async fn tokens_come_in_pages_in_order_of_creation(server: &TestServer) {
    for name in ["one", "two", "three"] {
        let created = server
            .services
            .accounts
            .create_token(&Caller::operator(), &token_input(name, &Rights::of([]), None), now())
            .await;
        created.expect("the database answers").expect("the token is sound");
    }
    let query = "query($after: String) { tokens(first: 2, after: $after) { nodes { name } pageInfo { endCursor \
        hasNextPage } totalCount } }";
    let first = server.graphql(query, json!({})).await.body["data"]["tokens"].take();
    assert_eq!(first["nodes"], json!([{ "name": "one" }, { "name": "two" }]));
    assert_eq!(
        (&first["totalCount"], &first["pageInfo"]["hasNextPage"]),
        (&json!(3), &json!(true))
    );
    let rest = server
        .graphql(query, json!({ "after": first["pageInfo"]["endCursor"] }))
        .await;
    assert_eq!(rest.body["data"]["tokens"]["nodes"], json!([{ "name": "three" }]));
}

async fn deactivation_and_deletion_apply_on_every_server(server: &TestServer) {
    user(server, "boss", &[Permission::ManageUsers]).await;
    let servers = [strict(server).await, strict(server).await];
    for (name, mutation, payload) in [
        (
            "ana",
            "upsertUser(input: { name: \"ana\", active: false })",
            json!({ "userErrors": [] }),
        ),
        ("bo", "deleteUser(input: { name: \"bo\" })", json!({ "userErrors": [] })),
    ] {
        user(server, name, &[Permission::ViewClient]).await;
        for strict in &servers {
            assert_eq!(status(strict, name).await, 200, "{name}");
        }
        let field = mutation.split('(').next().expect("a name");
        let body = json!({ "query": format!("mutation {{ {mutation} {{ userErrors {{ code message }} }} }}") });
        let manager = servers[0].token(&Rights::all()).await;
        let answer = servers[0].as_bearer(manager).post("/graphql", body).await;
        answer.data(json!({ field: payload }));
        for strict in &servers {
            assert_eq!(status(strict, name).await, 401, "{name}");
        }
    }
    for strict in servers {
        strict.stop().await;
    }
}

async fn deleting_a_user_requires_their_rights_and_works_once(server: &TestServer) {
    user(server, "boss", &Permission::ALL).await;
    user(server, "ana", &[Permission::ViewClient]).await;
    let delete = "mutation($name: String!) { deleteUser(input: { name: $name, clientMutationId: \"m\" }) {
            clientMutationId userErrors { code path } } }";
    let few = server.as_caller(&Rights::of([Permission::ManageUsers]));
    let before = server.snapshot().await;
    few.graphql(delete, json!({ "name": "boss" }))
        .await
        .data(json!({ "deleteUser": { "clientMutationId": "m",
        "userErrors": [{ "code": "FORBIDDEN", "path": ["input", "name"] }] } }));
    assert_eq!(server.snapshot().await, before);
    for (name, errors) in [
        ("ana", json!([])),
        ("ana", json!([{ "code": "NOT_FOUND", "path": ["input", "name"] }])),
        ("boss", json!([{ "code": "INVALID", "path": ["input", "name"] }])),
    ] {
        let answer = server.graphql(delete, json!({ "name": name })).await;
        assert_eq!(answer.body["data"]["deleteUser"]["userErrors"], errors, "{name}");
    }
}

async fn expired_token_is_refused(server: &TestServer) {
    let strict = strict(server).await;
    let now = now();
    let token = async |made: i64, days: i64| {
        let made = now - chrono::TimeDelta::days(made);
        let input = CreateToken {
            expires_at: Some(clientele::scalar::DateTime(made + chrono::TimeDelta::days(days))),
            ..token_input("a job", &Rights::of([Permission::ViewClient]), None)
        };
        let created = server
            .services
            .accounts
            .create_token(&Caller::operator(), &input, made)
            .await;
        created
            .expect("the database answers")
            .map(|(_, text)| text.reveal().to_owned())
    };
    let (over, valid) = (
        token(3, 2).await.expect("sound then"),
        token(3, 4).await.expect("sound"),
    );
    assert_eq!(strict.as_bearer(&over).get("/api/clients").await.status, 401);
    assert_eq!(strict.as_bearer(&valid).get("/api/clients").await.status, 200);
    let problems = token(0, 0).await.expect_err("it would be over at once");
    assert_eq!(problems[0].message.to_string(), "expiresAt must be in the future.");
    strict.stop().await;
}
