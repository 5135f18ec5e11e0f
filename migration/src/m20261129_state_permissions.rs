//! Grants the new permissions to change the states of clients and to erase clients to users and tokens that have every
//! other permission.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

/// In the stored order.
const REST: &str = concat!(
    r#""MANAGE_CUSTOM_FIELDS","MANAGE_TEMPLATES","VIEW_MESSAGES","RESEND_MESSAGES","MANAGE_USERS","AUDIT","#,
    r#""VIEW_METRICS"]"#,
);

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let before = format!(r#"["VIEW_CLIENT","CREATE_CLIENT","EDIT_CLIENT","DELETE_CLIENT",{REST}"#);
        let after = format!(
            r#"["VIEW_CLIENT","CREATE_CLIENT","EDIT_CLIENT","CHANGE_STATE","DELETE_CLIENT","ERASE_CLIENT",{REST}"#
        );
        for table in ["api_user", "api_token"] {
            let script = format!("UPDATE {table} SET permissions = '{after}' WHERE permissions = '{before}'");
            crate::portable(manager, &script).await?;
        }
        Ok(())
    }
}
