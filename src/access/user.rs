//! Users: creating, changing and removing them, and their passwords.

use async_graphql::{InputObject, MaybeUndefined};
use chrono::{DateTime, SubsecRound, Utc};
use entity::api_user;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::{
    Caller, CallerKind, Permission, Rights,
    accounts::{Account, LONGEST_NAME, permissions_column, user_rights},
    grant::{Sent, lock_users, may_give, role},
    password,
};
use crate::{
    Clientele,
    db::{Step, Transaction, Work},
    error::Result,
    history::{Action, Chain, Change, Member, Members, Subject},
    member::Problems,
    problem::{Problem, ProblemCode, path},
    scalar::new_key,
    secret::Secret,
};

/// A user as it is to be: created when there is none of this name, changed when there is. An omitted member stays as it is.
#[derive(InputObject, Clone)]
#[graphql(name = "UpsertUserInput")]
pub struct UpsertUser {
    /// The name the user signs in with: up to 64 letters, digits and any of `. _ - @`.
    pub name: String,
    /// A password for the user, who should change it then: 12 characters or more. Required on creation.
    pub password: MaybeUndefined<String>,
    /// Whether the user may sign in; true unless given.
    pub active: Option<bool>,
    /// Replaces what the user may do. Omit to leave it alone; null is refused. You can't give what you don't have.
    pub permissions: MaybeUndefined<Vec<Permission>>,
    /// Replaces the custom field sets, by their ids, whose values the user may see beside those it may change. Null
    /// stands for all of them, and so does leaving it out on creation.
    pub view_sets: MaybeUndefined<Vec<String>>,
    /// Replaces the custom field sets, by their ids, whose values the user may change. Null stands for all of them, and
    /// so does leaving it out on creation.
    pub edit_sets: MaybeUndefined<Vec<String>>,
    /// The role whose limits the configuration sets; null for the general ones.
    pub role: MaybeUndefined<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

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

/// A user as others may see it.
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

    fn manages(&self) -> bool {
        self.row.active && self.rights.permissions.contains(Permission::ManageUsers)
    }
}

/// All users, by name.
pub async fn users(clientele: &Clientele, caller: &Caller) -> Result<Vec<User>> {
    caller.needs(Permission::ManageUsers)?;
    let rows = api_user::Entity::find().order_by_asc(api_user::Column::Name);
    let rows = rows.all(clientele.db.read().orm()).await?;
    rows.into_iter().map(User::of).collect()
}

/// Whether the caller is a user whose password somebody else has made.
pub async fn password_is_initial(clientele: &Clientele, caller: &Caller) -> Result<bool> {
    if caller.kind != CallerKind::User {
        return Ok(false);
    }
    let row = api_user::Entity::find_by_id(&*caller.id);
    let row = row.one(clientele.db.read().orm()).await?;
    Ok(row.is_some_and(|row| row.initial))
}

/// Creates the user that `input` describes, or changes the one it names. Answers the user, and whether it is new.
pub async fn upsert_user(
    clientele: &Clientele,
    caller: &Caller,
    input: &UpsertUser,
    now: DateTime<Utc>,
) -> Result<Result<(User, bool), Vec<Problem>>> {
    write_user(clientele, caller, input, false, now).await
}

/// Creates the user that `input` describes; a user of this name that is there already is a problem, and stays as it is.
pub async fn create_user(
    clientele: &Clientele,
    caller: &Caller,
    input: &UpsertUser,
    now: DateTime<Utc>,
) -> Result<Result<(User, bool), Vec<Problem>>> {
    write_user(clientele, caller, input, true, now).await
}

async fn write_user(
    clientele: &Clientele,
    caller: &Caller,
    input: &UpsertUser,
    must_be_new: bool,
    now: DateTime<Utc>,
) -> Result<Result<(User, bool), Vec<Problem>>> {
    caller.needs(Permission::ManageUsers)?;
    let hash = match input.password.value() {
        Some(text) if password::fault(text).is_none() => {
            Some(clientele.accounts.hasher.hash(&Secret::new(text.as_str())).await?)
        }
        _ => None,
    };
    let work = Upsert {
        clientele,
        caller,
        input,
        hash,
        must_be_new,
        now: now.trunc_subsecs(6),
    };
    let outcome = clientele.db.write(&work).await?;
    clientele.accounts.forget();
    Ok(outcome)
}

struct Upsert<'a> {
    clientele: &'a Clientele,
    caller: &'a Caller,
    input: &'a UpsertUser,
    hash: Option<String>,
    must_be_new: bool,
    now: DateTime<Utc>,
}

