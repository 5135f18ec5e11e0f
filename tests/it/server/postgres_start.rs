//! Starts on PostgreSQL: failures name their cause at once.

mod fake;

use std::process::Stdio;
use std::time::{Duration, Instant};

use clientele::error::Error;
use reqwest::Client;
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};

use self::fake::Fake;
use super::database_files::signal;
use crate::harness::{
    Backend, TestServer,
    peers::Certificate,
    program::{Server, clientele, directory, run, text},
    require_own_cluster, run as on,
};

/// The pool would try for `database.acquire_timeout_seconds`, 5 by default.
const AT_ONCE: Duration = Duration::from_secs(4);

fn migrate(url: &str) -> (String, String, Option<i32>) {
    run(
        &["migrate"],
        &[("DATABASE_URL", url), ("CLIENTELE_LOG__FILTER", "warn")],
    )
}

/// Asserts the cause that a start names.
#[track_caller]
fn fails(url: &str, doing: &str, reason: &str) {
    let begun = Instant::now();
    let answer = migrate(url);
    let sentence = format!("clientele: can't {doing} the database {url}: {reason}\n");
    assert_eq!(answer, (String::new(), sentence, Some(1)));
    assert!(begun.elapsed() < AT_ONCE, "{url}: {:?}", begun.elapsed());
}

#[track_caller]
fn works(url: &str) {
    let answer = migrate(url);
    assert_eq!(
        answer,
        ("the database is up to date\n".to_owned(), String::new(), Some(0)),
        "{url}"
    );
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options).await.expect("the cluster answers")
}

async fn execute(database: &DatabaseConnection, statements: &[&str]) {
    for sql in statements {
        database.execute_unprepared(sql).await.expect(sql);
    }
}

