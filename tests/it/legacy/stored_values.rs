//! Stored values that today's rules refuse: they can be kept and sent back, and block no other change.

use reqwest::Method;
use serde_json::{Value, json};

use super::{FIRST, create, refusal};
use crate::harness::{TestServer, field};

/// The first client, with a document, an address and a custom value, each of which today's rules would refuse.
async fn store(server: &TestServer) {
    server
        .define(vec![field("shoe", clientele::definitions::Kind::Text)])
        .await;
    create(
        server,
        json!({
            "idDocuments": [{ "documentType": "Passport", "documentId": "1" }], "addresses": [{ "city": "Exampleton" }],
            "customInformation": [{ "customFieldID": "shoe", "value": "41" }],
        }),
    )
    .await;
    // The forms of control characters that both databases have.
    let (escape, invisible) = match server.backend {
        crate::harness::Backend::Sqlite => ("char(27)", "char(8203)"),
        crate::harness::Backend::Postgres => ("chr(27)", "chr(8203)"),
    };
    for sql in [
        format!(
            "UPDATE client SET first_name = {invisible}, last_name = 'a' || {escape}, middle_name = {escape}, \
             email_address = 'Name <a@b.test>', home_phone = {escape}, notes = {escape}, birth_date = '3990-04-17', \
             client_id = 'search'"
        ),
        "UPDATE client_id_claim SET client_id = 'search'".to_owned(),
        format!(
            "UPDATE id_document SET document_type = {invisible}, document_id = {escape}, issuing_authority = {escape}"
        ),
        format!("UPDATE address SET line1 = {escape}, city = {escape}, latitude = 91"),
        format!("UPDATE custom_field_value SET value = {escape}"),
    ] {
        server.write(&sql).await.expect("a sound statement");
    }
}

on_both!(
    invalid_stored_values_can_be_sent_back,
    invalid_stored_values_block_no_other_change,
    invalid_values_are_refused_when_they_change,
    client_with_the_reserved_id_is_changed_and_deleted_by_it,
);

async fn invalid_stored_values_can_be_sent_back(server: &TestServer) {
    store(server).await;
    let before = server.snapshot().await;
    let whole = server.get("/api/clients/search?fullDetails=true").await.body;
    assert_eq!(whole["client"]["firstName"], "\u{200b}", "{whole}");
    let answer = server.post(FIRST, whole.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(server.snapshot().await, before, "nothing changed, nothing is written");
}

async fn invalid_stored_values_block_no_other_change(server: &TestServer) {
    store(server).await;
    for (body, member, value) in [
        (
            json!({ "client": { "mobilePhone1": "1" } }),
            "/client/mobilePhone1",
            json!("1"),
        ),
        (
            json!({ "addresses": [{ "encodedKey": "<key 4>", "line2": "2" }] }),
            "/addresses/0/line2",
            json!("2"),
        ),
        (
            json!({ "idDocuments": [{ "encodedKey": "<key 3>", "validUntil": "2034-01-31" }] }),
            "/idDocuments/0/validUntil",
            json!("2034-01-31T00:00:00+0000"),
        ),
        (
            json!({ "customInformation": [{ "customFieldID": "shoe" }] }),
            "/customInformation/0/value",
            json!("\u{1b}"),
        ),
        (
            json!({ "client": { "firstName": "Ines" } }),
            "/client/firstName",
            json!("Ines"),
        ),
        (
            json!({ "client": { "emailAddress": "a@b.test" } }),
            "/client/emailAddress",
            json!("a@b.test"),
        ),
    ] {
        let answer = server.post(FIRST, body).await;
        assert_eq!(
            (answer.status, answer.body.pointer(member)),
            (200, Some(&value)),
            "{}",
            answer.text
        );
    }
    let input = json!({ "input": { "client": { "clientId": "search", "notes": "n" }, "matchOn": "CLIENT_ID" } });
    let query =
        "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { userErrors { code } client { notes } } }";
    server
        .graphql(query, input)
        .await
        .data(json!({ "upsertClient": { "userErrors": [], "client": { "notes": "n" } } }));
}

async fn client_with_the_reserved_id_is_changed_and_deleted_by_it(server: &TestServer) {
    store(server).await;
    let success = json!({ "returnCode": 0, "returnStatus": "SUCCESS" });
    let unknown = refusal(301, "INVALID_CLIENT_ID", "There is no client with this id or key.");
    let path = "/api/clients/search";
    let patch = |client: Value| server.send_json(Method::PATCH, path, json!({ "client": client }));
    patch(json!({ "notes": "n" })).await.is(200, success.clone());
    assert_eq!(server.get(path).await.body["notes"], "n");
    patch(json!({ "id": "C-1" })).await.is(200, success.clone());
    assert_eq!(server.get("/api/clients/C-1").await.body["encodedKey"], "<key 1>");
    let source = "There is no client with this id or key. A search is POST /api/clients/search.";
    let no_search = refusal(301, "INVALID_CLIENT_ID", source);
    server.get(path).await.is(404, no_search.clone());
    patch(json!({ "notes": "m" })).await.is(404, unknown.clone());
    server
        .send_json(Method::DELETE, path, Value::Null)
        .await
        .is(404, unknown.clone());
    for table in ["client", "client_id_claim"] {
        let sql = format!("UPDATE {table} SET client_id = 'search' WHERE client_id = 'C-1'");
        server.write(&sql).await.expect("written");
    }
    let path = format!("{path}/");
    server
        .send_json(Method::DELETE, &path, Value::Null)
        .await
        .is(200, success);
    server.get(&path).await.is(404, no_search);
    server.get(FIRST).await.is(404, unknown);
}

async fn invalid_values_are_refused_when_they_change(server: &TestServer) {
    store(server).await;
    for (body, code, status, source) in [
        (
            json!({ "client": { "firstName": "\u{200b}\u{200b}" } }),
            4,
            "INVALID_PARAMETERS",
            "client.firstName: firstName is required and must not be blank.",
        ),
        (
            json!({ "client": { "homePhone": "\u{1b}1" } }),
            3742,
            "INVALID_STRING_VALUE",
            "client.homePhone: homePhone must not contain the character U+001B.",
        ),
        (
            json!({ "client": { "emailAddress": "Other <a@b.test>" } }),
            711,
            "EMAIL_ADDRESS_FORMAT_IS_INVALID",
            "client.emailAddress: emailAddress must be an address of the form name@example.com.",
        ),
        (
            json!({ "idDocuments": [{ "encodedKey": "<key 3>", "documentId": "\u{1b}1" }] }),
            950,
            "INVALID_ID_DOCUMENT",
            "idDocuments[0].documentId: documentId must not contain the character U+001B.",
        ),
        (
            json!({ "addresses": [{ "encodedKey": "<key 4>", "latitude": 92 }] }),
            1150,
            "INVALID_ADDRESS",
            "addresses[0].latitude: latitude must be from -90 to 90 degrees.",
        ),
        (
            json!({ "customInformation": [{ "customFieldID": "shoe", "value": "\u{1b}1" }] }),
            3742,
            "INVALID_STRING_VALUE",
            "customInformation[0].value: The field shoe must not contain the character U+001B.",
        ),
    ] {
        server.refuses(FIRST, body, 400, refusal(code, status, source)).await;
    }
}
