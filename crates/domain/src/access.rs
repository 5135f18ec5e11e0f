//! Manages users, API tokens and their credentials, and signs callers in.

mod account;
mod accounts;
mod change;
mod coalescing_cache;
mod credential_cache;
mod grant;
pub mod hash_queue;
mod in_flight;
mod listing;
pub mod password;
mod token;
mod user;

pub use crate::caller::{
    Api, Caller, CallerKind, Limit, PasswordProof, Permission, Permissions, Restricted, Rights, Sets, Unchecked,
    throttle,
};
pub use account::Account;
pub use accounts::{Accounts, Attempt};
pub use coalescing_cache::Clock;
pub use grant::MOST_PLACES;
pub use in_flight::SignInError;
pub use listing::Listing;
pub use password::PausablePermit;
pub use token::{BY_CREATION, CreateToken, MOST_DAYS, PREFIX, RevokeToken, Token};
pub use user::{BY_NAME, ChangePassword, DeleteUser, FIRST, UpsertUser, User};
