//! Removes users.

use async_graphql::InputObject;
use chrono::{DateTime, Utc};

use super::{find, irreplaceable, missing, record};
use crate::{
    access::{Accounts, present::lock_users_for_manager},
    caller::{Caller, Permission},
};
use clientele_core::{
    error::Result,
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::{Step, Transaction, Work};

/// Deletes a user.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "DeleteUserInput")]
pub struct DeleteUser {
    /// The name that the user signs in with.
    pub name: String,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

impl Accounts {
    /// Removes the user of this name and returns its key. The tokens that it created stay.
    pub async fn delete_user(
        &self,
        caller: &Caller,
        input: &DeleteUser,
        now: DateTime<Utc>,
    ) -> Result<Result<String, Vec<Problem>>> {
        caller.require(Permission::ManageUsers)?;
        let work = Delete {
            accounts: self,
            caller,
            name: &input.name,
            now,
        };
        self.write(&work).await
    }
}

struct Delete<'a> {
    accounts: &'a Accounts,
    caller: &'a Caller,
    name: &'a str,
    now: DateTime<Utc>,
}

impl Work for Delete<'_> {
    type Output = Result<String, Vec<Problem>>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        let caller = &lock_users_for_manager(transaction, self.caller, self.now).await?;
        let refuse = |code, message| Ok(Step::Discard(Err(vec![Problem::new(code, path!["name"], message)])));
        let Some(user) = find(transaction, self.name).await? else {
            return Ok(Step::Discard(Err(vec![missing(self.name)])));
        };
        if !caller.rights.cover(&user.rights) {
            let message = "This user has rights that you don't have: you can't remove it.";
            return refuse(ProblemCode::Forbidden, message);
        }
        if let Some(message) = irreplaceable(transaction, caller, &user, None).await? {
            return refuse(ProblemCode::Invalid, message);
        }
        let key = user.row.encoded_key.clone();
        let sql = "DELETE FROM api_user WHERE encoded_key = $1";
        transaction.run(sql, [key.as_str().into()]).await?;
        record(self.accounts, transaction, caller, Some(&user), None, self.now).await?;
        Ok(Step::Commit(Ok(key)))
    }
}
