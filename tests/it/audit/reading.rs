//! Reads of the audit log: permissions, masking, pages, statements and indexes.

use std::{collections::BTreeSet, time::SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use clientele::{
    caller::{Permission, Rights, Sets},
    definitions::Kind,
};
use serde_json::{Value, json};

use super::{ask, auditor, trevor};
use crate::harness::{Backend, TestServer, field, graphql::store_key};

async fn with_colour(server: &TestServer) -> String {
    server.define(vec![field("colour", Kind::Text)]).await;
    store_key(
        server,
        json!({ "client": trevor(), "customInformation": [{ "fieldId": "colour", "value": "red" }] }),
    )
    .await
}

const COLOUR: &str = "{ clients { nodes { history { nodes { changes { path before after masked } } } } } }";

/// The change of the colour's value in an answer.
fn colour(answer: &Value) -> Value {
    let changes = &answer["data"]["clients"]["nodes"][0]["history"]["nodes"][0]["changes"];
    let path = json!(["customInformation", "colour", "value"]);
    let mut changes = changes.as_array().unwrap_or_else(|| panic!("{answer:#}")).iter();
    changes
        .find(|change| change["path"] == path)
        .expect("it is recorded")
        .clone()
}

on_both!(
    reading_requires_the_audit_permission,
    values_of_hidden_sets_are_masked,
    client_changes_are_masked_without_view_client,
    hidden_values_show_only_that_they_changed,
    paging_visits_every_record_once,
    each_filter_returns_the_matching_records,
    unindexed_filters_are_limited_to_a_month,
    number_of_statements_depends_only_on_the_query,
    every_record_filter_uses_an_index,
);

async fn reading_requires_the_audit_permission(server: &TestServer) {
    with_colour(server).await;
    let everything_else = || {
        Rights::of(
            Permission::ALL
                .into_iter()
                .filter(|permission| *permission != Permission::Audit),
        )
    };
    let answer = ask(server, everything_else(), "{ auditLog { nodes { id } } }").await;
    assert_eq!(answer["data"], json!({ "auditLog": null }));
    assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN", "{answer:#}");
    let answer = ask(
        server,
        everything_else(),
        "{ clients { nodes { firstName history { totalCount } } } }",
    )
    .await;
    assert_eq!(
        answer["data"]["clients"]["nodes"],
        json!([{ "firstName": "Trevor", "history": null }])
    );
    let id =
        ask(server, auditor(), "{ auditLog(first: 1) { nodes { id } } }").await["data"]["auditLog"]["nodes"][0]["id"]
            .clone();
    let node = format!("{{ node(id: {id}) {{ id ... on AuditRecord {{ subject }} }} }}");
    assert_eq!(
        ask(server, everything_else(), &node).await["data"],
        json!({ "node": null })
    );
    assert_eq!(
        ask(server, auditor(), &node).await["data"],
        json!({ "node": { "id": id, "subject": "CLIENT" } })
    );
}

async fn values_of_hidden_sets_are_masked(server: &TestServer) {
    with_colour(server).await;
    let views = |sets: &[&str]| Rights {
        view_sets: Sets::These(sets.iter().map(|set| (*set).to_owned()).collect()),
        edit_sets: Sets::These(BTreeSet::new()),
        ..auditor()
    };
    let path = json!(["customInformation", "colour", "value"]);
    let shown = json!({ "path": path, "before": null, "after": "red", "masked": false });
    let masked = json!({ "path": path, "before": null, "after": null, "masked": true });
    assert_eq!(colour(&ask(server, auditor(), COLOUR).await), shown);
    assert_eq!(colour(&ask(server, views(&["facts"]), COLOUR).await), shown);
    assert_eq!(colour(&ask(server, views(&["others"]), COLOUR).await), masked);
    let log = ask(
        server,
        views(&[]),
        "{ auditLog(filter: { subject: CLIENT }) { nodes { changes { path after } } } }",
    )
    .await;
    assert!(
        log.to_string().contains("Trevor") && !log.to_string().contains(r#""red""#),
        "{log}"
    );
    // A deleted field is masked by its former set.
    server.write("DELETE FROM custom_field_value").await.expect("no values");
    server.define(vec![]).await;
    assert_eq!(colour(&ask(server, views(&["facts"]), COLOUR).await), shown);
    assert_eq!(colour(&ask(server, views(&[]), COLOUR).await), masked);
}

async fn client_changes_are_masked_without_view_client(server: &TestServer) {
    let key = store_key(
        server,
        json!({ "client": { "clientId": "trevor", "firstName": "Trevor", "lastName": "Linden" } }),
    )
    .await;
    server.define(vec![]).await;
    let only = || Rights::of([Permission::Audit]);
    let log = ask(
        server,
        only(),
        "{ auditLog(first: 2) { nodes { subject changes { path before after masked } } } }",
    )
    .await;
    let [set, client] = log["data"]["auditLog"]["nodes"].as_array().expect("a list").as_slice() else {
        panic!("{log:#}")
    };
    assert_eq!(client["subject"], "CLIENT");
    let changes = client["changes"].as_array().expect("a list");
    assert!(
        changes.contains(&json!({ "path": ["firstName"], "before": null, "after": null, "masked": true })),
        "{log:#}"
    );
    assert!(
        changes
            .iter()
            .all(|change| change["masked"] == true && change["after"].is_null()),
        "{log:#}"
    );
    assert!(
        set["changes"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|change| change["masked"] == false),
        "{log:#}"
    );
    // The answer does not reveal whether a client with this id exists.
    for id in ["trevor", "absent"] {
        let log = ask(
            server,
            only(),
            &format!("{{ auditLog(filter: {{ client: {{ clientId: \"{id}\" }} }}) {{ totalCount }} }}"),
        )
        .await;
        assert_eq!(
            (&log["data"], &log["errors"][0]["extensions"]["code"]),
            (&json!({ "auditLog": null }), &json!("FORBIDDEN")),
            "{log:#}"
        );
    }
    let log = ask(
        server,
        only(),
        &format!("{{ auditLog(filter: {{ client: {{ encodedKey: \"{key}\" }} }}) {{ totalCount }} }}"),
    )
    .await;
    assert_eq!(log["data"]["auditLog"]["totalCount"], 1);
}

async fn hidden_values_show_only_that_they_changed(server: &TestServer) {
    server.define(vec![field("colour", Kind::Text)]).await;
    server
        .define_set("secret", vec![field("code", Kind::Text)])
        .await
        .expect("sound");
    let input = |of_code: &[&str], colour: &str| {
        let code = of_code.iter().map(|value| json!({ "fieldId": "code", "value": value }));
        code.chain([json!({ "fieldId": "colour", "value": colour })])
            .collect::<Vec<_>>()
    };
    let key = store_key(
        server,
        json!({ "client": trevor(), "customInformation": input(&["s3cret"], "red") }),
    )
    .await;
    store_key(
        server,
        json!({ "client": { "encodedKey": key }, "customInformation": input(&[], "blue") }),
    )
    .await;
    let facts = Rights {
        view_sets: Sets::These(["facts".to_owned()].into()),
        edit_sets: Sets::These(BTreeSet::new()),
        ..auditor()
    };
    let answer = ask(server, facts, COLOUR).await;
    let shown = |field: &str, member: &str, before: Value, after: Value| {
        json!({
        "path": ["customInformation", field, member], "before": before, "after": after, "masked": false })
    };
    let masked = |member: &str| {
        json!({ "path": ["customInformation", "code", member], "before": null, "after": null,
        "masked": true })
    };
    let records = answer["data"]["clients"]["nodes"][0]["history"]["nodes"]
        .as_array()
        .expect("a list");
    let of_values = |record: &Value| -> Vec<Value> {
        let changes = record["changes"].as_array().expect("a list").iter();
        changes
            .filter(|change| change["path"][0] == "customInformation")
            .cloned()
            .collect()
    };
    for (record, expected) in records.iter().zip([
        [
            shown("colour", "value", json!("red"), json!("blue")),
            shown("colour", "position", json!("1"), json!("0")),
            masked("value"),
            masked("position"),
        ],
        [
            shown("colour", "value", Value::Null, json!("red")),
            shown("colour", "position", Value::Null, json!("1")),
            masked("value"),
            masked("position"),
        ],
    ]) {
        let changes = of_values(record);
        assert_eq!(changes.len(), 4, "{changes:#?}");
        for change in expected {
            assert!(changes.contains(&change), "{change}\n{changes:#?}");
        }
    }
}

async fn paging_visits_every_record_once(server: &TestServer) {
    let key = store_key(server, json!({ "client": trevor() })).await;
    for number in 1..7 {
        store_key(
            server,
            json!({ "client": { "encodedKey": key, "notes": number.to_string() } }),
        )
        .await;
    }
    let log = |arguments: &str| {
        format!(
            "{{ page: auditLog(filter: {{ subject: CLIENT }}, {arguments}) {{ totalCount nodes {{ \
                changes {{ after }} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
        )
    };
    let own = |arguments: &str| {
        format!(
            "{{ client(by: {{ encodedKey: \"{key}\" }}) {{ page: history({arguments}) {{ totalCount nodes {{ changes \
                {{ after }} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }} }}"
        )
    };
    for (query, at) in [
        (&log as &dyn Fn(&str) -> String, "/data/page"),
        (&own, "/data/client/page"),
    ] {
        let page = async |arguments: String| {
            let answer = ask(server, auditor(), &query(&arguments)).await;
            answer.pointer(at).unwrap_or_else(|| panic!("{answer:#}")).clone()
        };
        let notes = |page: &Value| -> Vec<String> {
            let nodes = page["nodes"].as_array().expect("a list").iter();
            nodes
                .map(|node| {
                    node["changes"].as_array().expect("a list").last().expect("a change")["after"]
                        .as_str()
                        .expect("a text")
                        .to_owned()
                })
                .collect()
        };
        let first = page("first: 3".to_owned()).await;
        assert_eq!(
            (notes(&first), &first["totalCount"], &first["pageInfo"]["hasNextPage"]),
            (
                vec!["6".to_owned(), "5".to_owned(), "4".to_owned()],
                &json!(7),
                &json!(true)
            )
        );
        let second = page(format!("first: 3, after: {}", first["pageInfo"]["endCursor"])).await;
        assert_eq!(notes(&second), ["3", "2", "1"]);
        let last = page(format!("first: 3, after: {}", second["pageInfo"]["endCursor"])).await;
        assert_eq!(
            (last["nodes"].as_array().map(Vec::len), &last["pageInfo"]["hasNextPage"]),
            (Some(1), &json!(false))
        );
        let back = page(format!("last: 2, before: {}", second["pageInfo"]["startCursor"])).await;
        assert_eq!(notes(&back), ["5", "4"]);
    }
    let foreign = ask(server, auditor(), "{ auditLog(after: \"x\") { totalCount } }").await;
    assert_eq!(foreign["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
}

async fn each_filter_returns_the_matching_records(server: &TestServer) {
    let now: DateTime<Utc> = SystemTime::now().into();
    let day = |days| (now + TimeDelta::days(days)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let month = format!("at: {{ from: \"{}\", until: \"{}\" }}", day(-30), day(1));
    let key = with_colour(server).await;
    server.post("/api/clients", json!({ "client": trevor() })).await;
    let count = async |filter: String| {
        let query = format!("{{ auditLog(filter: {{ {filter} }}) {{ nodes {{ id }} totalCount }} }}");
        let answer = ask(server, auditor(), &query).await;
        let total = answer["data"]["auditLog"]["totalCount"]
            .as_u64()
            .unwrap_or_else(|| panic!("{answer:#}"));
        assert_eq!(
            answer["data"]["auditLog"]["nodes"]
                .as_array()
                .map(|nodes| nodes.len() as u64),
            Some(total)
        );
        total
    };
    for (filter, expected) in [
        (String::new(), 5),
        ("subject: HISTORY".to_owned(), 2),
        (format!("client: {{ encodedKey: \"{key}\" }}"), 1),
        (format!("subjectKey: \"{key}\""), 1),
        ("subjectKey: \"factsKey\"".to_owned(), 1),
        ("subject: CUSTOM_FIELD_SET".to_owned(), 1),
        ("subject: CUSTOM_FIELD_SET, subjectKey: \"factsKey\"".to_owned(), 1),
        ("subject: CLIENT".to_owned(), 2),
        (format!("subject: CLIENT, subjectKey: \"{key}\""), 1),
        ("subject: USER".to_owned(), 0),
        (format!("callerKind: OPERATOR, {month}"), 3),
        ("callerId: \"anyone\"".to_owned(), 2),
        (format!("door: REST, {month}"), 1),
        (format!("action: CHANGED, {month}"), 0),
        ("action: DELETED".to_owned(), 0),
        (format!("action: CREATED, subjectKey: \"{key}\""), 1),
        ("action: CREATED, door: REST, subject: CUSTOM_FIELD_SET".to_owned(), 0),
        ("at: { until: \"2020-01-01T00:00:00Z\" }".to_owned(), 0),
        (
            "at: { from: \"2020-01-01T00:00:00Z\" }, callerId: \"anyone\"".to_owned(),
            2,
        ),
        ("callerId: \"a\\u0000\"".to_owned(), 0),
    ] {
        assert_eq!(count(filter.clone()).await, expected, "{filter}");
    }
}

async fn unindexed_filters_are_limited_to_a_month(server: &TestServer) {
    let at = |from: &str, until: &str| format!("at: {{ from: \"{from}T00:00:00Z\", until: \"{until}T00:00:00Z\" }}");
    let month = at("2026-11-01", "2026-12-02");
    let refused = "`filter`: action, door and callerKind have no index: also send `at` with `from` and \
        `until`, at most 31 days apart, or a client, a subjectKey or a subject other than CLIENT. The actions \
        DELETED and ERASED need nothing else.";
    for (filter, answered) in [
        ("door: REST".to_owned(), false),
        ("callerKind: ISSUER".to_owned(), false),
        ("action: CREATED".to_owned(), false),
        ("action: CHANGED, subject: CLIENT".to_owned(), false),
        ("door: REST, callerId: \"a\"".to_owned(), false),
        ("door: REST, at: { from: \"2026-11-01T00:00:00Z\" }".to_owned(), false),
        (format!("door: REST, {}", at("2026-11-01", "2026-12-03")), false),
        (format!("door: REST, {month}"), true),
        (format!("callerKind: ISSUER, callerId: \"a\", {month}"), true),
        ("action: ERASED, door: REST, subject: CLIENT".to_owned(), true),
        ("action: DELETED".to_owned(), true),
        ("door: REST, subject: USER".to_owned(), true),
        ("action: CREATED, subjectKey: \"a\"".to_owned(), true),
        ("subject: CLIENT".to_owned(), true),
    ] {
        let answer = ask(
            server,
            auditor(),
            &format!("{{ auditLog(filter: {{ {filter} }}) {{ nodes {{ id }} totalCount }} }}"),
        )
        .await;
        let error = &answer["errors"][0];
        match answered {
            true => assert_eq!(answer.get("errors"), None, "{filter} {answer:#}"),
            false => assert_eq!(
                (&error["extensions"]["code"], &error["message"]),
                (&json!("BAD_USER_INPUT"), &json!(refused)),
                "{filter} {answer:#}"
            ),
        }
    }
}

async fn number_of_statements_depends_only_on_the_query(server: &TestServer) {
    server.seed(30).await;
    for (query, expected) in [
        ("{ auditLog { nodes { changes { after } } } }", 1),
        ("{ auditLog { nodes { changes { after } } totalCount } }", 2),
        (
            "{ clients { nodes { firstName history { nodes { changes { after } } totalCount } } } }",
            2,
        ),
    ] {
        server.graphql(query, json!({})).await;
        server.statements();
        server.graphql(query, json!({})).await;
        assert_eq!(server.statements().len(), expected, "{query}");
    }
}

async fn every_record_filter_uses_an_index(server: &TestServer) {
    // PostgreSQL plans by its statistics, and the tables are nearly empty here.
    if server.backend == Backend::Postgres {
        return;
    }
    let key = with_colour(server).await;
    let log = |filter: &str| format!("{{ auditLog(filter: {{ {filter} }}) {{ nodes {{ id }} }} }}");
    let month = "at: { from: \"2026-11-01T00:00:00Z\", until: \"2026-12-01T00:00:00Z\" }";
    let of_chain = "SEARCH a USING INDEX sqlite_autoindex_audit_record_1 (chain=?)";
    for (query, step) in [
        // The newest records, nearly all of clients: only one page of rows is read.
        (log(""), "SCAN a USING INDEX audit_record_by_time"),
        (log("subject: CLIENT"), "SCAN a USING INDEX audit_record_by_time"),
        (
            log("at: { from: \"2020-01-01T00:00:00Z\" }"),
            "SEARCH a USING INDEX audit_record_by_time (recorded_at>?)",
        ),
        (
            log(&format!(
                "door: REST, action: CREATED, callerKind: USER, subject: CLIENT, {month}"
            )),
            "SEARCH a USING INDEX audit_record_by_time (recorded_at>? AND recorded_at<?)",
        ),
        (
            log("action: ERASED, door: REST, callerId: \"anyone\", subject: CLIENT"),
            "SEARCH a USING INDEX audit_record_by_rare_action (action=?)",
        ),
        (
            log(&format!("action: DELETED, {month}")),
            "SEARCH a USING INDEX audit_record_by_rare_action (action=? AND recorded_at>? AND recorded_at<?)",
        ),
        (
            log("callerId: \"anyone\""),
            "SEARCH a USING INDEX audit_record_by_caller (caller_id=?)",
        ),
        (
            log(&format!("callerId: \"anyone\", door: REST, {month}")),
            "SEARCH a USING INDEX audit_record_by_caller (caller_id=? AND recorded_at>? AND recorded_at<?)",
        ),
        (
            log(&format!(
                "client: {{ encodedKey: \"{key}\" }}, callerId: \"anyone\", door: REST"
            )),
            of_chain,
        ),
        (log("client: { clientId: \"a\" }"), of_chain),
        (
            log("subject: MESSAGE_TEMPLATE, at: { from: \"2020-01-01T00:00:00Z\" }"),
            of_chain,
        ),
        (log(&format!("subjectKey: \"{key}\", action: CREATED")), of_chain),
        (
            "{ clients { nodes { history { nodes { id } } } } }".to_owned(),
            of_chain,
        ),
    ] {
        server.graphql(&query, json!({})).await;
        server.statements();
        server.graphql(&query, json!({})).await;
        let statement = server.statements().pop().expect("a statement");
        let rows = server
            .services
            .db
            .read()
            .all(format!("EXPLAIN QUERY PLAN {statement}"), [])
            .await
            .expect("sound");
        let steps: Vec<String> = rows
            .iter()
            .map(|row| row.try_get_by_index(3).expect("a text"))
            .collect();
        assert!(steps.join("\n").contains(step), "{query}\n{statement}\n{steps:#?}");
    }
}
