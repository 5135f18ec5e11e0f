//! Rules for granting roles and rights, and protection of the last user with every right.

use async_graphql::MaybeUndefined::Undefined;
use clientele::error::Error;
use clientele::paging::Requested;
use clientele::paging::Window;
use clientele::{
    access::{ChangePassword, DeleteUser, RevokeToken, UpsertUser},
    caller::{Caller, Permission, Rights, Sets},
};
use serde_json::{Value, json};

use super::credentials::{PASSWORD, now, user};
use crate::harness::{Settings, TestServer, token_input};

pub(super) fn user_input(name: &str) -> UpsertUser {
    UpsertUser {
        name: name.to_owned(),
        password: Undefined,
        active: None,
        permissions: Undefined,
        view_sets: Undefined,
        edit_sets: Undefined,
        branches: Undefined,
        centres: Undefined,
        role: Undefined,
        client_mutation_id: None,
    }
}

pub const UPSERT: &str =
    "mutation($input: UpsertUserInput!) { upsertUser(input: $input) { userErrors { code message path } } }";
pub const CREATE: &str =
    "mutation($input: CreateTokenInput!) { createToken(input: $input) { userErrors { code message path } } }";
pub const DELETE: &str =
    "mutation($input: DeleteUserInput!) { deleteUser(input: $input) { userErrors { code message path } } }";

const ONLY_OWN: &str = "You can only give your own role, batch. Giving another one needs every right.";
const NO_ROLE: &str = "You can't give a role that you don't have. Giving one needs every right.";
const ALMOST_ALL: &str = "This is the last active user with every right: give them all to another one first.";

pub fn problem(code: &str, message: &str, place: &str) -> Value {
    json!([{ "code": code, "message": message, "path": ["input", place] }])
}

on_both!(
    granting_a_role_requires_that_role_or_every_right,
    changing_a_role_or_its_users_password_requires_the_role,
    last_user_with_every_right_is_protected,
    every_account_function_checks_permissions,
);

async fn granting_a_role_requires_that_role_or_every_right(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    let manager = Rights::of([Permission::ManageUsers, Permission::ViewClient]);
    let some_sets = Rights {
        edit_sets: Sets::These(["a".to_owned()].into()),
        view_sets: Sets::These([].into()),
        ..Rights::all()
    };
    let mut number = 0;
    for (rights, own, given, refusal) in [
        (&manager, None, None, None),
        (&manager, None, Some("batch"), Some(NO_ROLE)),
        (&manager, Some("batch"), Some("batch"), None),
        (&manager, Some("batch"), Some("reporting"), Some(ONLY_OWN)),
        (&manager, Some("batch"), None, Some(ONLY_OWN)),
        (&some_sets, None, Some("batch"), Some(NO_ROLE)),
        (&Rights::all(), None, Some("batch"), None),
        (&Rights::all(), Some("batch"), None, None),
    ] {
        let caller = server.token_with(rights, own).await;
        let caller = strict.as_bearer(&caller);
        number += 1;
        let name = format!("user{number}");
        let input = json!({ "name": name, "password": PASSWORD, "permissions": [], "viewSets": [], "editSets": [],
            "role": given });
        let token = json!({ "name": name, "permissions": [], "viewSets": [], "editSets": [], "role": given });
        for (query, field, input) in [(UPSERT, "upsertUser", input), (CREATE, "createToken", token)] {
            let before = server.snapshot().await;
            let problems = refusal.map_or(json!([]), |message| problem("FORBIDDEN", message, "role"));
            caller
                .graphql(query, json!({ "input": input }))
                .await
                .data(json!({ field: { "userErrors": problems } }));
            assert_eq!(
                server.snapshot().await == before,
                refusal.is_some(),
                "{own:?} gives {given:?}"
            );
        }
    }
    strict.stop().await;
}

async fn changing_a_role_or_its_users_password_requires_the_role(server: &TestServer) {
    user(server, "ana", &[Permission::ViewClient]).await;
    let all = server.as_caller(&Rights::all());
    all.graphql(UPSERT, json!({ "input": { "name": "ana", "role": "reporting" } }))
        .await
        .data(json!({ "upsertUser": { "userErrors": [] } }));
    let manager = server.as_caller(&Rights::of([Permission::ManageUsers, Permission::ViewClient]));
    let no_password = "This user has limits that you can't give: you can't make its password.";
    for (change, problems) in [
        (json!({ "role": "batch" }), problem("FORBIDDEN", NO_ROLE, "role")),
        (
            json!({ "password": "another good one" }),
            problem("FORBIDDEN", no_password, "password"),
        ),
        (json!({ "active": false }), json!([])),
        (json!({ "role": "reporting", "permissions": [] }), json!([])),
        // The manager has the general limits.
        (json!({ "role": null, "password": "another good one" }), json!([])),
        (json!({ "role": "reporting" }), problem("FORBIDDEN", NO_ROLE, "role")),
    ] {
        let input = crate::harness::with(json!({ "name": "ana" }), change);
        manager
            .graphql(UPSERT, json!({ "input": input }))
            .await
            .data(json!({ "upsertUser": { "userErrors": problems } }));
    }
    all.graphql(
        UPSERT,
        json!({ "input": { "name": "ana", "role": "reporting", "password": "a third good one" } }),
    )
    .await
    .data(json!({ "upsertUser": { "userErrors": [] } }));
}

