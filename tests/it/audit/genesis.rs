//! The first records under a key: the exceptions they allow, and protection against forged ones.

use std::time::SystemTime;

use async_graphql::MaybeUndefined::Value;
use chrono::{DateTime, Utc};
use clientele::{
    audit::{AuditSettings, Finding},
    caller::Caller,
    db::{Database, DatabaseSettings},
    secret::Secret,
    services::{ServiceSettings, Services},
    upsert::UpsertClient,
};
use serde_json::json;

use super::{findings, trevor, verification::run};
use crate::harness::{Backend, TestServer, graphql::store_key};

/// The same database under another key.
pub(super) fn with(server: &TestServer, key: &str, previous: &[&str]) -> Services {
    let audit = AuditSettings {
        key: Secret::new(key),
        previous_keys: previous.iter().map(|key| Secret::new(*key)).collect(),
    };
    with_audit(server.services.db.clone(), audit)
}

fn with_audit(db: Database, audit: AuditSettings) -> Services {
    let settings = ServiceSettings {
        audit,
        ..ServiceSettings::default()
    };
    Services::new(db, settings)
}

pub(super) fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

pub(super) async fn change(services: &Services, key: &str, notes: &str) {
    let mut input = UpsertClient::default();
    input.client.encoded_key = Value(key.to_owned());
    input.client.notes = Value(notes.to_owned());
    store(services, &input, now()).await;
}

pub(super) async fn store(services: &Services, input: &UpsertClient, now: DateTime<Utc>) -> String {
    let answer = services
        .clients
        .upsert(&Caller::operator(), input, Default::default(), now)
        .await;
    let upserted = answer.expect("the database answers").expect("a sound change");
    upserted.client.client.encoded_key
}

/// Stores a client without a configured key, at a chosen time.
pub(super) async fn forge(server: &TestServer, at: DateTime<Utc>) -> String {
    store(&server.services, &named(), at).await
}

pub(super) fn named() -> UpsertClient {
    let mut input = UpsertClient::default();
    input.client.first_name = Value("Trevor".to_owned());
    input.client.last_name = Value("Linden".to_owned());
    input
}

/// The numbers of records and of records with the database's key, and the findings.
pub(super) async fn verify(services: &Services) -> (u64, u64, Vec<String>) {
    let mut found = Vec::new();
    let report = |finding: &Finding| found.push(finding.to_string());
    let counts = services.audit.verify(&Caller::operator(), None, report).await;
    let counts = counts.expect("the database answers");
    found.sort();
    (counts.records, counts.weak, found)
}

pub(super) const LATE: &str = "made with an earlier key after a later key came into use";

on_both!(
    each_start_records_only_what_is_new,
    only_records_older_than_the_first_key_are_accepted,
    every_chain_without_the_initial_key_is_reported,
    rolled_back_shared_chain_is_not_taken_over,
    seeding_records_the_number_of_clients_without_records,
    seeding_is_recorded_when_it_happens,
    seeded_clients_may_be_changed_before_the_first_key,
    forged_number_of_exceptions_is_not_signed,
    hiding_the_first_record_of_a_key_does_not_recount,
    server_starts_despite_missing_audit_rows,
    counting_clients_may_exceed_the_request_timeout,
);

async fn each_start_records_only_what_is_new(server: &TestServer) {
    let configured = with(server, "the first key", &[]);
    for (services, records) in [
        (&server.services, 2),
        (&configured, 4),
        (&configured, 4),
        (&server.services, 4),
    ] {
        services.audit.start(now()).await.expect("it begins");
        assert_eq!(server.snapshot().await.rows("audit_record").len(), records);
    }
    assert_eq!(verify(&configured).await, (4, 2, vec![]));
}

async fn only_records_older_than_the_first_key_are_accepted(server: &TestServer) {
    let earlier = store_key(server, json!({ "client": trevor() })).await;
    let configured = with(server, "the first key", &[]);
    let nothing = "no genesis record under audit.key: recreated under an earlier key, or no server has started with \
                   audit.key yet";
    assert_eq!(
        verify(&configured).await.2,
        [format!("~definitions: {nothing}"), format!("~users: {nothing}")]
    );
    configured.audit.start(now()).await.expect("it goes on");
    assert_eq!(verify(&configured).await.2, [""; 0]);
    // An attacker with write access knows the database's key: a chain made with it is found by its time,
    let forged = forge(server, now()).await;
    assert_eq!(
        verify(&configured).await.2,
        [
            format!("{forged}: {LATE}"),
            "~definitions: 2 clients have records by an earlier key, and at most 1 may".to_owned()
        ]
    );
    // as surplus when the attacker chooses the time,
    server
        .write(&format!("DELETE FROM audit_record WHERE chain = '{forged}'"))
        .await
        .expect("deleted");
    server
        .write(&format!("DELETE FROM client WHERE encoded_key = '{forged}'"))
        .await
        .expect("deleted");
    forge(server, DateTime::from_timestamp(1_000_000_000, 0).expect("a time")).await;
    assert_eq!(
        verify(&configured).await.2,
        ["~definitions: 2 clients have records by an earlier key, and at most 1 may"]
    );
    // and a client with records under both keys does not change that.
    change(&configured, &earlier, "1").await;
    assert_eq!(
        verify(&configured).await.2,
        ["~definitions: 2 clients have records by an earlier key, and at most 1 may"]
    );
}

