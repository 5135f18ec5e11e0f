//! The beginning of the history, and the keys it is kept under.

use std::time::SystemTime;

use async_graphql::MaybeUndefined::Value;
use chrono::{DateTime, Utc};
use clientele::{
    Clientele,
    access::Caller,
    client::UpsertClient,
    history::{AuditSettings, Finding},
    secret::Secret,
};
use serde_json::json;

use super::{findings, trevor, upsert};
use crate::harness::TestServer;

/// The same database under another key.
fn with(server: &TestServer, key: &str, previous: &[&str]) -> Clientele {
    Clientele::new(server.clientele.db.clone(), Default::default()).with_audit(AuditSettings {
        key: Secret::new(key),
        previous_keys: previous.iter().map(|key| Secret::new(*key)).collect(),
    })
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

async fn change(clientele: &Clientele, key: &str, notes: &str) {
    let mut input = UpsertClient::default();
    input.client.encoded_key = Value(key.to_owned());
    input.client.notes = Value(notes.to_owned());
    store(clientele, &input, now()).await;
}

async fn store(clientele: &Clientele, input: &UpsertClient, now: DateTime<Utc>) -> String {
    let answer = clientele
        .upsert_client(&Caller::operator(), input, Default::default(), now)
        .await;
    let upserted = answer.expect("the database answers").expect("a sound change");
    upserted.client.client.encoded_key
}

/// A client that is stored without a configured key, at any time that whoever does it chooses.
async fn forge(server: &TestServer, at: DateTime<Utc>) -> String {
    let mut input = UpsertClient::default();
    input.client.first_name = Value("Trevor".to_owned());
    input.client.last_name = Value("Linden".to_owned());
    store(&server.clientele, &input, at).await
}

/// Records, those with the database's key, and what is found.
async fn verify(clientele: &Clientele) -> (u64, u64, Vec<String>) {
    let mut found = Vec::new();
    let report = |finding: &Finding| found.push(finding.to_string());
    let counts = clientele.verify_history(&Caller::operator(), None, report).await;
    let counts = counts.expect("the database answers");
    found.sort();
    (counts.records, counts.weak, found)
}

const WEAK: &str = "made with the database's key only, after a configured one was in force";

on_both! {
    async fn keys_can_be_changed_and_the_weaker_one_never_comes_back(server) {
        let key = upsert(server, json!({ "client": trevor() })).await;
        let (first, second) = (with(server, "the first key", &[]), with(server, "the second key", &["the first key"]));
        first.begin_history(now()).await.expect("it goes on");
        change(&first, &key, "1").await;
        second.begin_history(now()).await.expect("it goes on");
        change(&second, &key, "2").await;
        assert_eq!(verify(&second).await, (3 + 6, 1 + 2, vec![]));
        let unknown = "made with a key that isn't known: see audit.previous_keys";
        assert_eq!(verify(&first).await.2, [
            format!("{key} 3: {unknown}"), format!("~definitions 3: {unknown}"), format!("~users 3: {unknown}")]);
        change(&server.clientele, &key, "3").await;
        assert_eq!(verify(&second).await.2, [format!("{key} 4: made with the database's key after a configured one was in use")]);
    }

    async fn each_start_notes_only_what_is_new(server) {
        let configured = with(server, "the first key", &[]);
        for (clientele, records) in [(&*server.clientele, 2), (&configured, 4), (&configured, 4), (&server.clientele, 4)] {
            clientele.begin_history(now()).await.expect("it begins");
            assert_eq!(server.snapshot().await.rows("audit_record").len(), records);
        }
        assert_eq!(verify(&configured).await, (4, 2, vec![]));
    }

    async fn what_was_made_before_a_key_was_configured_is_accepted_and_no_more(server) {
        let earlier = upsert(server, json!({ "client": trevor() })).await;
        let configured = with(server, "the first key", &[]);
        let nothing = "no record under audit.key: made anew under the database's key, or no server has started with audit.key yet";
        assert_eq!(verify(&configured).await.2, [format!("~definitions: {nothing}"), format!("~users: {nothing}")]);
        configured.begin_history(now()).await.expect("it goes on");
        assert_eq!(verify(&configured).await.2, [""; 0]);
        // Whoever writes the database knows its key: what he makes with it is found by its time,
        let forged = forge(server, now()).await;
        assert_eq!(verify(&configured).await.2, [format!("{forged}: {WEAK}"),
            "~definitions: 2 clients with records by the database's key only, of 1 that may be".to_owned()]);
        // as one too many when he chooses the time,
        server.write(&format!("DELETE FROM audit_record WHERE chain = '{forged}'")).await.expect("deleted");
        server.write(&format!("DELETE FROM client WHERE encoded_key = '{forged}'")).await.expect("deleted");
        forge(server, DateTime::from_timestamp(1_000_000_000, 0).expect("a time")).await;
        assert_eq!(verify(&configured).await.2, ["~definitions: 2 clients with records by the database's key only, of 1 that may be"]);
        // and a client that has records under the other key makes no room.
        change(&configured, &earlier, "1").await;
        assert_eq!(verify(&configured).await.2, [""; 0], "one may be, and nothing tells which");
    }

    async fn under_a_key_from_the_start_every_weak_chain_is_named(server) {
        let configured = with(server, "the first key", &[]);
        configured.begin_history(now()).await.expect("it goes on");
        let forged = forge(server, DateTime::from_timestamp(1_000_000_000, 0).expect("a time")).await;
        assert_eq!(verify(&configured).await.2, [format!("{forged}: {WEAK}")]);
        // A shared chain that is made anew has no beginning under the key, and gets none.
        server.write("DELETE FROM audit_record WHERE chain = '~users'").await.expect("deleted");
        server.write("UPDATE audit_chain SET head = NULL, count = 0 WHERE chain = '~users'").await.expect("emptied");
        configured.begin_history(now()).await.expect("it goes on");
        assert_eq!(verify(&configured).await.2, [format!("{forged}: {WEAK}"),
            "~users: emptied: the record that founds it is missing".to_owned()]);
    }

    async fn one_shared_chain_is_not_taken_over_from_the_weaker_key(server) {
        let configured = with(server, "the first key", &[]);
        server.write("CREATE TABLE kept AS SELECT head FROM audit_chain WHERE chain = '~users'").await.expect("kept");
        configured.begin_history(now()).await.expect("it goes on");
        server.write("DELETE FROM audit_record WHERE chain = '~users' AND position = 2").await.expect("deleted");
        server.write("UPDATE audit_chain SET head = (SELECT head FROM kept), count = 1 WHERE chain = '~users'").await.expect("put back");
        configured.begin_history(now()).await.expect("it goes on");
        let nothing = "no record under audit.key: made anew under the database's key, or no server has started with audit.key yet";
        assert_eq!(verify(&configured).await.2, [format!("~users: {nothing}")]);
    }

    async fn seeding_says_how_many_clients_have_no_records(server) {
        server.clientele.seed(3, |_| ()).await.expect("seeding works");
        server.clientele.seed(5, |_| ()).await.expect("seeding works");
        assert_eq!(findings(server).await, [""; 0]);
        server.write("INSERT INTO client (encoded_key, client_id, state, first_name, last_name, preferred_language, client_role_key, \
            created_at, updated_at, version) SELECT 'invented', 'invented', state, first_name, last_name, preferred_language, \
            client_role_key, created_at, updated_at, version FROM client WHERE client_id = 'SEED00000000'").await.expect("invented");
        assert_eq!(findings(server).await, ["~definitions: 6 clients without records, of 5 that may be"]);
    }
}
