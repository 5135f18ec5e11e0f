//! The recorded data: exact changes, once each, with their caller.

use std::collections::HashSet;

use clientele::{
    caller::{Caller, CallerKind},
    client::ClientParts,
    definitions::Kind,
    upsert::UpsertClient,
};
use serde_json::{Value, json};

use super::{UPSERT, changes, findings, records, trevor};
use crate::harness::{TestServer, field, graphql::store_key};

/// The records without their changes.
fn heads(records: &[Value]) -> Vec<String> {
    let text = |record: &Value, name: &str| record[name].as_str().unwrap_or("-").to_owned();
    let head = |record: &Value| {
        ["door", "subject", "subjectKey", "action"]
            .map(|name| text(record, name))
            .join(" ")
    };
    records.iter().map(head).collect()
}

on_both!(
    client_changes_are_recorded_member_by_member,
    legacy_api_is_recorded_as_the_origin,
    caller_and_request_are_recorded,
    definitions_are_recorded_in_one_chain,
    record_takes_no_statement_of_its_own,
    rolled_back_change_leaves_no_record,
    racing_writers_leave_one_unbroken_chain,
);

async fn client_changes_are_recorded_member_by_member(server: &TestServer) {
    server.define(vec![field("colour", Kind::Text)]).await;
    let mut client = trevor();
    client["clientId"] = json!("trevor");
    let key = store_key(
        server,
        json!({
        "client": client, "addresses": [{ "city": "Oslo", "latitude": 59.5 }],
        "idDocuments": [{ "documentType": "Passport", "documentId": "P1", "validUntil": "2030-01-31" }],
        "customInformation": [{ "fieldId": "colour", "value": "red" }] }),
    )
    .await;
    store_key(
        server,
        json!({ "client": { "encodedKey": key, "lastName": "Lind", "notes": "tall" } }),
    )
    .await;
    store_key(
        server,
        json!({
        "client": { "encodedKey": key, "notes": null }, "addresses": [],
        "idDocuments": [{ "documentType": "Licence", "documentId": "L1" }],
        "customInformation": [{ "fieldId": "colour", "value": "blue" }] }),
    )
    .await;
    store_key(server, json!({ "client": { "encodedKey": key, "lastName": "Lind" } })).await;
    let records = records(server).await.split_off(1);
    assert_eq!(
        heads(&records),
        [
            "GRAPHQL CLIENT <key 1> CREATED",
            "GRAPHQL CLIENT <key 1> CHANGED",
            "GRAPHQL CLIENT <key 1> CHANGED"
        ]
    );
    assert_eq!(
        records[0]["caller"],
        json!({ "kind": "ANYONE", "id": "anyone", "name": "anyone" })
    );
    let ids: HashSet<&str> = records
        .iter()
        .filter_map(|record| record["requestId"].as_str())
        .collect();
    assert!(
        ids.len() == 3 && ids.iter().all(|id| id.len() == 36),
        "each request has its own id: {ids:?}"
    );
    let hidden = |changes: Vec<String>| -> Vec<String> {
        changes
            .iter()
            .map(|change| {
                // The keys of members are met in another order on each database.
                change
                    .split('.')
                    .map(|step| if step.starts_with("<key ") { "KEY" } else { step })
                    .collect::<Vec<_>>()
                    .join(".")
            })
            .collect()
    };
    assert_eq!(
        hidden(changes(&records[0])),
        [
            "clientId: - → trevor",
            "state: - → INACTIVE",
            "firstName: - → Trevor",
            "lastName: - → Linden",
            "preferredLanguage: - → ENGLISH",
            "clientRole: - → d9df8bc78a0234ccc934a845c",
            "approvedAt: - → <time>",
            "addresses.KEY.city: - → Oslo",
            "addresses.KEY.latitude: - → 59.5",
            "addresses.KEY.position: - → 0",
            "idDocuments.KEY.documentType: - → Passport",
            "idDocuments.KEY.documentId: - → P1",
            "idDocuments.KEY.validUntil: - → 2030-01-31",
            "idDocuments.KEY.position: - → 0",
            "customInformation.colour.value: - → red",
            "customInformation.colour.position: - → 0"
        ]
    );
    assert_eq!(changes(&records[1]), ["lastName: Linden → Lind", "notes: - → tall"]);
    assert_eq!(
        hidden(changes(&records[2])),
        [
            "notes: tall → -",
            "addresses.KEY.city: Oslo → -",
            "addresses.KEY.latitude: 59.5 → -",
            "addresses.KEY.position: 0 → -",
            "idDocuments.KEY.documentType: - → Licence",
            "idDocuments.KEY.documentId: - → L1",
            "idDocuments.KEY.position: - → 0",
            "idDocuments.KEY.documentType: Passport → -",
            "idDocuments.KEY.documentId: P1 → -",
            "idDocuments.KEY.validUntil: 2030-01-31 → -",
            "idDocuments.KEY.position: 0 → -",
            "customInformation.colour.value: red → blue"
        ]
    );
}

