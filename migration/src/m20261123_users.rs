//! Users and API tokens.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, USERS).await
    }
}

/// A token outlives its creator, so it has no foreign key.
const USERS: &str = "
CREATE TABLE api_user (
    encoded_key {text} PRIMARY KEY, name {text} NOT NULL UNIQUE, password_hash {text} NOT NULL, active BOOLEAN NOT NULL,
    initial BOOLEAN NOT NULL, permissions {text} NOT NULL, view_sets {text}, edit_sets {text}, role {text},
    version BIGINT NOT NULL, created_at {instant} NOT NULL, updated_at {instant} NOT NULL
);
CREATE TABLE api_token (
    encoded_key {text} PRIMARY KEY, name {text} NOT NULL, token_hash {text} NOT NULL UNIQUE,
    permissions {text} NOT NULL, view_sets {text}, edit_sets {text}, role {text}, expires_at {instant},
    revoked_at {instant}, created_by {text} NOT NULL, created_at {instant} NOT NULL
);
";
