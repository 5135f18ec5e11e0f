//! Tokens: lifetime, revocation and creator.

use clientele::{
    access::{CreateToken, MOST_DAYS},
    caller::{Caller, Permission, Rights},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    credentials::{PASSWORD, now, user},
    grants::{CREATE, DELETE, UPSERT, problem},
};
use crate::harness::{Settings, TestServer, token_input};

const REVOKE: &str = "mutation($input: RevokeTokenInput!) { revokeToken(input: $input) { token { revokedAt } \
    userErrors { code message path } } }";

on_both!(
    token_lifetime_is_at_most_five_years_or_unlimited,
    revoking_a_token_requires_its_rights_and_works_once,
    token_survives_demotion_and_deletion_of_its_creator,
    token_creator_has_a_name_a_kind_and_an_id,
);

async fn token_lifetime_is_at_most_five_years_or_unlimited(server: &TestServer) {
    let at = |end: chrono::DateTime<chrono::Utc>| CreateToken {
        expires_at: Some(clientele::scalar::DateTime(end)),
        ..token_input("a job", &Rights::of([]), None)
    };
    let now = now();
    let longest = now + chrono::TimeDelta::days(MOST_DAYS);
    let create = async |input: &CreateToken| {
        let created = server
            .services
            .accounts
            .create_token(&Caller::operator(), input, now)
            .await;
        created
            .expect("the database answers")
            .map(|(token, _)| token.row.expires_at)
    };
    assert_eq!(create(&token_input("a job", &Rights::of([]), None)).await, Ok(None));
    assert!(create(&at(longest)).await.is_ok());
    for (end, message) in [
        (
            longest + chrono::TimeDelta::seconds(1),
            "expiresAt must be at most five years (1827 days) ahead: omit it for a token that ends when it \
                is revoked.",
        ),
        (now, "expiresAt must be in the future."),
    ] {
        let problems = create(&at(end)).await.expect_err("refused");
        assert_eq!((problems.len(), &*problems[0].message.to_string()), (1, message));
    }
    let refused = json!({ "name": "a job", "permissions": [], "expiresAt": "9999-12-31T23:59:59Z" });
    server.graphql(CREATE, json!({ "input": refused })).await.data(
        json!({ "createToken": { "userErrors": problem("INVALID",
        "expiresAt must be at most five years (1827 days) ahead: omit it for a token that ends when it is \
            revoked.", "expiresAt") } }),
    );
}

async fn revoking_a_token_requires_its_rights_and_works_once(server: &TestServer) {
    server.token(&Rights::of([Permission::Audit])).await;
    let answer = server.graphql("{ tokens { nodes { encodedKey } } }", json!({})).await;
    let key = answer.body["data"]["tokens"]["nodes"][0]["encodedKey"].clone();
    let few = server.as_caller(&Rights::of([Permission::ManageUsers, Permission::ViewClient]));
    let gone = "There is no token with this key. The query tokens lists them.";
    let before = server.snapshot().await;
    for (key, problems) in [
        (
            key.clone(),
            problem(
                "FORBIDDEN",
                "This token has rights that you don't have: you can't revoke it.",
                "encodedKey",
            ),
        ),
        (json!("gone"), problem("NOT_FOUND", gone, "encodedKey")),
        (
            json!("\0"),
            problem(
                "INVALID_CHARACTER",
                "encodedKey must not contain control characters.",
                "encodedKey",
            ),
        ),
    ] {
        let answer = few.graphql(REVOKE, json!({ "input": { "encodedKey": key } })).await;
        answer.data(json!({ "revokeToken": { "token": null, "userErrors": problems } }));
    }
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    let revoke = async || server.graphql(REVOKE, json!({ "input": { "encodedKey": key } })).await;
    let first = revoke().await;
    let revoked = server.snapshot().await;
    assert_ne!(revoked, before);
    assert_eq!(revoke().await.text, first.text);
    assert_eq!(server.snapshot().await, revoked, "it is revoked already");
}

