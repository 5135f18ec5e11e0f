//! Reads of messages: filters, pages, fields and the number of statements.

mod client_messages;
mod query_plans;
mod resend;

use serde_json::{Value, json};

use crate::harness::{
    TestServer,
    graphql::{data, store},
};

/// Stores templates without validation: `welcome` and `code` for new clients, `changed` for changed ones.
pub async fn templates(server: &TestServer) {
    for (id, event, channel, position) in [
        ("welcome", "CLIENT_CREATED", "EMAIL", 0),
        ("code", "CLIENT_CREATED", "SMS", 1),
        ("changed", "CLIENT_UPDATED", "EMAIL", 2),
    ] {
        let (subject, html) = match channel {
            "EMAIL" => ("'Hello {CLIENT_FIRST_NAMES}'", "'<b>{CLIENT_NAME}</b>'"),
            _ => ("NULL", "NULL"),
        };
        let conditions = r#"{"roles":[],"states":[],"fields":[]}"#;
        let template = format!(
            "INSERT INTO message_template (encoded_key, template_id, name, event, channel, active, default_language, \
                conditions, position)
             VALUES ('{id}Key', '{id}', '{id}', '{event}', '{channel}', TRUE, 'ENGLISH', '{conditions}', {position})"
        );
        let variant = format!(
            "INSERT INTO message_variant (encoded_key, template_key, language, subject, text, html, current)
             VALUES ('{id}English', '{id}Key', 'ENGLISH', {subject}, '{id}: {{CLIENT_NAME}}', {html}, TRUE)"
        );
        for sql in [template, variant] {
            server.write(&sql).await.expect("it can be stored");
        }
    }
    let changed = "UPDATE definition_version SET version = version + 1";
    server.write(changed).await.expect("it can be stored");
}

/// Stores a client with an e-mail address only. Returns its key.
async fn reachable(server: &TestServer, id: &str) -> String {
    let input =
        json!({ "client": { "clientId": id, "firstName": "<Ana>", "lastName": id, "emailAddress": "a@example.test" } });
    let stored = store(server, input, "encodedKey").await;
    stored["encodedKey"].as_str().expect("a key").to_owned()
}

/// Sets the state of messages and the related columns.
async fn put(server: &TestServer, state: &str, which: &str) {
    let rest = match state {
        "FAILED" => {
            "due_at = NULL, failed_at = '2026-01-02T03:04:05.000000Z', attempts = 3, reason = 'REFUSED', detail = 'no \
                such user'"
        }
        "SENT" => "due_at = NULL, sent_at = '2026-01-02T03:04:05.000000Z', attempts = 1, provider_id = 'p1'",
        _ => "lease = 'l1'",
    };
    let sql = format!("UPDATE message SET state = '{state}', {rest} WHERE {which}");
    server.write(&sql).await.expect("it can be stored");
}

/// The statements that a request runs once the definitions and variants are known.
async fn statements(server: &TestServer, query: &str, variables: Value) -> Vec<String> {
    data(server, query, variables.clone()).await;
    server.statements();
    data(server, query, variables).await;
    server.statements()
}

/// The message of a request that is refused for its arguments.
async fn refused(server: &TestServer, query: &str, variables: Value) -> Value {
    let answer = server.graphql(query, variables).await;
    let error = &answer.body["errors"][0];
    assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{}", answer.text);
    error["message"].clone()
}

/// The value at a path of each object in a list, such as `clientId`.
fn each(list: &Value, place: &str) -> Vec<Value> {
    let list = list.as_array().expect("a list").iter();
    list.map(|item| item.pointer(place).cloned().unwrap_or_default())
        .collect()
}

const EVERYTHING: &str =
    "event channel state templateId language recipient subject text html attempts nextAttemptAt sentAt
    failedAt reason detail providerId template { name } client { clientId }";

on_both!(
    message_shows_its_delivery_state,
    message_filter_members_combine,
    paging_visits_every_message_once_newest_first,
    message_list_takes_one_statement_per_selected_type,
    message_is_found_by_its_global_id,
);

