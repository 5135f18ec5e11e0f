//! The protocol `graphql-transport-ws`, on the started program.

use serde_json::{Value, json};

use super::{
    ALL, connected, post,
    socket::{Sent, Socket},
    store,
};
use crate::harness::program::Server;

const INIT: &str = r#"{"type":"connection_init"}"#;

#[tokio::test]
async fn changes_before_and_after_the_beginning_are_passed_on_in_order() {
    let server = Server::open(&[]);
    let mut socket = connected(&server, None).await;
    for notes in ["1", "2", "3"] {
        store(&server, None, "a", notes).await;
    }
    socket.subscribe("all", ALL, json!({ "after": "0.0." })).await;
    let mut first = Vec::new();
    for _ in 0..3 {
        first.push(socket.changed("all").await);
    }
    let seen = |changes: &[Value]| -> Vec<String> {
        let changes = changes.iter();
        changes
            .map(|change| format!("{} {}", change["kind"].as_str().expect("a kind"), change["version"]))
            .collect()
    };
    assert_eq!(seen(&first), ["CREATED 1", "CHANGED 2", "CHANGED 3"]);
    store(&server, None, "a", "4").await;
    assert_eq!(seen(&[socket.changed("all").await]), ["CHANGED 4"]);
    // Another subscription continues where the first one was.
    socket
        .subscribe("later", ALL, json!({ "after": first[1]["position"] }))
        .await;
    assert_eq!(
        seen(&[socket.changed("later").await, socket.changed("later").await]),
        ["CHANGED 3", "CHANGED 4"]
    );
    socket.send(json!({ "type": "complete", "id": "all" })).await;
    store(&server, None, "a", "5").await;
    assert_eq!(seen(&[socket.changed("later").await]), ["CHANGED 5"]);
    // The id is free again.
    socket
        .subscribe(
            "all",
            ALL,
            json!({ "after": "0.0.", "filter": { "kinds": ["DELETED"] } }),
        )
        .await;
    socket.send(json!({ "type": "ping" })).await;
    assert_eq!(socket.received().await, json!({ "type": "pong" }));
    let delete = "mutation { deleteClient(input: { by: { clientId: \"a\" } }) { userErrors { code } } }";
    post(&server, None, json!({ "query": delete })).await;
    let mut ids = [socket.received().await, socket.received().await].map(|message| message["id"].to_string());
    ids.sort();
    assert_eq!(ids, ["\"all\"", "\"later\""]);
    assert_eq!(socket.close().await, Sent::Gone);
}

