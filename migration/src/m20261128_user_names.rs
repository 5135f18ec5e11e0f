//! Names of users are unique without regard to case. They have only ASCII letters.

use sea_orm_migration::{prelude::*, sea_orm::Statement};

#[derive(DeriveMigrationName)]
pub struct Migration;

const INDEX: &str = "CREATE UNIQUE INDEX api_user_by_lower_name ON api_user (lower(name));";

/// One row for each name that several users have.
const SAME: &str = "SELECT lower(name) FROM api_user GROUP BY lower(name) HAVING count(*) > 1";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let same = Statement::from_string(connection.get_database_backend(), SAME);
        let same = connection.query_all_raw(same).await?.len();
        if same > 0 {
            // Nothing is removed or renamed here: each of them is a login that someone uses.
            return Err(DbErr::Migration(format!(
                "{same} names are used by several users in different spellings (upper and lower case), which this version takes \
                 for the same name: remove all but one user of each with the former version's command `user remove`, then \
                 start this one again"
            )));
        }
        crate::portable(manager, INDEX).await
    }
}