async fn message_shows_its_delivery_state(server: &TestServer) {
    templates(server).await;
    let input = json!({ "client": { "clientId": "a", "firstName": "<Ana>", "lastName": "A",
        "emailAddress": "a@example.test",
        "mobilePhone1": "+44 7700 900123" } });
    store(server, input, "clientId").await;
    let query = format!("{{ messages {{ nodes {{ {EVERYTHING} }} totalCount }} }}");
    let mail = json!({ "event": "CLIENT_CREATED", "channel": "EMAIL", "state": "QUEUED", "templateId": "welcome",
        "language": "ENGLISH",
        "recipient": "a@example.test", "subject": "Hello <Ana>", "text": "welcome: <Ana> A",
            "html": "<b>&lt;Ana&gt; A</b>",
        "attempts": 0, "nextAttemptAt": "<time>", "sentAt": null, "failedAt": null, "reason": null, "detail": null,
        "providerId": null, "template": { "name": "welcome" }, "client": { "clientId": "a" } });
    let text = json!({ "event": "CLIENT_CREATED", "channel": "SMS", "state": "QUEUED", "templateId": "code",
        "language": "ENGLISH",
        "recipient": "+44 7700 900123", "subject": null, "text": "code: <Ana> A", "html": null,
        "attempts": 0, "nextAttemptAt": "<time>", "sentAt": null, "failedAt": null, "reason": null, "detail": null,
        "providerId": null, "template": { "name": "code" }, "client": { "clientId": "a" } });
    server
        .graphql(&query, json!({}))
        .await
        .data(json!({ "messages": { "nodes": [text, mail], "totalCount": 2 } }));
    put(server, "SENDING", "channel = 'SMS'").await;
    put(server, "FAILED", "channel = 'EMAIL'").await;
    let (mut sending, mut failed) = (text.clone(), mail.clone());
    sending["state"] = json!("SENDING");
    sending["nextAttemptAt"] = Value::Null;
    for (name, value) in [
        ("state", json!("FAILED")),
        ("attempts", json!(3)),
        ("nextAttemptAt", Value::Null),
        ("failedAt", json!("2026-01-02T03:04:05Z")),
        ("reason", json!("REFUSED")),
        ("detail", json!("no such user")),
    ] {
        failed[name] = value;
    }
    server
        .graphql(&query, json!({}))
        .await
        .data(json!({ "messages": { "nodes": [sending, failed], "totalCount": 2 } }));
    // Some time after the delivery only the record is left.
    put(server, "SENT", "channel = 'SMS'").await;
    for sql in [
        "UPDATE message SET placeholders = NULL WHERE channel = 'SMS'",
        "DELETE FROM message_template WHERE template_id = 'code'",
        "UPDATE definition_version SET version = version + 1",
    ] {
        server.write(sql).await.expect("it can be stored");
    }
    let mut sent = text;
    for (name, value) in [
        ("state", json!("SENT")),
        ("attempts", json!(1)),
        ("nextAttemptAt", Value::Null),
        ("text", Value::Null),
        ("template", Value::Null),
        ("sentAt", json!("2026-01-02T03:04:05Z")),
        ("providerId", json!("p1")),
    ] {
        sent[name] = value;
    }
    server
        .graphql(&query, json!({}))
        .await
        .data(json!({ "messages": { "nodes": [sent, failed], "totalCount": 2 } }));
}

