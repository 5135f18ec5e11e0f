//! Resending failed messages.

use clientele::enums::Channel;
use futures_util::FutureExt;
use serde_json::{Value, json};

use super::{each, put, reachable, templates};
use crate::harness::{TestServer, graphql::data};

const RESEND: &str = "mutation($input: ResendMessagesInput!) { resendMessages(input: $input) {
    messages { client { clientId } state } resent more userErrors { code message path } clientMutationId } }";

/// The global ids of all messages, newest first.
async fn ids(server: &TestServer) -> Vec<Value> {
    let all = data(server, "{ messages(first: 500) { nodes { id } } }", json!({})).await;
    each(&all["messages"]["nodes"], "/id")
}

async fn resend(server: &TestServer, input: Value) -> Value {
    data(server, RESEND, json!({ "input": input })).await["resendMessages"].take()
}

/// Asserts the problems, as code, sentence and path below `input`, and that nothing was written.
async fn refuses(server: &TestServer, input: Value, problems: &[(&str, &str, &[&str])]) {
    let before = server.snapshot().await;
    let problems = problems.iter().map(|(code, message, path)| {
        let path: Vec<&str> = std::iter::once("input").chain(path.iter().copied()).collect();
        json!({ "code": code, "message": message, "path": path })
    });
    let expected = json!({ "messages": null, "resent": 0, "more": false, "userErrors": problems.collect::<Value>(),
        "clientMutationId": null });
    assert_eq!(resend(server, input).await, expected);
    assert_eq!(server.snapshot().await, before);
}

/// True if workers of this channel have been notified.
fn is_rung(server: &TestServer, channel: Channel) -> bool {
    server
        .services
        .messages
        .outbox
        .received(channel)
        .now_or_never()
        .is_some()
}

on_both!(
    resent_message_is_queued_like_a_new_one,
    refused_resend_changes_nothing,
    filtered_failed_messages_are_resent_oldest_first,
    messages_to_listed_recipients_are_left_out_of_a_filter,
    reasons_of_messages_are_filtered,
    concurrent_resends_queue_a_message_once,
    resending_takes_a_fixed_number_of_statements,
);

async fn resent_message_is_queued_like_a_new_one(server: &TestServer) {
    templates(server).await;
    for id in ["a", "b", "c"] {
        reachable(server, id).await;
    }
    put(server, "FAILED", "TRUE").await;
    server
        .write(
            "UPDATE message SET created_at = '2026-01-01T00:00:00.000000Z', queued_at = '2026-01-01T00:00:00.000000Z'",
        )
        .await
        .expect("it can be stored");
    assert!(is_rung(server, Channel::Email));
    let ids = ids(server).await;
    let query = "query($id: ID!) { node(id: $id) { ... on Message { encodedKey state attempts nextAttemptAt failedAt \
        reason detail createdAt text } } }";
    let before = data(server, query, json!({ "id": ids[2] })).await["node"].take();
    let answer = resend(server, json!({ "ids": [ids[2], ids[0]], "clientMutationId": "m" })).await;
    let queued = |id: &str| json!({ "client": { "clientId": id }, "state": "QUEUED" });
    assert_eq!(
        answer,
        json!({ "messages": [queued("a"), queued("c")], "resent": 2, "more": false, "userErrors": [],
            "clientMutationId": "m" })
    );
    assert!(is_rung(server, Channel::Email));
    assert!(!is_rung(server, Channel::Sms));
    let after = data(server, query, json!({ "id": ids[2] })).await["node"].take();
    assert_eq!(
        after,
        json!({ "encodedKey": before["encodedKey"], "state": "QUEUED", "attempts": 0,
            "nextAttemptAt": after["nextAttemptAt"],
        "failedAt": null, "reason": null, "detail": null, "createdAt": "2026-01-01T00:00:00Z",
            "text": "welcome: <Ana> a" })
    );
    assert!(before["nextAttemptAt"].is_null() && after["nextAttemptAt"].is_string());
    let states = data(server, "{ messages { nodes { state queuedAt } } }", json!({})).await;
    assert_eq!(
        each(&states["messages"]["nodes"], "/state"),
        ["QUEUED", "FAILED", "QUEUED"]
    );
    assert_eq!(states["messages"]["nodes"][1]["queuedAt"], "2026-01-01T00:00:00Z");
}

