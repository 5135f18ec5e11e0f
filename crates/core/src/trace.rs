//! Distributed tracing: spans, and the W3C trace context that connects them across processes.
//!
//! The tracer is one for the process, like the subscriber of `tracing`. Until one is [installed](install), no span
//! starts, [`current`] is None and nothing is allocated. Spans are values that end once: code that has no span pays for
//! one atomic load.
//!
//! Attributes hold no personal data: no keys, no texts of callers except checked operation names, no values of
//! statements.

mod context;
mod span;
#[cfg(test)]
mod tests;

use std::{future::Future, sync::OnceLock};

use futures_util::future::Either;

pub use self::{
    context::{SpanContext, SpanId, TRACEPARENT, TraceId},
    span::{ActiveSpan, Attribute, AttributeValue, Details, Span, SpanKind, Tracer},
};

static TRACER: OnceLock<Tracer> = OnceLock::new();

tokio::task_local! {
    /// The span that the current task works for.
    static CURRENT: SpanContext;
}

/// Makes this the tracer of the process. Only the first call has an effect.
pub fn install(tracer: Tracer) {
    let _ = TRACER.set(tracer);
}

/// Starts a span: below `parent`, else as the first of a new trace. None without a tracer.
pub fn start(parent: Option<SpanContext>) -> Option<ActiveSpan<'static>> {
    TRACER.get().map(|tracer| tracer.start(parent))
}

/// Starts a span below one of a caller that isn't authenticated yet, see [`Tracer::start_untrusted`].
pub fn start_untrusted(caller: Option<SpanContext>) -> Option<ActiveSpan<'static>> {
    TRACER.get().map(|tracer| tracer.start_untrusted(caller))
}

/// The span that the current task works for. None without a tracer, and outside any span.
pub fn current() -> Option<SpanContext> {
    TRACER.get()?;
    CURRENT.try_with(|context| *context).ok()
}

/// Runs a future as work for this span. Tasks that it spawns don't inherit the span.
pub fn within<F: Future>(context: Option<SpanContext>, work: F) -> impl Future<Output = F::Output> {
    match context {
        Some(context) => Either::Left(CURRENT.scope(context, work)),
        None => Either::Right(work),
    }
}

/// Does the same for a function.
pub fn within_sync<T>(context: Option<SpanContext>, work: impl FnOnce() -> T) -> T {
    match context {
        Some(context) => CURRENT.sync_scope(context, work),
        None => work(),
    }
}
