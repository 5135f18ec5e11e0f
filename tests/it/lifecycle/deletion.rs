//! Deletion and erasure through both APIs: what they remove, and what they refuse.

use clientele::{
    audit::AuditSettings,
    caller::{Permission, Rights, Sets},
    client_by::ClientBy,
    definitions::Kind,
    removal::MOST_COUNTED,
    services::{ServiceSettings, Services},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{create, refusal, send, success, user_errors};
use crate::{
    audit::{changes, erase, findings},
    harness::{
        Answer, TestServer, field,
        graphql::{define_template, store_key},
    },
};

const DELETE: &str = "mutation($input: DeleteClientInput!) { deleteClient(input: $input) {
    deletedClientKey deletedMessages unsentMessages conflictingVersion clientMutationId
    userErrors { code message path clientCount clientIds } } }";
const STILL_LINKED: &str = "Other clients link to this client: remove all these links first.";
pub const ERASE: &str = "mutation($input: EraseClientInput!) { eraseClient(input: $input) {
    erasedClientId erasedClientKey erasedAt erasedRecords deletedMessages unsentMessages clientMutationId
    userErrors { code message path } } }";

async fn delete(server: &TestServer, input: Value) -> Answer {
    server.graphql(DELETE, json!({ "input": input })).await
}

async fn delete_path(server: &TestServer, path: &str) -> Answer {
    server.send(server.request(Method::DELETE, path)).await
}

/// Creates a client with a row in every table of clients. Returns its key.
pub async fn create_full(server: &TestServer, id: &str) -> String {
    let input = json!({ "client": { "clientId": id, "firstName": "Trevor", "lastName": "Linden",
        "emailAddress": "trevor@example.test" },
        "addresses": [{ "line1": "1 Lane" }], "idDocuments": [{ "documentType": "Passport", "documentId": "1" }],
        "customInformation": [{ "fieldId": "nick", "value": "Al" }] });
    store_key(server, input).await
}

pub async fn define(server: &TestServer) {
    let link = field("boss", Kind::ClientLink);
    server.define(vec![field("nick", Kind::Text), link]).await;
    let variants = json!([{ "language": "ENGLISH", "subject": "S", "text": "T" }]);
    let template = json!({ "templateId": "t", "name": "T", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "variants": variants });
    define_template(server, template).await;
}

/// Creates a client with this id that links to another one.
pub async fn create_linked(server: &TestServer, id: &str, to: &str) -> String {
    let input = json!({ "client": { "clientId": id, "firstName": "Bo", "lastName": "Linden" },
        "customInformation": [{ "fieldId": "boss", "linkedKey": to }] });
    store_key(server, input).await
}

/// The tables with a row that has this text.
async fn tables_with(server: &TestServer, text: &str) -> Vec<String> {
    let snapshot = server.snapshot().await;
    let rows = snapshot.0.iter().filter(|row| row.contains(text));
    let mut tables: Vec<String> = rows.filter_map(|row| Some(row.split_once(' ')?.0.to_owned())).collect();
    tables.dedup();
    tables
}

on_both!(
    deletion_leaves_only_the_records_of_the_client,
    deletion_is_recorded_with_everything_that_was_deleted,
    client_that_others_link_to_is_not_deleted,
    refusal_of_a_deletion_names_only_visible_clients,
    refusal_of_a_deletion_counts_up_to_its_limit,
    repeated_deletion_gets_the_first_answer,
    expected_version_prevents_a_lost_change,
    unknown_clients_are_not_deleted,
    id_of_a_deleted_client_is_free_and_its_key_is_not,
    deleted_clients_count_for_a_new_audit_key,
    removal_takes_the_same_statements_whatever_the_data,
);

async fn deletion_leaves_only_the_records_of_the_client(server: &TestServer) {
    define(server).await;
    let (first, second) = (create_full(server, "A").await, create_full(server, "B").await);
    let tables = tables_with(server, &first).await;
    assert_eq!(
        tables,
        [
            "address",
            "audit_record",
            "client",
            "client_change",
            "client_id_claim",
            "client_search",
            "custom_field_value",
            "id_document",
            "id_document_search",
            "message",
            "raised_message"
        ]
    );
    let answer = delete(server, json!({ "by": { "clientId": "A" }, "clientMutationId": "m" })).await;
    answer.data(json!({ "deleteClient": {
        "deletedClientKey": "<key 1>", "deletedMessages": 1, "unsentMessages": 1, "conflictingVersion": null,
        "clientMutationId": "m", "userErrors": [] } }));
    assert!(answer.text.contains(&first));
    for (key, path) in [(&first, "/api/clients/A"), (&second, "/api/clients/B/")] {
        if *key == second {
            delete_path(server, path).await.is(200, success());
        }
        assert_eq!(
            tables_with(server, key).await,
            ["audit_chain", "audit_record", "client_change"]
        );
        let unknown = refusal(301, "INVALID_CLIENT_ID", "There is no client with this id or key.");
        for path in [path.to_owned(), format!("/api/clients/{key}")] {
            server.get(&path).await.is(404, unknown.clone());
            delete_path(server, &path).await.is(404, unknown.clone());
        }
    }
    for table in &tables {
        let rows = server.snapshot().await;
        let stays = ["audit_record", "client_change"].contains(&table.as_str());
        assert!(rows.rows(table).is_empty() || stays, "{table}");
    }
    assert_eq!(findings(server).await, [""; 0]);
}

