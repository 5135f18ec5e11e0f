//! Callers who are limited to branches and centres: what they can write, and what stays unique across all clients.

use std::collections::BTreeSet;

use clientele::{
    caller::{Limit, Permission, Rights},
    client::{CheckLevel, DuplicateChecks},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{UPSERT, in_branches, problems};
use crate::harness::{
    Answer, TestServer,
    graphql::{data, define, define_template, store},
};
use crate::upsert::duplicates::checking;

const ONE_OF_THEIRS: &str = "assignedBranchKey must be one of those that your rights are limited to.";

fn places(branches: &[&str], centres: &[&str]) -> Rights {
    Rights {
        centres: Limit::To(centres.iter().map(|key| (*key).to_owned()).collect()),
        ..in_branches(branches)
    }
}

fn client(id: &str, members: Value) -> Value {
    let client = json!({ "clientId": id, "firstName": "Amara", "lastName": "Bellweather" });
    json!({ "client": crate::harness::with(client, members) })
}

async fn upsert(caller: &TestServer, input: Value) -> Answer {
    caller.graphql(UPSERT, json!({ "input": input })).await
}

/// The branch and the centre of a client.
async fn places_of(server: &TestServer, id: &str) -> [Value; 2] {
    let query = "query($id: String!) { client(by: { clientId: $id }) { assignedBranchKey assignedCentreKey } }";
    let found = data(server, query, json!({ "id": id })).await;
    ["assignedBranchKey", "assignedCentreKey"].map(|name| found["client"][name].clone())
}

fn at(member: &str) -> Value {
    json!([["FORBIDDEN", ["input", "client", member]]])
}

on_both!(
    client_must_stay_within_its_writers_branches,
    legacy_client_must_stay_within_its_writers_branches,
    taken_ids_and_values_stay_taken_without_naming_the_client,
    deletion_does_not_name_links_of_other_branches,
    merge_of_a_client_with_links_of_other_branches_is_forbidden,
    duplicates_of_other_branches_are_not_named,
    outcome_of_a_client_that_moved_away_is_not_replayed,
    moved_client_is_not_changed_afterwards,
    definitions_are_closed_to_limited_callers,
    limited_lists_need_no_more_statements,
    limits_hold_for_many_clients,
);

async fn client_must_stay_within_its_writers_branches(server: &TestServer) {
    let one = server.as_caller(&in_branches(&["north"]));
    let two = server.as_caller(&in_branches(&["north", "west"]));
    let both = server.as_caller(&places(&["north"], &["c1"]));
    let none = server.as_caller(&in_branches(&[]));
    let branch = |key: &str| json!({ "assignedBranchKey": key });
    for (caller, id, members, expected) in [
        (&one, "a", json!({}), Ok(json!(["north", null]))),
        (&one, "b", branch("north"), Ok(json!(["north", null]))),
        (&one, "x", branch("south"), Err(at("assignedBranchKey"))),
        (
            &one,
            "x",
            json!({ "assignedBranchKey": null }),
            Err(at("assignedBranchKey")),
        ),
        (&two, "x", json!({}), Err(at("assignedBranchKey"))),
        (&two, "c", branch("west"), Ok(json!(["west", null]))),
        (&both, "d", json!({}), Ok(json!(["north", "c1"]))),
        (
            &both,
            "x",
            json!({ "assignedCentreKey": "c2" }),
            Err(at("assignedCentreKey")),
        ),
        (&none, "x", json!({}), Err(at("assignedBranchKey"))),
        (&none, "x", branch("north"), Err(at("assignedBranchKey"))),
    ] {
        let before = server.snapshot().await;
        let answer = upsert(caller, client(id, members.clone())).await;
        let problems = problems(&answer, "upsertClient");
        match expected {
            Ok(places) => {
                assert_eq!(problems, json!([]), "{members}");
                assert_eq!(json!(places_of(server, id).await), places, "{members}");
            }
            Err(expected) => {
                assert_eq!(problems, expected, "{members}");
                assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
            }
        }
    }
    // Moving: within the own branches only.
    for (caller, members, expected) in [
        (&one, branch("south"), at("assignedBranchKey")),
        (&one, json!({ "assignedBranchKey": null }), at("assignedBranchKey")),
        (&one, json!({ "notes": "n", "assignedCentreKey": "c9" }), json!([])),
        (&two, branch("west"), json!([])),
        (
            &two,
            json!({ "notes": "m", "firstName": null }),
            json!([["BLANK", ["input", "client", "firstName"]]]),
        ),
    ] {
        let input = json!({ "matchOn": "CLIENT_ID", "client": crate::harness::with(json!({ "clientId": "a" }),
            members.clone()) });
        let answer = upsert(caller, input).await;
        assert_eq!(
            problems(&answer, "upsertClient"),
            expected,
            "{members}: {}",
            answer.text
        );
    }
}

async fn legacy_client_must_stay_within_its_writers_branches(server: &TestServer) {
    let caller = server.as_caller(&in_branches(&["north"]));
    let body = |members: Value| {
        let client = json!({ "firstName": "Amara", "lastName": "Bellweather" });
        json!({ "client": crate::harness::with(client, members) })
    };
    let refused = json!({ "returnCode": 15, "returnStatus": "INVALID_PERMISSIONS",
        "errorSource": format!("client.assignedBranchKey: {ONE_OF_THEIRS}") });
    let created = caller.post("/api/clients", body(json!({ "id": "own" }))).await;
    assert_eq!(created.body["client"]["assignedBranchKey"], "north", "{}", created.text);
    for (method, path, body) in [
        (
            Method::POST,
            "/api/clients",
            body(json!({ "assignedBranchKey": "south" })),
        ),
        (Method::POST, "/api/clients", body(json!({ "assignedBranchKey": "" }))),
        (
            Method::POST,
            "/api/clients/own",
            json!({ "client": { "assignedBranchKey": "south" } }),
        ),
        (
            Method::PATCH,
            "/api/clients/own",
            json!({ "client": { "assignedBranchKey": "south" } }),
        ),
    ] {
        let before = server.snapshot().await;
        caller.send_json(method, path, body).await.is(403, refused.clone());
        assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
    }
    // The first problem in the order of the contract is answered.
    let role = json!({ "assignedBranchKey": "south", "clientRole": { "encodedKey": "absent" } });
    let answer = caller.post("/api/clients", body(role)).await;
    assert_eq!(answer.body["returnCode"], 306, "{}", answer.text);
    let document = json!({ "client": { "firstName": "A", "lastName": "B", "assignedBranchKey": "south" },
        "idDocuments": [{}] });
    caller.post("/api/clients", document).await.is(403, refused);
}

async fn taken_ids_and_values_stay_taken_without_naming_the_client(server: &TestServer) {
    let fields = json!([{ "fieldId": "pass", "name": "Pass", "type": "TEXT", "unique": true }]);
    define(server, "facts", fields).await;
    let mut hidden = client("hidden", json!({ "assignedBranchKey": "south", "firstName": "Hilda" }));
    hidden["customInformation"] = json!([{ "fieldId": "pass", "value": "P-1" }]);
    store(server, hidden, "clientId").await;
    let caller = server.as_caller(&in_branches(&["north"]));
    let named = json!({ "firstName": "Amara", "lastName": "Bellweather" });
    let value = json!([{ "fieldId": "pass", "value": "P-1" }]);
    let by_value = json!({ "fieldId": "pass", "value": "P-1" });
    let before = server.snapshot().await;
    for (input, path) in [
        (client("hidden", json!({})), json!(["input", "client", "clientId"])),
        (
            json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "hidden", "firstName": "A", "lastName": "B" } }),
            json!(["input", "client", "clientId"]),
        ),
        (
            json!({ "client": named, "customInformation": value }),
            json!(["input", "customInformation", "0", "value"]),
        ),
        (
            json!({ "matchOn": "CUSTOM_FIELD", "matchCustomField": by_value, "client": named }),
            json!(["input", "matchCustomField", "value"]),
        ),
    ] {
        let answer = upsert(&caller, input.clone()).await;
        assert_eq!(problems(&answer, "upsertClient"), json!([["TAKEN", path]]), "{input}");
        assert!(!answer.text.contains("Hilda"), "{}", answer.text);
        let many = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { results { userErrors { \
            code } } } }";
        let answer = caller.graphql(many, json!({ "input": { "clients": [input] } })).await;
        answer.data(json!({ "upsertClients": { "results": [{ "userErrors": [{ "code": "TAKEN" }] }] } }));
    }
    let body = json!({ "client": { "id": "hidden", "firstName": "Amara", "lastName": "Bellweather" } });
    assert_eq!(caller.post("/api/clients", body).await.body["returnCode"], 316);
    let body = json!({ "client": named, "customInformation": [{ "customFieldID": "pass", "value": "P-1" }] });
    assert_eq!(caller.post("/api/clients", body).await.body["returnCode"], 926);
    assert_eq!(server.snapshot().await, before);
}

