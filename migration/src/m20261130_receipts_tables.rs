//! Delivery receipts of messages, the suppression list, and the messages that limits count.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, RECEIPTS).await
    }
}

/// The new columns are empty, so that no row is written. What needs an index is in new tables: an index of the messages
/// themselves would lock them while it is built, and each change of a message's state would write to it.
///
/// Servers of an earlier version delete messages and know none of these tables, so the database deletes their rows.
const RECEIPTS: &str = "
ALTER TABLE message ADD COLUMN delivered_at {instant};
ALTER TABLE message ADD COLUMN receipt_at {instant};

CREATE TABLE raised_message (
    client_key {text} NOT NULL, encoded_key {text} NOT NULL, channel {text} NOT NULL,
    recipient {text}, caller {text}, created_at {instant} NOT NULL,
    PRIMARY KEY (client_key, encoded_key),
    FOREIGN KEY (client_key, encoded_key) REFERENCES message (client_key, encoded_key) ON DELETE CASCADE
);
CREATE INDEX raised_message_by_key ON raised_message (encoded_key);
CREATE INDEX raised_message_by_recipient ON raised_message (recipient, channel, created_at)
    WHERE recipient IS NOT NULL;
CREATE INDEX raised_message_by_caller ON raised_message (caller, created_at) WHERE caller IS NOT NULL;
CREATE INDEX raised_message_counted ON raised_message (created_at) WHERE recipient IS NOT NULL;

CREATE TABLE provider_message (
    provider_id {text} PRIMARY KEY, client_key {text}, encoded_key {text},
    rank INTEGER, receipt {text}, created_at {instant} NOT NULL,
    FOREIGN KEY (client_key, encoded_key) REFERENCES message (client_key, encoded_key) ON DELETE CASCADE
);
CREATE INDEX provider_message_of_message ON provider_message (client_key, encoded_key) WHERE client_key IS NOT NULL;
CREATE INDEX provider_message_early ON provider_message (created_at) WHERE client_key IS NULL;

CREATE TABLE suppression (
    encoded_key {text} PRIMARY KEY, channel {text} NOT NULL, recipient {text} NOT NULL, reason {text} NOT NULL,
    created_at {instant} NOT NULL, caller_kind {text} NOT NULL, caller_id {text} NOT NULL, caller_name {text} NOT NULL,
    client_key {text}, UNIQUE (channel, recipient)
);
CREATE INDEX suppression_by_creation ON suppression (created_at, encoded_key);
CREATE INDEX suppression_of_client ON suppression (client_key) WHERE client_key IS NOT NULL;
";
