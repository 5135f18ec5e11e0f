//! The client roles that a custom field is limited to.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, TABLE).await
    }
}

const TABLE: &str = "
CREATE TABLE custom_field_role (
    field_key {text} NOT NULL REFERENCES custom_field (encoded_key) ON DELETE CASCADE,
    role_key {text} NOT NULL REFERENCES client_role (encoded_key),
    position INTEGER NOT NULL, is_required BOOLEAN NOT NULL,
    PRIMARY KEY (field_key, role_key)
);
";
