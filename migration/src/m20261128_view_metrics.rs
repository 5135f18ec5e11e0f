//! Grants the new permission to read `/metrics` to users and tokens that have every other permission.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

/// In the stored order.
const ALL_BEFORE: &str = concat!(
    r#""VIEW_CLIENT","CREATE_CLIENT","EDIT_CLIENT","DELETE_CLIENT","MANAGE_CUSTOM_FIELDS","MANAGE_TEMPLATES","#,
    r#""VIEW_MESSAGES","RESEND_MESSAGES","MANAGE_USERS","AUDIT""#,
);

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["api_user", "api_token"] {
            let after = format!("[{ALL_BEFORE},\"VIEW_METRICS\"]");
            let script = format!("UPDATE {table} SET permissions = '{after}' WHERE permissions = '[{ALL_BEFORE}]'");
            crate::portable(manager, &script).await?;
        }
        Ok(())
    }
}
