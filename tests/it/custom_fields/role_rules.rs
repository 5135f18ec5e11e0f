//! Rules of client roles: the form of ids, addresses, identification documents and custom fields.

use serde_json::{Value, json};

use crate::harness::{
    TestServer,
    graphql::{data, define, define_role, refuse, store},
    with,
};

const ROLE: (&str, &str) = ("upsertClientRole", "UpsertClientRoleInput");
const CLIENT: (&str, &str) = ("upsertClient", "UpsertClientInput");

on_both!(
    ids_have_the_form_of_the_role,
    invalid_id_patterns_are_refused,
    address_that_the_role_does_not_allow_is_1151,
    missing_identification_document_is_951,
    role_lists_its_custom_fields,
    used_up_id_pattern_is_316,
);

fn client(own: Value) -> Value {
    with(json!({ "firstName": "Ana", "lastName": "Cruz" }), own)
}

/// The body of the REST API for a new client of this role.
fn legacy(role: &str, own: Value) -> Value {
    with(
        json!({ "client": client(json!({ "clientRole": { "encodedKey": role } })) }),
        own,
    )
}

async fn ids_have_the_form_of_the_role(server: &TestServer) {
    define_role(
        server,
        json!({ "roleId": "firm", "encodedKey": "firmKey", "name": "Firm", "idPattern": "F-####" }),
    )
    .await;
    let role = json!({ "clientRole": { "roleId": "firm" } });
    let id = |client: &Value| client["clientId"].as_str().unwrap_or_default().to_owned();
    let is_of_firm =
        |id: &str| id.len() == 6 && id.starts_with("F-") && id[2..].bytes().all(|byte| byte.is_ascii_digit());
    let ana = store(server, json!({ "client": client(role.clone()) }), "clientId").await;
    assert!(is_of_firm(&id(&ana)), "{ana}");
    let answer = server.post("/api/clients", legacy("firmKey", json!({}))).await;
    let body: Value = serde_json::from_str(&answer.text).expect("JSON");
    assert!(
        is_of_firm(body["client"]["id"].as_str().unwrap_or_default()),
        "{}",
        answer.text
    );
    // Another role keeps the configured form, and an id can be chosen.
    let other = store(server, json!({ "client": client(json!({})) }), "clientId").await;
    assert_eq!(id(&other).len(), 9, "{other}");
    let chosen = json!({ "client": client(with(role, json!({ "clientId": "MINE" }))) });
    assert_eq!(store(server, chosen, "clientId").await, json!({ "clientId": "MINE" }));
    define_role(server, json!({ "roleId": "firm", "idPattern": null })).await;
    let ana = store(
        server,
        json!({ "client": client(json!({ "clientRole": { "roleId": "firm" } })) }),
        "clientId",
    )
    .await;
    assert_eq!(id(&ana).len(), 9, "{ana}");
}

async fn invalid_id_patterns_are_refused(server: &TestServer) {
    let long = "#".repeat(33);
    for (pattern, code) in [
        ("ABC", "MALFORMED"),
        (" #", "MALFORMED"),
        ("#\u{200b}", "MALFORMED"),
        (&long, "MALFORMED"),
        ("#\n", "INVALID_CHARACTER"),
    ] {
        let input = json!({ "roleId": "firm", "name": "Firm", "idPattern": pattern });
        refuse(server, ROLE, input, code, &["idPattern"]).await;
    }
    let longest = json!({ "roleId": "firm", "name": "Firm", "idPattern": "#".repeat(32) });
    define_role(server, longest).await;
}

async fn address_that_the_role_does_not_allow_is_1151(server: &TestServer) {
    let firm = json!({ "roleId": "firm", "encodedKey": "firmKey", "name": "Firm", "allowsAddresses": false });
    define_role(server, firm).await;
    let address = json!([{ "city": "Exampleton" }]);
    let role = json!({ "clientRole": { "roleId": "firm" } });
    let input = json!({ "client": client(role.clone()), "addresses": address });
    refuse(server, CLIENT, input, "NOT_AVAILABLE", &["addresses"]).await;
    let source = "addresses: Clients of this role have no address: leave it out.";
    let answer = json!({ "returnCode": 1151, "returnStatus": "CLIENT_ROLE_DOES_NOT_ALLOW_ADDRESS",
        "errorSource": source });
    server
        .refuses(
            "/api/clients",
            legacy("firmKey", json!({ "addresses": address })),
            400,
            answer,
        )
        .await;
    store(
        server,
        json!({ "client": client(role.clone()), "addresses": [] }),
        "version",
    )
    .await;
    // A stored address stays, can be sent back and deleted, and not changed.
    let input = json!({ "client": client(json!({})), "addresses": address });
    let ana = store(server, input, "encodedKey addresses { encodedKey city }").await;
    let key = json!({ "encodedKey": ana["encodedKey"] });
    store(server, json!({ "client": with(key.clone(), role) }), "version").await;
    let back = json!({ "client": key, "addresses": ana["addresses"] });
    store(server, back, "version").await;
    let moved = json!([with(ana["addresses"][0].clone(), json!({ "city": "Other" }))]);
    refuse(
        server,
        CLIENT,
        json!({ "client": key, "addresses": moved }),
        "NOT_AVAILABLE",
        &["addresses"],
    )
    .await;
    store(server, json!({ "client": key, "addresses": [] }), "version").await;
}

