//! A started server whose issuer hangs, is unreachable, answers nonsense, and recovers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use super::{Key, claims};
use crate::harness::program::{Server, clientele, directory, text};

const AWAY: &str = "The token can't be verified, because its issuer is unreachable. Retry in a few seconds.";
/// Longer than anything here takes, shorter than a test may.
const PATIENCE: Duration = Duration::from_secs(20);

/// The issuer's behaviour for a request for its keys.
#[derive(Clone, Debug)]
enum Conduct {
    Hang,
    Fail,
    Answer(String),
}

/// An issuer's endpoint, which counts the requests for its keys.
struct Issuer {
    url: String,
    conduct: Arc<Mutex<Conduct>>,
    fetches: watch::Receiver<usize>,
}

impl Issuer {
    async fn start(conduct: Conduct) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!(
            "http://{}/keys?secret=hidden",
            listener.local_addr().expect("an address")
        );
        let conduct = Arc::new(Mutex::new(conduct));
        let (count, fetches) = watch::channel(0);
        let shared = conduct.clone();
        tokio::spawn(async move {
            let mut hanging = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.send_modify(|count| *count += 1);
                let conduct = shared.lock().expect("no panic").clone();
                match conduct {
                    Conduct::Hang => hanging.push(stream),
                    Conduct::Fail => answer(stream, "500 Internal Server Error", "").await,
                    Conduct::Answer(body) => answer(stream, "200 OK", &body).await,
                }
            }
        });
        Self { url, conduct, fetches }
    }

    fn now(&self, conduct: Conduct) {
        *self.conduct.lock().expect("no panic") = conduct;
    }

    fn server(&self, environment: &[(&str, &str)]) -> Server {
        let mut all = vec![
            ("CLIENTELE_AUTHENTICATION__JWT__ISSUER", "https://issuer.test"),
            ("CLIENTELE_AUTHENTICATION__JWT__AUDIENCE", "clientele"),
            ("CLIENTELE_AUTHENTICATION__JWT__JWKS_URL", &self.url),
            ("CLIENTELE_AUTHENTICATION__PUBLIC_METRICS", "true"),
            ("CLIENTELE_LOG__FORMAT", "json"),
        ];
        all.extend(environment);
        let directory = directory();
        let migrated = clientele(&directory, &["migrate"], &[]).output().expect("it runs");
        assert!(migrated.status.success(), "{migrated:?}");
        Server::start_in(directory, &all)
    }
}

