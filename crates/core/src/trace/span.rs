//! Spans from their start to their end, and the decision which traces are recorded.

use std::{
    borrow::Cow,
    fmt,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::context::{SpanContext, SpanId, TraceId};

/// The number of values of a trace id's random part.
const RANDOM_PARTS: f64 = (1_u64 << 56) as f64;

/// Starts spans, and passes those that have ended on.
pub struct Tracer {
    clock: fn() -> DateTime<Utc>,
    /// Traces that start here are recorded if their random part is at least this. None: nothing is recorded, and the
    /// contexts of callers are passed on unchanged.
    threshold: Option<u64>,
    sink: Box<dyn Fn(Span) + Send + Sync>,
}

/// A span that has started. It is recorded when it is [ended](Self::end), and never if it is dropped.
#[derive(Debug)]
pub struct ActiveSpan<'t> {
    tracer: &'t Tracer,
    context: SpanContext,
    parent: Option<SpanId>,
    start: Instant,
}

/// A span that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub context: SpanContext,
    /// None for the first span of a trace.
    pub parent: Option<SpanId>,
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    pub details: Details,
}

/// The name and the attributes of a span. Must hold no personal data of clients.
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
    /// `ratio` of the traces that start here are recorded, from 0 to 1; those that callers start are recorded if the
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

    /// Starts a span.
    pub fn start(&self, parent: Option<SpanContext>) -> ActiveSpan<'_> {
        let context = match (parent, self.threshold) {
            // A span that isn't recorded must not become the parent of spans in other processes.
            (Some(parent), None) => parent,
            (Some(parent), Some(_)) => SpanContext {
                span: random_id(SpanId::new),
                ..parent
            },
            (None, _) => {
                let trace = random_id(TraceId::new);
                SpanContext {
                    trace,
                    span: random_id(SpanId::new),
                    is_sampled: self.samples(trace),
                }
            }
        };
        ActiveSpan {
            tracer: self,
            context,
            parent: parent.map(|parent| parent.span),
            start: Instant::now(),
        }
    }

    /// Starts a span below one of a caller that isn't authenticated yet. The ratio decides about its trace as well, so
    /// that anonymous callers can't force exports, until [`ActiveSpan::sample`] is called for a trusted one.
    pub fn start_untrusted(&self, caller: Option<SpanContext>) -> ActiveSpan<'_> {
        let mut span = self.start(caller);
        if self.threshold.is_some() && caller.is_some() {
            // Not by the id of the trace, which the caller chooses.
            span.context.is_sampled &= self.samples(random_id(TraceId::new));
        }
        span
    }

    fn samples(&self, trace: TraceId) -> bool {
        self.threshold.is_some_and(|least| trace.random_part() >= least)
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

    /// Records this span, as its caller asks for it and is trusted. Spans below it that have ended stay as they are.
    pub fn sample(&mut self) {
        self.context.is_sampled = true;
    }

    /// Ends the span now. `details` is called if the span is recorded.
    pub fn end(self, details: impl FnOnce() -> Details) {
        let elapsed = self.start.elapsed();
        self.end_after(elapsed, details);
    }

    /// Ends a span whose work took `elapsed` until now.
    pub fn end_after(self, elapsed: Duration, details: impl FnOnce() -> Details) {
        if !self.context.is_sampled || self.tracer.threshold.is_none() {
            return;
        }
        let end = (self.tracer.clock)();
        let elapsed = TimeDelta::from_std(elapsed).unwrap_or_default();
        (self.tracer.sink)(Span {
            context: self.context,
            parent: self.parent,
            start: end.checked_sub_signed(elapsed).unwrap_or(end),
            end,
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
