//! The span of one delivery, by OpenTelemetry's semantic conventions for messaging. It has neither the message's key
//! nor anything of its recipient and text.

use std::future::Future;

use clientele_core::trace::{self, ActiveSpan, Details, SpanKind};

use super::{Failure, Outcome};
use clientele_domain::enums::Channel;

/// Runs an attempt as a trace of its own: the request that caused the message has ended long before some attempts.
pub(super) async fn traced(channel: Channel, attempt: impl Future<Output = Outcome>) -> Outcome {
    let span = trace::start(None);
    let outcome = trace::within(span.as_ref().map(ActiveSpan::context), attempt).await;
    if let Some(span) = span {
        span.end(|| details(channel, &outcome));
    }
    outcome
}

fn details(channel: Channel, outcome: &Outcome) -> Details {
    let (name, destination) = match channel {
        Channel::Email => ("send email", "email"),
        Channel::Sms => ("send sms", "sms"),
    };
    let (outcome, failure): (_, Option<&Failure>) = match outcome {
        Outcome::Sent { .. } => ("sent", None),
        Outcome::Deferred { failure, .. } => ("deferred", Some(failure)),
        Outcome::Refused(failure) => ("refused", Some(failure)),
        Outcome::Unusable(failure) => ("unusable", Some(failure)),
    };
    let mut attributes = vec![
        ("messaging.operation.name", "send".into()),
        ("messaging.operation.type", "send".into()),
        ("messaging.destination.name", destination.into()),
        ("delivery.outcome", outcome.into()),
    ];
    attributes.extend(failure.map(|failure| ("error.type", failure.reason.as_str().into())));
    Details {
        name: name.into(),
        kind: SpanKind::Client,
        attributes,
        is_failed: failure.is_some(),
    }
}
