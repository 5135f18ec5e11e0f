//! The limit of the data that one page of records reads.

use serde_json::json;

use super::{findings, trevor};
use crate::harness::{TestServer, graphql::store_key};

/// A client whose three records have 3 MB each.
async fn with_large_records(server: &TestServer) -> String {
    let key = store_key(server, json!({ "client": trevor() })).await;
    for notes in ["1", "2"] {
        store_key(server, json!({ "client": { "encodedKey": key, "notes": notes } })).await;
    }
    let contents = json!([{ "path": ["notes"], "before": null, "after": "x".repeat(3_000_000) }]);
    let sql = format!("UPDATE audit_record SET contents = '{contents}' WHERE chain = '{key}'");
    server.write(&sql).await.expect("they are large");
    key
}

on_both!(page_of_records_has_a_bounded_size);

async fn page_of_records_has_a_bounded_size(server: &TestServer) {
    let key = with_large_records(server).await;
    let log = |arguments: &str, record: &str| {
        format!("{{ auditLog({arguments}, filter: {{ subject: CLIENT }}) {{ nodes {{ {record} }} }} }}")
    };
    let own = |arguments: &str, record: &str| {
        format!("{{ clients {{ nodes {{ history({arguments}) {{ nodes {{ {record} }} }} }} }} }}")
    };
    for query in [&log as &dyn Fn(&str, &str) -> String, &own] {
        let few = server.graphql(&query("first: 1", "changes { path }"), json!({})).await;
        assert!(few.text.contains(r#"[{"path":["notes"]}]"#), "{}", few.text);
        let many = server.graphql(&query("first: 50", "changes { path }"), json!({})).await;
        assert!(many.text.contains("QUERY_TOO_COMPLEX"), "{}", many.text);
        assert!(
            many.text
                .contains("The changes of these records have more than 8 MiB: ask for fewer at once."),
            "{}",
            many.text
        );
        server.statements();
        let all = server.graphql(&query("first: 50", "action"), json!({})).await;
        assert_eq!(all.text.matches("CHANGED").count(), 2, "{}", all.text);
        let statements = server.statements();
        assert!(
            statements.iter().all(|sql| !sql.contains("contents")),
            "{statements:#?}"
        );
    }
    let ids = server.graphql(&log("first: 3", "id"), json!({})).await;
    let ids: Vec<_> = ids.body["data"]["auditLog"]["nodes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|node| node["id"].clone())
        .collect();
    let nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on AuditRecord { changes { path } } } }";
    let many = server.graphql(nodes, json!({ "ids": ids })).await;
    assert!(many.text.contains("QUERY_TOO_COMPLEX"), "{}", many.text);
    let one = server.graphql(nodes, json!({ "ids": ids[..1] })).await;
    assert!(one.text.contains(r#"[{"path":["notes"]}]"#), "{}", one.text);
    // Verifying reads them one after the other.
    server.statements();
    assert_eq!(
        findings(server).await,
        [1, 2, 3].map(|position| format!("{key} {position}: contents altered"))
    );
    let stretches = server
        .statements()
        .iter()
        .filter(|sql| sql.contains("a.contents,"))
        .count();
    assert!(stretches >= 6, "{stretches}");
}
