//! Upserts of clients with an unexpected version or an unknown key.

use clientele::caller::{Permission, Rights, Sets};
use serde_json::{Value, json};

use crate::{
    access::in_branches,
    harness::{
        HeldLock, TestServer,
        graphql::{data, define, store, store_key},
        with,
    },
};

const UPSERT: &str = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) {
    client { clientId }
    conflictingClient { clientId firstName version addresses { city } }
    conflictingVersion
    userErrors { code path message } } }";

async fn upsert(server: &TestServer, input: Value) -> Value {
    data(server, UPSERT, json!({ "input": input })).await["upsertClient"].take()
}

fn conflict(stored: i32) -> Value {
    let message = match stored {
        0 => "There is no such client, so there is no version to expect: leave expectedVersion out to create one."
            .to_owned(),
        _ => format!("The stored version is {stored}, not 7: read the client again and decide anew."),
    };
    json!([{ "code": "VERSION_CONFLICT", "path": ["input", "expectedVersion"], "message": message }])
}

on_both!(
    version_conflict_returns_stored_client_and_version,
    version_conflict_of_a_client_found_by_a_value_returns_it,
    unknown_key_is_reported_with_problems_of_other_members,
    taken_id_tells_the_way_to_change_its_client,
    taken_id_has_no_hint_if_its_client_cannot_be_changed,
);

on_postgres!(id_that_is_taken_meanwhile_tells_the_way_as_well);

async fn version_conflict_returns_stored_client_and_version(server: &TestServer) {
    let new = json!({ "client": { "clientId": "c", "firstName": "Ana", "lastName": "Bo" },
        "addresses": [{ "city": "Porto" }] });
    let key = store(server, new, "encodedKey").await["encodedKey"].clone();
    let by_id =
        json!({ "matchOn": "CLIENT_ID", "expectedVersion": 7, "client": { "clientId": "c", "firstName": "Eva" } });
    let by_key = json!({ "expectedVersion": 7, "client": { "encodedKey": key, "firstName": "Eva" }, "addresses": [] });
    for input in [by_id, by_key.clone()] {
        assert_eq!(
            upsert(server, input).await,
            json!({ "client": null,
            "conflictingClient": { "clientId": "c", "firstName": "Ana", "version": 1,
                "addresses": [{ "city": "Porto" }] },
            "conflictingVersion": 1, "userErrors": conflict(1) })
        );
    }
    let writer = server.as_caller(&Rights::of([Permission::EditClient]));
    assert_eq!(
        upsert(&writer, by_key.clone()).await,
        json!({ "client": null, "conflictingClient": null,
        "conflictingVersion": 1, "userErrors": conflict(1) })
    );
    let reader = server.as_caller(&Rights::of([Permission::ViewClient, Permission::CreateClient]));
    let message = "To change a client you need the permission EDIT_CLIENT.";
    assert_eq!(
        upsert(&reader, by_key).await,
        json!({ "client": null, "conflictingClient": null, "conflictingVersion": null,
        "userErrors": [{ "code": "FORBIDDEN", "path": ["input"], "message": message }] })
    );
    let new = json!({ "expectedVersion": 7, "client": { "firstName": "Ana", "lastName": "Bo" } });
    assert_eq!(
        upsert(server, new).await,
        json!({ "client": null, "conflictingClient": null, "conflictingVersion": 0,
        "userErrors": conflict(0) })
    );
    let right = json!({ "expectedVersion": 1, "client": { "encodedKey": key, "firstName": "Eva" } });
    assert_eq!(
        upsert(server, right).await,
        json!({ "client": { "clientId": "c" }, "conflictingClient": null,
        "conflictingVersion": null, "userErrors": [] })
    );
}

async fn version_conflict_of_a_client_found_by_a_value_returns_it(server: &TestServer) {
    let fields = json!([{ "fieldId": "crm", "name": "CRM", "type": "TEXT", "unique": true }]);
    define(server, "facts", fields).await;
    let new = json!({ "client": { "clientId": "c", "firstName": "Ana", "lastName": "Bo" },
        "customInformation": [{ "fieldId": "crm", "value": "A-1" }], "addresses": [{ "city": "Porto" }] });
    store(server, new, "version").await;
    let matched = json!({ "matchOn": "CUSTOM_FIELD", "matchCustomField": { "fieldId": "crm", "value": "A-1" },
        "expectedVersion": 7, "client": { "firstName": "Eva" } });
    let found = json!({ "clientId": "c", "firstName": "Ana", "version": 1, "addresses": [{ "city": "Porto" }] });
    let answer = |client: Value| {
        json!({ "client": null, "conflictingClient": client, "conflictingVersion": 1,
            "userErrors": conflict(1) })
    };
    assert_eq!(upsert(server, matched.clone()).await, answer(found));
    let writer = server.as_caller(&Rights {
        edit_sets: Sets::All,
        ..Rights::of([Permission::EditClient])
    });
    assert_eq!(upsert(&writer, matched).await, answer(Value::Null));
}

