//! A database with everything that an export carries.

use serde_json::{Value, json};

use crate::harness::{
    TestServer,
    graphql::{data, define, define_document_template, define_role, define_template, store, store_key},
};

/// Definitions of every kind, and clients with everything.
pub(super) async fn fill(server: &TestServer) {
    server.seed(620).await;
    define_role(
        server,
        json!({ "roleId": "vip", "encodedKey": "vipKey", "name": "VIP", "description": "of some", "isDefault": true }),
    )
    .await;
    let fields = json!([
        { "fieldId": "nick", "name": "Nick", "type": "TEXT", "description": "d", "pattern": "@@", "maxLength": 9 },
        { "fieldId": "boss", "name": "Boss", "type": "CLIENT_LINK" },
        { "fieldId": "old", "name": "Old", "type": "NUMBER" },
        { "fieldId": "band", "name": "Band", "type": "SELECTION", "options": [{ "value": "a" }, { "value": "b" }] }]);
    define(server, "facts", fields.clone()).await;
    let template = json!({ "templateId": "t", "name": "T", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "active": false, "variants": [{ "language": "ENGLISH", "subject": "S", "text": "T {CF:nick}", "html": "H" }],
        "conditions": { "states": ["EXITED"], "clientRoles": [{ "roleId": "vip" }],
            "customFields": [{ "fieldId": "nick", "value": "Al" }] } });
    define_template(server, template).await;
    let ana = json!({ "client": { "clientId": "ana 1", "firstName": "Ana", "lastName": "Cruz", "notes": "a\nb\t\"ü\"",
            "birthDate": "1990-02-01" },
        "addresses": [{ "line1": "1 Test Lane", "latitude": 0.1, "longitude": -123.456789012345 }],
        "idDocuments": [{ "documentType": "Passport", "documentId": "X1", "validUntil": "2034-01-31" },
            { "documentType": "Card", "documentId": "X2" }],
        "customInformation": [{ "fieldId": "old", "value": "12.50" }, { "fieldId": "nick", "value": "Al" },
            { "fieldId": "boss", "linkedKey": "01900000000070008000000000000000" },
            { "fieldId": "band", "value": "b" }] });
    let key = store_key(server, ana).await;
    store(
        server,
        json!({ "client": { "encodedKey": key, "clientRole": null } }),
        "version",
    )
    .await;
    // Values that no new client could have.
    let mut fields = fields;
    fields[2]["state"] = json!("DEACTIVATED");
    fields[3]["options"] = json!([{ "value": "a" }]);
    fields
        .as_array_mut()
        .expect("a list")
        .push(json!({ "fieldId": "must", "name": "Must", "type": "TEXT",
        "required": true }));
    define(server, "facts", fields).await;
    fill_rules(server).await;
}

