//! Creates the first user of a new database.

use async_graphql::MaybeUndefined;
use chrono::{DateTime, Utc};
use entity::api_user;
use sea_orm::{EntityTrait, PaginatorTrait};

use super::{Accounts, UpsertUser, password};
use crate::caller::{Caller, Permission};
use clientele_core::{error::Result, secret::Secret};

/// The name of the first user.
pub const FIRST: &str = "admin";

impl Accounts {
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
            role: MaybeUndefined::Undefined,
            client_mutation_id: None,
        };
        let made = self.create_user(caller, &input, now).await?;
        Ok(made.is_ok().then_some(password))
    }
}