async fn every_chain_without_the_initial_key_is_reported(server: &TestServer) {
    let configured = with(server, "the first key", &[]);
    configured.audit.start(now()).await.expect("it goes on");
    let forged = forge(server, DateTime::from_timestamp(1_000_000_000, 0).expect("a time")).await;
    assert_eq!(verify(&configured).await.2, [format!("{forged}: {LATE}")]);
    // A recreated shared chain has no first record under the key, and gets none.
    server
        .write("DELETE FROM audit_record WHERE chain = '~users'")
        .await
        .expect("deleted");
    server
        .write("UPDATE audit_chain SET head = NULL, count = 0 WHERE chain = '~users'")
        .await
        .expect("emptied");
    configured.audit.start(now()).await.expect("it goes on");
    assert_eq!(
        verify(&configured).await.2,
        [
            format!("{forged}: {LATE}"),
            "~users: emptied: the genesis record is missing".to_owned()
        ]
    );
}

async fn rolled_back_shared_chain_is_not_taken_over(server: &TestServer) {
    let configured = with(server, "the first key", &[]);
    server
        .write("CREATE TABLE kept AS SELECT head FROM audit_chain WHERE chain = '~users'")
        .await
        .expect("kept");
    configured.audit.start(now()).await.expect("it goes on");
    server
        .write("DELETE FROM audit_record WHERE chain = '~users' AND position = 2")
        .await
        .expect("deleted");
    server
        .write("UPDATE audit_chain SET head = (SELECT head FROM kept), count = 1 WHERE chain = '~users'")
        .await
        .expect("put back");
    configured.audit.start(now()).await.expect("it goes on");
    let nothing = "no genesis record under audit.key: recreated under an earlier key, or no server has started with \
                   audit.key yet";
    assert_eq!(verify(&configured).await.2, [format!("~users: {nothing}")]);
}

async fn seeding_records_the_number_of_clients_without_records(server: &TestServer) {
    server.seed(3).await;
    server.seed(5).await;
    assert_eq!(findings(server).await, [""; 0]);
    server
        .write(
            "INSERT INTO client (encoded_key, client_id, state, first_name, last_name, preferred_language, \
        client_role_key, created_at, updated_at, version) SELECT 'invented', 'invented', state, first_name, \
        last_name, preferred_language, client_role_key, created_at, updated_at, version FROM client WHERE client_id = \
        'SEED00000000'",
        )
        .await
        .expect("invented");
    assert_eq!(
        findings(server).await,
        ["~definitions: 6 clients lack the record of their creation, and at most 5 may"]
    );
}

async fn seeding_is_recorded_when_it_happens(server: &TestServer) {
    let before = now().format("%Y-%m-%dT%H:%M:%S%.6fZ");
    server.seed(1).await;
    let sql = format!("SELECT count(*) FROM audit_record WHERE recorded_at >= '{before}'");
    let since = server
        .services
        .db
        .read()
        .one(sql, [])
        .await
        .expect("the database answers")
        .expect("a row");
    assert_eq!(
        since.try_get_by_index::<i64>(0).expect("a number"),
        2,
        "the set of custom fields, and what is allowed"
    );
}

async fn seeded_clients_may_be_changed_before_the_first_key(server: &TestServer) {
    server.seed(3).await;
    store_key(
        server,
        json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "SEED00000001", "notes": "another" } }),
    )
    .await;
    let configured = with(server, "the first key", &[]);
    configured.audit.start(now()).await.expect("it goes on");
    assert_eq!(verify(&configured).await.2, [""; 0]);
}