/// Grouped sets, dependent selections, unique values, rules of roles, templates of documents, and states.
async fn fill_rules(server: &TestServer) {
    define_role(server, json!({ "roleId": "firm", "name": "Firm" })).await;
    let card = json!({ "templateId": "card", "documentType": "Card", "issuingAuthority": "A", "pattern": "#" });
    define_document_template(server, card).await;
    let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { userErrors { \
        code message path } } }";
    let option = |value: &str, of: Value| json!({ "value": value, "forValues": of });
    let mut set = json!({ "set": { "setId": "jobs", "name": "Jobs", "usage": "GROUPED", "position": 0 }, "fields": [
        { "fieldId": "town", "name": "Town", "type": "SELECTION", "parentFieldId": "land",
            "options": [option("Oslo", json!(["N"])), option("any", json!([]))] },
        { "fieldId": "land", "name": "Land", "type": "SELECTION",
            "options": [{ "value": "N", "score": "1.5" }, { "value": "S", "state": "DEACTIVATED" }] },
        { "fieldId": "tax", "name": "Tax", "type": "NUMBER", "unique": true, "required": true },
        { "fieldId": "desk", "name": "Desk", "type": "TEXT",
            "clientRoles": [{ "clientRole": { "roleId": "firm" }, "required": true },
                { "clientRole": { "roleId": "vip" }, "required": false }] }] });
    let defined = json!({ "upsertCustomFieldSet": { "userErrors": [] } });
    assert_eq!(data(server, query, json!({ "input": set })).await, defined);
    let key = "{ idDocumentTemplates { encodedKey } }";
    let key = data(server, key, json!({})).await["idDocumentTemplates"][0]["encodedKey"].take();
    let value = |group: i32, id: &str, value: &str| json!({ "fieldId": id, "groupIndex": group, "value": value });
    let client = |id: &str| {
        json!({ "clientId": id, "firstName": "Firm", "middleName": "M", "lastName": "B", "birthDate": "1971-02-03",
            "gender": "FEMALE", "emailAddress": format!("{}@example.test", id.replace(' ', "-")), "homePhone": "+254 1",
            "mobilePhone1": "+254 2", "mobilePhone2": "+254 3", "preferredLanguage": "SPANISH", "notes": "n",
            "assignedBranchKey": "branch1", "assignedCentreKey": "centre1", "assignedUserKey": "user1" })
    };
    let mut firm = client("firm 1");
    firm["clientRole"] = json!({ "roleId": "firm" });
    let must = json!({ "fieldId": "must", "value": "1" });
    let firm = json!({ "client": firm, "addresses": [{ "city": "Oslo" }],
        "idDocuments": [{ "documentType": "Card", "documentId": "7", "templateKey": key }],
        "customInformation": [must, value(0, "land", "N"), value(0, "tax", "12.50"), value(0, "town", "Oslo"),
            value(0, "desk", "d"), value(1, "tax", "7"), value(1, "desk", "e")] });
    store(server, firm, "version").await;
    for (id, states) in [
        ("left", &["PENDING_APPROVAL", "INACTIVE", "ACTIVE", "EXITED"][..]),
        ("new", &["PENDING_APPROVAL"]),
        ("barred", &["BLACKLISTED"]),
        ("refused", &["PENDING_APPROVAL", "REJECTED"]),
    ] {
        let input = json!({ "client": client(id), "idDocuments": [{ "documentType": "Pass", "documentId": id }],
            "customInformation": [must, { "fieldId": "nick", "value": "Bo" }] });
        store(server, input, "version").await;
        for state in states {
            let change = "mutation($input: ChangeClientStateInput!) { changeClientState(input: $input) { userErrors { \
                code } } }";
            let input = json!({ "by": { "clientId": id }, "state": state });
            let changed = data(server, change, json!({ "input": input })).await;
            assert_eq!(changed, json!({ "changeClientState": { "userErrors": [] } }));
        }
    }
    let merge = "mutation { mergeClients(input: { from: { clientId: \"left\" }, into: { clientId: \"firm 1\" }, \
        idDocuments: ADD, customInformation: ADD }) { userErrors { code } } }";
    let merged = data(server, merge, json!({})).await;
    assert_eq!(merged, json!({ "mergeClients": { "userErrors": [] } }));
    // Rules that the stored clients break.
    set["fields"][3]["clientRoles"] = json!([{ "clientRole": { "roleId": "vip" }, "required": true }]);
    set["fields"][0]["options"] = json!([option("Rome", json!(["S"])), option("Bergen", json!(["N"]))]);
    assert_eq!(data(server, query, json!({ "input": set })).await, defined);
    let rules = json!({ "roleId": "firm", "idPattern": "F-####", "allowsAddresses": false });
    define_role(server, rules).await;
    define_role(server, json!({ "roleId": "vip", "requiresIdDocument": true })).await;
    let card = json!({ "templateId": "card", "documentType": "ID", "pattern": "@", "active": false });
    define_document_template(server, card).await;
    let pass = json!({ "templateId": "pass", "documentType": "Passport", "mandatory": true });
    define_document_template(server, pass).await;
}