async fn deletion_is_recorded_with_everything_that_was_deleted(server: &TestServer) {
    define(server).await;
    let key = create_full(server, "A").await;
    delete_path(server, "/api/clients/A").await.is(200, success());
    let query = "query($key: String!) { auditLog(first: 1, filter: { client: { encodedKey: $key }, action: DELETED }) {
        nodes { action door subject subjectKey changes { path before after masked } } } }";
    let answer = server.graphql(query, json!({ "key": key })).await;
    let record = &answer.body["data"]["auditLog"]["nodes"][0];
    assert_eq!(
        [&record["action"], &record["door"], &record["subject"]],
        ["DELETED", "REST", "CLIENT"]
    );
    let mut found = changes(record);
    for change in &mut found {
        let steps = change
            .split('.')
            .map(|step| if step.starts_with("<key ") { "KEY" } else { step });
        *change = steps.collect::<Vec<_>>().join(".");
    }
    assert_eq!(
        found,
        [
            "clientId: A → -",
            "state: INACTIVE → -",
            "firstName: Trevor → -",
            "lastName: Linden → -",
            "preferredLanguage: ENGLISH → -",
            "clientRole: d9df8bc78a0234ccc934a845c → -",
            "emailAddress: trevor@example.test → -",
            "approvedAt: <time> → -",
            "addresses.KEY.line1: 1 Lane → -",
            "addresses.KEY.position: 0 → -",
            "idDocuments.KEY.documentType: Passport → -",
            "idDocuments.KEY.documentId: 1 → -",
            "idDocuments.KEY.position: 0 → -",
            "customInformation.nick.value: Al → -",
            "customInformation.nick.position: 0 → -",
            "messages: 1 → -",
            "unsentMessages: 1 → -",
        ]
    );
}

async fn client_that_others_link_to_is_not_deleted(server: &TestServer) {
    define(server).await;
    let boss = create_full(server, "boss").await;
    // A link to itself doesn't count.
    let own =
        json!({ "client": { "encodedKey": boss }, "customInformation": [{ "fieldId": "boss", "linkedKey": boss }] });
    store_key(server, own).await;
    for count in 1..=5 {
        create_linked(server, &format!("L{count}"), &boss).await;
        let before = server.snapshot().await;
        let answer = delete_path(server, "/api/clients/boss").await;
        answer.is(400, refusal(927, "LINKED_BY_CUSTOM_FIELD", "L1"));
        let named: Vec<String> = (1..=count.min(3)).map(|number| format!("L{number}")).collect();
        let answer = delete(server, json!({ "by": { "encodedKey": boss } })).await;
        let expected = json!([{ "code": "STILL_LINKED", "message": STILL_LINKED, "path": ["input", "by"],
            "clientCount": count, "clientIds": named }]);
        assert_eq!(*user_errors(&answer, "deleteClient"), expected);
        assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    }
    for count in 1..=5 {
        let unlink = json!({ "customInformation": [] });
        assert_eq!(server.post(&format!("/api/clients/L{count}"), unlink).await.status, 200);
    }
    delete_path(server, "/api/clients/boss").await.is(200, success());
    assert_eq!(findings(server).await, [""; 0]);
}

async fn refusal_of_a_deletion_names_only_visible_clients(server: &TestServer) {
    define(server).await;
    let boss = create_full(server, "boss").await;
    create_linked(server, "L1", &boss).await;
    let blind = Rights::of([Permission::DeleteClient]);
    let without_set = Rights {
        view_sets: Sets::These(Default::default()),
        edit_sets: Sets::These(Default::default()),
        ..Rights::of([Permission::DeleteClient, Permission::ViewClient])
    };
    for rights in [blind, without_set] {
        let caller = server.as_caller(&rights);
        delete_path(&caller, "/api/clients/boss")
            .await
            .is(400, refusal(927, "LINKED_BY_CUSTOM_FIELD", STILL_LINKED));
        let answer = delete(&caller, json!({ "by": { "clientId": "boss" } })).await;
        let expected = json!([{ "code": "STILL_LINKED", "message": STILL_LINKED, "path": ["input", "by"],
            "clientCount": null, "clientIds": [] }]);
        assert_eq!(*user_errors(&answer, "deleteClient"), expected);
    }
}

