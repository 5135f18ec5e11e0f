//! Who may subscribe, and for how long, on the started program.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    ALL, command, connected, create_token,
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
    let (code, _) = ending.failed("1").await;
    let end = ending.next().await;
    assert_eq!(code, "UNAUTHENTICATED");
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
async fn full_server_takes_places_from_the_caller_with_the_most() {
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