async fn missing_identification_document_is_951(server: &TestServer) {
    let firm = json!({ "roleId": "firm", "encodedKey": "firmKey", "name": "Firm", "requiresIdDocument": true });
    define_role(server, firm).await;
    let role = json!({ "clientRole": { "roleId": "firm" } });
    let document = json!([{ "documentType": "Passport", "documentId": "X1" }]);
    for documents in [json!({}), json!({ "idDocuments": [] })] {
        let input = with(json!({ "client": client(role.clone()) }), documents.clone());
        refuse(server, CLIENT, input, "REQUIRED", &["idDocuments"]).await;
        let source = "idDocuments: Clients of this role need an identification document.";
        let answer =
            json!({ "returnCode": 951, "returnStatus": "REQUIRED_ID_DOCUMENT_MISSING", "errorSource": source });
        server
            .refuses("/api/clients", legacy("firmKey", documents), 400, answer)
            .await;
    }
    let input = json!({ "client": client(role.clone()), "idDocuments": document });
    let ana = store(server, input, "encodedKey").await;
    refuse(
        server,
        CLIENT,
        json!({ "client": ana, "idDocuments": [] }),
        "REQUIRED",
        &["idDocuments"],
    )
    .await;
    store(
        server,
        json!({ "client": with(ana.clone(), json!({ "notes": "n" })) }),
        "version",
    )
    .await;
    // A change of the role alone doesn't ask for one.
    let other = store(server, json!({ "client": client(json!({})) }), "encodedKey").await;
    store(server, json!({ "client": with(other.clone(), role) }), "version").await;
    refuse(
        server,
        CLIENT,
        json!({ "client": other, "idDocuments": [] }),
        "REQUIRED",
        &["idDocuments"],
    )
    .await;
    // An unknown client may have another role.
    let unknown = json!({ "client": { "encodedKey": "k" }, "idDocuments": [] });
    define_role(server, json!({ "roleId": "firm", "isDefault": true })).await;
    refuse(server, CLIENT, unknown, "NOT_FOUND", &["client", "encodedKey"]).await;
}

async fn role_lists_its_custom_fields(server: &TestServer) {
    define_role(server, json!({ "roleId": "firm", "name": "Firm" })).await;
    define_role(server, json!({ "roleId": "person", "name": "Person" })).await;
    let of = |role: &str| json!([{ "clientRole": { "roleId": role } }]);
    let field = |id: &str| json!({ "fieldId": id, "name": id, "type": "TEXT" });
    let fields = json!([
        field("nick"),
        with(field("tax"), json!({ "clientRoles": of("firm") })),
        with(
            field("hobby"),
            json!({ "clientRoles": of("person"), "state": "DEACTIVATED" })
        )
    ]);
    define(server, "facts", fields).await;
    let query = "{ clientRoles { roleId idPattern allowsAddresses requiresIdDocument customFields { fieldId } } }";
    let found = data(server, query, json!({})).await;
    let role = |id: &str, fields: &[&str]| {
        let fields: Vec<Value> = fields.iter().map(|id| json!({ "fieldId": id })).collect();
        json!({ "roleId": id, "idPattern": null, "allowsAddresses": true, "requiresIdDocument": false,
            "customFields": fields })
    };
    let expected = json!([
        role("client", &["nick"]),
        role("firm", &["nick", "tax"]),
        role("person", &["nick", "hobby"])
    ]);
    assert_eq!(found, json!({ "clientRoles": expected }));
}

async fn used_up_id_pattern_is_316(server: &TestServer) {
    let firm = json!({ "roleId": "firm", "encodedKey": "firmKey", "name": "Firm", "idPattern": "F-#" });
    define_role(server, firm).await;
    let role = json!({ "clientRole": { "roleId": "firm" } });
    for digit in 0..10 {
        let id = json!({ "clientId": format!("F-{digit}") });
        store(server, json!({ "client": client(with(role.clone(), id)) }), "version").await;
    }
    let input = json!({ "client": client(role.clone()) });
    refuse(server, CLIENT, input, "TAKEN", &["client", "clientId"]).await;
    let source = "client.id: The IDs of the form F-# are used up: send id, or give the role another form.";
    let answer = json!({ "returnCode": 316, "returnStatus": "CLIENT_ID_ALREADY_IN_USE", "errorSource": source });
    server
        .refuses("/api/clients", legacy("firmKey", json!({})), 400, answer)
        .await;
    let chosen = client(with(role, json!({ "clientId": "MINE" })));
    store(server, json!({ "client": chosen }), "version").await;
}
