//! Finds out the statements of pending steps without running them: steps run their statements with [`execute`] and
//! [`query`], and a dry run records the former. It gets a read-only connection, so that a step that runs a statement in
//! another way fails.

use std::{cell::RefCell, iter};

use sea_orm_migration::{
    prelude::*,
    sea_orm::{DatabaseConnection, DbBackend, QueryResult, Schema, Statement},
    seaql_migrations,
};

use crate::{Migrator, distribution};

tokio::task_local! {
    /// The statements of a dry run, in place of running them.
    static RECORDED: RefCell<Vec<String>>;
}

/// Runs a statement of a step.
pub(crate) async fn execute(connection: &SchemaManagerConnection<'_>, sql: &str) -> Result<(), DbErr> {
    let recording = RECORDED.try_with(|recorded| recorded.borrow_mut().push(sql.to_owned()));
    match recording {
        Ok(()) => Ok(()),
        Err(_) => connection.execute_unprepared(sql).await.map(|_| ()),
    }
}

/// Runs a query of a step. In a dry run, a table that an earlier step creates has no rows.
pub(crate) async fn query(connection: &SchemaManagerConnection<'_>, sql: &str) -> Result<Vec<QueryResult>, DbErr> {
    let rows = connection
        .query_all_raw(Statement::from_string(connection.get_database_backend(), sql))
        .await;
    match RECORDED.try_with(|_| ()) {
        Ok(()) => Ok(rows.unwrap_or_default()),
        Err(_) => rows,
    }
}

/// The statements of the pending steps as a script, with those that record the steps, and with those that distribute
/// the tables if they must be `distributed`. Changes nothing.
///
/// # Errors
/// Those of the connection, and the reason why a step can't be applied or the tables can't be distributed.
pub async fn script(connection: &DatabaseConnection, distributed: bool) -> Result<String, DbErr> {
    let pending = Migrator::get_pending_migrations_read_only(connection).await?;
    let is_pending = |name: &str| pending.iter().any(|step| step.name() == name);
    let backend = connection.get_database_backend();
    let now = match backend {
        DbBackend::Sqlite => "unixepoch()",
        _ => "CAST(extract(epoch FROM now()) AS BIGINT)",
    };
    let mut script = String::new();
    for step in Migrator::migrations() {
        let name = step.name();
        if !is_pending(name) {
            continue;
        }
        script.push_str(&format!("-- {name}\n"));
        let manager = SchemaManager::new(connection);
        let recording = async {
            step.up(&manager).await?;
            Ok::<_, DbErr>(RECORDED.with(RefCell::take))
        };
        let statements = RECORDED.scope(RefCell::default(), recording).await?;
        for statement in statements {
            script.push_str(statement.trim());
            script.push_str(";\n");
        }
        let record = format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{name}', {now});\n\n");
        script.push_str(&record);
    }
    if distributed && distribution::is_pending(connection).await? {
        let unknown = match script.is_empty() {
            true => "",
            false => ". The foreign keys that the steps above create are dropped and added, too",
        };
        script.push_str(&format!("-- distribution of the tables{unknown}\n"));
        let first = distribution::SERVERS_LOCK_TIMEOUT.to_owned();
        for statement in iter::once(first).chain(distribution::script(connection).await?) {
            script.push_str(&statement);
            script.push_str(";\n");
        }
        script.push('\n');
    }
    if script.is_empty() {
        return Ok(script);
    }
    let sequential = match distributed {
        true => format!("{};\n", distribution::SEQUENTIAL),
        false => String::new(),
    };
    let mut table = Schema::new(backend).create_table_from_entity(seaql_migrations::Entity);
    let table = backend.build(table.if_not_exists());
    Ok(format!("BEGIN;\n{sequential}{table};\n\n{script}COMMIT;\n"))
}