impl Work for Upsert<'_> {
    type Output = Result<(User, bool), Vec<Problem>>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        lock_users(transaction).await?;
        let stored = find(transaction, &self.input.name).await?;
        if stored.is_some() && self.must_be_new {
            let problem = Problem::new(
                ProblemCode::Taken,
                path!["name"],
                "There is a user of this name already.",
            );
            return Ok(Step::Discard(Err(vec![problem])));
        }
        let user = match self.check(stored.as_ref()) {
            Ok(user) => user,
            Err(problems) => return Ok(Step::Discard(Err(problems))),
        };
        if stored.as_ref().is_some_and(|stored| stored.row == user.row) {
            return Ok(Step::Discard(Ok((user, false))));
        }
        if stored.as_ref().is_some_and(User::manages) && !user.manages() && last_manager(transaction, &user).await? {
            return Ok(Step::Discard(Err(vec![last(path!["permissions"])])));
        }
        let user = User {
            row: api_user::Model {
                version: user.row.version + 1,
                updated_at: self.now,
                ..user.row
            },
            ..user
        };
        transaction.put::<api_user::Entity>(&[&user.row]).await?;
        record(
            self.clientele,
            transaction,
            self.caller,
            stored.as_ref(),
            Some(&user),
            self.now,
        )
        .await?;
        Ok(Step::Commit(Ok((user, stored.is_none()))))
    }
}

impl Upsert<'_> {
    /// The user as it is to be, or every problem.
    fn check(&self, stored: Option<&User>) -> Result<User, Vec<Problem>> {
        let UpsertUser {
            name,
            password,
            active,
            permissions,
            view_sets,
            edit_sets,
            role: sent_role,
            client_mutation_id: _,
        } = self.input;
        let mut problems = Problems::default();
        check_name(name, &mut problems);
        check_password(password, stored.is_none(), &mut problems);
        let sent = Sent {
            permissions,
            view_sets,
            edit_sets,
        };
        let rights = sent.rights(stored.map(|stored| &stored.rights), &mut problems);
        may_give(self.caller, &rights, &mut problems);
        if stored.is_some_and(|stored| !self.caller.rights.cover(&stored.rights)) {
            let message = "This user has rights that you don't have: you can't change it.";
            problems.add(ProblemCode::Forbidden, path!["name"], message);
        }
        let before = stored.map(|stored| &stored.row);
        let role = role(sent_role, before.and_then(|row| row.role.clone()), &mut problems);
        if !problems.0.is_empty() {
            return Err(problems.0);
        }
        let row = api_user::Model {
            encoded_key: before.map_or_else(new_key, |row| row.encoded_key.clone()),
            name: name.clone(),
            password_hash: match &self.hash {
                Some(hash) => hash.clone(),
                None => before.map(|row| row.password_hash.clone()).unwrap_or_default(),
            },
            active: active.unwrap_or(before.is_none_or(|row| row.active)),
            initial: self.hash.is_some() || before.is_some_and(|row| row.initial),
            permissions: permissions_column(rights.permissions),
            view_sets: rights.view_sets.to_column(),
            edit_sets: rights.edit_sets.to_column(),
            role,
            version: before.map_or(0, |row| row.version),
            created_at: before.map_or(self.now, |row| row.created_at),
            updated_at: before.map_or(self.now, |row| row.updated_at),
        };
        Ok(User { row, rights })
    }
}

fn check_name(name: &str, problems: &mut Problems) {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-@".contains(letter);
    if name.is_empty() {
        problems.add(
            ProblemCode::Blank,
            path!["name"],
            "name is required and must not be blank.",
        );
    } else if name.len() > LONGEST_NAME || !name.chars().all(plain) {
        let message = format!("The name of a user has up to {LONGEST_NAME} letters, digits and any of . _ - @");
        problems.add(ProblemCode::Malformed, path!["name"], message);
    }
}

fn check_password(sent: &MaybeUndefined<String>, is_new: bool, problems: &mut Problems) {
    let fault = match sent {
        MaybeUndefined::Undefined if !is_new => None,
        MaybeUndefined::Undefined | MaybeUndefined::Null => {
            let message = "A user needs a password. To keep somebody out, set active to false.";
            Some((ProblemCode::Blank, message.to_owned()))
        }
        MaybeUndefined::Value(text) => password::fault(text),
    };
    if let Some((code, message)) = fault {
        problems.add(code, path!["password"], message);
    }
}

/// Removes the user of this name, and answers its key. Its tokens stay.
pub async fn delete_user(
    clientele: &Clientele,
    caller: &Caller,
    name: &str,
    now: DateTime<Utc>,
) -> Result<Result<String, Vec<Problem>>> {
    caller.needs(Permission::ManageUsers)?;
    let work = Delete {
        clientele,
        caller,
        name,
        now,
    };
    let outcome = clientele.db.write(&work).await?;
    clientele.accounts.forget();
    Ok(outcome)
}

