//! Grants the new permission to merge clients to users and tokens that have every other permission.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

/// The permissions, in the order in which they are stored.
const FIRST: &str = r#"["VIEW_CLIENT","CREATE_CLIENT","EDIT_CLIENT","CHANGE_STATE","#;
const REST: &str = concat!(
    r#""DELETE_CLIENT","ERASE_CLIENT","MANAGE_CUSTOM_FIELDS","MANAGE_TEMPLATES","VIEW_MESSAGES","RESEND_MESSAGES","#,
    r#""MANAGE_USERS","AUDIT","VIEW_METRICS"]"#,
);

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (before, after) = (format!("{FIRST}{REST}"), format!(r#"{FIRST}"MERGE_CLIENTS",{REST}"#));
        for table in ["api_user", "api_token"] {
            let script = format!("UPDATE {table} SET permissions = '{after}' WHERE permissions = '{before}'");
            crate::portable(manager, &script).await?;
        }
        Ok(())
    }
}
