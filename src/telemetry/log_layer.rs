//! Exports log lines: each event that the filters let through, with the trace of the request that it belongs to.

use std::fmt;

use chrono::{DateTime, Utc};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::{exporter::is_exporting, queue::Sender, records::LogRecord};
use clientele_core::trace;

pub(super) struct LogLayer {
    pub queue: Sender,
    pub clock: fn() -> DateTime<Utc>,
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if is_exporting() {
            return;
        }
        let mut record = Fields::default();
        event.record(&mut record);
        let metadata = event.metadata();
        record.0.add_text("target", metadata.target());
        self.queue.add(
            record
                .0
                .into_record(*metadata.level(), (self.clock)(), trace::current()),
        );
    }
}

/// Fields that stay on standard error, because they have a part of a client's data: the masked recipient of a message
/// that is only logged.
const NOT_EXPORTED: [&str; 1] = ["recipient"];

/// Reads the fields of an event. The field `message` is the body of the record.
#[derive(Default)]
struct Fields(LogRecord);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.0.set_body(value),
            name if NOT_EXPORTED.contains(&name) => {}
            name => self.0.add_text(name, value),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.add_number(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0
            .add_number(field.name(), i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.add_fraction(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.add_flag(field.name(), value);
    }
}
