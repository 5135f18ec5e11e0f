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
pub use asking::Verdict;
pub use first::FIRST;
pub use listing::Listing;
pub use password::RequestPlace;
pub use reads::Clock;
pub use sign_in::Attempt;
pub use token::{BY_CREATION, CreateToken, MOST_DAYS, PREFIX, RevokeToken, Token};
pub use user::{BY_NAME, ChangePassword, DeleteUser, UpsertUser, User};

use std::sync::Arc;

use self::{asking::Asking, credential_cache::CredentialCache, password::Hasher, reads::Reads};
use crate::audit::AuditLog;
use clientele_storage::db::Database;

/// Signs in users and tokens, and manages them. Clones share everything.
#[derive(Clone, Debug)]
pub struct Accounts {
    db: Database,
    audit: AuditLog,
    users: Arc<Reads<Arc<str>, Account>>,
    tokens: Arc<Reads<[u8; 32], Account>>,
    pub hasher: Arc<Hasher>,
    credentials: Arc<CredentialCache>,
    asking: Arc<Asking>,
}

impl Accounts {
    /// `clock` measures the age of cached accounts.
    pub fn new(db: Database, audit: AuditLog, clock: Clock) -> Self {
        Self {
            db,
            audit,
            users: Arc::new(Reads::new(clock.clone())),
            tokens: Arc::new(Reads::new(clock)),
            hasher: Arc::default(),
            credentials: Arc::default(),
            asking: Arc::default(),
        }
    }
}