async fn legacy_api_is_recorded_as_the_origin(server: &TestServer) {
    server.post("/api/clients", json!({ "client": trevor() })).await;
    server
        .post("/api/clients", json!({ "client": { "firstName": "x" } }))
        .await;
    let records = records(server).await;
    assert_eq!(heads(&records), ["REST CLIENT <key 1> CREATED"]);
    assert_eq!(
        changes(&records[0])[2..4],
        ["firstName: - → Trevor", "lastName: - → Linden"]
    );
}

async fn caller_and_request_are_recorded(server: &TestServer) {
    let caller = Caller {
        kind: CallerKind::Token,
        id: "token1".into(),
        name: "the branch".into(),
        request_id: "request 7".into(),
        ..Caller::operator()
    };
    let mut input = UpsertClient::default();
    input.client.first_name = async_graphql::MaybeUndefined::Value("Trevor".to_owned());
    input.client.last_name = async_graphql::MaybeUndefined::Value("Linden".to_owned());
    let now = std::time::SystemTime::now().into();
    server
        .services
        .clients
        .upsert(&caller, &input, ClientParts::ALL, now)
        .await
        .expect("stored")
        .expect("sound");
    let record = records(server).await.remove(0);
    assert_eq!(
        record["caller"],
        json!({ "kind": "TOKEN", "id": "token1", "name": "the branch" })
    );
    assert_eq!([&record["door"], &record["requestId"]], ["COMMAND_LINE", "request 7"]);
}

