//! Rotation of the audit keys.

use chrono::DateTime;
use clientele::{audit::Finding, caller::Caller, services::Services};
use serde_json::json;

use super::{
    erase,
    genesis::{LATE, change, forge, named, now, store, verify, with},
    trevor,
    verification::run,
};
use crate::harness::{TestServer, graphql::store_key};

/// The id of the key that sealed a record.
async fn key_id(server: &TestServer, chain: &str, position: i64) -> String {
    let sql = format!("SELECT key_id FROM audit_record WHERE chain = '{chain}' AND position = {position}");
    let row = server
        .services
        .db
        .read()
        .one(sql, [])
        .await
        .expect("the database answers");
    row.expect("a row").try_get_by_index(0).expect("a text")
}

/// The findings when only one client is verified.
async fn verify_client(services: &Services, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    let report = |finding: &Finding| found.push(finding.to_string());
    let counts = services.audit.verify(&Caller::operator(), Some(key), report).await;
    counts.expect("the database answers");
    found
}

on_both!(
    keys_can_be_rotated_and_a_weaker_one_never_returns,
    missing_key_is_one_finding_and_hides_no_other,
    forged_key_id_hides_no_client_under_an_earlier_key,
    forged_key_id_is_not_intact,
    earlier_key_never_returns_after_a_rotation,
    earlier_key_cannot_start_new_chains,
    shared_chains_cannot_return_to_an_earlier_key,
    records_of_an_unlisted_key_are_not_trusted,
    chain_started_with_the_database_key_is_reported,
);

async fn keys_can_be_rotated_and_a_weaker_one_never_returns(server: &TestServer) {
    let key = store_key(server, json!({ "client": trevor() })).await;
    let (first, second) = (
        with(server, "the first key", &[]),
        with(server, "the second key", &["the first key"]),
    );
    first.audit.start(now()).await.expect("it goes on");
    change(&first, &key, "1").await;
    second.audit.start(now()).await.expect("it goes on");
    change(&second, &key, "2").await;
    assert_eq!(verify(&second).await, (3 + 6, 1 + 2, vec![]));
    let id = key_id(server, "~users", 3).await;
    assert_eq!(
        verify(&first).await.2,
        [format!(
            "{key} 3: the first of 3 records in 3 chains sealed by the key {id}, which isn't configured"
        )]
    );
    change(&server.services, &key, "3").await;
    assert_eq!(
        verify(&second).await.2,
        [format!(
            "{key} 4: made with an earlier key, but follows a record made with a later key"
        )]
    );
}

async fn missing_key_is_one_finding_and_hides_no_other(server: &TestServer) {
    let earlier = store_key(server, json!({ "client": trevor() })).await;
    let configured = with(server, "the first key", &[]);
    configured.audit.start(now()).await.expect("it goes on");
    configured.clients.seed(30, now(), |_| ()).await.expect("seeded");
    let later = store(&configured, &named(), now()).await;
    erase(&configured, &later).await;
    change(&configured, &earlier, "1").await;
    assert_eq!(verify(&configured).await.2, [""; 0]);

    let id = key_id(server, &later, 1).await;
    let wrong = with(server, "another key", &[]);
    let missing =
        format!("{earlier} 2: the first of 7 records in 4 chains sealed by the key {id}, which isn't configured");
    for services in [&server.services, &wrong] {
        assert_eq!(verify(services).await.2, [missing.as_str()]);
        // Verification of one client fails too, with and without its records.
        let client = verify_client(services, &later).await;
        assert_eq!(
            client,
            [format!(
                "{later} 1: the first of 2 records in 1 chains sealed by the key {id}, which isn't configured"
            )]
        );
    }
    run(
        server,
        &format!(
            "UPDATE audit_record SET caller_name = 'x' WHERE chain = '{earlier}' AND position = 1; \
        UPDATE audit_record SET contents = '[]' WHERE chain = '{later}' AND position = 2"
        ),
    )
    .await;
    for services in [&server.services, &wrong] {
        assert_eq!(
            verify(services).await.2,
            [
                format!("{earlier} 1: altered, moved or inserted"),
                missing.clone(),
                format!("{later} 2: contents altered")
            ]
        );
    }
    run(
        server,
        &format!(
            "DELETE FROM audit_record WHERE chain = '{later}'; \
        UPDATE audit_chain SET head = NULL, count = 0 WHERE chain = '{later}'"
        ),
    )
    .await;
    let client = verify_client(&server.services, &later).await;
    assert_eq!(
        client,
        [format!(
            "~definitions 2: the first of 3 records in 1 chains sealed by the key {id}, which isn't configured"
        )]
    );
}

async fn forged_key_id_hides_no_client_under_an_earlier_key(server: &TestServer) {
    let configured = with(server, "the first key", &[]);
    configured.audit.start(now()).await.expect("it goes on");
    let forged = forge(server, now()).await;
    run(
        server,
        "UPDATE audit_record SET key_id = 'AAAA____' WHERE chain = '~definitions' AND position = 1",
    )
    .await;
    let unknown = "the first of 1 records in 1 chains sealed by the key AAAA____, which isn't configured";
    assert_eq!(
        verify(&configured).await.2,
        [format!("{forged}: {LATE}"), format!("~definitions 1: {unknown}")]
    );
}

