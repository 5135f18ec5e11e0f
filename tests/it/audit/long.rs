//! Clients with many records, which are written by SQL: their seals are wrong.

use crate::harness::{Backend, TestServer};

/// Adds this many records to a client with one: each changes its notes to its position, after this SQL expression.
pub async fn add_records(server: &TestServer, key: &str, count: i64, filling: &str) {
    let filling = |name: &str| match filling {
        "" => format!("CAST({name} AS TEXT)"),
        filling => filling.to_owned(),
    };
    let notes = |name: &str| format!("'\"' || {} || '\"'", filling(name));
    let (before, after) = (notes("n.p - 1"), notes("n.p"));
    let last = count + 1;
    let records = format!(
        "WITH RECURSIVE n(p) AS (SELECT CAST(2 AS BIGINT) UNION ALL SELECT p + 1 FROM n WHERE p < {last}) \
         INSERT INTO audit_record (chain, position, recorded_at, caller_kind, caller_id, caller_name, door, \
            request_id, subject, subject_key, action, contents, salt, digest, hmac, key_id) \
         SELECT a.chain, n.p, a.recorded_at, a.caller_kind, a.caller_id, a.caller_name, a.door, a.request_id, \
            a.subject, a.subject_key, 'CHANGED', \
            '[{{\"path\":[\"notes\"], \"before\":' || {before} || ',\"after\":' || {after} || '}}]', \
            a.salt, a.digest, a.hmac, a.key_id \
         FROM audit_record a, n WHERE a.chain = '{key}' AND a.position = 1"
    );
    server.write(&records).await.expect("records are added");
    let end = format!("UPDATE client SET version = {last}, history_count = {last}, notes = '{last}'");
    server.write(&end).await.expect("the client has as many versions");
}

/// The text, as SQL, with which a record of [`add_records`] has 256 KiB.
pub fn quarter_mib(backend: Backend) -> String {
    let around = r#"[{"path":["notes"], "before":"","after":""}]"#.len();
    let length = ((256 << 10) - around) / 2;
    match backend {
        Backend::Postgres => format!("repeat('x', {length})"),
        Backend::Sqlite => format!("printf('%.*c', {length}, 'x')"),
    }
}
