//! Erasing what is kept of a client beside its own rows.

use std::time::SystemTime;

use clientele::{
    access::{Caller, Permission, Rights},
    error::Error,
};
use serde_json::{Value, json};

use super::{findings, upsert};
use crate::harness::TestServer;

/// A client by this name with two records, a message and an outcome that is kept for its key.
async fn create(server: &TestServer, name: &str) -> String {
    let input = json!({ "idempotencyKey": name, "client": {
        "firstName": name, "lastName": "Linden", "mobilePhone1": format!("+4790000{}", name.len()) } });
    let key = upsert(server, input).await;
    upsert(
        server,
        json!({ "client": { "encodedKey": key, "notes": format!("about {name}") } }),
    )
    .await;
    key
}

const TRACES: [&str; 3] = ["audit_record", "idempotency_record", "message"];

on_both! {
    async fn nothing_is_left_of_a_client_but_that_it_was_there(server) {
        let template = server.graphql("mutation { upsertMessageTemplate(input: { templateId: \"t\", name: \"T\", event: CLIENT_CREATED, \
            channel: SMS, variants: [{ language: ENGLISH, text: \"Hello {CLIENT_FIRST_NAMES}\" }] }) { userErrors { message } } }", json!({})).await;
        assert!(template.text.contains(r#""userErrors":[]"#), "{}", template.text);
        let trevor = create(server, "Trevor").await;
        create(server, "Margaretha").await;
        let said = async |table: &str, word: &str| {
            let rows = server.snapshot().await;
            rows.rows(table).iter().filter(|row| row.contains(word)).count()
        };
        for table in TRACES {
            assert!(said(table, "Trevor").await > 0, "{table}");
        }
        let now = SystemTime::now().into();
        let may_not = Caller { rights: Rights::of([Permission::EditClient, Permission::Audit]).into(), ..Caller::operator() };
        let refused = server.clientele.erase_traces(&may_not, &trevor, now).await;
        assert!(matches!(refused, Err(Error::Forbidden(Permission::DeleteClient))), "{refused:?}");
        let erase = async |key: &str| server.clientele.erase_traces(&Caller::operator(), key, now).await.expect("the database answers");
        assert_eq!(erase("nobody").await, None);
        assert_eq!(erase(&trevor).await, Some(2));
        for table in TRACES {
            assert_eq!(said(table, "Trevor").await + said(table, "+47900006").await, 0, "{table}");
            assert!(said(table, "Margaretha").await > 0, "{table}");
        }
        let log = server.graphql("query($key: String!) { auditLog(filter: { client: { encodedKey: $key } }) {
            nodes { action changes { path after } } } }", json!({ "key": trevor })).await;
        let erased: Value = json!({ "action": "ERASED", "changes": [{ "path": ["records"], "after": "1 to 2" }] });
        log.data(json!({ "auditLog": { "nodes": [
            erased, { "action": "CHANGED", "changes": null }, { "action": "CREATED", "changes": null }] } }));
        let counts = server.clientele.verify_history(&Caller::operator(), None, |finding| panic!("{finding}")).await;
        assert_eq!(counts.expect("it verifies").erased, 2);
        // The next change goes on after it, and can be erased, too.
        upsert(server, json!({ "client": { "encodedKey": trevor, "notes": "again" } })).await;
        assert_eq!(erase(&trevor).await, Some(2));
        assert_eq!(findings(server).await, [""; 0]);
        // Taking away the record of it is found, and so is what it says.
        server.write(&format!("UPDATE audit_record SET contents = NULL, salt = NULL WHERE chain = '{trevor}' AND position = 5")).await.expect("removed");
        assert_eq!(findings(server).await, [format!("{trevor} 1: contents removed, up to 5, and no record of an erasure")]);
    }
}
