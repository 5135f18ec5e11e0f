//! The plans of searches and of the filters that are priced as found by an index: none of them reads a whole table.

use std::collections::BTreeSet;

use clientele::{api::graphql::indexed_members_of_clients, definitions::Kind};
use serde_json::{Value, json};

use crate::harness::{Backend, TestServer, field, graphql::data};

on_both!(filters_by_index_read_no_whole_table, searches_read_no_whole_table);

/// Clients, and for PostgreSQL the statistics of them. Nothing collects those of SQLite.
async fn many(server: &TestServer) {
    server.define(vec![field("nick", Kind::Text)]).await;
    server.seed(1_200).await;
    server.analyze().await;
}

/// The steps of the plan that read a whole table or index: not what the statement made, and not the only row.
fn scans(server: &TestServer, plan: &[String]) -> Vec<String> {
    const OTHERS: [&str; 11] = [
        "CONSTANT",
        "counted",
        "definition_version",
        "e0",
        "e1",
        "e2",
        "e3",
        "every",
        "f",
        "found",
        "json_each",
    ];
    let other = |name: &str| OTHERS.contains(&name) || ["m", "m0", "m1", "m2"].contains(&name);
    let steps = plan.iter().enumerate().filter(|(at, step)| match server.backend {
        Backend::Sqlite => {
            let table = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            // The full-text index is one.
            table.is_some_and(|table| !other(table) && table != "client_search_index")
        }
        Backend::Postgres => {
            let by_index = ["Index Scan using", "Index Only Scan using", "Bitmap Index Scan on"];
            let is_bounded = plan.get(at + 1).is_some_and(|next| next.contains("Index Cond:"));
            step.contains("Seq Scan") && !step.ends_with(" on definition_version")
                || by_index.iter().any(|by_index| step.contains(by_index)) && !is_bounded
        }
    });
    steps.map(|(_, step)| step.clone()).collect()
}

async fn filters_by_index_read_no_whole_table(server: &TestServer) {
    many(server).await;
    let rows: [(&str, Value); 18] = [
        ("states", json!(["ACTIVE", "EXITED"])),
        ("firstNameStartsWith", json!("A")),
        ("lastNameStartsWith", json!("A")),
        ("firstName", json!({ "startsWith": "a" })),
        ("lastName", json!({ "equals": "a" })),
        ("birthDate", json!("1990-04-17")),
        ("born", json!({ "from": "1990-04-17", "to": "1990-04-18" })),
        ("emailAddress", json!("a@example.test")),
        ("email", json!("a@example.test")),
        ("phone", json!("+47")),
        ("documentId", json!("1")),
        ("city", json!("a")),
        ("assignedBranchKey", json!("a")),
        ("assignedCentreKey", json!("a")),
        ("assignedUserKey", json!("a")),
        ("customField", json!({ "fieldId": "nick", "value": "a" })),
        (
            "createdAt",
            json!({ "from": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z" }),
        ),
        ("updatedAt", json!({ "from": "2020-01-01T00:00:00Z" })),
    ];
    let members: BTreeSet<&str> = rows.iter().map(|(member, _)| *member).collect();
    assert_eq!(members, indexed_members_of_clients().collect());
    let query = "query($filter: ClientFilter) { clients(filter: $filter) { totalCount } }";
    for (member, value) in rows {
        // Alone, and not as the condition that is counted by itself.
        for filter in [
            json!({ member: value }),
            json!({ member: value, "and": [{ member: value }] }),
        ] {
            server.statements();
            data(server, query, json!({ "filter": filter })).await;
            for sql in server.statements().iter().filter(|sql| sql.contains("counted")) {
                let plan = server.plan(sql).await;
                assert_eq!(scans(server, &plan), [""; 0], "{filter}: {sql}: {plan:#?}");
            }
        }
    }
    // A condition without an index is seen.
    let sql = "SELECT count(*) FROM (SELECT 1 FROM client c WHERE c.notes = 'a' LIMIT 10001) counted";
    assert_ne!(scans(server, &server.plan(sql).await), [""; 0]);
}

async fn searches_read_no_whole_table(server: &TestServer) {
    many(server).await;
    let query = "query($search: String, $filter: ClientFilter) { clients(search: $search, filter: $filter) { \
        totalCount nodes { clientId } } }";
    for search in [
        "linden",
        "ana",
        "ana garcia",
        "margareta linden",
        "ana lindenberg",
        "li",
        "an li",
        "an linden",
        "lovelace@example.test",
        "+47 900-00 123",
        "12345",
        "12",
        "SEED00000001",
    ] {
        for filter in [
            json!({}),
            json!({ "assignedBranchKey": "a" }),
            json!({ "email": "a@example.test" }),
        ] {
            server.statements();
            data(server, query, json!({ "search": search, "filter": filter })).await;
            let statements = server.statements();
            let searches: Vec<&String> = statements.iter().filter(|sql| sql.contains("found AS")).collect();
            assert_eq!(searches.len(), 2, "{statements:#?}");
            for sql in searches {
                let plan = server.plan(sql).await;
                assert_eq!(scans(server, &plan), [""; 0], "{search} {filter}: {sql}: {plan:#?}");
                // Other documents of a client are looked for by the client: many can have the number.
                let of_client = |step: &&String| step.contains("id_document_search o") || step.starts_with("SEARCH o ");
                let by_key = |step: &String| step.contains("pkey") || step.contains("(client_key=?");
                assert!(plan.iter().filter(of_client).all(by_key), "{plan:#?}");
            }
        }
    }
}
