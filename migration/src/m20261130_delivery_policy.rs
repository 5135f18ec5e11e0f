//! The provider that accepted a message, and the rates of the channels.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, POLICY).await
    }
}

/// A server of an earlier version leaves `provider` empty and knows no rates. `next_at` is the time from which the next
/// attempt on the channel may begin.
const POLICY: &str = "
ALTER TABLE message ADD COLUMN provider {text};
CREATE TABLE channel_rate (channel {text} PRIMARY KEY, next_at {instant} NOT NULL);
INSERT INTO channel_rate (channel, next_at) VALUES ('EMAIL', '1970-01-01T00:00:00.000000Z');
INSERT INTO channel_rate (channel, next_at) VALUES ('SMS', '1970-01-01T00:00:00.000000Z');
";
