//! One attempt at sending one message. Knows neither the outbox nor what becomes of the message.

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

/// What recording an attempt may take: a settlement after the lease changes nothing, and the message is sent twice.
const TO_SETTLE: Duration = Duration::from_secs(10);

pub(super) struct Attempt {
    pub channels: Arc<Channels>,
    pub channel: Channel,
    pub clock: Clock,
    pub gate: Arc<Gate>,
    /// As many as attempts may be under way.
    pub slots: Arc<Semaphore>,
    /// What it may take at most.
    pub longest: Duration,
    /// Claimed, under a lease that ends when the message is due again.
    pub message: message::Model,
    /// None when it doesn't exist, or can't be read by this server.
    pub variant: Option<Arc<Compiled>>,
}

/// What a task did about its message.
pub(super) enum Attempted {
    /// Nothing: it wasn't to begin any more.
    Released,
    Ended(Outcome),
}

impl Attempt {
    /// Waits for a slot, and sends when that can be over and recorded before the lease is.
    pub(super) async fn make(self) -> Attempted {
        let lease_end = self.message.due_at.unwrap_or_default();
        let _slot = self.slots.acquire().await;
        let now = (self.clock)();
        if self.gate.is_shut() || now + self.longest + TO_SETTLE > lease_end {
            return Attempted::Released;
        }
        // Written here, so that no more texts are in memory than are being sent.
        let outgoing = match outgoing(&self.message, self.variant.as_deref()) {
            Ok(outgoing) => outgoing,
            Err(outcome) => return Attempted::Ended(outcome),
        };
        let outcome = self.channels.send(self.channel, &outgoing, now).await;
        Attempted::Ended(self.gate.note(&outgoing.key, outcome, (self.clock)()))
    }
}

/// A message with its text.
fn outgoing(message: &message::Model, variant: Option<&Compiled>) -> Result<Outgoing, Outcome> {
    let failure = Failure {
        reason: Reason::Unrenderable,
        detail: None,
    };
    let Some(variant) = variant else {
        // A server of a later version may have stored it, and know how to read it.
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

/// What a panic while sending is taken for. It counts as an attempt, so that it can't be repeated for ever.
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
