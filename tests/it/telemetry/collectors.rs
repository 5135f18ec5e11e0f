//! Collectors that are away, refuse, hang and recover.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{events, exporting, logging, store_client};
use crate::harness::{
    peers::{
        Collecting, CollectorPeer,
        collector::{Export, lines, spans},
    },
    program::{Server, directory},
};

const FAILED: &str = "telemetry isn't exported: check telemetry.otlp_endpoint and the collector";

fn sqlite(folder: &tempfile::TempDir) -> String {
    format!("sqlite:{}", folder.path().join("clientele.db").display())
}

/// The lines of the exporters, without times and counts.
fn of_exporters(log: &str) -> Vec<Value> {
    let of_exporters = |event: &Value| {
        event["target"]
            .as_str()
            .is_some_and(|of| of.starts_with("clientele::telemetry"))
    };
    let events = events(log).into_iter().filter(of_exporters);
    let mut lines: Vec<_> = events
        .map(|event| json!([event["level"], event["signal"], event["cause"], event["message"]]))
        .collect();
    lines.sort_by_key(|line| line.to_string());
    lines
}

/// Stops the server. Returns its log and the time that it took.
fn stop(program: Server) -> (String, Duration) {
    let begun = Instant::now();
    program.signal("TERM");
    let (log, code) = program.wait();
    assert_eq!(code, Some(0), "{log}");
    (log, begun.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collector_that_is_away_costs_one_line() {
    let folder = directory();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    let program = logging(&sqlite(&folder), &[("CLIENTELE_TELEMETRY__OTLP_ENDPOINT", &endpoint)]);
    for _ in 0..3 {
        store_client(&program, &[]).await;
    }
    let (log, took) = stop(program);
    assert!(took < Duration::from_secs(8), "{took:?}");
    let cause = "Connection refused (os error 111)";
    let lost = "telemetry lost: the collector didn't take it in time";
    assert_eq!(
        of_exporters(&log),
        [
            json!(["WARN", "logs", cause, FAILED]),
            json!(["WARN", "logs", null, lost]),
            json!(["WARN", "traces", cause, FAILED]),
            json!(["WARN", "traces", null, lost]),
        ],
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_exports_are_not_repeated() {
    let folder = directory();
    let collector = CollectorPeer::start(Collecting::Answer(401)).await;
    let headers = "api-key=s3cret%2C7,x-scope=bank";
    let program = exporting(
        &sqlite(&folder),
        &collector,
        &[("CLIENTELE_TELEMETRY__OTLP_HEADERS", headers)],
    );
    store_client(&program, &[]).await;
    let is_of = |path: &'static str| move |export: &Export| export.path == path;
    let exports = collector
        .until(|exports| exports.iter().any(is_of("/v1/traces")) && exports.iter().any(is_of("/v1/logs")))
        .await;
    for export in &exports {
        assert_eq!(export.headers["api-key"], "s3cret,7");
        assert_eq!(export.headers["x-scope"], "bank");
    }
    let (log, _) = stop(program);
    let spans = spans(&collector.exports());
    let requests = spans.iter().filter(|span| span.kind == 2).count();
    assert_eq!(requests, 1, "{spans:?}");
    let cause = "it answers with the status 401";
    let failed = of_exporters(&log).into_iter().filter(|line| line[3] == FAILED);
    assert_eq!(
        failed.collect::<Vec<_>>(),
        [
            json!(["WARN", "logs", cause, FAILED]),
            json!(["WARN", "traces", cause, FAILED])
        ]
    );
    assert!(!log.contains("s3cret"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_records_of_an_accepted_export_are_lost() {
    let folder = directory();
    let collector = CollectorPeer::start(Collecting::Reject(1)).await;
    let program = exporting(&sqlite(&folder), &collector, &[]);
    store_client(&program, &[]).await;
    collector
        .until(|exports| exports.iter().any(|export| export.path == "/v1/traces"))
        .await;
    let (log, _) = stop(program);
    let lost = "telemetry lost: the collector rejected records of an export: see its log";
    let mut lines = of_exporters(&log);
    // A second batch makes a second line at the end.
    lines.dedup();
    assert_eq!(
        lines,
        [
            json!(["WARN", "logs", null, lost]),
            json!(["WARN", "traces", null, lost])
        ],
        "{log}"
    );
    let counted = |signal: &str| -> u64 {
        let of_signal = events(&log).into_iter().filter(|event| event["signal"] == signal);
        of_signal.filter_map(|event| event["records"].as_u64()).sum()
    };
    for (signal, path) in [("traces", "/v1/traces"), ("logs", "/v1/logs")] {
        let exports = collector.exports().iter().filter(|export| export.path == path).count();
        assert_eq!(counted(signal), exports as u64, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overloaded_collector_gets_the_same_export_again() {
    let folder = directory();
    let collector = CollectorPeer::start(Collecting::Accept).await;
    collector.once([Collecting::Answer(503)]);
    let program = exporting(&sqlite(&folder), &collector, &[("CLIENTELE_TELEMETRY__LOGS", "false")]);
    store_client(&program, &[]).await;
    let twice = collector.until(|exports| exports.len() >= 2).await;
    assert_eq!(twice[0].body, twice[1].body);
    let (log, _) = stop(program);
    assert_eq!(
        of_exporters(&log),
        [
            json!(["INFO", "traces", null, "telemetry is exported again"]),
            json!(["WARN", "traces", "it answers with the status 503", FAILED]),
        ],
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_collector_holds_up_neither_requests_nor_the_end() {
    let folder = directory();
    let collector = CollectorPeer::start(Collecting::Hang).await;
    let program = exporting(
        &sqlite(&folder),
        &collector,
        &[
            ("CLIENTELE_TELEMETRY__TIMEOUT_SECONDS", "60"),
            ("CLIENTELE_SHUTDOWN_TIMEOUT_SECONDS", "1"),
        ],
    );
    store_client(&program, &[]).await;
    collector
        .until(|exports| exports.iter().any(|export| export.path == "/v1/traces"))
        .await;
    let begun = Instant::now();
    for _ in 0..20 {
        store_client(&program, &[]).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let (log, took) = stop(program);
    assert!(took < Duration::from_secs(8), "{took:?}");
    let lost = "telemetry lost: the collector didn't take the last lines and spans in time";
    assert!(of_exporters(&log).contains(&json!(["WARN", null, null, lost])), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_exports_everything_that_waits() {
    let folder = directory();
    let collector = CollectorPeer::start(Collecting::Accept).await;
    let program = exporting(&sqlite(&folder), &collector, &[]);
    for _ in 0..40 {
        store_client(&program, &[]).await;
    }
    let (log, _) = stop(program);
    let exports = collector.exports();
    let requests = spans(&exports).iter().filter(|span| span.kind == 2).count();
    assert_eq!(requests, 40);
    assert_eq!(lines(&exports).iter().filter(|line| line.body == "request").count(), 40);
    assert_eq!(of_exporters(&log), Vec::<Value>::new());
}
