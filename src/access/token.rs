//! API tokens: creating and revoking them.

use async_graphql::{InputObject, MaybeUndefined};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, SubsecRound, Utc};
use entity::api_token;
use rand::Rng;
use sea_orm::EntityTrait;

use super::{
    Caller, Permission, Rights,
    account::{permissions_column, token_rights},
    accounts::token_hash,
    grant::{Sent, lock_users, may_give, role},
    listing::{self, Listing},
};
use crate::{
    Clientele,
    db::{Step, Transaction, Work},
    error::Result,
    history::{Action, Chain, Change, Members, Subject},
    list::{Cursor, Order, Window},
    member::{Problems, Scalars},
    problem::{Problem, ProblemCode, path},
    scalar::{self, new_key},
    secret::Secret,
};

/// Every token begins so, so that whoever finds one knows what it is.
pub const PREFIX: &str = "clt_";

/// The order of tokens: their keys grow with time.
pub static BY_CREATION: Order = Order {
    name: "tokens",
    columns: &["encoded_key"],
    descending: false,
};

/// A token as it is to be.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "CreateTokenInput")]
pub struct CreateToken {
    /// What the token is for, up to 255 characters.
    pub name: String,
    /// What its bearer may do. You can't give what you don't have.
    pub permissions: Vec<Permission>,
    /// The custom field sets, by their ids, whose values its bearer may see beside those it may change; all of them
    /// unless given.
    pub view_sets: Option<Vec<String>>,
    /// The custom field sets, by their ids, whose values its bearer may change; all of them unless given.
    pub edit_sets: Option<Vec<String>>,
    /// The role whose limits the configuration sets; the general ones unless given.
    pub role: Option<String>,
    /// When the token ends; never unless given.
    pub expires_at: Option<scalar::DateTime>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// Names a token.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "RevokeTokenInput")]
pub struct RevokeToken {
    /// The key of the token.
    pub encoded_key: String,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// A token as others may see it.
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

    /// Where it stands in the list of tokens.
    pub fn cursor(&self) -> String {
        Cursor::of(vec![self.row.encoded_key.clone()]).encode(&BY_CREATION)
    }
}

/// A part of all tokens, revoked and expired ones too, in the order of their creation.
pub async fn tokens(clientele: &Clientele, caller: &Caller, window: &Window, total: bool) -> Result<Listing<Token>> {
    caller.needs(Permission::ManageUsers)?;
    listing::read::<api_token::Entity, _>(clientele, &BY_CREATION, window, total, Token::of).await
}

/// Creates a token, and answers it with its text, which is shown this once and kept nowhere.
pub async fn create_token(
    clientele: &Clientele,
    caller: &Caller,
    input: &CreateToken,
    now: DateTime<Utc>,
) -> Result<Result<(Token, Secret), Vec<Problem>>> {
    caller.needs(Permission::ManageUsers)?;
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    let text = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
    let token = match check(caller, input, &text, now.trunc_subsecs(6)) {
        Ok(token) => token,
        Err(problems) => return Ok(Err(problems)),
    };
    let work = Create {
        clientele,
        caller,
        token: &token,
        now,
    };
    // Nobody can have asked for it yet: all that was read holds.
    clientele.db.write(&work).await?;
    Ok(Ok((token, Secret::new(text))))
}

fn check(caller: &Caller, input: &CreateToken, text: &str, now: DateTime<Utc>) -> Result<Token, Vec<Problem>> {
    let CreateToken {
        name,
        permissions,
        view_sets,
        edit_sets,
        role: sent_role,
        expires_at,
        client_mutation_id: _,
    } = input;
    let sent = |sets: &Option<Vec<String>>| sets.clone().map_or(MaybeUndefined::Undefined, MaybeUndefined::Value);
    let mut problems = Problems::default();
    let mut member = Scalars {
        scope: Vec::new(),
        problems: &mut problems,
    };
    let name = member.required("name", &MaybeUndefined::Value(name.clone()), "");
    let sent = Sent {
        permissions: &MaybeUndefined::Value(permissions.clone()),
        view_sets: &sent(view_sets),
        edit_sets: &sent(edit_sets),
    };
    let rights = sent.rights(None, &mut problems);
    may_give(caller, &rights, &mut problems);
    let sent_role = sent_role
        .clone()
        .map_or(MaybeUndefined::Undefined, MaybeUndefined::Value);
    let role = role(&sent_role, None, &mut problems);
    let expires_at = expires_at.map(|end| end.0.trunc_subsecs(6));
    if expires_at.is_some_and(|end| end <= now) {
        let message = "expiresAt must be in the future.";
        problems.add(ProblemCode::Invalid, path!["expiresAt"], message);
    }
    if !problems.0.is_empty() {
        return Err(problems.0);
    }
    let row = api_token::Model {
        encoded_key: new_key(),
        name,
        token_hash: token_hash(text),
        permissions: permissions_column(rights.permissions),
        view_sets: rights.view_sets.to_column(),
        edit_sets: rights.edit_sets.to_column(),
        role,
        expires_at,
        revoked_at: None,
        created_by: caller.name.to_string(),
        created_at: now,
    };
    Ok(Token { row, rights })
}

struct Create<'a> {
    clientele: &'a Clientele,
    caller: &'a Caller,
    token: &'a Token,
    now: DateTime<Utc>,
}