async fn definitions_are_recorded_in_one_chain(server: &TestServer) {
    let run = async |mutation: &str| {
        let answer = server
            .graphql(
                &format!("mutation {{ {mutation} {{ userErrors {{ message }} }} }}"),
                json!({}),
            )
            .await;
        assert!(answer.text.contains(r#""userErrors":[]"#), "{}", answer.text);
    };
    let set = |fields: &str| {
        format!(
            "upsertCustomFieldSet(input: {{ set: {{ setId: \"s\", encodedKey: \"sKey\", name: \"S\" }}, fields: \
                [{fields}] }})"
        )
    };
    let colour = "{ fieldId: \"colour\", name: \"Colour\", type: SELECTION, options: [{ value: \"red\" }, { value: \
        \"blue\" }] }";
    run(&set(colour)).await;
    run(&set(colour)).await;
    run(&set("")).await;
    run("upsertClientRole(input: { roleId: \"vip\", encodedKey: \"vipKey\", name: \"VIP\", isDefault: true })").await;
    let template = |text: &str| {
        format!(
            "upsertMessageTemplate(input: {{ templateId: \"t\", encodedKey: \"tKey\", name: \"T\", \
        event: CLIENT_CREATED, channel: SMS, variants: [{{ language: ENGLISH, text: \"{text}\" }}] }})"
        )
    };
    run(&template("Hello")).await;
    run(&template("Bye")).await;
    run("deleteMessageTemplate(input: { templateId: \"t\" })").await;
    let records = records(server).await;
    assert_eq!(
        heads(&records),
        [
            "GRAPHQL CUSTOM_FIELD_SET sKey CREATED",
            "GRAPHQL CUSTOM_FIELD_SET sKey CHANGED",
            "GRAPHQL CLIENT_ROLE d9df8bc78a0234ccc934a845c CHANGED",
            "GRAPHQL CLIENT_ROLE vipKey CREATED",
            "GRAPHQL MESSAGE_TEMPLATE tKey CREATED",
            "GRAPHQL MESSAGE_TEMPLATE tKey CHANGED",
            "GRAPHQL MESSAGE_TEMPLATE tKey DELETED"
        ]
    );
    let all: Vec<Vec<String>> = records.iter().map(changes).collect();
    let [created, removed, retired, role, template, changed, deleted] = all.as_slice() else {
        panic!("{all:#?}")
    };
    assert_eq!(
        *created,
        [
            "setId: - → s",
            "name: - → S",
            "usage: - → SINGLE",
            "position: - → 0",
            "fields.colour.name: - → Colour",
            "fields.colour.type: - → SELECTION",
            "fields.colour.state: - → ACTIVE",
            "fields.colour.position: - → 0",
            "fields.colour.required: - → false",
            "fields.colour.unique: - → false",
            r#"fields.colour.options: - → ["red","blue"]"#
        ]
    );
    assert_eq!(removed[0], "fields.colour.name: Colour → -");
    assert_eq!(*retired, ["isDefault: true → false"]);
    assert_eq!(
        *role,
        [
            "roleId: - → vip",
            "name: - → VIP",
            "isDefault: - → true",
            "position: - → 1",
            "allowsAddresses: - → true",
            "requiresIdDocument: - → false"
        ]
    );
    assert_eq!(
        template.last().map(String::as_str),
        Some("variants.ENGLISH.text: - → Hello")
    );
    assert_eq!(*changed, ["variants.ENGLISH.text: Hello → Bye"]);
    assert_eq!(
        deleted.last().map(String::as_str),
        Some("variants.ENGLISH.text: Bye → -")
    );
    assert_eq!(findings(server).await, [""; 0]);
}

async fn record_takes_no_statement_of_its_own(server: &TestServer) {
    let key = store_key(server, json!({ "client": trevor() })).await;
    server.statements();
    store_key(server, json!({ "client": { "encodedKey": key, "lastName": "Lind" } })).await;
    let statements = server.statements();
    let own: Vec<&String> = statements
        .iter()
        .filter(|sql| sql.contains("audit_") || sql.contains("history_"))
        .collect();
    // Reads the chain's end with the client, and writes the record with it.
    assert_eq!(own.len(), 2, "{own:#?}");
    assert!(own[0].starts_with("SELECT (SELECT version FROM definition_version)"));
    assert!(own[1].contains("INSERT INTO audit_record") && own[1].contains("INSERT INTO client "));
}

async fn rolled_back_change_leaves_no_record(server: &TestServer) {
    store_key(server, json!({ "client": trevor() })).await;
    let forbid = match server.backend {
        crate::harness::Backend::Sqlite => {
            "CREATE TRIGGER no BEFORE INSERT ON address BEGIN SELECT RAISE(ABORT, 'no'); END"
        }
        crate::harness::Backend::Postgres => "ALTER TABLE address ADD CONSTRAINT no CHECK (FALSE)",
    };
    server.write(forbid).await.expect("it can be forbidden");
    let before = server.snapshot().await;
    let input = json!({ "client": trevor(), "addresses": [{ "city": "Oslo" }] });
    let answer = server.graphql(UPSERT, json!({ "input": input })).await;
    assert!(answer.text.contains("INTERNAL"), "{}", answer.text);
    assert_eq!(server.snapshot().await, before);
    assert_eq!(findings(server).await, [""; 0]);
}

async fn racing_writers_leave_one_unbroken_chain(server: &TestServer) {
    let key = store_key(server, json!({ "client": trevor() })).await;
    let change = |number: usize| {
        let client = json!({ "encodedKey": key, "notes": number.to_string() });
        store_key(server, json!({ "client": client }))
    };
    futures_util::future::join_all((0..60).map(change)).await;
    let definitions = (0..20).map(|number| define(server, number));
    futures_util::future::join_all(definitions).await;
    assert_eq!(findings(server).await, [""; 0]);
    let records = server.snapshot().await.rows("audit_record").len();
    assert_eq!(records, 2 + 61 + 20);
}

pub async fn define(server: &TestServer, number: usize) {
    let query = format!(
        "mutation {{ upsertClientRole(input: {{ roleId: \"r{number}\", name: \"R\" }}) {{ \
            userErrors {{ message }} }} }}"
    );
    let answer = server.graphql(&query, json!({})).await;
    assert!(answer.text.contains(r#""userErrors":[]"#), "{}", answer.text);
}
