//! `clientAt`: a client as of a version.

use std::collections::BTreeMap;

use clientele::caller::{Permission, Rights, Sets};
use serde_json::{Value, json};

use super::long::{add_records, quarter_mib};
use crate::harness::{
    TestServer,
    graphql::{data, define, store, store_key},
    schema::Schema,
};

/// The clients as they were read after each change.
#[derive(Default)]
pub struct KeptVersions {
    /// The members that a client and its versions have. They come from introspection.
    members: String,
    kept: BTreeMap<(String, i64), Value>,
}

impl KeptVersions {
    /// Keeps the present version of every client.
    pub async fn keep(&mut self, server: &TestServer) {
        if self.members.is_empty() {
            self.members = members(&Schema::load(server).await);
        }
        let query = format!("{{ clients(first: 500) {{ nodes {{ updatedAt {} }} }} }}", self.members);
        let clients = data(server, &query, json!({})).await;
        for client in clients["clients"]["nodes"].as_array().expect("a list") {
            let (key, version) = (client["encodedKey"].as_str(), client["version"].as_i64());
            let id = (key.expect("a key").to_owned(), version.expect("a number"));
            self.kept.insert(id, client.clone());
        }
    }

    /// Compares every kept version with the same version as it is found now: in the shorter direction, back from the
    /// stored client, and forward from its creation. Erases contents of records.
    pub async fn assert_found(&self, server: &TestServer) {
        let clients = data(server, "{ clients(first: 500) { nodes { encodedKey } } }", json!({})).await;
        let clients = clients["clients"]["nodes"].to_string();
        let last = "(SELECT max(b.position) FROM audit_record b WHERE b.chain = audit_record.chain)";
        let hide = "UPDATE audit_record SET salt = contents, contents = NULL WHERE subject = 'CLIENT' AND position =";
        for statements in [
            vec![],
            vec![format!("{hide} 1")],
            vec![
                "UPDATE audit_record SET contents = salt WHERE subject = 'CLIENT' AND position = 1".to_owned(),
                format!("{hide} {last} AND position > 1"),
            ],
        ] {
            for statement in &statements {
                server.write(statement).await.expect("contents are hidden");
            }
            for ((key, version), kept) in &self.kept {
                let query = format!(
                    "{{ clientAt(by: {{ encodedKey: \"{key}\" }}, version: {version}) {{ \
                        hidesValues record {{ at }} {} }} }}",
                    self.members
                );
                let mut found = data(server, &query, json!({})).await["clientAt"].take();
                if !clients.contains(&format!("\"{key}\"")) {
                    assert_eq!(found, Value::Null, "{statements:?}");
                    continue;
                }
                let own = found
                    .as_object_mut()
                    .unwrap_or_else(|| panic!("{query} {statements:?}"));
                assert_eq!(own.remove("hidesValues"), Some(json!(false)));
                let at = own.remove("record").expect("a record")["at"].take();
                own.insert("updatedAt".to_owned(), at);
                assert_eq!(found, *kept, "{statements:?}");
            }
        }
    }
}

fn members(schema: &Schema) -> String {
    let leaves = |ty: &str| {
        let names = schema
            .leaf_names(ty)
            .filter(|name| !["hidesValues", "fieldId", "clientRoleKey"].contains(name));
        names.collect::<Vec<_>>().join(" ")
    };
    let [client, address, document, value] = [
        "ClientVersion",
        "AddressVersion",
        "IdDocumentVersion",
        "CustomFieldValueVersion",
    ]
    .map(leaves);
    format!(
        "{client} clientRole {{ encodedKey }} addresses {{ {address} }} idDocuments {{ {document} }}
            customInformation {{ {value} field {{ fieldId }} }}"
    )
}

pub async fn at(server: &TestServer, key: &str, version: i64, selection: &str) -> Value {
    let query = format!(
        "query($key: String!, $version: Int!) {{ clientAt(by: {{ encodedKey: $key }}, version: $version) {{ \
            {selection} }} }}"
    );
    let answer = server.graphql(&query, json!({ "key": key, "version": version })).await;
    serde_json::from_str(&answer.text).expect("JSON")
}

