//! Tests of sampling, and of contexts across tasks.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::{
    CURRENT, Details, Span, SpanContext, SpanKind, Tracer,
    context::{SpanId, TraceId},
    within,
};

type Recorded = Arc<Mutex<Vec<Span>>>;

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_796_040_000, 0).expect("a time")
}

fn tracer(ratio: Option<f64>) -> (Tracer, Recorded) {
    let recorded = Recorded::default();
    let sink = recorded.clone();
    let tracer = Tracer::new(ratio, noon, move |span| sink.lock().expect("no panic").push(span));
    (tracer, recorded)
}

fn details() -> Details {
    Details {
        name: "work".into(),
        kind: SpanKind::Server,
        attributes: vec![("number", 7_u16.into())],
        is_failed: false,
    }
}

fn of_caller(is_sampled: bool) -> SpanContext {
    SpanContext {
        trace: TraceId::new(7).expect("not 0"),
        span: SpanId::new(8).expect("not 0"),
        is_sampled,
    }
}

#[test]
fn span_has_the_parents_trace_an_id_of_its_own_and_its_time() {
    let (tracer, recorded) = tracer(Some(0.0));
    let span = tracer.start(Some(of_caller(true)));
    let context = span.context();
    span.end_after(Duration::from_millis(1_500), details);
    let recorded = recorded.lock().expect("no panic");
    let start = noon() - Duration::from_millis(1_500);
    assert_eq!(
        *recorded,
        [Span {
            context,
            parent: Some(of_caller(true).span),
            start,
            end: noon(),
            details: details()
        }]
    );
    assert_eq!(context.trace, of_caller(true).trace);
    assert_ne!(context.span, of_caller(true).span);
}

#[test]
fn callers_decide_about_their_traces_and_the_ratio_about_others() {
    for (ratio, of_sampled, of_unsampled, of_none) in [(Some(1.0), true, false, true), (Some(0.0), true, false, false)]
    {
        let (tracer, recorded) = tracer(ratio);
        let parents = [Some(of_caller(true)), Some(of_caller(false)), None];
        for (parent, is_sampled) in parents.into_iter().zip([of_sampled, of_unsampled, of_none]) {
            let span = tracer.start(parent);
            assert_eq!(span.context().is_sampled, is_sampled, "{ratio:?} {parent:?}");
            span.end(details);
            let ended = std::mem::take(&mut *recorded.lock().expect("no panic"));
            assert_eq!(ended.len(), usize::from(is_sampled), "{ratio:?} {parent:?}");
        }
    }
}

#[test]
fn ratio_decides_about_callers_until_they_are_trusted() {
    for (ratio, parent, is_sampled) in [
        (1.0, Some(of_caller(true)), true),
        (1.0, Some(of_caller(false)), false),
        (1.0, None, true),
        (0.0, Some(of_caller(true)), false),
        (0.0, Some(of_caller(false)), false),
        (0.0, None, false),
    ] {
        let (tracer, recorded) = tracer(Some(ratio));
        let mut span = tracer.start_untrusted(parent);
        assert_eq!(span.context().is_sampled, is_sampled, "{ratio} {parent:?}");
        span.sample();
        assert!(span.context().is_sampled);
        span.end(details);
        assert_eq!(recorded.lock().expect("no panic").len(), 1);
    }
    let (tracer, _) = tracer(Some(0.5));
    let sampled = (0..1_000).filter(|_| tracer.start_untrusted(Some(of_caller(true))).context().is_sampled);
    let sampled = sampled.count();
    assert!(
        (300..700).contains(&sampled),
        "the caller chooses the trace id: {sampled}"
    );
}

#[test]
fn context_is_passed_on_unchanged_if_nothing_is_recorded() {
    let (tracer, recorded) = tracer(None);
    for parent in [of_caller(true), of_caller(false)] {
        for mut span in [tracer.start(Some(parent)), tracer.start_untrusted(Some(parent))] {
            assert_eq!(span.context(), parent);
            if parent.is_sampled {
                span.sample();
            }
            span.end(details);
        }
    }
    assert!(!tracer.start(None).context().is_sampled);
    assert_eq!(*recorded.lock().expect("no panic"), []);
}

/// The chance that one of 20,000 traces more or less than stated is sampled is below 1 in 10^9.
#[test]
fn ratio_of_the_traces_is_sampled() {
    let (tracer, _) = tracer(Some(0.25));
    let sampled = (0..20_000).filter(|_| tracer.start(None).context().is_sampled).count();
    assert!((4_600..5_400).contains(&sampled), "{sampled}");
}

#[tokio::test]
async fn work_knows_its_span() {
    let here = || CURRENT.try_with(|context| *context).ok();
    let context = Some(of_caller(true));
    assert_eq!(within(context, async { here() }).await, context);
    assert_eq!(within(None, async { here() }).await, None);
    assert_eq!(super::within_sync(context, here), context);
    assert_eq!(super::within_sync(None, here), None);
    // Without a tracer, there are no spans.
    assert!(super::start(context).is_none());
    assert_eq!(within(context, async { super::current() }).await, None);
}
