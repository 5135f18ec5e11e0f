//! Users and tokens as sign-in needs them, kept in memory for some seconds so that a request costs no statement.
//!
//! A change made through this process counts at once, one made through another when what is kept has aged.

use std::{net::IpAddr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use entity::{api_token, api_user};
use ring::digest;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::{
    CallerKind, Permission, Permissions, Rights, Sets,
    password::Hasher,
    reads::Reads,
    throttle::{Charge, network},
    verified::{Mark, Verified},
};
use crate::{db::Database, error::Result, problem::Problem, secret::Secret};

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
    pub(super) password_hash: Secret,
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

    pub(super) fn is_valid(&self, now: DateTime<Utc>) -> bool {
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

/// Accounts by what they sign in with. One of these serves every door of a process.
#[derive(Debug, Default)]
pub struct Accounts {
    users: Reads<Account>,
    tokens: Reads<Account>,
    pub hasher: Arc<Hasher>,
    verified: Arc<Verified>,
}

impl Accounts {
    /// What was read before this write is not to be used again, unless it surely wrote nothing.
    pub(super) fn written<T>(&self, outcome: &Result<Result<T, Vec<Problem>>>) {
        if !matches!(outcome, Ok(Err(_))) {
            self.users.forget();
            self.tokens.forget();
        }
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
        self.users.get(name, freshness, load).await
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
        let account = self.tokens.get(&hash, freshness, load).await?;
        Ok(account.filter(|account| account.is_valid(now)))
    }

    /// Whether asking for this token takes no statement, or is asking for one that was found the last time.
    pub fn may_know_token(&self, token: &str, freshness: Duration) -> bool {
        let hash = token_hash(token);
        self.tokens.is_fresh(&hash, freshness) || self.tokens.last(&hash).is_some()
    }

    /// Whether asking for the user takes no statement, or these are credentials that were right the last time.
    pub fn may_know_user(&self, name: &str, password: &Secret, from: IpAddr, freshness: Duration) -> bool {
        let proven = |account: Arc<Account>| self.is_verified(&account, password, from);
        self.users.is_fresh(name, freshness) || self.users.last(name).is_some_and(proven)
    }

    /// Whether this is the password of `account`, without a look at the hash if that has been found out lately for whoever
    /// is in the network of `from`. From elsewhere it is found out anew: otherwise somebody could go on guessing there, past
    /// all throttles, until he is let in by what this remembers.
    pub fn is_verified(&self, account: &Account, password: &Secret, from: IpAddr) -> bool {
        self.verified.contains(&self.mark("", Some(account), password, from))
    }

    /// Whether this is the password of `account`, which is none when there is no user of this name: that takes as many
    /// charges and as long to find out. Whoever begins it is charged; it goes on when he hangs up, and then gives back the
    /// charge if the password was right or nobody could tell.
    ///
    /// # Errors
    /// Those of `charge`; then nothing is looked at.
    pub async fn verify<R>(
        &self,
        name: &str,
        account: Option<&Account>,
        password: &Secret,
        from: IpAddr,
        charge: impl FnOnce() -> Result<Charge, R>,
    ) -> Result<Result<bool>, R> {
        let ask = || {
            let charge = charge()?;
            let (hasher, password) = (self.hasher.clone(), password.clone());
            let stored = account.map(|account| account.password_hash.clone());
            Ok(async move {
                let right = hasher.matches(&password, stored.as_ref().map(Secret::reveal)).await;
                let right = right.map(|right| right && stored.is_some());
                if !matches!(right, Ok(false)) {
                    charge.refund();
                }
                right
            })
        };
        let mark = self.mark(name, account, password, from);
        self.verified.find_out(mark, ask).await
    }

    /// The stored hash is part of it, so that a changed password leaves nothing to be forgotten. No key of a user is empty.
    fn mark(&self, name: &str, account: Option<&Account>, password: &Secret, from: IpAddr) -> Mark {
        let (id, stored) = account.map_or(("", name), |account| (&*account.id, account.password_hash.reveal()));
        self.verified.mark(&[
            id.as_bytes(),
            stored.as_bytes(),
            password.reveal().as_bytes(),
            &network(from),
        ])
    }
}

/// How a token is stored and looked up. It is random, so that a fast hash without salt hides it.
pub(super) fn token_hash(token: &str) -> String {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr},
        sync::atomic::{AtomicU64, Ordering::SeqCst},
        time::{Duration, Instant},
    };

    use futures_util::future::join_all;

    use super::{Account, Accounts};
    use crate::{
        access::{
            CallerKind, Rights,
            throttle::{Allowance, Charge, Throttle},
        },
        error::Result,
        secret::Secret,
    };

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    async fn ana(accounts: &Accounts, password: &Secret) -> Account {
        let hash = accounts.hasher.hash(password).await.expect("hashed");
        Account {
            password_hash: Secret::new(hash),
            ..Account::of_issuer(CallerKind::User, "ana's key", None, Rights::all())
        }
    }

    #[tokio::test]
    async fn the_same_wrong_credentials_at_once_are_one_attempt_whether_or_not_there_is_such_a_user() {
        let accounts = Accounts::default();
        let ana = ana(&accounts, &Secret::new("right")).await;
        for (name, account) in [("ana", Some(&ana)), ("nobody", None)] {
            let (before, charges) = (accounts.hasher.comparisons(), AtomicU64::new(0));
            let charge = || -> Result<Charge, ()> {
                charges.fetch_add(1, SeqCst);
                Ok(Charge::default())
            };
            let wrong = Secret::new("wrong");
            let answers = join_all((0..11).map(|_| accounts.verify(name, account, &wrong, HERE, charge))).await;
            for answer in answers {
                assert!(matches!(answer, Ok(Ok(false))), "{name}: {answer:?}");
            }
            let looked = accounts.hasher.comparisons() - before;
            assert_eq!((looked, charges.load(SeqCst)), (1, 1), "{name}");
        }
    }

    #[tokio::test]
    async fn who_hangs_up_is_verified_all_the_same_and_not_charged() {
        let accounts = Accounts::default();
        let right = Secret::new("right");
        let ana = ana(&accounts, &right).await;
        let allowance = Allowance {
            failures: 1,
            window: Duration::from_secs(3_600),
        };
        let throttle = Throttle::new(allowance, allowance);
        let charge = || throttle.charge(HERE, Some("ana"), Instant::now());
        let mut hung_up = Box::pin(accounts.verify("ana", Some(&ana), &right, HERE, charge));
        assert!(futures_util::poll!(hung_up.as_mut()).is_pending());
        drop(hung_up);
        charge().expect_err("the attempt is charged while it lasts");
        let uncharged = || -> Result<Charge, ()> { Err(()) };
        let answer = accounts.verify("ana", Some(&ana), &right, HERE, uncharged).await;
        assert!(matches!(answer, Ok(Ok(true))), "{answer:?}");
        assert!(accounts.is_verified(&ana, &right, HERE));
        charge().expect("what was right costs nothing");
        assert_eq!(accounts.hasher.comparisons(), 1);
    }

    #[tokio::test]
    async fn who_comes_after_the_answer_is_not_charged_and_who_may_not_ask_begins_nothing() {
        let accounts = Accounts::default();
        let right = Secret::new("right");
        let ana = ana(&accounts, &right).await;
        let refused = accounts
            .verify("ana", Some(&ana), &right, HERE, || Err("too many"))
            .await;
        assert_eq!(refused.expect_err("refused"), "too many");
        for charge in [Ok(Charge::default()), Err("charged again")] {
            let answer = accounts.verify("ana", Some(&ana), &right, HERE, || charge).await;
            assert!(matches!(answer, Ok(Ok(true))), "{answer:?}");
        }
        assert_eq!(accounts.hasher.comparisons(), 1);
    }
}