async fn refused_resend_changes_nothing(server: &TestServer) {
    templates(server).await;
    for id in ["a", "b", "c", "d", "e"] {
        reachable(server, id).await;
    }
    for (state, client) in [("FAILED", "e"), ("SENT", "d"), ("SENDING", "c"), ("FAILED", "a")] {
        put(
            server,
            state,
            &format!("client_key = (SELECT encoded_key FROM client WHERE client_id = '{client}')"),
        )
        .await;
    }
    server
        .write(
            "UPDATE message SET placeholders = NULL WHERE client_key = (SELECT encoded_key FROM client WHERE \
        client_id = 'a')",
        )
        .await
        .expect("it can be stored");
    let ids = ids(server).await;
    let state = "Only a message that is FAILED, BOUNCED or SUPPRESSED can be resent: one that is QUEUED or SENDING is \
        still on its way, and one that is SENT or DELIVERED has arrived at the provider.";
    let none = "There is no message with this id.";
    refuses(
        server,
        json!({ "ids": [ids[0], ids[1], ids[2], "x", ids[3], ids[4], "TWVzc2FnZTphOmI", ids[0]] }),
        &[
            ("INVALID", state, &["ids", "1"]),
            ("INVALID", state, &["ids", "2"]),
            ("NOT_FOUND", none, &["ids", "3"]),
            ("INVALID", state, &["ids", "4"]),
            (
                "INVALID",
                "The text of this message has been removed, so it can't be resent.",
                &["ids", "5"],
            ),
            ("NOT_FOUND", none, &["ids", "6"]),
            (
                "DUPLICATE",
                "This id is listed already: list each message once.",
                &["ids", "7"],
            ),
        ],
    )
    .await;
    let either = "Say which messages to resend: either by `ids` or by a `filter`.";
    for input in [
        json!({}),
        json!({ "ids": null }),
        json!({ "filter": null }),
        json!({ "ids": null, "filter": null }),
        json!({ "ids": [], "filter": {} }),
    ] {
        refuses(server, input, &[("INVALID", either, &[])]).await;
    }
    refuses(
        server,
        json!({ "filter": { "client": { "id": "x" } } }),
        &[(
            "INVALID",
            "This isn't the global id of a client.",
            &["filter", "client", "id"],
        )],
    )
    .await;
    refuses(
        server,
        json!({ "ids": vec!["x"; 501] }),
        &[(
            "TOO_MANY",
            "At most 500 messages can be resent at once; there are 501.",
            &["ids"],
        )],
    )
    .await;
    // An empty result is no error.
    let nothing = json!({ "messages": null, "resent": 0, "more": false, "userErrors": [], "clientMutationId": null });
    for filter in [
        json!({ "states": ["SENT"] }),
        json!({ "states": [] }),
        json!({ "channel": "SMS" }),
        json!({ "client": { "clientId": "a" } }),
    ] {
        assert_eq!(resend(server, json!({ "filter": filter })).await, nothing);
    }
}

async fn filtered_failed_messages_are_resent_oldest_first(server: &TestServer) {
    templates(server).await;
    for id in ["a", "b"] {
        reachable(server, id).await;
    }
    put(server, "FAILED", "TRUE").await;
    let answer = resend(
        server,
        json!({ "filter": { "client": { "clientId": "a" }, "states": ["FAILED", "SENT"] } }),
    )
    .await;
    assert_eq!(
        answer,
        json!({ "messages": null, "resent": 1, "more": false, "userErrors": [], "clientMutationId": null })
    );
    // More than one batch.
    let columns = "client_key, event, channel, template_key, template_id, variant_key, language, recipient, \
        placeholders, state, attempts, created_at, queued_at";
    let sql = format!(
        "INSERT INTO message (encoded_key, {columns}) \
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001) \
        SELECT 'k' || i, {columns} FROM n, (SELECT * FROM message WHERE state = 'FAILED') m"
    );
    server.write(&sql).await.expect("it can be stored");
    for (resent, more) in [(10_000, true), (2, false), (0, false)] {
        let answer = resend(server, json!({ "filter": {} })).await;
        assert_eq!((&answer["resent"], &answer["more"]), (&json!(resent), &json!(more)));
    }
}

