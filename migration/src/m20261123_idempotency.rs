//! Outcomes kept for a while, so that a repeated request gets the same answer and isn't executed again.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, RECORDS).await
    }
}

/// `client_key` has no foreign key: a record may be on another shard than its client. Its index finds the records of a
/// client whose data is erased.
const RECORDS: &str = "
CREATE TABLE idempotency_record (
    caller {text} NOT NULL, key {text} NOT NULL,
    fingerprint {text} NOT NULL, expires_at {instant} NOT NULL, client_key {text}, outcome {text},
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_record_by_expiry ON idempotency_record (expires_at);
CREATE INDEX idempotency_record_by_client ON idempotency_record (client_key) WHERE client_key IS NOT NULL;
";
