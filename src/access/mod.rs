//! Who is calling, and what they may do. Every entry point of the domain takes a [`Caller`] and asks it first, so that no door
//! can forget to.

mod caller;
mod permission;
mod rights;

pub use caller::{Caller, CallerKind, Door};
pub use permission::{Permission, Permissions};
pub use rights::{Rights, Sets};
