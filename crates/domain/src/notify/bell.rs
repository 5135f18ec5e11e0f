//! Tells the workers of this process that something is due, so that they needn't wait until they look again.

use tokio::sync::Notify;

use crate::enums::Channel;

/// One bell for each channel. A ring that nobody waits for is heard by the next who does.
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
