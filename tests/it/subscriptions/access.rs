//! The rights to subscribe, on the started program.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    ALL, PASSWORD, command, connected, create_token,
    socket::{Sent, Socket},
    store,
};
use crate::harness::program::Server;

/// A subscription ends this soon after its caller's rights.
const SOON: Duration = Duration::from_secs(10);

async fn refused(server: &Server, payload: serde_json::Value) -> Sent {
    let mut socket = Socket::open(server).await;
    socket
        .send(json!({ "type": "connection_init", "payload": payload }))
        .await;
    socket.next().await
}

#[tokio::test]
async fn caller_signs_in_with_the_first_message_or_with_headers() {
    let server = Server::start(&[]);
    let (token, _) = create_token(&server, "job", "VIEW_CLIENT");
    let bearer = format!("Bearer {token}");
    for payload in [
        json!({ "authorization": bearer }),
        json!({ "Authorization": bearer }),
        json!({ "apiKey": token }),
        json!({ "headers": { "Authorization": bearer } }),
    ] {
        assert_eq!(
            refused(&server, payload).await,
            Sent::Message(json!({ "type": "connection_ack" }))
        );
    }
    let headers = [
        ("sec-websocket-protocol", "graphql-transport-ws"),
        ("authorization", &*bearer),
    ];
    let mut socket = Socket::open_with(&server, &headers).await.expect("it opens");
    socket.send(json!({ "type": "connection_init" })).await;
    assert_eq!(socket.received().await, json!({ "type": "connection_ack" }));
    let Sent::Closed(code, reason) = refused(&server, json!({})).await else {
        panic!("it isn't closed")
    };
    assert_eq!(code, 4401, "{reason}");
    for payload in [
        json!({ "authorization": "Bearer clt_no" }),
        json!({ "authorization": "Basic no" }),
    ] {
        let end = refused(&server, payload).await;
        assert!(matches!(end, Sent::Closed(4401, _)), "{end:?}");
    }
    let end = refused(&server, json!([])).await;
    assert!(matches!(end, Sent::Closed(4403, _)), "{end:?}");
    let wrong = [
        ("sec-websocket-protocol", "graphql-transport-ws"),
        ("authorization", "Bearer clt_no"),
    ];
    assert_eq!(Socket::open_with(&server, &wrong).await.err(), Some(401));
}

