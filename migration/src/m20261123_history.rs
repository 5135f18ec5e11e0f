//! The audit log, chained record by record, and the heads that protect the chains.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let random = match manager.get_database_backend() {
            DbBackend::Sqlite => "lower(hex(randomblob(32)))",
            _ => "replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')",
        };
        crate::portable(manager, &HISTORY.replace("{random}", random)).await
    }
}

/// `chain` is the client's key, so that a client's records are stored with the client, or a name that can't be a key.
/// The records of definitions and users are found by their chains, so subjects need no index of their own. New columns
/// of `client` have a constant default: no row is rewritten, and existing clients start with an empty chain.
///
/// The key created here is used while none is configured, and shared by all servers of the database.
const HISTORY: &str = "
CREATE TABLE audit_record (
    chain {text} NOT NULL, position BIGINT NOT NULL, recorded_at {instant} NOT NULL,
    caller_kind {text} NOT NULL, caller_id {text} NOT NULL, caller_name {text} NOT NULL,
    door {text} NOT NULL, request_id {text} NOT NULL,
    subject {text} NOT NULL, subject_key {text} NOT NULL, action {text} NOT NULL,
    contents {text}, salt {text}, digest {text} NOT NULL, hmac {text} NOT NULL, key_id {text} NOT NULL,
    PRIMARY KEY (chain, position)
);
CREATE INDEX audit_record_by_time ON audit_record (recorded_at, chain, position);
CREATE INDEX audit_record_by_caller ON audit_record (caller_id, recorded_at, chain, position);
CREATE TABLE audit_chain (chain {text} PRIMARY KEY, head {text}, count BIGINT NOT NULL);
INSERT INTO audit_chain (chain, head, count) VALUES ('~definitions', NULL, 0), ('~users', NULL, 0);
CREATE TABLE audit_key (id INTEGER PRIMARY KEY, key {text} NOT NULL);
INSERT INTO audit_key (id, key) VALUES (1, {random});
ALTER TABLE client ADD COLUMN history_head {text};
ALTER TABLE client ADD COLUMN history_count BIGINT NOT NULL DEFAULT 0;
";
