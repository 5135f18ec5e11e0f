//! The contents of the feed: kinds, versions, members, filters.

use clientele::caller::{Permission, Rights};
use serde_json::{Value, json};

use super::{CHANGES, create, end, kinds, page};
use crate::{
    audit::erase,
    harness::{
        TestServer, field,
        graphql::{data, store, store_key},
    },
};
use clientele::definitions::Kind;

on_both!(
    each_change_of_a_client_is_an_event,
    event_shows_what_the_caller_may_see,
    filters_leave_out_other_changes,
    wrong_arguments_are_refused,
    statements_do_not_depend_on_the_changes,
    versions_before_the_first_record_count,
    filtered_page_examines_a_thousand_changes,
    unreadable_record_does_not_stop_the_feed,
);

async fn each_change_of_a_client_is_an_event(server: &TestServer) {
    let key = store_key(
        server,
        json!({ "client": { "clientId": "a", "firstName": "Amara", "lastName": "Diaz" } }),
    )
    .await;
    let into = store_key(
        server,
        json!({ "client": { "clientId": "b", "firstName": "Bela", "lastName": "Diaz" } }),
    )
    .await;
    let changed = json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "a", "notes": "n" },
        "addresses": [{ "line1": "1 Test Lane" }] });
    store(server, changed.clone(), "version").await;
    // Changes nothing.
    store(
        server,
        json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "a", "notes": "n" } }),
        "version",
    )
    .await;
    for document in [
        "mutation { changeClientState(input: { by: { clientId: \"a\" }, state: PENDING_APPROVAL }) { userErrors { code } } }",
        "mutation { changeClientState(input: { by: { clientId: \"a\" }, state: INACTIVE }) { userErrors { code } } }",
        "mutation { mergeClients(input: { from: { clientId: \"a\" }, into: { clientId: \"b\" } }) { userErrors { code } } }",
        "mutation { deleteClient(input: { by: { clientId: \"b\" } }) { userErrors { code } } }",
    ] {
        let data = data(server, document, json!({})).await;
        let (_, payload) = data.as_object().and_then(|data| data.iter().next()).expect("a payload");
        assert_eq!(payload["userErrors"], json!([]), "{document}");
    }
    let before = page(server, json!({ "filter": { "clientKeys": [key] } })).await;
    // The deletion of the other client changes what this one refers to.
    let (states, merged) = (["STATE_CHANGED 3", "STATE_CHANGED 4"], ["MERGED 5", "CHANGED 6"]);
    assert_eq!(kinds(&before), [["CREATED 1", "CHANGED 2"], states, merged].concat());
    erase(&server.services, &key).await;
    let page = page(server, json!({})).await;
    let of = |wanted: &str| -> Vec<&Value> {
        let nodes = page["nodes"].as_array().expect("a list").iter();
        nodes.filter(|node| node["clientKey"] == wanted).collect()
    };
    let kinds_of = |key: &str| -> Vec<(String, i64)> {
        let of = of(key).into_iter();
        of.map(|node| {
            (
                node["kind"].as_str().expect("a kind").to_owned(),
                node["version"].as_i64().expect("a number"),
            )
        })
        .collect()
    };
    let expected = |kinds: &[&str]| -> Vec<(String, i64)> {
        (1..).zip(kinds).map(|(at, kind)| ((*kind).to_owned(), at)).collect()
    };
    // The contents of the erased client's records are gone, and with them what was changed.
    let [changed, erased] = [["CHANGED"; 5].as_slice(), &["ERASED"]];
    assert_eq!(kinds_of(&key), expected(&[&["CREATED"], changed, erased].concat()));
    assert_eq!(kinds_of(&into), expected(&["CREATED", "CHANGED", "DELETED"]));
    assert_eq!(of(&into)[1]["members"], json!([{ "path": ["mergedFrom"] }]));
    assert_eq!(page["hasMore"], false);
    assert_eq!(page["position"], end(server).await);
}