async fn forged_key_id_is_not_intact(server: &TestServer) {
    let key = store_key(server, json!({ "client": trevor() })).await;
    for (forged, finding) in [
        (
            "AAAA____",
            "the first of 1 records in 1 chains sealed by the key AAAA____, which isn't configured",
        ),
        ("AAAA__/_", "altered, moved or inserted"),
        ("AAAA___", "altered, moved or inserted"),
        ("", "altered, moved or inserted"),
        ("\u{1b}[2J", "altered, moved or inserted"),
    ] {
        run(
            server,
            &format!("UPDATE audit_record SET key_id = '{forged}' WHERE chain = '{key}'"),
        )
        .await;
        assert_eq!(verify(&server.services).await.2, [format!("{key} 1: {finding}")]);
        assert_eq!(
            verify_client(&server.services, &key).await,
            [format!("{key} 1: {finding}")]
        );
    }
}

async fn earlier_key_never_returns_after_a_rotation(server: &TestServer) {
    let (first, second) = (
        with(server, "the first key", &[]),
        with(server, "the second key", &["the first key"]),
    );
    let third = with(server, "the third key", &["the second key", "the first key"]);
    first.audit.start(now()).await.expect("it goes on");
    let key = store(&first, &named(), now()).await;
    for (services, notes) in [(&second, "2"), (&third, "3")] {
        services.audit.start(now()).await.expect("it goes on");
        change(services, &key, notes).await;
    }
    assert_eq!(verify(&third).await.2, [""; 0]);
    let of_two = with(server, "the third key", &["the first key", "the second key"]);
    let earlier = "made with an earlier key, but follows a record made with a later key";
    let found = verify(&of_two).await.2;
    assert!(
        found.contains(&format!("{key} 2: {earlier}")),
        "in the wrong order: {found:?}"
    );
    change(&first, &key, "4").await;
    change(&second, &key, "5").await;
    assert_eq!(
        verify(&third).await.2,
        [format!("{key} 4: {earlier}"), format!("{key} 5: {earlier}")]
    );
}

async fn earlier_key_cannot_start_new_chains(server: &TestServer) {
    let (first, second) = (
        with(server, "the first key", &[]),
        with(server, "the second key", &["the first key"]),
    );
    first.audit.start(now()).await.expect("it goes on");
    let earlier = store(&first, &named(), now()).await;
    second.audit.start(now()).await.expect("it goes on");
    change(&second, &earlier, "1").await;
    let later = store(&second, &named(), now()).await;
    assert_eq!(verify(&second).await.2, [""; 0]);
    // A replaced chain is found by the count of chains, and by its time if that is late.
    run(
        server,
        &format!("DELETE FROM audit_record WHERE chain = '{later}'; DELETE FROM client WHERE encoded_key = '{later}'"),
    )
    .await;
    store(
        &first,
        &named(),
        DateTime::from_timestamp(1_000_000_000, 0).expect("a time"),
    )
    .await;
    let too_many = "~definitions: 2 clients have records by an earlier key, and at most 1 may";
    assert_eq!(verify(&second).await.2, [too_many]);
    let forged = store(&first, &named(), now()).await;
    let too_many = "~definitions: 3 clients have records by an earlier key, and at most 1 may";
    assert_eq!(
        verify(&second).await.2,
        [format!("{forged}: {LATE}"), too_many.to_owned()]
    );
}

async fn shared_chains_cannot_return_to_an_earlier_key(server: &TestServer) {
    let (first, second) = (
        with(server, "the first key", &[]),
        with(server, "the second key", &["the first key"]),
    );
    first.audit.start(now()).await.expect("it goes on");
    run(server, "CREATE TABLE kept AS SELECT * FROM audit_chain").await;
    second.audit.start(now()).await.expect("it goes on");
    assert_eq!(verify(&second).await, (6, 2, vec![]));
    run(
        server,
        "DELETE FROM audit_record WHERE position = 3; DELETE FROM audit_chain; INSERT INTO audit_chain SELECT \
        * FROM kept",
    )
    .await;
    let nothing = "no genesis record under audit.key: recreated under an earlier key, or no server has started with \
                   audit.key yet";
    assert_eq!(
        verify(&second).await.2,
        [format!("~definitions: {nothing}"), format!("~users: {nothing}")]
    );
}

async fn records_of_an_unlisted_key_are_not_trusted(server: &TestServer) {
    let (first, second) = (with(server, "the first key", &[]), with(server, "the second key", &[]));
    first.audit.start(now()).await.expect("it goes on");
    second.audit.start(now()).await.expect("the server starts");
    assert_eq!(verify(&first).await, (4, 2, vec![]), "nothing was signed");
    with(server, "the second key", &["the first key"])
        .audit
        .start(now())
        .await
        .expect("it goes on");
    assert_eq!(
        verify(&with(server, "the second key", &["the first key"])).await,
        (6, 2, vec![])
    );
}

async fn chain_started_with_the_database_key_is_reported(server: &TestServer) {
    let configured = with(server, "the first key", &[]);
    configured.audit.start(now()).await.expect("it goes on");
    // The server's next change does not hide it.
    let forged = forge(server, DateTime::from_timestamp(1_000_000_000, 0).expect("a time")).await;
    change(&configured, &forged, "1").await;
    assert_eq!(verify(&configured).await.2, [format!("{forged}: {LATE}")]);
}
