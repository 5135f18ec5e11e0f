//! Options of custom fields can be deactivated and have a score.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, COLUMNS).await
    }
}

/// Neither column rewrites the table.
const COLUMNS: &str = "
ALTER TABLE custom_field_option ADD COLUMN state {text} NOT NULL DEFAULT 'ACTIVE';
ALTER TABLE custom_field_option ADD COLUMN score {text};
";
