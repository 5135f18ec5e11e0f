//! The messages of the protocol, and the codes that sockets are closed with.

use std::borrow::Cow;

use axum::extract::ws::Utf8Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite;

use crate::{
    answer::Body,
    error::{Code, GraphqlError},
};

/// Bytes of a subscription's id.
const LONGEST_ID: usize = 128;
/// Bytes of the reason in a close frame.
const LONGEST_REASON: usize = 123;

/// A message of the caller.
#[derive(Debug)]
pub(crate) enum Received {
    Init(Option<Box<RawValue>>),
    /// With the answer to it.
    Ping(Utf8Bytes),
    Subscribe {
        id: String,
        payload: Box<RawValue>,
    },
    Complete(String),
    /// One that needs no answer.
    Other,
}

/// The end of a socket by this server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Close {
    /// A code of the protocol, or of RFC 6455.
    pub code: u16,
    pub reason: String,
}

impl Close {
    pub fn new(code: u16, reason: &str) -> Self {
        let mut end = reason.len().min(LONGEST_REASON);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            code,
            reason: reason[..end].to_owned(),
        }
    }

    /// The end because of a frame that can't be read. None if the connection has ended.
    pub fn of_frame(error: axum::Error) -> Option<Self> {
        use tungstenite::Error::{Capacity, Protocol, Utf8};

        let error = error.into_inner().downcast::<tungstenite::Error>().ok()?;
        match *error {
            Capacity(_) => Some(Self::new(1009, "The message is too large")),
            Utf8(_) => Some(Self::new(1007, "A text must be UTF-8")),
            Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => None,
            Protocol(_) => Some(Self::new(1002, "The frame breaks the protocol of WebSockets")),
            _ => None,
        }
    }

    /// The end because of an error with the caller.
    pub fn of(error: &GraphqlError) -> Self {
        let code = match error.code {
            Code::Unauthenticated => 4401,
            Code::RateLimited | Code::Unavailable | Code::Timeout => 1013,
            Code::Internal => 4500,
            _ => 4403,
        };
        Self::new(code, &error.message)
    }
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    payload: Option<Box<RawValue>>,
}

impl Received {
    /// # Errors
    /// It isn't a message of the protocol.
    pub fn read(text: &str) -> Result<Self, Close> {
        let invalid = |reason: &str| Close::new(4400, reason);
        let raw: Raw<'_> = serde_json::from_str(text).map_err(|_| invalid("This isn't a message of the protocol"))?;
        let payload = raw.payload.filter(|payload| payload.get() != "null");
        let id = || match raw.id.as_deref() {
            Some(id) if !id.is_empty() && id.len() <= LONGEST_ID => Ok(id.to_owned()),
            _ => Err(invalid("The message needs an id of 1 to 128 bytes")),
        };
        Ok(match &*raw.kind {
            "connection_init" => Self::Init(payload),
            "ping" => Self::Ping(pong(payload.as_deref())),
            "pong" => Self::Other,
            "complete" => Self::Complete(id()?),
            "subscribe" => Self::Subscribe {
                id: id()?,
                payload: payload.ok_or_else(|| invalid("The message subscribe needs a payload"))?,
            },
            _ => return Err(invalid("The protocol has no message of this type")),
        })
    }
}

fn pong(payload: Option<&RawValue>) -> Utf8Bytes {
    match payload {
        None => "{\"type\":\"pong\"}".into(),
        Some(payload) => format!("{{\"type\":\"pong\",\"payload\":{}}}", payload.get()).into(),
    }
}

pub(super) fn complete(id: &str) -> Utf8Bytes {
    format!("{{\"type\":\"complete\",\"id\":{}}}", serde_json::json!(id)).into()
}

/// A message with JSON in it.
pub(super) fn with_payload(kind: &str, id: &str, payload: &Body) -> Utf8Bytes {
    let head = format!("{{\"type\":\"{kind}\",\"id\":{},\"payload\":", serde_json::json!(id));
    let bytes = [head.as_bytes(), &*payload.to_vec(), b"}"].concat();
    // JSON is UTF-8.
    String::from_utf8(bytes).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::{Close, Received};

    #[test]
    fn messages_of_the_protocol_are_read() {
        for (text, expected) in [
            (r#"{"type":"connection_init"}"#, "Ok(Init(None))"),
            (r#"{"type":"connection_init","payload":null}"#, "Ok(Init(None))"),
            (
                r#"{"type":"connection_init","payload":{"a":1}}"#,
                r#"Ok(Init(Some(RawValue({"a":1}))))"#,
            ),
            (r#"{"type":"ping"}"#, r#"Ok(Ping(Utf8Bytes((b"{\"type\":\"pong\"}"))))"#),
            (r#"{"type":"pong","payload":{}}"#, "Ok(Other)"),
            (r#"{"type":"complete","id":"1"}"#, r#"Ok(Complete("1"))"#),
            (
                r#"{"id":"1","type":"subscribe","payload":{"query":"x"}}"#,
                r#"Ok(Subscribe { id: "1", payload: RawValue({"query":"x"}) })"#,
            ),
        ] {
            let read = format!("{:?}", Received::read(text));
            assert_eq!(read.replace("Utf8Bytes(Utf8Bytes", "Utf8Bytes("), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_close_the_socket() {
        let long = format!(r#"{{"type":"complete","id":"{}"}}"#, "a".repeat(129));
        for text in [
            "",
            "{",
            "[]",
            "1",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"start","id":"1","payload":{}}"#,
            r#"{"type":"subscribe","payload":{}}"#,
            r#"{"type":"subscribe","id":"","payload":{}}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","id":1,"payload":{}}"#,
            r#"{"type":"complete"}"#,
            r#"{"type":"ping","type":"ping"}"#,
            &long,
        ] {
            let read = Received::read(text);
            assert!(matches!(&read, Err(Close { code: 4400, .. })), "{text}: {read:?}");
        }
    }

    #[test]
    fn reason_fits_into_a_close_frame() {
        for length in [0, 1, 122, 123, 124, 300] {
            let reason = "ä".repeat(length);
            let close = Close::new(4400, &reason);
            assert!(
                close.reason.len() <= 123 && reason.starts_with(&close.reason),
                "{length}"
            );
        }
    }
}
