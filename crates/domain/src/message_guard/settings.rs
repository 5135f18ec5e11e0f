//! Settings of raising messages.

use serde::{Deserialize, Serialize};

/// Limits of the messages that changes of clients raise. A message over a limit is stored as SUPPRESSED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessageLimits {
    /// The messages that one recipient can get on one channel in 24 hours. 0: unlimited.
    pub recipient_daily: u32,
    /// The messages that the changes of one caller can raise in an hour. 0: unlimited.
    pub caller_hourly: u32,
}

impl Default for MessageLimits {
    fn default() -> Self {
        Self {
            recipient_daily: 20,
            caller_hourly: 10_000,
        }
    }
}

/// The settings of the services for messages.
#[derive(Clone, Debug, Default)]
pub struct MessageSettings {
    pub limits: MessageLimits,
    /// The country (two letters) of phone numbers without a country code. Empty for none.
    pub region: String,
}
