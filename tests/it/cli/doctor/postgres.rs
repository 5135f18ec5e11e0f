//! The checks of a PostgreSQL server and of a pooler in front of it.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{Examined, examine};
use crate::harness::{TestServer, require_own_cluster};

on_postgres!(
    rights_of_the_role_are_checked,
    session_of_a_direct_connection_is_fine,
    difference_of_the_clocks_is_reported,
    server_that_is_away_is_a_problem,
    pooler_is_recognised,
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

/// A PgBouncer on a socket of its own. Dropping it ends it.
struct PgBouncer {
    child: Child,
    directory: TempDir,
}

impl PgBouncer {
    /// None if it isn't installed.
    fn start(server: &TestServer, settings: &str) -> Option<Self> {
        let url = server.database_url();
        let (address, socket) = url.split_once("?host=").expect("a socket");
        let name = address.rsplit('/').next().expect("a name");
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().display();
        let ini = format!(
            "[databases]\n{name} = host={socket} dbname={name} user=clientele\n[pgbouncer]\nlisten_port = 6432\n\
             listen_addr =\nunix_socket_dir = {path}\nauth_type = any\ndefault_pool_size = 20\n{settings}\n"
        );
        let file = directory.path().join("pgbouncer.ini");
        fs::write(&file, ini).expect("written");
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];
        let program = program
            .into_iter()
            .find(|program| std::path::Path::new(program).exists())?;
        // It refuses to run as root.
        let chown = Command::new("chown")
            .args(["-R", "postgres"])
            .arg(directory.path())
            .status();
        let as_postgres = chown.is_ok_and(|status| status.success());
        let mut command = match as_postgres {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", program]);
                command
            }
            false => Command::new(program),
        };
        let mut child = command
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        let mut lines = log.lines().map_while(Result::ok);
        let is_up = lines.any(|line| line.contains("process up"));
        assert!(is_up, "it stopped");
        // It must never wait for a reader of its log.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, directory })
    }

    fn url(&self, server: &TestServer) -> String {
        let url = server.database_url();
        let (address, _) = url.split_once("?host=").expect("a socket");
        format!("{address}?host={}&port=6432", self.directory.path().display())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn pooler_is_recognised(server: &TestServer) {
    let ignored = "ignore_startup_parameters = options,extra_float_digits";
    let session = format!("pool_mode = session\n{ignored}");
    let Some(pooler) = PgBouncer::start(server, &session) else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "PgBouncer isn't installed"
        );
        println!("left out: PgBouncer isn't installed");
        return;
    };
    let url = pooler.url(server);
    let lost = "plan_cache_mode, jit, timezone, pg_trgm.word_similarity_threshold, lock_timeout, statement_timeout, \
        idle_in_transaction_session_timeout";
    let examined = examine_at(&url);
    let line = examined.line("sessions");
    let expected = format!(
        "WARNING  sessions: sessions lack options that the server sets: {lost}. Let the pooler pass them on, or set \
         them with ALTER ROLE clientele SET …. {LINK}"
    );
    // The time zone of the machine may be UTC.
    assert!(
        [expected.clone(), expected.replace("timezone, ", "")].contains(&line.to_owned()),
        "{line}"
    );
    drop(pooler);
    let pooler = PgBouncer::start(server, &format!("pool_mode = transaction\n{ignored}")).expect("it is installed");
    let examined = examine_at(&pooler.url(server));
    let line = examined.line("sessions");
    // Only later versions keep prepared statements.
    let unprepared = format!(
        "PROBLEM  sessions: a pooler gives sessions to other connections after each transaction, and loses prepared \
         statements. Set max_prepared_statements in PgBouncer 1.21 or later, or pool_mode = session. {LINK}"
    );
    let lines = [unprepared, expected.replace("timezone, ", ""), expected];
    assert!(lines.contains(&line.to_owned()), "{line}");
}
