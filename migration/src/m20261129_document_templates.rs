//! Templates of identification documents.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, TEMPLATES).await
    }
}

const TEMPLATES: &str = "
CREATE TABLE id_document_template (
    encoded_key {text} PRIMARY KEY, template_id {text} NOT NULL UNIQUE, position INTEGER NOT NULL,
    document_type {text} NOT NULL, issuing_authority {text}, pattern {text},
    is_mandatory BOOLEAN NOT NULL, active BOOLEAN NOT NULL
);
ALTER TABLE id_document ADD COLUMN template_key {text};
";
