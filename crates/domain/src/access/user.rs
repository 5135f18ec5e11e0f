//! Stored users, the users that callers see, and the audit records of their changes. The submodules change users.

mod password;
mod remove;
mod upsert;

use chrono::{DateTime, Utc};
use entity::api_user;
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, Select,
    sea_query::{Expr, ExprTrait, Func},
};

pub use self::{password::ChangePassword, remove::DeleteUser, upsert::UpsertUser};
use super::{
    Accounts,
    account::user_rights,
    listing::{self, Listing},
};
use crate::audit::{Action, Chain, Change, Member, Members, Subject};
use crate::caller::{Caller, CallerKind, Permission, Rights};
use clientele_core::{
    error::Result,
    path,
    problem::{Problem, ProblemCode},
    text::has_control_characters,
};
use clientele_storage::{
    db::Transaction,
    paging::{Asked, Cursor, Order, Window},
};

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

    fn may_everything(&self) -> bool {
        self.row.active && self.rights.are_all()
    }
}

impl Accounts {
    /// Returns a page of all users, by name.
    pub async fn users(&self, caller: &Caller, window: &Window, asked: Asked) -> Result<Listing<User>> {
        caller.require(Permission::ManageUsers)?;
        listing::read::<api_user::Entity, _>(&self.db, &BY_NAME, window, asked, User::of).await
    }

    /// Returns the users with these keys, in no particular order.
    pub async fn users_by_key(&self, caller: &Caller, keys: &[&str]) -> Result<Vec<User>> {
        caller.require(Permission::ManageUsers)?;
        listing::by_key::<api_user::Entity, _>(&self.db, keys, User::of).await
    }
}

const NAME_RULE: &str = "The name of a user has up to 64 letters, digits and any of . _ - @";
const NO_USER: &str = "There is no user of this name: the list of users shows those there are.";

/// Selects the user of this name, ignoring case: names have only ASCII letters.
pub(super) fn user_named(name: &str) -> Select<api_user::Entity> {
    let lower = Func::lower(Expr::col(api_user::Column::Name));
    api_user::Entity::find().filter(Expr::expr(lower).eq(name.to_ascii_lowercase()))
}

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
    let administrator = ends(User::may_everything) && caller.kind != CallerKind::Operator;
    if !manager && !administrator {
        return Ok(None);
    }
    let others = api_user::Entity::find().filter(api_user::Column::EncodedKey.ne(before.row.encoded_key.as_str()));
    let others = others.all(transaction).await?.into_iter().map(User::of);
    let others = others.collect::<Result<Vec<User>>>()?;
    Ok(if manager && !others.iter().any(User::manages) {
        Some("This is the last active user with MANAGE_USERS: give that to another one first.")
    } else if administrator && !others.iter().any(User::may_everything) {
        Some("This is the last active user with every right: give them all to another one first.")
    } else {
        None
    })
}

/// Records the members that changed under their API names; of a password only that it changed.
async fn record(
    accounts: &Accounts,
    transaction: &Transaction,
    caller: &Caller,
    before: Option<&User>,
    after: Option<&User>,
    now: DateTime<Utc>,
) -> Result<()> {
    let [was, is] = [before, after].map(|user| user.map(|user| &user.row));
    let Some(row) = is.or(was) else { return Ok(()) };
    let mut members = Vec::new();
    use api_user::Column::{Active, EditSets, Name, Permissions, Role, ViewSets};
    Members::new(&mut members).columns(was, is, [Name, Active, Permissions, ViewSets, EditSets, Role]);
    if is.is_some() && was.map(|row| &row.password_hash) != is.map(|row| &row.password_hash) {
        members.push(Member::secret("password"));
    }
    let change = Change {
        chain: Chain::Users,
        subject: Subject::User,
        subject_key: &row.encoded_key,
        action: match (was, is) {
            (None, _) => Action::Created,
            (_, None) => Action::Deleted,
            _ => Action::Changed,
        },
        members,
    };
    accounts.audit.record(transaction, caller, &change, now).await
}