async fn refusal_of_a_deletion_counts_up_to_its_limit(server: &TestServer) {
    define(server).await;
    let boss = create_full(server, "boss").await;
    let most = i64::try_from(MOST_COUNTED).expect("a small number");
    let query = "mutation($clients: [UpsertClientInput!]!) { upsertClients(input: { clients: $clients }) { results { \
        created } } }";
    let mut number = 0;
    for (more, count) in [(most - 1, most - 1), (1, most), (1, most)] {
        let client = |number: i64| {
            json!({ "client": { "clientId": format!("L{number}"), "firstName": "Bo", "lastName": "Linden" },
                "customInformation": [{ "fieldId": "boss", "linkedKey": boss }] })
        };
        let clients: Vec<Value> = (number..number + more).map(client).collect();
        let answer = server.graphql(query, json!({ "clients": clients })).await;
        let created = json!({ "created": true });
        let results = answer.body["data"]["upsertClients"]["results"]
            .as_array()
            .expect("a list");
        assert!(results.iter().all(|result| *result == created), "{}", answer.text);
        number += more;
        let answer = delete(server, json!({ "by": { "encodedKey": boss } })).await;
        let problem = &user_errors(&answer, "deleteClient")[0];
        assert_eq!(problem["clientCount"], count);
        assert_eq!(problem["clientIds"].as_array().map(Vec::len), Some(3));
    }
}

async fn repeated_deletion_gets_the_first_answer(server: &TestServer) {
    for id in ["A", "B", "C"] {
        create(server, id).await;
    }
    let request = |path: &str| server.request(Method::DELETE, path).header("Idempotency-Key", "k");
    for _ in 0..2 {
        server.send(request("/api/clients/A")).await.is(200, success());
    }
    let reused = "This idempotency key has been used for another request: give each request a key of its own.";
    let before = server.snapshot().await;
    let answer = server.send(request("/api/clients/B")).await;
    answer.is(422, refusal(4, "INVALID_PARAMETERS", reused));
    assert_eq!(server.snapshot().await, before);
    let input = json!({ "by": { "clientId": "C" }, "idempotencyKey": "g" });
    let first = delete(server, input.clone()).await;
    assert_eq!(*user_errors(&first, "deleteClient"), json!([]));
    let before = server.snapshot().await;
    assert_eq!(delete(server, input).await.text, first.text);
    let other = delete(server, json!({ "by": { "clientId": "B" }, "idempotencyKey": "g" })).await;
    assert_eq!(user_errors(&other, "deleteClient")[0]["code"], "IDEMPOTENCY_KEY_REUSED");
    let malformed = delete(server, json!({ "by": { "clientId": "B" }, "idempotencyKey": "é" })).await;
    assert_eq!(user_errors(&malformed, "deleteClient")[0]["code"], "MALFORMED");
    assert_eq!(server.snapshot().await, before);
}

async fn expected_version_prevents_a_lost_change(server: &TestServer) {
    create(server, "A").await;
    let before = server.snapshot().await;
    let message = "The stored version is 1, not 2: read the client again and decide anew.";
    delete(server, json!({ "by": { "clientId": "A" }, "expectedVersion": 2 }))
        .await
        .data(json!({ "deleteClient": {
            "deletedClientKey": null, "deletedMessages": 0, "unsentMessages": 0, "conflictingVersion": 1,
            "clientMutationId": null, "userErrors": [
                { "code": "VERSION_CONFLICT", "message": message, "path": ["input", "expectedVersion"],
                    "clientCount": null, "clientIds": [] }] } }));
    assert_eq!(server.snapshot().await, before);
    let answer = delete(server, json!({ "by": { "clientId": "A" }, "expectedVersion": 1 })).await;
    assert_eq!(*user_errors(&answer, "deleteClient"), json!([]));
}

