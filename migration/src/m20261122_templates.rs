//! Templates of messages, with the versions of their variants.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, TEMPLATES).await
    }
}

/// Messages refer to the version from which they are rendered: a variant's row outlives its change and even its
/// template, so it has no foreign key.
const TEMPLATES: &str = "
CREATE TABLE message_template (
    encoded_key {text} PRIMARY KEY, template_id {text} NOT NULL UNIQUE, name {text} NOT NULL, event {text} NOT NULL,
    channel {text} NOT NULL, active BOOLEAN NOT NULL, default_language {text} NOT NULL, conditions {text} NOT NULL,
    position INTEGER NOT NULL
);
CREATE TABLE message_variant (
    encoded_key {text} PRIMARY KEY, template_key {text} NOT NULL, language {text} NOT NULL, subject {text},
    text {text} NOT NULL, html {text}, current BOOLEAN NOT NULL
);
CREATE UNIQUE INDEX message_variant_current ON message_variant (template_key, language) WHERE current;
";