/// The message of the refusal of this version.
pub async fn refusal(server: &TestServer, key: &str, version: i64) -> String {
    let answer = at(server, key, version, "version").await;
    let error = &answer["errors"][0];
    assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{answer:#}");
    error["message"].as_str().expect("a message").to_owned()
}

on_both!(
    version_shows_its_members_and_its_record,
    versions_are_found_without_the_record_of_the_creation,
    versions_that_do_not_exist_are_refused,
    values_that_the_caller_may_not_view_are_left_out,
    values_of_deleted_fields_are_shown,
    present_branch_decides_who_sees_earlier_versions,
    versions_before_and_after_a_merge_are_found,
    versions_within_10000_records_of_either_end_are_found,
    versions_within_64_mib_of_records_are_found,
    versions_have_the_scalar_fields_of_clients,
);

const SELECTION: &str = "version firstName middleName addresses { city } idDocuments { documentId } \
    customInformation { fieldId value field { name } } hidesValues record { action caller { name } changes { path } }";

async fn set(server: &TestServer, set: &str, fields: &[&str]) {
    let field = |id: &&str| json!({ "fieldId": id, "name": format!("Name of {id}"), "type": "TEXT" });
    define(server, set, fields.iter().map(field).collect()).await;
}

/// A client with three versions.
async fn three_versions(server: &TestServer) -> String {
    set(server, "facts", &["nick", "pet"]).await;
    let documents = |ids: &[&str]| -> Value {
        let document = |id: &&str| json!({ "documentType": "P", "documentId": id });
        ids.iter().map(document).collect()
    };
    let input = json!({ "client": { "firstName": "F1", "lastName": "L" }, "addresses": [{ "city": "C1" }],
        "idDocuments": documents(&["a", "b"]), "customInformation": [{ "fieldId": "nick", "value": "n1" }] });
    let key = store_key(server, input).await;
    let input = json!({ "client": { "encodedKey": key, "middleName": "M2" }, "addresses": [],
        "idDocuments": documents(&["b", "c", "a"]),
        "customInformation": [{ "fieldId": "pet", "value": "p2" }, { "fieldId": "nick", "value": "n2" }] });
    store(server, input, "version").await;
    let input = json!({ "client": { "encodedKey": key, "firstName": "F3", "middleName": null },
        "customInformation": [] });
    store(server, input, "version").await;
    key
}

async fn version_shows_its_members_and_its_record(server: &TestServer) {
    let key = three_versions(server).await;
    let value =
        |id: &str, value: &str| json!({ "fieldId": id, "value": value, "field": { "name": format!("Name of {id}") } });
    let ids = |ids: &[&str]| -> Value { ids.iter().map(|id| json!({ "documentId": id })).collect() };
    for (version, first, middle, addresses, documents, values, action) in [
        (
            1,
            "F1",
            None,
            json!([{ "city": "C1" }]),
            ids(&["a", "b"]),
            json!([value("nick", "n1")]),
            "CREATED",
        ),
        (
            2,
            "F1",
            Some("M2"),
            json!([]),
            ids(&["b", "c", "a"]),
            json!([value("pet", "p2"), value("nick", "n2")]),
            "CHANGED",
        ),
        (3, "F3", None, json!([]), ids(&["b", "c", "a"]), json!([]), "CHANGED"),
    ] {
        let mut answer = at(server, &key, version, SELECTION).await;
        let changes = answer["data"]["clientAt"]["record"]["changes"].take();
        assert_eq!(changes.to_string().contains("middleName"), version > 1, "{changes}");
        assert_eq!(
            answer["data"]["clientAt"],
            json!({ "version": version, "firstName": first, "middleName": middle, "addresses": addresses,
                "idDocuments": documents, "customInformation": values, "hidesValues": false,
                "record": { "action": action, "caller": { "name": "anyone" }, "changes": null } }),
            "{answer:#}"
        );
    }
    let chosen = "customInformation(fields: [\"nick\"], set: \"facts\") { value } none: customInformation(set: \"x\") \
                  { value } clientRole { roleId } createdAt";
    let answer = at(server, &key, 2, chosen).await;
    let version = &answer["data"]["clientAt"];
    assert_eq!(version["customInformation"], json!([{ "value": "n2" }]), "{answer:#}");
    assert_eq!(
        (&version["none"], &version["clientRole"]["roleId"]),
        (&json!([]), &json!("client"))
    );
}

async fn versions_are_found_without_the_record_of_the_creation(server: &TestServer) {
    server.seed(1).await;
    let key = "01900000000070008000000000000000";
    let read = "{ clients { nodes { firstName mobilePhone2 addresses { city } } } }";
    let seeded = data(server, read, json!({})).await["clients"]["nodes"][0].take();
    let selection = "firstName mobilePhone2 addresses { city }";
    for (version, phone) in [(1, "a"), (2, "b"), (3, "c")] {
        let found = at(server, key, version, selection).await;
        assert_eq!(found["data"]["clientAt"]["firstName"], seeded["firstName"], "{found:#}");
        let input = json!({ "client": { "encodedKey": key, "mobilePhone2": phone } });
        store(server, input, "version").await;
    }
    for (version, phone) in [
        (1, seeded["mobilePhone2"].clone()),
        (2, json!("a")),
        (3, json!("b")),
        (4, json!("c")),
    ] {
        let mut expected = seeded.clone();
        expected["mobilePhone2"] = phone;
        let found = at(server, key, version, selection).await;
        assert_eq!(found["data"]["clientAt"], expected, "{found:#}");
        let found = at(server, key, version, "record { action }").await;
        assert_eq!(found["data"]["clientAt"]["record"].is_null(), version == 1, "{found:#}");
    }
}

async fn versions_that_do_not_exist_are_refused(server: &TestServer) {
    let key = three_versions(server).await;
    assert_eq!(refusal(server, &key, 0).await, "`version`: It must be at least 1.");
    assert_eq!(refusal(server, &key, -1).await, "`version`: It must be at least 1.");
    assert_eq!(
        refusal(server, &key, 4).await,
        "`version`: The client has no such version yet."
    );
    let unknown = at(server, "nothing", 9, "version").await;
    assert_eq!(unknown, json!({ "data": { "clientAt": null } }));
    // Imported at version 5.
    let imported = "UPDATE client SET version = version + 4";
    server.write(imported).await.expect("it is a later version");
    for (version, first) in [(5, "F1"), (7, "F3")] {
        let found = at(server, &key, version, "firstName").await;
        assert_eq!(found["data"]["clientAt"]["firstName"], first, "{found:#}");
    }
    let message = "`version`: The client's history doesn't reach back to it.";
    assert_eq!(refusal(server, &key, 4).await, message);
    assert_eq!(refusal(server, &key, 1).await, message);
    let erased = "UPDATE audit_record SET contents = NULL, salt = NULL WHERE subject = 'CLIENT' AND position <> 2";
    server.write(erased).await.expect("they are erased");
    let message = "`version`: Contents of the client's history that it depends on have been erased.";
    assert_eq!(refusal(server, &key, 5).await, message);
    assert_eq!(refusal(server, &key, 6).await, message);
    // The stored version needs no contents.
    let found = at(server, &key, 7, "firstName record { action changes { path } }").await;
    let expected = json!({ "firstName": "F3", "record": { "action": "CHANGED", "changes": null } });
    assert_eq!(found["data"]["clientAt"], expected, "{found:#}");
    let delete =
        "mutation($key: String!) { deleteClient(input: { by: { encodedKey: $key } }) { userErrors { code } } }";
    data(server, delete, json!({ "key": key })).await;
    assert_eq!(
        at(server, &key, 7, "version").await,
        json!({ "data": { "clientAt": null } })
    );
}

async fn values_that_the_caller_may_not_view_are_left_out(server: &TestServer) {
    let key = three_versions(server).await;
    let mut rights = Rights::of([Permission::Audit, Permission::ViewClient]);
    (rights.view_sets, rights.edit_sets) = (Sets::These(Default::default()), Sets::These(Default::default()));
    let caller = server.as_caller(&rights);
    let selection = "customInformation { value } hidesValues record { changes { path masked before after } }";
    for (version, hides) in [(1, true), (2, true), (3, false)] {
        let answer = at(&caller, &key, version, selection).await;
        let found = &answer["data"]["clientAt"];
        assert_eq!(
            (&found["customInformation"], &found["hidesValues"]),
            (&json!([]), &json!(hides)),
            "{answer:#}"
        );
        for value in ["n1", "n2", "p2"] {
            assert!(!answer.to_string().contains(&format!("\"{value}\"")), "{answer:#}");
        }
        assert!(answer.to_string().contains("\"masked\":true"), "{answer:#}");
    }
}

async fn values_of_deleted_fields_are_shown(server: &TestServer) {
    let key = three_versions(server).await;
    set(server, "facts", &[]).await;
    let selection = "customInformation { fieldId value number field { name } }";
    let shown = async |field: Value| {
        let answer = at(server, &key, 2, selection).await;
        let values = answer["data"]["clientAt"]["customInformation"].clone();
        let value = |id: &str, value: &str, field: &Value| -> Value {
            json!({ "fieldId": id, "value": value, "number": null, "field": field })
        };
        let expected = json!([value("pet", "p2", &Value::Null), value("nick", "n2", &field)]);
        assert_eq!(values, expected, "{answer:#}");
    };
    shown(Value::Null).await;
    // Another field with its id has another type.
    let number = json!([{ "fieldId": "nick", "name": "Number", "type": "NUMBER" }]);
    define(server, "other", number).await;
    shown(json!({ "name": "Number" })).await;
}

async fn present_branch_decides_who_sees_earlier_versions(server: &TestServer) {
    let client = json!({ "firstName": "F", "lastName": "L", "assignedBranchKey": "south" });
    let key = store_key(server, json!({ "client": client })).await;
    let moved = json!({ "client": { "encodedKey": key, "assignedBranchKey": "north" } });
    store(server, moved, "version").await;
    for (branch, expected) in [
        ("north", json!({ "assignedBranchKey": "south" })),
        ("south", Value::Null),
    ] {
        let caller = server.as_caller(&crate::access::in_branches(&[branch]));
        let answer = at(&caller, &key, 1, "assignedBranchKey").await;
        assert_eq!(answer, json!({ "data": { "clientAt": expected } }), "{branch}");
    }
}

async fn versions_before_and_after_a_merge_are_found(server: &TestServer) {
    let fields = json!([{ "fieldId": "nick", "name": "N", "type": "TEXT" },
        { "fieldId": "boss", "name": "B", "type": "CLIENT_LINK" }]);
    define(server, "facts", fields).await;
    let mut keys = Vec::new();
    for name in ["from", "into"] {
        let input = json!({ "client": { "firstName": name, "lastName": "L" }, "addresses": [{ "city": name }],
            "idDocuments": [{ "documentType": "P", "documentId": name }],
            "customInformation": [{ "fieldId": "nick", "value": name }] });
        keys.push(store_key(server, input).await);
    }
    let linking = json!({ "client": { "firstName": "third", "lastName": "L" },
        "customInformation": [{ "fieldId": "boss", "linkedKey": keys[0] }] });
    store_key(server, linking).await;
    let mut versions = KeptVersions::default();
    versions.keep(server).await;
    let merge = "mutation($from: String!, $into: String!) { mergeClients(input: { from: { encodedKey: $from }, into: { \
                 encodedKey: $into }, addresses: REPLACE, idDocuments: ADD, customInformation: REPLACE }) { \
                 userErrors { code } } }";
    let merged = data(server, merge, json!({ "from": keys[0], "into": keys[1] })).await;
    assert_eq!(merged["mergeClients"]["userErrors"], json!([]));
    versions.keep(server).await;
    assert_eq!(versions.kept.len(), 6);
    versions.assert_found(server).await;
}

async fn versions_within_10000_records_of_either_end_are_found(server: &TestServer) {
    let key = store_key(server, json!({ "client": { "firstName": "F", "lastName": "L" } })).await;
    add_records(server, &key, 20_099, "").await;
    let message = "`version`: Reading this version needs more than 10,000 audit records. Choose a version closer to \
                   the first or the last one.";
    for (version, is_found) in [
        (2, true),
        (10_000, true),
        (10_001, false),
        (10_100, false),
        (10_101, true),
        (20_099, true),
    ] {
        if is_found {
            let found = at(server, &key, version, "notes version").await;
            let expected = json!({ "notes": version.to_string(), "version": version });
            assert_eq!(found["data"]["clientAt"], expected, "{found:#}");
        } else {
            assert_eq!(refusal(server, &key, version).await, message);
        }
    }
}

async fn versions_within_64_mib_of_records_are_found(server: &TestServer) {
    let key = store_key(server, json!({ "client": { "firstName": "F", "lastName": "L" } })).await;
    // The last 256 of 656 records have 256 KiB each.
    let large = quarter_mib(server.backend);
    add_records(
        server,
        &key,
        655,
        &format!("CASE WHEN n.p > 400 THEN {large} ELSE 'y' END"),
    )
    .await;
    // Otherwise it would be found from there.
    let creation = "UPDATE audit_record SET contents = NULL WHERE subject = 'CLIENT' AND position = 1";
    server.write(creation).await.expect("it is erased");
    let found = at(server, &key, 401, "version").await;
    assert_eq!(found["data"]["clientAt"]["version"], 401, "{found:.300}");
    let message = "`version`: Reading this version needs more than 64 MiB of audit records. Choose a version closer to \
                   the first or the last one.";
    assert_eq!(refusal(server, &key, 400).await, message);
}

async fn versions_have_the_scalar_fields_of_clients(server: &TestServer) {
    let schema = Schema::load(server).await;
    for (present, past, only_present, only_past) in [
        (
            "Client",
            "ClientVersion",
            // Caches identify objects by `id`, and the record of a version has its time.
            &["id", "updatedAt"][..],
            // There may be no such role now, and values can be hidden.
            &["clientRoleKey", "hidesValues"][..],
        ),
        ("Address", "AddressVersion", &["id"], &[]),
        ("IdDocument", "IdDocumentVersion", &["id"], &[]),
        (
            "CustomFieldValue",
            "CustomFieldValueVersion",
            // Records have no keys of values.
            &["id", "encodedKey"],
            // There may be no such field now.
            &["fieldId"],
        ),
    ] {
        let [mut fields, mut of_past] = [present, past].map(|ty| schema.leaf_types(ty));
        for (fields, only) in [(&mut fields, only_present), (&mut of_past, only_past)] {
            for name in only {
                assert!(fields.remove(name).is_some(), "{present}: {name}");
            }
        }
        assert_eq!(fields, of_past, "{present}");
    }
}
