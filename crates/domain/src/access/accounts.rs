//! Signs callers in with passwords and tokens. Caches the users and tokens for some seconds, so that most requests need
//! no statement. The APIs extract the credentials from requests.
//!
//! A change through this process takes effect at once, a change through another when the entry has aged.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use entity::{api_token, api_user, session};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::{
    Account, AccountChanges, PasswordProof, SignInError,
    account::user_named,
    coalescing_cache::{Clock, CoalescingCache, Read},
    credential_cache::CredentialCache,
    hash_queue::HashPermit,
    in_flight::InFlight,
    password::Hasher,
    token_text::{ACCESS_PREFIX, Digest, digest_of, token_hash},
};
use crate::{
    audit::AuditLog,
    caller::{
        CredentialKey,
        throttle::{Charge, Throttle},
    },
};
use clientele_core::{error::Result, fair_queue::QueueFull, secret::Secret, text::has_control_characters};
use clientele_storage::db::Database;

/// The limit of a user name, in bytes.
pub const LONGEST_NAME: usize = 64;

/// Signs in users and tokens, and manages them. Clones share everything.
#[derive(Clone)]
pub struct Accounts {
    pub(super) db: Database,
    pub(super) audit: AuditLog,
    users: Arc<CoalescingCache<Arc<str>, Account>>,
    tokens: Arc<CoalescingCache<Digest, Account>>,
    /// By access token.
    pub(super) sessions: Arc<CoalescingCache<Digest, Account>>,
    pub hasher: Arc<Hasher>,
    credentials: Arc<CredentialCache>,
    in_flight: Arc<InFlight>,
    changes: Arc<CoalescingCache<(), AccountChanges>>,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts")
    }
}

/// A name and a password, and the address that sent them.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    pub name: &'a str,
    password: &'a str,
    pub from: IpAddr,
    key: CredentialKey,
    /// True if the credentials are remembered once they are verified.
    is_remembered: bool,
}

impl Accounts {
    /// `clock` measures the age of cached accounts.
    pub fn new(db: Database, audit: AuditLog, clock: Clock) -> Self {
        Self {
            db,
            audit,
            users: Arc::new(CoalescingCache::new(clock.clone())),
            tokens: Arc::new(CoalescingCache::new(clock.clone())),
            sessions: Arc::new(CoalescingCache::new(clock.clone())),
            changes: Arc::new(CoalescingCache::new(clock)),
            hasher: Arc::default(),
            credentials: Arc::default(),
            in_flight: Arc::default(),
        }
    }

    pub fn attempt<'a>(&self, name: &'a str, password: &'a str, from: IpAddr) -> Attempt<'a> {
        Attempt {
            name,
            password,
            from,
            key: self.credentials.key(name, password, from),
            is_remembered: true,
        }
    }

    /// An attempt that is always verified and charged. Remembered credentials would let a caller on their network guess
    /// past the throttle.
    pub fn unremembered_attempt<'a>(&self, name: &'a str, password: &'a str, from: IpAddr) -> Attempt<'a> {
        let attempt = self.attempt(name, password, from);
        Attempt {
            // Such an attempt must not share the outcome of one that may use an older read.
            key: self.credentials.hasher().key(&[&attempt.key]),
            is_remembered: false,
            ..attempt
        }
    }

    /// The proof that the caller signed in with this name and password from this address.
    pub fn proof(&self, name: &str, password: &str, from: IpAddr, throttle: Arc<Throttle>) -> PasswordProof {
        PasswordProof::new(self.credentials.hasher(), name, password, from, throttle)
    }

    /// Invalidates all cached accounts.
    pub(super) fn forget(&self) {
        self.users.forget();
        self.tokens.forget();
        self.sessions.forget();
    }

