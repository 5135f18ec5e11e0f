//! Adds the reference of a merged client to the client that it was merged into.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, COLUMN).await
    }
}

/// Few clients are merged: creating the index reads the table once and writes almost nothing.
const COLUMN: &str = "
ALTER TABLE client ADD COLUMN merged_into_key {text};
CREATE INDEX client_by_merged_into ON client (merged_into_key) WHERE merged_into_key IS NOT NULL;
";
