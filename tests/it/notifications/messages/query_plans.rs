//! Query plans of message lists: every filter uses the right index.

use serde_json::json;

use super::{each, put, reachable, statements, templates};
use crate::harness::{Backend, TestServer, graphql::data};

on_both!(every_message_filter_uses_an_index);

async fn every_message_filter_uses_an_index(server: &TestServer) {
    // PostgreSQL plans by its statistics, and the tables are nearly empty here.
    if server.backend == Backend::Postgres {
        return;
    }
    templates(server).await;
    reachable(server, "a").await;
    let nested = statements(
        server,
        "{ clients { nodes { messages { nodes { id } totalCount } } } }",
        json!({}),
    )
    .await
    .remove(1);
    assert_eq!(plan(server, &nested).await.matches("(client_key=?)").count(), 2);
    put(server, "FAILED", "TRUE").await;
    server.statements();
    let resend = "mutation($ids: [ID!]) { resendMessages(input: { ids: $ids }) { resent userErrors { message } } }";
    let ids = data(server, "{ messages { nodes { id } } }", json!({})).await;
    data(server, resend, json!({ "ids": each(&ids["messages"]["nodes"], "/id") })).await;
    let statements_run = server.statements();
    let update = statements_run
        .iter()
        .find(|sql| sql.contains("UPDATE message"))
        .expect("it was resent");
    assert!(
        plan(server, update)
            .await
            .contains("message USING INDEX sqlite_autoindex_message_1 (client_key=? AND encoded_key=?)")
    );
    for (filter, index) in [
        (json!({}), "message_by_creation"),
        (json!({ "states": ["SENT"], "channel": "EMAIL" }), "message_by_creation"),
        (
            json!({ "client": { "clientId": "a" }, "states": ["FAILED"], "templateId": "welcome" }),
            "(client_key=?)",
        ),
        (
            json!({ "states": ["FAILED"], "templateId": "welcome" }),
            "message_by_state (state=?)",
        ),
        (
            json!({ "states": ["FAILED", "QUEUED"], "createdAt": { "from": "2026-01-01T00:00:00Z" } }),
            "message_by_state (state=? AND created_at>?)",
        ),
        (
            json!({ "templateId": "welcome", "channel": "EMAIL" }),
            "message_by_template (template_id=?)",
        ),
    ] {
        let query = "query($filter: MessageFilter) { messages(filter: $filter) { nodes { id } } }";
        let statement = statements(server, query, json!({ "filter": filter })).await.remove(0);
        let plan = plan(server, &statement).await;
        assert!(plan.contains(index), "{filter}\n{statement}\n{plan}");
    }
}

/// SQLite's query plan of a statement, which does not depend on its parameters.
async fn plan(server: &TestServer, statement: &str) -> String {
    let rows = server
        .services
        .db
        .read()
        .all(format!("EXPLAIN QUERY PLAN {statement}"), [])
        .await;
    let rows = rows.expect("the statement is sound");
    let steps: Vec<String> = rows
        .iter()
        .map(|row| row.try_get_by_index(3).expect("a text"))
        .collect();
    steps.join("\n")
}