    /// Returns the user if these credentials were verified lately and are still valid, at most `freshness` old. Hashes
    /// nothing.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn known_user(&self, attempt: &Attempt<'_>, freshness: Duration) -> Result<Option<Arc<Account>>> {
        let Some(read) = self.credentials.get(&attempt.key) else {
            return Ok(None);
        };
        if self.users.is_fresh(&read, freshness) {
            return Ok(read.found.clone());
        }
        let Some(proven) = &read.found else { return Ok(None) };
        if let Some(read) = self.user(&proven.name, freshness).await?
            && let Some(account) = &read.found
            && account.has_the_password_of(proven)
        {
            self.credentials.keep(attempt.key, read.clone());
            return Ok(Some(account.clone()));
        }
        self.credentials.forget(&attempt.key);
        Ok(None)
    }

    /// Returns the user of lately verified credentials from the last read, however old. None if this process has
    /// changed accounts since. Runs no statement.
    pub fn last_known_user(&self, attempt: &Attempt<'_>) -> Option<Arc<Account>> {
        let read = self.credentials.get(&attempt.key)?;
        read.found.clone().filter(|_| self.users.is_fresh(&read, Duration::MAX))
    }

    /// Verifies the password of the user of this name. An unknown name takes the same path and as long, so that neither
    /// answers nor times reveal which names exist.
    ///
    /// The attempt is charged when its permit is granted, before anything is verified. The charge is refunded if the
    /// password was right or the check failed.
    pub async fn verify(
        &self,
        attempt: Attempt<'_>,
        freshness: Duration,
        charge: impl FnOnce() -> Result<Charge, Duration> + Send + 'static,
    ) -> Result<Arc<Account>, SignInError> {
        let Attempt {
            from,
            key,
            is_remembered,
            ..
        } = attempt;
        let begin = || {
            // Another request may just have verified it.
            let known = self.credentials.get(&key).and_then(|read| read.found.clone());
            if let Some(account) = known {
                return Err(Ok(account));
            }
            let ticket = self.hasher.queue.join(self.credentials.waiter(from));
            ticket.map_err(|QueueFull| Err(SignInError::Busy))
        };
        let accounts = self.clone();
        let (name, password) = (attempt.name.into(), Secret::new(attempt.password));
        let verify = async move |permit| {
            let charge = charge().map_err(SignInError::TooMany)?;
            let outcome = match accounts.compare(permit, &name, password, freshness).await {
                Ok(Some((account, read))) => {
                    if is_remembered {
                        accounts.credentials.keep(key, read);
                    }
                    accounts.credentials.keep_network(from);
                    Ok(account)
                }
                Ok(None) => return Err(SignInError::Wrong),
                Err(error) => Err(SignInError::Failed(error)),
            };
            charge.refund();
            outcome
        };
        self.in_flight.run(key, begin, verify).await
    }

    /// Finds the user of this name if it has this password. Reads the row under the permit: a flood of attempts then
    /// needs one statement per hash at most.
    async fn compare(
        &self,
        permit: HashPermit,
        name: &Arc<str>,
        password: Secret,
        freshness: Duration,
    ) -> Result<Option<(Arc<Account>, Arc<Read<Account>>)>> {
        let read = self.user(name, freshness).await?;
        let account = read.as_ref().and_then(|read| read.found.clone());
        let stored = account.as_ref().map(|account| account.password_hash.clone());
        let right = self.hasher.compare(permit, password, stored).await?;
        Ok(account.zip(read).filter(|_| right))
    }

    /// Reads the user of this name, at most `freshness` old. Finds none if there is no such user or it can't sign in.
    /// Returns none if no user can have the name.
    async fn user(&self, name: &Arc<str>, freshness: Duration) -> Result<Option<Arc<Read<Account>>>> {
        if name.len() > LONGEST_NAME || has_control_characters(name) {
            return Ok(None);
        }
        let load = async || {
            let row = user_named(name).one(self.db.read()).await?;
            row.filter(|row| row.active).as_ref().map(Account::of_user).transpose()
        };
        self.users.get(name, freshness, load).await.map(Some)
    }

    /// The cached accounts of tokens of this kind.
    fn accounts_by_token(&self, token: &str) -> &CoalescingCache<Digest, Account> {
        match token.starts_with(ACCESS_PREFIX) {
            true => &self.sessions,
            false => &self.tokens,
        }
    }

    /// The changes of accounts until now, or until a time that is at most `freshness` ago. All callers at a time share
    /// one read.
    pub async fn changes(&self, freshness: Duration) -> Result<Arc<AccountChanges>> {
        let read = self.changes.get(&(), freshness, async || {
            let known = self.changes.last(&()).and_then(|read| read.found.clone());
            AccountChanges::read(&self.db, known.as_deref()).await.map(Some)
        });
        Ok(read.await?.found.clone().unwrap_or_default())
    }

    /// Returns the account of a token from the last read, however old. None if the token is no longer valid, or if this
    /// process has changed accounts since. Runs no statement.
    pub fn last_known_token(&self, token: &str, now: DateTime<Utc>) -> Option<Arc<Account>> {
        let cache = self.accounts_by_token(token);
        let read = cache.last(&digest_of(token))?;
        let unchanged = cache.is_fresh(&read, Duration::MAX);
        let account = read.found.clone().filter(|_| unchanged);
        account.filter(|account| account.is_valid(now))
    }

    /// Finds the account of this API token or access token; none if there is none or it is no longer valid. Calls
    /// `may_look` before a statement, unless the token existed at the last read.
    ///
    /// # Errors
    /// Those of the database and of `may_look`.
    pub async fn token(
        &self,
        token: &str,
        freshness: Duration,
        now: DateTime<Utc>,
        may_look: impl FnOnce() -> Result<(), SignInError>,
    ) -> Result<Option<Arc<Account>>, SignInError> {
        let (digest, cache) = (digest_of(token), self.accounts_by_token(token));
        let last = cache.last(&digest);
        let read = match last {
            Some(read) if cache.is_fresh(&read, freshness) => read,
            last => {
                if last.is_none_or(|read| read.found.is_none()) {
                    may_look()?;
                }
                let load = async || match token.starts_with(ACCESS_PREFIX) {
                    true => self.read_session(token).await,
                    false => self.read_token(token).await,
                };
                cache.get(&digest, freshness, load).await?
            }
        };
        Ok(read.found.clone().filter(|account| account.is_valid(now)))
    }

    async fn read_token(&self, token: &str) -> Result<Option<Account>> {
        let hashed = api_token::Entity::find().filter(api_token::Column::TokenHash.eq(token_hash(token)));
        let row = hashed.one(self.db.read()).await?;
        row.as_ref().map(Account::of_token).transpose()
    }

    async fn read_session(&self, token: &str) -> Result<Option<Account>> {
        let hashed = session::Entity::find().filter(session::Column::AccessHash.eq(token_hash(token)));
        let Some(session) = hashed.one(self.db.read()).await? else {
            return Ok(None);
        };
        let user = api_user::Entity::find_by_id(&*session.user_key);
        let user = user.one(self.db.read()).await?;
        user.map(|user| Account::of_session(&user, &session)).transpose()
    }
}

#[cfg(test)]
mod tests;
