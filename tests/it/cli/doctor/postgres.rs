//! The checks of a PostgreSQL server and of a pooler in front of it.

use super::{Examined, examine};
use crate::{
    harness::{TestServer, pooler::Pooler, require_own_cluster},
    server::distribution_setting::pretend_citus,
};

on_postgres!(
    rights_of_the_role_are_checked,
    session_of_a_direct_connection_is_fine,
    difference_of_the_clocks_is_reported,
    server_that_is_away_is_a_problem,
    pooler_is_recognised,
    layout_of_the_tables_is_compared_with_the_setting,
);

const LINK: &str = "See docs/operations.md#postgresql";

fn examine_at(url: &str) -> Examined {
    examine(&[], &[("DATABASE_URL", url)])
}

async fn execute(server: &TestServer, statements: &[&str]) {
    require_own_cluster();
    for sql in statements {
        server.write(sql).await.expect(sql);
    }
}

async fn rights_of_the_role_are_checked(server: &TestServer) {
    let url = server.database_url();
    examine_at(&url).says(
        "rights",
        &format!(
            "WARNING  rights: the role clientele is a superuser, who can change everything on the server. Use a role \
             that owns only this database. {LINK}"
        ),
    );
    let name = url
        .split('?')
        .next()
        .and_then(|url| url.rsplit('/').next())
        .expect("a name");
    let role = format!("teller_{name}");
    let grant = format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}");
    execute(server, &[&format!("CREATE ROLE {role} LOGIN"), &grant]).await;
    let of_role = url.replace("clientele@", &format!("{role}@"));
    examine_at(&of_role).says(
        "rights",
        &format!(
            "OK       rights: the role {role} can use the tables; another one must run `clientele migrate`. {LINK}"
        ),
    );
    let revoke = [
        &*format!("REVOKE UPDATE ON client FROM {role}"),
        &*format!("REVOKE INSERT ON message FROM {role}"),
        // The history is never deleted.
        &*format!("REVOKE DELETE ON audit_record FROM {role}"),
    ];
    execute(server, &revoke).await;
    examine_at(&of_role).says(
        "rights",
        &format!(
            "PROBLEM  rights: the role {role} lacks rights on tables: client, message. Run as their owner: GRANT \
             SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA … TO {role} {LINK}"
        ),
    );
    let owning = [&*grant, &*format!("GRANT CREATE ON SCHEMA public TO {role}")];
    execute(server, &owning).await;
    examine_at(&of_role).says(
        "rights",
        &format!("OK       rights: the role {role} can use and migrate the tables. {LINK}"),
    );
    execute(
        server,
        &[&format!("DROP OWNED BY {role}"), &format!("DROP ROLE {role}")],
    )
    .await;
}

async fn session_of_a_direct_connection_is_fine(server: &TestServer) {
    let examined = examine_at(&server.database_url());
    let sessions = "OK       sessions: each connection has its own session, with the options that the server sets.";
    examined.says("sessions", &format!("{sessions} {LINK}"));
    let local = format!("OK       encryption: the connection doesn't leave this machine. {LINK}");
    examined.says("encryption", &local);
    let line = examined.line("server");
    assert!(
        line.starts_with("OK       server: PostgreSQL ") && line.ends_with(&format!(" answers. {LINK}")),
        "{line}"
    );
    examined.says(
        "disk",
        "SKIPPED  disk: the database is on a server: watch the disk there. See docs/operations.md#sqlite",
    );
}

/// The server's functions are found in another schema first.
async fn difference_of_the_clocks_is_reported(server: &TestServer) {
    for (interval, direction) in [("1 hour", "behind"), ("-1 hour", "ahead of")] {
        let function = format!(
            "CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql \
             AS 'SELECT pg_catalog.clock_timestamp() + interval ''{interval}'''"
        );
        execute(server, &[&function]).await;
        let url = format!(
            "{}&options=-c%20search_path%3Dpublic%2Cpg_catalog",
            server.database_url()
        );
        let examined = examine_at(&url);
        let line = examined.line("clock");
        let is_line = |seconds: u32| {
            line == format!(
                "WARNING  clock: this machine's clock is {seconds} s {direction} the database's. Synchronise \
                 the clocks of all machines (NTP). See docs/notifications.md#delivery"
            )
        };
        assert!((3_597..=3_600).any(is_line), "{line}");
    }
}

