//! Limits users and tokens to branches and centres, and lists the clients of one branch in order.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, BRANCHES).await
    }
}

/// The new index replaces the one without the order. While it is created, no client can be changed: some seconds for a
/// million clients.
const BRANCHES: &str = "
ALTER TABLE api_user ADD COLUMN branches {text};
ALTER TABLE api_user ADD COLUMN centres {text};
ALTER TABLE api_token ADD COLUMN branches {text};
ALTER TABLE api_token ADD COLUMN centres {text};

CREATE INDEX client_by_branch_creation ON client (assigned_branch_key, created_at, encoded_key)
    WHERE assigned_branch_key IS NOT NULL;
DROP INDEX client_by_branch;
";
