//! Clients that send slowly.

use std::time::{Duration, Instant};

use clientele::server::HttpSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{connect, exchange, header, parse, reading, rest, serve};

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn missing_body_is_answered_408_in_the_form_of_its_api() {
    let settings = HttpSettings {
        body_timeout: SHORT,
        ..HttpSettings::default()
    };
    let (address, _net) = serve(settings, reading()).await;
    for (path, body) in [
        (
            "/api/clients",
            r#"{"returnCode":4,"returnStatus":"INVALID_PARAMETERS","errorSource":"The body took too long to arrive."}"#,
        ),
        (
            "/graphql",
            concat!(
                r#"{"errors":[{"message":"The body took too long to arrive.","#,
                r#""extensions":{"code":"TIMEOUT","requestId":"ID"}}]}"#
            ),
        ),
        ("/", "The body took too long to arrive.\n"),
    ] {
        for framing in [
            "content-length: 10\r\n\r\nabc",
            "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ] {
            let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\n{framing}");
            let mut stream = connect(address).await;
            stream.write_all(request.as_bytes()).await.expect("sent");
            let answer = rest(&mut stream).await;
            assert_eq!(header(&answer, "connection"), Some("close"), "{path}");
            let (status, answered) = parse(&answer);
            let answered = match answered.split_once("\"requestId\":\"") {
                Some((start, end)) => format!("{start}\"requestId\":\"ID{}", &end[36..]),
                None => answered,
            };
            assert_eq!(
                (status.as_str(), answered.as_str()),
                ("408 Request Timeout", body),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn unfinished_head_is_cut_off() {
    let settings = HttpSettings {
        header_timeout: SHORT,
        ..HttpSettings::default()
    };
    let (address, _net) = serve(settings, reading()).await;
    for start in ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nhost: a\r\nx"] {
        let sent = Instant::now();
        assert_eq!(
            exchange(address, start.as_bytes()).await,
            (String::new(), String::new()),
            "{start}"
        );
        // It does not get time for a shutdown handshake.
        assert!(sent.elapsed() < Duration::from_secs(1), "{start}");
    }
}

#[tokio::test]
async fn second_head_is_timed_from_its_first_byte() {
    let settings = HttpSettings {
        header_timeout: SHORT,
        ..HttpSettings::default()
    };
    let (address, _net) = serve(settings, reading()).await;
    let mut stream = connect(address).await;
    for _ in 0..2 {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .expect("sent");
        let mut answer = vec![0; 4096];
        assert!(stream.read(&mut answer).await.expect("an answer") > 0);
        // Idle time between two requests does not count as a head.
        tokio::time::sleep(SHORT * 2).await;
    }
    stream.write_all(b"GET / HTTP/1.1\r\n").await.expect("sent");
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn idle_connection_is_closed() {
    let settings = HttpSettings {
        idle_timeout: SHORT,
        ..HttpSettings::default()
    };
    let (address, _net) = serve(settings, reading()).await;
    assert_eq!(rest(&mut connect(address).await).await, "");
    let (status, body) = exchange(address, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((status.as_str(), body.as_str()), ("200 OK", "0"));
}
