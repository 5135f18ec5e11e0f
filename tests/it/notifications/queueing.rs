//! Messages queued by changes of clients, in the client's transaction, through both APIs.

use serde_json::json;

use super::{define, messages, queued, reachable, template};
use crate::harness::{Settings, TestServer, graphql::store_key, with};

on_both!(
    every_way_of_creating_a_client_queues_one_message,
    messages_of_a_change_take_one_statement_together,
    only_creation_raises_the_created_event,
    only_real_changes_raise_an_event,
    no_matching_template_or_recipient_queues_no_message,
    match_uses_client_language_or_the_default_one,
    message_keeps_the_values_of_its_placeholders,
    template_of_another_server_applies_at_once,
    unreadable_template_blocks_no_upsert,
);

async fn every_way_of_creating_a_client_queues_one_message(server: &TestServer) {
    template(server, "hello", json!({})).await;
    store_key(server, json!({ "client": reachable() })).await;
    assert_eq!(queued(server).await, ["EMAIL hello ENGLISH ana@example.test"]);
    let one = reqwest::Method::POST;
    let parameters = "/api/clients?firstName=Bo&lastName=B&emailAddress=bo%40example.test";
    assert_eq!(server.send(server.request(one.clone(), parameters)).await.status, 200);
    let form = [
        ("firstName", "Cy"),
        ("lastName", "C"),
        ("emailAddress", "cy@example.test"),
    ];
    assert_eq!(
        server
            .send(server.request(one, "/api/clients").form(&form))
            .await
            .status,
        200
    );
    let body = json!({ "client": { "firstName": "Di", "lastName": "D", "emailAddress": "di@example.test" } });
    assert_eq!(server.post("/api/clients", body).await.status, 200);
    let matched = json!({ "client": with(reachable(), json!({ "clientId": "E1", "emailAddress": "ed@example.test" })),
        "matchOn": "CLIENT_ID" });
    store_key(server, matched).await;
    assert_eq!(
        queued(server).await,
        [
            "EMAIL hello ENGLISH ana@example.test",
            "EMAIL hello ENGLISH bo@example.test",
            "EMAIL hello ENGLISH cy@example.test",
            "EMAIL hello ENGLISH di@example.test",
            "EMAIL hello ENGLISH ed@example.test",
        ]
    );
}

async fn messages_of_a_change_take_one_statement_together(server: &TestServer) {
    let create = json!({ "client": reachable(), "idDocuments": [{ "documentType": "P", "documentId": "1" }] });
    store_key(server, create.clone()).await;
    server.statements();
    store_key(server, create.clone()).await;
    let before = server.statements().len();
    template(server, "hello", json!({})).await;
    template(server, "text", json!({ "channel": "SMS" })).await;
    store_key(server, create.clone()).await;
    server.statements();
    store_key(server, create).await;
    let statements = server.statements();
    assert_eq!(statements.len(), before + 1, "{statements:#?}");
    // The one that counts messages, and looks recipients up in the suppression list.
    assert!(statements.iter().any(|sql| sql.contains("FROM suppression s")));
    assert_eq!(queued(server).await.len(), 4);
}

async fn only_creation_raises_the_created_event(server: &TestServer) {
    template(server, "hello", json!({})).await;
    let key = store_key(server, json!({ "client": { "firstName": "Ana", "lastName": "Cruz" } })).await;
    // Reachable only later: that is a change.
    store_key(
        server,
        json!({ "client": with(reachable(), json!({ "encodedKey": key })) }),
    )
    .await;
    store_key(
        server,
        json!({ "client": { "encodedKey": key }, "addresses": [{ "city": "Exampleton" }] }),
    )
    .await;
    assert_eq!(
        server
            .post(
                &format!("/api/clients/{key}"),
                json!({ "client": { "encodedKey": key, "firstName": "Eva" } })
            )
            .await
            .status,
        200
    );
    server
        .refuses(
            "/api/clients",
            json!({ "client": { "firstName": "Bo", "emailAddress": "bo@example.test" } }),
            400,
            json!({ "returnCode": 4, "returnStatus": "INVALID_PARAMETERS",
            "errorSource": "client.lastName: lastName is required and must not be blank." }),
        )
        .await;
    server.seed(3).await;
    assert_eq!(queued(server).await, [""; 0]);
}

async fn only_real_changes_raise_an_event(server: &TestServer) {
    template(server, "changed", json!({ "event": "CLIENT_UPDATED" })).await;
    let key = store_key(server, json!({ "client": reachable() })).await;
    assert_eq!(queued(server).await, [""; 0]);
    store_key(server, json!({ "client": { "encodedKey": key, "firstName": "Eva" } })).await;
    assert_eq!(queued(server).await.len(), 1);
    let before = server.snapshot().await;
    store_key(server, json!({ "client": { "encodedKey": key, "firstName": "Eva" } })).await;
    assert_eq!(server.snapshot().await, before);
    store_key(
        server,
        json!({ "client": { "encodedKey": key }, "addresses": [{ "city": "Exampleton" }] }),
    )
    .await;
    assert_eq!(queued(server).await.len(), 2);
}

