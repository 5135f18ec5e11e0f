//! Decides what follows from the outcome of an attempt: the message is sent, failed, or retried later.

use std::time::Duration;

use chrono::{DateTime, Utc};
use entity::message;
use rand::Rng;

use super::{
    backoff::pause,
    channel::{Failure, Outcome},
};
use clientele_domain::enums::MessageState;

/// The limits for retrying a message.
#[derive(Clone, Copy, Debug)]
pub struct Perseverance {
    /// The maximum number of attempts.
    pub attempts: u32,
    /// No attempt begins when the first one is longer ago. Time in the queue for other reasons doesn't count.
    pub max_age: Duration,
    /// The bound of the first pause between attempts; it doubles with each further one.
    pub backoff_base: Duration,
    pub backoff_longest: Duration,
}

/// The message with its state after an attempt, still under the lease of its claim.
pub fn judge(
    message: message::Model,
    outcome: Outcome,
    now: DateTime<Utc>,
    perseverance: &Perseverance,
    chance: &mut impl Rng,
) -> message::Model {
    match outcome {
        Outcome::Sent { provider_id } => message::Model {
            state: MessageState::Sent.as_str().to_owned(),
            attempts: message.attempts.saturating_add(1),
            due_at: None,
            sent_at: Some(now),
            failed_at: None,
            provider_id,
            reason: None,
            detail: None,
            ..message
        },
        Outcome::Refused(failure) => fail(message, failure, now),
        Outcome::Deferred { failure, after, .. } => {
            let attempts = message.attempts.saturating_add(1).unsigned_abs();
            let wait = pause(
                attempts,
                perseverance.backoff_base,
                perseverance.backoff_longest,
                chance,
            );
            let next = now + wait.max(after.unwrap_or_default());
            let first_attempt_at = message.first_attempt_at.unwrap_or(now);
            if attempts >= perseverance.attempts || next > first_attempt_at + perseverance.max_age {
                return fail(message, failure, now);
            }
            message::Model {
                attempts: message.attempts.saturating_add(1),
                first_attempt_at: Some(first_attempt_at),
                ..again(message, failure, next)
            }
        }
        // The channel must pause, which the circuit breaker enforces.
        Outcome::Unusable(failure) => again(message, failure, now),
    }
}

/// The message with its state before the claim.
pub fn release(message: message::Model, now: DateTime<Utc>) -> message::Model {
    message::Model {
        state: MessageState::Queued.as_str().to_owned(),
        due_at: Some(now),
        ..message
    }
}

fn again(message: message::Model, failure: Failure, next: DateTime<Utc>) -> message::Model {
    message::Model {
        state: MessageState::Queued.as_str().to_owned(),
        due_at: Some(next),
        reason: Some(failure.reason.as_str().to_owned()),
        detail: failure.detail,
        ..message
    }
}

fn fail(message: message::Model, failure: Failure, now: DateTime<Utc>) -> message::Model {
    message::Model {
        state: MessageState::Failed.as_str().to_owned(),
        attempts: message.attempts.saturating_add(1),
        due_at: None,
        failed_at: Some(now),
        reason: Some(failure.reason.as_str().to_owned()),
        detail: failure.detail,
        ..message
    }
}
