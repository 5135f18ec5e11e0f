use proptest::{
    prelude::{Strategy, any, prop_oneof},
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};

use super::{Body, Http1Framing};
use crate::tests::fuzzing;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const LENGTH: &str = "POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nab";
const CHUNKS: &str = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\na\nb\r\n0\r\nx: y\r\n\r\n";

fn post(headers: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\n{headers}\r\n\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("transfer-encoding: chunked", body)
}

/// The bodies of the sound heads of a connection, and the number of bytes that hyper may read.
fn read(bytes: &str, size: usize) -> (Vec<Body>, usize) {
    let mut framing = Http1Framing::default();
    let sound = bytes.as_bytes().chunks(size).map(|bytes| framing.read(bytes)).sum();
    let bodies: Vec<Body> = framing.complete.iter().copied().collect();
    for body in &bodies {
        let length = match body {
            Body::Length(length) => Some(*length),
            Body::Chunked => None,
        };
        assert!(framing.accept(length), "{bytes:?}");
    }
    assert!(!framing.accept(Some(0)), "{bytes:?}: another request");
    (bodies, sound)
}

#[test]
fn sound_requests_are_followed_to_their_ends() {
    let long = format!("GET /{} HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(300), "b".repeat(300));
    let (none, two) = (Body::Length(0), Body::Length(2));
    for (bytes, bodies) in [
        (GET.to_owned(), &[none][..]),
        (format!("{GET}{LENGTH}{CHUNKS}{GET}"), &[none, two, Body::Chunked, none]),
        (format!("\r\n{LENGTH}\r\n{long}{GET}"), &[two, none, none]),
        (post("content-length: 2\r\ncontent-length: 2", "ab"), &[two]),
        (post(&format!("content-length:{}2", " ".repeat(500)), "ab"), &[two]),
        (post("Transfer-Encoding: Chunked", "0\r\n\r\n"), &[Body::Chunked]),
        (chunked("0000000000000001\r\na\r\n0\r\n\r\n"), &[Body::Chunked]),
    ] {
        // However the bytes are cut.
        for size in [1, 2, 7, bytes.len()] {
            assert_eq!(
                read(&bytes, size),
                (bodies.to_vec(), bytes.len()),
                "{bytes:?} in reads of {size}"
            );
        }
    }
}

#[test]
fn unsound_heads_are_refused_with_all_that_follows() {
    let blanks = " ".repeat(47);
    for head in [
        post("content-length: 4\r\ntransfer-encoding: chunked", ""),
        post("transfer-encoding: chunked\r\ncontent-length:4", ""),
        post("transfer-encoding: gzip, chunked", ""),
        post("transfer-encoding: chunked, chunked", ""),
        post("transfer-encoding: chunked\r\ntransfer-encoding: chunked", ""),
        post("transfer-encoding: gzip\r\ntransfer-encoding: chunked", ""),
        post("transfer-encoding: identity", ""),
        post("transfer-encoding:", ""),
        post("transfer-encoding: chunked;q=1", ""),
        post("transfer-encoding:\r\n chunked", ""),
        post("transfer-encoding : chunked", ""),
        post("transfer-encoding: chunked", "").replace("1.1", "1.0"),
        post(&format!("content-length:{blanks}40x"), ""),
        post("content-length: 2\r\ncontent-length: 3", "ab"),
        post("content-length: 2, 2", "ab"),
        post("content-length: +2", "ab"),
        post("content-length: 0x2", "ab"),
        post("content-length:", "ab"),
        post("content-length: 18446744073709551616", ""),
        "GET / HTTP/1.1\nhost: a\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nhost: a\n\r\n".into(),
        "GET / HTTP/1.1\r\nhost: a\r\n\n".into(),
        format!("\n{GET}"),
        "GET / HTTP/1.1\r\nhost: a\rb: c\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nhost: a\r\r\n\r\n".into(),
        "GET / HTTP/2.0\r\nhost: a\r\n\r\n".into(),
    ] {
        let bytes = format!("{LENGTH}{head}{GET}");
        for size in [1, 7, bytes.len()] {
            // hyper reads on, to answer them.
            assert_eq!(
                read(&bytes, size),
                (vec![Body::Length(2)], bytes.len()),
                "{bytes:?} in reads of {size}"
            );
        }
    }
}

#[test]
fn unsound_chunks_never_reach_the_parser() {
    for (body, sound) in [
        ("zz\r\nab\r\n", 0),
        ("\r\n", 0),
        ("00000000000000001\r\na\r\n", 16),
        ("2 \r\nab\r\n", 1),
        ("0x2\r\nab\r\n", 1),
        ("2\nab\r\n", 1),
        ("2;a\nb\r\nab\r\n", 3),
        ("2\r\nabc\r\n", 5),
        ("2\r\nab\n0\r\n\r\n", 5),
        ("0\r\n\n", 3),
        ("0\r\nx: y\n\r\n", 7),
        ("0\r\nx: y\r\r\n", 8),
    ] {
        let bytes = format!("{}{GET}", chunked(body));
        let sound = chunked("").len() + sound;
        for size in [1, 7, bytes.len()] {
            assert_eq!(
                read(&bytes, size),
                (vec![Body::Chunked], sound),
                "{bytes:?} in reads of {size}"
            );
        }
    }
}

#[test]
fn request_whose_length_hyper_reads_otherwise_is_refused() {
    for (bytes, length) in [(LENGTH, Some(3)), (LENGTH, None), (CHUNKS, Some(0))] {
        let mut framing = Http1Framing::default();
        framing.read(format!("{bytes}{GET}").as_bytes());
        assert!(!framing.accept(length), "{bytes:?}");
        assert!(!framing.accept(Some(0)), "{bytes:?}: nor the next");
    }
}

#[test]
fn head_is_incomplete_from_its_first_byte_and_body_is_not() {
    let mut framing = Http1Framing::default();
    for (bytes, is_waiting) in [
        ("", false),
        ("P", true),
        ("OST / HTTP/1.1\r\n", true),
        ("content-length: 2\r\n", true),
        ("\r\n", false),
        ("a", false),
        ("b", false),
        ("\r\n", false),
        ("G", true),
    ] {
        assert_eq!(framing.read(bytes.as_bytes()), bytes.len());
        assert_eq!(framing.is_waiting(), is_waiting, "{bytes:?}");
    }
}

#[test]
fn http2_begins_after_the_first_line_of_its_preface() {
    for size in [1, 5, 40] {
        let (mut framing, mut sound) = (Http1Framing::default(), 0);
        for bytes in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes".chunks(size) {
            sound += framing.read(bytes);
        }
        assert_eq!(sound, "PRI * HTTP/2.0\r\n".len());
        assert!(framing.is_http2() && !framing.is_waiting());
    }
    for earlier in ["\r\n", GET] {
        let mut framing = Http1Framing::default();
        framing.read(format!("{earlier}PRI * HTTP/2.0\r\n\r\n").as_bytes());
        assert!(!framing.is_http2(), "after {earlier:?}");
    }
}

