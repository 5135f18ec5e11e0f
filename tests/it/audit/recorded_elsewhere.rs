//! Versions whose records name a role or a custom field set that is another one now.

use clientele::caller::{Permission, Rights, Sets};
use serde_json::{Value, json};

use super::{
    long::add_records,
    versions::{at, refusal},
};
use crate::harness::{
    TestServer,
    graphql::{data, define, store, store_key},
};

on_both!(
    role_of_another_database_is_null,
    values_need_rights_to_both_their_sets,
    text_that_is_no_boolean_is_not_checked,
    both_directions_read_10000_records_together,
);

async fn role_of_another_database_is_null(server: &TestServer) {
    let key = store_key(server, json!({ "client": { "firstName": "F", "lastName": "L" } })).await;
    let changed = json!({ "client": { "encodedKey": key, "notes": "n" } });
    store(server, changed.clone(), "version").await;
    store(server, changed, "version").await;
    let roles = data(server, "{ clients { nodes { clientRole { encodedKey } } } }", json!({})).await;
    let role = roles["clients"]["nodes"][0]["clientRole"]["encodedKey"]
        .as_str()
        .expect("a key")
        .to_owned();
    let foreign =
        format!("UPDATE audit_record SET contents = replace(contents, '{role}', 'elsewhere') WHERE subject = 'CLIENT'");
    server.write(&foreign).await.expect("they name another role");
    let selection = "firstName clientRole { roleId } clientRoleKey";
    let found = at(server, &key, 1, selection).await;
    let expected = json!({ "firstName": "F", "clientRole": null, "clientRoleKey": "elsewhere" });
    assert_eq!(found, json!({ "data": { "clientAt": expected } }));
    let found = at(server, &key, 2, selection).await;
    let expected = json!({ "firstName": "F", "clientRole": { "roleId": "client" }, "clientRoleKey": role });
    assert_eq!(found, json!({ "data": { "clientAt": expected } }));
}

fn viewer(sets: &[&str]) -> Rights {
    let mut rights = Rights::of([Permission::Audit, Permission::ViewClient]);
    rights.view_sets = Sets::These(sets.iter().map(|set| (*set).to_owned()).collect());
    rights.edit_sets = Sets::These(Default::default());
    rights
}

async fn define_grouped(server: &TestServer, set: &str, fields: Value) {
    let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { userErrors { \
        code } } }";
    let input = json!({ "set": { "setId": set, "name": set, "usage": "GROUPED" }, "fields": fields });
    let answer = data(server, query, json!({ "input": input })).await;
    assert_eq!(answer["upsertCustomFieldSet"]["userErrors"], json!([]));
}

