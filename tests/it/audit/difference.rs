//! `clientDifference`: what differs between two versions, and a client as of a version.

use clientele::caller::{Permission, Rights, Sets};
use serde_json::{Value, json};

use super::long::{add_records, quarter_mib};
use crate::harness::{
    TestServer,
    graphql::{define, store, store_key},
};

const DIFFERENCE: &str = "query($key: String!, $from: Int! = 0, $to: Int!) { clientDifference( \
    by: { encodedKey: $key }, from: $from, to: $to) { from to changes { path before after masked } } }";

async fn ask(server: &TestServer, key: &str, from: i32, to: i32) -> Value {
    let variables = json!({ "key": key, "from": from, "to": to });
    let answer = server.graphql(DIFFERENCE, variables).await;
    serde_json::from_str(&answer.text).expect("JSON")
}

/// The path, the value before and the value after of each change.
fn changes(answer: &Value) -> Vec<(String, Value, Value)> {
    let changes = answer["data"]["clientDifference"]["changes"].as_array();
    let change = |change: &Value| {
        let path = change["path"]
            .as_array()
            .expect("a path")
            .iter()
            .filter_map(Value::as_str);
        (
            path.collect::<Vec<_>>().join("."),
            change["before"].clone(),
            change["after"].clone(),
        )
    };
    changes
        .unwrap_or_else(|| panic!("{answer:#}"))
        .iter()
        .map(change)
        .collect()
}

/// Four versions of a client: the last one has the middle name of the second again.
async fn four_versions(server: &TestServer) -> String {
    define(
        server,
        "facts",
        json!([{ "fieldId": "nick", "name": "Nick", "type": "TEXT" }]),
    )
    .await;
    let key = store_key(server, json!({ "client": { "firstName": "F1", "lastName": "L" } })).await;
    for (middle, nick) in [("M2", "a"), ("M3", "b"), ("M2", "c")] {
        let input = json!({ "client": { "encodedKey": key, "middleName": middle },
            "customInformation": [{ "fieldId": "nick", "value": nick }] });
        store(server, input, "version").await;
    }
    key
}

on_both!(
    difference_joins_the_changes_between_two_versions,
    difference_from_zero_is_the_client_as_of_a_version,
    difference_masks_what_history_masks,
    versions_that_the_history_lacks_are_refused,
    versions_long_ago_are_compared,
    changes_of_more_than_64_mib_are_refused,
);

async fn difference_joins_the_changes_between_two_versions(server: &TestServer) {
    let key = four_versions(server).await;
    let nick = "customInformation.nick.value".to_owned();
    let middle = "middleName".to_owned();
    let answer = ask(server, &key, 2, 3).await;
    assert_eq!(
        changes(&answer),
        [
            (nick.clone(), json!("a"), json!("b")),
            (middle.clone(), json!("M2"), json!("M3"))
        ]
    );
    assert_eq!(
        changes(&ask(server, &key, 2, 4).await),
        [(nick, json!("a"), json!("c"))]
    );
    assert_eq!(changes(&ask(server, &key, 4, 4).await), []);
    let first = ask(server, &key, 1, 2).await;
    assert!(
        changes(&first).contains(&(middle, Value::Null, json!("M2"))),
        "{first:#}"
    );
    // The reason belongs to the record of the change.
    let mutation = "mutation($key: String!) { changeClientState(input: { by: { encodedKey: $key }, state: ACTIVE, \
                    reason: \"met\" }) { userErrors { code } } }";
    let changed = server.graphql(mutation, json!({ "key": key })).await;
    changed.data(json!({ "changeClientState": { "userErrors": [] } }));
    let changed = changes(&ask(server, &key, 4, 5).await);
    let paths: Vec<&str> = changed.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(paths, ["activatedAt", "state"]);
}

async fn difference_from_zero_is_the_client_as_of_a_version(server: &TestServer) {
    let key = four_versions(server).await;
    for (version, middle) in [(1, None), (2, Some("M2")), (3, Some("M3")), (4, Some("M2"))] {
        let answer = ask(server, &key, 0, version).await;
        let found = changes(&answer);
        let value = |name: &str| {
            found
                .iter()
                .find(|(path, ..)| path == name)
                .map(|(_, before, after)| (before, after))
        };
        assert_eq!(value("firstName"), Some((&Value::Null, &json!("F1"))), "{answer:#}");
        assert_eq!(
            value("middleName").map(|(_, after)| after.clone()),
            middle.map(|middle| json!(middle))
        );
    }
    let unknown = ask(server, "nothing", 0, 1).await;
    assert_eq!(unknown, json!({ "data": { "clientDifference": null } }));
}

