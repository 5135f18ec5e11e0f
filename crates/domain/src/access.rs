//! Manages users, API tokens and their credentials, and signs callers in.

mod account;
mod accounts;
mod asking;
mod credential_cache;
mod first;
mod grant;
pub mod hash_queue;
mod listing;
pub mod password;
mod present;
mod reads;
mod sign_in;
mod token;
mod user;

pub use crate::caller::{
    Caller, CallerKind, Door, PasswordProof, Permission, Permissions, Readable, Rights, Sets, Unread, throttle,
};
pub use account::Account;
pub use accounts::Accounts;
pub use asking::Verdict;
pub use first::FIRST;
pub use listing::Listing;
pub use password::RequestPlace;
pub use reads::Clock;
pub use sign_in::Attempt;
pub use token::{BY_CREATION, CreateToken, MOST_DAYS, PREFIX, RevokeToken, Token};
pub use user::{BY_NAME, ChangePassword, DeleteUser, UpsertUser, User};
