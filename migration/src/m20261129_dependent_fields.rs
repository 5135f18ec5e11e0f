//! Selections whose options depend on the value of another selection.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, COLUMNS).await
    }
}

const COLUMNS: &str = "
ALTER TABLE custom_field ADD COLUMN parent_key {text};
ALTER TABLE custom_field_option ADD COLUMN for_values {text};
";
