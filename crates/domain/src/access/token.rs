//! Stored API tokens, the tokens that callers see, and the audit records of their changes. The submodules change
//! tokens.

mod create;
mod revoke;

use chrono::{DateTime, Utc};
use entity::api_token;

pub use self::{
    create::{CreateToken, MOST_DAYS, PREFIX},
    revoke::RevokeToken,
};
use super::{
    Accounts,
    account::token_rights,
    listing::{self, Listing},
};
use crate::audit::{Action, Chain, Change, Members, Subject};
use crate::caller::{Caller, Permission, Rights};
use clientele_core::error::Result;
use clientele_storage::{
    db::Transaction,
    paging::{Asked, Cursor, Order, Window},
};

/// Orders tokens by their keys, which grow with time.
pub static BY_CREATION: Order = Order {
    name: "tokens",
    columns: &["encoded_key"],
    descending: false,
};

/// A token as callers see it.
#[derive(Clone, Debug)]
pub struct Token {
    pub row: api_token::Model,
    pub rights: Rights,
}

impl Token {
    fn of(row: api_token::Model) -> Result<Self> {
        Ok(Self {
            rights: token_rights(&row)?,
            row,
        })
    }

    /// The cursor of the token in the list.
    pub fn cursor(&self) -> String {
        Cursor::of(vec![self.row.encoded_key.clone()]).encode(&BY_CREATION)
    }
}

impl Accounts {
    /// Returns a page of all tokens in order of creation, including revoked and expired ones.
    pub async fn tokens(&self, caller: &Caller, window: &Window, asked: Asked) -> Result<Listing<Token>> {
        caller.require(Permission::ManageUsers)?;
        listing::read::<api_token::Entity, _>(&self.db, &BY_CREATION, window, asked, Token::of).await
    }

    /// Returns the tokens with these keys, in no particular order.
    pub async fn tokens_by_key(&self, caller: &Caller, keys: &[&str]) -> Result<Vec<Token>> {
        caller.require(Permission::ManageUsers)?;
        listing::by_key::<api_token::Entity, _>(&self.db, keys, Token::of).await
    }
}

/// Records the members that changed under their API names, without the token itself.
async fn record(
    accounts: &Accounts,
    transaction: &Transaction,
    caller: &Caller,
    before: Option<&api_token::Model>,
    after: &api_token::Model,
    now: DateTime<Utc>,
) -> Result<()> {
    let mut members = Vec::new();
    use api_token::Column::{EditSets, ExpiresAt, Name, Permissions, RevokedAt, Role, ViewSets};
    let columns = [Name, Permissions, ViewSets, EditSets, Role, ExpiresAt, RevokedAt];
    Members::new(&mut members).columns(before, Some(after), columns);
    let change = Change {
        chain: Chain::Users,
        subject: Subject::Token,
        subject_key: &after.encoded_key,
        action: if before.is_none() {
            Action::Created
        } else {
            Action::Changed
        },
        members,
    };
    accounts.audit.record(transaction, caller, &change, now).await
}
