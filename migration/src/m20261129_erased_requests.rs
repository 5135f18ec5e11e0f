//! Removes the fingerprints of requests whose outcomes were erased: guesses of erased data could be verified by them.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A committed record without an outcome is one that was erased.
        crate::portable(
            manager,
            "UPDATE idempotency_record SET fingerprint = '' WHERE outcome IS NULL",
        )
        .await
    }
}
