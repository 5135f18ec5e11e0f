//! Creates tokens.

use async_graphql::{InputObject, MaybeUndefined};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use entity::api_token;
use rand::Rng;

use super::{Token, record};
use crate::member::{Problems, Scalars, TEXT_LIMIT};
use crate::{
    access::{
        Accounts,
        account::permissions_column,
        accounts::token_hash,
        grant::{Sent, may_give, may_give_role, role},
        present::lock_users_for_manager,
    },
    caller::{Caller, Permission},
};
use clientele_core::{
    error::Result,
    path,
    problem::{Problem, ProblemCode},
    scalar::{self, new_key},
    secret::Secret,
    text::{has_control_characters, is_blank},
};
use clientele_storage::db::{Step, Transaction, Work};

/// The prefix of every token, so that a leaked one can be recognised.
pub const PREFIX: &str = "clt_";

/// A token that expires does so within five years, including any leap days. No rotation policy allows longer: a later
/// date is a mistake, and would in effect mean no expiry.
pub const MOST_DAYS: i64 = 1_827;

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
    /// The IDs of the custom field sets whose values the token can view and change. All sets by default.
    pub edit_sets: Option<Vec<String>>,
    /// The role in the server configuration that sets the limits. The general limits by default. To grant a role other
    /// than your own, you need all permissions and all custom field sets.
    pub role: Option<String>,
    /// The time at which the token expires, at most five years from now. By default it is valid until it is revoked.
    pub expires_at: Option<scalar::DateTime>,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

impl Accounts {
    /// Creates a token and returns it with its text, which is shown only this once and kept nowhere.
    pub async fn create_token(
        &self,
        caller: &Caller,
        input: &CreateToken,
        now: DateTime<Utc>,
    ) -> Result<Result<(Token, Secret), Vec<Problem>>> {
        caller.require(Permission::ManageUsers)?;
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        let text = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let work = Create {
            accounts: self,
            caller,
            input,
            text: &text,
            now: now.trunc_subsecs(6),
        };
        let outcome = self.write(&work).await?;
        Ok(outcome.map(|token| (token, Secret::new(text))))
    }
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
    check_name(name, &mut problems);
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
    may_give_role(caller, role.as_deref(), &mut problems);
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

struct Create<'a> {
    accounts: &'a Accounts,
    caller: &'a Caller,
    input: &'a CreateToken,
    text: &'a str,
    now: DateTime<Utc>,
}

impl Work for Create<'_> {
    type Output = Result<Token, Vec<Problem>>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        let caller = &lock_users_for_manager(transaction, self.caller, self.now).await?;
        let token = match check(caller, self.input, self.text, self.now) {
            Ok(token) => token,
            Err(problems) => return Ok(Step::Discard(Err(problems))),
        };
        transaction.put::<api_token::Entity>(&[&token.row]).await?;
        record(self.accounts, transaction, caller, None, &token.row, self.now).await?;
        Ok(Step::Commit(Ok(token)))
    }
}
