//! A user's own password, and its change by the user itself.

use async_graphql::InputObject;
use chrono::{DateTime, SubsecRound, Utc};
use entity::api_user;
use sea_orm::EntityTrait;

use super::{User, record};
use crate::{
    Clientele,
    access::{Caller, CallerKind, password, present::lock_users},
    db::{Step, Transaction, Work},
    error::{Error, Result},
    problem::{Problem, ProblemCode, path},
    secret::Secret,
};

/// One's own password, and another for it.
#[derive(InputObject, Clone)]
#[graphql(name = "ChangePasswordInput")]
pub struct ChangePassword {
    /// The password that holds until now.
    pub old_password: String,
    /// The password from now on: 12 characters or more.
    pub new_password: String,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// Whether the caller is a user whose password somebody else has made.
pub async fn password_is_initial(clientele: &Clientele, caller: &Caller) -> Result<bool> {
    if caller.kind != CallerKind::User {
        return Ok(false);
    }
    let row = api_user::Entity::find_by_id(&*caller.id);
    let row = row.one(clientele.db.read()).await?;
    Ok(row.is_some_and(|row| row.initial))
}

/// Changes the caller's own password, who has to know the old one.
pub async fn change_password(
    clientele: &Clientele,
    caller: &Caller,
    input: &ChangePassword,
    now: DateTime<Utc>,
) -> Result<Result<(), Vec<Problem>>> {
    let refuse = |code, place: &'static str, message: String| Ok(Err(vec![Problem::new(code, path![place], message)]));
    if caller.kind != CallerKind::User {
        let message = "Only a user has a password: sign in with your name and the old one.";
        return refuse(ProblemCode::Invalid, "oldPassword", message.to_owned());
    }
    if let Some((code, message)) = password::fault(&input.new_password) {
        return refuse(code, "newPassword", message);
    }
    let rows = api_user::Entity::find_by_id(&*caller.id);
    let row = rows.one(clientele.db.read()).await?.ok_or(Error::Unauthenticated)?;
    let old = Secret::new(input.old_password.as_str());
    if !clientele
        .accounts
        .hasher
        .matches(&old, Some(&row.password_hash))
        .await?
    {
        return refuse(
            ProblemCode::Invalid,
            "oldPassword",
            "This isn't your password.".to_owned(),
        );
    }
    if input.new_password == input.old_password {
        let message = "The new password must be another one than the old: the old one may be known to whoever made it.";
        return refuse(ProblemCode::Invalid, "newPassword", message.to_owned());
    }
    let work = Replace {
        clientele,
        caller,
        before: &row.password_hash,
        hash: clientele
            .accounts
            .hasher
            .hash(&Secret::new(input.new_password.as_str()))
            .await?,
        now: now.trunc_subsecs(6),
    };
    clientele.accounts.write(&clientele.db, &work).await
}

struct Replace<'a> {
    clientele: &'a Clientele,
    caller: &'a Caller,
    /// The hash that the old password has been compared with.
    before: &'a str,
    hash: String,
    now: DateTime<Utc>,
}

impl Work for Replace<'_> {
    type Output = Result<(), Vec<Problem>>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        let caller = &lock_users(transaction, self.caller, self.now).await?;
        let row = api_user::Entity::find_by_id(&*caller.id).one(transaction).await?;
        // If somebody else has changed it meanwhile, the old one is no proof any more.
        let row = row.filter(|row| row.password_hash == self.before);
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
        record(
            self.clientele,
            transaction,
            caller,
            Some(&stored),
            Some(&user),
            self.now,
        )
        .await?;
        Ok(Step::Commit(Ok(())))
    }
}