async fn messages_to_listed_recipients_are_left_out_of_a_filter(server: &TestServer) {
    templates(server).await;
    reachable(server, "a").await;
    put(server, "FAILED", "TRUE").await;
    // More than one batch, all of them older than the only message that can be resent.
    let columns = "client_key, event, channel, template_key, template_id, variant_key, language, placeholders, state, \
        attempts, queued_at";
    let sql = format!(
        "INSERT INTO message (encoded_key, recipient, created_at, {columns}) \
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20003) \
        SELECT 'k' || i, 'Listed@Example.test', '2026-01-01T00:00:00.000000Z', {columns} FROM n, \
        (SELECT * FROM message WHERE state = 'FAILED') m"
    );
    let sql = match server.backend {
        crate::harness::Backend::Sqlite => sql,
        crate::harness::Backend::Postgres => sql.replace("000000Z'", "000000Z'::timestamptz"),
    };
    server.write(&sql).await.expect("it can be stored");
    let add = "mutation { addSuppression(input: { channel: EMAIL, recipient: \"listed@example.test\" }) { added } }";
    assert_eq!(data(server, add, json!({})).await["addSuppression"]["added"], true);
    for (resent, more) in [(1, false), (0, false)] {
        let answer = resend(server, json!({ "filter": {} })).await;
        assert_eq!((&answer["resent"], &answer["more"]), (&json!(resent), &json!(more)));
    }
}

async fn reasons_of_messages_are_filtered(server: &TestServer) {
    templates(server).await;
    for id in ["a", "b", "c"] {
        reachable(server, id).await;
    }
    put(server, "FAILED", "TRUE").await;
    for (client, reason) in [("a", "CALLER_LIMIT"), ("b", "RECIPIENT_LIMIT")] {
        let sql = format!(
            "UPDATE message SET state = 'SUPPRESSED', reason = '{reason}' WHERE client_key = (SELECT encoded_key FROM \
             client WHERE client_id = '{client}')"
        );
        server.write(&sql).await.expect("it can be stored");
    }
    let query = "query($filter: MessageFilter) { messages(filter: $filter) { totalCount } }";
    for (reasons, count) in [
        (json!(["CALLER_LIMIT"]), 1),
        (json!(["CALLER_LIMIT", "REFUSED", "REFUSED"]), 2),
        (json!([]), 0),
        (Value::Null, 3),
    ] {
        let found = data(server, query, json!({ "filter": { "reasons": reasons } })).await;
        assert_eq!(found["messages"]["totalCount"], count, "{reasons}");
    }
    for (reason, resent) in [("SUPPRESSION_LIST", 0), ("CALLER_LIMIT", 1)] {
        let filter = json!({ "states": ["SUPPRESSED"], "reasons": [reason] });
        assert_eq!(
            resend(server, json!({ "filter": filter })).await["resent"],
            resent,
            "{reason}"
        );
    }
}

async fn concurrent_resends_queue_a_message_once(server: &TestServer) {
    templates(server).await;
    for number in 0..40 {
        reachable(server, &format!("c{number}")).await;
    }
    for input in [json!({ "filter": {} }), json!({ "ids": ids(server).await })] {
        put(server, "FAILED", "TRUE").await;
        let answers = futures_util::future::join_all((0..8).map(|_| resend(server, input.clone()))).await;
        let resent: i64 = answers.iter().filter_map(|answer| answer["resent"].as_i64()).sum();
        assert_eq!(resent, 40, "{answers:#?}");
    }
}

async fn resending_takes_a_fixed_number_of_statements(server: &TestServer) {
    templates(server).await;
    for number in 0..10 {
        reachable(server, &format!("c{number}")).await;
    }
    let ids = ids(server).await;
    for count in [1, 10] {
        put(server, "FAILED", "TRUE").await;
        server.statements();
        resend(server, json!({ "ids": ids[..count] })).await;
        let statements: Vec<String> = server.statements().into_iter().filter(|sql| !is_bracket(sql)).collect();
        assert_eq!(
            statements.len(),
            4,
            "one to lock, one for the suppression list, one to queue, one for the clients: {statements:#?}"
        );
    }
    put(server, "FAILED", "TRUE").await;
    server.statements();
    resend(server, json!({ "filter": {} })).await;
    let statements: Vec<String> = server.statements().into_iter().filter(|sql| !is_bracket(sql)).collect();
    assert_eq!(
        statements.len(),
        3,
        "one to lock, one for the suppression list, one to queue: {statements:#?}"
    );
}

/// True if a statement begins or ends a transaction.
fn is_bracket(sql: &str) -> bool {
    ["BEGIN", "COMMIT", "ROLLBACK"].iter().any(|word| sql.starts_with(word))
}
