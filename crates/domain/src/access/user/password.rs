//! Lets a user change their own password.

use async_graphql::InputObject;
use chrono::{DateTime, SubsecRound, Utc};
use entity::api_user;
use sea_orm::EntityTrait;

use super::{User, record};
use crate::{
    access::{Accounts, RequestPlace, password, present::lock_users},
    caller::{Caller, CallerKind},
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::{Step, Transaction, Work};

/// Changes your own password.
#[derive(InputObject, Clone)]
#[graphql(name = "ChangePasswordInput")]
pub struct ChangePassword {
    /// Your current password.
    pub old_password: String,
    /// Your new password, at least 12 characters.
    pub new_password: String,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

impl Accounts {
    /// Returns true if the caller is a user whose password was set by another caller.
    pub async fn password_is_initial(&self, caller: &Caller) -> Result<bool> {
        if caller.kind != CallerKind::User {
            return Ok(false);
        }
        let row = api_user::Entity::find_by_id(&*caller.id);
        let row = row.one(self.db.read()).await?;
        Ok(row.is_some_and(|row| row.initial))
    }

    /// Changes the caller's own password. Compares the old one with the password that the caller signed in with, so that no
    /// request verifies a second password. A wrong one counts as a failed sign-in. `place` is the request's permit.
    pub async fn change_password(
        &self,
        caller: &Caller,
        input: &ChangePassword,
        place: &impl RequestPlace,
        now: DateTime<Utc>,
    ) -> Result<Result<(), Vec<Problem>>> {
        let refuse =
            |code, place: &'static str, message: String| Ok(Err(vec![Problem::new(code, path![place], message)]));
        let Some(proof) = caller.proof.as_ref().filter(|_| caller.kind == CallerKind::User) else {
            let message = "Only a user has a password: sign in with your name and the old one.";
            return refuse(ProblemCode::Invalid, "oldPassword", message.to_owned());
        };
        if let Some((code, message)) = password::fault(&input.new_password) {
            return refuse(code, "newPassword", message);
        }
        let row = api_user::Entity::find_by_id(&*caller.id).one(self.db.read()).await?;
        // The caller's account may have been cached before the last change, which this request may have made itself.
        if row.is_none_or(|row| row.password_hash != caller.password_hash.reveal()) {
            return Err(Error::Unauthenticated);
        }
        if !proof.is_of(&input.old_password) {
            proof.charge().map_err(Error::TooManyAttempts)?;
            return refuse(
                ProblemCode::Invalid,
                "oldPassword",
                "This isn't your password.".to_owned(),
            );
        }
        if input.new_password == input.old_password {
            let message = "newPassword must differ from oldPassword.";
            return refuse(ProblemCode::Invalid, "newPassword", message.to_owned());
        }
        let hasher = &self.hasher;
        let work = Replace {
            accounts: self,
            caller,
            hash: hasher.hash(caller, place, &input.new_password).await?,
            now: now.trunc_subsecs(6),
        };
        self.write(&work).await
    }
}

struct Replace<'a> {
    accounts: &'a Accounts,
    caller: &'a Caller,
    hash: String,
    now: DateTime<Utc>,
}

impl Work for Replace<'_> {
    type Output = Result<(), Vec<Problem>>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        let caller = &lock_users(transaction, self.caller, self.now).await?;
        // A caller whose password changed meanwhile has been refused already.
        let row = api_user::Entity::find_by_id(&*caller.id).one(transaction).await?;
        let stored = User::of(row.ok_or(Error::Unauthenticated)?)?;
        let row = api_user::Model {
            password_hash: self.hash.clone(),
            initial: false,
            version: stored.row.version + 1,
            updated_at: self.now,
            ..stored.row.clone()
        };
        let user = User::of(row)?;
        transaction.put::<api_user::Entity>(&[&user.row]).await?;
        record(self.accounts, transaction, caller, Some(&stored), Some(&user), self.now).await?;
        Ok(Step::Commit(Ok(())))
    }
}
