//! Messages to clients: the outbox and the log of what was sent, in one table.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, MESSAGES).await
    }
}

/// `due_at` is set while work remains: the time to send, or the end of the current worker's lease. `placeholders` is
/// set while the text can be rendered.
const MESSAGES: &str = "
CREATE TABLE message (
    client_key {text} NOT NULL REFERENCES client (encoded_key), encoded_key {text} NOT NULL,
    event {text} NOT NULL, channel {text} NOT NULL, template_key {text} NOT NULL, template_id {text} NOT NULL,
    variant_key {text} NOT NULL, language {text} NOT NULL, recipient {text} NOT NULL, placeholders {text},
    state {text} NOT NULL, attempts INTEGER NOT NULL, created_at {instant} NOT NULL, queued_at {instant} NOT NULL,
    first_attempt_at {instant}, due_at {instant}, lease {text}, sent_at {instant}, failed_at {instant},
    provider_id {text}, reason {text}, detail {text},
    PRIMARY KEY (client_key, encoded_key)
);
CREATE INDEX message_due ON message (channel, due_at, queued_at) WHERE due_at IS NOT NULL;
CREATE INDEX message_by_creation ON message (created_at, encoded_key);
CREATE INDEX message_by_state ON message (state, created_at, encoded_key);
CREATE INDEX message_by_template ON message (template_id, created_at, encoded_key);
CREATE INDEX message_with_body ON message (sent_at) WHERE sent_at IS NOT NULL AND placeholders IS NOT NULL;
";
