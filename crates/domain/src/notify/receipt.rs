//! Delivery receipts: a provider's or a mail server's later report about a message.
//!
//! Receipts come in any order, repeatedly, and before the message is recorded as sent. Each has a rank, and the state
//! of the message follows from the receipt with the highest rank: FAILED, DELIVERED, a bounce that may pass, a
//! permanent bounce, a complaint. A receipt that doesn't raise the rank changes nothing.

mod apply;
mod early;
mod record;

pub use apply::ReceiptCounts;
pub use early::{record_provider_ids, remove_early_receipts, remove_provider_ids};

use chrono::{DateTime, Utc};
use entity::message;
use serde::{Deserialize, Serialize};

use crate::{
    enums::{Channel, MessageState, Reason, ReceiptStatus, SuppressionReason},
    message_guard::Recipients,
};
use clientele_core::scalar::is_key;

/// Limit of the receipts in one request.
pub const MOST_RECEIPTS: usize = 1_000;
/// Limit of a provider's id, in characters: longer ones aren't stored with messages.
pub const LONGEST_PROVIDER_ID: usize = 255;
/// Limit of the kept part of a receipt's reason, in characters.
const LONGEST_REASON: usize = 255;

/// A delivery receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub message: ReceiptMessage,
    pub status: ReceiptStatus,
    /// True if a bounce means that the recipient gets no message at all.
    pub permanent: bool,
    /// The provider's words: one line of limited length.
    reason: Option<String>,
    /// The time of the event; that of the arrival if the provider doesn't give it.
    #[serde(with = "entity::instant::option")]
    pub at: Option<DateTime<Utc>>,
    /// The addresses that the report names as recipients. Empty if it names none.
    #[serde(default)]
    pub recipients: Vec<String>,
}

/// The message of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReceiptMessage {
    /// By its key, which the provider got with the message.
    Key(String),
    /// By the provider's id of a text message.
    ProviderId(String),
    /// By a Message-ID of another system.
    Foreign,
}

impl ReceiptMessage {
    /// The message of a Message-ID such as `<KEY@bank.test>`, or of a bare key.
    pub fn of_message_id(text: &str) -> Self {
        let text = text.trim().trim_start_matches('<').trim_end_matches('>');
        let key = text.split('@').next().unwrap_or_default();
        match is_key(key) {
            true => Self::Key(key.to_owned()),
            false => Self::Foreign,
        }
    }
}

impl Receipt {
    /// A receipt that names no recipients. Of `reason`, the first line of [`LONGEST_REASON`] characters is kept.
    pub fn new(
        message: ReceiptMessage,
        status: ReceiptStatus,
        permanent: bool,
        reason: Option<&str>,
        at: Option<DateTime<Utc>>,
    ) -> Self {
        Self {
            message,
            status,
            permanent: permanent && status == ReceiptStatus::Bounced,
            reason: reason.and_then(cleaned),
            at,
            recipients: Vec::new(),
        }
    }

    /// The provider's words.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The receipt as it concerns this message. A permanent bounce of other addresses isn't permanent: the recipient
    /// forwards messages, and its own address works.
    fn concerning(&self, message: &message::Model, recipients: Recipients) -> Self {
        let mut receipt = self.clone();
        let channel = Channel::parse(&message.channel).unwrap_or(Channel::Email);
        let normal = |text: &str| recipients.normalise(channel, text);
        let recipient = normal(&message.recipient);
        let is_forwarded =
            !self.recipients.is_empty() && !self.recipients.iter().any(|named| normal(named) == recipient);
        receipt.permanent &= !is_forwarded;
        receipt
    }

    /// The rank among the receipts of one message.
    fn rank(&self) -> i32 {
        match (self.status, self.permanent) {
            (ReceiptStatus::Failed, _) => 1,
            (ReceiptStatus::Delivered, _) => 2,
            (ReceiptStatus::Bounced, false) => 3,
            (ReceiptStatus::Bounced, true) => 4,
            (ReceiptStatus::Complained, _) => 5,
        }
    }

    /// The reason why the recipient gets no further messages.
    fn suppresses(&self) -> Option<SuppressionReason> {
        match self.status {
            ReceiptStatus::Bounced if self.permanent => Some(SuppressionReason::HardBounce),
            ReceiptStatus::Complained => Some(SuppressionReason::Complaint),
            ReceiptStatus::Delivered | ReceiptStatus::Bounced | ReceiptStatus::Failed => None,
        }
    }

    /// The message after this receipt. None if the receipt changes nothing.
    fn applied(&self, message: &message::Model, now: DateTime<Utc>) -> Option<message::Model> {
        let state = MessageState::parse(&message.state)?;
        if self.rank() <= rank_of(message) || self.is_outdated(state, message.attempts) {
            return None;
        }
        let at = self
            .at
            .filter(|at| (message.created_at..=now).contains(at))
            .unwrap_or(now);
        // A worker that is sending the message records the provider's id under its lease.
        let common = message::Model {
            due_at: None,
            sent_at: message.sent_at.or(Some(at)),
            receipt_at: Some(now),
            detail: self.reason.clone(),
            ..message.clone()
        };
        let failed = |state: MessageState, reason: Reason| message::Model {
            state: state.as_str().to_owned(),
            failed_at: Some(at),
            reason: Some(reason.as_str().to_owned()),
            ..common.clone()
        };
        let delivered = |reason: Option<Reason>| message::Model {
            state: MessageState::Delivered.as_str().to_owned(),
            delivered_at: message.delivered_at.or(Some(at)),
            failed_at: None,
            reason: reason.map(|reason| reason.as_str().to_owned()),
            ..common.clone()
        };
        Some(match (self.status, self.permanent) {
            (ReceiptStatus::Delivered, _) => delivered(None),
            (ReceiptStatus::Complained, _) => delivered(Some(Reason::Complaint)),
            (ReceiptStatus::Bounced, true) => failed(MessageState::Bounced, Reason::HardBounce),
            (ReceiptStatus::Bounced, false) => failed(MessageState::Bounced, Reason::SoftBounce),
            (ReceiptStatus::Failed, _) => failed(MessageState::Failed, Reason::Undelivered),
        })
    }

    /// Returns true for a receipt of an earlier attempt, or of none: a message that waits or is being sent again can
    /// have failed only before, and one that was never tried has no receipt.
    fn is_outdated(&self, state: MessageState, attempts: i32) -> bool {
        match (state, self.status) {
            (MessageState::Queued, ReceiptStatus::Failed) => true,
            (MessageState::Sending, ReceiptStatus::Failed) => attempts > 0,
            (MessageState::Queued, ReceiptStatus::Bounced) | (MessageState::Suppressed, _) => attempts == 0,
            _ => false,
        }
    }
}

/// The rank of the receipt that a message's state follows from.
fn rank_of(message: &message::Model) -> i32 {
    let state = MessageState::parse(&message.state);
    let reason = message.reason.as_deref().and_then(Reason::parse);
    match (state, reason) {
        (Some(MessageState::Failed), _) => 1,
        (Some(MessageState::Delivered), Some(Reason::Complaint)) => 5,
        (Some(MessageState::Delivered), _) => 2,
        (Some(MessageState::Bounced), Some(Reason::HardBounce)) => 4,
        (Some(MessageState::Bounced), _) => 3,
        _ => 0,
    }
}

/// One line of limited length. None when nothing is left.
fn cleaned(text: &str) -> Option<String> {
    let line: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(LONGEST_REASON)
        .collect();
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests;
