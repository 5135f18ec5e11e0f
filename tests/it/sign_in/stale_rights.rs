//! Changes of users and tokens check the caller's stored rights, even if this server has cached older ones.

use clientele::{
    api::authentication::AuthenticationSettings,
    caller::{Permission, Rights},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::credentials::{PASSWORD, user};
use crate::harness::{Answer, Settings, TestServer};

const MANAGER: &[Permission] = &[Permission::ManageUsers, Permission::ViewClient, Permission::Audit];
const WRONG: &str = "These credentials are wrong, or not valid any more.";
const LACKING: &str = "This needs the permission MANAGE_USERS.";
const CREATE_TOKEN: &str =
    "mutation { createToken(input: { name: \"made\", permissions: [VIEW_CLIENT] }) { userErrors { code path } } }";

/// A caller of a server whose cache never expires.
struct Behind {
    server: TestServer,
}

enum Who<'a> {
    User(&'a str),
    Token(&'a str),
}

impl Behind {
    async fn of(server: &TestServer) -> Self {
        let settings = AuthenticationSettings {
            freshness_seconds: 86_400,
            ..AuthenticationSettings::default()
        };
        Self {
            server: server.another(Settings::authenticated(settings)).await,
        }
    }

    async fn ask(&self, who: &Who<'_>, query: &str, variables: Value) -> Answer {
        let request = self.server.request(Method::POST, "/graphql");
        let request = match who {
            Who::User(name) => request.basic_auth(name, Some(PASSWORD)),
            Who::Token(token) => request.bearer_auth(token),
        };
        self.server
            .send(request.json(&json!({ "query": query, "variables": variables })))
            .await
    }

    /// Asserts that this server accepts the caller as a manager of users, and caches that.
    async fn believes(&self, who: &Who<'_>) {
        let answer = self.ask(who, "{ viewer { permissions } }", json!({})).await;
        let permissions = &answer.body["data"]["viewer"]["permissions"];
        let manages = permissions
            .as_array()
            .is_some_and(|all| all.contains(&json!("MANAGE_USERS")));
        assert!(manages, "{}", answer.text);
    }

    /// Asserts that this is refused without details, that nothing is written, and that the cache is updated.
    async fn refuses(&self, who: &Who<'_>, query: &str, variables: Value, status: u16, code: &str, sentence: &str) {
        self.believes(who).await;
        let before = self.server.snapshot().await;
        let answer = self.ask(who, query, variables.clone()).await;
        let error = &answer.body["errors"][0];
        let fields = answer.body["data"].as_object();
        let has_data = fields.is_some_and(|fields| fields.values().any(|field| !field.is_null()));
        assert_eq!(
            (answer.status, has_data, &error["message"], &error["extensions"]["code"]),
            (status, false, &json!(sentence), &json!(code)),
            "{query}: {}",
            answer.text
        );
        assert_eq!(
            self.server.snapshot().await,
            before,
            "{query}: a refusal must write nothing"
        );
        let again = self.ask(who, query, variables).await;
        let error = &again.body["errors"][0];
        let shown = (again.status, &error["message"], &error["extensions"]["code"]);
        assert_eq!(
            shown,
            (status, &json!(sentence), &json!(code)),
            "{query}: {}",
            again.text
        );
    }
}

/// Runs this as a caller with all permissions, on a server that applies it at once.
async fn elsewhere(server: &TestServer, query: &str, variables: Value) {
    let answer = server.graphql(query, variables).await;
    assert!(answer.text.contains("\"userErrors\":[]"), "{}", answer.text);
}

async fn set(server: &TestServer, input: Value) {
    let query = "mutation($input: UpsertUserInput!) { upsertUser(input: $input) { userErrors { message } } }";
    elsewhere(server, query, json!({ "input": input })).await;
}

/// The real key of the newest token.
async fn newest_token(server: &TestServer) -> String {
    let answer = server
        .graphql("{ tokens(last: 1) { nodes { encodedKey } } }", json!({}))
        .await;
    let body: Value = serde_json::from_str(&answer.text).expect("JSON");
    let key = body["data"]["tokens"]["nodes"][0]["encodedKey"].as_str();
    key.expect("a token").to_owned()
}

const REVOKE: &str = "mutation($key: String!) { revokeToken(input: { encodedKey: $key }) { userErrors { code } } }";

on_both!(
    rights_revoked_elsewhere_cannot_be_granted,
    user_disabled_elsewhere_cannot_change_the_password,
    token_revoked_elsewhere_cannot_change_anything,
    only_remaining_rights_of_a_manager_can_be_granted,
    racing_demotion_never_precedes_the_token_it_forbids,
);

async fn rights_revoked_elsewhere_cannot_be_granted(server: &TestServer) {
    user(server, "second", &Permission::ALL).await;
    let behind = Behind::of(server).await;
    let unauthenticated = (401, "UNAUTHENTICATED", WRONG);
    for (name, change, (status, code, sentence)) in [
        (
            "demoted",
            json!({ "permissions": ["VIEW_CLIENT"] }),
            (200, "FORBIDDEN", LACKING),
        ),
        ("deactivated", json!({ "active": false }), unauthenticated),
        ("renewed", json!({ "password": "another good one" }), unauthenticated),
        ("deleted", Value::Null, unauthenticated),
    ] {
        user(server, name, MANAGER).await;
        let who = Who::User(name);
        behind.believes(&who).await;
        match change {
            Value::Null => {
                let query =
                    "mutation($name: String!) { deleteUser(input: { name: $name }) { userErrors { message } } }";
                elsewhere(server, query, json!({ "name": name })).await;
            }
            change => set(server, crate::harness::with(json!({ "name": name }), change)).await,
        }
        behind
            .refuses(&who, CREATE_TOKEN, json!({}), status, code, sentence)
            .await;
    }
    behind.server.stop().await;
}

async fn user_disabled_elsewhere_cannot_change_the_password(server: &TestServer) {
    user(server, "second", &Permission::ALL).await;
    let behind = Behind::of(server).await;
    for (name, change, old) in [
        (
            "deactivated",
            "upsertUser(input: { name: \"deactivated\", active: false })",
            PASSWORD,
        ),
        (
            "renewed",
            "upsertUser(input: { name: \"renewed\", password: \"another good one\" })",
            "another good one",
        ),
        ("deleted", "deleteUser(input: { name: \"deleted\" })", PASSWORD),
    ] {
        user(server, name, MANAGER).await;
        behind.believes(&Who::User(name)).await;
        elsewhere(
            server,
            &format!("mutation {{ {change} {{ userErrors {{ message }} }} }}"),
            json!({}),
        )
        .await;
        let query = "mutation($old: String!) { changePassword(input: { oldPassword: $old, newPassword: \"yet another \
            one\" }) { changed } }";
        behind
            .refuses(
                &Who::User(name),
                query,
                json!({ "old": old }),
                401,
                "UNAUTHENTICATED",
                WRONG,
            )
            .await;
    }
    behind.server.stop().await;
}

async fn token_revoked_elsewhere_cannot_change_anything(server: &TestServer) {
    user(server, "other", &[Permission::ViewClient]).await;
    server.token(&Rights::of([Permission::ViewClient])).await;
    let other = newest_token(server).await;
    let behind = Behind::of(server).await;
    let made = json!({ "name": "made", "password": PASSWORD, "permissions": ["VIEW_CLIENT"] });
    let upsert = "mutation($input: UpsertUserInput!) { upsertUser(input: $input) { userErrors { code } } }";
    for (query, variables) in [
        (upsert, json!({ "input": made })),
        (upsert, json!({ "input": { "name": "other", "active": false } })),
        (
            "mutation { deleteUser(input: { name: \"other\" }) { userErrors { code } } }",
            json!({}),
        ),
        (CREATE_TOKEN, json!({})),
        (REVOKE, json!({ "key": other })),
    ] {
        let token = server.token(&Rights::of(MANAGER.iter().copied())).await;
        let who = Who::Token(&token);
        behind.believes(&who).await;
        elsewhere(server, REVOKE, json!({ "key": newest_token(server).await })).await;
        behind
            .refuses(&who, query, variables, 401, "UNAUTHENTICATED", WRONG)
            .await;
    }
    behind.server.stop().await;
}

async fn only_remaining_rights_of_a_manager_can_be_granted(server: &TestServer) {
    user(server, "second", &Permission::ALL).await;
    let behind = Behind::of(server).await;
    let create = "mutation($permissions: [Permission!]!, $sets: [String!], $role: String) {
            createToken(input: { name: \"made\", permissions: $permissions, editSets: $sets, viewSets: $sets, role: \
            $role }) {
                userErrors { code path } } }";
    let manage = json!(["MANAGE_USERS"]);
    for (name, change, asked, place) in [
        (
            "fewer",
            json!({ "permissions": manage }),
            json!({ "permissions": ["AUDIT"], "role": "batch" }),
            "permissions",
        ),
        (
            "blind",
            json!({ "viewSets": ["a"], "editSets": ["a"] }),
            json!({ "permissions": manage, "role": "batch" }),
            "permissions",
        ),
        (
            "slower",
            json!({ "role": null }),
            json!({ "permissions": manage, "role": "batch" }),
            "role",
        ),
    ] {
        user(server, name, MANAGER).await;
        set(server, json!({ "name": name, "role": "batch" })).await;
        let who = Who::User(name);
        behind.believes(&who).await;
        set(server, crate::harness::with(json!({ "name": name }), change)).await;
        let answer = behind.ask(&who, create, asked).await;
        answer.data(json!({ "createToken": { "userErrors": [{ "code": "FORBIDDEN", "path": ["input", place] }] } }));
    }
    behind.server.stop().await;
}

/// The audit log decides the order: a token created after the demotion would come from a caller
/// without rights.
async fn racing_demotion_never_precedes_the_token_it_forbids(server: &TestServer) {
    user(server, "second", &Permission::ALL).await;
    user(server, "boss", MANAGER).await;
    let behind = Behind::of(server).await;
    // By position in the chain: the time of a record is that of the request.
    let newest = "SELECT subject FROM audit_record WHERE chain = '~users' ORDER BY position DESC LIMIT 1";
    for round in 0..12 {
        set(
            server,
            json!({ "name": "boss", "permissions": ["MANAGE_USERS", "VIEW_CLIENT"] }),
        )
        .await;
        behind.believes(&Who::User("boss")).await;
        let demotion = set(server, json!({ "name": "boss", "permissions": ["VIEW_CLIENT"] }));
        let boss = Who::User("boss");
        let ((), answer) = tokio::join!(demotion, behind.ask(&boss, CREATE_TOKEN, json!({})));
        // The token is created or refused; the demotion's record is the last in both cases.
        let made = answer.body["data"] == json!({ "createToken": { "userErrors": [] } });
        assert!(
            made || answer.body["errors"][0]["message"] == LACKING,
            "round {round}: {}",
            answer.text
        );
        let row = server
            .services
            .db
            .read()
            .one(newest, [])
            .await
            .expect("the history can be read");
        let subject: String = row.expect("a record").try_get_by_index(0).expect("a text");
        assert_eq!(subject, "USER", "round {round}: {}", answer.text);
    }
    behind.server.stop().await;
}
