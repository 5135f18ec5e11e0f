//! Reloads the caller for a change of users and tokens. An API's cached account is some seconds old, which is good
//! enough for effects that end with the request. A user or token created with a right must not outlast that right
//! because another server still had the old account.

use chrono::{DateTime, Utc};
use entity::{api_token, api_user};
use sea_orm::EntityTrait;

use super::Account;
use crate::caller::{Caller, CallerKind, Permission};
use clientele_core::error::{Error, Result};
use clientele_storage::db::{Dialect, Transaction};

/// Users and tokens are changed one at a time. The number is arbitrary but must not change.
const USERS_LOCK: i64 = 0x7573_6572;

/// Waits until no other transaction changes users or tokens. Returns the caller with the rights and role that they have
/// until `transaction` ends.
///
/// An issuer's token isn't stored: its signed claims count until it expires. The operator, and the anonymous caller of
/// a server without authentication, aren't stored either; both have every right.
///
/// # Errors
/// [`Error::Unauthenticated`] if the caller could no longer sign in the same way: they are deleted, deactivated,
/// revoked, expired, or have another password.
pub(super) async fn lock_users(transaction: &Transaction, caller: &Caller, now: DateTime<Utc>) -> Result<Caller> {
    if transaction.dialect == Dialect::Postgres {
        let sql = format!("SELECT pg_advisory_xact_lock({USERS_LOCK})");
        transaction.one(sql, []).await?;
    }
    let account = match caller.kind {
        CallerKind::User => {
            let row = api_user::Entity::find_by_id(&*caller.id).one(transaction).await?;
            row.as_ref().map(Account::of_user).transpose()?
        }
        CallerKind::Token => {
            let row = api_token::Entity::find_by_id(&*caller.id).one(transaction).await?;
            row.as_ref().map(Account::of_token).transpose()?
        }
        CallerKind::Issuer | CallerKind::Operator | CallerKind::Anyone => return Ok(caller.clone()),
    };
    let account = account.filter(|account| account.is_valid(now) && account.password_hash == caller.password_hash);
    let account = account.ok_or(Error::Unauthenticated)?;
    Ok(account.caller(caller.api, caller.request_id.clone()))
}

/// Calls [`lock_users`] for a caller who manages users and tokens.
///
/// # Errors
/// Those of [`lock_users`], and [`Error::Forbidden`] without the permission.
pub(super) async fn lock_users_for_manager(
    transaction: &Transaction,
    caller: &Caller,
    now: DateTime<Utc>,
) -> Result<Caller> {
    let caller = lock_users(transaction, caller, now).await?;
    caller.require(Permission::ManageUsers)?;
    Ok(caller)
}
