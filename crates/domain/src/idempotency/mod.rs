//! Requests that may be sent again: the outcome of one is kept under the key that its caller gave it, in the
//! transaction that brought it about, and whoever sends it again is answered from there.
//!
//! Knows what a request is told apart by, and nothing of what it does: an outcome is a text here.

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
