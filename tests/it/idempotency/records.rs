//! The cost and the content of idempotency records.

use std::{
    iter::repeat_n,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use chrono::{DateTime, Utc};
use clientele::{definitions::Kind, expiry::keep_removing};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{CLIENTS, counts, ines, post};
use crate::harness::{Backend, TestServer, field, options};

/// The statements that a request takes.
async fn statements(server: &TestServer, path: &str, key: Option<&str>, body: &Value) -> usize {
    server.statements();
    let answer = match key {
        Some(key) => post(server, path, key, body).await,
        None => server.post(path, body.clone()).await,
    };
    assert_eq!(answer.status, 200, "{}", answer.text);
    server.statements().len()
}

on_both!(
    key_costs_one_statement_and_a_replay_two,
    records_of_a_client_are_found_by_its_key,
    record_holds_chosen_options_only,
    only_expired_records_are_removed_in_batches,
);

async fn key_costs_one_statement_and_a_replay_two(server: &TestServer) {
    let own = "/api/clients/<key 1>";
    assert_eq!(post(server, CLIENTS, "first", &ines()).await.status, 200);
    let (change, other) = (
        json!({ "client": { "notes": "a" } }),
        json!({ "client": { "notes": "b" } }),
    );
    // The claim is a separate statement, because it may wait. The outcome is stored with the change.
    let plain = statements(server, CLIENTS, None, &ines()).await;
    assert_eq!(statements(server, CLIENTS, Some("create"), &ines()).await, plain + 1);
    let plain = statements(server, own, None, &change).await;
    assert_eq!(statements(server, own, Some("change"), &other).await, plain + 1);
    // Without a change the outcome is written by itself.
    let plain = statements(server, own, None, &other).await;
    assert_eq!(statements(server, own, Some("unchanged"), &other).await, plain + 2);
    // A claim that fails, and the record with the definitions' version.
    for (path, key, body) in [
        (CLIENTS, "create", &ines()),
        (own, "change", &other),
        (own, "unchanged", &other),
    ] {
        assert_eq!(statements(server, path, Some(key), body).await, 2);
    }
}

async fn records_of_a_client_are_found_by_its_key(server: &TestServer) {
    let answer = post(server, CLIENTS, "order-7319", &ines()).await;
    let body: Value = serde_json::from_str(&answer.text).expect("an answer is JSON");
    let key = body["client"]["encodedKey"].as_str().expect("a key");
    let snapshot = server.snapshot().await;
    let row: Value = serde_json::from_str(snapshot.rows("idempotency_record")[0]).expect("a row is JSON");
    assert_eq!(
        (&row[0], &row[1], &row[4]),
        (&json!("ANYONE:anyone"), &json!("order-7319"), &json!(key))
    );
    let fingerprint = row[2].as_str().expect("a text");
    assert!(
        fingerprint.len() == 64 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{fingerprint}"
    );
    server
        .write(&format!("DELETE FROM idempotency_record WHERE client_key = '{key}'"))
        .await
        .expect("it can be erased");
    assert_eq!(counts(server).await, [1, 0, 0]);
}

async fn record_holds_chosen_options_only(server: &TestServer) {
    let mut country = field("country", Kind::Selection);
    let offered: Vec<String> = (0..250).map(|number| format!("country {number}")).collect();
    country.options = options(&offered.iter().map(String::as_str).collect::<Vec<_>>());
    server.define(vec![country]).await;
    let mut body = ines();
    body["customInformation"] = json!([{ "customFieldID": "country", "value": "country 7" }]);
    assert_eq!(post(server, CLIENTS, "order-7319", &body).await.status, 200);
    let snapshot = server.snapshot().await;
    let kept = snapshot.rows("idempotency_record")[0];
    assert!(
        kept.contains("country 7") && !kept.contains("country 8") && kept.len() < 4_000,
        "{kept}"
    );
}

async fn only_expired_records_are_removed_in_batches(server: &TestServer) {
    assert_eq!(post(server, CLIENTS, "order-7319", &ines()).await.status, 200);
    let expired = (0..1_500).map(|number| format!("('USER:a', '{number}', '', '2026-01-01T00:00:00.000000Z')"));
    let expired: Vec<String> = expired.collect();
    let insert = "INSERT INTO idempotency_record (caller, key, fingerprint, expires_at) VALUES";
    server
        .write(&format!("{insert} {}", expired.join(", ")))
        .await
        .expect("the rows are sound");
    server.statements();
    let (stop, stopped) = watch::channel(false);
    let clock_reads = AtomicUsize::new(0);
    let clock = move || -> DateTime<Utc> {
        // The second batch is the last.
        stop.send_replace(clock_reads.fetch_add(1, Relaxed) == 1);
        std::time::SystemTime::now().into()
    };
    let services = server.services.clone();
    keep_removing(services.db, services.changes, Arc::new(clock), stopped).await;
    assert_eq!(counts(server).await, [1, 0, 1]);

    let removals: Vec<String> = server
        .statements()
        .into_iter()
        .filter(|sql| sql.starts_with("DELETE FROM idempotency_record"))
        .collect();
    assert_eq!(removals, Vec::from_iter(repeat_n(removals[0].clone(), 2)));
    // PostgreSQL plans by its statistics, and the tables are nearly empty here.
    if server.backend == Backend::Sqlite {
        let plan = server
            .services
            .db
            .read()
            .all(format!("EXPLAIN QUERY PLAN {}", removals[0]), [])
            .await;
        let steps: Vec<String> = plan
            .expect("the statement is sound")
            .iter()
            .map(|row| row.try_get_by_index(3).expect("a text"))
            .collect();
        let steps = steps.join("\n");
        assert!(steps.contains("idempotency_record_by_expiry (expires_at<?)"), "{steps}");
        assert!(
            steps.contains("sqlite_autoindex_idempotency_record_1 (caller=? AND key=?)"),
            "{steps}"
        );
    }
}
