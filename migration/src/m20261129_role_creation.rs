//! Adds the time at which a client role was created; NULL for roles from before this step.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, "ALTER TABLE client_role ADD COLUMN created_at {instant}").await
    }
}
