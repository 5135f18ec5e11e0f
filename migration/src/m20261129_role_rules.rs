//! Rules of client roles: the form of generated ids, addresses, identification documents.

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
ALTER TABLE client_role ADD COLUMN id_pattern {text};
ALTER TABLE client_role ADD COLUMN allows_addresses BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE client_role ADD COLUMN requires_id_document BOOLEAN NOT NULL DEFAULT FALSE;
";