async fn event_shows_what_the_caller_may_see(server: &TestServer) {
    server.define(vec![field("colour", Kind::Text)]).await;
    store_key(
        server,
        json!({ "client": { "clientId": "a", "firstName": "Amara", "lastName": "Diaz" },
            "customInformation": [{ "fieldId": "colour", "value": "red" }] }),
    )
    .await;
    let changed = json!({ "matchOn": "CLIENT_ID", "client": { "clientId": "a", "lastName": "Bell" } });
    store(server, changed, "version").await;
    let document = "{ clientChanges { nodes { version client { lastName version } members { path }
        caller { kind }
        record { action requestId changes { path before after } } } } }";
    let viewer = Rights {
        view_sets: clientele::caller::Sets::These(Default::default()),
        edit_sets: clientele::caller::Sets::These(Default::default()),
        ..Rights::of([Permission::ViewClient])
    };
    server.wait_for_changes().await;
    let answer = server.as_caller(&viewer).graphql(document, json!({})).await;
    let nodes = &answer.body["data"]["clientChanges"]["nodes"];
    assert_eq!(
        nodes[0]["client"],
        json!({ "lastName": "Bell", "version": 2 }),
        "{}",
        answer.text
    );
    assert!(!nodes[0]["members"].to_string().contains("colour"), "{}", answer.text);
    assert_eq!(nodes[1]["members"], json!([{ "path": ["lastName"] }]));
    assert!(nodes[1]["caller"]["kind"].is_string(), "{}", answer.text);
    assert_eq!([&nodes[0]["record"], &nodes[1]["record"]], [&Value::Null; 2]);
    assert_eq!(answer.body["errors"][0]["extensions"]["code"], "FORBIDDEN");
    let all = data(server, document, json!({})).await;
    let nodes = &all["clientChanges"]["nodes"];
    assert!(nodes[0]["members"].to_string().contains("colour"), "{all:#}");
    assert_eq!(
        nodes[1]["record"]["changes"],
        json!([{ "path": ["lastName"], "before": "Diaz", "after": "Bell" }])
    );
    let auditor = server.as_caller(&Rights::of([Permission::Audit]));
    let refused = auditor.graphql(document, json!({})).await;
    assert_eq!(refused.body["data"], json!({ "clientChanges": null }));
}

async fn filters_leave_out_other_changes(server: &TestServer) {
    let key = store_key(
        server,
        json!({ "client": { "clientId": "a", "firstName": "Amara", "lastName": "Diaz" } }),
    )
    .await;
    store_key(
        server,
        json!({ "client": { "clientId": "b", "firstName": "Bela", "lastName": "Diaz" } }),
    )
    .await;
    for (id, member) in [("a", "notes"), ("b", "notes"), ("a", "lastName")] {
        let client = json!({ "clientId": id, member: "Bell" });
        store(server, json!({ "matchOn": "CLIENT_ID", "client": client }), "version").await;
    }
    let last = page(server, json!({})).await["position"].take();
    for (filter, expected) in [
        (
            json!({ "clientKeys": [key] }),
            &["CREATED 1", "CHANGED 2", "CHANGED 3"][..],
        ),
        (json!({ "clientKeys": ["none"] }), &[]),
        (json!({ "kinds": ["CREATED"] }), &["CREATED 1", "CREATED 1"]),
        (json!({ "kinds": [] }), &[]),
        (json!({ "members": ["notes"] }), &["CHANGED 2", "CHANGED 2"]),
        (
            json!({ "members": ["notes", "lastName"], "kinds": ["CHANGED"] }),
            &["CHANGED 2", "CHANGED 2", "CHANGED 3"],
        ),
        (json!({ "assignedBranchKey": "north" }), &[]),
    ] {
        let found = page(server, json!({ "filter": filter })).await;
        assert_eq!(kinds(&found), expected, "{filter}");
        // The position is after all changes that were examined.
        assert_eq!(
            (&found["position"], &found["hasMore"]),
            (&last, &json!(false)),
            "{filter}"
        );
    }
    let found = page(server, json!({ "filter": { "members": ["notes"] }, "first": 1 })).await;
    assert_eq!(
        (kinds(&found), &found["hasMore"]),
        (vec!["CHANGED 2".to_owned()], &json!(true))
    );
}