/// The address and the name of its database, and the directory of the socket.
fn parts(server: &TestServer) -> (String, String, String) {
    require_own_cluster();
    let url = server.database_url();
    let (address, directory) = url.split_once("?host=").expect("it listens on a socket");
    let name = address.rsplit('/').next().expect("a name").to_owned();
    (url.clone(), name, directory.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_start_error_names_its_cause() {
    on(Backend::Postgres, async |server| {
        let (url, name, directory) = parts(server);
        let socket = format!("the socket {directory}/.s.PGSQL.5432");
        let file = "which can't be read: No such file or directory (os error 2)";
        for (url, reason) in [
            (
                url.replace("clientele@", "absent@"),
                "the server refuses the role absent (role \"absent\" does not exist): check the role \
                 and pg_hba.conf"
                    .to_owned(),
            ),
            (
                url.replace(&name, "absent"),
                "database \"absent\" does not exist: create it, or name another".to_owned(),
            ),
            (
                url.replace(&directory, "/nowhere"),
                "the socket /nowhere/.s.PGSQL.5432 doesn't exist: start the server, or name its directory \
                 as host"
                    .to_owned(),
            ),
            (
                format!("{url}&port=1"),
                format!(
                    "the socket {directory}/.s.PGSQL.1 doesn't exist: start the server, or name its directory as host"
                ),
            ),
            (
                format!("{url}&sslmode=require"),
                format!(
                    "{socket} has no TLS, which sslmode=require needs: turn it on there (ssl = on), or choose \
                     another sslmode"
                ),
            ),
            (
                format!("{url}&sslmode=verify-full&sslrootcert=/nowhere.pem"),
                format!("sslrootcert names the file /nowhere.pem, {file}"),
            ),
            (
                format!("{url}&sslcert=/nowhere.pem&sslkey=***"),
                format!("sslcert names the file /nowhere.pem, {file}"),
            ),
        ] {
            fails(&url, "open", &reason);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socket_directory_can_be_named_in_every_way() {
    on(Backend::Postgres, async |server| {
        let (url, name, directory) = parts(server);
        works(&url);
        works(&format!("postgres://clientele@/{name}?host={directory}"));
        works(&format!("postgresql://clientele@:5432/{name}?host={directory}"));
        works(&format!("postgres:///{name}?host={directory}&user=clientele"));
        works(&format!(
            "postgres://clientele@{}/{name}",
            directory.replace('/', "%2F")
        ));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_password_is_refused_and_hidden() {
    on(Backend::Postgres, async |server| {
        let (url, name, directory) = parts(server);
        let admin = connect(&url).await;
        // The cluster requires a password of this role only.
        execute(
            &admin,
            &[
                "DROP ROLE IF EXISTS with_password",
                "CREATE ROLE with_password SUPERUSER LOGIN PASSWORD 'right@one'",
            ],
        )
        .await;
        let of = |password: &str| format!("postgres://with_password{password}@localhost/{name}?host={directory}");
        works(&of(":right%40one"));
        for (url, shown) in [(of(":wrong"), of(":***")), (of(""), of(""))] {
            let sentence = format!(
                "clientele: can't open the database {shown}: the server refuses the password of the role \
                 with_password: correct it\n"
            );
            let begun = Instant::now();
            assert_eq!(migrate(&url), (String::new(), sentence, Some(1)));
            assert!(begun.elapsed() < AT_ONCE);
        }
        execute(&admin, &["DROP ROLE with_password"]).await;
        admin.close().await.expect("closed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encoding_and_rights_of_database_are_checked() {
    on(Backend::Postgres, async |server| {
        let (url, name, _) = parts(server);
        let (latin, poor) = (format!("{name}_latin"), format!("{name}_poor"));
        let admin = connect(&url).await;
        execute(
            &admin,
            &[
                &format!("CREATE DATABASE {latin} ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'"),
                &format!("CREATE DATABASE {poor} TEMPLATE template0"),
                &format!("CREATE ROLE {poor} LOGIN"),
            ],
        )
        .await;
        fails(
            &url.replace(&name, &latin),
            "open",
            "its encoding is LATIN1, and must be UTF8: create one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE \
             template0",
        );
        fails(
            &url.replace(&name, &poor).replace("clientele@", &format!("{poor}@")),
            "migrate",
            "permission denied for schema public: grant the right to the role, or run `clientele migrate` as another",
        );
        execute(
            &admin,
            &[&format!("ALTER DATABASE {poor} SET default_transaction_read_only = on")],
        )
        .await;
        fails(
            &url.replace(&name, &poor),
            "migrate",
            "it is read-only (default_transaction_read_only is on, or it is a standby): use one that accepts changes",
        );
        for database in [latin, poor.clone()] {
            execute(&admin, &[&format!("DROP DATABASE {database}")]).await;
        }
        execute(&admin, &[&format!("DROP ROLE {poor}")]).await;
        admin.close().await.expect("closed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_database_serves_reads_and_refuses_writes() {
    on(Backend::Postgres, async |server| {
        let (url, name, _) = parts(server);
        let environment = [("DATABASE_URL", &*url)];
        // It creates the first user.
        let first = Server::start(&environment);
        first.signal("TERM");
        assert_eq!(first.wait().1, Some(0));
        let admin = connect(&url).await;
        execute(
            &admin,
            &[&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")],
        )
        .await;

        let guarded = Server::start(&environment);
        let open = Server::open(&environment);
        let http = Client::builder().no_proxy().build().expect("a client");
        let post = async |path: &str, body: Value| {
            let request = http.post(format!("{}{path}", open.address)).json(&body);
            let response = request.send().await.expect("an answer");
            let status = response.status().as_u16();
            (status, response.json::<Value>().await.expect("JSON"))
        };
        let rest = post(
            "/api/clients",
            json!({ "client": { "firstName": "Trevor", "lastName": "Linden" } }),
        )
        .await;
        assert_eq!(
            rest,
            (503, json!({ "returnCode": 32, "returnStatus": "READ_ONLY_MODE" }))
        );
        let query = "mutation { upsertClient(input: { client: { firstName: \"Trevor\", lastName: \"Linden\" } }) \
                     { userErrors { code } } }";
        let (status, body) = post("/graphql", json!({ "query": query })).await;
        assert_eq!(status, 503, "{body}");
        assert_eq!(
            (&body["errors"][0]["message"], &body["errors"][0]["extensions"]["code"]),
            (
                &json!("The database accepts no changes at the moment. Try again later."),
                &json!("UNAVAILABLE")
            )
        );
        let read = post(
            "/graphql",
            json!({ "query": "{ clients(first: 1) { nodes { clientId } } }" }),
        )
        .await;
        assert_eq!(read, (200, json!({ "data": { "clients": { "nodes": [] } } })));
        for server in [guarded, open] {
            server.signal("TERM");
            let (log, code) = server.wait();
            assert_eq!(code, Some(0), "{log}");
        }
        admin.close().await.expect("closed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_that_waits_for_a_migration_is_stopped_by_a_signal() {
    on(Backend::Postgres, async |server| {
        let (url, name, _) = parts(server);
        let admin = connect(&url).await;
        let lock = "SELECT pg_advisory_lock(x'636c69656e74'::bigint)";
        execute(&admin, &["DROP SCHEMA public CASCADE", "CREATE SCHEMA public", lock]).await;
        let waiting = format!(
            "SELECT pid::text FROM pg_locks JOIN pg_database d ON d.oid = database WHERE datname = '{name}' AND NOT \
                granted"
        );
        for (arguments, sent, code) in [
            (&["serve", "--listen", "127.0.0.1:0"][..], "TERM", 143),
            (&["serve", "--listen", "127.0.0.1:0"], "INT", 130),
            (&["migrate"], "TERM", 143),
        ] {
            let directory = directory();
            let child = clientele(
                &directory,
                arguments,
                &[("DATABASE_URL", &url), ("CLIENTELE_LOG__FILTER", "warn")],
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
            let query = Statement::from_string(DbBackend::Postgres, &waiting);
            let pid: String = loop {
                if let Some(row) = admin.query_one_raw(query.clone()).await.expect("the catalog") {
                    break row.try_get_by_index(0).expect("a number");
                }
            };
            let begun = Instant::now();
            signal(&child, sent);
            let output = child.wait_with_output().expect("it ends");
            assert!(begun.elapsed() < AT_ONCE, "{arguments:?}: {:?}", begun.elapsed());
            assert_eq!(
                (text(output.stdout), text(output.stderr), output.status.code()),
                (String::new(), format!("clientele: stopped by SIG{sent}\n"), Some(code)),
                "{arguments:?}"
            );
            // PostgreSQL notices only later that the session has ended.
            execute(&admin, &[&format!("SELECT pg_terminate_backend({pid}, 10000)")]).await;
        }
        execute(&admin, &["SELECT pg_advisory_unlock_all()"]).await;
        works(&url);
        admin.close().await.expect("closed");
    })
    .await;
}

#[test]
fn answer_of_wrong_server_is_explained() {
    for (answer, reason) in [
        (
            fake::error("53300", "sorry, too many clients already"),
            "the server has no connection free (sorry, too many clients already): raise its max_connections, or lower \
             database.max_connections",
        ),
        (
            fake::error("57P03", "the database system is starting up"),
            "the server isn't ready (the database system is starting up): try again",
        ),
        (
            fake::error("28000", "no pg_hba.conf entry for host \"10.0.0.9\""),
            "the server refuses the role teller (no pg_hba.conf entry for host \"10.0.0.9\"): check the role and \
             pg_hba.conf",
        ),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            "PLACE closes the connection: it isn't a PostgreSQL server, or doesn't accept this address",
        ),
        (
            b"-ERR unknown command\r\n".to_vec(),
            "PLACE isn't a PostgreSQL server: correct the host and the port",
        ),
    ] {
        let fake = Fake::start(answer);
        let place = format!("127.0.0.1:{}", fake.port);
        let url = format!("postgres://teller@{place}/bank?sslmode=disable");
        fails(&url, "open", &reason.replace("PLACE", &place));
    }
}

#[test]
fn unreachable_server_is_explained() {
    let silent = Fake::silent();
    let place = format!("127.0.0.1:{}", silent.port);
    let url = format!("postgres://teller@{place}/bank");
    let answer = run(
        &["migrate"],
        &[
            ("DATABASE_URL", &url),
            ("CLIENTELE_DATABASE__ACQUIRE_TIMEOUT_SECONDS", "1"),
        ],
    );
    let sentence = format!(
        "clientele: can't open the database {url}: {place} doesn't answer within 1 s: check the host, the port and \
         firewalls in between\n"
    );
    assert_eq!(answer, (String::new(), sentence, Some(1)));
    for (url, place) in [
        ("postgres://teller@127.0.0.1:1/bank", "127.0.0.1:1"),
        ("postgres://teller@[::1]:1/bank", "[::1]:1"),
    ] {
        let reason = format!("{place} refuses connections: start the server, or correct the host and the port");
        fails(url, "open", &reason);
    }
    fails(
        "postgres://teller@no-such-host.invalid/bank",
        "open",
        "the host name no-such-host.invalid can't be resolved: check it, and the name service",
    );
}

#[test]
fn certificate_of_server_is_verified() {
    let certificate = Certificate::new();
    let fake = Fake::with_tls(
        certificate.config(),
        fake::error("57P03", "the database system is starting up"),
    );
    let url = |parameters: &str| format!("postgres://teller@localhost:{}/bank?{parameters}", fake.port);
    fails(
        &url("sslmode=verify-full"),
        "open",
        &format!(
            "TLS with localhost:{} fails (invalid peer certificate: UnknownIssuer): check sslmode and sslrootcert",
            fake.port
        ),
    );
    let authority = certificate.authority().display();
    let trusted = url(&format!("sslmode=verify-full&sslrootcert={authority}"));
    for url in [trusted, url("sslmode=require")] {
        fails(
            &url,
            "open",
            "the server isn't ready (the database system is starting up): try again",
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migration_of_a_locked_table_gives_way_and_tries_again() {
    on(Backend::Postgres, async |server| {
        let url = server.database_url();
        let admin = connect(&url).await;
        let before = [
            "DROP TABLE id_document_template",
            "ALTER TABLE id_document DROP COLUMN template_key",
            "DELETE FROM seaql_migrations WHERE version = 'm20261129_document_templates'",
        ];
        execute(&admin, &before).await;
        // A long reader, such as a backup.
        let reader = connect(&url).await;
        execute(&reader, &["BEGIN", "SELECT count(*) FROM id_document"]).await;
        let directory = directory();
        let environment = [("DATABASE_URL", &*url), ("CLIENTELE_LOG__FILTER", "off")];
        let child = clientele(&directory, &["migrate"], &environment)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE id_document %'";
        for _ in 0..2 {
            while number(&admin, waiting).await == 0 {}
            // Another reader waits behind it, and proceeds when it gives way.
            let begun = Instant::now();
            number(&admin, "SELECT count(*) FROM id_document").await;
            assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        }
        execute(&reader, &["COMMIT"]).await;
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(
            (text(output.stdout), text(output.stderr), output.status.code()),
            ("the database is up to date\n".to_owned(), String::new(), Some(0))
        );

        // With less patience, the table stays as it is.
        execute(&admin, &before).await;
        execute(&reader, &["BEGIN", "SELECT count(*) FROM id_document"]).await;
        let refused = server.services.db.migrate_within(Duration::ZERO).await;
        assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
        execute(&reader, &["COMMIT"]).await;
        works(&url);
        reader.close().await.expect("closed");
        admin.close().await.expect("closed");
    })
    .await;
}

async fn number(database: &DatabaseConnection, sql: &str) -> i64 {
    let query = Statement::from_string(DbBackend::Postgres, sql);
    let row = database.query_one_raw(query).await.expect("an answer").expect("a row");
    row.try_get_by_index(0).expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extension_that_cannot_be_used_is_named() {
    on(Backend::Postgres, async |server| {
        let (url, name, _) = parts(server);
        let plain = format!("{name}_plain");
        let admin = connect(&url).await;
        execute(
            &admin,
            &[
                &format!("CREATE DATABASE {plain} TEMPLATE template0"),
                &format!("CREATE ROLE {plain} LOGIN"),
            ],
        )
        .await;
        let of_plain = url.replace(&name, &plain);
        let inside = connect(&of_plain).await;
        // Creating an extension takes a right to the database, too.
        execute(&inside, &[&format!("GRANT CREATE ON SCHEMA public TO {plain}")]).await;
        let as_plain = of_plain.replace("clientele@", &format!("{plain}@"));
        let refused = |reason: &str| {
            let sentence = format!(
                "clientele: can't migrate the database {as_plain}: the extension pg_trgm, by which clients are \
                 searched, {reason}, then start again\n"
            );
            assert_eq!(migrate(&as_plain), (String::new(), sentence, Some(1)));
        };
        refused(
            "can't be created (permission denied to create extension \"pg_trgm\"). Nothing was changed. Install \
             PostgreSQL's contrib package if the extension isn't \
             available, and run `CREATE EXTENSION pg_trgm` in this database as its owner or as a superuser",
        );
        let elsewhere = ["CREATE SCHEMA elsewhere", "CREATE EXTENSION pg_trgm SCHEMA elsewhere"];
        execute(&inside, &elsewhere).await;
        refused(
            "is in the schema elsewhere, which isn't in the search_path. Nothing was changed. Add the schema to the \
             search_path of the role, or run `ALTER EXTENSION pg_trgm SET SCHEMA public`",
        );
        execute(&inside, &["ALTER EXTENSION pg_trgm SET SCHEMA public"]).await;
        works(&as_plain);
        inside.close().await.expect("closed");
        execute(
            &admin,
            &[
                &format!("DROP DATABASE {plain} WITH (FORCE)"),
                &format!("DROP ROLE {plain}"),
            ],
        )
        .await;
        admin.close().await.expect("closed");
    })
    .await;
}
