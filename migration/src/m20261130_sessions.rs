//! Sessions of users.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, SESSIONS).await
    }
}

/// A server of an earlier version can delete users and knows no sessions, so they are deleted by the database, too.
const SESSIONS: &str = "
CREATE TABLE session (
    encoded_key {text} PRIMARY KEY,
    user_key {text} NOT NULL REFERENCES api_user (encoded_key) ON DELETE CASCADE,
    family_hash {text} NOT NULL UNIQUE, refresh_hash {text} NOT NULL, previous_refresh_hash {text},
    access_hash {text} NOT NULL UNIQUE, created_at {instant} NOT NULL, refreshed_at {instant} NOT NULL,
    access_expires_at {instant} NOT NULL, refresh_expires_at {instant} NOT NULL, expires_at {instant} NOT NULL
);
CREATE INDEX session_of_user ON session (user_key, encoded_key);
CREATE INDEX session_expiry ON session (refresh_expires_at);
";
