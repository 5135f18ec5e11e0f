//! An index of the few records that people search by action: deletions and erasures.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, INDEX).await
    }
}

/// It contains very few records: creating it reads the table once and writes almost nothing, and other changes don't
/// update it.
const INDEX: &str = "
CREATE INDEX audit_record_by_rare_action ON audit_record (action, recorded_at, chain, position)
    WHERE action = 'DELETED' OR action = 'ERASED';
";
