//! The answers of commands to `database.distributed`, also where it doesn't fit the layout of the tables.
//!
//! The catalog of Citus is pretended: two tables, found by the names that the extension's have.

use migration::distribution::{DISTRIBUTED, REFERENCE, UNSUPPORTED_KEYS};

use super::distribution::texts;
use crate::harness::{TestServer, program::run, require_own_cluster};

on_postgres!(
    distributed_tables_require_the_setting,
    setting_requires_distributed_tables,
    setting_requires_the_extension,
    setting_requires_a_worker,
    dry_run_prints_the_distribution,
    dry_run_distributes_after_the_pending_steps,
);

const ON: (&str, &str) = ("CLIENTELE_DATABASE__DISTRIBUTED", "true");

/// Makes the database look like the coordinator of a cluster with these tables laid out.
pub async fn pretend_citus(server: &TestServer, laid_out: impl Fn(&str) -> bool) {
    require_own_cluster();
    let tables = DISTRIBUTED.into_iter().flatten().map(|(table, _)| *table);
    let tables = tables.chain(REFERENCE).filter(|table| laid_out(table));
    let rows = tables.map(|table| format!("INSERT INTO pg_dist_partition VALUES ('{table}')"));
    let catalog = [
        "CREATE TABLE pg_dist_partition (logicalrelid regclass)",
        "CREATE TABLE pg_dist_node (groupid integer, isactive boolean, noderole text)",
        "INSERT INTO pg_dist_node VALUES (0, true, 'primary'), (1, true, 'primary')",
    ];
    for sql in catalog.map(str::to_owned).into_iter().chain(rows) {
        server.write(&sql).await.expect(&sql);
    }
}

/// Standard output, standard error and the exit code of a command on this database.
fn answer(server: &TestServer, arguments: &str, more: &[(&str, &str)]) -> (String, String, Option<i32>) {
    let url = server.database_url();
    let mut environment = vec![("DATABASE_URL", &*url), ("CLIENTELE_LOG__FILTER", "warn")];
    environment.extend(more);
    run(&arguments.split(' ').collect::<Vec<_>>(), &environment)
}

fn failed(sentence: &str) -> (String, String, Option<i32>) {
    (String::new(), format!("clientele: {sentence}\n"), Some(1))
}

/// Without the lines of the applied steps.
fn status(server: &TestServer, more: &[(&str, &str)]) -> (String, Option<i32>) {
    let (printed, log, code) = answer(server, "migrate status", more);
    assert!(
        printed.lines().all(|line| line.contains("  applied  ")) && !printed.is_empty(),
        "{printed}"
    );
    (log, code)
}

async fn distributed_tables_require_the_setting(server: &TestServer) {
    pretend_citus(server, |_| true).await;
    assert_eq!(status(server, &[ON]), (String::new(), Some(0)));
    assert_eq!(answer(server, "user list", &[ON]).2, Some(0));
    let reason = "has tables that are distributed with Citus: set database.distributed = true for all servers, workers \
                  and commands";
    let of_database = format!("the database {} {reason}", server.database_url());
    let before = server.snapshot().await;
    for arguments in [
        "serve --listen 127.0.0.1:0",
        "worker",
        "migrate",
        "audit verify",
        "user list",
    ] {
        assert_eq!(answer(server, arguments, &[]), failed(&of_database), "{arguments}");
    }
    let sentence = format!("the database {reason}");
    assert_eq!(answer(server, "migrate --dry-run", &[]), failed(&sentence));
    assert_eq!(status(server, &[]), (format!("clientele: {sentence}\n"), Some(1)));
    assert_eq!(server.snapshot().await, before);
}

async fn setting_requires_distributed_tables(server: &TestServer) {
    pretend_citus(server, |table| table != "suppression").await;
    let sentence = format!(
        "the database {} has tables that aren't distributed, and database.distributed is on: stop the servers, \
         make a backup, and run `clientele migrate`",
        server.database_url()
    );
    for arguments in ["worker", "audit verify", "user list"] {
        assert_eq!(answer(server, arguments, &[ON]), failed(&sentence), "{arguments}");
    }
    let pending = "clientele: the tables aren't distributed: run `clientele migrate`\n";
    assert_eq!(status(server, &[ON]), (pending.to_owned(), Some(3)));
}

async fn setting_requires_the_extension(server: &TestServer) {
    require_own_cluster();
    let reason = "database.distributed is on, and the database lacks the extension citus. Nothing was changed. Run \
                  `CREATE EXTENSION citus` in this database on each node, and `SELECT citus_set_coordinator_host(…)` \
                  and `SELECT citus_add_node(…)` on the coordinator, then `clientele migrate`; or turn \
                  database.distributed off";
    let sentence = format!("can't distribute the database {}: {reason}", server.database_url());
    for arguments in ["serve --listen 127.0.0.1:0", "worker", "migrate", "user list"] {
        assert_eq!(answer(server, arguments, &[ON]), failed(&sentence), "{arguments}");
    }
    let sentence = format!("the database can't be migrated: {reason}");
    assert_eq!(answer(server, "migrate --dry-run", &[ON]), failed(&sentence));
    assert_eq!(status(server, &[ON]), (format!("clientele: {sentence}\n"), Some(1)));
}

