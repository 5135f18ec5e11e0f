//! Spans and log lines as records of OTLP. The numbers are those of its fields, see
//! <https://github.com/open-telemetry/opentelemetry-proto> (1.x, stable).

use chrono::{DateTime, Utc};
use tracing::Level;

use super::protobuf::Message;
use crate::version;
use clientele_core::trace::{Attribute, AttributeValue, Span, SpanContext, SpanKind};

/// The most bytes of a text. Longer ones are cut off.
const LONGEST_TEXT: usize = 1_024;

/// The parts of an export that are the same for all of a process.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Resource {
    /// `instance` is a text that no other process has.
    pub fn new(service_name: &str, instance: &str) -> Self {
        let attributes = [
            ("service.name", service_name),
            ("service.version", version::NUMBER),
            ("service.instance.id", instance),
        ];
        let attributes = attributes.map(|(key, value)| key_value(key, &text(value)));
        let scope = Message::default().bytes(1, "clientele").bytes(2, version::NUMBER);
        Self {
            resource: Message::default().messages(1, attributes).into_bytes(),
            scope: scope.into_bytes(),
        }
    }

    /// The body of a request with these records, which the queue holds as fields of the innermost message. It is
    /// an `ExportTraceServiceRequest` or an `ExportLogsServiceRequest`, which have the same form.
    pub fn request(&self, records: &[Vec<u8>]) -> Vec<u8> {
        let mut scope = Message::default().bytes(1, &self.scope).into_bytes();
        records.iter().for_each(|record| scope.extend_from_slice(record));
        let resource = Message::default().bytes(1, &self.resource).bytes(2, scope);
        Message::default().message(1, &resource).into_bytes()
    }
}

/// A span as a field of its scope.
pub(super) fn span(span: &Span) -> Vec<u8> {
    let kind = match span.details.kind {
        SpanKind::Server => 2,
        SpanKind::Client => 3,
    };
    let mut message = Message::default()
        .bytes(1, span.context.trace.to_bytes())
        .bytes(2, span.context.span.to_bytes());
    if let Some(parent) = span.parent {
        message = message.bytes(4, parent.to_bytes());
    }
    message = message
        .bytes(5, &*span.details.name)
        .number(6, kind)
        .fixed64(7, nanoseconds(span.start))
        .fixed64(8, nanoseconds(span.end))
        .messages(9, span.details.attributes.iter().map(attribute));
    if span.details.is_failed {
        const ERROR: u64 = 2;
        message = message.message(15, &Message::default().number(3, ERROR));
    }
    as_record(&message.fixed32(16, flags(span.context)))
}

/// A log line. Attributes are added while its fields are read.
#[derive(Debug, Default)]
pub(super) struct LogRecord {
    body: String,
    attributes: Vec<Message>,
}

impl LogRecord {
    pub fn set_body(&mut self, body: impl Into<String>) {
        self.body = body.into();
    }

    pub fn add_text(&mut self, key: &str, value: &str) {
        self.attributes.push(key_value(key, &text(value)));
    }

    pub fn add_number(&mut self, key: &str, value: i64) {
        self.attributes.push(key_value(key, &number(value)));
    }

    pub fn add_fraction(&mut self, key: &str, value: f64) {
        self.attributes
            .push(key_value(key, &Message::default().fixed64(4, value.to_bits())));
    }

    pub fn add_flag(&mut self, key: &str, value: bool) {
        self.attributes
            .push(key_value(key, &Message::default().number(2, value.into())));
    }

    /// The line as a field of its scope.
    pub fn into_record(self, level: Level, at: DateTime<Utc>, context: Option<SpanContext>) -> Vec<u8> {
        let severity = match level {
            Level::TRACE => 1,
            Level::DEBUG => 5,
            Level::INFO => 9,
            Level::WARN => 13,
            Level::ERROR => 17,
        };
        let mut message = Message::default()
            .fixed64(1, nanoseconds(at))
            .number(2, severity)
            .bytes(3, level.as_str())
            .message(5, &text(&self.body))
            .messages(6, self.attributes);
        if let Some(context) = context {
            message = message
                .fixed32(8, flags(context))
                .bytes(9, context.trace.to_bytes())
                .bytes(10, context.span.to_bytes());
        }
        as_record(&message.fixed64(11, nanoseconds(at)))
    }
}

fn as_record(message: &Message) -> Vec<u8> {
    Message::default().message(2, message).into_bytes()
}

fn attribute((key, value): &Attribute) -> Message {
    let value = match value {
        AttributeValue::Text(value) => text(value),
        AttributeValue::Number(value) => number(*value),
    };
    key_value(key, &value)
}

fn key_value(key: &str, value: &Message) -> Message {
    Message::default().bytes(1, key).message(2, value)
}

fn text(text: &str) -> Message {
    Message::default().bytes(1, &text[..text.floor_char_boundary(LONGEST_TEXT)])
}

fn number(number: i64) -> Message {
    Message::default().number(3, number.cast_unsigned())
}

fn flags(context: SpanContext) -> u32 {
    context.is_sampled.into()
}

fn nanoseconds(time: DateTime<Utc>) -> u64 {
    time.timestamp_nanos_opt()
        .and_then(|time| time.try_into().ok())
        .unwrap_or_default()
}
