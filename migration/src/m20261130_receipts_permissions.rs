//! Grants the new permissions to record receipts and to manage suppressions to users and tokens that have every other
//! permission.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

/// The permissions, in the order in which they are stored.
const FIRST: &str = concat!(
    r#"["VIEW_CLIENT","CREATE_CLIENT","EDIT_CLIENT","CHANGE_STATE","MERGE_CLIENTS","DELETE_CLIENT","ERASE_CLIENT","#,
    r#""MANAGE_CUSTOM_FIELDS","MANAGE_TEMPLATES","VIEW_MESSAGES","RESEND_MESSAGES","#,
);
const REST: &str = r#""MANAGE_USERS","AUDIT","VIEW_METRICS"]"#;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let before = format!("{FIRST}{REST}");
        let after = format!(r#"{FIRST}"RECORD_RECEIPTS","MANAGE_SUPPRESSIONS",{REST}"#);
        for table in ["api_user", "api_token"] {
            let script = format!("UPDATE {table} SET permissions = '{after}' WHERE permissions = '{before}'");
            crate::portable(manager, &script).await?;
        }
        Ok(())
    }
}