async fn setting_requires_a_worker(server: &TestServer) {
    pretend_citus(server, |_| false).await;
    server
        .write("DELETE FROM pg_dist_node WHERE groupid > 0")
        .await
        .expect("a row");
    let sentence = format!(
        "can't distribute the database {}: database.distributed is on, and the coordinator knows no worker. Nothing \
         was changed. Run `SELECT citus_set_coordinator_host(…)` and `SELECT citus_add_node(…)` in this database on \
         the coordinator, then `clientele migrate`",
        server.database_url()
    );
    for arguments in ["serve --listen 127.0.0.1:0", "worker", "migrate"] {
        assert_eq!(answer(server, arguments, &[ON]), failed(&sentence), "{arguments}");
    }
}

/// The script without the statements of foreign keys, and these.
fn dry_run(server: &TestServer) -> (String, Vec<String>) {
    let (script, log, code) = answer(server, "migrate --dry-run", &[ON]);
    assert_eq!((log.as_str(), code), ("", Some(0)));
    let is_of_key = |line: &&str| line.starts_with("ALTER TABLE ") && line.contains(" CONSTRAINT ");
    let (keys, others): (Vec<&str>, Vec<&str>) = script.lines().partition(is_of_key);
    (others.join("\n"), keys.into_iter().map(str::to_owned).collect())
}

async fn dry_run_prints_the_distribution(server: &TestServer) {
    pretend_citus(server, |table| {
        !["suppression", "message", "raised_message"].contains(&table)
    })
    .await;
    let before = server.snapshot().await;
    let (script, keys) = dry_run(server);
    let [[database]] = &*texts::<1>(server, "SELECT current_database()::text").await else {
        panic!("a name")
    };
    let expected = format!(
        "BEGIN;
SET LOCAL citus.multi_shard_modify_mode TO 'sequential';
CREATE TABLE IF NOT EXISTS \"seaql_migrations\" ( \"version\" varchar NOT NULL PRIMARY KEY, \"applied_at\" bigint NOT \
NULL );

-- distribution of the tables
SET LOCAL lock_timeout TO DEFAULT;
ALTER DATABASE {database} SET lock_timeout TO '5s';
ALTER DATABASE {database} SET jit TO 'off';
ALTER DATABASE {database} SET timezone TO 'UTC';
ALTER DATABASE {database} SET pg_trgm.word_similarity_threshold TO '0.45';
SELECT create_reference_table('suppression');
SELECT create_distributed_table('message', 'client_key', colocate_with => 'client');
SELECT create_distributed_table('raised_message', 'client_key', colocate_with => 'client');
SELECT truncate_local_data_after_distributing_table('suppression');
SELECT truncate_local_data_after_distributing_table('message');
SELECT truncate_local_data_after_distributing_table('raised_message');

COMMIT;"
    );
    assert_eq!(script, expected);
    // The other keys stay: adding one again validates all rows.
    let pending = "('suppression', 'message', 'raised_message')";
    let sql = format!(
        "SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) FROM pg_constraint \
         WHERE contype = 'f' AND connamespace = current_schema()::regnamespace \
         AND (conrelid::regclass::text IN {pending} OR confrelid::regclass::text IN {pending}) ORDER BY 1, 2"
    );
    let stored = texts::<3>(server, &sql).await;
    let dropped = stored
        .iter()
        .map(|[table, key, _]| format!("ALTER TABLE {table} DROP CONSTRAINT {key};"));
    let kept = stored.iter().filter(|[_, key, _]| !UNSUPPORTED_KEYS.contains(&&**key));
    let added = kept.map(|[table, key, definition]| format!("ALTER TABLE {table} ADD CONSTRAINT {key} {definition};"));
    assert_eq!(keys, dropped.chain(added).collect::<Vec<_>>());
    assert_eq!(server.snapshot().await, before);
}

async fn dry_run_distributes_after_the_pending_steps(server: &TestServer) {
    pretend_citus(server, |_| false).await;
    server
        .write("DELETE FROM seaql_migrations WHERE version = 'm20261129_branches'")
        .await
        .expect("a row");
    let (script, _) = dry_run(server);
    let step = script
        .find("\n-- m20261129_branches\nALTER TABLE api_user ADD COLUMN branches ")
        .expect("the step");
    let comment = "\n-- distribution of the tables. The foreign keys that the steps above create are dropped and added, \
                   too\nSET LOCAL lock_timeout TO DEFAULT;\n";
    let distribution = script.find(comment).expect("the distribution");
    assert!(step < distribution, "{script}");
    let laid_out = script.lines().filter(|line| line.starts_with("SELECT create_")).count();
    assert_eq!(laid_out, REFERENCE.len() + DISTRIBUTED.into_iter().flatten().count());
}