async fn values_need_rights_to_both_their_sets(server: &TestServer) {
    let nick = || json!([{ "fieldId": "nick", "name": "N", "type": "TEXT" }]);
    let card = || json!([{ "fieldId": "card", "name": "C", "type": "TEXT" }]);
    define(server, "facts", nick()).await;
    define_grouped(server, "cards", card()).await;
    let values = |text: &str| {
        let nick = json!({ "fieldId": "nick", "value": text });
        json!([nick, { "fieldId": "card", "groupIndex": 0, "value": text }])
    };
    let input = json!({ "client": { "firstName": "F", "lastName": "L" }, "customInformation": values("secret1") });
    let key = store_key(server, input).await;
    for values in [values("secret2"), json!([])] {
        let input = json!({ "client": { "encodedKey": key }, "customInformation": values });
        store(server, input, "version").await;
    }
    let selection = "all: customInformation { value } of: customInformation(set: \"moved\") { value } hidesValues \
        record { changes { path masked before after } }";
    let history = "query($key: ID!) { client(by: { encodedKey: $key }) { history { nodes { changes { after } } } } \
        auditLog(filter: { client: { encodedKey: $key } }) { nodes { changes { after } } } \
        clientDifference(by: { encodedKey: $key }, from: 0, to: 1) { changes { path masked after } } }";
    let history = &history.replace("ID!", "String!");
    // Before the fields have moved.
    let shown = at(&server.as_caller(&viewer(&["facts", "cards"])), &key, 2, selection).await;
    assert!(shown.to_string().contains("secret2"), "{shown:#}");
    define(server, "facts", json!([])).await;
    define_grouped(server, "cards", json!([])).await;
    define(server, "moved", nick()).await;
    define_grouped(server, "moved_cards", card()).await;
    // The first version is read forward from the creation, the second one back from the stored client.
    for sets in [&["facts", "cards"][..], &["moved", "moved_cards"]] {
        let caller = server.as_caller(&viewer(sets));
        for version in [1, 2] {
            let answer = at(&caller, &key, version, selection).await;
            let found = &answer["data"]["clientAt"];
            assert_eq!(
                (&found["all"], &found["of"], &found["hidesValues"]),
                (&json!([]), &json!([]), &json!(true)),
                "{answer:#}"
            );
            assert!(!answer.to_string().contains("secret"), "{answer:#}");
        }
        let answer = data(&caller, history, json!({ "key": key })).await;
        assert!(!answer.to_string().contains("secret"), "{answer:#}");
        assert!(answer.to_string().contains("\"masked\":true"), "{answer:#}");
    }
    let caller = server.as_caller(&viewer(&["facts", "cards", "moved", "moved_cards"]));
    for (version, text) in [(1, "secret1"), (2, "secret2")] {
        let answer = at(&caller, &key, version, selection).await;
        let found = &answer["data"]["clientAt"];
        assert_eq!(
            found["all"],
            json!([{ "value": text }, { "value": text }]),
            "{answer:#}"
        );
        assert_eq!(
            (&found["of"], &found["hidesValues"]),
            (&json!([{ "value": text }]), &json!(false))
        );
    }
    let answer = data(&caller, history, json!({ "key": key })).await;
    assert_eq!(answer.to_string().matches("secret1").count(), 6, "{answer:#}");
}

async fn text_that_is_no_boolean_is_not_checked(server: &TestServer) {
    let field = |id: &str, kind: &str| json!({ "fieldId": id, "name": id, "type": kind });
    define(
        server,
        "facts",
        json!([field("a", "TEXT"), field("b", "TEXT"), field("c", "TEXT")]),
    )
    .await;
    let value = |id: &str, value: &str| json!({ "fieldId": id, "value": value });
    let values = json!([value("a", "TRUE"), value("b", "FALSE"), value("c", "true")]);
    let input = json!({ "client": { "firstName": "F", "lastName": "L" }, "customInformation": values });
    let key = store_key(server, input).await;
    let input = json!({ "client": { "encodedKey": key }, "customInformation": [] });
    store(server, input, "version").await;
    define(server, "facts", json!([])).await;
    let checkboxes = json!([field("a", "CHECKBOX"), field("b", "CHECKBOX"), field("c", "CHECKBOX")]);
    define(server, "facts", checkboxes).await;
    let found = at(server, &key, 1, "customInformation { checked }").await;
    let expected = json!([{ "checked": true }, { "checked": false }, { "checked": null }]);
    assert_eq!(found["data"]["clientAt"]["customInformation"], expected, "{found:#}");
}

async fn both_directions_read_10000_records_together(server: &TestServer) {
    for (count, is_found) in [(9_999, true), (10_000, false)] {
        let key = store_key(server, json!({ "client": { "firstName": "F", "lastName": "L" } })).await;
        add_records(server, &key, count - 1, "").await;
        // The first 100 records are read, and then the last 9,900 or 9,901.
        let erased =
            format!("UPDATE audit_record SET contents = NULL, salt = NULL WHERE chain = '{key}' AND position = 100");
        server.write(&erased).await.expect("it is erased");
        if is_found {
            let found = at(server, &key, 100, "notes").await;
            assert_eq!(found["data"]["clientAt"]["notes"], "100", "{found:#}");
        } else {
            let message = "`version`: Reading this version needs more than 10,000 audit records. Choose a version \
                closer to the first or the last one.";
            assert_eq!(refusal(server, &key, 100).await, message);
        }
    }
}