async fn deletion_does_not_name_links_of_other_branches(server: &TestServer) {
    let fields = json!([{ "fieldId": "friend", "name": "Friend", "type": "CLIENT_LINK" }]);
    define(server, "facts", fields).await;
    let known = store(
        server,
        client("known", json!({ "assignedBranchKey": "north" })),
        "encodedKey",
    )
    .await;
    let links = json!([{ "fieldId": "friend", "linkedKey": known["encodedKey"] }]);
    let link = async |id: &str, branch: &str| {
        let input = client(id, json!({ "assignedBranchKey": branch }));
        store(
            server,
            crate::harness::with(input, json!({ "customInformation": links })),
            "clientId",
        )
        .await;
    };
    let caller = server.as_caller(&in_branches(&["north"]));
    let delete = "mutation { deleteClient(input: { by: { clientId: \"known\" } }) {
        userErrors { code clientIds clientCount } } }";
    let refused = |ids: &[&str]| {
        let count = Some(ids.len()).filter(|count| *count > 0);
        let error = json!({ "code": "STILL_LINKED", "clientIds": ids, "clientCount": count });
        json!({ "deleteClient": { "userErrors": [error] } })
    };
    link("hidden", "south").await;
    let answer = caller.graphql(delete, json!({})).await;
    answer.data(refused(&[]));
    let answer = caller.send(caller.request(Method::DELETE, "/api/clients/known")).await;
    assert!(!answer.text.contains("hidden"), "{}", answer.text);
    link("shown", "north").await;
    caller.graphql(delete, json!({})).await.data(refused(&["shown"]));
    server
        .graphql(delete, json!({}))
        .await
        .data(refused(&["hidden", "shown"]));
}

