//! Values of unique custom fields, each claimed by one client.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, CLAIMS).await
    }
}

const CLAIMS: &str = "
ALTER TABLE custom_field ADD COLUMN is_unique BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TABLE custom_field_claim (
    field_key {text} NOT NULL REFERENCES custom_field (encoded_key) ON DELETE CASCADE,
    value {text} NOT NULL, client_key {text} NOT NULL,
    PRIMARY KEY (field_key, value)
);
CREATE INDEX custom_field_claim_by_client ON custom_field_claim (client_key);
";
