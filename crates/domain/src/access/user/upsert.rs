//! Creates and changes users.

use async_graphql::{InputObject, MaybeUndefined};
use chrono::{DateTime, Utc};
use entity::api_user;

use super::{NAME_RULE, User, find, irreplaceable, missing, record};
use crate::member::Problems;
use crate::{
    access::{
        Accounts, PausablePermit,
        account::permissions_column,
        accounts::LONGEST_NAME,
        change::{AccountInput, Applied},
        grant::{SentRights, has_limits, require_rights, require_role, rights, role},
        password,
        session::{EndReason, end_all},
    },
    caller::{Caller, Permission},
};
use clientele_core::{
    error::Result,
    path,
    problem::{Problem, ProblemCode},
    scalar::new_key,
    text::is_blank,
};
use clientele_storage::db::Transaction;

/// Creates a user, or changes the existing user with this name. Omitted values stay as they are.
#[derive(InputObject, Clone)]
#[graphql(name = "UpsertUserInput")]
pub struct UpsertUser {
    /// The name that the user signs in with: up to 64 letters, digits and characters of `. _ - @`. Case is ignored:
    /// `Ana` and `ana` are the same name.
    pub name: String,
    /// An initial password, at least 12 characters, which the user should change. Required on creation. To set it, you
    /// must be able to grant the user's role.
    pub password: MaybeUndefined<String>,
    /// True if the user can sign in. True by default.
    pub active: Option<bool>,
    /// Replaces the permissions. Omit it to keep them; null is refused. You can't grant permissions that you don't
    /// have.
    pub permissions: MaybeUndefined<Vec<Permission>>,
    /// Replaces the IDs of the custom field sets whose values the user can view, in addition to those in `editSets`.
    /// All sets if null, or if omitted on creation.
    pub view_sets: MaybeUndefined<Vec<String>>,
    /// Replaces the IDs of the custom field sets whose values the user can view and change. All sets if null. If
    /// omitted, a new user, and one who could change all sets, can change those in `viewSets`.
    pub edit_sets: MaybeUndefined<Vec<String>>,
    /// Replaces the keys of the branches to which the user is limited: clients of other branches, and clients without a
    /// branch, don't exist for the user. At most 1,000; `[]` leaves no client. No limit if null, or if omitted on
    /// creation. You can't grant branches that you don't have.
    pub branches: MaybeUndefined<Vec<String>>,
    /// Replaces the keys of the centres to which the user is limited, as with `branches`. With both, a client must be
    /// of one of the branches and of one of the centres.
    pub centres: MaybeUndefined<Vec<String>>,
    /// The role in the server configuration that sets the limits; null for the general limits. To grant a role other
    /// than your own, you need all permissions and all custom field sets, and no limit to branches or centres.
    /// Keeping the current role doesn't require them.
    pub role: MaybeUndefined<String>,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

/// The state of the user that a change requires.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Must {
    CreateOrChange,
    Create,
    Change,
}

impl Accounts {
    /// Creates the user that `input` describes, or changes the one it names. Returns the user, and whether it is new.
    /// `permit` is the admission permit of the request.
    pub async fn upsert_user(
        &self,
        caller: &Caller,
        input: &UpsertUser,
        permit: &impl PausablePermit,
        now: DateTime<Utc>,
    ) -> Result<Result<(User, bool), Vec<Problem>>> {
        self.write_user(caller, input, Must::CreateOrChange, permit, now).await
    }

    /// Creates the user that `input` describes. An existing user of this name is a problem and stays unchanged.
    pub async fn create_user(
        &self,
        caller: &Caller,
        input: &UpsertUser,
        now: DateTime<Utc>,
    ) -> Result<Result<(User, bool), Vec<Problem>>> {
        self.write_user(caller, input, Must::Create, &(), now).await
    }

    /// Changes the user that `input` names. An unknown name is a problem.
    pub async fn change_user(
        &self,
        caller: &Caller,
        input: &UpsertUser,
        now: DateTime<Utc>,
    ) -> Result<Result<(User, bool), Vec<Problem>>> {
        self.write_user(caller, input, Must::Change, &(), now).await
    }

    async fn write_user(
        &self,
        caller: &Caller,
        input: &UpsertUser,
        must: Must,
        permit: &impl PausablePermit,
        now: DateTime<Utc>,
    ) -> Result<Result<(User, bool), Vec<Problem>>> {
        caller.require(Permission::ManageUsers)?;
        let hash = match input.password.value() {
            Some(text) if password::fault(text).is_none() => Some(self.hasher.hash(caller, permit, text).await?),
            _ => None,
        };
        let work = Upsert { input, hash, must };
        self.change(caller, &work, now).await
    }
}

struct Upsert<'a> {
    input: &'a UpsertUser,
    hash: Option<String>,
    must: Must,
}

