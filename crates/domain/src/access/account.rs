//! An account that can sign in: a user or the bearer of a token. Converts the stored row into the caller of a request.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use entity::{api_token, api_user, session};
use sea_orm::{
    EntityTrait, QueryFilter, Select,
    sea_query::{Expr, ExprTrait, Func},
};

use crate::caller::{Api, Caller, CallerKind, Limit, Permission, Permissions, Rights, Sets};
use clientele_core::{
    error::{Error, Result},
    secret::Secret,
};

/// A user, or the bearer of a token.
#[derive(Debug)]
pub struct Account {
    pub kind: CallerKind,
    pub id: Arc<str>,
    pub name: Arc<str>,
    pub role: Option<Arc<str>>,
    pub rights: Arc<Rights>,
    /// Empty for a token.
    pub(super) password_hash: Secret,
    /// The key of the session, for the bearer of its access token.
    session: Option<Arc<str>>,
    active: bool,
    expires_at: Option<DateTime<Utc>>,
}

impl Account {
    fn new(kind: CallerKind, id: &str, name: &str, role: Option<&str>, rights: Rights) -> Self {
        Self {
            kind,
            id: id.into(),
            name: name.into(),
            role: role.map(Into::into),
            rights: Arc::new(rights),
            password_hash: Secret::default(),
            session: None,
            active: true,
            expires_at: None,
        }
    }

    pub(super) fn of_user(row: &api_user::Model) -> Result<Self> {
        let rights = user_rights(row)?;
        Ok(Self {
            password_hash: Secret::new(row.password_hash.as_str()),
            active: row.active,
            ..Self::new(
                CallerKind::User,
                &row.encoded_key,
                &row.name,
                row.role.as_deref(),
                rights,
            )
        })
    }

    /// The user, with the rights that they have now, as the bearer of the session's access token.
    pub(super) fn of_session(user: &api_user::Model, session: &session::Model) -> Result<Self> {
        Ok(Self {
            session: Some(session.encoded_key.as_str().into()),
            expires_at: Some(session.access_expires_at),
            ..Self::of_user(user)?
        })
    }

    pub(super) fn of_token(row: &api_token::Model) -> Result<Self> {
        let rights = token_rights(row)?;
        Ok(Self {
            active: row.revoked_at.is_none(),
            expires_at: row.expires_at,
            ..Self::new(
                CallerKind::Token,
                &row.encoded_key,
                &row.name,
                row.role.as_deref(),
                rights,
            )
        })
    }

    /// The bearer of a token from the configured issuer.
    pub fn of_issuer(subject: &str, role: Option<&str>, rights: Rights) -> Self {
        Self::new(CallerKind::Issuer, subject, subject, role, rights)
    }

    /// Returns the caller of a request that came through `api` with this account's credentials.
    pub fn caller(&self, api: Api, request_id: Arc<str>) -> Caller {
        Caller {
            kind: self.kind,
            id: self.id.clone(),
            name: self.name.clone(),
            role: self.role.clone(),
            rights: self.rights.clone(),
            password_hash: self.password_hash.clone(),
            session: self.session.clone(),
            proof: None,
            api,
            request_id,
        }
    }

    /// The key of the session, for the bearer of its access token.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Returns true if the account may be used at this time.
    pub fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.active && self.expires_at.is_none_or(|end| now < end)
    }

    /// Returns true if a password verified for `other` is right for this account too.
    pub(super) fn has_the_password_of(&self, other: &Self) -> bool {
        self.id == other.id && self.password_hash == other.password_hash
    }
}

/// Selects the user of this name, ignoring case: names have only ASCII letters.
pub(super) fn user_named(name: &str) -> Select<api_user::Entity> {
    let lower = Func::lower(Expr::col(api_user::Column::Name));
    api_user::Entity::find().filter(Expr::expr(lower).eq(name.to_ascii_lowercase()))
}

pub(super) fn user_rights(row: &api_user::Model) -> Result<Rights> {
    let limits = [&row.view_sets, &row.edit_sets, &row.branches, &row.centres];
    rights(&row.permissions, limits)
}

pub(super) fn token_rights(row: &api_token::Model) -> Result<Rights> {
    let limits = [&row.view_sets, &row.edit_sets, &row.branches, &row.centres];
    rights(&row.permissions, limits)
}

/// The rights of these columns of a user or token.
fn rights(granted: &str, [view_sets, edit_sets, branches, centres]: [&Option<String>; 4]) -> Result<Rights> {
    Ok(Rights {
        permissions: permissions(granted)?,
        view_sets: Sets::of_column(view_sets.as_deref())?,
        edit_sets: Sets::of_column(edit_sets.as_deref())?,
        branches: Limit::of_column(branches.as_deref())?,
        centres: Limit::of_column(centres.as_deref())?,
    })
}

/// Ignores permissions that only a later version knows.
fn permissions(column: &str) -> Result<Permissions> {
    let names: Vec<&str> = serde_json::from_str(column).map_err(Error::internal)?;
    Ok(names.into_iter().filter_map(Permission::parse).collect())
}

/// The stored form of permissions.
pub(super) fn permissions_column(permissions: Permissions) -> String {
    let names: Vec<&str> = permissions.iter().map(Permission::as_str).collect();
    serde_json::json!(names).to_string()
}