#[tokio::test]
async fn wrong_messages_close_the_socket_with_the_code_of_the_protocol() {
    let server = Server::open(&[]);
    let subscribe = r#"{"type":"subscribe","id":"1","payload":{"query":"subscription { clientChanged { kind } }"}}"#;
    let large = format!(r#"{{"type":"ping","payload":"{}"}}"#, "x".repeat(70_000));
    for (messages, code, reason) in [
        (&[subscribe][..], 4401, "Unauthorized"),
        (&[r#"{"type":"complete","id":"1"}"#], 4401, "Unauthorized"),
        (&[INIT, INIT], 4429, "Too many initialisation requests"),
        (&[INIT, subscribe, subscribe], 4409, "Subscriber for 1 already exists"),
        (&["{"], 4400, "This isn't a message of the protocol"),
        (&[INIT, "[]"], 4400, "This isn't a message of the protocol"),
        (
            &[INIT, r#"{"type":"start"}"#],
            4400,
            "The protocol has no message of this type",
        ),
        (&[INIT, &large], 1009, "The message is too large"),
    ] {
        let mut socket = Socket::open(&server).await;
        for message in messages {
            socket.send_text(message).await;
        }
        let mut end = socket.next().await;
        if messages[0] == INIT {
            assert_eq!(end, Sent::Message(json!({ "type": "connection_ack" })));
            end = socket.next().await;
        }
        assert_eq!(end, Sent::Closed(code, reason.to_owned()), "{:.100?}", messages);
    }
    let mut socket = connected(&server, None).await;
    socket.send_binary().await;
    assert_eq!(
        socket.next().await,
        Sent::Closed(4400, "Messages must be text".to_owned())
    );
    let mut other = Socket::open_with(&server, &[]).await.expect("it opens");
    let reason = "Subprotocol not acceptable: use graphql-transport-ws";
    assert_eq!(other.next().await, Sent::Closed(4406, reason.to_owned()));
}

#[tokio::test]
async fn wrong_subscriptions_fail_and_leave_the_socket_open() {
    let server = Server::open(&[]);
    let mut socket = connected(&server, None).await;
    for (query, variables, code, message) in [
        (
            "subscription { no }",
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
            "Unknown field \"no\" on type \"Subscription\".",
        ),
        (
            "{ clientChanges { position } }",
            json!({}),
            "BAD_REQUEST",
            "A WebSocket takes subscriptions only: send queries and mutations by POST.",
        ),
        (
            "subscription { clientChanged { kind } b: clientChanged { kind } }",
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
            "A subscription must have exactly one field.",
        ),
        (
            "subscription { clientChanged @skip(if: true) { kind } }",
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
            "A subscription must have exactly one field.",
        ),
        (
            ALL,
            json!({ "after": "812" }),
            "BAD_USER_INPUT",
            "`after`: This isn't a position of the change feed: send the position of a page, a change or an export.",
        ),
        (
            ALL,
            json!({ "after": "9.9.a1f0Zq3f-0B_" }),
            "GONE",
            "`after`: The feed has no change at this position: it is of another database, or an earlier state was \
             restored. Start from an export.",
        ),
        (
            ALL,
            json!({ "filter": { "members": ["no"] } }),
            "BAD_USER_INPUT",
            "`filter.members`: A client has no such member. Use names of fields of Client, such as lastName, addresses, \
             idDocuments or customInformation.",
        ),
    ] {
        socket.subscribe("1", query, variables).await;
        assert_eq!(
            socket.failed("1").await,
            (code.to_owned(), message.to_owned()),
            "{query}"
        );
    }
    socket
        .send(json!({ "type": "subscribe", "id": "1", "payload": [] }))
        .await;
    assert_eq!(socket.failed("1").await.0, "BAD_REQUEST");
    // An unknown id may have ended just before.
    socket.send(json!({ "type": "complete", "id": "unknown" })).await;
    for id in 0..100 {
        socket.subscribe(&id.to_string(), ALL, json!({ "after": "0.0." })).await;
    }
    socket.subscribe("101", ALL, json!({})).await;
    let (code, message) = socket.failed("101").await;
    assert_eq!(
        (&*code, &*message),
        ("RATE_LIMITED", "A socket can have at most 100 subscriptions.")
    );
    store(&server, None, "a", "1").await;
    let mut ids: Vec<u32> = Vec::new();
    for _ in 0..100 {
        ids.push(
            socket.received().await["id"]
                .as_str()
                .expect("an id")
                .parse()
                .expect("a number"),
        );
    }
    ids.sort_unstable();
    assert_eq!(ids, Vec::from_iter(0..100));
}

#[tokio::test]
async fn stopping_server_closes_its_sockets() {
    let server = Server::open(&[]);
    let mut idle = connected(&server, None).await;
    let mut open = connected(&server, None).await;
    open.subscribe("1", ALL, json!({ "after": "0.0." })).await;
    let mut early = Socket::open(&server).await;
    server.signal("TERM");
    let closed = Sent::Closed(1001, "The server stops: connect again".to_owned());
    for socket in [&mut idle, &mut open, &mut early] {
        assert_eq!(socket.next().await, closed);
    }
    let (log, code) = server.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("still in progress"), "{log}");
}

/// A server that was killed has passed on nothing that the next one doesn't have, and the next one continues.
#[tokio::test]
async fn subscription_continues_at_another_server_after_a_crash() {
    let server = Server::open(&[]);
    store(&server, None, "a", "1").await;
    let mut socket = connected(&server, None).await;
    socket.subscribe("1", ALL, json!({ "after": "0.0." })).await;
    store(&server, None, "a", "2").await;
    socket.changed("1").await;
    let last = socket.changed("1").await;
    server.signal("KILL");
    assert_eq!(socket.next().await, Sent::Gone);
    let (_, directory) = server.stopped();
    let next = Server::start_in_open(&directory);
    store(&next, None, "a", "3").await;
    let mut socket = connected(&next, None).await;
    socket.subscribe("1", ALL, json!({ "after": last["position"] })).await;
    assert_eq!(socket.changed("1").await["version"], 3);
}
