//! Settings of idempotent requests.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdempotencySettings {
    /// The time that an outcome is kept, in hours.
    pub hours: u32,
}

impl Default for IdempotencySettings {
    fn default() -> Self {
        Self { hours: 24 }
    }
}

impl IdempotencySettings {
    /// Returns the expiry of an outcome of `now`.
    pub fn expiry(self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::hours(self.hours.into())
    }
}
