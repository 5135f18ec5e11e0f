//! Who is let in, and as whom: credentials, users, tokens and the tokens of an issuer, through the real doors.

mod addresses;
mod algorithms;
mod credentials;
mod first;
mod freshness;
mod issued;
mod limits;
mod managed;
mod names;
mod present;
mod queue;
mod rotation;
mod strangers;
mod tokens;

pub use credentials::{PASSWORD, user};
pub use issued::{Key, claims};
