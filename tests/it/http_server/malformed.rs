//! Malformed HTTP/1: each request gets a 4xx and its connection is closed.

use std::sync::Arc;

use axum::routing::get;
use clientele::server::HttpSettings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Semaphore,
};

use super::{connect, exchange, parse, reading, rest, serve};

#[tokio::test]
async fn malformed_requests_are_refused_and_disconnected() {
    let (address, _net) = serve(HttpSettings::default(), reading()).await;
    let post = "POST / HTTP/1.1\r\nhost: a\r\n";
    let many: String = (0..101).map(|number| format!("x-{number}: 1\r\n")).collect();
    for (case, request, status) in [
        ("no method", "\x01\x02\x03\r\n\r\n".to_owned(), "400 Bad Request"),
        ("no version", "GET /\r\n\r\n".into(), "400 Bad Request"),
        ("a version to come", "GET / HTTP/7.0\r\n\r\n".into(), "400 Bad Request"),
        (
            "a space too many",
            "GET  / HTTP/1.1\r\nhost: a\r\n\r\n".into(),
            "400 Bad Request",
        ),
        (
            "a name with a space",
            "GET / HTTP/1.1\r\nho st: a\r\n\r\n".into(),
            "400 Bad Request",
        ),
        (
            "a folded header",
            "GET / HTTP/1.1\r\nhost: a\r\n b\r\n\r\n".into(),
            "400 Bad Request",
        ),
        ("no host", "GET / HTTP/1.1\r\n\r\n".into(), "400 Bad Request"),
        (
            "two hosts",
            "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n".into(),
            "400 Bad Request",
        ),
        (
            "two hosts of the old protocol",
            "GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n".into(),
            "400 Bad Request",
        ),
        (
            "a host that is none",
            "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n".into(),
            "400 Bad Request",
        ),
        (
            "a host that can't be read",
            "GET / HTTP/1.1\r\nhost: ä\r\n\r\n".into(),
            "400 Bad Request",
        ),
        ("a NUL", "GET / HTTP/1.1\r\nhost: a\0\r\n\r\n".into(), "400 Bad Request"),
        (
            "TLS",
            "\x16\x03\x01\x02\x00\x01\x00\x01\x03\x03\r\n\r\n".into(),
            "400 Bad Request",
        ),
        (
            "a length of no number",
            format!("{post}content-length: x\r\n\r\n"),
            "400 Bad Request",
        ),
        (
            "a negative length",
            format!("{post}content-length: -1\r\n\r\n"),
            "400 Bad Request",
        ),
        (
            "a length too large",
            format!("{post}content-length: 99999999999999999999\r\n\r\n"),
            "400 Bad Request",
        ),
        (
            "two lengths",
            format!("{post}content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
            "400 Bad Request",
        ),
        (
            "an unknown coding",
            format!("{post}transfer-encoding: gzip\r\n\r\n"),
            "400 Bad Request",
        ),
        (
            "a bad chunk",
            format!("{post}transfer-encoding: chunked\r\n\r\nzz\r\nabc"),
            "400 Bad Request",
        ),
        (
            "a header too long",
            format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(20_000)),
            "431 Request Header Fields Too Large",
        ),
        (
            "too many headers",
            format!("GET / HTTP/1.1\r\n{many}\r\n"),
            "431 Request Header Fields Too Large",
        ),
        (
            "an address too long",
            format!("GET /{}", "a".repeat(20_000)),
            "431 Request Header Fields Too Large",
        ),
    ] {
        let (answered, _) = exchange(address, request.as_bytes()).await;
        assert_eq!(answered, status, "{case}");
    }
    let (answered, _) = exchange(address, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!(answered, "200 OK", "the server lives");
}

/// RFC 9112 §6.1: the length and the chunks describe different requests.
#[tokio::test]
async fn length_with_chunks_is_refused_and_disconnected() {
    let (address, _net) = serve(HttpSettings::default(), reading()).await;
    for headers in [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 400",
    ] {
        let request = format!(
            "POST / HTTP/1.1\r\nhost: a\r\n{headers}\r\n\r\n2\r\nab\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"
        );
        let refused = ("400 Bad Request".to_owned(), String::new());
        assert_eq!(exchange(address, request.as_bytes()).await, refused, "{headers}");

        // The same after a request that was answered, or sent in one piece with it.
        let earlier = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab";
        let mut stream = connect(address).await;
        stream.write_all(earlier.as_bytes()).await.expect("sent");
        assert!(stream.read(&mut [0; 4096]).await.expect("an answer") > 0);
        stream.write_all(request.as_bytes()).await.expect("sent");
        assert_eq!(parse(&rest(&mut stream).await), refused, "{headers}");
        let (status, both) = exchange(address, format!("{earlier}{request}").as_bytes()).await;
        assert_eq!(status, "200 OK");
        assert!(both.starts_with("2HTTP/1.1 400 Bad Request\r\n"), "{both}");
        assert_eq!(both.matches("HTTP/1.1").count(), 1, "{both}");
    }
}

const BAD_REQUEST: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n";

/// RFC 9112 §2.2 lets a recipient accept LF as the end of a line. A proxy in front of this server may not.
#[tokio::test]
async fn line_without_cr_lf_is_refused_and_disconnected() {
    let (address, _net) = serve(HttpSettings::default(), reading()).await;
    let next = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    for head in [
        "GET / HTTP/1.1\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\n",
        "\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\n\r\nab",
    ] {
        let mut stream = connect(address).await;
        stream
            .write_all(format!("{head}{next}").as_bytes())
            .await
            .expect("sent");
        let answer = rest(&mut stream).await;
        let (head_of_answer, body) = answer.split_once("\r\n\r\n").expect("an answer");
        assert!(
            format!("{head_of_answer}\r\n").starts_with(BAD_REQUEST),
            "{head:?}: {answer}"
        );
        assert_eq!(body, "", "{head:?}: nothing else is answered");
    }
    // The parser refuses these itself.
    for head in [
        "GET / HTTP/1.1\rhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\rx: y\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\r\n\r\n",
        "GET /\r HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let (status, body) = exchange(address, format!("{head}{next}").as_bytes()).await;
        assert_eq!((status.as_str(), body.as_str()), ("400 Bad Request", ""), "{head:?}");
    }
}

/// The parser reads ahead while a request is being answered: that input is checked too.
#[tokio::test]
async fn pipelined_malformed_request_is_refused_too() {
    let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (has_begun, end) = (begun.clone(), may_end.clone());
    let wait = get(async move || {
        has_begun.add_permits(1);
        end.acquire().await.expect("open").forget();
        "done"
    });
    let (address, _net) = serve(HttpSettings::default(), reading().route("/wait", wait)).await;
    for smuggled in [
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\n\r\n",
    ] {
        let mut stream = connect(address).await;
        stream
            .write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .expect("sent");
        begun.acquire().await.expect("open").forget();
        stream.write_all(smuggled.as_bytes()).await.expect("sent");
        // A second request, to be sure that the first was read.
        assert_eq!(
            exchange(address, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                .await
                .0,
            "200 OK"
        );
        may_end.add_permits(1);
        let answers = rest(&mut stream).await;
        assert!(answers.starts_with("HTTP/1.1 200 OK\r\n"), "{answers}");
        let (_, second) = answers.split_once("\r\n\r\ndone").expect("the first answer");
        assert!(second.starts_with(BAD_REQUEST), "{answers}");
    }
}