impl Work for Create<'_> {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        transaction.put::<api_token::Entity>(&[&self.token.row]).await?;
        record(
            self.clientele,
            transaction,
            self.caller,
            None,
            &self.token.row,
            self.now,
        )
        .await?;
        Ok(Step::Commit(()))
    }
}

/// Makes a token worthless. One that is so already stays as it is.
pub async fn revoke_token(
    clientele: &Clientele,
    caller: &Caller,
    input: &RevokeToken,
    now: DateTime<Utc>,
) -> Result<Result<Token, Vec<Problem>>> {
    caller.needs(Permission::ManageUsers)?;
    let work = Revoke {
        clientele,
        caller,
        key: &input.encoded_key,
        now: now.trunc_subsecs(6),
    };
    let outcome = clientele.db.write(&work).await;
    clientele.accounts.written(&outcome);
    outcome
}

struct Revoke<'a> {
    clientele: &'a Clientele,
    caller: &'a Caller,
    key: &'a str,
    now: DateTime<Utc>,
}

impl Work for Revoke<'_> {
    type Output = Result<Token, Vec<Problem>>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        lock_users(transaction).await?;
        let stored = match self.key.contains('\0') {
            true => None,
            false => api_token::Entity::find_by_id(self.key).one(transaction.orm()).await?,
        };
        let Some(before) = stored else {
            let message = "There is no token with this key: the query tokens lists those there are.";
            let problem = Problem::new(ProblemCode::NotFound, path!["encodedKey"], message);
            return Ok(Step::Discard(Err(vec![problem])));
        };
        if before.revoked_at.is_some() {
            return Ok(Step::Discard(Ok(Token::of(before)?)));
        }
        if !self.caller.rights.cover(&token_rights(&before)?) {
            let message = "This token has rights that you don't have: you can't revoke it.";
            let problem = Problem::new(ProblemCode::Forbidden, path!["encodedKey"], message);
            return Ok(Step::Discard(Err(vec![problem])));
        }
        let row = api_token::Model {
            revoked_at: Some(self.now),
            ..before.clone()
        };
        transaction.put::<api_token::Entity>(&[&row]).await?;
        record(self.clientele, transaction, self.caller, Some(&before), &row, self.now).await?;
        Ok(Step::Commit(Ok(Token::of(row)?)))
    }
}

/// What changed, in the names of the API. The token itself is in no record.
async fn record(
    clientele: &Clientele,
    transaction: &Transaction,
    caller: &Caller,
    before: Option<&api_token::Model>,
    after: &api_token::Model,
    now: DateTime<Utc>,
) -> Result<()> {
    let mut members = Vec::new();
    let mut differing = Members::new(&mut members);
    let both = |get: &dyn Fn(&api_token::Model) -> Option<String>| [before.and_then(get), get(after)];
    let instant = |instant: &DateTime<Utc>| scalar::DateTime::text(instant);
    for (name, [before, after]) in [
        ("name", both(&|row| Some(row.name.clone()))),
        ("permissions", both(&|row| Some(row.permissions.clone()))),
        ("viewSets", both(&|row| row.view_sets.clone())),
        ("editSets", both(&|row| row.edit_sets.clone())),
        ("role", both(&|row| row.role.clone())),
        ("expiresAt", both(&|row| row.expires_at.as_ref().map(instant))),
        ("revokedAt", both(&|row| row.revoked_at.as_ref().map(instant))),
    ] {
        differing.text(name, before.as_deref(), after.as_deref());
    }
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
    clientele.history.record(transaction, caller, &change, now).await
}