async fn difference_masks_what_history_masks(server: &TestServer) {
    let key = four_versions(server).await;
    let mut rights = Rights::of([Permission::Audit, Permission::ViewClient]);
    (rights.view_sets, rights.edit_sets) = (Sets::These(Default::default()), Sets::These(Default::default()));
    let answer = ask(&server.as_caller(&rights), &key, 2, 4).await;
    let changes = &answer["data"]["clientDifference"]["changes"];
    let path = json!(["customInformation", "nick", "value"]);
    assert_eq!(
        *changes,
        json!([{ "path": path, "before": null, "after": null, "masked": true }]),
        "{answer:#}"
    );
}

async fn versions_that_the_history_lacks_are_refused(server: &TestServer) {
    let key = four_versions(server).await;
    server.seed(1).await;
    let seeded = "01900000000070008000000000000000";
    store(
        server,
        json!({ "client": { "encodedKey": seeded, "mobilePhone2": "n" } }),
        "version",
    )
    .await;
    for (key, from, to, message) in [
        (&*key, -1, 1, "`from`: It must be from 0 to the other version."),
        (&*key, 3, 2, "`from`: It must be from 0 to the other version."),
        (&*key, 3, 5, "`to`: The client has no such version yet."),
        (seeded, 0, 1, "`from`: The client's history doesn't reach back to it."),
    ] {
        let answer = ask(server, key, from, to).await;
        let error = &answer["errors"][0];
        assert_eq!(
            (&error["message"], &error["extensions"]["code"]),
            (&json!(message), &json!("BAD_USER_INPUT"))
        );
    }
    assert_eq!(
        changes(&ask(server, seeded, 1, 2).await),
        [("mobilePhone2".to_owned(), Value::Null, json!("n"))]
    );
    let erased = "UPDATE audit_record SET contents = NULL, salt = NULL WHERE position = 2";
    server.write(erased).await.expect("it is erased");
    let answer = ask(server, &key, 1, 4).await;
    let message = "`from`: Contents of the client's history that it depends on have been erased.";
    assert_eq!(answer["errors"][0]["message"], message, "{answer:#}");
    assert_eq!(changes(&ask(server, &key, 2, 4).await).len(), 1);
}

async fn versions_long_ago_are_compared(server: &TestServer) {
    let key = store_key(server, json!({ "client": { "firstName": "F", "lastName": "L" } })).await;
    add_records(server, &key, 10_099, "").await;
    let notes = |before: &str, after: &str| ("notes".to_owned(), json!(before), json!(after));
    assert_eq!(changes(&ask(server, &key, 5, 6).await), [notes("5", "6")]);
    assert_eq!(changes(&ask(server, &key, 100, 10_100).await), [notes("100", "10100")]);
    let as_of = changes(&ask(server, &key, 0, 10_000).await);
    assert!(
        as_of.iter().any(|(path, _, after)| path == "notes" && after == "10000"),
        "{as_of:?}"
    );
    let message =
        "`from`: Reading these versions needs more than 10,000 audit records. Choose versions closer together.";
    for (from, to) in [(0, 10_001), (99, 10_100)] {
        let answer = ask(server, &key, from, to).await;
        let error = &answer["errors"][0];
        assert_eq!(
            (&error["message"], &error["extensions"]["code"]),
            (&json!(message), &json!("BAD_USER_INPUT"))
        );
    }
}

async fn changes_of_more_than_64_mib_are_refused(server: &TestServer) {
    let key = store_key(server, json!({ "client": { "firstName": "F", "lastName": "L" } })).await;
    let large = quarter_mib(server.backend);
    add_records(
        server,
        &key,
        299,
        &format!("CASE WHEN n.p < 300 THEN {large} ELSE 'y' END"),
    )
    .await;
    assert_eq!(changes(&ask(server, &key, 43, 299).await), []);
    let message =
        "`from`: Reading these versions needs more than 64 MiB of audit records. Choose versions closer together.";
    assert_eq!(ask(server, &key, 43, 300).await["errors"][0]["message"], message);
}
