//! Manages users, API tokens and their credentials, and signs callers in.

mod account;
mod account_changes;
mod accounts;
mod change;
mod coalescing_cache;
mod credential_cache;
mod grant;
pub mod hash_queue;
mod in_flight;
mod listing;
pub mod password;
mod session;
mod token;
mod token_text;
mod user;

pub use crate::caller::{
    Api, Caller, CallerKind, Limit, PasswordProof, Permission, Permissions, Restricted, Rights, Sets, Unchecked,
    throttle,
};
pub use account::Account;
pub use account_changes::AccountChanges;
pub use accounts::{Accounts, Attempt};
pub use coalescing_cache::Clock;
pub use grant::MOST_PLACES;
pub use in_flight::SignInError;
pub use listing::Listing;
pub use password::PausablePermit;
pub(crate) use session::removal_of_expired_sessions;
pub use session::{
    BY_START, LEEWAY_SECONDS, MOST_SESSIONS, RefreshError, RevokeSession, Session, SessionSettings, SignOut, Tokens,
    check_sign_in,
};
pub use token::{BY_CREATION, CreateToken, MOST_DAYS, RevokeToken, Token};
pub use token_text::{ACCESS_PREFIX, PREFIX};
pub use user::{BY_NAME, ChangePassword, DeleteUser, FIRST, UpsertUser, User};