async fn answer(mut stream: TcpStream, status: &str, body: &str) {
    let _ = stream.read(&mut [0; 4096]).await;
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn keys(key: &Key) -> Conduct {
    Conduct::Answer(json!({ "keys": [key.public()] }).to_string())
}

async fn get(server: &Server, path: &str, token: Option<&str>) -> (u16, String) {
    let mut request = Client::new().get(format!("{}{path}", server.address));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

async fn metric(server: &Server, name: &str) -> Option<f64> {
    let (_, page) = get(server, "/metrics", None).await;
    let value = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    value.map(|value| value.parse().expect("a number"))
}

/// Waits until `/health/ready` answers 200 with this text.
async fn until_ready(server: &Server, expected: &str) {
    let expected = (200, expected.to_owned());
    let ready = async { while get(server, "/health/ready", None).await != expected {} };
    timeout(PATIENCE, ready).await.expect("it is noticed");
}

/// The log's events about the issuer itself, without their times.
fn events(log: &str) -> Vec<Value> {
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let about = |line: &Value| line["message"].as_str().is_some_and(|text| text.starts_with("issuer "));
    lines
        .filter(about)
        .map(|mut line| {
            let line = line.as_object_mut().expect("an object");
            line.remove("timestamp");
            Value::Object(std::mem::take(line))
        })
        .collect()
}

fn down(url: &str, cause: &str, consequence: &str) -> Value {
    json!({ "level": "WARN", "target": "clientele::api::authentication::issuer::published",
        "message": "issuer unreachable: its keys can't be fetched", "url": url, "cause": cause,
            "consequence": consequence })
}

fn up(url: &str) -> Value {
    json!({ "level": "INFO", "target": "clientele::api::authentication::issuer::published",
        "message": "issuer reachable again: its keys were fetched", "url": url })
}

const UNCHECKED: &str = "ready\nthe issuer is unreachable: its tokens are answered 503\n";
const CACHED: &str = "ready\nthe issuer is unreachable: its tokens are checked with the keys known so far\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_keys_hold_no_permits_while_issuer_hangs() {
    let issuer = Issuer::start(Conduct::Hang).await;
    let server = issuer.server(&[]);
    let arguments = ["token", "create", "t", "--permissions", "VIEW_CLIENT"];
    let mut create = clientele(&server.directory, &arguments, &[]);
    let token = text(create.output().expect("it runs").stdout);
    let token = token.split_whitespace().next().expect("a token");
    let mut strangers = JoinSet::new();
    let client = Client::new();
    for number in 0..300 {
        let made_up = Key::new(&format!("made up {number}")).sign(&claims(json!({})));
        let request = client
            .get(format!("{}/api/clients", server.address))
            .bearer_auth(made_up);
        strangers.spawn(async move { request.send().await.expect("an answer").status().as_u16() });
    }
    // The first of them begin while the first fetch goes on, which takes five seconds.
    for _ in 0..20 {
        let (status, _) = timeout(Duration::from_secs(1), get(&server, "/api/clients", Some(token)))
            .await
            .expect("no wait for places");
        assert_eq!(status, 200);
    }
    let (mut unchecked, mut throttled) = (0, 0);
    while let Some(status) = strangers.join_next().await {
        match status.expect("answered") {
            503 => unchecked += 1,
            429 => throttled += 1,
            other => panic!("{other}"),
        }
    }
    // The default allowance, plus regained attempts.
    assert!(
        (100..110).contains(&unchecked),
        "{unchecked} unchecked, {throttled} throttled"
    );
    assert!(*issuer.fetches.borrow() <= 2, "one fetch at a time");
    // Other callers of the same network can still sign in.
    let wrong = client
        .get(format!("{}/api/clients", server.address))
        .basic_auth("ana", Some("wrong"));
    assert_eq!(
        wrong.send().await.expect("an answer").status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_issuer_is_no_credentials_error() {
    let key = Key::new("key");
    let issuer = Issuer::start(Conduct::Fail).await;
    let server = issuer.server(&[("CLIENTELE_AUTHENTICATION__JWT__JWKS_PAUSE_SECONDS", "1")]);
    // The server notices it before any token arrives.
    until_ready(&server, UNCHECKED).await;
    assert_eq!(metric(&server, "clientele_issuer_up").await, Some(0.0));
    assert_eq!(metric(&server, "clientele_issuer_keys_age_seconds").await, None);
    let valid = key.sign(&claims(json!({})));
    let client = Client::new();
    // More often than the throttle lets an address fail.
    for _ in 0..150 {
        let request = client
            .get(format!("{}/api/clients", server.address))
            .bearer_auth(&valid);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()["retry-after"], "1");
        let body: Value = serde_json::from_str(&answer.text().await.expect("text")).expect("JSON");
        let expected = json!({ "returnCode": 6, "returnStatus": "INTERNAL_ERROR", "errorSource": AWAY });
        assert_eq!(body, expected);
    }
    let request = client.post(format!("{}/graphql", server.address)).bearer_auth(&valid);
    let answer = request
        .json(&json!({ "query": "{ __typename }" }))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "1");
    let body: Value = serde_json::from_str(&answer.text().await.expect("text")).expect("JSON");
    assert_eq!(body["errors"][0]["message"], AWAY);
    assert_eq!(body["errors"][0]["extensions"]["code"], "UNAVAILABLE");

    issuer.now(Conduct::Answer("<html>maintenance</html>".to_owned()));
    let fetches = *issuer.fetches.borrow();
    let mut later = issuer.fetches.clone();
    let more = timeout(PATIENCE, later.wait_for(|count| *count > fetches + 1)).await;
    more.expect("it is asked again and again").expect("it counts");
    assert_eq!(get(&server, "/api/clients", Some(&valid)).await.0, 503);

    issuer.now(keys(&key));
    until_ready(&server, "ready\n").await;
    assert_eq!(metric(&server, "clientele_issuer_up").await, Some(1.0));
    assert_eq!(get(&server, "/api/clients", Some(&valid)).await.0, 200);
    server.signal("TERM");
    let (log, _) = server.wait();
    let url = issuer.url.trim_end_matches("?secret=hidden");
    let cause = "it answers with the status 500";
    assert_eq!(events(&log), [down(url, cause, "its tokens are answered 503"), up(url)]);
    assert!(!log.contains("hidden"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_keys_work_while_issuer_is_unreachable() {
    let (key, unknown) = (Key::new("key"), Key::new("unknown"));
    let issuer = Issuer::start(keys(&key)).await;
    let server = issuer.server(&[
        ("CLIENTELE_AUTHENTICATION__JWT__JWKS_PAUSE_SECONDS", "1"),
        ("CLIENTELE_AUTHENTICATION__JWT__JWKS_REFRESH_SECONDS", "1"),
    ]);
    assert_eq!(
        get(&server, "/api/clients", Some(&key.sign(&claims(json!({})))))
            .await
            .0,
        200
    );
    assert_eq!(
        get(&server, "/api/clients", Some(&unknown.sign(&claims(json!({})))))
            .await
            .0,
        401
    );
    issuer.now(Conduct::Answer("{}".to_owned()));
    until_ready(&server, CACHED).await;
    let new = key.sign(&claims(json!({ "jti": "2" })));
    assert_eq!(get(&server, "/api/clients", Some(&new)).await.0, 200);
    assert_eq!(
        get(&server, "/api/clients", Some(&unknown.sign(&claims(json!({})))))
            .await
            .0,
        503
    );
    assert_eq!(metric(&server, "clientele_issuer_up").await, Some(0.0));
    assert!(metric(&server, "clientele_issuer_keys_age_seconds").await.is_some());
    server.signal("TERM");
    let (log, _) = server.wait();
    let url = issuer.url.trim_end_matches("?secret=hidden");
    let cause = "its answer isn't a set of keys (JWKS)";
    let consequence = "its tokens are checked with the keys known so far";
    assert_eq!(events(&log), [down(url, cause, consequence)]);
}
