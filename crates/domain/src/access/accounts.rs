//! A cache of the users and tokens that sign-in needs. Entries live for some seconds, so that most requests need no
//! statement.
//!
//! A change through this process takes effect at once, a change through another when the entry has aged.

use std::{
    fmt::Write,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use entity::api_token;
use ring::digest;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::{Account, Accounts, PasswordProof, reads::Read, user::user_named};
use crate::caller::throttle::Throttle;
use clientele_core::{
    error::{Error, Result},
    text::has_control_characters,
};
use clientele_storage::db::{Step, Transaction, Work};

/// The limit of a user name, in bytes.
pub const LONGEST_NAME: usize = 64;

impl Accounts {
    /// The proof that the caller signed in with this name and password from this address.
    pub fn proof(&self, name: &str, password: &str, from: IpAddr, throttle: Arc<Throttle>) -> PasswordProof {
        PasswordProof::new(self.credentials.hasher(), name, password, from, throttle)
    }

    /// Writes users or tokens. Forgets cached accounts if a commit may have happened or the caller's stored rights
    /// differ from the cached ones. After any other failure, such as an outage, the last known accounts stay usable.
    pub(super) async fn write<W: Work>(&self, work: &W) -> Result<W::Output> {
        let work = CommitTracker {
            work,
            may_commit: AtomicBool::new(false),
        };
        let outcome = self.db.write(&work).await;
        let is_outdated = matches!(outcome, Err(Error::Unauthenticated | Error::Forbidden(_)));
        if is_outdated || work.may_commit.into_inner() {
            self.users.forget();
            self.tokens.forget();
        }
        outcome
    }

    /// Reads the user of this name, at most `freshness` old. Finds none if there is no such user or it can't sign in.
    /// Returns none if no user can have the name.
    pub(super) async fn user(&self, name: &Arc<str>, freshness: Duration) -> Result<Option<Arc<Read<Account>>>> {
        if name.len() > LONGEST_NAME || has_control_characters(name) {
            return Ok(None);
        }
        let load = async || {
            let row = user_named(name).one(self.db.read()).await?;
            row.filter(|row| row.active).as_ref().map(Account::of_user).transpose()
        };
        self.users.get(name, freshness, load).await.map(Some)
    }

    /// Returns the account of a token from the last read, however old. None if the token is no longer valid, or if this
    /// process has changed accounts since. Runs no statement.
    pub fn last_known_token(&self, token: &str, now: DateTime<Utc>) -> Option<Arc<Account>> {
        let read = self.tokens.last(&digest_of(token))?;
        let unchanged = self.tokens.is_fresh(&read, Duration::MAX);
        let account = read.found.clone().filter(|_| unchanged);
        account.filter(|account| account.is_valid(now))
    }

    /// Returns true if a read of a user is at most `freshness` old.
    pub(super) fn is_fresh(&self, user: &Read<Account>, freshness: Duration) -> bool {
        self.users.is_fresh(user, freshness)
    }

    /// Finds the account of this token; none if there is none or it is no longer valid. Calls `may_look` before a
    /// statement, unless the token existed at the last read.
    ///
    /// # Errors
    /// The inner error is the database's, the outer one is from `may_look`.
    pub async fn token<R>(
        &self,
        token: &str,
        freshness: Duration,
        now: DateTime<Utc>,
        may_look: impl FnOnce() -> Result<(), R>,
    ) -> Result<Result<Option<Arc<Account>>>, R> {
        let digest = digest_of(token);
        let last = self.tokens.last(&digest);
        let read = match last {
            Some(read) if self.tokens.is_fresh(&read, freshness) => read,
            last => {
                if last.is_none_or(|read| read.found.is_none()) {
                    may_look()?;
                }
                let load = async || {
                    let hashed = api_token::Entity::find().filter(api_token::Column::TokenHash.eq(hex(&digest)));
                    let row = hashed.one(self.db.read()).await?;
                    row.as_ref().map(Account::of_token).transpose()
                };
                match self.tokens.get(&digest, freshness, load).await {
                    Ok(read) => read,
                    Err(error) => return Ok(Err(error)),
                }
            }
        };
        Ok(Ok(read.found.clone().filter(|account| account.is_valid(now))))
    }
}

/// Runs other work and records whether an attempt asked for a commit.
struct CommitTracker<'a, W> {
    work: &'a W,
    may_commit: AtomicBool,
}

impl<W: Work> Work for CommitTracker<'_, W> {
    type Output = W::Output;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        let step = self.work.attempt(transaction).await;
        if matches!(step, Ok(Step::Commit(_))) {
            self.may_commit.store(true, Relaxed);
        }
        step
    }

    fn busy_error(&self) -> Option<Error> {
        self.work.busy_error()
    }
}

/// The key of a token in the cache. Tokens are random, so that a fast hash without salt is enough.
type Digest = [u8; 32];

fn digest_of(token: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    bytes
}

/// The stored form of a token.
pub(super) fn token_hash(token: &str) -> String {
    hex(&digest_of(token))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