async fn unknown_clients_are_not_deleted(server: &TestServer) {
    create(server, "A").await;
    let before = server.snapshot().await;
    for (by, message) in [
        (json!({ "clientId": "absent" }), "There is no client with this id."),
        (json!({ "clientId": "\0" }), "There is no client with this id."),
        (json!({ "encodedKey": "A" }), "There is no client with this key."),
        (json!({ "encodedKey": "~users" }), "There is no client with this key."),
        (json!({ "id": "absent" }), "There is no client with this global ID."),
    ] {
        let input = json!({ "input": { "by": by } });
        // The data of a client that was deleted with its id is left to erase.
        let erased = message.replace(
            "with this id.",
            "with this id: one that was deleted or erased is named by its key, which its audit records have.",
        );
        for (mutation, document, message) in [("deleteClient", DELETE, message), ("eraseClient", ERASE, &*erased)] {
            let answer = server.graphql(document, input.clone()).await;
            let problem = &user_errors(&answer, mutation)[0];
            let found = json!([problem["code"], problem["message"], problem["path"]]);
            assert_eq!(found, json!(["NOT_FOUND", message, ["input", "by"]]));
        }
    }
    let unknown = refusal(301, "INVALID_CLIENT_ID", "There is no client with this id or key.");
    for path in [
        "/api/clients/absent",
        "/api/clients/%00",
        "/api/clients/%ff",
        "/api/clients/~users",
    ] {
        delete_path(server, path).await.is(404, unknown.clone());
    }
    let source = "notes isn't allowed with a client's id.";
    let answer = delete_path(server, "/api/clients/A?notes=x").await;
    answer.is(400, refusal(27, "PARAMETER_NOT_ALLOWED", source));
    assert_eq!(server.snapshot().await, before);
    delete_path(server, "/api/clients/A?appkey=k").await.is(200, success());
}

async fn id_of_a_deleted_client_is_free_and_its_key_is_not(server: &TestServer) {
    create(server, "A").await;
    delete_path(server, "/api/clients/A").await.is(200, success());
    create(server, "A").await;
    let key = server.get("/api/clients/A").await.body["encodedKey"].clone();
    assert_eq!(key, "<key 2>");
    let answer = server
        .post(
            "/api/clients",
            json!({ "client": { "encodedKey": "<key 1>", "notes": "n" } }),
        )
        .await;
    assert_eq!((answer.status, &answer.body["returnCode"]), (404, &json!(302)));
    let sql = "SELECT 1";
    server.write(sql).await.expect("the server goes on");
    assert_eq!(findings(server).await, [""; 0]);
}

async fn deleted_clients_count_for_a_new_audit_key(server: &TestServer) {
    server.seed(2).await;
    create(server, "A").await;
    create(server, "B").await;
    for id in ["SEED00000000", "A"] {
        delete_path(server, &format!("/api/clients/{id}"))
            .await
            .is(200, success());
    }
    let key = server.get("/api/clients/B").await;
    let key = serde_json::from_str::<Value>(&key.text).expect("JSON")["encodedKey"].take();
    erase(&server.services, key.as_str().expect("a key")).await;
    assert_eq!(findings(server).await, [""; 0]);
    let audit = AuditSettings {
        key: "a new key".to_owned().into(),
        ..AuditSettings::default()
    };
    let settings = ServiceSettings {
        audit,
        ..ServiceSettings::default()
    };
    let services = Services::new(server.services.db.clone(), settings);
    let now = std::time::SystemTime::now().into();
    services.audit.start(now).await.expect("the next key begins");
    let mut found = Vec::new();
    let operator = clientele::caller::Caller::operator();
    let report = |finding: &clientele::audit::Finding| found.push(finding.to_string());
    services
        .audit
        .verify(&operator, None, report)
        .await
        .expect("it verifies");
    assert_eq!(found, [""; 0]);
    // Under the new key, too.
    let by = ClientBy::ClientId("SEED00000001".to_owned()).into();
    let deleted = services.clients.delete(&operator, &by, now).await;
    deleted.expect("the database answers").expect("deleted");
    let report = |finding: &clientele::audit::Finding| found.push(finding.to_string());
    services
        .audit
        .verify(&operator, None, report)
        .await
        .expect("it verifies");
    assert_eq!(found, [""; 0]);
}

async fn removal_takes_the_same_statements_whatever_the_data(server: &TestServer) {
    define(server).await;
    let count = async |mutation: &str, id: &str| {
        server.statements();
        let document = match mutation {
            "deleteClient" => DELETE,
            _ => ERASE,
        };
        let answer = server
            .graphql(document, json!({ "input": { "by": { "clientId": id } } }))
            .await;
        assert_eq!(*user_errors(&answer, mutation), json!([]));
        server.statements().len()
    };
    for mutation in ["deleteClient", "eraseClient"] {
        create(server, "small").await;
        create_full(server, "large").await;
        for number in 0..20 {
            let body = json!({ "client": { "notes": number.to_string() }, "idDocuments": [
                { "documentType": "A", "documentId": "1" }, { "documentType": "B", "documentId": "2" }] });
            assert_eq!(
                send(server, Method::POST, "/api/clients/large", &body).await.status,
                200
            );
        }
        let small = count(mutation, "small").await;
        assert_eq!(count(mutation, "large").await, small, "{mutation}");
    }
}
