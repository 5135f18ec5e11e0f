//! Spans from their beginning to their end, and the decision which traces are recorded.

use std::{
    borrow::Cow,
    fmt,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::context::{SpanContext, SpanId, TraceId};

/// The number of values of a trace id's random part.
const RANDOM_PARTS: f64 = (1_u64 << 56) as f64;

/// Begins spans, and passes those that have ended on.
pub struct Tracer {
    clock: fn() -> DateTime<Utc>,
    /// Traces that begin here are recorded if their random part is at least this. None: nothing is recorded, not even
    /// traces that callers record.
    threshold: Option<u64>,
    sink: Box<dyn Fn(Span) + Send + Sync>,
}

/// A span that has begun. It is recorded when it is [ended](Self::end), and never if it is dropped.
#[derive(Debug)]
pub struct ActiveSpan<'t> {
    tracer: &'t Tracer,
    context: SpanContext,
    parent: Option<SpanId>,
    begun: Instant,
}

/// A span that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub context: SpanContext,
    /// None for the first span of a trace.
    pub parent: Option<SpanId>,
    pub begun: DateTime<Utc>,
    pub ended: DateTime<Utc>,
    pub details: Details,
}

/// The name, kind and attributes of a span. Contains no personal data.
#[derive(Clone, Debug, PartialEq)]
pub struct Details {
    /// One of a small set of names.
    pub name: Cow<'static, str>,
    pub kind: SpanKind,
    pub attributes: Vec<Attribute>,
    /// True if it failed, and this program or the one that it called is at fault.
    pub is_failed: bool,
}

/// The role of a span between two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    Server,
    Client,
}

pub type Attribute = (&'static str, AttributeValue);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    Text(Cow<'static, str>),
    Number(i64),
}

impl From<&'static str> for AttributeValue {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u64> for AttributeValue {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u16> for AttributeValue {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl Tracer {
    /// `ratio` of the traces that begin here are recorded, from 0 to 1; those that callers begin are recorded if the
    /// callers say so. Without a ratio, none are recorded: contexts are still passed on. `sink` gets each recorded span
    /// when it ends, and must not block.
    pub fn new(ratio: Option<f64>, clock: fn() -> DateTime<Utc>, sink: impl Fn(Span) + Send + Sync + 'static) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a ratio from 0 to 1 of 2^56"
        )]
        let threshold = |ratio: f64| ((1.0 - ratio) * RANDOM_PARTS) as u64;
        Self {
            clock,
            threshold: ratio.map(threshold),
            sink: Box::new(sink),
        }
    }

    /// Begins a span.
    pub fn start(&self, parent: Option<SpanContext>) -> ActiveSpan<'_> {
        let (trace, is_sampled) = match parent {
            Some(parent) => (parent.trace, parent.is_sampled && self.threshold.is_some()),
            None => {
                let trace = random_id(TraceId::new);
                let is_sampled = self.threshold.is_some_and(|least| trace.random_part() >= least);
                (trace, is_sampled)
            }
        };
        ActiveSpan {
            tracer: self,
            context: SpanContext {
                trace,
                span: random_id(SpanId::new),
                is_sampled,
            },
            parent: parent.map(|parent| parent.span),
            begun: Instant::now(),
        }
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer")
            .field("threshold", &self.threshold)
            .finish_non_exhaustive()
    }
}

impl ActiveSpan<'_> {
    /// The context for work below this span, here and in other processes.
    pub fn context(&self) -> SpanContext {
        self.context
    }

    /// Ends the span now. `details` is called if the span is recorded.
    pub fn end(self, details: impl FnOnce() -> Details) {
        let elapsed = self.begun.elapsed();
        self.end_after(elapsed, details);
    }

    /// Ends a span whose work took `elapsed` until now.
    pub fn end_after(self, elapsed: Duration, details: impl FnOnce() -> Details) {
        if !self.context.is_sampled {
            return;
        }
        let ended = (self.tracer.clock)();
        let elapsed = TimeDelta::from_std(elapsed).unwrap_or_default();
        (self.tracer.sink)(Span {
            context: self.context,
            parent: self.parent,
            begun: ended.checked_sub_signed(elapsed).unwrap_or(ended),
            ended,
            details: details(),
        });
    }
}

/// An id that isn't 0.
fn random_id<N, I>(new: impl Fn(N) -> Option<I>) -> I
where
    rand::distr::StandardUniform: rand::distr::Distribution<N>,
{
    loop {
        if let Some(id) = new(rand::random()) {
            return id;
        }
    }
}