async fn unknown_key_is_reported_with_problems_of_other_members(server: &TestServer) {
    let found = async |caller: &TestServer, input: Value| -> Value {
        let problems = upsert(caller, input).await["userErrors"].take();
        problems
            .as_array()
            .expect("a list")
            .iter()
            .map(|problem| json!([problem["code"], problem["path"]]))
            .collect()
    };
    let not_found = json!(["NOT_FOUND", ["input", "client", "encodedKey"]]);
    // Omitted members may be stored already.
    let short = json!({ "client": { "encodedKey": "k1", "clientId": "c" }, "addresses": [{ "encodedKey": "a1" }],
        "idDocuments": [{ "encodedKey": "d1", "issuingAuthority": "x" }] });
    assert_eq!(found(server, short).await, json!([not_found]));
    let input = json!({
        "client": { "encodedKey": "k1", "firstName": "", "emailAddress": "ana", "clientRole": { "roleId": "none" } },
        "addresses": [{ "latitude": 91 }], "idDocuments": [{ "documentType": "Passport" }],
        "customInformation": [{ "fieldId": "none", "value": "x" }],
    });
    // A caller who may change clients needs no permission to create one.
    for caller in [server, &server.as_caller(&Rights::of([Permission::EditClient]))] {
        assert_eq!(
            found(caller, input.clone()).await,
            json!([
                not_found,
                ["BLANK", ["input", "client", "firstName"]],
                ["NOT_AN_EMAIL_ADDRESS", ["input", "client", "emailAddress"]],
                ["NOT_FOUND", ["input", "client", "clientRole", "roleId"]],
                ["BLANK", ["input", "idDocuments", "0", "documentId"]],
                ["INVALID", ["input", "addresses", "0", "latitude"]],
                ["NOT_FOUND", ["input", "customInformation", "0", "fieldId"]],
            ])
        );
    }
    // The legacy route answers the first.
    server
        .refuses(
            "/api/clients",
            json!({ "client": { "encodedKey": "k1", "firstName": "" } }),
            404,
            json!({ "returnCode": 302, "returnStatus": "INVALID_CLIENT_KEY",
            "errorSource": "client.encodedKey: There is no client with this key: leave encodedKey out to create \
                one." }),
        )
        .await;
}

async fn taken_id_tells_the_way_to_change_its_client(server: &TestServer) {
    define(
        server,
        "facts",
        json!([{ "fieldId": "crm", "name": "CRM", "type": "TEXT", "unique": true }]),
    )
    .await;
    let new = json!({ "client": { "clientId": "c", "firstName": "Ana", "lastName": "Bo" } });
    store(server, new.clone(), "version").await;
    let by_value = json!({ "matchOn": "CUSTOM_FIELD", "matchCustomField": { "fieldId": "crm", "value": "7" } });
    let message = "Another client has this clientId: choose another, or leave it out to have one generated. To change \
        that client, send matchOn: CLIENT_ID.";
    for input in [new.clone(), with(new, by_value)] {
        let path = json!(["input", "client", "clientId"]);
        assert_eq!(
            upsert(server, input).await["userErrors"],
            json!([{ "code": "TAKEN", "path": path, "message": message }])
        );
    }
}

async fn id_that_is_taken_meanwhile_tells_the_way_as_well(server: &TestServer) {
    let client = |id: &str| json!({ "client": { "clientId": id, "firstName": "Ana", "lastName": "Bo" } });
    let held = HeldLock::of_id("c", &store_key(server, client("before")).await);
    let release = async {
        held.is_waited_for(server).await;
        held.release();
    };
    let meanwhile = async {
        held.is_held().await;
        tokio::join!(upsert(server, client("c")), release).0
    };
    let ((), payload) = tokio::join!(held.hold(server), meanwhile);
    let message = "Another client has this clientId: choose another, or leave it out to have one generated. To change \
        that client, send matchOn: CLIENT_ID.";
    let path = json!(["input", "client", "clientId"]);
    assert_eq!(
        payload["userErrors"],
        json!([{ "code": "TAKEN", "path": path, "message": message }])
    );
}

async fn taken_id_has_no_hint_if_its_client_cannot_be_changed(server: &TestServer) {
    let client = |id: &str, branch: &str| {
        let own = json!({ "clientId": id, "firstName": "Ana", "lastName": "Bo", "assignedBranchKey": branch });
        json!({ "client": own })
    };
    let key = store_key(server, client("c", "north")).await;
    let (north, south) = (
        server.as_caller(&in_branches(&["north"])),
        server.as_caller(&in_branches(&["south"])),
    );
    let creator = server.as_caller(&Rights::of([Permission::CreateClient]));
    let message = "Another client has this clientId: choose another, or leave it out to have one generated.";
    let hint = format!("{message} To change that client, send matchOn: CLIENT_ID.");
    for (caller, id, branch, message) in [
        (&north, "c", "north", hint.as_str()),
        (&south, "c", "south", message),
        (&creator, "c", "north", message),
        // The id of no client, and the key of one.
        (&north, key.as_str(), "north", message),
    ] {
        let path = json!(["input", "client", "clientId"]);
        assert_eq!(
            upsert(caller, client(id, branch)).await["userErrors"],
            json!([{ "code": "TAKEN", "path": path, "message": message }]),
            "{id} {branch}"
        );
    }
}
