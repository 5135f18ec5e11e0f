//! Users and tokens as sign-in needs them, kept in memory for some seconds so that a request costs no statement.
//!
//! A change made through this process counts at once, one made through another when what is kept has aged.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use entity::{api_token, api_user};
use moka::{policy::EvictionPolicy, sync::Cache};
use ring::digest;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::{
    CallerKind, Permission, Permissions, Rights, Sets, password::Hasher, throttle::network, verified::Verified,
};
use crate::{db::Database, error::Result, secret::Secret};

const MOST: u64 = 20_000;
/// No user's name is longer, in bytes.
pub const LONGEST_NAME: usize = 64;

/// Somebody who can sign in.
#[derive(Debug)]
pub struct Account {
    pub kind: CallerKind,
    pub id: Arc<str>,
    pub name: Arc<str>,
    pub role: Option<Arc<str>>,
    pub rights: Arc<Rights>,
    /// Of a user; of a token nothing but itself is needed.
    password_hash: Secret,
    active: bool,
    expires_at: Option<DateTime<Utc>>,
}

impl Account {
    pub(super) fn of_user(row: &api_user::Model) -> Result<Self> {
        Ok(Self {
            kind: CallerKind::User,
            id: row.encoded_key.as_str().into(),
            name: row.name.as_str().into(),
            role: row.role.as_deref().map(Into::into),
            rights: Arc::new(user_rights(row)?),
            password_hash: Secret::new(row.password_hash.as_str()),
            active: row.active,
            expires_at: None,
        })
    }

    pub(super) fn of_token(row: &api_token::Model) -> Result<Self> {
        Ok(Self {
            kind: CallerKind::Token,
            id: row.encoded_key.as_str().into(),
            name: row.name.as_str().into(),
            role: row.role.as_deref().map(Into::into),
            rights: Arc::new(token_rights(row)?),
            password_hash: Secret::default(),
            active: row.revoked_at.is_none(),
            expires_at: row.expires_at,
        })
    }

    /// The bearer of a token that the configured issuer gave out.
    pub fn of_issuer(kind: CallerKind, subject: &str, role: Option<&str>, rights: Rights) -> Self {
        Self {
            kind,
            id: subject.into(),
            name: subject.into(),
            role: role.map(Into::into),
            rights: Arc::new(rights),
            password_hash: Secret::default(),
            active: true,
            expires_at: None,
        }
    }

    fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.active && self.expires_at.is_none_or(|end| now < end)
    }
}

pub(super) fn user_rights(row: &api_user::Model) -> Result<Rights> {
    rights(&row.permissions, row.view_sets.as_deref(), row.edit_sets.as_deref())
}

pub(super) fn token_rights(row: &api_token::Model) -> Result<Rights> {
    rights(&row.permissions, row.view_sets.as_deref(), row.edit_sets.as_deref())
}

/// A permission that a later version has stored is none to this one.
fn rights(permissions: &str, view_sets: Option<&str>, edit_sets: Option<&str>) -> Result<Rights> {
    let names: Vec<&str> = serde_json::from_str(permissions).map_err(crate::error::Error::internal)?;
    Ok(Rights {
        permissions: names.into_iter().filter_map(Permission::parse).collect(),
        view_sets: Sets::of_column(view_sets)?,
        edit_sets: Sets::of_column(edit_sets)?,
    })
}

/// How permissions are stored.
pub(super) fn permissions_column(permissions: Permissions) -> String {
    let names: Vec<&str> = permissions.iter().map(Permission::as_str).collect();
    serde_json::json!(names).to_string()
}

/// What was read about an account, when, and after how many changes made here.
#[derive(Clone, Debug)]
struct Read {
    account: Option<Arc<Account>>,
    at: Instant,
    changes: u64,
}

/// Accounts by what they sign in with. One of these serves every door of a process.
#[derive(Debug)]
pub struct Accounts {
    users: Cache<String, Read>,
    tokens: Cache<String, Read>,
    changes: AtomicU64,
    pub hasher: Hasher,
    pub verified: Verified,
}

impl Default for Accounts {
    fn default() -> Self {
        // A flood of invented names must not keep the real ones out.
        let cache = || {
            let cache = Cache::builder().max_capacity(MOST);
            cache.eviction_policy(EvictionPolicy::lru()).build()
        };
        Self {
            users: cache(),
            tokens: cache(),
            changes: AtomicU64::new(0),
            hasher: Hasher::default(),
            verified: Verified::default(),
        }
    }
}

