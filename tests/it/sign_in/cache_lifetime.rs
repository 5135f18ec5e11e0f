//! The time until a server applies changes made on another server. The test controls the clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use clientele::{
    access::Clock,
    api::authentication::AuthenticationSettings,
    caller::{Permission, Rights},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::credentials::{PASSWORD, user};
use crate::harness::{Settings, TestServer};

/// The longest that may be configured.
const BOUND: Duration = Duration::from_secs(10);

/// A server without change notifications, and the time since its start in nanoseconds.
struct Other {
    server: TestServer,
    passed: Arc<AtomicU64>,
}

impl Other {
    async fn of(server: &TestServer) -> Self {
        let (begin, passed) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let time = passed.clone();
        let settings = Settings {
            clock: Clock::new(move || begin + Duration::from_nanos(time.load(SeqCst))),
            ..Settings::authenticated(AuthenticationSettings {
                freshness_seconds: BOUND.as_secs(),
                ..AuthenticationSettings::default()
            })
        };
        let server = server.another(settings).await;
        Self { server, passed }
    }

    fn set(&self, since: Duration) {
        self.passed
            .store(since.as_nanos().try_into().expect("some seconds"), SeqCst);
    }

    /// The answers to the bearer of the token and to these users.
    async fn statuses(&self, token: &str, users: [&str; 3]) -> Vec<u16> {
        let mut statuses = vec![self.server.as_bearer(token).get("/api/clients").await.status];
        for name in users {
            let request = self.server.request(Method::GET, "/api/clients");
            statuses.push(self.server.send(request.basic_auth(name, Some(PASSWORD))).await.status);
        }
        statuses
    }
}

async fn change(server: &TestServer, mutation: &str, input: Value) {
    let kind = format!("{}{}Input", mutation[..1].to_uppercase(), &mutation[1..]);
    let query = format!("mutation($input: {kind}!) {{ {mutation}(input: $input) {{ userErrors {{ code }} }} }}");
    let answer = server.graphql(&query, json!({ "input": input })).await;
    answer.data(json!({ mutation: { "userErrors": [] } }));
}

on_both!(changes_on_other_servers_apply_after_ten_seconds);

async fn changes_on_other_servers_apply_after_ten_seconds(server: &TestServer) {
    let other = Other::of(server).await;
    user(server, "boss", &Permission::ALL).await;
    let users = ["gone", "less", "locked"];
    for name in users {
        user(server, name, &[Permission::ViewClient]).await;
    }
    let token = server.token(&Rights::of([Permission::ViewClient])).await;
    assert_eq!(other.statuses(&token, users).await, [200, 200, 200, 200]);

    let tokens = server.graphql("{ tokens { nodes { encodedKey } } }", json!({})).await;
    let key = &tokens.body["data"]["tokens"]["nodes"][0]["encodedKey"];
    change(server, "revokeToken", json!({ "encodedKey": key })).await;
    change(server, "deleteUser", json!({ "name": "gone" })).await;
    change(server, "upsertUser", json!({ "name": "less", "permissions": [] })).await;
    change(server, "upsertUser", json!({ "name": "locked", "active": false })).await;

    // Requests in the meantime do not extend it.
    for since in [Duration::ZERO, BOUND / 2, BOUND.saturating_sub(Duration::from_nanos(1))] {
        other.set(since);
        other.server.statements();
        assert_eq!(
            other.statuses(&token, users).await,
            [200, 200, 200, 200],
            "after {since:?}"
        );
        let statements: Vec<String> = other
            .server
            .statements()
            .into_iter()
            .filter(|sql| sql.contains("api_"))
            .collect();
        assert_eq!(statements, Vec::<String>::new(), "after {since:?}");
    }
    other.set(BOUND);
    assert_eq!(other.statuses(&token, users).await, [401, 401, 403, 401]);
    other.server.stop().await;
}
