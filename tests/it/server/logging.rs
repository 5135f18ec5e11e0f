//! The log contains no data of dependencies or panics, whatever the configured filter is.

use std::{
    io,
    panic::{catch_unwind, set_hook, take_hook},
    sync::{Arc, Mutex},
};

use clientele::{
    config::{Log, LogFormat},
    server::log_without_messages,
    telemetry,
};
use sea_orm::ConnectionTrait;
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use crate::harness::{
    peers::Certificate,
    program::{Server, directory},
};

/// The crates of the workspace, by the roots of their log targets.
const OWN_CRATES: [&str; 9] = [
    "clientele",
    "clientele_core",
    "clientele_storage",
    "clientele_domain",
    "clientele_delivery",
    "graphql_server",
    "http_server",
    "entity",
    "migration",
];

#[tokio::test]
async fn dependencies_log_nothing_over_tls_even_at_trace() {
    let (certificate, folder) = (Certificate::new(), directory());
    let (chain, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
    std::fs::write(&chain, certificate.pem()).expect("written");
    std::fs::write(&key, certificate.key_pem()).expect("written");
    let server = Server::start(&[
        ("CLIENTELE_LOG__FORMAT", "json"),
        ("CLIENTELE_LOG__FILTER", "trace"),
        ("CLIENTELE_HTTP__CERTIFICATE_FILE", &chain.display().to_string()),
        ("CLIENTELE_HTTP__KEY_FILE", &key.display().to_string()),
    ]);
    let authority = std::fs::read(certificate.authority()).expect("a certificate");
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(&authority).expect("PEM")])
        .build()
        .expect("a client");
    let address = server.address.replace("127.0.0.1", "localhost");
    for path in ["/health/ready", "/api/clients"] {
        let request = client.get(format!("{address}{path}"));
        let answer = request.basic_auth("Okafor", Some("hunter2")).send().await;
        assert!(answer.expect("an answer").status().as_u16() > 0);
    }
    server.signal("TERM");
    let (log, _) = server.wait();

    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let requests = lines.iter().filter(|line| line["message"] == "request");
    assert_eq!(requests.count(), 2);
    for line in &lines {
        let target = line["target"].as_str().expect("a target");
        let of_ours = |root: &&str| target.split("::").next() == Some(root);
        let is_ours = OWN_CRATES.iter().any(of_ours);
        let is_warning = ["WARN", "ERROR"].iter().any(|level| line["level"] == *level);
        assert!(is_ours || is_warning, "{line}");
    }
}

#[tokio::test]
async fn failures_are_logged_at_warn_and_probes_at_debug() {
    let server = Server::open(&[("CLIENTELE_LOG__FORMAT", "json")]);
    let url = format!("sqlite:{}", server.directory.path().join("clientele.db").display());
    let database = sea_orm::Database::connect(url).await.expect("it is there");
    let broken = database
        .execute_unprepared("ALTER TABLE client RENAME TO client_of_before")
        .await;
    broken.expect("it runs");
    let client = reqwest::Client::new();
    let url = |path: &str| format!("{}{path}", server.address);
    let query = serde_json::json!({ "query": "{ clients { nodes { id } } }" });
    for (request, status) in [
        (client.get(url("/health/live")), 200),
        (client.get(url("/health/ready")), 200),
        (client.get(url("/api/clients")), 500),
        (client.post(url("/graphql")).json(&query), 200),
        (client.get(url("/api/nowhere")), 404),
    ] {
        assert_eq!(request.send().await.expect("an answer").status(), status);
    }
    server.signal("TERM");
    let (log, _) = server.wait();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    // Exactly one event for each request.
    let about_requests = lines.iter().filter(|line| !line["request_id"].is_null());
    let events: Vec<Value> = about_requests
        .map(|line| {
            ["level", "message", "route", "status", "code", "cause"]
                .map(|name| line[name].clone())
                .into()
        })
        .collect();
    let cause = "database: Query 1";
    assert_eq!(
        Value::from(events),
        serde_json::json!([
            ["DEBUG", "request", "/health/live", 200, null, null],
            ["DEBUG", "request", "/health/ready", 200, null, null],
            ["WARN", "request", "/api/clients", 500, "INTERNAL_ERROR", cause],
            ["WARN", "request", "/graphql", 200, "INTERNAL", cause],
            ["INFO", "request", "/api/{*path}", 404, "INVALID_API_OPERATION", null],
        ])
    );
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic here").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn panic_log_has_the_location_but_not_the_message() {
    let log = Log {
        format: LogFormat::Json,
        filter: "trace".to_owned(),
    };
    let lines = Lines::default();
    // The hook applies to the whole process.
    let hook = take_hook();
    log_without_messages();
    let name = "Ines Okafor";
    tracing::subscriber::with_default(telemetry::subscriber(&log, lines.clone()), || {
        let _ = catch_unwind(|| panic!("no client is called {name}"));
        let _ = catch_unwind(|| "x".parse::<u8>().expect(name));
        let _ = catch_unwind(|| std::panic::panic_any(name));
    });
    set_hook(hook);
    let text = String::from_utf8(lines.0.lock().expect("no panic there").clone()).expect("UTF-8");
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(events.len(), 3, "{text}");
    for line in events {
        assert_eq!(line["message"], "a panic: this is a defect of the program");
        assert!(line["line"].is_u64(), "{line}");
        let mut keys: Vec<&str> = line
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        keys.sort_unstable();
        assert_eq!(keys, ["file", "level", "line", "message", "target", "timestamp"]);
        assert!(!line.to_string().contains("Okafor"), "{line}");
    }
}
