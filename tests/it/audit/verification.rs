//! Verification finds every kind of tampering and reports nothing otherwise.

use clientele::{
    audit::{Counts, Finding},
    caller::Caller,
};
use serde_json::json;

use super::{findings, trevor};
use crate::harness::{TestServer, graphql::store_key};

/// A client called `a` with five records, one called `b` with one.
pub(super) async fn two_clients(server: &TestServer) -> [String; 2] {
    let named = |id: &str| json!({ "client": { "clientId": id, "firstName": "Amara", "lastName": "Bellweather" } });
    let (a, b) = (store_key(server, named("a")).await, store_key(server, named("b")).await);
    for number in 2..=5 {
        let client = json!({ "encodedKey": a, "notes": format!("note {number}") });
        store_key(server, json!({ "client": client })).await;
    }
    [a, b]
}

/// Tamperings of the chain of `a`, and the expected findings.
pub(super) const TAMPERINGS: &[(&str, &[&str])] = &[
    (
        "DELETE FROM audit_record WHERE chain = '{a}' AND position = 1",
        &["{a} 1: missing, up to 1"],
    ),
    (
        "DELETE FROM audit_record WHERE chain = '{a}' AND position IN (2, 3)",
        &["{a} 2: missing, up to 3"],
    ),
    (
        "DELETE FROM audit_record WHERE chain = '{a}' AND position = 5",
        &["{a} 5: cut off, up to 5"],
    ),
    (
        "DELETE FROM audit_record WHERE chain = '{a}'",
        &["{a} 1: cut off, up to 5"],
    ),
    (
        "DELETE FROM audit_record WHERE chain = '{a}' AND position > 3; \
         UPDATE client SET history_count = 3, \
         history_head = (SELECT hmac FROM audit_record WHERE chain = '{a}' AND position = 3) WHERE encoded_key = '{a}'",
        &["{a}: the stored end of the chain doesn't match the last record"],
    ),
    (
        "UPDATE audit_record SET caller_name = 'somebody' WHERE chain = '{a}' AND position = 2",
        &["{a} 2: altered, moved or inserted"],
    ),
    (
        "UPDATE audit_record SET caller_id = 'x' WHERE chain = '{a}' AND position = 2",
        &["{a} 2: altered, moved or inserted"],
    ),
    (
        "UPDATE audit_record SET caller_kind = 'USER' WHERE chain = '{a}' AND position = 2",
        &["{a} 2: altered, moved or inserted"],
    ),
    (
        "UPDATE audit_record SET door = 'REST' WHERE chain = '{a}' AND position = 2",
        &["{a} 2: altered, moved or inserted"],
    ),
    (
        "UPDATE audit_record SET request_id = 'x' WHERE chain = '{a}' AND position = 2",
        &["{a} 2: altered, moved or inserted"],
    ),
    (
        "UPDATE audit_record SET subject = 'USER' WHERE chain = '{a}' AND position = 2",
        &["{a} 2: altered, moved or inserted"],
    ),
    (
        "UPDATE audit_record SET subject_key = 'x' WHERE chain = '{a}' AND position = 2",
        &["{a} 2: altered, moved or inserted"],
    ),
    (
        "UPDATE audit_record SET action = 'DELETED' WHERE chain = '{a}' AND position = 2",
        &["{a} 2: altered, moved or inserted"],
    ),
    (
        "UPDATE audit_record SET recorded_at = '2001-02-03T04:05:06.000000Z' WHERE chain = '{a}' AND position = 2",
        &["{a} 2: altered, moved or inserted"],
    ),
    (
        "UPDATE audit_record SET hmac = 'x' WHERE chain = '{a}' AND position = 5",
        &["{a} 5: altered, moved or inserted"],
    ),
    (
        "UPDATE audit_record SET hmac = (SELECT hmac FROM audit_record WHERE chain = '{b}') WHERE chain = '{a}' AND \
            position = 2",
        &["{a} 2: altered, moved or inserted"],
    ),
    (
        "UPDATE audit_record SET contents = '[]' WHERE chain = '{a}' AND position = 3",
        &["{a} 3: contents altered"],
    ),
    (
        "UPDATE audit_record SET salt = NULL WHERE chain = '{a}' AND position = 3",
        &["{a} 3: contents altered"],
    ),
    (
        "UPDATE audit_record SET key_id = 'x' WHERE chain = '{a}' AND position = 3",
        &["{a} 3: altered, moved or inserted"],
    ),
    (
        "UPDATE audit_record SET key_id = 'AAAA____' WHERE chain = '{a}' AND position = 3",
        &["{a} 3: the first of 1 records in 1 chains sealed by the key AAAA____, which isn't configured"],
    ),
    (
        "UPDATE audit_record SET position = 99 WHERE chain = '{a}' AND position = 2; \
         UPDATE audit_record SET position = 2 WHERE chain = '{a}' AND position = 3; \
         UPDATE audit_record SET position = 3 WHERE chain = '{a}' AND position = 99",
        &[
            "{a} 2: altered, moved or inserted",
            "{a} 3: altered, moved or inserted",
            "{a} 4: altered, moved or inserted",
        ],
    ),
    (
        "INSERT INTO audit_record SELECT chain, 6, recorded_at, caller_kind, caller_id, caller_name, door, request_id, \
         subject, subject_key, action, contents, salt, digest, hmac, key_id FROM audit_record WHERE chain = '{a}' AND \
         position = 5",
        &["{a} 6: added where the chain has no record"],
    ),
    (
        "INSERT INTO audit_record SELECT chain, 0, recorded_at, caller_kind, caller_id, caller_name, door, request_id, \
         subject, subject_key, action, contents, salt, digest, hmac, key_id FROM audit_record WHERE chain = '{a}' AND \
         position = 5",
        &["{a} 0: added where the chain has no record"],
    ),
    (
        "UPDATE client SET history_count = 4 WHERE encoded_key = '{a}'",
        &[
            "{a} 5: added where the chain has no record",
            "{a}: the stored end of the chain doesn't match the last record",
        ],
    ),
    (
        "UPDATE client SET history_count = 7 WHERE encoded_key = '{a}'",
        &["{a} 6: cut off, up to 7"],
    ),
    (
        "UPDATE client SET history_head = NULL, history_count = 0 WHERE encoded_key = '{a}'",
        &[
            "{a} 1: added where the chain has no record",
            "{a} 2: added where the chain has no record",
            "{a} 3: added where the chain has no record",
            "{a} 4: added where the chain has no record",
            "{a} 5: added where the chain has no record",
        ],
    ),
    (
        "UPDATE client SET history_head = 'x' WHERE encoded_key = '{a}'",
        &["{a}: the stored end of the chain doesn't match the last record"],
    ),
    (
        "UPDATE audit_record SET chain = 'absent' WHERE chain = '{b}'",
        &[
            "{b} 1: cut off, up to 1",
            "absent 1: altered, moved or inserted",
            "absent: records of a client or a chain that doesn't exist",
        ],
    ),
    (
        "DELETE FROM audit_record WHERE chain = '~users'; UPDATE audit_chain SET head = NULL, count = 0 WHERE chain = \
            '~users'",
        &["~users: emptied: the genesis record is missing"],
    ),
    (
        "DELETE FROM audit_record WHERE chain = '~users'; DELETE FROM audit_chain WHERE chain = '~users'",
        &["~users: emptied: the genesis record is missing"],
    ),
    (
        "DELETE FROM audit_record WHERE chain = '{b}'; \
         UPDATE client SET history_head = NULL, history_count = 0 WHERE encoded_key = '{b}'",
        &["{b}: the record of the client's creation is missing"],
    ),
    (
        "UPDATE audit_record SET contents = NULL, salt = NULL WHERE chain = '{a}' AND position IN (2, 3)",
        &["{a} 2: contents removed, up to 3, without a record of an erasure"],
    ),
    (
        "DELETE FROM audit_chain WHERE chain = '~definitions'",
        &["~definitions: records of a client or a chain that doesn't exist"],
    ),
];

