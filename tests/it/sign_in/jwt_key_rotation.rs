//! Key rotation of an issuer, with tokens that name unknown keys and an issuer that hangs.

use clientele::{
    api::authentication::{AuthenticationSettings, JwtSettings},
    caller::{Permission, Rights},
};
use serde_json::json;

use super::{
    credentials::on,
    jwt::{Key, claims, issuer, status},
};
use crate::harness::{Backend, Settings};

fn settings(jwks_url: &str, pause: u64) -> Settings {
    Settings::authenticated(AuthenticationSettings {
        failures_per_address: 1,
        failure_window_seconds: 3_600,
        jwt: JwtSettings {
            issuer: "https://issuer.test".to_owned(),
            audience: "clientele".to_owned(),
            jwks_url: jwks_url.to_owned(),
            jwks_pause_seconds: pause,
            ..JwtSettings::default()
        },
        ..AuthenticationSettings::default()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_not_looked_up_is_counted_apart_from_failures() {
    let (url, published) = issuer().await;
    let (old, new) = (Key::new("old"), Key::new("new"));
    *published.lock().expect("no panic") = Some(json!({ "keys": [old.public()] }));
    on(Backend::Sqlite, settings(&url, 3_600), async |server| {
        assert_eq!(status(server, &old.sign(&claims(json!({})))).await, 200);
        *published.lock().expect("no panic") = Some(json!({ "keys": [old.public(), new.public()] }));
        // The pause is not over. A key counts once before the fetch, and every time after it.
        for _ in 0..3 {
            assert_eq!(status(server, &new.sign(&claims(json!({})))).await, 429);
        }
        let forged = Key::new("old").sign(&claims(json!({})));
        for expected in [401, 429] {
            assert_eq!(status(server, &forged).await, expected, "a wrong signature is one");
        }
        assert_eq!(status(server, &old.sign(&claims(json!({ "jti": "2" })))).await, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn withdrawn_key_expires_without_a_token_of_another_key() {
    use std::sync::{Arc, Mutex};

    use axum::{Router, routing::get};
    use tokio::{net::TcpListener, sync::mpsc, time::timeout};

    let (old, new) = (Key::new("old"), Key::new("new"));
    let published = Arc::new(Mutex::new(json!({ "keys": [old.public()] })));
    let (fetched, mut fetches) = mpsc::unbounded_channel();
    let keys = published.clone();
    let answer = async move || {
        let keys = keys.lock().expect("no panic").to_string();
        fetched.send(()).expect("the test counts");
        keys
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/keys", get(answer))).await });
    let settings = Settings::authenticated(AuthenticationSettings {
        jwt: JwtSettings {
            issuer: "https://issuer.test".to_owned(),
            audience: "clientele".to_owned(),
            jwks_url: url,
            jwks_refresh_seconds: 0,
            jwks_pause_seconds: 0,
            ..JwtSettings::default()
        },
        ..AuthenticationSettings::default()
    });
    on(Backend::Sqlite, settings, async |server| {
        let known = old.sign(&claims(json!({})));
        assert_eq!(status(server, &known).await, 200);
        fetches.recv().await.expect("it was fetched");
        *published.lock().expect("no panic") = json!({ "keys": [new.public()] });
        // The keys have expired: a token with a known key triggers a fetch.
        assert_eq!(status(server, &known).await, 200);
        let again = timeout(std::time::Duration::from_secs(20), fetches.recv()).await;
        again.expect("they are fetched").expect("it was fetched");
        // A token with an unknown key waits for the fetch.
        assert_eq!(status(server, &new.sign(&claims(json!({})))).await, 200);
        assert_eq!(status(server, &known).await, 401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_age_is_measured_from_the_fetch() {
    let (url, published) = issuer().await;
    let key = Key::new("key");
    on(Backend::Sqlite, settings(&url, 0), async |server| {
        let metrics = async || {
            let token = server.token(&Rights::of([Permission::ViewMetrics])).await;
            let page = server.as_bearer(token).get("/metrics").await.text;
            page.lines()
                .filter_map(|line| line.strip_prefix("clientele_issuer_keys_age_seconds "))
                .map(|age| age.parse().expect("a number"))
                .collect::<Vec<f64>>()
        };
        assert_eq!(status(server, &key.sign(&claims(json!({})))).await, 503);
        assert_eq!(metrics().await, [0.0; 0]);
        *published.lock().expect("no panic") = Some(json!({ "keys": [key.public()] }));
        assert_eq!(status(server, &key.sign(&claims(json!({})))).await, 200);
        let [first, second] = [metrics().await, metrics().await];
        assert!(
            first.len() == 1 && second.len() == 1 && first[0] < second[0],
            "{first:?} {second:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_without_key_id_is_tried_with_each_key() {
    let (url, published) = issuer().await;
    let (old, new) = (Key::new(""), Key::new(""));
    *published.lock().expect("no panic") = Some(json!({ "keys": [old.public(), new.public()] }));
    on(Backend::Sqlite, settings(&url, 3_600), async |server| {
        for key in [&old, &new] {
            assert_eq!(status(server, &key.sign(&claims(json!({})))).await, 200);
        }
        let late = new.sign(&claims(json!({ "exp": 1 })));
        let forged = Key::new("").sign(&claims(json!({})));
        for (wrong, expected) in [(late, 401), (forged, 429)] {
            assert_eq!(status(server, &wrong).await, expected);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_issuer_delays_requests_for_a_bounded_time() {
    use std::sync::Arc;

    use axum::{Router, routing::get};
    use tokio::{net::TcpListener, sync::Semaphore, time::timeout};

    let (old, new) = (Key::new("old"), Key::new("new"));
    let answers = Arc::new(Semaphore::new(1));
    let (free, keys) = (answers.clone(), json!({ "keys": [old.public()] }).to_string());
    let answer = async move || {
        free.acquire().await.expect("open").forget();
        keys
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/keys", get(answer))).await });
    on(Backend::Sqlite, settings(&url, 0), async |server| {
        assert_eq!(status(server, &old.sign(&claims(json!({})))).await, 200);
        let unknown = new.sign(&claims(json!({})));
        let known = old.sign(&claims(json!({ "jti": "2" })));
        let all = async {
            tokio::join!(
                status(server, &unknown),
                status(server, &unknown),
                status(server, &known)
            )
        };
        // Less than the fetch timeout, and less than two fetches in a row.
        let all = timeout(std::time::Duration::from_secs(4), all).await;
        assert_eq!(all.expect("no request waits for the issuer"), (503, 503, 200));
        // The issuer answers at last: the key is not there, which counts as a failure now.
        answers.add_permits(10);
        assert_eq!(status(server, &unknown).await, 401);
        let forged = Key::new("old").sign(&claims(json!({})));
        assert_eq!(status(server, &forged).await, 429);
    })
    .await;
}