async fn forged_number_of_exceptions_is_not_signed(server: &TestServer) {
    let key = store_key(server, json!({ "client": trevor() })).await;
    let configured = with(server, "the first key", &[]);
    configured.audit.start(now()).await.expect("it goes on");
    change(&configured, &key, "1").await;
    let million = |path: &str| json!({ "path": [path], "before": null, "after": "1000000" });
    let forged = json!([{ "path": ["key"], "before": null, "after": "zzz" },
        million("clientsWithoutRecords"), million("clientsUnderEarlierKeys")]);
    for key_id in ["key_id", "'zzz'"] {
        run(server, "CREATE TABLE kept AS SELECT * FROM audit_record").await;
        run(
            server,
            &format!("UPDATE audit_record SET contents = '{forged}', key_id = {key_id} WHERE subject = 'HISTORY'"),
        )
        .await;
        configured.audit.start(now()).await.expect("the server starts");
        configured
            .clients
            .seed(1, now(), |_| ())
            .await
            .expect("seeding goes on");
        run(
            server,
            "UPDATE audit_record SET (contents, key_id) = (SELECT k.contents, k.key_id FROM kept k \
            WHERE k.chain = audit_record.chain AND k.position = audit_record.position) \
            WHERE (chain, position) IN (SELECT chain, position FROM kept); DROP TABLE kept",
        )
        .await;
    }
    let seeded = "01900000000070008000000000000000";
    let unrecorded = "the record of the client's creation is missing";
    assert_eq!(
        verify(&configured).await.2,
        [format!("{seeded}: {unrecorded}")],
        "no exception allows it"
    );
    run(
        server,
        &format!(
            "DELETE FROM audit_record WHERE chain = '{key}'; \
        UPDATE client SET history_head = NULL, history_count = 0 WHERE encoded_key = '{key}'"
        ),
    )
    .await;
    assert_eq!(
        verify(&configured).await.2,
        [format!("{seeded}: {unrecorded}"), format!("{key}: {unrecorded}")]
    );
}

async fn hiding_the_first_record_of_a_key_does_not_recount(server: &TestServer) {
    store_key(server, json!({ "client": trevor() })).await;
    let configured = with(server, "the first key", &[]);
    configured.audit.start(now()).await.expect("it goes on");
    let forged = forge(server, DateTime::from_timestamp(1_000_000_000, 0).expect("a time")).await;
    let too_many = ["~definitions: 2 clients have records by an earlier key, and at most 1 may"];
    assert_eq!(verify(&configured).await.2, too_many, "{forged}");
    run(
        server,
        "CREATE TABLE kept AS SELECT * FROM audit_record WHERE subject = 'HISTORY' AND position = 2; \
        DELETE FROM audit_record WHERE subject = 'HISTORY' AND position = 2",
    )
    .await;
    configured.audit.start(now()).await.expect("the server starts");
    run(server, "INSERT INTO audit_record SELECT * FROM kept").await;
    assert_eq!(verify(&configured).await.2, too_many);
}

async fn server_starts_despite_missing_audit_rows(server: &TestServer) {
    let configured = with(server, "the first key", &[]);
    for (sql, records, found) in [
        (
            "DELETE FROM audit_chain",
            2,
            "records of a client or a chain that doesn't exist",
        ),
        ("DELETE FROM audit_record", 0, "emptied: the genesis record is missing"),
    ] {
        run(server, sql).await;
        for services in [&server.services, &configured] {
            services.audit.start(now()).await.expect("the server starts");
        }
        assert_eq!(server.snapshot().await.rows("audit_record").len(), records);
        assert_eq!(
            findings(server).await,
            ["~definitions", "~users"].map(|chain| format!("{chain}: {found}"))
        );
    }
}

async fn counting_clients_may_exceed_the_request_timeout(server: &TestServer) {
    store_key(server, json!({ "client": trevor() })).await;
    if server.backend == Backend::Postgres {
        // Counting one client takes longer than a request may.
        run(
            server,
            "ALTER TABLE client RENAME TO client_rows; \
            CREATE VIEW client AS SELECT * FROM client_rows WHERE pg_sleep(1.2)::text IS NOT NULL",
        )
        .await;
    }
    let settings = DatabaseSettings {
        request_timeout_seconds: 1,
        ..DatabaseSettings::default()
    };
    let db = Database::connect(&server.database_url(), &settings)
        .await
        .expect("it is there");
    let audit = AuditSettings {
        key: Secret::new("the first key"),
        ..AuditSettings::default()
    };
    let configured = with_audit(db, audit);
    configured.audit.start(now()).await.expect("it goes on");
    configured.db.close().await;
    assert_eq!(server.snapshot().await.rows("audit_record").len(), 3 + 2);
}
