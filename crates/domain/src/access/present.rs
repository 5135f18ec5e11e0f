//! The caller of a change of users and tokens as it is stored at present. A door knows what it was some seconds ago,
//! which is good enough for what ends with the request, but not for what stays: a user or token that is made with a
//! right must not outlast it because another server had not heard yet that the right was gone.

use chrono::{DateTime, Utc};
use entity::{api_token, api_user};
use sea_orm::EntityTrait;

use super::Account;
use crate::caller::{Caller, CallerKind, Permission};
use clientele_core::error::{Error, Result};
use clientele_storage::db::{Dialect, Transaction};

/// Users and tokens are changed one at a time; any number will do, as long as it stays.
const USERS_LOCK: i64 = 0x7573_6572;

/// Waits until nobody else changes users or tokens, and answers who is calling, with the rights and the role that it
/// has then and until `transaction` ends.
///
/// Of an issuer's token nothing is stored: it is judged by what its issuer has signed, as everywhere, until it ends.
/// Neither is there anything stored of the operator, nor of anybody on a server that asks nobody who they are; both may
/// do everything.
///
/// # Errors [`Error::Unauthenticated`] for one who could not sign in any more as he has done: who is deleted,
/// deactivated, revoked, expired, or has another password by now.
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
    Ok(account.caller(caller.door, caller.request_id.clone()))
}

/// As [`lock_users`], for one who is to manage users and tokens.
///
/// # Errors
/// Those of [`lock_users`], and [`Error::Forbidden`] without the permission.
pub(super) async fn lock_users_for_manager(
    transaction: &Transaction,
    caller: &Caller,
    now: DateTime<Utc>,
) -> Result<Caller> {
    let caller = lock_users(transaction, caller, now).await?;
    caller.needs(Permission::ManageUsers)?;
    Ok(caller)
}