async fn message_filter_members_combine(server: &TestServer) {
    templates(server).await;
    let a = reachable(server, "a").await;
    reachable(server, "b").await;
    store(
        server,
        json!({ "client": { "clientId": "c", "firstName": "C", "lastName": "C", "mobilePhone2": "1" } }),
        "version",
    )
    .await;
    store(
        server,
        json!({ "client": { "encodedKey": a, "notes": "changed" } }),
        "version",
    )
    .await;
    put(server, "FAILED", "template_id = 'changed'").await;
    put(server, "SENT", "channel = 'SMS'").await;
    for (at, id) in ["welcome", "code", "changed"].into_iter().enumerate() {
        let sql = format!(
            "UPDATE message SET created_at = '2026-01-0{}T00:00:00.000000Z' WHERE template_id = '{id}'",
            at + 1
        );
        server.write(&sql).await.expect("it can be stored");
    }
    let id = data(server, "{ client(by: { clientId: \"a\" }) { id } }", json!({})).await["client"]["id"].take();
    let query = "query($filter: MessageFilter) { messages(filter: $filter) { nodes { client { clientId } templateId } \
        totalCount } }";
    let all = ["a changed", "c code", "b welcome", "a welcome"];
    for (filter, expected) in [
        (Value::Null, all.to_vec()),
        (json!({}), all.to_vec()),
        (
            json!({ "client": null, "states": null, "channel": null, "templateId": null, "createdAt": null }),
            all.to_vec(),
        ),
        (json!({ "client": { "clientId": "a" } }), vec!["a changed", "a welcome"]),
        (json!({ "client": { "encodedKey": a } }), vec!["a changed", "a welcome"]),
        (json!({ "client": { "id": id } }), vec!["a changed", "a welcome"]),
        (json!({ "client": { "clientId": "absent" } }), vec![]),
        (json!({ "client": { "clientId": "a\u{0}" } }), vec![]),
        (json!({ "states": [] }), vec![]),
        (json!({ "states": ["FAILED"] }), vec!["a changed"]),
        (json!({ "states": ["SENT"] }), vec!["c code"]),
        (
            json!({ "states": ["SENT", "FAILED", "SENT"] }),
            vec!["a changed", "c code"],
        ),
        (
            json!({ "states": ["QUEUED", "SENDING"] }),
            vec!["b welcome", "a welcome"],
        ),
        (
            json!({ "states": ["QUEUED", "SENDING", "SENT", "FAILED"] }),
            all.to_vec(),
        ),
        (json!({ "channel": "SMS" }), vec!["c code"]),
        (json!({ "templateId": "welcome" }), vec!["b welcome", "a welcome"]),
        (json!({ "templateId": "wel" }), vec![]),
        (json!({ "templateId": "welcome\u{0}" }), vec![]),
        (
            json!({ "createdAt": { "from": "2026-01-02T00:00:00Z" } }),
            vec!["a changed", "c code"],
        ),
        (
            json!({ "createdAt": { "until": "2026-01-02T01:00:00+01:00" } }),
            vec!["b welcome", "a welcome"],
        ),
        (
            json!({ "createdAt": { "from": "2026-01-02T00:00:00Z", "until": "2026-01-03T00:00:00Z" } }),
            vec!["c code"],
        ),
        (
            json!({ "client": { "clientId": "a" }, "states": ["QUEUED"], "channel": "EMAIL", "templateId": "welcome",
            "createdAt": { "from": "2026-01-01T00:00:00Z" } }),
            vec!["a welcome"],
        ),
        (json!({ "states": ["FAILED"], "templateId": "welcome" }), vec![]),
    ] {
        let found = data(server, query, json!({ "filter": filter })).await["messages"].take();
        let nodes = found["nodes"].as_array().expect("a list").iter();
        let nodes: Vec<String> = nodes
            .map(|node| {
                format!(
                    "{} {}",
                    node["client"]["clientId"].as_str().unwrap_or_default(),
                    node["templateId"].as_str().unwrap_or_default()
                )
            })
            .collect();
        assert_eq!(
            (nodes, &found["totalCount"]),
            (
                expected.iter().map(ToString::to_string).collect(),
                &json!(expected.len())
            ),
            "{filter}"
        );
    }
    let wrong = json!({ "filter": { "client": { "id": "x" } } });
    assert_eq!(
        refused(server, query, wrong).await,
        "`filter.client.id`: This isn't the global id of a client."
    );
}

