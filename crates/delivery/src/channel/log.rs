//! The channel for development: logs a line instead of sending a message. The line contains neither the message nor the
//! recipient.

use super::super::mask::masked;
use super::{Outcome, Outgoing};
use clientele_domain::enums::Channel;

pub(super) fn send(channel: Channel, message: &Outgoing) -> Outcome {
    tracing::info!(
        channel = channel.as_str(),
        key = message.key,
        recipient = masked(&message.recipient),
        "a message that no channel sends"
    );
    Outcome::Sent {
        provider_id: Some("log".to_owned()),
    }
}