impl Accounts {
    /// What was read before this is not to be used again.
    pub(super) fn forget(&self) {
        self.changes.fetch_add(1, SeqCst);
    }

    /// The user of this name as of `freshness` ago at the earliest; none when there is none, or it may not sign in.
    pub async fn user(&self, db: &Database, name: &str, freshness: Duration) -> Result<Option<Arc<Account>>> {
        if name.len() > LONGEST_NAME || name.contains('\0') {
            return Ok(None);
        }
        let load = async || {
            let named = api_user::Entity::find().filter(api_user::Column::Name.eq(name));
            let row = named.one(db.read().orm()).await?;
            row.filter(|row| row.active).as_ref().map(Account::of_user).transpose()
        };
        self.read(&self.users, name, freshness, load).await
    }

    /// The account whose token this is; none when there is none, or it is valid no more.
    pub async fn token(
        &self,
        db: &Database,
        token: &str,
        freshness: Duration,
        now: DateTime<Utc>,
    ) -> Result<Option<Arc<Account>>> {
        let hash = token_hash(token);
        let load = async || {
            let hashed = api_token::Entity::find().filter(api_token::Column::TokenHash.eq(hash.as_str()));
            let row = hashed.one(db.read().orm()).await?;
            row.as_ref().map(Account::of_token).transpose()
        };
        let account = self.read(&self.tokens, &hash, freshness, load).await?;
        Ok(account.filter(|account| account.is_valid(now)))
    }

    /// Whether asking for this token would take no statement and find one.
    pub fn knows_token(&self, token: &str, freshness: Duration) -> bool {
        let read = self.tokens.get(&token_hash(token));
        read.is_some_and(|read| read.account.is_some() && self.is_fresh(&read, freshness))
    }

    /// Whether this is the password of `account`, without a look at the hash if that has been found out lately for whoever
    /// is in the network of `from`. From elsewhere it is found out anew: otherwise somebody could go on guessing there, past
    /// all throttles, until he is let in by what this remembers.
    pub fn is_verified(&self, account: &Account, password: &Secret, from: IpAddr) -> bool {
        self.verified.contains(&self.mark(account, password, from))
    }

    /// Whether these very credentials are being looked at right now.
    pub fn is_asked(&self, account: &Account, password: &Secret, from: IpAddr) -> bool {
        self.verified.is_asked(&self.mark(account, password, from))
    }

    /// Whether this is the password of `account`, which is none when there is no such user.
    pub async fn verify(&self, account: Option<&Account>, password: &Secret, from: IpAddr) -> Result<bool> {
        let Some(account) = account else {
            return self.hasher.matches(password, None).await;
        };
        let ask = || self.hasher.matches(password, Some(account.password_hash.reveal()));
        self.verified.find_out(self.mark(account, password, from), ask).await
    }

    /// The hash is part of it, so that a changed password leaves nothing to be forgotten.
    fn mark(&self, account: &Account, password: &Secret, from: IpAddr) -> super::verified::Mark {
        self.verified.mark(&[
            account.id.as_bytes(),
            account.password_hash.reveal().as_bytes(),
            password.reveal().as_bytes(),
            &network(from),
        ])
    }

    fn is_fresh(&self, read: &Read, freshness: Duration) -> bool {
        read.changes == self.changes.load(SeqCst) && read.at.elapsed() < freshness
    }

    async fn read(
        &self,
        cache: &Cache<String, Read>,
        name: &str,
        freshness: Duration,
        load: impl AsyncFnOnce() -> Result<Option<Account>>,
    ) -> Result<Option<Arc<Account>>> {
        if let Some(read) = cache.get(name)
            && self.is_fresh(&read, freshness)
        {
            return Ok(read.account);
        }
        // Both are taken before the database is asked: it may change while it answers.
        let (at, changes) = (Instant::now(), self.changes.load(SeqCst));
        let account = load().await?.map(Arc::new);
        let read = Read {
            account: account.clone(),
            at,
            changes,
        };
        cache.insert(name.to_owned(), read);
        Ok(account)
    }
}

/// How a token is stored and looked up. It is random, so that a fast hash without salt hides it.
pub(super) fn token_hash(token: &str) -> String {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
