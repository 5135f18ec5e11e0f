//! Revokes tokens.

use async_graphql::InputObject;
use chrono::{DateTime, SubsecRound, Utc};
use entity::api_token;
use sea_orm::EntityTrait;

use super::{Token, record};
use crate::{
    access::{Accounts, account::token_rights, present::lock_users_for_manager},
    caller::{Caller, Permission},
};
use clientele_core::{
    error::Result,
    path,
    problem::{Message, Problem, ProblemCode},
    text::has_control_characters,
};
use clientele_storage::db::{Step, Transaction, Work};

/// Revokes an API token.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "RevokeTokenInput")]
pub struct RevokeToken {
    /// The key of the token.
    pub encoded_key: String,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

impl Accounts {
    /// Revokes a token. One that is revoked already stays as it is.
    pub async fn revoke_token(
        &self,
        caller: &Caller,
        input: &RevokeToken,
        now: DateTime<Utc>,
    ) -> Result<Result<Token, Vec<Problem>>> {
        caller.require(Permission::ManageUsers)?;
        let work = Revoke {
            accounts: self,
            caller,
            key: &input.encoded_key,
            now: now.trunc_subsecs(6),
        };
        self.write(&work).await
    }
}

struct Revoke<'a> {
    accounts: &'a Accounts,
    caller: &'a Caller,
    key: &'a str,
    now: DateTime<Utc>,
}

impl Work for Revoke<'_> {
    type Output = Result<Token, Vec<Problem>>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        let caller = &lock_users_for_manager(transaction, self.caller, self.now).await?;
        if has_control_characters(self.key) {
            let message = "encodedKey must not contain control characters.";
            let problem = Problem::new(ProblemCode::InvalidCharacter, path!["encodedKey"], message);
            return Ok(Step::Discard(Err(vec![problem])));
        }
        let Some(before) = api_token::Entity::find_by_id(self.key).one(transaction).await? else {
            let message = Message::from("There is no token with this key").listed_by("tokens");
            let problem = Problem::new(ProblemCode::NotFound, path!["encodedKey"], message);
            return Ok(Step::Discard(Err(vec![problem])));
        };
        if before.revoked_at.is_some() {
            return Ok(Step::Discard(Ok(Token::of(before)?)));
        }
        if !caller.rights.cover(&token_rights(&before)?) {
            let message = "This token has rights that you don't have: you can't revoke it.";
            let problem = Problem::new(ProblemCode::Forbidden, path!["encodedKey"], message);
            return Ok(Step::Discard(Err(vec![problem])));
        }
        let row = api_token::Model {
            revoked_at: Some(self.now),
            ..before.clone()
        };
        transaction.put::<api_token::Entity>(&[&row]).await?;
        record(self.accounts, transaction, caller, Some(&before), &row, self.now).await?;
        Ok(Step::Commit(Ok(Token::of(row)?)))
    }
}