async fn last_user_with_every_right_is_protected(server: &TestServer) {
    user(server, "boss", &Permission::ALL).await;
    user(server, "weak", &[Permission::ManageUsers]).await;
    let (all, weak) = (
        server.as_caller(&Rights::all()),
        server.as_caller(&Rights::of([Permission::ManageUsers])),
    );
    let changes = [
        json!({ "active": false }),
        json!({ "permissions": ["MANAGE_USERS"] }),
        json!({ "viewSets": ["a"], "editSets": ["a"] }),
    ];
    let upsert = |change: &Value| json!({ "input": crate::harness::with(json!({ "name": "boss" }), change.clone()) });
    let before = server.snapshot().await;
    let stronger = "This user has rights that you don't have: you can't change it.";
    for change in changes
        .iter()
        .chain([&json!({ "password": "another good one" }), &json!({ "role": null })])
    {
        let problems = problem("FORBIDDEN", stronger, "name");
        weak.graphql(UPSERT, upsert(change))
            .await
            .data(json!({ "upsertUser": { "userErrors": problems } }));
    }
    let removed = json!({ "input": { "name": "boss" } });
    weak.graphql(DELETE, removed.clone())
        .await
        .data(json!({ "deleteUser": { "userErrors":
        problem("FORBIDDEN", "This user has rights that you don't have: you can't remove it.", "name") } }));
    for change in &changes {
        let problems = problem("INVALID", ALMOST_ALL, "permissions");
        all.graphql(UPSERT, upsert(change))
            .await
            .data(json!({ "upsertUser": { "userErrors": problems } }));
    }
    all.graphql(DELETE, removed.clone())
        .await
        .data(json!({ "deleteUser": { "userErrors": problem("INVALID", ALMOST_ALL, "name") } }));
    assert_eq!(server.snapshot().await, before, "a refusal must write nothing");

    // A deactivated user does not count.
    user(server, "second", &Permission::ALL).await;
    all.graphql(UPSERT, json!({ "input": { "name": "second", "active": false } }))
        .await
        .data(json!({ "upsertUser": { "userErrors": [] } }));
    all.graphql(DELETE, removed.clone())
        .await
        .data(json!({ "deleteUser": { "userErrors": problem("INVALID", ALMOST_ALL, "name") } }));
    all.graphql(UPSERT, json!({ "input": { "name": "second", "active": true } }))
        .await
        .data(json!({ "upsertUser": { "userErrors": [] } }));
    all.graphql(DELETE, removed)
        .await
        .data(json!({ "deleteUser": { "userErrors": [] } }));

    // The operator can remove the last user with every right and create one again.
    for permissions in [vec![Permission::ManageUsers], Permission::ALL.to_vec()] {
        let input = UpsertUser {
            permissions: async_graphql::MaybeUndefined::Value(permissions),
            ..user_input("second")
        };
        let changed = server
            .services
            .accounts
            .change_user(&Caller::operator(), &input, now())
            .await;
        changed.expect("the database answers").expect("the operator may");
    }
}

/// Called directly, because an API would refuse the request earlier.
async fn every_account_function_checks_permissions(server: &TestServer) {
    user(server, "ana", &[]).await;
    let rights = Rights::of(
        Permission::ALL
            .into_iter()
            .filter(|permission| *permission != Permission::ManageUsers),
    );
    let caller = Caller {
        kind: clientele::caller::CallerKind::Issuer,
        rights: rights.into(),
        ..Caller::operator()
    };
    let (services, caller, now) = (&server.services, &caller, now());
    let window = Window::of(
        &clientele::paging::Range::Offset { offset: 0, count: 1 },
        &clientele::access::BY_NAME,
    )
    .expect("all of it");
    let (user, new) = (
        user_input("ana"),
        UpsertUser {
            password: async_graphql::MaybeUndefined::Value(PASSWORD.to_owned()),
            ..user_input("new")
        },
    );
    let (gone, key) = (
        DeleteUser {
            name: "ana".to_owned(),
            client_mutation_id: None,
        },
        RevokeToken {
            encoded_key: "gone".to_owned(),
            client_mutation_id: None,
        },
    );
    let before = server.snapshot().await;
    let requested = Requested {
        rows: true,
        total: true,
        contents: false,
    };
    for (what, error) in [
        ("users", services.accounts.users(caller, &window, requested).await.err()),
        (
            "tokens",
            services.accounts.tokens(caller, &window, requested).await.err(),
        ),
        (
            "upsert_user",
            services.accounts.upsert_user(caller, &new, &(), now).await.err(),
        ),
        (
            "create_user",
            services.accounts.create_user(caller, &new, now).await.err(),
        ),
        (
            "change_user",
            services.accounts.change_user(caller, &user, now).await.err(),
        ),
        (
            "delete_user",
            services.accounts.delete_user(caller, &gone, now).await.err(),
        ),
        (
            "create_token",
            services
                .accounts
                .create_token(caller, &token_input("new", &Rights::of([]), None), now)
                .await
                .err(),
        ),
        (
            "revoke_token",
            services.accounts.revoke_token(caller, &key, now).await.err(),
        ),
    ] {
        assert!(
            matches!(error, Some(Error::Forbidden("MANAGE_USERS"))),
            "{what}: {error:?}"
        );
    }
    let own = ChangePassword {
        old_password: PASSWORD.to_owned(),
        new_password: "another good one".to_owned(),
        client_mutation_id: None,
    };
    let problems = services
        .accounts
        .change_password(caller, &own, &(), now)
        .await
        .expect("the database answers")
        .expect_err("no user");
    assert_eq!(
        &*problems[0].message.to_string(),
        "Only a user has a password: sign in with your name and the old one."
    );
    assert_eq!(server.snapshot().await, before);
}
