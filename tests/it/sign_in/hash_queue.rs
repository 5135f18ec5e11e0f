//! The queue of passwords to hash: neither strangers nor callers block others in it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use clientele::{
    access::hash_queue::{HashPermit, HashTicket, Waiter},
    api::authentication::AuthenticationSettings,
    caller::{Permission, Rights},
    flow::Flow,
    server::HttpSettings,
};
use futures_util::FutureExt;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::credentials::{PASSWORD, on, user};
use crate::harness::{Backend, Settings, TestServer};

const BUSY: &str = "Too many sign-ins at once. Retry in a few seconds.";

/// Four concurrent requests and no queue, so that a held permit shows. A proxy names addresses.
fn narrow(failures: u32) -> Settings {
    let authentication = AuthenticationSettings {
        freshness_seconds: 10,
        failures_per_user: failures,
        failures_per_address: failures,
        failure_window_seconds: 3_600,
        ..AuthenticationSettings::default()
    };
    Settings {
        http: HttpSettings {
            requests: 4,
            queue: 0,
            trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")],
            ..HttpSettings::default()
        },
        ..Settings::authenticated(authentication)
    }
}

/// A request that comes from `address`.
fn from(server: &TestServer, address: &str, name: &str, password: &str) -> RequestBuilder {
    let request = server.request(Method::GET, "/api/clients");
    request
        .header("X-Forwarded-For", address)
        .basic_auth(name, Some(password))
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.expect("an answer").status().as_u16()
}

/// All permits to hash, so that all others wait.
fn all_permits(server: &TestServer) -> Vec<HashPermit> {
    let queue = &server.services.accounts.hasher.queue;
    let permit = |number: usize| {
        let ticket = queue
            .join(Waiter::Caller(Flow::Caller("USER", format!("test {number}").into())))
            .expect("room");
        ticket.granted().now_or_never().map(|permit| permit.expect("a permit"))
    };
    (0..).map_while(permit).collect()
}

/// A user and the bearer of a token, both known to the server.
struct SignedIn<'a> {
    server: &'a TestServer,
    token: String,
}

