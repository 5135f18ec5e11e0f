//! The first user of a new database, without whom nobody could make another.

use async_graphql::MaybeUndefined;
use chrono::{DateTime, Utc};
use entity::api_user;
use sea_orm::{EntityTrait, PaginatorTrait};

use super::{UpsertUser, password, user::create_user};
use crate::Clientele;
use crate::caller::{Caller, Permission};
use clientele_core::{error::Result, secret::Secret};
use clientele_storage::db::Database;

/// What the first user is called.
pub const FIRST: &str = "admin";

/// Whether the database has a user.
pub async fn any_user(db: &Database) -> Result<bool> {
    Ok(api_user::Entity::find().count(db.read()).await? > 0)
}

/// Makes a user that may do everything when there is no user at all, and answers its password, which is kept nowhere
/// else.
///
/// Of several servers that do this at once on one database, one is answered a password.
pub async fn make_first_user(clientele: &Clientele, caller: &Caller, now: DateTime<Utc>) -> Result<Option<Secret>> {
    if any_user(&clientele.db).await? {
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
    let made = create_user(clientele, caller, &input, now).await?;
    Ok(made.is_ok().then_some(password))
}
