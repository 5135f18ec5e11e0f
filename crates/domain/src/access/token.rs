//! API tokens: lists, creation and revocation.

use async_graphql::{InputObject, MaybeUndefined};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use entity::api_token;
use sea_orm::EntityTrait;

use super::{
    Accounts,
    account::{permissions_column, token_rights},
    change::{AccountInput, Applied, Record},
    grant::{SentRights, require_rights, require_role, rights, role},
    listing::{self, Listing},
    token_text::{PREFIX, random_text, token_hash},
};
use crate::{
    audit::{Action, Members, Subject},
    caller::{Caller, Permission, Rights},
    member::{Problems, Scalars, TEXT_LIMIT},
};
use clientele_core::{
    error::Result,
    path,
    problem::{Message, Problem, ProblemCode},
    scalar::{self, new_key},
    secret::Secret,
    text::{has_control_characters, is_blank},
};
use clientele_storage::{
    db::Transaction,
    paging::{Cursor, Order, Requested, Window},
};

/// A token that expires does so within five years, including any leap days. No rotation policy allows longer: a later
/// date is a mistake, and would in effect mean no expiry.
pub const MOST_DAYS: i64 = 1_827;

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

/// Creates an API token.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "CreateTokenInput")]
pub struct CreateToken {
    /// The purpose of the token, up to 255 characters.
    pub name: String,
    /// The permissions of the token. You can't grant permissions that you don't have.
    pub permissions: Vec<Permission>,
    /// The IDs of the custom field sets whose values the token can view, in addition to those in `editSets`. All sets
    /// by default.
    pub view_sets: Option<Vec<String>>,
    /// The IDs of the custom field sets whose values the token can view and change. Those in `viewSets` by default, or
    /// all.
    pub edit_sets: Option<Vec<String>>,
    /// The keys of the branches to which the token is limited: clients of other branches, and clients without a branch,
    /// don't exist for the token. At most 1,000; `[]` leaves no client. No limit by default. You can't grant branches
    /// that you don't have.
    pub branches: Option<Vec<String>>,
    /// The keys of the centres to which the token is limited, as with `branches`. With both, a client must be of one of
    /// the branches and of one of the centres.
    pub centres: Option<Vec<String>>,
    /// The role in the server configuration that sets the limits. The general limits by default. To grant a role other
    /// than your own, you need all permissions and all custom field sets, and no limit to branches or centres.
    pub role: Option<String>,
    /// The time at which the token expires, at most five years from now. By default it is valid until it is revoked.
    pub expires_at: Option<scalar::DateTime>,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

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
    /// Returns a page of all tokens in order of creation, including revoked and expired ones.
    pub async fn tokens(&self, caller: &Caller, window: &Window, asked: Requested) -> Result<Listing<Token>> {
        caller.require(Permission::ManageUsers)?;
        listing::read::<api_token::Entity, _>(&self.db, &BY_CREATION, window, asked, Token::of).await
    }

    /// Returns the tokens with these keys, in no particular order.
    pub async fn tokens_by_key(&self, caller: &Caller, keys: &[&str]) -> Result<Vec<Token>> {
        caller.require(Permission::ManageUsers)?;
        listing::by_key::<api_token::Entity, _>(&self.db, keys, Token::of).await
    }

    /// Creates a token and returns it with its text, which is shown only this once and kept nowhere.
    pub async fn create_token(
        &self,
        caller: &Caller,
        input: &CreateToken,
        now: DateTime<Utc>,
    ) -> Result<Result<(Token, Secret), Vec<Problem>>> {
        caller.require(Permission::ManageUsers)?;
        let text = format!("{PREFIX}{}", random_text());
        let token = self.change(caller, &NewToken { input, text: &text }, now).await?;
        Ok(token.map(|token| (token, Secret::new(text))))
    }

    /// Revokes a token. One that is revoked already stays as it is.
    pub async fn revoke_token(
        &self,
        caller: &Caller,
        input: &RevokeToken,
        now: DateTime<Utc>,
    ) -> Result<Result<Token, Vec<Problem>>> {
        caller.require(Permission::ManageUsers)?;
        self.change(caller, input, now).await
    }
}

struct NewToken<'a> {
    input: &'a CreateToken,
    text: &'a str,
}

impl AccountInput for NewToken<'_> {
    type Output = Token;

    async fn apply(
        &self,
        caller: &Caller,
        transaction: &Transaction,
        now: DateTime<Utc>,
    ) -> Result<Result<Applied<Token>, Vec<Problem>>> {
        caller.require(Permission::ManageUsers)?;
        let token = match check(caller, self.input, self.text, now) {
            Ok(token) => token,
            Err(problems) => return Ok(Err(problems)),
        };
        transaction.put::<api_token::Entity>(&[&token.row]).await?;
        let records = vec![record(None, &token.row)];
        Ok(Ok(Applied { output: token, records }))
    }
}