async fn no_matching_template_or_recipient_queues_no_message(server: &TestServer) {
    store_key(server, json!({ "client": reachable() })).await;
    template(server, "off", json!({ "active": false })).await;
    template(server, "text", json!({ "channel": "SMS" })).await;
    template(server, "active", json!({ "conditions": { "states": ["ACTIVE"] } })).await;
    let mute = json!({ "firstName": "Ana", "lastName": "Cruz", "homePhone": "+14155550101" });
    store_key(server, json!({ "client": mute })).await;
    assert_eq!(queued(server).await, [""; 0]);
    store_key(
        server,
        json!({ "client": with(mute, json!({ "mobilePhone2": " 0155 " })) }),
    )
    .await;
    store_key(server, json!({ "client": reachable() })).await;
    assert_eq!(
        queued(server).await,
        ["SMS text ENGLISH  0155 ", "SMS text ENGLISH +14155550101"]
    );
}

async fn match_uses_client_language_or_the_default_one(server: &TestServer) {
    let variants = json!([
        { "language": "ENGLISH", "subject": "Hello", "text": "t" },
        { "language": "GERMAN", "subject": "Hallo", "text": "t" }]);
    template(
        server,
        "hello",
        json!({ "variants": variants, "defaultLanguage": "GERMAN" }),
    )
    .await;
    for language in ["ENGLISH", "GERMAN", "SPANISH"] {
        store_key(
            server,
            json!({ "client": with(reachable(), json!({ "preferredLanguage": language })) }),
        )
        .await;
    }
    let one = |language| format!("EMAIL hello {language} ana@example.test");
    assert_eq!(queued(server).await, [one("ENGLISH"), one("GERMAN"), one("GERMAN")]);
}

async fn message_keeps_the_values_of_its_placeholders(server: &TestServer) {
    let text = "{CLIENT_NAME} {ID_DOCUMENT_NUMBER} {CF:nick} {RECIPIENT_MOBILE_PHONE}";
    let variant = json!({ "language": "ENGLISH", "subject": "Hello", "text": text });
    define(server, "nick").await;
    template(
        server,
        "changed",
        json!({ "event": "CLIENT_UPDATED", "variants": [variant] }),
    )
    .await;
    let key = store_key(
        server,
        json!({ "client": reachable(), "idDocuments": [{ "documentType": "P", "documentId": "X1" }],
        "customInformation": [{ "fieldId": "nick", "value": "An" }] }),
    )
    .await;
    // The change names none of the collections that the text needs.
    store_key(server, json!({ "client": { "encodedKey": key, "firstName": "Eva" } })).await;
    let found = messages(server).await;
    // The set of a custom field is stored with its value.
    let placeholders = json!({ "CF:nick": "An", "CLIENT_NAME": "Eva Cruz", "ID_DOCUMENT_NUMBER": "X1",
        "RECIPIENT_MOBILE_PHONE": "+14155550101",
        "{CF:nick}": "facts" });
    assert_eq!(found[0].placeholders.as_deref(), Some(&*placeholders.to_string()));
}

async fn template_of_another_server_applies_at_once(server: &TestServer) {
    // This server has read the definitions before the other one changes them.
    let key = store_key(
        server,
        json!({ "client": reachable(), "idDocuments": [{ "documentType": "P", "documentId": "X1" }] }),
    )
    .await;
    let other = server.another(Settings::default()).await;
    let variant = json!({ "language": "ENGLISH", "subject": "Hello", "text": "{ID_DOCUMENT_NUMBER}" });
    template(
        &other,
        "changed",
        json!({ "event": "CLIENT_UPDATED", "variants": [variant] }),
    )
    .await;
    store_key(server, json!({ "client": { "encodedKey": key, "firstName": "Eva" } })).await;
    assert_eq!(
        messages(server).await[0].placeholders.as_deref(),
        Some("{\"ID_DOCUMENT_NUMBER\":\"X1\"}")
    );
    other.stop().await;
}

async fn unreadable_template_blocks_no_upsert(server: &TestServer) {
    template(server, "hello", json!({})).await;
    template(server, "later", json!({})).await;
    // As a server of a later version might leave it.
    server
        .write("UPDATE message_template SET event = 'CLIENT_APPROVED' WHERE template_id = 'later'")
        .await
        .expect("written");
    server
        .write("UPDATE definition_version SET version = version + 1")
        .await
        .expect("written");
    store_key(server, json!({ "client": reachable() })).await;
    assert_eq!(queued(server).await, ["EMAIL hello ENGLISH ana@example.test"]);
}
