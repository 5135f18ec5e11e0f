//! Adds the creator of a token by key: another user may later get the same name.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, CREATORS).await
    }
}

/// The values come from the audit log. Both columns stay empty for tokens that it doesn't contain.
const CREATORS: &str = "
ALTER TABLE api_token ADD COLUMN created_by_kind {text};
ALTER TABLE api_token ADD COLUMN created_by_id {text};
UPDATE api_token SET
    created_by_kind = (SELECT max(r.caller_kind) FROM audit_record r WHERE r.chain = '~users' AND r.subject = 'TOKEN'
        AND r.action = 'CREATED' AND r.subject_key = api_token.encoded_key),
    created_by_id = (SELECT max(r.caller_id) FROM audit_record r WHERE r.chain = '~users' AND r.subject = 'TOKEN'
        AND r.action = 'CREATED' AND r.subject_key = api_token.encoded_key);
";
