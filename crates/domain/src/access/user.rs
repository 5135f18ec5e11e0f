//! Users: lists, the first user, passwords and removal. The submodule creates and changes them.

mod upsert;

use async_graphql::{InputObject, MaybeUndefined};
use chrono::{DateTime, Utc};
use entity::api_user;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

pub use self::upsert::UpsertUser;
use super::{
    Accounts, PausablePermit,
    account::{user_named, user_rights},
    change::{AccountInput, Applied, Record},
    listing::{self, Listing},
    password,
    session::{EndReason, end_all},
};
use crate::audit::{Action, Member, Members, Subject};
use crate::caller::{Caller, CallerKind, Permission, Rights};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Message, Problem, ProblemCode},
    secret::Secret,
    text::has_control_characters,
};
use clientele_storage::{
    db::Transaction,
    paging::{Cursor, Order, Requested, Window},
};

/// The name of the first user.
pub const FIRST: &str = "admin";

/// Orders users by name.
pub static BY_NAME: Order = Order {
    name: "users",
    columns: &["name"],
    descending: false,
};

/// A user as callers see it.
#[derive(Clone, Debug)]
pub struct User {
    pub row: api_user::Model,
    pub rights: Rights,
}

impl User {
    fn of(row: api_user::Model) -> Result<Self> {
        Ok(Self {
            rights: user_rights(&row)?,
            row,
        })
    }

    /// The cursor of the user in the list.
    pub fn cursor(&self) -> String {
        Cursor::of(vec![self.row.name.clone()]).encode(&BY_NAME)
    }

    fn manages(&self) -> bool {
        self.row.active && self.rights.permissions.contains(Permission::ManageUsers)
    }

    fn can_everything(&self) -> bool {
        self.row.active && self.rights.are_all()
    }
}

/// Deletes a user.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "DeleteUserInput")]
pub struct DeleteUser {
    /// The name that the user signs in with.
    pub name: String,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

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
    /// Returns a page of all users, by name.
    pub async fn users(&self, caller: &Caller, window: &Window, asked: Requested) -> Result<Listing<User>> {
        caller.require(Permission::ManageUsers)?;
        listing::read::<api_user::Entity, _>(&self.db, &BY_NAME, window, asked, User::of).await
    }

    /// Returns the users with these keys, in no particular order.
    pub async fn users_by_key(&self, caller: &Caller, keys: &[&str]) -> Result<Vec<User>> {
        caller.require(Permission::ManageUsers)?;
        listing::by_key::<api_user::Entity, _>(&self.db, keys, User::of).await
    }

    /// Returns true if the database has a user.
    pub async fn any_user(&self) -> Result<bool> {
        Ok(api_user::Entity::find().count(self.db.read()).await? > 0)
    }

    /// Creates a user with every right if there is no user at all. Returns its password, which is kept nowhere else.
    ///
    /// If several servers do this at once on one database, only one gets a password.
    pub async fn make_first_user(&self, caller: &Caller, now: DateTime<Utc>) -> Result<Option<Secret>> {
        if self.any_user().await? {
            return Ok(None);
        }
        let password = password::random();
        let input = UpsertUser {
            name: FIRST.to_owned(),
            password: MaybeUndefined::Value(password.reveal().to_owned()),
            active: None,
            permissions: MaybeUndefined::Value(Permission::ALL.to_vec()),
            view_sets: MaybeUndefined::Undefined,
            edit_sets: MaybeUndefined::Undefined,
            branches: MaybeUndefined::Undefined,
            centres: MaybeUndefined::Undefined,
            role: MaybeUndefined::Undefined,
            client_mutation_id: None,
        };
        let made = self.create_user(caller, &input, now).await?;
        Ok(made.is_ok().then_some(password))
    }

    /// Removes the user of this name and returns its key. The tokens that it created stay.
    pub async fn delete_user(
        &self,
        caller: &Caller,
        input: &DeleteUser,
        now: DateTime<Utc>,
    ) -> Result<Result<String, Vec<Problem>>> {
        caller.require(Permission::ManageUsers)?;
        self.change(caller, input, now).await
    }

    /// Returns true if the caller is a user whose password was set by another caller, the operator or the first start.
    pub async fn password_is_initial(&self, caller: &Caller) -> Result<bool> {
        if caller.kind != CallerKind::User {
            return Ok(false);
        }
        let row = api_user::Entity::find_by_id(&*caller.id);
        let row = row.one(self.db.read()).await?;
        Ok(row.is_some_and(|row| row.initial))
    }

    /// Changes the caller's own password. Compares the old one with the password that the caller signed in with, so
    /// that no request verifies a second password. A wrong one counts as a failed sign-in. `permit` admitted the
    /// request.
    pub async fn change_password(
        &self,
        caller: &Caller,
        input: &ChangePassword,
        permit: &impl PausablePermit,
        now: DateTime<Utc>,
    ) -> Result<Result<(), Vec<Problem>>> {
        let refuse =
            |code, member: &'static str, message: Message| Ok(Err(vec![Problem::new(code, path![member], message)]));
        let Some(proof) = caller.proof.as_ref().filter(|_| caller.kind == CallerKind::User) else {
            let message = "Only a user has a password: sign in with your name and the old one.";
            return refuse(ProblemCode::Invalid, "oldPassword", message.into());
        };
        if let Some((code, message)) = password::fault(&input.new_password) {
            return refuse(code, "newPassword", message.into());
        }
        let row = api_user::Entity::find_by_id(&*caller.id).one(self.db.read()).await?;
        // The caller's account may have been cached before the last change, which this request may have made itself.
        if row.is_none_or(|row| row.password_hash != caller.password_hash.reveal()) {
            return Err(Error::Unauthenticated);
        }
        if !proof.is_of(&input.old_password) {
            proof.charge().map_err(Error::TooManyAttempts)?;
            return refuse(ProblemCode::Invalid, "oldPassword", "This isn't your password.".into());
        }
        if input.new_password == input.old_password {
            let message = "newPassword must differ from oldPassword.";
            return refuse(ProblemCode::Invalid, "newPassword", message.into());
        }
        let hash = self.hasher.hash(caller, permit, &input.new_password).await?;
        self.change(caller, &PasswordHash(hash), now).await
    }
}