impl AccountInput for Upsert<'_> {
    type Output = (User, bool);

    async fn apply(
        &self,
        caller: &Caller,
        transaction: &Transaction,
        now: DateTime<Utc>,
    ) -> Result<Result<Applied<(User, bool)>, Vec<Problem>>> {
        caller.require(Permission::ManageUsers)?;
        let stored = find(transaction, &self.input.name).await?;
        let unmeant = match (self.must, &stored) {
            (Must::Create, Some(_)) => {
                let message = "There is a user of this name already.";
                Some(Problem::new(ProblemCode::Taken, path!["name"], message))
            }
            (Must::Change, None) => Some(missing(&self.input.name)),
            _ => None,
        };
        if let Some(problem) = unmeant {
            return Ok(Err(vec![problem]));
        }
        let user = match self.check(caller, stored.as_ref(), now) {
            Ok(user) => user,
            Err(problems) => return Ok(Err(problems)),
        };
        if stored.as_ref().is_some_and(|stored| stored.row == user.row) {
            return Ok(Ok(Applied {
                output: (user, false),
                records: Vec::new(),
            }));
        }
        if let Some(before) = &stored
            && let Some(message) = irreplaceable(transaction, caller, before, Some(&user)).await?
        {
            let problem = Problem::new(ProblemCode::Invalid, path!["permissions"], message);
            return Ok(Err(vec![problem]));
        }
        let user = User {
            row: api_user::Model {
                version: user.row.version + 1,
                updated_at: now,
                ..user.row
            },
            ..user
        };
        transaction.put::<api_user::Entity>(&[&user.row]).await?;
        let mut records = vec![record(stored.as_ref(), Some(&user))];
        let reason = match (self.hash.is_some(), user.row.active) {
            (_, false) => Some(EndReason::UserDeactivated),
            (true, true) => Some(EndReason::PasswordChanged),
            (false, true) => None,
        };
        if let Some(reason) = reason {
            records.extend(end_all(transaction, &user.row.encoded_key, reason).await?);
        }
        Ok(Ok(Applied {
            output: (user, stored.is_none()),
            records,
        }))
    }
}

impl Upsert<'_> {
    /// Returns the resulting user, or every problem.
    fn check(&self, caller: &Caller, stored: Option<&User>, now: DateTime<Utc>) -> Result<User, Vec<Problem>> {
        let UpsertUser {
            name,
            password,
            active,
            permissions,
            view_sets,
            edit_sets,
            branches,
            centres,
            role: sent_role,
            client_mutation_id: _,
        } = self.input;
        let mut problems = Problems::default();
        check_name(name, &mut problems);
        check_password(password, stored.is_none(), &mut problems);
        let before = stored.map(|stored| &stored.rights);
        let sent = SentRights {
            permissions,
            view_sets,
            edit_sets,
            branches,
            centres,
        };
        let rights = rights(&sent, before, &mut problems);
        let before = stored.map(|stored| &stored.row);
        let role = role(sent_role, before.and_then(|row| row.role.clone()), &mut problems);
        if stored.is_some_and(|stored| !caller.rights.cover(&stored.rights)) {
            let message = "This user has rights that you don't have: you can't change it.";
            problems.add(ProblemCode::Forbidden, path!["name"], message);
        } else {
            require_rights(caller, &rights, &mut problems);
            self.check_role(caller, before, role.as_deref(), &mut problems);
        }
        if !problems.0.is_empty() {
            return Err(problems.0);
        }
        let row = api_user::Model {
            encoded_key: before.map_or_else(new_key, |row| row.encoded_key.clone()),
            // A name that differs only in case is the same name.
            name: before.map_or(name, |row| &row.name).clone(),
            password_hash: match &self.hash {
                Some(hash) => hash.clone(),
                None => before.map(|row| row.password_hash.clone()).unwrap_or_default(),
            },
            active: active.unwrap_or(before.is_none_or(|row| row.active)),
            initial: self.hash.is_some() || before.is_some_and(|row| row.initial),
            permissions: permissions_column(rights.permissions),
            view_sets: rights.view_sets.to_column(),
            edit_sets: rights.edit_sets.to_column(),
            branches: rights.branches.to_column(),
            centres: rights.centres.to_column(),
            role,
            version: before.map_or(0, |row| row.version),
            created_at: before.map_or(now, |row| row.created_at),
            updated_at: before.map_or(now, |row| row.updated_at),
        };
        Ok(User { row, rights })
    }

    /// Keeping a role gives no rights. Setting a password does: the caller could then sign in as that user.
    fn check_role(
        &self,
        caller: &Caller,
        before: Option<&api_user::Model>,
        role: Option<&str>,
        problems: &mut Problems,
    ) {
        let stays = before.is_some_and(|row| row.role.as_deref() == role);
        if !stays {
            require_role(caller, role, problems);
        } else if self.hash.is_some() && !has_limits(caller, role) {
            let message = "This user has limits that you can't give: you can't make its password.";
            problems.add(ProblemCode::Forbidden, path!["password"], message);
        }
    }
}

fn check_name(name: &str, problems: &mut Problems) {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-@".contains(letter);
    if is_blank(name) {
        problems.add(
            ProblemCode::Blank,
            path!["name"],
            "name is required and must not be blank.",
        );
    } else if name.len() > LONGEST_NAME || !name.chars().all(plain) {
        problems.add(ProblemCode::Malformed, path!["name"], NAME_RULE);
    }
}

fn check_password(sent: &MaybeUndefined<String>, is_new: bool, problems: &mut Problems) {
    let fault = match sent {
        MaybeUndefined::Undefined if !is_new => None,
        MaybeUndefined::Undefined | MaybeUndefined::Null => {
            let message = "password is required. To block a user, set active to false.";
            Some((ProblemCode::Blank, message.to_owned()))
        }
        MaybeUndefined::Value(text) => password::fault(text),
    };
    if let Some((code, message)) = fault {
        problems.add(code, path!["password"], message);
    }
}
