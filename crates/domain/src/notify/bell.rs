//! Wakes the workers of this process when a message is due, so that they don't wait for their next poll.

use tokio::sync::Notify;

use crate::enums::Channel;

/// One bell for each channel. A ring without a waiting worker wakes the next one that waits.
#[derive(Debug, Default)]
pub struct Bell {
    email: Notify,
    sms: Notify,
}

impl Bell {
    pub fn ring(&self, channel: Channel) {
        self.of(channel).notify_one();
    }

    pub async fn rung(&self, channel: Channel) {
        self.of(channel).notified().await;
    }

    fn of(&self, channel: Channel) -> &Notify {
        match channel {
            Channel::Email => &self.email,
            Channel::Sms => &self.sms,
        }
    }
}
