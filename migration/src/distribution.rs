//! The layout of the tables on the nodes of a cluster of Citus, an extension of PostgreSQL.
//!
//! A step that creates a table also names it in one of the three lists below; a test compares them with the schema.
//! Other changes of an existing cluster, such as a new foreign key, are part of the step.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement},
};

/// The tables with rows on all nodes, and the columns that decide on the node of a row. The tables of one list share
/// their values: equal ones are on one node, so that a client, its collections and its audit records are together.
/// Claims are spread by what is claimed, which must be unique across clients.
pub const DISTRIBUTED: [&[(&str, &str)]; 5] = [
    &[
        ("client", "encoded_key"),
        ("address", "client_key"),
        ("id_document", "client_key"),
        ("custom_field_value", "client_key"),
        ("client_search", "client_key"),
        ("id_document_search", "client_key"),
        ("message", "client_key"),
        ("raised_message", "client_key"),
        ("audit_record", "chain"),
        ("audit_chain", "chain"),
    ],
    &[("client_id_claim", "client_id")],
    &[("custom_field_claim", "value")],
    &[("idempotency_record", "key")],
    &[("provider_message", "provider_id")],
];

/// The tables of which each node has all rows: they are small, seldom change, and are read together with clients.
pub const REFERENCE: [&str; 10] = [
    "definition_version",
    "client_role",
    "custom_field_set",
    "custom_field",
    "custom_field_option",
    "custom_field_role",
    "id_document_template",
    "message_template",
    "message_variant",
    "suppression",
];

/// The tables that only the coordinator has. Nothing else refers to them.
pub const LOCAL: [&str; 7] = [
    "api_token",
    "api_user",
    "audit_key",
    "channel_rate",
    "client_search_fill",
    "seaql_migrations",
    "session",
];

/// A foreign key between tables that aren't distributed by the same value. The rows are deleted without it, too.
pub const UNSUPPORTED_KEYS: [&str; 1] = ["provider_message_client_key_encoded_key_fkey"];

/// The tables that are laid out already.
const LAID_OUT: &str = "SELECT c.relname::text FROM pg_dist_partition p JOIN pg_class c ON c.oid = p.logicalrelid \
    WHERE c.relnamespace = current_schema()::regnamespace";

/// The options of sessions that count on the nodes that have the rows. A node doesn't get them from a session on the
/// coordinator, but Citus sets those of the database on all nodes.
const OPTIONS: [&str; 4] = ["lock_timeout", "jit", "timezone", "pg_trgm.word_similarity_threshold"];

const FOREIGN_KEYS: &str = "SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) \
    FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 AND connamespace = current_schema()::regnamespace \
    ORDER BY conrelid::regclass::text, conname";

async fn query(connection: &impl ConnectionTrait, sql: &str) -> Result<Vec<QueryResult>, DbErr> {
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    connection.query_all_raw(statement).await
}

/// The tables with the statements that lay them out, in their order.
fn statements() -> impl Iterator<Item = (&'static str, String)> {
    let reference = REFERENCE.map(|table| (table, format!("SELECT create_reference_table('{table}')")));
    let distributed = DISTRIBUTED.into_iter().flat_map(|together| {
        let (first, _) = together[0];
        together.iter().map(move |(table, column)| {
            let with = if *table == first { "none" } else { first };
            let sql = format!("SELECT create_distributed_table('{table}', '{column}', colocate_with => '{with}')");
            (*table, sql)
        })
    });
    reference.into_iter().chain(distributed)
}

/// Returns true if tables aren't laid out yet.
///
/// # Errors
/// [`DbErr::Migration`] if the database lacks the extension or has no other node.
pub async fn is_pending(connection: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let extension = "SELECT 1 FROM pg_extension WHERE extname = 'citus'";
    if query(connection, extension).await?.is_empty() {
        return Err(DbErr::Migration(
            "database.distributed is on, and the database lacks the extension citus. Nothing was changed. Run `CREATE \
             EXTENSION citus` in this database on each node, and `SELECT citus_set_coordinator_host(…)` and `SELECT \
             citus_add_node(…)` on the coordinator, then start again; or turn database.distributed off"
                .to_owned(),
        ));
    }
    let workers = "SELECT 1 FROM pg_dist_node WHERE groupid <> 0 AND isactive AND noderole = 'primary'";
    if query(connection, workers).await?.is_empty() {
        return Err(DbErr::Migration(
            "database.distributed is on, and the coordinator knows no worker. Nothing was changed. Run `SELECT \
             citus_set_coordinator_host(…)` and `SELECT citus_add_node(…)` in this database on the coordinator, \
             then start again"
                .to_owned(),
        ));
    }
    Ok(!pending(connection).await?.is_empty())
}

async fn pending(connection: &impl ConnectionTrait) -> Result<Vec<(&'static str, String)>, DbErr> {
    let rows = query(connection, LAID_OUT).await?;
    let rows = rows.iter().map(|row| row.try_get_by_index(0));
    let laid_out: Vec<String> = rows.collect::<Result<_, _>>()?;
    Ok(statements()
        .filter(|(table, _)| !laid_out.iter().any(|known| known == table))
        .collect())
}

/// Lays out the tables that aren't yet, with their rows. Must run in a transaction on the coordinator.
///
/// A table can't be laid out while one that isn't refers to it, so the foreign keys are dropped meanwhile.
pub async fn distribute(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    let pending = pending(connection).await?;
    if pending.is_empty() {
        return Ok(());
    }
    // As in sessions of servers, not of migrations.
    connection
        .execute_unprepared("SET LOCAL lock_timeout TO DEFAULT")
        .await?;
    for option in OPTIONS {
        let sql = format!(
            "SELECT format('ALTER DATABASE %I SET {option} TO %L', current_database(), current_setting('{option}'))"
        );
        for row in query(connection, &sql).await? {
            let sql: String = row.try_get_by_index(0)?;
            connection.execute_unprepared(&sql).await?;
        }
    }
    let mut keys = Vec::new();
    for row in query(connection, FOREIGN_KEYS).await? {
        let (table, name, definition): (String, String, String) = row.try_get_many_by_index()?;
        let drop = format!("ALTER TABLE {table} DROP CONSTRAINT {name}");
        connection.execute_unprepared(&drop).await?;
        if !UNSUPPORTED_KEYS.contains(&&*name) {
            keys.push(format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"));
        }
    }
    for (_, statement) in &pending {
        connection.execute_unprepared(statement).await?;
    }
    // The rows were copied to the nodes. What is left here isn't read any more, and is personal data.
    for (table, _) in &pending {
        let truncate = format!("SELECT truncate_local_data_after_distributing_table('{table}')");
        connection.execute_unprepared(&truncate).await?;
    }
    for key in keys {
        connection.execute_unprepared(&key).await?;
    }
    Ok(())
}
