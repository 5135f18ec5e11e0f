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
pub const LOCAL: [&str; 9] = [
    "api_token",
    "api_user",
    "audit_key",
    "change_feed",
    "channel_rate",
    "client_change",
    "client_search_fill",
    "seaql_migrations",
    "session",
];

/// A foreign key between tables that aren't distributed by the same value. The rows are deleted without it, too.
pub const UNSUPPORTED_KEYS: [&str; 1] = ["provider_message_client_key_encoded_key_fkey"];

/// A distributed table can't have a trigger: the change feed, which needs this one, isn't available then.
const DROP_TRIGGER: &str = "DROP TRIGGER IF EXISTS audit_record_change ON audit_record";

/// The tables that are distributed already.
const DISTRIBUTED_TABLES: &str = "SELECT c.relname::text FROM pg_dist_partition p JOIN pg_class c ON c.oid = p.logicalrelid \
    WHERE c.relnamespace = current_schema()::regnamespace";

/// The options of sessions that count on the nodes that have the rows. A node doesn't get them from a session on the
/// coordinator, but Citus sets those of the database on all nodes.
const OPTIONS: [&str; 4] = ["lock_timeout", "jit", "timezone", "pg_trgm.word_similarity_threshold"];

/// Makes a statement see what those before it in its transaction have changed on other nodes.
pub const SEQUENTIAL: &str = "SET LOCAL citus.multi_shard_modify_mode TO 'sequential'";

/// The limit of the servers' sessions, instead of the migration's.
pub(crate) const SERVERS_LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout TO DEFAULT";

const FOREIGN_KEYS: &str = "SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) \
    FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 AND connamespace = current_schema()::regnamespace";

async fn query(connection: &impl ConnectionTrait, sql: &str) -> Result<Vec<QueryResult>, DbErr> {
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    connection.query_all_raw(statement).await
}

/// The tables with the statements that distribute them, in their order.
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

/// Returns true if Citus's catalog is visible. Tests create a table of that name instead of the extension.
async fn has_extension(connection: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let sql = "SELECT 1 WHERE to_regclass('pg_dist_partition') IS NOT NULL";
    Ok(!query(connection, sql).await?.is_empty())
}

/// Returns true if the tables are distributed.
pub async fn is_distributed(connection: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let client = format!("{DISTRIBUTED_TABLES} AND c.relname = 'client'");
    Ok(has_extension(connection).await? && !query(connection, &client).await?.is_empty())
}

/// Returns true if tables aren't distributed yet.
///
/// # Errors
/// [`DbErr::Migration`] if the database lacks the extension, or a node that they can be distributed to.
pub async fn is_pending(connection: &impl ConnectionTrait) -> Result<bool, DbErr> {
    if !has_extension(connection).await? {
        return Err(DbErr::Migration(
            "database.distributed is on, and the database lacks the extension citus. Nothing was changed. Run `CREATE \
             EXTENSION citus` in this database on each node, and `SELECT citus_set_coordinator_host(…)` and `SELECT \
             citus_add_node(…)` on the coordinator, then `clientele migrate`; or turn database.distributed off"
                .to_owned(),
        ));
    }
    if pending(connection).await?.is_empty() {
        return Ok(false);
    }
    let workers = "SELECT 1 FROM pg_dist_node WHERE groupid <> 0 AND isactive AND noderole = 'primary'";
    if query(connection, workers).await?.is_empty() {
        return Err(DbErr::Migration(
            "database.distributed is on, and the coordinator knows no worker. Nothing was changed. Run `SELECT \
             citus_set_coordinator_host(…)` and `SELECT citus_add_node(…)` in this database on the coordinator, \
             then `clientele migrate`"
                .to_owned(),
        ));
    }
    Ok(true)
}

async fn pending(connection: &impl ConnectionTrait) -> Result<Vec<(&'static str, String)>, DbErr> {
    let rows = query(connection, DISTRIBUTED_TABLES).await?;
    let rows = rows.iter().map(|row| row.try_get_by_index(0));
    let distributed: Vec<String> = rows.collect::<Result<_, _>>()?;
    Ok(statements()
        .filter(|(table, _)| !distributed.iter().any(|known| known == table))
        .collect())
}

/// Distributes the tables that aren't yet, with their rows. Must run in a transaction on the coordinator.
pub async fn distribute(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    connection.execute_unprepared(SERVERS_LOCK_TIMEOUT).await?;
    for statement in script(connection).await? {
        connection.execute_unprepared(&statement).await?;
    }
    Ok(())
}

/// The statements that distribute the tables that aren't yet, in their order; none if all are.
///
/// A table can't be distributed while one that isn't refers to it, so the foreign keys are dropped meanwhile.
pub(crate) async fn script(connection: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let pending = pending(connection).await?;
    if pending.is_empty() {
        return Ok(Vec::new());
    }
    let mut script = Vec::new();
    for option in OPTIONS {
        let sql = format!(
            "SELECT format('ALTER DATABASE %I SET {option} TO %L', current_database(), current_setting('{option}'))"
        );
        for row in query(connection, &sql).await? {
            script.push(row.try_get_by_index(0)?);
        }
    }
    let mut keys = Vec::new();
    // Each key that is added again is validated: no other than those of the pending tables.
    let tables: Vec<String> = pending.iter().map(|(table, _)| format!("'{table}'")).collect();
    let tables = tables.join(", ");
    let of_pending = format!(
        "{FOREIGN_KEYS} AND (conrelid::regclass::text IN ({tables}) OR confrelid::regclass::text IN ({tables})) \
         ORDER BY conrelid::regclass::text, conname"
    );
    for row in query(connection, &of_pending).await? {
        let (table, name, definition): (String, String, String) = row.try_get_many_by_index()?;
        script.push(format!("ALTER TABLE {table} DROP CONSTRAINT {name}"));
        if !UNSUPPORTED_KEYS.contains(&&*name) {
            keys.push(format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"));
        }
    }
    if pending.iter().any(|(table, _)| *table == "audit_record") {
        script.push(DROP_TRIGGER.to_owned());
    }
    script.extend(pending.iter().map(|(_, statement)| statement.clone()));
    // The rows were copied to the nodes. What is left here isn't read any more, and is personal data.
    let truncate = |(table, _): &_| format!("SELECT truncate_local_data_after_distributing_table('{table}')");
    script.extend(pending.iter().map(truncate));
    script.extend(keys);
    Ok(script)
}