async fn merge_of_a_client_with_links_of_other_branches_is_forbidden(server: &TestServer) {
    let friend = json!([{ "fieldId": "friend", "name": "Friend", "type": "CLIENT_LINK" }]);
    define(server, "facts", friend).await;
    for id in ["from", "into"] {
        store(server, client(id, json!({ "assignedBranchKey": "north" })), "version").await;
    }
    let from = data(
        server,
        "{ client(by: { clientId: \"from\" }) { encodedKey } }",
        json!({}),
    )
    .await;
    let mut hidden = client("hidden", json!({ "assignedBranchKey": "south" }));
    hidden["customInformation"] = json!([{ "fieldId": "friend", "linkedKey": from["client"]["encodedKey"] }]);
    store(server, hidden, "version").await;
    let merge = "mutation { mergeClients(input: { from: { clientId: \"from\" }, into: { clientId: \"into\" } }) { \
        redirectedLinks userErrors { code path } } }";
    let before = server.snapshot().await;
    let answer = server
        .as_caller(&in_branches(&["north"]))
        .graphql(merge, json!({}))
        .await;
    answer.data(json!({ "mergeClients": { "redirectedLinks": 0,
        "userErrors": [{ "code": "FORBIDDEN", "path": ["input", "from"] }] } }));
    assert_eq!(server.snapshot().await, before);
    let both = server.as_caller(&in_branches(&["north", "south"]));
    let answer = both.graphql(merge, json!({})).await;
    answer.data(json!({ "mergeClients": { "redirectedLinks": 1, "userErrors": [] } }));
}

async fn duplicates_of_other_branches_are_not_named(server: &TestServer) {
    let email = |key: &str| json!({ "emailAddress": "a@example.test", "assignedBranchKey": key });
    store(server, client("hidden", email("south")), "version").await;
    let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { \
        warnings { code path clientCount clientIds } userErrors { code path clientCount clientIds } } }";
    for (level, own) in [(CheckLevel::Error, "userErrors"), (CheckLevel::Warning, "warnings")] {
        let server = checking(
            server,
            DuplicateChecks {
                email_address: level,
                ..DuplicateChecks::default()
            },
        )
        .await;
        let upsert = async |rights: &Rights, id: &str| {
            let mut input = client(id, email("north"));
            input["validateOnly"] = json!(true);
            let caller = server.as_caller(rights);
            data(&caller, query, json!({ "input": input })).await["upsertClient"].clone()
        };
        let problem = |count: usize, ids: &[&str]| {
            json!([{ "code": "DUPLICATE_CLIENT",
            "path": ["input", "client", "emailAddress"], "clientCount": count, "clientIds": ids }])
        };
        let mut expected = json!({ "warnings": [], "userErrors": [] });
        if level == CheckLevel::Error {
            expected[own] = problem(0, &[]);
        }
        assert_eq!(upsert(&in_branches(&["north"]), "a").await, expected);
        expected[own] = problem(1, &["hidden"]);
        assert_eq!(upsert(&in_branches(&["north", "south"]), "a").await, expected);
        server.stop().await;
    }
}