fn check(caller: &Caller, input: &CreateToken, text: &str, now: DateTime<Utc>) -> Result<Token, Vec<Problem>> {
    let CreateToken {
        name,
        permissions,
        view_sets,
        edit_sets,
        branches,
        centres,
        role: sent_role,
        expires_at,
        client_mutation_id: _,
    } = input;
    let permissions = MaybeUndefined::Value(permissions.clone());
    let lists = [view_sets, edit_sets, branches, centres];
    let [view_sets, edit_sets, branches, centres] = lists.map(|list| given(list.clone()));
    let mut problems = Problems::default();
    check_name(name, &mut problems);
    let sent = SentRights {
        permissions: &permissions,
        view_sets: &view_sets,
        edit_sets: &edit_sets,
        branches: &branches,
        centres: &centres,
    };
    let rights = rights(&sent, None, &mut problems);
    require_rights(caller, &rights, &mut problems);
    let role = role(&given(sent_role.clone()), None, &mut problems);
    require_role(caller, role.as_deref(), &mut problems);
    let expires_at = expires_at.map(|end| end.0.trunc_subsecs(6));
    check_end(expires_at, now, &mut problems);
    if !problems.0.is_empty() {
        return Err(problems.0);
    }
    let row = api_token::Model {
        encoded_key: new_key(),
        name: name.clone(),
        token_hash: token_hash(text),
        permissions: permissions_column(rights.permissions),
        view_sets: rights.view_sets.to_column(),
        edit_sets: rights.edit_sets.to_column(),
        branches: rights.branches.to_column(),
        centres: rights.centres.to_column(),
        role,
        expires_at,
        revoked_at: None,
        created_by: caller.name.to_string(),
        created_by_kind: Some(caller.kind.as_str().to_owned()),
        created_by_id: Some(caller.id.to_string()),
        created_at: now,
    };
    Ok(Token { row, rights })
}

fn given<T>(member: Option<T>) -> MaybeUndefined<T> {
    member.map_or(MaybeUndefined::Undefined, MaybeUndefined::Value)
}

fn check_name(name: &str, problems: &mut Problems) {
    let mut member = Scalars {
        scope: Vec::new(),
        problems,
    };
    if is_blank(name) {
        member.refuse(ProblemCode::Blank, "name", "name is required and must not be blank.");
    } else if has_control_characters(name) {
        // NUL can't be stored, as in user names.
        let code = match name.contains('\0') {
            true => ProblemCode::Malformed,
            false => ProblemCode::InvalidCharacter,
        };
        member.refuse(code, "name", "name must not contain control characters.");
    } else {
        member.fits("name", name, TEXT_LIMIT);
    }
}

fn check_end(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>, problems: &mut Problems) {
    let Some(end) = expires_at else { return };
    if end <= now {
        let message = "expiresAt must be in the future.";
        problems.add(ProblemCode::Invalid, path!["expiresAt"], message);
    } else if end > now + TimeDelta::days(MOST_DAYS) {
        let message = format!(
            "expiresAt must be at most five years ({MOST_DAYS} days) ahead: omit it for a token that ends when it is \
             revoked."
        );
        problems.add(ProblemCode::Invalid, path!["expiresAt"], message);
    }
}

impl AccountInput for RevokeToken {
    type Output = Token;

    async fn apply(
        &self,
        caller: &Caller,
        transaction: &Transaction,
        now: DateTime<Utc>,
    ) -> Result<Result<Applied<Token>, Vec<Problem>>> {
        caller.require(Permission::ManageUsers)?;
        let refuse = |code, message: Message| Ok(Err(vec![Problem::new(code, path!["encodedKey"], message)]));
        if has_control_characters(&self.encoded_key) {
            let message = "encodedKey must not contain control characters.";
            return refuse(ProblemCode::InvalidCharacter, message.into());
        }
        let stored = api_token::Entity::find_by_id(&*self.encoded_key);
        let Some(before) = stored.one(transaction).await? else {
            let message = Message::from("There is no token with this key").listed_by("tokens");
            return refuse(ProblemCode::NotFound, message);
        };
        if before.revoked_at.is_some() {
            let output = Token::of(before)?;
            let records = Vec::new();
            return Ok(Ok(Applied { output, records }));
        }
        if !caller.rights.cover(&token_rights(&before)?) {
            let message = "This token has rights that you don't have: you can't revoke it.";
            return refuse(ProblemCode::Forbidden, message.into());
        }
        let row = api_token::Model {
            revoked_at: Some(now),
            ..before.clone()
        };
        transaction.put::<api_token::Entity>(&[&row]).await?;
        let records = vec![record(Some(&before), &row)];
        let output = Token::of(row)?;
        Ok(Ok(Applied { output, records }))
    }
}

/// The record of the members that changed under their API names, without the token itself.
fn record(before: Option<&api_token::Model>, after: &api_token::Model) -> Record {
    let mut members = Vec::new();
    use api_token::Column::{Branches, Centres, EditSets, ExpiresAt, Name, Permissions, RevokedAt, Role, ViewSets};
    let columns = [
        Name,
        Permissions,
        ViewSets,
        EditSets,
        Branches,
        Centres,
        Role,
        ExpiresAt,
        RevokedAt,
    ];
    Members::new(&mut members).columns(before, Some(after), columns);
    Record {
        subject: Subject::Token,
        key: after.encoded_key.clone(),
        action: match before {
            None => Action::Created,
            Some(_) => Action::Changed,
        },
        members,
    }
}
