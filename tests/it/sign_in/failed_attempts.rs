//! Failed attempts do not harm other callers at the same address and cost few statements.

use std::time::Instant;

use clientele::{
    access::UpsertUser,
    api::authentication::{AuthenticationSettings, JwtSettings},
    caller::{Caller, Permission, Rights},
    secret::Secret,
};
use reqwest::Method;
use ring::hmac;
use serde_json::{Value, json};

use super::{
    credentials::{PASSWORD, now, on, user},
    jwt::{claims, sealed, status},
    sessions::ask_to_refresh,
};
use crate::harness::{Backend, Settings, TestServer};

const SECRET: &str = "a secret of the issuer and of this server";

/// Cached data is never fresh, and an address has two failures.
fn settings() -> AuthenticationSettings {
    AuthenticationSettings {
        freshness_seconds: 0,
        failures_per_address: 2,
        failure_window_seconds: 3_600,
        jwt: JwtSettings {
            issuer: "https://issuer.test".to_owned(),
            audience: "clientele".to_owned(),
            algorithms: vec!["HS256".to_owned()],
            key: Secret::new(SECRET),
            ..JwtSettings::default()
        },
        ..AuthenticationSettings::default()
    }
}

fn issued(secret: &str, own: Value) -> String {
    sealed(&json!({ "alg": "HS256" }), &claims(own), |text| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), text)
            .as_ref()
            .to_vec()
    })
}

async fn basic(server: &TestServer, name: &str, password: &str) -> u16 {
    let request = server
        .request(Method::GET, "/api/clients")
        .basic_auth(name, Some(password));
    server.send(request).await.status
}

/// Fails until the address has no failures left.
async fn use_up(server: &TestServer) {
    for expected in [401, 401, 429] {
        assert_eq!(basic(server, "absent", "wrong").await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valid_sign_in_succeeds_despite_failures_at_its_address() {
    on(Backend::Sqlite, Settings::authenticated(settings()), async |server| {
        user(server, "ana", &[Permission::ViewClient]).await;
        let view = Rights::of([Permission::ViewClient]);
        let (known, new) = (server.token(&view).await, server.token(&view).await);
        assert_eq!(
            (basic(server, "ana", PASSWORD).await, status(server, &known).await),
            (200, 200)
        );
        use_up(server).await;
        for _ in 0..2 {
            assert_eq!(basic(server, "ana", PASSWORD).await, 200, "a user who was here before");
            assert_eq!(status(server, &known).await, 200, "a token that was here before");
            assert_eq!(status(server, &new).await, 200, "a token that never was");
            assert_eq!(status(server, &issued(SECRET, json!({}))).await, 200, "an issued token");
        }
        for wrong in ["clt_invented", &issued("another secret", json!({})), "no.token"] {
            assert_eq!(status(server, wrong).await, 429, "{wrong}");
        }
        assert_eq!(basic(server, "ana", "wrong").await, 429);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttled_address_costs_few_statements() {
    on(Backend::Sqlite, Settings::authenticated(settings()), async |server| {
        user(server, "ana", &[Permission::ViewClient]).await;
        use_up(server).await;
        server.statements();
        for name in ["ana", "bo", "cy", "di"] {
            assert_eq!(basic(server, name, "wrong").await, 429, "{name}");
        }
        assert_eq!(server.statements(), Vec::<String>::new());
        let begun = Instant::now();
        for number in 0..100 {
            assert_eq!(status(server, &format!("clt_{number}")).await, 429);
            let refresh = format!("clr_{number:086}");
            assert_eq!(ask_to_refresh(server, &refresh).await.status, 429);
        }
        let most = 21.0 + 20.0 * begun.elapsed().as_secs_f64();
        let statements = server.statements().len();
        assert!(
            f64::from(u32::try_from(statements).expect("few")) <= most,
            "{statements}, not {most}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_write_does_not_reload_users() {
    let settings = AuthenticationSettings {
        freshness_seconds: 10,
        ..AuthenticationSettings::default()
    };
    on(Backend::Sqlite, Settings::authenticated(settings), async |server| {
        user(server, "ana", &[]).await;
        assert_eq!(basic(server, "ana", PASSWORD).await, 403);
        let again = UpsertUser {
            name: "ana".to_owned(),
            password: async_graphql::MaybeUndefined::Undefined,
            active: None,
            permissions: async_graphql::MaybeUndefined::Undefined,
            view_sets: async_graphql::MaybeUndefined::Undefined,
            edit_sets: async_graphql::MaybeUndefined::Undefined,
            branches: async_graphql::MaybeUndefined::Undefined,
            centres: async_graphql::MaybeUndefined::Undefined,
            role: async_graphql::MaybeUndefined::Undefined,
            client_mutation_id: None,
        };
        let made = server
            .services
            .accounts
            .create_user(&Caller::operator(), &again, now())
            .await;
        assert!(made.expect("the database answers").is_err(), "the name is taken");
        server.statements();
        assert_eq!(basic(server, "ana", PASSWORD).await, 403);
        assert_eq!(server.statements(), Vec::<String>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jwt_with_an_unstorable_subject_is_refused() {
    let mut settings = settings();
    settings.failures_per_address = 100;
    settings.jwt.role_claim = "role".to_owned();
    on(Backend::Sqlite, Settings::authenticated(settings), async |server| {
        for (own, expected) in [
            (json!({ "sub": "a\0b" }), 401),
            (json!({ "sub": "a\nb" }), 401),
            (json!({ "sub": "a\u{85}" }), 401),
            (json!({ "sub": "s".repeat(255) }), 200),
            (json!({ "sub": "s".repeat(256) }), 401),
            (json!({ "role": "r".repeat(64) }), 200),
            (json!({ "role": "r".repeat(65) }), 401),
            (json!({ "role": "a\0b" }), 401),
        ] {
            assert_eq!(status(server, &issued(SECRET, own.clone())).await, expected, "{own}");
        }
    })
    .await;
}