impl SignedIn<'_> {
    async fn new(server: &TestServer) -> SignedIn<'_> {
        user(server, "ana", &[Permission::ViewClient]).await;
        user(server, "bo", &[Permission::ViewClient]).await;
        let token = server.token(&Rights::of([Permission::ViewClient])).await;
        let all = SignedIn { server, token };
        all.work().await;
        all
    }

    async fn work(&self) {
        assert_eq!(status(from(self.server, "198.51.100.7", "ana", PASSWORD)).await, 200);
        assert_eq!(self.server.as_bearer(&self.token).get("/api/clients").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_in_waiting_for_a_hash_holds_no_request_permit() {
    on(Backend::Sqlite, narrow(10), async |server| {
        let signed_in = SignedIn::new(server).await;
        let permits = all_permits(server);
        let mut strangers = Vec::new();
        for number in 1..=24 {
            let name = if number % 2 == 0 { "ana" } else { "absent" };
            let request = from(server, &format!("203.0.113.{number}"), name, "wrong");
            strangers.push(tokio::spawn(status(request)));
            signed_in.work().await;
        }
        let newcomer = tokio::spawn(status(from(server, "192.0.2.1", "bo", PASSWORD)));
        signed_in.work().await;
        assert!(
            strangers.iter().all(|stranger| !stranger.is_finished()),
            "all of them wait"
        );
        drop(permits);
        assert_eq!(newcomer.await.expect("answered"), 200);
        for stranger in strangers {
            assert_eq!(stranger.await.expect("answered"), 401);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valid_sign_in_succeeds_during_distributed_guessing() {
    on(Backend::Sqlite, narrow(100_000), async |server| {
        let signed_in = SignedIn::new(server).await;
        let enough = Arc::new(AtomicBool::new(false));
        let guessing = (0..36).map(|number| {
            let address = format!("203.0.113.{}", number % 12);
            let request = server
                .request(Method::GET, "/api/clients")
                .header("X-Forwarded-For", address);
            let enough = enough.clone();
            tokio::spawn(async move {
                let mut heard = Vec::new();
                while !enough.load(SeqCst) {
                    let guess = format!("guess {number} {}", heard.len());
                    let request = request.try_clone().expect("it has no body");
                    heard.push(status(request.basic_auth("ana", Some(guess))).await);
                }
                heard
            })
        });
        let guessing: Vec<_> = guessing.collect();
        for _ in 0..50 {
            signed_in.work().await;
        }
        // From an address without a sign-in, then from one with a sign-in.
        assert_eq!(status(from(server, "192.0.2.1", "bo", PASSWORD)).await, 200);
        assert_eq!(status(from(server, "198.51.100.7", "bo", PASSWORD)).await, 200);
        signed_in.work().await;
        enough.store(true, SeqCst);
        for guesses in guessing {
            let heard = guesses.await.expect("answered");
            assert!(
                !heard.is_empty() && heard.iter().all(|status| [401, 503].contains(status)),
                "{heard:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_hash_queue_reveals_no_names_and_counts_no_failure() {
    on(Backend::Sqlite, narrow(2), async |server| {
        user(server, "ana", &[Permission::ViewClient]).await;
        let here = "203.0.113.9";
        let permits = all_permits(server);
        let network = Waiter::network(here.parse().expect("an address"), false);
        let queue = &server.services.accounts.hasher.queue;
        let waiting: Vec<HashTicket> = (0..).map_while(|_| queue.join(network.clone()).ok()).collect();
        server.statements();
        for (name, password) in [
            ("ana", PASSWORD),
            ("ana", "wrong"),
            ("absent", "wrong"),
            ("ana\0", "wrong"),
        ] {
            let answer = server.send(from(server, here, name, password)).await;
            let body = json!({ "returnCode": 6, "returnStatus": "INTERNAL_ERROR", "errorSource": BUSY });
            assert_eq!((answer.status, answer.body), (503, body), "{name}");
            let request = from(server, here, name, password);
            let response = request.send().await.expect("an answer");
            assert_eq!(response.headers()["retry-after"], "1", "{name}");
            let request = server.request(Method::POST, "/graphql").header("X-Forwarded-For", here);
            let request = request.basic_auth(name, Some(password));
            let answer = server.send(request.json(&json!({ "query": "{ __typename }" }))).await;
            let error = &answer.body["errors"][0];
            assert_eq!((answer.status, &error["message"]), (503, &Value::from(BUSY)), "{name}");
            assert_eq!(error["extensions"]["code"], "UNAVAILABLE", "{name}");
        }
        assert_eq!(server.statements(), Vec::<String>::new());
        assert_eq!(server.services.accounts.hasher.comparisons(), 0);
        drop((permits, waiting));
        for expected in [401, 401, 429] {
            assert_eq!(status(from(server, here, "ana", "wrong")).await, expected);
        }
    })
    .await;
}

fn graphql(server: &TestServer, name: &str, query: &str) -> RequestBuilder {
    let request = server
        .request(Method::POST, "/graphql")
        .header("X-Forwarded-For", "198.51.100.7");
    request
        .basic_auth(name, Some(PASSWORD))
        .json(&json!({ "query": query }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_waiting_for_a_hash_holds_no_request_permit() {
    on(Backend::Sqlite, narrow(10), async |server| {
        let signed_in = SignedIn::new(server).await;
        let managers = ["boss1", "boss2"];
        for name in managers {
            user(server, name, &Permission::ALL).await;
            assert_eq!(status(from(server, "198.51.100.7", name, PASSWORD)).await, 200);
        }
        let permits = all_permits(server);
        let mut changes = Vec::new();
        for number in 0..8 {
            let query = format!(
                "mutation {{ upsertUser(input: {{ name: \"made{number}\", password: \"another good one\", \
                 permissions: [] }}) {{ created }} }}"
            );
            let request = graphql(server, managers[number % 2], &query);
            changes.push(tokio::spawn(status(request)));
            signed_in.work().await;
        }
        assert!(changes.iter().all(|change| !change.is_finished()), "all of them wait");
        drop(permits);
        for change in changes {
            assert_eq!(change.await.expect("answered"), 200);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_verifies_one_password_at_most() {
    on(Backend::Sqlite, narrow(100), async |server| {
        user(server, "ana", &[]).await;
        let change = |number: usize, old: &str| {
            format!(
                "a{number}: changePassword(input: {{ oldPassword: \"{old}\", newPassword: \"new password {number}\" \
                 }}) {{ changed userErrors {{ message }} }} "
            )
        };
        let wrong: String = (0..20)
            .map(|number| change(number, &format!("wrong {number}")))
            .collect();
        let comparisons = || server.services.accounts.hasher.comparisons();
        for expected in [1, 1] {
            let answer = server
                .send(graphql(server, "ana", &format!("mutation {{ {wrong} }}")))
                .await;
            let answers = answer.body["data"].as_object().expect("data");
            let is_wrong = |answer: &Value| answer["userErrors"][0]["message"] == "This isn't your password.";
            assert!(answers.len() == 20 && answers.values().all(is_wrong), "{}", answer.text);
            // The sign-in of the first request.
            assert_eq!(comparisons(), expected);
        }
        let right: String = (0..20).map(|number| change(number, PASSWORD)).collect();
        let answer = server
            .send(graphql(server, "ana", &format!("mutation {{ {right} }}")))
            .await;
        let errors = answer.body["errors"].as_array().expect("errors");
        assert!(
            errors.len() == 19
                && errors
                    .iter()
                    .all(|error| error["extensions"]["code"] == "UNAUTHENTICATED")
        );
        assert_eq!(comparisons(), 1);
    })
    .await;
}
