//! An OpenTelemetry collector: receives OTLP by HTTP in the binary format, and fails on request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Book, PATIENCE};

/// The collector's behaviour for the next export, which is recorded in any case.
#[derive(Clone, Copy, Debug)]
pub enum Collecting {
    Accept,
    Answer(u16),
    /// Accepts the export, and rejects this number of its records.
    Reject(u8),
    /// Sends no answer.
    Hang,
}

/// An export that has come in.
#[derive(Clone, Debug)]
pub struct Export {
    /// `/v1/traces` or `/v1/logs`.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A span of an export.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenSpan {
    pub trace: String,
    pub span: String,
    pub parent: Option<String>,
    pub name: String,
    /// 2 for a server's and 3 for a client's.
    pub kind: u64,
    pub start: u64,
    pub end: u64,
    pub attributes: BTreeMap<String, Value>,
    pub is_failed: bool,
}

/// A log line of an export.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenLine {
    pub severity: String,
    pub body: String,
    pub trace: Option<String>,
    pub span: Option<String>,
    pub attributes: BTreeMap<String, Value>,
}

#[derive(Debug)]
pub struct CollectorPeer {
    pub address: SocketAddr,
    book: Arc<Book<Collecting, Export>>,
    serving: JoinHandle<()>,
}

impl CollectorPeer {
    pub async fn start(behaviour: Collecting) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let book = Arc::new(Book::new(behaviour));
        let kept = book.clone();
        let answer = async move |request: Request| {
            let (head, body) = request.into_parts();
            let body = to_bytes(body, usize::MAX).await.expect("a body");
            kept.record(Export {
                path: head.uri.path().to_owned(),
                headers: head.headers,
                body,
            });
            match kept.next(|_| true).expect("every behaviour fits") {
                Collecting::Accept => StatusCode::OK.into_response(),
                Collecting::Answer(status) => StatusCode::from_u16(status).expect("a status").into_response(),
                // The field partial_success with the number of rejected records.
                Collecting::Reject(records) => vec![0x0a, 0x02, 0x08, records].into_response(),
                Collecting::Hang => std::future::pending().await,
            }
        };
        let router = Router::new().fallback(answer);
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self { address, book, serving }
    }

    /// The setting of its address.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Each once, in this order, before what was set.
    pub fn once(&self, behaviours: impl IntoIterator<Item = Collecting>) {
        self.book.once(behaviours);
    }

    /// Every export so far.
    pub fn exports(&self) -> Vec<Export> {
        self.book.all()
    }

    /// The exports, as soon as there are enough.
    pub async fn until(&self, are_enough: impl Fn(&[Export]) -> bool) -> Vec<Export> {
        let mut count = self.book.count.subscribe();
        // The book must not be read under the lock of the count: recording takes both.
        let arriving = async {
            while !are_enough(&self.book.all()) {
                count.changed().await.expect("the book is open");
            }
        };
        let arrived = tokio::time::timeout(PATIENCE, arriving).await.is_ok();
        assert!(
            arrived,
            "not exported within {PATIENCE:?}: {:?}",
            spans(&self.exports())
        );
        self.exports()
    }
}

impl Drop for CollectorPeer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The spans of exports, in the order in which they ended.
pub fn spans(exports: &[Export]) -> Vec<SeenSpan> {
    let records = records(exports, "/v1/traces");
    records.iter().map(span).collect()
}

pub fn lines(exports: &[Export]) -> Vec<SeenLine> {
    let records = records(exports, "/v1/logs");
    records.iter().map(line).collect()
}

/// The attributes of the process in each export, which are all the same.
pub fn resource(exports: &[Export]) -> BTreeMap<String, Value> {
    let resources = exports.iter().map(|export| {
        let resource = Message::read(&export.body).message(1).message(1);
        attributes(&resource, 1)
    });
    let mut resources: Vec<_> = resources.collect();
    resources.dedup();
    assert_eq!(resources.len(), 1, "{resources:?}");
    resources.remove(0)
}

fn records(exports: &[Export], path: &str) -> Vec<Message> {
    let bodies = exports.iter().filter(|export| export.path == path);
    let scopes = bodies.map(|export| Message::read(&export.body).message(1).message(2));
    scopes.flat_map(|scope| scope.messages(2)).collect()
}

fn span(record: &Message) -> SeenSpan {
    SeenSpan {
        trace: hex(record.bytes(1).expect("a trace id")),
        span: hex(record.bytes(2).expect("a span id")),
        parent: record.bytes(4).map(hex),
        name: record.text(5),
        kind: record.number(6).expect("a kind"),
        start: record.number(7).expect("a time"),
        end: record.number(8).expect("a time"),
        attributes: attributes(record, 9),
        is_failed: record.messages(15).iter().any(|status| status.number(3) == Some(2)),
    }
}

fn line(record: &Message) -> SeenLine {
    SeenLine {
        severity: record.text(3),
        body: record.message(5).text(1),
        trace: record.bytes(9).map(hex),
        span: record.bytes(10).map(hex),
        attributes: attributes(record, 6),
    }
}

fn attributes(record: &Message, field: u64) -> BTreeMap<String, Value> {
    let pairs = record.messages(field).into_iter().map(|pair| {
        let value = pair.message(2);
        let value = match value.0.first() {
            Some((1, Part::Bytes(_))) => json!(value.text(1)),
            Some((2, Part::Number(flag))) => json!(*flag == 1),
            Some((3, Part::Number(number))) => json!(number.cast_signed()),
            Some((4, Part::Number(bits))) => json!(f64::from_bits(*bits)),
            other => panic!("a value that isn't known: {other:?}"),
        };
        (pair.text(1), value)
    });
    pairs.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A message of Protocol Buffers: its fields with their numbers.
#[derive(Debug)]
struct Message(Vec<(u64, Part)>);

#[derive(Debug)]
enum Part {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Message {
    fn read(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let part = match key & 7 {
                0 => Part::Number(varint(&mut bytes)),
                1 => Part::Number(fixed(&mut bytes, 8)),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)).expect("a length");
                    let (part, rest) = bytes.split_at(length);
                    bytes = rest;
                    Part::Bytes(part.to_vec())
                }
                5 => Part::Number(fixed(&mut bytes, 4)),
                kind => panic!("a kind of field that isn't known: {kind}"),
            };
            fields.push((key >> 3, part));
        }
        Self(fields)
    }

    fn number(&self, field: u64) -> Option<u64> {
        self.0.iter().find_map(|(of, part)| match part {
            Part::Number(number) if *of == field => Some(*number),
            _ => None,
        })
    }

    fn all_bytes(&self, field: u64) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter_map(move |(of, part)| match part {
            Part::Bytes(bytes) if *of == field => Some(bytes.as_slice()),
            _ => None,
        })
    }

    fn bytes(&self, field: u64) -> Option<&[u8]> {
        self.all_bytes(field).next()
    }

    fn text(&self, field: u64) -> String {
        String::from_utf8(self.bytes(field).expect("a text").to_vec()).expect("UTF-8")
    }

    fn messages(&self, field: u64) -> Vec<Self> {
        self.all_bytes(field).map(Self::read).collect()
    }

    fn message(&self, field: u64) -> Self {
        let mut all = self.messages(field);
        assert_eq!(all.len(), 1, "one field {field}");
        all.remove(0)
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for at in 0.. {
        let (byte, rest) = bytes.split_first().expect("the rest of a number");
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return number;
        }
    }
    unreachable!("a number ends")
}

fn fixed(bytes: &mut &[u8], length: usize) -> u64 {
    let (number, rest) = bytes.split_at(length);
    *bytes = rest;
    number
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
