//! Makes the names of users unique without regard to case. They have only ASCII letters.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const INDEX: &str = "CREATE UNIQUE INDEX api_user_by_lower_name ON api_user (lower(name));";

/// Some of the names that differ only in case.
const SAME: &str = "SELECT name FROM api_user WHERE lower(name) IN
    (SELECT lower(name) FROM api_user GROUP BY lower(name) HAVING count(*) > 1) ORDER BY lower(name), name LIMIT 10";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let same = crate::dry_run::query(manager.get_connection(), SAME).await?;
        if !same.is_empty() {
            // Nothing is removed or renamed: each of these names is a login in use.
            let names = same.iter().map(|row| row.try_get_by_index::<String>(0));
            let names = names.collect::<Result<Vec<_>, _>>()?.join(", ");
            return Err(DbErr::Migration(format!(
                "user names must differ in more than upper and lower case, and these don't: {names}. Nothing was \
                 changed. Remove all but one of each with the command `user remove` of the former version, then start \
                 this one again"
            )));
        }
        crate::portable(manager, INDEX).await
    }
}
