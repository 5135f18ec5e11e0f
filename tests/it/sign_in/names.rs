//! Names of users and tokens: allowed characters, and uniqueness ignoring case.

use serde_json::{Value, json};

use super::{
    credentials::{PASSWORD, now, user},
    grants::user_input,
};
use crate::harness::TestServer;

const UPSERT: &str = "mutation($input: UpsertUserInput!) { upsertUser(input: $input) { created user { name version } \
    userErrors { code message path } } }";
const DELETE: &str = "mutation($name: String!) { deleteUser(input: { name: $name }) { deletedUserKey userErrors { code \
    message path } } }";
const CREATE: &str = "mutation($name: String!) { createToken(input: { name: $name, permissions: [] }) { token { name } \
    userErrors { code message path } } }";
const RULE: &str = "The name of a user has up to 64 letters, digits and any of . _ - @";

fn problem(code: &str, message: &str) -> Value {
    json!([{ "code": code, "message": message, "path": ["input", "name"] }])
}

on_both!(
    user_names_must_be_printable_and_not_blank,
    token_names_must_be_printable_and_not_blank,
    command_line_lists_print_no_control_characters,
    migration_refuses_names_that_differ_in_case_only,
    user_names_are_unique_ignoring_case,
);

async fn user_names_must_be_printable_and_not_blank(server: &TestServer) {
    user(server, "boss", &clientele::caller::Permission::ALL).await;
    let before = server.snapshot().await;
    let blank = "name is required and must not be blank.";
    for (name, code, message) in [
        ("a\0b", "MALFORMED", RULE),
        ("\0", "MALFORMED", RULE),
        ("a\nb", "MALFORMED", RULE),
        ("a\u{7f}", "MALFORMED", RULE),
        ("a\u{85}", "MALFORMED", RULE),
        ("a\u{200b}", "MALFORMED", RULE),
        ("a b", "MALFORMED", RULE),
        ("", "BLANK", blank),
        (" \t", "BLANK", blank),
        ("\u{200b}\u{feff}\u{2060}", "BLANK", blank),
        ("\u{3164}\u{ad}\u{200e}\u{2800}", "BLANK", blank),
    ] {
        let input = json!({ "name": name, "password": PASSWORD, "permissions": [] });
        let answer = server.graphql(UPSERT, json!({ "input": input })).await;
        let expected = json!({ "created": false, "user": null, "userErrors": problem(code, message) });
        assert_eq!(answer.body["data"]["upsertUser"], expected, "{name:?}: {}", answer.text);
    }
    for (name, code, message) in [
        ("a\0b", "MALFORMED", RULE),
        ("bo\u{1b}ss", "MALFORMED", RULE),
        (
            "bo",
            "NOT_FOUND",
            "There is no user of this name. The query users lists them.",
        ),
        (
            "\u{200b}",
            "NOT_FOUND",
            "There is no user of this name. The query users lists them.",
        ),
    ] {
        let answer = server.graphql(DELETE, json!({ "name": name })).await;
        let expected = json!({ "deletedUserKey": null, "userErrors": problem(code, message) });
        assert_eq!(answer.body["data"]["deleteUser"], expected, "{name:?}: {}", answer.text);
    }
    assert_eq!(server.snapshot().await, before);
}

async fn token_names_must_be_printable_and_not_blank(server: &TestServer) {
    let before = server.snapshot().await;
    let control = "name must not contain control characters.";
    for (name, code, message) in [
        ("a\0b", "MALFORMED", control),
        ("a\u{1b}[2J", "INVALID_CHARACTER", control),
        ("a\nb", "INVALID_CHARACTER", control),
        ("\u{feff}", "BLANK", "name is required and must not be blank."),
        (
            "\u{3164}\u{2800} \u{e0020}",
            "BLANK",
            "name is required and must not be blank.",
        ),
    ] {
        let answer = server.graphql(CREATE, json!({ "name": name })).await;
        let expected = json!({ "token": null, "userErrors": problem(code, message) });
        assert_eq!(
            answer.body["data"]["createToken"], expected,
            "{name:?}: {}",
            answer.text
        );
    }
    assert_eq!(server.snapshot().await, before);
    let visible = "Ruñaﬁ ジョブ 👩\u{200d}💻";
    let answer = server.graphql(CREATE, json!({ "name": visible })).await;
    assert_eq!(
        answer.body["data"]["createToken"]["token"]["name"], visible,
        "{}",
        answer.text
    );
}