async fn outcome_of_a_client_that_moved_away_is_not_replayed(server: &TestServer) {
    let caller = server.as_caller(&in_branches(&["north"]));
    let keyed = |id: &str| crate::harness::with(client(id, json!({})), json!({ "idempotencyKey": id }));
    for id in ["moved", "deleted", "stays"] {
        assert_eq!(problems(&upsert(&caller, keyed(id)).await, "upsertClient"), json!([]));
    }
    let south = json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "moved", "assignedBranchKey": "south" } });
    store(server, south, "clientId").await;
    let delete = "mutation { deleteClient(input: { by: { clientId: \"deleted\" } }) { userErrors { code } } }";
    data(server, delete, json!({})).await;
    let erased = json!([["OUTCOME_ERASED", ["input", "idempotencyKey"]]]);
    for (id, expected) in [("moved", erased), ("deleted", json!([])), ("stays", json!([]))] {
        let answer = upsert(&caller, keyed(id)).await;
        assert_eq!(problems(&answer, "upsertClient"), expected, "{id}");
        let is_shown = !answer.body["data"]["upsertClient"]["client"].is_null();
        assert_eq!(is_shown, id != "moved", "{}", answer.text);
    }
}

/// The branch is checked on the locked row: once a client has moved away, no change of a limited caller follows.
async fn moved_client_is_not_changed_afterwards(server: &TestServer) {
    let caller = server.as_caller(&in_branches(&["north"]));
    for round in 0..12 {
        let id = format!("raced{round}");
        store(server, client(&id, json!({ "assignedBranchKey": "north" })), "clientId").await;
        let change = |members: Value| {
            let client = crate::harness::with(json!({ "clientId": id }), members);
            json!({ "matchOn": "CLIENT_ID", "client": client })
        };
        let moved = upsert(server, change(json!({ "assignedBranchKey": "south" })));
        let edits = (0..3).map(|n| upsert(&caller, change(json!({ "notes": format!("n{n}") }))));
        let (moved, edits) = tokio::join!(moved, futures_util::future::join_all(edits));
        assert_eq!(problems(&moved, "upsertClient"), json!([]));
        let done = edits
            .iter()
            .filter(|answer| problems(answer, "upsertClient") == json!([]));
        let done = done.count();
        let query = "query($id: String!) { client(by: { clientId: $id }) { version history { nodes { changes { path } \
            } } } }";
        let found = data(server, query, json!({ "id": id })).await;
        assert_eq!(found["client"]["version"], 2 + done, "{found}");
        let last = &found["client"]["history"]["nodes"][0]["changes"];
        assert_eq!(*last, json!([{ "path": ["assignedBranchKey"] }]), "{round}");
    }
}

async fn definitions_are_closed_to_limited_callers(server: &TestServer) {
    let message = "Definitions apply to all clients: you can't change them while your rights are limited to branches \
                   or centres.";
    let error = json!([{ "code": "FORBIDDEN", "message": message, "path": ["input"] }]);
    for (rights, expected) in [
        (in_branches(&["north"]), Some(&error)),
        (
            Rights {
                centres: Limit::To(BTreeSet::new()),
                ..Rights::all()
            },
            Some(&error),
        ),
        (Rights::all(), None),
    ] {
        let caller = server.as_caller(&rights);
        for (field, input) in [
            ("upsertCustomFieldSet", "{ set: { setId: \"s\", name: \"S\" } }"),
            ("upsertClientRole", "{ roleId: \"r\", name: \"R\" }"),
            ("upsertIdDocumentTemplate", "{ templateId: \"t\", documentType: \"P\" }"),
            (
                "upsertMessageTemplate",
                "{ templateId: \"m\", name: \"M\", event: CLIENT_CREATED, channel: SMS, \
                variants: [{ language: ENGLISH, text: \"T\" }] }",
            ),
            ("deleteMessageTemplate", "{ templateId: \"m\" }"),
        ] {
            let before = server.snapshot().await;
            let document = format!("mutation {{ {field}(input: {input}) {{ userErrors {{ code message path }} }} }}");
            let answer = caller.graphql(&document, json!({})).await;
            let errors = expected.cloned().unwrap_or(json!([]));
            answer.data(json!({ field: { "userErrors": errors } }));
            assert_eq!(server.snapshot().await == before, expected.is_some(), "{field}");
        }
    }
    // Reading them needs no right to clients.
    let caller = server.as_caller(&in_branches(&[]));
    let sets = data(&caller, "{ customFieldSets { setId } }", json!({})).await;
    assert_eq!(sets, json!({ "customFieldSets": [{ "setId": "s" }] }));
}