impl AccountInput for DeleteUser {
    type Output = String;

    async fn apply(
        &self,
        caller: &Caller,
        transaction: &Transaction,
        _now: DateTime<Utc>,
    ) -> Result<Result<Applied<String>, Vec<Problem>>> {
        caller.require(Permission::ManageUsers)?;
        let refuse = |code, message: &'static str| Ok(Err(vec![Problem::new(code, path!["name"], message)]));
        let Some(user) = find(transaction, &self.name).await? else {
            return Ok(Err(vec![missing(&self.name)]));
        };
        if !caller.rights.cover(&user.rights) {
            let message = "This user has rights that you don't have: you can't remove it.";
            return refuse(ProblemCode::Forbidden, message);
        }
        if let Some(message) = irreplaceable(transaction, caller, &user, None).await? {
            return refuse(ProblemCode::Invalid, message);
        }
        let mut records = end_all(transaction, &user.row.encoded_key, EndReason::UserDeleted).await?;
        records.push(record(Some(&user), None));
        let key = user.row.encoded_key;
        let sql = "DELETE FROM api_user WHERE encoded_key = $1";
        transaction.run(sql, [key.as_str().into()]).await?;
        Ok(Ok(Applied { output: key, records }))
    }
}

/// The hash of the caller's new password.
struct PasswordHash(String);

impl AccountInput for PasswordHash {
    type Output = ();

    async fn apply(
        &self,
        caller: &Caller,
        transaction: &Transaction,
        now: DateTime<Utc>,
    ) -> Result<Result<Applied<()>, Vec<Problem>>> {
        // A caller whose password changed meanwhile has been refused already.
        let row = api_user::Entity::find_by_id(&*caller.id).one(transaction).await?;
        let stored = User::of(row.ok_or(Error::Unauthenticated)?)?;
        let user = User::of(api_user::Model {
            password_hash: self.0.clone(),
            initial: false,
            version: stored.row.version + 1,
            updated_at: now,
            ..stored.row.clone()
        })?;
        transaction.put::<api_user::Entity>(&[&user.row]).await?;
        let mut records = end_all(transaction, &user.row.encoded_key, EndReason::PasswordChanged).await?;
        records.push(record(Some(&stored), Some(&user)));
        Ok(Ok(Applied { output: (), records }))
    }
}

const NAME_RULE: &str = "The name of a user has up to 64 letters, digits and any of . _ - @";
const NO_USER: &str = "There is no user of this name. The query users lists them.";

async fn find(transaction: &Transaction, name: &str) -> Result<Option<User>> {
    // PostgreSQL rejects NUL.
    if has_control_characters(name) {
        return Ok(None);
    }
    user_named(name).one(transaction).await?.map(User::of).transpose()
}

/// The problem of a name without a user.
fn missing(name: &str) -> Problem {
    match has_control_characters(name) {
        true => Problem::new(ProblemCode::Malformed, path!["name"], NAME_RULE),
        false => Problem::new(ProblemCode::NotFound, path!["name"], NO_USER),
    }
}

/// Returns a problem if, after the change from `before` to `after` or the removal, no user could manage users or give
/// every right. Only the operator can remove the last user with every right: they can restore those rights.
async fn irreplaceable(
    transaction: &Transaction,
    caller: &Caller,
    before: &User,
    after: Option<&User>,
) -> Result<Option<&'static str>> {
    let ends = |can: fn(&User) -> bool| can(before) && !after.is_some_and(can);
    let manager = ends(User::manages);
    let administrator = ends(User::can_everything) && caller.kind != CallerKind::Operator;
    if !manager && !administrator {
        return Ok(None);
    }
    let others = api_user::Entity::find().filter(api_user::Column::EncodedKey.ne(before.row.encoded_key.as_str()));
    let others = others.all(transaction).await?.into_iter().map(User::of);
    let others = others.collect::<Result<Vec<User>>>()?;
    Ok(if manager && !others.iter().any(User::manages) {
        Some("This is the last active user with MANAGE_USERS: give that to another one first.")
    } else if administrator && !others.iter().any(User::can_everything) {
        Some("This is the last active user with every right: give them all to another one first.")
    } else {
        None
    })
}

/// The record of the members that changed under their API names; of a password only that it changed.
fn record(before: Option<&User>, after: Option<&User>) -> Record {
    let [was, is] = [before, after].map(|user| user.map(|user| &user.row));
    let mut members = Vec::new();
    use api_user::Column::{Active, Branches, Centres, EditSets, Name, Permissions, Role, ViewSets};
    let columns = [Name, Active, Permissions, ViewSets, EditSets, Branches, Centres, Role];
    Members::new(&mut members).columns(was, is, columns);
    if is.is_some() && was.map(|row| &row.password_hash) != is.map(|row| &row.password_hash) {
        members.push(Member::secret("password"));
    }
    Record {
        subject: Subject::User,
        key: is.or(was).map(|row| row.encoded_key.clone()).unwrap_or_default(),
        action: match (was, is) {
            (None, _) => Action::Created,
            (_, None) => Action::Deleted,
            _ => Action::Changed,
        },
        members,
    }
}
