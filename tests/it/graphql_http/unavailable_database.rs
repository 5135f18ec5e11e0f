//! Outages of the database: callers get UNAVAILABLE, and the server recovers without a restart.

use serde_json::json;

use crate::harness::{
    Answer, Backend, TestServer,
    graphql::{data, store},
    require_own_cluster,
};

const READ: &str = "{ clients { nodes { clientId } } }";
const WRITE: &str = "mutation { upsertClient(input: { client: { clientId: \"b\", firstName: \"B\", lastName: \
    \"Bellweather\" } }) { created } }";

fn is_unavailable(answer: &Answer) {
    let error = &answer.body["errors"][0];
    assert_eq!(
        (answer.status, &error["extensions"]["code"]),
        (503, &json!("UNAVAILABLE")),
        "{}",
        answer.text
    );
    assert_eq!(
        error["message"],
        "The database can't be reached at the moment. Try again shortly."
    );
    assert!(error["extensions"]["requestId"].is_string());
}

on_both!(
    closed_database_answers_unavailable,
    dead_connections_are_replaced,
    missing_table_is_an_internal_error_without_details,
    failed_field_leaves_the_others,
);

async fn closed_database_answers_unavailable(server: &TestServer) {
    data(server, READ, json!({})).await;
    server.services.db.clone().close().await;
    for query in [
        READ,
        WRITE,
        "{ clientRoles { roleId } }",
        "{ node(id: \"Q2xpZW50OmE\") { id } }",
    ] {
        is_unavailable(&server.graphql(query, json!({})).await);
    }
    // Requests without the database are still answered.
    server
        .graphql("{ __typename }", json!({}))
        .await
        .data(json!({ "__typename": "Query" }));
}

async fn dead_connections_are_replaced(server: &TestServer) {
    store(
        server,
        json!({ "client": { "clientId": "a", "firstName": "Amara", "lastName": "A" } }),
        "version",
    )
    .await;
    if server.backend == Backend::Sqlite {
        // A file on this machine has no connection to lose.
        return;
    }
    require_own_cluster();
    // Ends every connection of this database, including its own.
    let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()";
    for _ in 0..3 {
        let _ = server.write(all).await;
        let mut answers: Vec<Answer> = Vec::new();
        while answers.last().is_none_or(|answer| answer.status != 200) {
            assert!(answers.len() < 40, "it must recover");
            answers.push(server.graphql(READ, json!({})).await);
        }
        let (last, failed) = answers.split_last().expect("there is one");
        failed.iter().for_each(is_unavailable);
        last.data(json!({ "clients": { "nodes": [{ "clientId": "a" }] } }));
    }
    let mut written: Answer = server.graphql(WRITE, json!({})).await;
    for _ in 0..40 {
        if written.status == 200 {
            break;
        }
        is_unavailable(&written);
        written = server.graphql(WRITE, json!({})).await;
    }
    written.data(json!({ "upsertClient": { "created": true } }));
}

async fn missing_table_is_an_internal_error_without_details(server: &TestServer) {
    server
        .write("ALTER TABLE address RENAME TO hidden")
        .await
        .expect("it can be renamed");
    let answer = server
        .graphql("{ clients { nodes { addresses { line1 } } } }", json!({}))
        .await;
    let error = &answer.body["errors"][0];
    assert_eq!(
        (&answer.body["data"], &error["extensions"]["code"]),
        (&json!({ "clients": null }), &json!("INTERNAL")),
        "{}",
        answer.text
    );
    assert_eq!(
        error["message"],
        "Something went wrong on the server. Its log has the cause under the request id."
    );
    server
        .write("ALTER TABLE hidden RENAME TO address")
        .await
        .expect("it can be renamed");
    data(server, "{ clients { nodes { addresses { line1 } } } }", json!({})).await;
}

/// A caller sees which of its changes are stored, whatever else of the answer can't be read.
async fn failed_field_leaves_the_others(server: &TestServer) {
    server
        .write("ALTER TABLE message RENAME TO hidden")
        .await
        .expect("it can be renamed");
    let query = "mutation {
        one: upsertClient(input: { client: { clientId: \"a\", firstName: \"Ines\", lastName: \"Okafor\" } }) {
            created userErrors { code } stored: client { messages { totalCount } } }
        two: upsertClient(input: { client: { firstName: \"Trevor\", lastName: \"Linden\" } }) { created }
        three: changeClientState(input: { by: { clientId: \"a\" }, state: EXITED }) {
            userErrors { code } client { messages { totalCount } } } }";
    let answer = server.graphql(query, json!({})).await;
    assert_eq!(
        answer.body["data"],
        json!({
            "one": { "created": true, "userErrors": [], "stored": null },
            "two": { "created": true },
            "three": { "userErrors": [], "client": null },
        }),
        "{}",
        answer.text
    );
    let errors = answer.body["errors"].as_array().expect("a list");
    let paths: Vec<_> = errors.iter().map(|error| &error["path"]).collect();
    assert_eq!(paths, [&json!(["one", "stored"]), &json!(["three", "client"])]);
    for error in errors {
        assert_eq!(error["extensions"]["code"], "INTERNAL");
        assert_eq!(
            error["message"],
            "The change has been stored, but its answer could not be completed: read it back, asking for less."
        );
    }
}