async fn paging_visits_every_message_once_newest_first(server: &TestServer) {
    templates(server).await;
    for number in 0..9 {
        reachable(server, &format!("c{number}")).await;
    }
    // Some have the same time and are ordered by key.
    server
        .write(
            "UPDATE message SET created_at = '2026-01-01T00:00:00.000000Z' WHERE client_key IN \
        (SELECT encoded_key FROM client WHERE client_id IN ('c3', 'c4', 'c5', 'c8'))",
        )
        .await
        .expect("it can be stored");
    let query = "query($first: Int, $after: String, $last: Int, $before: String) {
            messages(first: $first, after: $after, last: $last, before: $before) {
                edges { cursor node { client { clientId } } } nodes { client { clientId } }
                pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";
    let expected: Vec<Value> = ["c7", "c6", "c2", "c1", "c0", "c8", "c5", "c4", "c3"]
        .map(|id| json!(id))
        .into();
    for size in [1, 2, 4, 8, 9, 10, 500] {
        let (mut found, mut after) = (Vec::new(), Value::Null);
        loop {
            let page = data(server, query, json!({ "first": size, "after": after })).await["messages"].take();
            assert_eq!(page["pageInfo"]["hasPreviousPage"], !found.is_empty());
            assert_eq!(
                each(&page["edges"], "/node"),
                *page["nodes"].as_array().expect("a list")
            );
            found.extend(each(&page["nodes"], "/client/clientId"));
            after = page["pageInfo"]["endCursor"].clone();
            assert_eq!(Some(&after), each(&page["edges"], "/cursor").last());
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        assert_eq!(found, expected, "{size}");
        let (mut found, mut before) = (Vec::new(), Value::Null);
        loop {
            let page = data(server, query, json!({ "last": size, "before": before })).await["messages"].take();
            assert_eq!(page["pageInfo"]["hasNextPage"], !found.is_empty());
            found.splice(0..0, each(&page["nodes"], "/client/clientId"));
            before = page["pageInfo"]["startCursor"].clone();
            if page["pageInfo"]["hasPreviousPage"] == false {
                break;
            }
        }
        assert_eq!(found, expected, "{size}");
    }
    assert_eq!(
        refused(server, query, json!({ "first": 1, "last": 1 })).await,
        "Ask for the first or the last messages, not for both."
    );
    assert_eq!(
        refused(server, query, json!({ "first": 501 })).await,
        "`first` must be from 0 to 500."
    );
    assert_eq!(
        refused(server, query, json!({ "last": -1 })).await,
        "`last` must be from 0 to 500."
    );
    let clients = data(server, "{ clients(first: 1) { pageInfo { endCursor } } }", json!({})).await;
    for foreign in [json!("x"), clients["clients"]["pageInfo"]["endCursor"].clone()] {
        assert_eq!(
            refused(server, query, json!({ "before": foreign })).await,
            "`before`: This isn't a cursor of this list in this order: send one that a page has given you."
        );
    }
}

async fn message_list_takes_one_statement_per_selected_type(server: &TestServer) {
    templates(server).await;
    for number in 0..20 {
        reachable(server, &format!("c{number}")).await;
    }
    for (selection, count) in [
        ("nodes { id recipient }", 1),
        // Variants are cached: a version never changes.
        ("nodes { subject text html }", 1),
        ("nodes { id } totalCount", 2),
        (
            "nodes { template { name } } edges { node { template { variants { text } } } }",
            2,
        ),
        (
            "nodes { client { clientId addresses { id } } } edges { node { client { idDocuments { id } } } }",
            2,
        ),
        (
            "nodes { text client { clientId messages(first: 3) { nodes { text client { lastName \
                messages { totalCount } } } } } }",
            4,
        ),
    ] {
        let query = format!("query($first: Int) {{ messages(first: $first) {{ {selection} }} }}");
        let (small, large) = (
            statements(server, &query, json!({ "first": 1 })).await,
            statements(server, &query, json!({ "first": 20 })).await,
        );
        assert_eq!(large.len(), count, "{large:#?}");
        assert_eq!(small, large, "the text doesn't depend on the data");
    }
    // A server that has just started reads them, in one statement.
    let fresh = server.another(crate::harness::Settings::default()).await;
    data(&fresh, "{ clients { nodes { id } } }", json!({})).await;
    fresh.statements();
    data(&fresh, "{ messages { nodes { text } } }", json!({})).await;
    assert_eq!(fresh.statements().len(), 2);
}

async fn message_is_found_by_its_global_id(server: &TestServer) {
    templates(server).await;
    for number in 0..20 {
        reachable(server, &format!("c{number}")).await;
    }
    let all = data(
        server,
        "{ messages { nodes { id encodedKey text client { clientId } } } }",
        json!({}),
    )
    .await;
    let all = &all["messages"]["nodes"];
    let query =
        "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Message { encodedKey text client { clientId } } } }";
    let ids = json!({ "ids": each(all, "/id") });
    assert_eq!(data(server, query, ids.clone()).await["nodes"], *all);
    assert_eq!(statements(server, query, ids).await.len(), 2);
    let gone = data(
        server,
        "query($id: ID!) { node(id: $id) { __typename } }",
        json!({ "id": "TWVzc2FnZTphOmI" }),
    )
    .await;
    assert_eq!(gone, json!({ "node": null }));
}