/// The token belongs to a program, which must go on when its creator leaves.
async fn token_survives_demotion_and_deletion_of_its_creator(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    user(server, "boss", &Permission::ALL).await;
    user(server, "ana", &[Permission::ManageUsers, Permission::ViewClient]).await;
    let query = "mutation { createToken(input: { name: \"a job\", permissions: [VIEW_CLIENT] }) { secret } }";
    let request = strict
        .request(Method::POST, "/graphql")
        .basic_auth("ana", Some(PASSWORD));
    let created = strict.send(request.json(&json!({ "query": query }))).await;
    let token = created.body["data"]["createToken"]["secret"].as_str().expect("a token");
    let job = strict.as_bearer(token);
    for (query, input) in [
        (UPSERT, json!({ "name": "ana", "permissions": [] })),
        (UPSERT, json!({ "name": "ana", "active": false })),
        (DELETE, json!({ "name": "ana" })),
    ] {
        let answer = server.graphql(query, json!({ "input": input })).await;
        assert!(answer.text.contains("\"userErrors\":[]"), "{}", answer.text);
        assert_eq!(job.get("/api/clients").await.status, 200);
    }
    strict.stop().await;
}

async fn token_creator_has_a_name_a_kind_and_an_id(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    let create = async |name: &str| {
        let body = json!({ "query": CREATE, "variables": { "input": { "name": name, "permissions": [] } } });
        let request = strict
            .request(Method::POST, "/graphql")
            .basic_auth("ana", Some(PASSWORD))
            .json(&body);
        strict
            .send(request)
            .await
            .data(json!({ "createToken": { "userErrors": [] } }));
    };
    user(server, "boss", &Permission::ALL).await;
    for name in ["hers", "another ana's"] {
        user(server, "ana", &[Permission::ManageUsers]).await;
        create(name).await;
        server
            .graphql(DELETE, json!({ "input": { "name": "ana" } }))
            .await
            .data(json!({ "deleteUser": { "userErrors": [] } }));
    }
    server
        .graphql(CREATE, json!({ "input": { "name": "anyone's", "permissions": [] } }))
        .await
        .data(json!({ "createToken": { "userErrors": [] } }));
    server.token(&Rights::of([])).await;
    let query = "{ tokens { nodes { name createdBy createdByKind createdById } }
            auditLog(filter: { subject: TOKEN }) { nodes { caller { id } } } }";
    let read = async || {
        serde_json::from_str::<Value>(&server.graphql(query, json!({})).await.text).expect("JSON")["data"].take()
    };
    let data = read().await;
    let tokens = data["tokens"]["nodes"].as_array().expect("a list");
    let recorded: Vec<&Value> = data["auditLog"]["nodes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|node| &node["caller"]["id"])
        .rev()
        .collect();
    let shown: Vec<_> = tokens
        .iter()
        .map(|token| (&token["name"], &token["createdBy"], &token["createdByKind"]))
        .collect();
    assert_eq!(
        json!(shown),
        json!([
            ["hers", "ana", "USER"],
            ["another ana's", "ana", "USER"],
            ["anyone's", "anyone", "ANYONE"],
            ["a test", "operator", "OPERATOR"]
        ])
    );
    assert_eq!(
        tokens.iter().map(|token| &token["createdById"]).collect::<Vec<_>>(),
        recorded
    );
    assert_ne!(tokens[0]["createdById"], tokens[1]["createdById"]);

    // A migrated database takes the creator from its audit log.
    for sql in [
        "ALTER TABLE api_token DROP COLUMN created_by_kind",
        "ALTER TABLE api_token DROP COLUMN created_by_id",
        "DELETE FROM seaql_migrations WHERE version = 'm20261124_creators'",
        "DELETE FROM audit_record WHERE caller_kind = 'OPERATOR'",
    ] {
        server.write(sql).await.expect(sql);
    }
    server
        .services
        .db
        .migrate()
        .await
        .expect("it can be brought up to date");
    let migrated = read().await;
    let migrated = migrated["tokens"]["nodes"].as_array().expect("a list");
    assert_eq!(migrated[..3], tokens[..3]);
    assert_eq!(
        migrated[3],
        json!({ "name": "a test", "createdBy": "operator", "createdByKind": null, "createdById": null })
    );
    strict.stop().await;
}