#[tokio::test]
async fn page_of_another_site_opens_no_socket() {
    let server = Server::open(&[("CLIENTELE_CORS__ALLOWED_ORIGINS", "[\"https://app.bank.test\"]")]);
    for (headers, expected) in [
        (&[("origin", "https://evil.test")][..], Some(403)),
        (
            &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")],
            Some(403),
        ),
        (&[("origin", "https://app.bank.test")], None),
        (&[("origin", &*server.address)], None),
        (&[("sec-fetch-site", "same-origin")], None),
    ] {
        let headers = [headers, &[("sec-websocket-protocol", "graphql-transport-ws")]].concat();
        assert_eq!(
            Socket::open_with(&server, &headers).await.err(),
            expected,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn subscription_ends_soon_after_its_token_and_others_go_on() {
    let server = Server::start(&[]);
    let (writer, _) = create_token(&server, "writer", "ALL");
    let (revoked, key) = create_token(&server, "revoked", "VIEW_CLIENT");
    let (other, _) = create_token(&server, "other", "VIEW_CLIENT");
    let mut ending = connected(&server, Some(&revoked)).await;
    let mut going_on = connected(&server, Some(&other)).await;
    store(&server, Some(&writer), "a", "1").await;
    for socket in [&mut ending, &mut going_on] {
        socket.subscribe("1", ALL, json!({ "after": "0.0." })).await;
        assert_eq!(socket.changed("1").await["kind"], "CREATED");
    }
    command(&server, &["token", "revoke", &key]);
    let begun = Instant::now();
    let end = ending.next().await;
    assert!(matches!(end, Sent::Closed(4401, _)), "{end:?}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    store(&server, Some(&writer), "a", "2").await;
    assert_eq!(going_on.changed("1").await["kind"], "CHANGED");
}

#[tokio::test]
async fn permission_to_view_clients_is_required() {
    let server = Server::start(&[]);
    let (token, _) = create_token(&server, "job", "VIEW_MESSAGES");
    let mut socket = connected(&server, Some(&token)).await;
    socket.subscribe("1", ALL, json!({})).await;
    let expected = (
        "FORBIDDEN".to_owned(),
        "This needs the permission VIEW_CLIENT.".to_owned(),
    );
    assert_eq!(socket.failed("1").await, expected);
}

#[tokio::test]
async fn full_server_takes_permits_from_the_caller_with_the_most() {
    let server = Server::start(&[("CLIENTELE_GRAPHQL__SUBSCRIPTIONS", "3")]);
    let (many, _) = create_token(&server, "many", "VIEW_CLIENT");
    let (few, _) = create_token(&server, "few", "VIEW_CLIENT");
    let mut greedy = connected(&server, Some(&many)).await;
    for id in ["1", "2", "3", "4"] {
        greedy.subscribe(id, ALL, json!({})).await;
    }
    let (code, message) = greedy.failed("4").await;
    let full = "The server has as many subscriptions as it can hold. Subscribe again later.";
    assert_eq!((&*code, &*message), ("RATE_LIMITED", full));
    let mut modest = connected(&server, Some(&few)).await;
    modest.subscribe("1", ALL, json!({})).await;
    let (code, message) = greedy.failed("3").await;
    assert_eq!(code, "RATE_LIMITED");
    assert!(message.contains("you have the most of them"), "{message}");
    modest.subscribe("2", ALL, json!({})).await;
    assert_eq!(modest.failed("2").await.1, full);
}

/// Only /graphql waits for the first message of a socket.
#[tokio::test]
async fn other_paths_refuse_a_socket_without_credentials() {
    let server = Server::start(&[]);
    for path in ["/api/clients", "/metrics"] {
        let request = reqwest::Client::new().get(format!("{}{path}", server.address));
        let request = request.header("upgrade", "websocket").header("connection", "upgrade");
        assert_eq!(request.send().await.expect("an answer").status(), 401, "{path}");
    }
}

#[tokio::test]
async fn rights_that_change_and_failures_of_others_end_subscriptions_in_time() {
    let server = Server::start(&[("CLIENTELE_AUTHENTICATION__FAILURES_PER_ADDRESS", "1")]);
    let (writer, _) = create_token(&server, "writer", "ALL");
    command(&server, &["user", "add", "ana", "--permissions", "VIEW_CLIENT"]);
    let (revoked, key) = create_token(&server, "revoked", "VIEW_CLIENT");
    store(&server, Some(&writer), "a", "1").await;
    let basic = reqwest::Client::new()
        .get("http://a")
        .basic_auth("ana", Some(PASSWORD))
        .build()
        .expect("a request");
    let basic = basic.headers()["authorization"].to_str().expect("a text").to_owned();
    let mut changing = Socket::open(&server).await;
    changing
        .send(json!({ "type": "connection_init", "payload": { "authorization": basic } }))
        .await;
    assert_eq!(changing.received().await, json!({ "type": "connection_ack" }));
    let mut ending = connected(&server, Some(&revoked)).await;
    // Without a subscription.
    let mut idle = connected(&server, Some(&revoked)).await;
    for socket in [&mut changing, &mut ending] {
        socket.subscribe("1", ALL, json!({ "after": "0.0." })).await;
        assert_eq!(socket.changed("1").await["kind"], "CREATED");
    }
    // The address has no failures left.
    for _ in 0..3 {
        let end = refused(&server, json!({ "authorization": "Bearer clt_no" })).await;
        assert!(matches!(end, Sent::Closed(4401 | 1013, _)), "{end:?}");
    }
    command(&server, &["token", "revoke", &key]);
    command(&server, &["user", "set", "ana", "--permissions", "VIEW_CLIENT,AUDIT"]);
    let begun = Instant::now();
    for (socket, code) in [(&mut ending, 4401), (&mut idle, 4401), (&mut changing, 4403)] {
        let end = socket.next().await;
        assert!(matches!(&end, Sent::Closed(found, _) if *found == code), "{end:?}");
    }
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}
