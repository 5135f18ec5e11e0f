//! Positions: continuing from each, and refusing those that the feed doesn't have.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{CHANGES, all_after, create, end, page};
use crate::harness::{Settings, TestServer, graphql::store};

on_both!(
    reading_continues_at_each_position,
    positions_of_no_event_are_refused,
    position_of_a_lost_event_is_refused,
    expired_positions_are_refused,
    large_contents_shorten_a_page,
);

async fn reading_continues_at_each_position(server: &TestServer) {
    assert_eq!(end(server).await, "0.0.");
    // One transaction stores several clients, which have one ordinal on PostgreSQL.
    let clients: Vec<Value> = (0..5)
        .map(|number| json!({ "client": { "clientId": format!("m{number}"), "firstName": "Amara", "lastName": "Diaz" } }))
        .collect();
    let many = "mutation($clients: [UpsertClientInput!]!) { upsertClients(input: { clients: $clients }) { userErrors { code } } }";
    let answer = server.graphql(many, json!({ "clients": clients })).await;
    assert_eq!(
        answer.body["data"]["upsertClients"]["userErrors"],
        json!([]),
        "{}",
        answer.text
    );
    create(server, "x").await;
    let all = page(server, json!({ "after": "0.0." })).await;
    let nodes = all["nodes"].as_array().expect("a list");
    assert_eq!(nodes.len(), 6);
    for (at, node) in nodes.iter().enumerate() {
        let rest = page(server, json!({ "after": node["position"] })).await;
        assert_eq!(
            rest["nodes"].as_array().expect("a list"),
            &nodes[at + 1..],
            "after {at}"
        );
        assert_eq!(rest["position"], all["position"]);
    }
    for first in 1..=6 {
        let read = all_after(server, "0.0.", first).await;
        let expected: Vec<(String, i64)> = nodes
            .iter()
            .map(|node| {
                (
                    node["clientKey"].as_str().map(|key| server.reveal(key)).expect("a key"),
                    1,
                )
            })
            .collect();
        assert_eq!(read, expected, "{first}");
    }
    let none = page(server, json!({ "after": all["position"] })).await;
    assert_eq!(
        none,
        json!({ "nodes": [], "position": all["position"], "hasMore": false })
    );
}

/// Asserts the code of the answer to a position.
async fn refused(server: &TestServer, position: &str, code: &str) {
    let answer = server.graphql(CHANGES, json!({ "after": position })).await;
    let error = &answer.body["errors"][0];
    assert_eq!(error["extensions"]["code"], code, "{position}: {}", answer.text);
    assert_eq!(error["extensions"]["path"], json!(["after"]), "{position}");
}

async fn positions_of_no_event_are_refused(server: &TestServer) {
    create(server, "a").await;
    let position = end(server).await;
    let parts: Vec<&str> = position.split('.').collect();
    let [ordinal, number, check] = parts[..] else {
        panic!("{position}")
    };
    let later: i64 = ordinal.parse::<i64>().expect("a number") + 1;
    let other = if check.ends_with('A') { "B" } else { "A" };
    for forged in [
        format!("{later}.{number}.{check}"),
        format!("{ordinal}.{}.{check}", later + 7),
        format!("{ordinal}.{number}.{}{other}", &check[..11]),
        format!("0.1{number}.{check}"),
        format!("9223372036854775807.9223372036854775807.{check}"),
    ] {
        refused(server, &forged, "GONE").await;
    }
    for malformed in [
        "",
        "0",
        "x",
        "eyJhIjoxfQ",
        &format!("{position} "),
        &format!("{ordinal}.{number}."),
    ] {
        refused(server, malformed, "BAD_USER_INPUT").await;
    }
    let foreign = TestServer::start(server.backend, Settings::default())
        .await
        .expect("the same database");
    create(&foreign, "a").await;
    refused(&foreign, &position, "GONE").await;
    foreign.stop().await;
}

/// As after an older backup was restored and other changes were made.
async fn position_of_a_lost_event_is_refused(server: &TestServer) {
    let key = create(server, "a").await;
    let kept = end(server).await;
    store(
        server,
        json!({ "client": { "encodedKey": key, "notes": "lost" } }),
        "version",
    )
    .await;
    let lost = end(server).await;
    let restore = format!(
        "DELETE FROM audit_record WHERE chain = '{key}' AND position = 2; \
         DELETE FROM client_change WHERE client_key = '{key}' AND position = 2; \
         UPDATE client SET version = 1, history_count = 1, history_head = NULL WHERE encoded_key = '{key}'"
    );
    for statement in restore.split("; ") {
        server.write(statement).await.expect("written");
    }
    refused(server, &lost, "GONE").await;
    store(
        server,
        json!({ "client": { "encodedKey": key, "notes": "other" } }),
        "version",
    )
    .await;
    create(server, "b").await;
    refused(server, &lost, "GONE").await;
    assert_eq!(all_after(server, &kept, 10).await.len(), 2);
}

async fn expired_positions_are_refused(server: &TestServer) {
    for id in ["a", "b", "c"] {
        create(server, id).await;
    }
    let all = page(server, json!({})).await;
    let position = |at: usize| all["nodes"][at]["position"].as_str().expect("a position").to_owned();
    let later = |days| chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()) + TimeDelta::days(days);
    let remove = async |days| {
        server
            .services
            .changes
            .remove_expired(later(days))
            .await
            .expect("it answers")
    };
    assert_eq!(remove(89).await, 0);
    let age = "UPDATE client_change SET recorded_at = '2020-01-01T00:00:00.000000Z' WHERE version = 1 AND id < \
        (SELECT max(id) FROM client_change)";
    server.write(age).await.expect("written");
    server.wait_for_changes().await;
    assert_eq!(remove(0).await, 2);
    refused(server, "0.0.", "GONE").await;
    refused(server, &position(0), "GONE").await;
    for after in [json!(null), json!(position(1))] {
        let found = page(server, json!({ "after": after })).await;
        assert_eq!(found["nodes"], json!([all["nodes"][2]]), "{after}");
    }
    // The last change stays, and its position.
    assert_eq!(remove(91).await, 0);
    let none = json!({ "nodes": [], "position": position(2), "hasMore": false });
    assert_eq!(page(server, json!({ "after": position(2) })).await, none);
    let key = create(server, "d").await;
    assert_eq!(all_after(server, &position(2), 10).await, [(key, 1)]);
}

async fn large_contents_shorten_a_page(server: &TestServer) {
    let key = create(server, "a").await;
    for number in 0..4 {
        let input = json!({ "client": { "encodedKey": key, "notes": format!("n{number}") } });
        store(server, input, "version").await;
    }
    // 6 MB each: a page ends with the one that exceeds 8 MiB.
    let (contents, size) = ("[{\"path\":[\"notes\"],\"before\":null,\"after\":\"", 6_000_000);
    let text = match server.backend {
        crate::harness::Backend::Sqlite => format!("'{contents}' || printf('%.*c', {size}, 'x') || '\"}}]'"),
        crate::harness::Backend::Postgres => format!("'{contents}' || repeat('x', {size}) || '\"}}]'"),
    };
    server
        .write(&format!(
            "UPDATE audit_record SET contents = {text} WHERE chain = '{key}'"
        ))
        .await
        .expect("written");
    let (mut after, mut pages) = (json!("0.0."), Vec::new());
    loop {
        let page = page(server, json!({ "after": after })).await;
        pages.push(page["nodes"].as_array().expect("a list").len());
        after = page["position"].clone();
        if page["hasMore"] == false {
            break;
        }
    }
    assert_eq!(pages, [2, 2, 1]);
}
