//! One attempt at sending one message. Knows neither the outbox nor how the message is settled.

use std::{sync::Arc, time::Duration};

use entity::message;
use tokio::sync::Semaphore;

use super::{
    Clock,
    channel::{Channels, Failure, Outcome, Outgoing},
    gate::Gate,
};
use clientele_domain::{
    enums::{Channel, Reason},
    notify::{content, render::Compiled},
};

/// The time reserved for recording an attempt: a settlement after the lease has no effect, and the message is sent
/// twice.
const TO_SETTLE: Duration = Duration::from_secs(10);

pub(super) struct Attempt {
    pub channels: Arc<Channels>,
    pub channel: Channel,
    pub clock: Clock,
    pub gate: Arc<Gate>,
    /// Limits the attempts under way.
    pub slots: Arc<Semaphore>,
    /// The time limit of an attempt.
    pub longest: Duration,
    /// Claimed under a lease that ends when the message is due again.
    pub message: message::Model,
    /// None when it doesn't exist or this server can't read it.
    pub variant: Option<Arc<Compiled>>,
}

/// The result of a task for its message.
pub(super) enum Attempted {
    /// Not attempted, because the gate was shut.
    Released,
    Ended(Outcome),
}

impl Attempt {
    /// Waits for a slot, and sends if the attempt can end and be recorded before the lease ends.
    pub(super) async fn make(self) -> Attempted {
        let lease_end = self.message.due_at.unwrap_or_default();
        let _slot = self.slots.acquire().await;
        let now = (self.clock)();
        if self.gate.is_shut() || now + self.longest + TO_SETTLE > lease_end {
            return Attempted::Released;
        }
        // Rendered here, so that memory holds only the texts of messages being sent.
        let outgoing = match outgoing(&self.message, self.variant.as_deref()) {
            Ok(outgoing) => outgoing,
            Err(outcome) => return Attempted::Ended(outcome),
        };
        let outcome = self.channels.send(self.channel, &outgoing, now).await;
        Attempted::Ended(self.gate.note(&outgoing.key, outcome, (self.clock)()))
    }
}

/// Renders the message.
fn outgoing(message: &message::Model, variant: Option<&Compiled>) -> Result<Outgoing, Outcome> {
    let failure = Failure {
        reason: Reason::Unrenderable,
        detail: None,
    };
    let Some(variant) = variant else {
        // A later version of the server may have stored it and can read it.
        return Err(Outcome::Deferred {
            failure,
            after: None,
            provider_down: false,
        });
    };
    Ok(Outgoing {
        key: message.encoded_key.clone(),
        recipient: message.recipient.clone(),
        content: content(message, variant).ok_or(Outcome::Refused(failure))?,
    })
}

/// The outcome of a panic while sending. It counts as an attempt, so that retries are limited.
pub(super) fn defect() -> Outcome {
    Outcome::Deferred {
        failure: Failure {
            reason: Reason::Internal,
            detail: None,
        },
        after: None,
        provider_down: false,
    }
}