async fn layout_of_the_tables_is_compared_with_the_setting(server: &TestServer) {
    let url = server.database_url();
    let examine_with = |distributed| {
        let environment = [
            ("DATABASE_URL", &*url),
            ("CLIENTELE_DATABASE__DISTRIBUTED", distributed),
        ];
        examine(&[], &environment)
    };
    let link = "See docs/operations.md#several-machines-citus";
    let off = examine_with("false");
    assert!(!off.output.contains(" distribution: "), "{}", off.output);
    let lacking = format!(
        "PROBLEM  distribution: database.distributed is on, and the database lacks the extension citus. Nothing was \
         changed. Run `CREATE EXTENSION citus` in this database on each node, and `SELECT \
         citus_set_coordinator_host(…)` and `SELECT citus_add_node(…)` on the coordinator, then `clientele migrate`; \
         or turn database.distributed off. {link}"
    );
    examine_with("true").says("distribution", &lacking);
    pretend_citus(server, |table| table != "message").await;
    let pending = format!(
        "WARNING  distribution: database.distributed is on, and not all tables are distributed. Stop the servers, make \
         a backup, and run `clientele migrate`; `clientele migrate --dry-run` prints the statements. {link}"
    );
    examine_with("true").says("distribution", &pending);
    server
        .write("INSERT INTO pg_dist_partition VALUES ('message')")
        .await
        .expect("a row");
    let distributed = format!("OK       distribution: the tables are distributed with Citus. {link}");
    examine_with("true").says("distribution", &distributed);
    let unset = format!(
        "PROBLEM  distribution: the tables are distributed with Citus, and database.distributed is off. Set \
         database.distributed = true for all servers, workers and commands. {link}"
    );
    examine_with("false").says("distribution", &unset);
}

async fn server_that_is_away_is_a_problem(server: &TestServer) {
    let url = server.database_url();
    let directory = url.split_once("?host=").expect("a socket").1;
    let away = url.replace(directory, "/nowhere");
    let examined = examine_at(&away);
    examined.says(
        "database",
        &format!(
            "PROBLEM  database: can't open the database {away}: the socket /nowhere/.s.PGSQL.5432 doesn't exist: start \
             the server, or name its directory as host. Correct database_url, or repair the database. {LINK}"
        ),
    );
    let skipped = "SKIPPED  migrations: the database can't be read. See docs/operations.md#upgrade";
    examined.says("migrations", skipped);
}

async fn pooler_is_recognised(server: &TestServer) {
    let url = server.database_url();
    let (address, socket) = url.split_once("?host=").expect("a socket");
    let name = address.rsplit('/').next().expect("a name");
    let database = [(name, format!("host={socket} user=clientele"))];
    let Some(pooler) = Pooler::start(&database, "pool_mode = session") else {
        return;
    };
    // The time zone of the machine may be UTC.
    let says = |url: &str, expected: &str| {
        let examined = examine_at(url);
        let line = examined.line("sessions");
        let expected = [expected.to_owned(), expected.replace("timezone, ", "")];
        assert!(expected.iter().any(|expected| expected == line), "{line}");
    };
    let lost = format!(
        "WARNING  sessions: sessions lack options that the server sets: plan_cache_mode, jit, timezone, \
         pg_trgm.word_similarity_threshold, lock_timeout, statement_timeout, idle_in_transaction_session_timeout. Let \
         the pooler pass them on, or set them with ALTER ROLE clientele SET …. {LINK}"
    );
    says(&pooler.url(name), &lost);
    drop(pooler);
    let pooler = Pooler::start(&database, "pool_mode = transaction").expect("it is installed");
    let url = pooler.url(name);
    let unprepared = format!(
        "PROBLEM  sessions: a pooler gives sessions to other connections after each transaction, and loses prepared \
         statements. Add statement-cache-capacity=0 to database_url, or set max_prepared_statements in PgBouncer 1.21 \
         or later. {LINK}"
    );
    says(&url, &unprepared);
    let unprepared = format!("{url}&statement-cache-capacity=0");
    says(&unprepared, &lost);
    for option in [
        "plan_cache_mode = force_generic_plan",
        "jit = off",
        "timezone = 'UTC'",
        "pg_trgm.word_similarity_threshold = 0.45",
        "lock_timeout = '5s'",
        "statement_timeout = '30s'",
        "idle_in_transaction_session_timeout = '60s'",
    ] {
        execute(server, &[&format!("ALTER DATABASE {name} SET {option}")]).await;
    }
    drop(pooler);
    let pooler = Pooler::start(&database, "pool_mode = transaction").expect("it is installed");
    let unprepared = format!("{}&statement-cache-capacity=0", pooler.url(name));
    let shared =
        "OK       sessions: connections share sessions through a pooler, with the options that the server sets.";
    says(&unprepared, &format!("{shared} {LINK}"));
}
