//! Tampering stays detectable after later changes, erasures and starts.

use std::time::SystemTime;

use clientele::{audit::Finding, caller::Caller, db::Database, error::Error, upsert::UpsertClient};
use serde_json::json;

use super::{UPSERT, erase, findings, trevor, verification};
use crate::harness::{TestServer, graphql::store_key};
use verification::{TAMPERINGS, keep, put_back, run, two_clients};

/// Deletes a client's records and resets its chain.
async fn empty(server: &TestServer, key: &str) {
    let sql = format!(
        "DELETE FROM audit_record WHERE chain = '{key}'; \
         UPDATE client SET history_head = NULL, history_count = 0 WHERE encoded_key = '{key}'"
    );
    run(server, &sql).await;
}

/// Writes to every chain; some writes may be refused.
async fn go_on(server: &TestServer, keys: &[String], notes: &str) {
    for key in keys {
        let client = json!({ "encodedKey": key, "notes": notes });
        server.graphql(UPSERT, json!({ "input": { "client": client } })).await;
    }
    let set = "mutation($id: String!) { upsertCustomFieldSet(input: { set: { setId: $id, name: $id } }) { userErrors { \
        message } } }";
    server.graphql(set, json!({ "id": notes })).await;
    let token =
        "mutation { createToken(input: { name: \"a job\", permissions: [VIEW_CLIENT] }) { userErrors { message } } }";
    server.graphql(token, json!({})).await;
    let begun = server.services.audit.start(SystemTime::now().into()).await;
    begun.expect("whatever is in the history, a server starts");
}

on_both!(
    tampering_is_found_after_later_changes,
    emptied_chain_is_found_after_later_records,
    client_without_records_can_be_changed,
    record_is_never_overwritten,
    erasure_during_verification_is_no_finding,
);

async fn tampering_is_found_after_later_changes(server: &TestServer) {
    let keys = two_clients(server).await;
    let [a, b] = &keys;
    for (number, (sql, before)) in TAMPERINGS.iter().enumerate() {
        let named = |text: &str| text.replace("{a}", a).replace("{b}", b);
        keep(server).await;
        run(server, &named(sql)).await;
        go_on(server, &keys, &format!("note{number}")).await;
        let found = findings(server).await;
        let chain = named(before[0]);
        let chain = chain.split([' ', ':']).next().expect("a chain");
        assert!(
            found.iter().any(|finding| finding.starts_with(chain)),
            "{sql}: {found:#?}"
        );
        put_back(server).await;
    }
    go_on(server, &keys, "untouched").await;
    assert_eq!(findings(server).await, [""; 0], "an unchanged database has no findings");
}

async fn emptied_chain_is_found_after_later_records(server: &TestServer) {
    let (changed, erased) = (
        store_key(server, json!({ "client": trevor() })).await,
        store_key(server, json!({ "client": trevor() })).await,
    );
    let mut both = [&changed, &erased].map(|key| format!("{key}: the record of the client's creation is missing"));
    both.sort();
    for key in [&changed, &erased] {
        empty(server, key).await;
    }
    assert_eq!(findings(server).await, both);
    store_key(
        server,
        json!({ "client": { "encodedKey": changed, "notes": "another" } }),
    )
    .await;
    assert_eq!(erase(&server.services, &erased).await.records, 0);
    assert_eq!(findings(server).await, both);
    let mut alone = Vec::new();
    let report = |finding: &Finding| alone.push(finding.to_string());
    let verified = server
        .services
        .audit
        .verify(&Caller::operator(), Some(&changed), report)
        .await;
    assert_eq!(verified.expect("the database answers").records, 1);
    assert_eq!(
        alone,
        [format!("{changed}: the record of the client's creation is missing")]
    );
}

async fn client_without_records_can_be_changed(server: &TestServer) {
    server.seed(3).await;
    let seeded = json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "SEED00000001", "notes": "another" } });
    store_key(server, seeded).await;
    let key = store_key(server, json!({ "client": trevor() })).await;
    assert_eq!(findings(server).await, [""; 0]);
    empty(server, &key).await;
    store_key(server, json!({ "client": { "encodedKey": key, "notes": "another" } })).await;
    assert_eq!(
        findings(server).await,
        ["~definitions: 4 clients lack the record of their creation, and at most 3 may"]
    );
}

async fn record_is_never_overwritten(server: &TestServer) {
    let [a, b] = two_clients(server).await;
    run(
        server,
        &format!("CREATE TABLE kept AS SELECT * FROM client WHERE encoded_key = '{a}'"),
    )
    .await;
    store_key(server, json!({ "client": { "encodedKey": a, "notes": "hidden text" } })).await;
    let evidence = server.snapshot().await.rows("audit_record").join("\n");
    run(
        server,
        &format!(
            "UPDATE client SET (history_head, history_count) = (SELECT history_head, history_count FROM kept) \
        WHERE encoded_key = '{a}'"
        ),
    )
    .await;
    let mut input = UpsertClient::default();
    input.client.encoded_key = async_graphql::MaybeUndefined::Value(a.clone());
    input.client.notes = async_graphql::MaybeUndefined::Value("over it".to_owned());
    let now = SystemTime::now().into();
    let answer = server
        .services
        .clients
        .upsert(&Caller::operator(), &input, Default::default(), now)
        .await;
    let error = answer.expect_err("the next record's place is taken");
    assert!(matches!(error, Error::Internal(_)), "{error:?}");
    assert_eq!(
        error.kind(),
        "the history has a record already where the next one belongs: run `clientele audit verify`"
    );
    assert_eq!(server.snapshot().await.rows("audit_record").join("\n"), evidence);
    assert_eq!(
        findings(server).await,
        [format!("{a} 6: added where the chain has no record")]
    );
    store_key(
        server,
        json!({ "client": { "encodedKey": b, "notes": "others go on" } }),
    )
    .await;
}

async fn erasure_during_verification_is_no_finding(server: &TestServer) {
    let key = store_key(server, json!({ "client": trevor() })).await;
    let mut db = Database::connect(&server.database_url(), &Default::default())
        .await
        .expect("it is there");
    let (services, erased) = (server.services.clone(), key.clone());
    let once = std::sync::Once::new();
    db.observe(move |sql| {
        // The sizes of the client's records have been read; their contents are read next.
        if sql.contains("octet_length") && sql.contains("a.chain <= $3") {
            once.call_once(|| {
                tokio::task::block_in_place(|| {
                    let erasing = tokio::runtime::Handle::current().block_on(erase(&services, &erased));
                    assert_eq!(erasing.records, 1);
                })
            });
        }
    });
    let auditor = clientele::audit::AuditLog::new(db.clone(), Default::default());
    let mut found = Vec::new();
    let report = |finding: &Finding| found.push(finding.to_string());
    let counts = auditor
        .verify(&Caller::operator(), Some(&key), report)
        .await
        .expect("the database answers");
    assert_eq!((counts.records, counts.erased, found), (2, 1, vec![]));
    db.close().await;
}