struct Delete<'a> {
    clientele: &'a Clientele,
    caller: &'a Caller,
    name: &'a str,
    now: DateTime<Utc>,
}

impl Work for Delete<'_> {
    type Output = Result<String, Vec<Problem>>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        lock_users(transaction).await?;
        let refuse = |code, message| Ok(Step::Discard(Err(vec![Problem::new(code, path!["name"], message)])));
        let Some(user) = find(transaction, self.name).await? else {
            return refuse(ProblemCode::NotFound, "There is no user of this name.");
        };
        if !self.caller.rights.cover(&user.rights) {
            let message = "This user has rights that you don't have: you can't remove it.";
            return refuse(ProblemCode::Forbidden, message);
        }
        if user.manages() && last_manager(transaction, &user).await? {
            return Ok(Step::Discard(Err(vec![last(path!["name"])])));
        }
        let key = user.row.encoded_key.clone();
        let sql = "DELETE FROM api_user WHERE encoded_key = $1";
        transaction.run(sql, [key.as_str().into()]).await?;
        record(self.clientele, transaction, self.caller, Some(&user), None, self.now).await?;
        Ok(Step::Commit(Ok(key)))
    }
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
    let Some(row) = rows.one(clientele.db.read().orm()).await? else {
        return refuse(
            ProblemCode::NotFound,
            "oldPassword",
            "You are no user any more.".to_owned(),
        );
    };
    let old = Secret::new(input.old_password.as_str());
    if !clientele.accounts.verify(Some(&Account::of_user(&row)?), &old).await? {
        return refuse(
            ProblemCode::Invalid,
            "oldPassword",
            "This isn't your password.".to_owned(),
        );
    }
    let work = Replace {
        clientele,
        caller,
        before: row,
        hash: clientele
            .accounts
            .hasher
            .hash(&Secret::new(input.new_password.as_str()))
            .await?,
        now: now.trunc_subsecs(6),
    };
    clientele.db.write(&work).await?;
    clientele.accounts.forget();
    Ok(Ok(()))
}

struct Replace<'a> {
    clientele: &'a Clientele,
    caller: &'a Caller,
    before: api_user::Model,
    hash: String,
    now: DateTime<Utc>,
}

impl Work for Replace<'_> {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        lock_users(transaction).await?;
        let Some(stored) = find(transaction, &self.before.name).await? else {
            return Err(crate::error::Error::Conflict);
        };
        if stored.row.password_hash != self.before.password_hash {
            // Somebody else has changed it meanwhile: the old one is no proof any more.
            return Err(crate::error::Error::Conflict);
        }
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
            self.caller,
            Some(&stored),
            Some(&user),
            self.now,
        )
        .await?;
        Ok(Step::Commit(()))
    }
}

async fn find(transaction: &Transaction, name: &str) -> Result<Option<User>> {
    let named = api_user::Entity::find().filter(api_user::Column::Name.eq(name));
    named.one(transaction.orm()).await?.map(User::of).transpose()
}

/// Whether nobody but `user` manages users.
async fn last_manager(transaction: &Transaction, user: &User) -> Result<bool> {
    let others = api_user::Entity::find().filter(api_user::Column::EncodedKey.ne(user.row.encoded_key.as_str()));
    for row in others.all(transaction.orm()).await? {
        if User::of(row)?.manages() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn last(place: impl IntoIterator<Item = crate::problem::Step>) -> Problem {
    let message = "This is the last active user with MANAGE_USERS: give that to another one first.";
    Problem::new(ProblemCode::Invalid, place, message)
}

/// What changed, in the names of the API; of a password only that it did.
async fn record(
    clientele: &Clientele,
    transaction: &Transaction,
    caller: &Caller,
    before: Option<&User>,
    after: Option<&User>,
    now: DateTime<Utc>,
) -> Result<()> {
    let [was, is] = [before, after].map(|user| user.map(|user| &user.row));
    let Some(row) = is.or(was) else { return Ok(()) };
    let mut members = Vec::new();
    let mut differing = Members::new(&mut members);
    let both = |get: &dyn Fn(&api_user::Model) -> Option<String>| [was.and_then(get), is.and_then(get)];
    for (name, [before, after]) in [
        ("name", both(&|row| Some(row.name.clone()))),
        ("active", both(&|row| Some(row.active.to_string()))),
        ("permissions", both(&|row| Some(row.permissions.clone()))),
        ("viewSets", both(&|row| row.view_sets.clone())),
        ("editSets", both(&|row| row.edit_sets.clone())),
        ("role", both(&|row| row.role.clone())),
    ] {
        differing.text(name, before.as_deref(), after.as_deref());
    }
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
    clientele.history.record(transaction, caller, &change, now).await
}