/// Rows of earlier versions may have any characters in their names.
async fn command_line_lists_print_no_control_characters(server: &TestServer) {
    server.token(&clientele::caller::Rights::of([])).await;
    user(server, "ana", &[]).await;
    let steering = "a\u{1b}[2J\u{7}\u{9b}b\u{202e}c\u{200b}";
    for table in ["api_token", "api_user"] {
        server
            .write(&format!("UPDATE {table} SET name = '{steering}'"))
            .await
            .expect("written");
    }
    let url = server.database_url();
    for kind in ["token", "user"] {
        let (stdout, _, code) = crate::harness::program::run(&[kind, "list"], &[("DATABASE_URL", &url)]);
        assert_eq!(code, Some(0));
        let name = r"a\u{1b}[2J\u{7}\u{9b}b\u{202e}c\u{200b}";
        assert!(
            stdout.contains(name) && !stdout.trim_end().contains(char::is_control),
            "{stdout:?}"
        );
    }
}

async fn migration_refuses_names_that_differ_in_case_only(server: &TestServer) {
    for sql in [
        "DROP INDEX api_user_by_lower_name",
        "DELETE FROM seaql_migrations WHERE version = 'm20261128_user_names'",
    ] {
        server.write(sql).await.expect("it runs");
    }
    user(server, "ops", &[]).await;
    let other = "INSERT INTO api_user SELECT 'other', 'Ops', password_hash, active, initial, permissions, view_sets, \
        edit_sets, role,
            version, created_at, updated_at, branches, centres FROM api_user";
    server.write(other).await.expect("written");
    let before = server.snapshot().await;
    let url = server.database_url();
    let (_, stderr, code) = crate::harness::program::run(&["migrate"], &[("DATABASE_URL", &url)]);
    let sentence = "user names must differ in more than upper and lower case, and these don't: Ops, ops. Nothing was \
                    changed. Remove all but one of each with the command `user remove` of the former version, then \
                    start this one again";
    assert!(code == Some(1) && stderr.contains(sentence), "{code:?} {stderr}");
    assert_eq!(server.snapshot().await, before);
    server
        .write("DELETE FROM api_user WHERE encoded_key = 'other'")
        .await
        .expect("removed");
    let (_, stderr, code) = crate::harness::program::run(&["migrate"], &[("DATABASE_URL", &url)]);
    assert_eq!(code, Some(0), "{stderr}");
}

async fn user_names_are_unique_ignoring_case(server: &TestServer) {
    user(server, "Ana", &[]).await;
    user(server, "boss", &clientele::caller::Permission::ALL).await;
    // The existing user keeps its spelling.
    for (name, active) in [("ANA", false), ("ana", true)] {
        let answer = server
            .graphql(UPSERT, json!({ "input": { "name": name, "active": active } }))
            .await;
        let stored = &answer.body["data"]["upsertUser"];
        assert_eq!(
            (&stored["created"], &stored["user"]["name"]),
            (&json!(false), &json!("Ana")),
            "{}",
            answer.text
        );
    }
    let again = clientele::access::UpsertUser {
        password: async_graphql::MaybeUndefined::Value(PASSWORD.to_owned()),
        ..user_input("aNA")
    };
    let operator = clientele::caller::Caller::operator();
    let created = server.services.accounts.create_user(&operator, &again, now()).await;
    let problems = created.expect("the database answers").expect_err("it is there");
    assert_eq!(problems[0].message.to_string(), "There is a user of this name already.");
    // The database enforces it, too.
    let copy = "INSERT INTO api_user SELECT 'copy', 'aNa', password_hash, active, initial, permissions, view_sets, \
        edit_sets, role,
            version, created_at, updated_at, branches, centres FROM api_user WHERE name = 'Ana'";
    server.write(copy).await.expect_err("the index refuses it");
    let answer = server.graphql(DELETE, json!({ "name": "ANA" })).await;
    assert_eq!(
        answer.body["data"]["deleteUser"]["userErrors"],
        json!([]),
        "{}",
        answer.text
    );
}