async fn wrong_arguments_are_refused(server: &TestServer) {
    let keys: Vec<String> = (0..501).map(|key| key.to_string()).collect();
    for (variables, code, path) in [
        (json!({ "first": -1 }), "BAD_USER_INPUT", json!(["first"])),
        (json!({ "first": 1001 }), "BAD_USER_INPUT", json!(["first"])),
        (json!({ "after": "" }), "BAD_USER_INPUT", json!(["after"])),
        (
            json!({ "filter": { "clientKeys": keys } }),
            "BAD_USER_INPUT",
            json!(["filter", "clientKeys"]),
        ),
        (
            json!({ "filter": { "members": ["version"] } }),
            "BAD_USER_INPUT",
            json!(["filter", "members"]),
        ),
    ] {
        let answer = server.graphql(CHANGES, variables.clone()).await;
        let extensions = &answer.body["errors"][0]["extensions"];
        assert_eq!(
            (&extensions["code"], &extensions["path"]),
            (&json!(code), &path),
            "{variables}: {}",
            answer.text
        );
        assert_eq!(answer.body["data"], json!({ "clientChanges": null }), "{}", answer.text);
    }
}

async fn statements_do_not_depend_on_the_changes(server: &TestServer) {
    for count in [1, 30] {
        for number in 0..count {
            let client = json!({ "clientId": format!("c{count}-{number}"), "firstName": "Amara", "lastName": "Diaz" });
            store_key(server, json!({ "client": client })).await;
        }
        server.wait_for_changes().await;
        server.statements();
        for (query, statements) in [
            (
                "{ clientChanges(after: \"0.0.\") { nodes { kind version members { path } } position } }",
                1,
            ),
            (
                "{ clientChanges(after: \"0.0.\") { nodes { client { lastName addresses { city } } } } }",
                2,
            ),
            ("{ clientChanges { nodes { kind } } }", 1),
            ("{ clientChanges(after: \"0.0.\") { end } }", 2),
        ] {
            data(server, query, json!({})).await;
            let ran = server.statements();
            assert_eq!(ran.len(), statements, "{query}: {ran:#?}");
        }
    }
}

async fn versions_before_the_first_record_count(server: &TestServer) {
    server.seed(1).await;
    let row = server
        .services
        .db
        .read()
        .one("SELECT encoded_key FROM client", [])
        .await;
    let key: String = row.expect("rows").expect("a row").try_get_by_index(0).expect("a text");
    let input = json!({ "client": { "encodedKey": key, "notes": "n" } });
    store(server, input, "version").await;
    let delete = "mutation($by: ClientBy!) { deleteClient(input: { by: $by }) { userErrors { code } } }";
    data(server, delete, json!({ "by": { "encodedKey": key } })).await;
    assert_eq!(kinds(&page(server, json!({})).await), ["CHANGED 2", "DELETED 3"]);
    erase(&server.services, &key).await;
    assert_eq!(
        kinds(&page(server, json!({})).await),
        ["CHANGED 2", "DELETED 3", "ERASED 4"]
    );
}

async fn filtered_page_examines_a_thousand_changes(server: &TestServer) {
    let key = create(server, "a").await;
    let records = format!(
        "INSERT INTO audit_record (chain, position, recorded_at, caller_kind, caller_id, caller_name, door, request_id, \
         subject, subject_key, action, contents, salt, digest, hmac, key_id) \
         WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 1501) \
         SELECT chain, i, recorded_at, caller_kind, caller_id, caller_name, door, request_id, subject, subject_key, \
         'CHANGED', '[]', salt, digest, hmac, key_id FROM n, audit_record WHERE chain = '{key}' AND position = 1"
    );
    server.write(&records).await.expect("written");
    create(server, "b").await;
    let filter = json!({ "kinds": ["CREATED"] });
    let first = page(server, json!({ "filter": filter, "first": 2 })).await;
    assert_eq!(
        (kinds(&first), &first["hasMore"]),
        (vec!["CREATED 1".to_owned()], &json!(true))
    );
    let second = page(
        server,
        json!({ "filter": filter, "first": 2, "after": first["position"] }),
    )
    .await;
    assert_eq!(
        (kinds(&second), &second["hasMore"]),
        (vec!["CREATED 1".to_owned()], &json!(false))
    );
    assert_eq!(second["position"], end(server).await);
}

async fn unreadable_record_does_not_stop_the_feed(server: &TestServer) {
    let key = create(server, "a").await;
    create(server, "b").await;
    let damage = format!("UPDATE audit_record SET contents = '{{', door = 'LATER' WHERE chain = '{key}'");
    server.write(&damage).await.expect("written");
    let found = page(server, json!({})).await;
    assert_eq!(kinds(&found), ["CREATED 1", "CREATED 1"]);
    assert_eq!(found["nodes"][0]["members"], json!([]));
}
