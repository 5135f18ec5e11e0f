//! Requests that can be sent again. The outcome of the first is stored under its caller's key, in the transaction of
//! the change, and returned to every repetition.
//!
//! Compares requests by their fingerprints, and treats outcomes as opaque texts.

mod fingerprint;
mod key;
mod removal;
mod settings;
mod slot;

pub use fingerprint::Fingerprint;
pub use key::Key;
pub use removal::{BATCH, Clock, keep_removing, remove_expired};
pub use settings::IdempotencySettings;
pub use slot::{Claim, Kept, Slot};