/// Requests whose framing is often a little wrong.
fn connections() -> impl Strategy<Value = Vec<u8>> {
    let line = select(vec![
        "GET / HTTP/1.1",
        "POST /a HTTP/1.1",
        "POST / HTTP/1.0",
        "CONNECT a:1 HTTP/1.1",
        "PRI * HTTP/2.0",
        "HEAD * HTTP/1.1",
    ]);
    let header = select(vec![
        "host: a",
        "content-length: 3",
        "content-length: 0",
        "content-length: 03",
        "content-length:\t3 ",
        "content-length: 3,3",
        "content-length: +3",
        "content-length: 40",
        "Content-Length:                                                  3",
        "transfer-encoding: chunked",
        "Transfer-Encoding: CHUNKED",
        "transfer-encoding:chunked ",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: identity",
        "transfer-encoding : chunked",
        " folded: 1",
        "connection: close",
        "connection: keep-alive",
        "connection: upgrade\r\nupgrade: h2c",
        "expect: 100-continue",
        "x: \u{e9}",
        "x:",
        ":",
        "x\0: y",
    ]);
    let body = select(vec![
        "",
        "abc",
        "3\r\nabc\r\n0\r\n\r\n",
        "0\r\n\r\n",
        "3;x=\"y\"\r\nabc\r\n0\r\nt: u\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "0000000000000000000000000000000000000000000000000000000000000000000000003\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\ncontent-length: 3\r\n\r\n",
        "ffffffffffffffff\r\nabc",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\n\n",
        "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n00\r\nt: u\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
    ]);
    let end = || {
        select(vec![
            "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n", "",
        ])
    };
    let headers = proptest::collection::vec((header, end()), 0..4);
    let request = (line, end(), headers, end(), body).prop_map(|(line, end, headers, empty, body)| {
        let headers: String = headers.iter().flat_map(|(header, end)| [*header, *end]).collect();
        format!("{line}{end}{headers}{empty}{body}")
    });
    let sound = select(vec![GET, LENGTH, CHUNKS, "\r\n"]).prop_map(str::to_owned);
    let requests = proptest::collection::vec(prop_oneof![sound, request], 1..5);
    let changes = proptest::collection::vec((any::<Index>(), select(b"\r\n 0:;a\t\0,".to_vec()), 0..3_u8), 0..3);
    (requests, changes).prop_map(|(requests, changes)| {
        let mut bytes = requests.concat().into_bytes();
        bytes.push(b'\n');
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

/// `PROPTEST_CASES` sets the number of connections.
#[test]
fn hyper_sees_the_requests_that_the_check_accepts() {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    let cases = cases.unwrap_or(2_000);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let (accepted, connections_accepted) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let run = TestRunner::new(config).run(&connections(), |bytes| {
        let requests = fuzzing::framing(&bytes);
        accepted.set(accepted.get() + requests);
        connections_accepted.set(connections_accepted.get() + usize::from(requests > 0));
        Ok(())
    });
    println!(
        "{cases} connections, {} with accepted requests, {} requests",
        connections_accepted.get(),
        accepted.get()
    );
    assert_eq!(run, Ok(()));
    assert!(
        connections_accepted.get() > cases as usize / 4,
        "most connections are refused at once"
    );
}
