//! Failed attempts are counted by address, and trusted proxies name the address.

use clientele::{api::authentication::AuthenticationSettings, caller::Permission, server::HttpSettings};
use reqwest::Method;

use super::credentials::{PASSWORD, on, user};
use crate::harness::{Backend, Settings, TestServer};

fn behind_a_proxy() -> Settings {
    let authentication = AuthenticationSettings {
        failures_per_user: 2,
        failures_per_address: 4,
        failure_window_seconds: 3_600,
        ..AuthenticationSettings::default()
    };
    Settings {
        http: HttpSettings {
            trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")],
            ..HttpSettings::default()
        },
        ..Settings::authenticated(authentication)
    }
}

/// The status of a request that comes from `address`.
async fn from(server: &TestServer, address: &str, name: &str, password: &str) -> u16 {
    let request = server
        .request(Method::GET, "/api/clients")
        .header("X-Forwarded-For", address)
        .basic_auth(name, Some(password));
    server.send(request).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_from_elsewhere_do_not_lock_a_user_out() {
    on(Backend::Sqlite, behind_a_proxy(), async |server| {
        for name in ["ana", "bo"] {
            user(server, name, &[Permission::ViewClient]).await;
        }
        let (evil, office, home) = ("192.0.2.1", "198.51.100.7", "2001:db8:1::7");
        for (address, name, password, status) in [
            (evil, "ana", "wrong", 401),
            (evil, "ana", "wrong", 401),
            (evil, "ana", "wrong", 429),
            // Callers from other addresses are not affected.
            (office, "ana", PASSWORD, 200),
            (home, "ana", PASSWORD, 200),
            (home, "ana", "wrong", 401),
            // An IPv6 caller counts by its /56 network.
            ("2001:db8:1:ff::8", "ana", "wrong", 401),
            ("2001:db8:1:1::9", "ana", "wrong", 429),
            ("2001:db8:1:1::9", "ana", PASSWORD, 200),
            ("2001:db8:1:100::7", "ana", "wrong", 401),
            // Success elsewhere does not bypass the throttle: this could be a correct guess.
            (evil, "ana", PASSWORD, 429),
            // Another user of the throttled address has a separate count, until the address itself is throttled.
            (evil, "bo", "wrong", 401),
            (evil, "bo", PASSWORD, 200),
            (evil, "absent", "wrong", 401),
            (evil, "absent two", "wrong", 429),
            // A user who has signed in there stays signed in.
            (evil, "bo", PASSWORD, 200),
            (office, "bo", PASSWORD, 200),
        ] {
            assert_eq!(
                from(server, address, name, password).await,
                status,
                "{address} {name} {password}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn untrusted_callers_cannot_forward_an_address() {
    let settings = Settings {
        http: HttpSettings::default(),
        ..behind_a_proxy()
    };
    on(Backend::Sqlite, settings, async |server| {
        user(server, "ana", &[Permission::ViewClient]).await;
        for (address, status) in [("192.0.2.1", 401), ("192.0.2.2", 401), ("192.0.2.3", 429)] {
            assert_eq!(from(server, address, "ana", "wrong").await, status, "{address}");
        }
    })
    .await;
}
