//! Effects on many clients are counted while clients can still be written.

use serde_json::{Value, json};

use super::effects::{accepted, change, effect, with_nicks};
use crate::harness::{HeldLock, TestServer};

on_both!(effects_are_counted_before_definitions_are_locked);
on_postgres!(
    effects_are_counted_again_if_other_fields_get_values_meanwhile,
    effects_are_counted_again_if_definitions_change_meanwhile,
);

/// The lock of definitions.
const DEFINITIONS: i64 = 0x6465_6669_6e65;

async fn effects_are_counted_before_definitions_are_locked(server: &TestServer) {
    with_nicks(server, &["a", "b"]).await;
    let narrowed = json!([{ "fieldId": "nick", "state": "DEACTIVATED" }, { "fieldId": "size", "required": true }]);
    let refused = json!([{ "fieldId": "nick", "type": "NUMBER" }, { "fieldId": "size" }]);
    // The definitions are read again under the lock, and after a change.
    for (fields, loads) in [(refused, 1), (narrowed, 2)] {
        server.statements();
        let found = change(server, fields).await;
        let statements = server.statements();
        let is_count = |sql: &String| sql.contains("WITH concerned");
        let last = statements.iter().rposition(is_count).expect("a count");
        let after = &statements[last + 1..];
        let loaded = after.iter().filter(|sql| sql.contains("FROM \"custom_field_set\""));
        assert!(loaded.count() >= loads, "{found:#} {statements:#?}");
        let locked = statements
            .iter()
            .position(|sql| sql.contains(&format!("lock({DEFINITIONS})")));
        assert!(locked.is_none_or(|locked| last < locked), "{found:#} {statements:#?}");
    }
}

/// Deactivates a field, and runs these statements after its effects were counted, before definitions are locked.
async fn deactivated_behind(server: &TestServer, meanwhile: &[&str]) -> Value {
    let held = HeldLock::of_number(DEFINITIONS);
    let changing = async {
        held.is_held().await;
        change(
            server,
            json!([{ "fieldId": "nick", "state": "DEACTIVATED" }, { "fieldId": "size" }]),
        )
        .await
    };
    let meanwhile = async {
        held.is_held().await;
        held.is_waited_for(server).await;
        for statement in meanwhile {
            server.write(statement).await.expect("a change");
        }
        held.release();
    };
    let ((), changed, ()) = tokio::join!(held.hold(server), changing, meanwhile);
    changed
}

async fn effects_are_counted_again_if_other_fields_get_values_meanwhile(server: &TestServer) {
    let ids = with_nicks(server, &["a", "b"]).await;
    let other = "UPDATE custom_field_value SET value = 'S', field_key = (SELECT encoded_key FROM custom_field \
        WHERE field_id = 'size') WHERE value = 'b'";
    let message = "nick: 1 client has a value of the deactivated field, and can keep it.";
    let warning = effect("DEACTIVATED", &["0", "state"], message, 1, &[&ids[0]]);
    assert_eq!(deactivated_behind(server, &[other]).await, accepted(json!([warning])));
}

async fn effects_are_counted_again_if_definitions_change_meanwhile(server: &TestServer) {
    with_nicks(server, &["a"]).await;
    // Another server has just deactivated the field, so that this change has no effect on it.
    let deactivated = "UPDATE custom_field SET state = 'DEACTIVATED' WHERE field_id = 'nick'";
    let version = "UPDATE definition_version SET version = version + 1";
    assert_eq!(
        deactivated_behind(server, &[deactivated, version]).await,
        accepted(json!([]))
    );
}