async fn limited_lists_need_no_more_statements(server: &TestServer) {
    for branch in ["north", "south", "north", "west"] {
        let input = json!({ "client": { "firstName": "A", "lastName": "B", "assignedBranchKey": branch } });
        store(server, input, "clientId").await;
    }
    let query = "{ clients { totalCount nodes { clientId messages { totalCount } } } messages { totalCount } \
        auditLog { totalCount } }";
    let all = data(server, query, json!({})).await;
    assert_eq!(all["clients"]["totalCount"], 4);
    // The two records that begin the log count all clients.
    assert_eq!(all["auditLog"]["totalCount"], 6);
    let mut counts = BTreeSet::new();
    for (rights, clients) in [
        (in_branches(&["north"]), 2),
        (in_branches(&["north", "south"]), 3),
        (in_branches(&[]), 0),
        (places(&["north"], &["c1"]), 0),
    ] {
        let caller = server.as_caller(&rights);
        caller.graphql(query, json!({})).await;
        server.statements();
        let found = caller.graphql(query, json!({})).await;
        assert_eq!(found.body["data"]["clients"]["totalCount"], clients, "{}", found.text);
        assert_eq!(found.body["data"]["auditLog"]["totalCount"], clients, "{}", found.text);
        let statements = server.statements().len();
        // Without clients, there is nothing around them to load.
        counts.insert(statements + usize::from(clients == 0));
    }
    assert_eq!(counts.len(), 1, "{counts:?}");
    let without = server.as_caller(&Rights {
        permissions: Rights::of([Permission::Audit]).permissions,
        ..in_branches(&["north"])
    });
    let found = data(&without, "{ auditLog { totalCount } }", json!({})).await;
    assert_eq!(found, json!({ "auditLog": { "totalCount": 2 } }));
}

/// With more than 1,000 clients, the rows of a list are checked one by one.
async fn limits_hold_for_many_clients(server: &TestServer) {
    // Also defines a custom field set.
    server.seed(1_001).await;
    let north = "UPDATE client SET assigned_branch_key = 'north', assigned_centre_key = 'c1'";
    server.write(north).await.expect("written");
    let template = json!({ "templateId": "hello", "name": "Hello", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "variants": [{ "language": "ENGLISH", "subject": "S", "text": "T" }] });
    define_template(server, template).await;
    for (id, branch) in [("shown", "north"), ("hidden", "south")] {
        let members =
            json!({ "assignedBranchKey": branch, "assignedCentreKey": "c1", "emailAddress": "a@example.test" });
        store(server, client(id, members), "clientId").await;
    }
    let query = "{ clients(last: 1) { totalCount nodes { clientId } }
        messages { totalCount nodes { client { clientId } } } auditLog { totalCount nodes { subject } } }";
    for rights in [
        in_branches(&["north"]),
        in_branches(&["north", "west"]),
        places(&["north"], &["c1"]),
    ] {
        let caller = server.as_caller(&rights);
        let found = caller.graphql(query, json!({})).await;
        found.data(json!({
            "clients": { "totalCount": 1_002, "nodes": [{ "clientId": "shown" }] },
            "messages": { "totalCount": 1, "nodes": [{ "client": { "clientId": "shown" } }] },
            "auditLog": { "totalCount": 3, "nodes": [{ "subject": "CLIENT" }, { "subject": "MESSAGE_TEMPLATE" },
                { "subject": "CUSTOM_FIELD_SET" }] },
        }));
        let south = json!({ "filterConstraints": [{ "filterSelection": "BRANCH_KEY", "filterElement": "EQUALS",
            "value": "south" }] });
        caller.post("/api/clients/search", south).await.is(200, json!([]));
    }
}
