//! Authentication: credentials, users, tokens and the tokens of an issuer, through both APIs.

mod cache_lifetime;
mod client_addresses;
mod commands;
pub mod credentials;
mod failed_attempts;
mod first_start;
mod grants;
mod hash_load;
mod hash_queue;
mod jwt;
mod jwt_algorithms;
mod jwt_key_rotation;
mod management;
mod names;
mod sessions;
mod stale_rights;
mod tokens;
mod unreachable_issuer;

pub use credentials::{PASSWORD, user};
pub use jwt::{Key, claims, issuer, sealed};
