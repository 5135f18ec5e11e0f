//! Wakes the workers of this process when a message is due, so that they don't wait for their next poll.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::enums::Channel;

/// A signal for each channel; clones share it. One that is sent while no worker waits wakes the next worker that waits.
#[derive(Clone, Debug, Default)]
pub struct OutboxSignal {
    email: Arc<Notify>,
    sms: Arc<Notify>,
}

impl OutboxSignal {
    pub fn send(&self, channel: Channel) {
        self.of(channel).notify_one();
    }

    pub async fn received(&self, channel: Channel) {
        self.of(channel).notified().await;
    }

    fn of(&self, channel: Channel) -> &Notify {
        match channel {
            Channel::Email => &self.email,
            Channel::Sms => &self.sms,
        }
    }
}
