//! HTTP/2 frame floods and rapid resets.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, routing::get};
use clientele::server::HttpSettings;
use tokio::sync::Semaphore;

use super::{
    exchange,
    http2_frames::{
        CONTINUATION, DATA, END_HEADERS, HEADERS, PING, PRIORITY, Peer, RST_STREAM, SETTINGS, WINDOW_UPDATE, ask,
        frame, get as head,
    },
    reading, serve,
};

/// More than a connection may send.
const MANY: usize = 3_000;
const WINDOW: u32 = 65_535;

async fn others_are_answered(address: SocketAddr) {
    let (status, _) = exchange(address, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!(status, "200 OK");
}

#[tokio::test]
async fn frame_flood_ends_only_its_own_connection() {
    let (address, _net) = serve(HttpSettings::default(), reading()).await;
    let open = frame(HEADERS, END_HEADERS, 1, &head("/"));
    for (flood, once) in [
        (frame(PING, 0, 0, &[0; 8]), vec![]),
        (frame(SETTINGS, 0, 0, &[]), vec![]),
        (frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), vec![]),
        (frame(PRIORITY, 0, 1, &[0; 5]), vec![]),
        (frame(DATA, 0, 1, &[]), open),
        // Frames of an unknown type.
        (frame(0x77, 0, 0, b"x"), vec![]),
    ] {
        let mut peer = Peer::connect(address, WINDOW).await;
        peer.send(&once).await;
        peer.send(&flood.repeat(MANY)).await;
        peer.is_closed().await;
        others_are_answered(address).await;
    }
}

#[tokio::test]
async fn ordinary_frames_are_no_flood() {
    let (address, _net) = serve(HttpSettings::default(), reading()).await;
    let mut peer = Peer::connect(address, WINDOW).await;
    for stream in (1..400).step_by(2) {
        // Far more than a flood has, but the client reads the answers.
        for _ in 0..12 {
            peer.send(&frame(PING, 0, 0, &[0; 8])).await;
            peer.next_of(&[PING]).await.expect("an answer to each");
        }
        peer.send(&ask(stream, "/")).await;
        let answered = peer.next_of(&[DATA]).await.expect("an answer");
        assert_eq!((answered.stream, answered.payload.as_slice()), (stream, &b"0"[..]));
    }
}

#[tokio::test]
async fn endless_head_is_cut_off() {
    let (address, _net) = serve(HttpSettings::default(), reading()).await;
    let mut peer = Peer::connect(address, WINDOW).await;
    // Never indexed, so that none of it can be kept.
    let mut field = vec![0x10, 1, b'x', 0x7f, 0x81, 0x07];
    field.extend([b'a'; 1_024]);
    let mut flood = frame(HEADERS, 0, 1, &head("/"));
    flood.extend(frame(CONTINUATION, 0, 1, &field).repeat(MANY));
    peer.send(&flood).await;
    peer.is_closed().await;
    others_are_answered(address).await;

    let mut peer = Peer::connect(address, WINDOW).await;
    let mut flood = frame(HEADERS, 0, 1, &head("/"));
    flood.extend(frame(CONTINUATION, 0, 1, &[]).repeat(MANY));
    peer.send(&flood).await;
    peer.is_closed().await;
    others_are_answered(address).await;
}

/// CVE-2023-44487.
#[tokio::test]
async fn immediately_reset_requests_end_the_connection() {
    let running = Arc::new(Semaphore::new(0));
    let (begun, handlers) = (running.clone(), Arc::new(()));
    let alive = handlers.clone();
    let wait = get(async move || {
        let _alive = alive;
        begun.add_permits(1);
        std::future::pending::<()>().await;
    });
    let settings = HttpSettings {
        requests: 10,
        queue: 0,
        ..HttpSettings::default()
    };
    let (address, _net) = serve(settings.clone(), Router::new().route("/wait", wait).merge(reading())).await;
    let mut peer = Peer::connect(address, WINDOW).await;
    let cancel = |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    let mut sent = 0;
    for stream in (1..).step_by(2).take(MANY) {
        peer.send(&[ask(stream, "/wait"), cancel(stream)].concat()).await;
        sent += 1;
    }
    peer.is_closed().await;
    assert_eq!(sent, MANY);
    let begun = running.available_permits();
    assert!(begun <= 501, "{begun} of {MANY} requests have begun");
    // Each permit is free again.
    others_are_answered(address).await;

    // A proxy resets streams for its callers; none of them may end the connection of the others.
    let settings = HttpSettings {
        trusted_proxies: vec!["127.0.0.1".parse().expect("a network")],
        ..settings
    };
    let (address, _net) = serve(settings, reading()).await;
    let mut peer = Peer::connect(address, WINDOW).await;
    let streams = (1..).step_by(2).take(1_000);
    for stream in streams {
        // One at a time, as callers go.
        let ping = frame(PING, 0, 0, &[0; 8]);
        peer.send(&[ask(stream, "/"), cancel(stream), ping].concat()).await;
        peer.next_of(&[PING]).await.expect("the connection lives");
    }
    peer.send(&ask(2_001, "/")).await;
    while peer.next_of(&[DATA]).await.expect("an answer").stream != 2_001 {}
}