/// Runs SQL statements directly.
pub(super) async fn run(server: &TestServer, sql: &str) {
    for statement in sql.split("; ") {
        let ran = server.write(statement).await;
        ran.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
}

/// Copies the audit tables, for [`put_back`].
pub(super) async fn keep(server: &TestServer) {
    for table in ["audit_record", "audit_chain", "client"] {
        run(server, &format!("CREATE TABLE copy_{table} AS SELECT * FROM {table}")).await;
    }
}

pub(super) async fn put_back(server: &TestServer) {
    for table in ["audit_record", "audit_chain"] {
        run(
            server,
            &format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM copy_{table}"),
        )
        .await;
    }
    run(
        server,
        "UPDATE client SET (history_head, history_count) = (SELECT k.history_head, k.history_count FROM copy_client k \
         WHERE k.encoded_key = client.encoded_key); \
         DROP TABLE copy_audit_record; DROP TABLE copy_audit_chain; DROP TABLE copy_client",
    )
    .await;
}

on_both!(
    every_tampering_is_found_and_named,
    one_client_can_be_verified_alone,
    all_chains_and_records_are_verified_in_batches,
    chain_growing_during_verification_is_intact,
    chain_with_many_concurrent_writers_is_intact,
);

async fn every_tampering_is_found_and_named(server: &TestServer) {
    let [a, b] = two_clients(server).await;
    server.define(vec![]).await;
    assert_eq!(findings(server).await, [""; 0]);
    for (sql, expected) in TAMPERINGS {
        let named = |text: &str| text.replace("{a}", &a).replace("{b}", &b);
        keep(server).await;
        run(server, &named(sql)).await;
        let mut found = findings(server).await;
        let mut expected: Vec<String> = expected.iter().map(|text| named(text)).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{sql}");
        put_back(server).await;
        assert_eq!(findings(server).await, [""; 0], "after {sql}");
    }
}

async fn one_client_can_be_verified_alone(server: &TestServer) {
    let [a, b] = two_clients(server).await;
    server
        .write(&format!(
            "DELETE FROM audit_record WHERE chain = '{a}' AND position = 2"
        ))
        .await
        .expect("deleted");
    let verify = async |key: &str| {
        let mut found = Vec::new();
        let report = |finding: &Finding| found.push(finding.to_string());
        let counts = server
            .services
            .audit
            .verify(&Caller::operator(), Some(key), report)
            .await;
        (counts.expect("the database answers"), found)
    };
    let one = Counts {
        chains: 1,
        records: 1,
        ..Counts::default()
    };
    assert_eq!(verify(&b).await, (one, vec![]));
    assert_eq!(verify(&a).await.1, [format!("{a} 2: missing, up to 2")]);
    assert_eq!(verify("absent").await, (Counts::default(), vec![]));
    server
        .write(&format!("DELETE FROM audit_record WHERE chain = '{b}'"))
        .await
        .expect("deleted");
    server
        .write(&format!(
            "UPDATE client SET history_head = NULL, history_count = 0 WHERE encoded_key = '{b}'"
        ))
        .await
        .expect("emptied");
    assert_eq!(
        verify(&b).await.1,
        [format!("{b}: the record of the client's creation is missing")]
    );
}

async fn all_chains_and_records_are_verified_in_batches(server: &TestServer) {
    server.seed(1_100).await;
    let key = store_key(server, json!({ "client": trevor() })).await;
    for number in 0..510 {
        store_key(
            server,
            json!({ "client": { "encodedKey": key, "notes": number.to_string() } }),
        )
        .await;
    }
    let counts = server
        .services
        .audit
        .verify(&Caller::operator(), None, |finding| panic!("{finding}"))
        .await;
    let counts = counts.expect("the database answers");
    // The shared chains have the beginning, the set of custom fields, and two batches of seeded clients.
    let expected = Counts {
        chains: 3,
        records: 511 + 2 + 1 + 2,
        empty: 1_100,
        since: counts.since,
        ..Counts::default()
    };
    assert_eq!(counts, expected);
    assert!(counts.since.is_some());
    // The exception for some clients does not cover more.
    server
        .write(&format!("DELETE FROM audit_record WHERE chain = '{key}'"))
        .await
        .expect("deleted");
    server
        .write(&format!(
            "UPDATE client SET history_head = NULL, history_count = 0 WHERE encoded_key = '{key}'"
        ))
        .await
        .expect("emptied");
    assert_eq!(
        findings(server).await,
        ["~definitions: 1101 clients lack the record of their creation, and at most 1100 may"]
    );
}

async fn chain_growing_during_verification_is_intact(server: &TestServer) {
    let key = store_key(server, json!({ "client": trevor() })).await;
    let writing = async {
        for number in 0..40 {
            store_key(
                server,
                json!({ "client": { "encodedKey": key, "notes": number.to_string() } }),
            )
            .await;
            store_key(server, json!({ "client": trevor() })).await;
        }
    };
    let verifying = async {
        for _ in 0..40 {
            assert_eq!(findings(server).await, [""; 0]);
        }
    };
    tokio::join!(writing, verifying);
}

async fn chain_with_many_concurrent_writers_is_intact(server: &TestServer) {
    let writing = futures_util::future::join_all((0..8).map(|writer| async move {
        for number in 0..10 {
            crate::audit::recording::define(server, 100 * writer + number).await;
        }
    }));
    let verifying = async {
        for _ in 0..60 {
            assert_eq!(findings(server).await, [""; 0]);
        }
    };
    tokio::join!(writing, verifying);
}
