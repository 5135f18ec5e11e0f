//! Commands on a missing or empty database, or one of another version: they report it and change nothing.

use sea_orm::ConnectionTrait;

use crate::{
    harness::{
        Snapshot, TestServer,
        program::{clientele, directory, text},
    },
    server::database_files::{complete, names, run, runs},
};

/// Every command that needs a database and must not make one.
const COMMANDS: [&[&str]; 10] = [
    &["user", "list"],
    &["user", "set", "admin", "--active", "true"],
    &["user", "password", "admin"],
    &["user", "remove", "admin"],
    &["token", "list"],
    &["token", "create", "job", "--permissions", "ALL"],
    &["token", "revoke", "key"],
    &["audit", "verify"],
    &["client", "erase", "SEED00000000", "--yes"],
    &["worker"],
];
const WITHOUT_TABLES: &str =
    "has no tables of clientele: run `clientele serve` to create them, or name another one with --database-url";

#[test]
fn commands_in_a_wrong_directory_create_no_database() {
    let directory = directory();
    let path = directory.path().canonicalize().expect("it exists").join("clientele.db");
    let sentence = format!(
        "clientele: there is no database at {}: run `clientele serve` to create it, or name another one with \
         --database-url\n",
        path.display()
    );
    for command in COMMANDS.into_iter().chain([&["backup", "copy.db"][..]]) {
        let said = run(&directory, command, "correct horse battery\n");
        assert_eq!(said, (String::new(), sentence.clone(), Some(1)), "{command:?}");
        assert_eq!(names(&directory), Vec::<String>::new(), "{command:?}");
    }
}

/// A start that was killed early leaves an empty file.
#[test]
fn commands_on_an_empty_file_create_no_tables() {
    let directory = directory();
    let file = directory.path().join("clientele.db");
    let sentence = format!("clientele: the database sqlite:clientele.db {WITHOUT_TABLES}\n");
    for command in COMMANDS.into_iter().chain([&["backup", "copy.db"][..]]) {
        std::fs::write(&file, "").expect("written");
        let said = run(&directory, command, "correct horse battery\n");
        assert_eq!(said, (String::new(), sentence.clone(), Some(1)), "{command:?}");
        assert_eq!(names(&directory), ["clientele.db"], "{command:?}");
    }
}

#[tokio::test]
async fn database_of_another_program_gets_no_tables() {
    let directory = directory();
    let url = format!("sqlite:{}?mode=rwc", directory.path().join("clientele.db").display());
    let other = sea_orm::Database::connect(url).await.expect("it opens");
    let table = other.execute_unprepared("CREATE TABLE accounts (number TEXT)").await;
    table.expect("a table");
    other.close().await.expect("it closes");
    let sentence = "clientele: the database sqlite:clientele.db has tables of another program: name another file\n";
    for command in [&["migrate"][..], &["serve"], &["seed", "--clients", "1"]] {
        let said = run(&directory, command, "");
        assert_eq!(said, (String::new(), sentence.to_owned(), Some(1)), "{command:?}");
    }
}

#[tokio::test]
async fn user_commands_require_a_first_user() {
    let directory = directory();
    runs(&directory, &["migrate"], "");
    let sentence = "clientele: there is no user yet: `clientele serve` creates the user admin when it starts, \
        `clientele user add \
        admin --permissions ALL` a user whose password you choose\n";
    for command in [
        &["user", "password", "admin"][..],
        &["user", "set", "admin", "--active", "true"],
        &["user", "remove", "admin"],
    ] {
        let said = run(&directory, command, "correct horse battery\n");
        assert_eq!(said, (String::new(), sentence.to_owned(), Some(1)), "{command:?}");
    }
    assert_eq!(complete(&directory).await.rows("api_user").len(), 0);
}

/// Runs a command on the database at `url`: standard output, the last line of standard error, exit code.
fn on(url: &str, arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = clientele(&directory(), arguments, &[("DATABASE_URL", url)]).output();
    let output = output.expect("the program starts");
    let log = text(output.stderr);
    crate::harness::net::standard_error(&log);
    let last = log.lines().last().unwrap_or_default().to_owned();
    (text(output.stdout), last, output.status.code())
}

// For SQLite: commands_on_an_empty_file_create_no_tables.
on_postgres!(commands_create_no_tables);

async fn commands_create_no_tables(server: &TestServer) {
    let url = server.database_url();
    let row = server.services.db.read().one("SELECT current_schema()::text", []).await;
    let schema: String = row
        .expect("it is read")
        .expect("a row")
        .try_get_by_index(0)
        .expect("a name");
    for sql in [
        format!("DROP SCHEMA {schema} CASCADE"),
        format!("CREATE SCHEMA {schema}"),
    ] {
        server.write(&sql).await.expect("it is written");
    }
    for command in COMMANDS {
        let (said, failure, code) = on(&url, command);
        assert!(
            failure.starts_with("clientele: the database postgres"),
            "{command:?}: {failure}"
        );
        assert!(
            failure.ends_with(&format!(" {WITHOUT_TABLES}")),
            "{command:?}: {failure}"
        );
        assert_eq!((said.as_str(), code), ("", Some(1)), "{command:?}");
        let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()";
        let tables = server
            .services
            .db
            .read()
            .all(tables, [])
            .await
            .expect("the catalog can be read");
        assert_eq!(tables.len(), 0, "{command:?}");
    }
}

on_both!(
    commands_migrate_no_database,
    lists_write_nothing,
    seed_leaves_a_database_with_other_clients_unchanged,
);

async fn commands_migrate_no_database(server: &TestServer) {
    let url = server.database_url();
    server
        .write("DELETE FROM seaql_migrations WHERE version = 'm20261126_rare_actions'")
        .await
        .expect("it is written");
    let before = Snapshot::take(&server.services.db).await;
    for command in COMMANDS {
        let (said, failure, code) = on(&url, command);
        let sentence = " is of an earlier version than this program: run `clientele migrate`, or start the server, \
            which migrates it";
        assert!(failure.ends_with(sentence), "{command:?}: {failure}");
        assert_eq!((said.as_str(), code), ("", Some(1)), "{command:?}");
        assert_eq!(Snapshot::take(&server.services.db).await, before, "{command:?}");
    }
}

async fn lists_write_nothing(server: &TestServer) {
    let url = server.database_url();
    let before = Snapshot::take(&server.services.db).await;
    for command in [["user", "list"], ["token", "list"]] {
        // A command that writes would begin the history under this key.
        let environment = [
            ("DATABASE_URL", &*url),
            ("CLIENTELE_AUDIT__KEY", "a key that no server has used yet"),
        ];
        let output = clientele(&directory(), &command, &environment)
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{}", text(output.stderr));
        assert_eq!(Snapshot::take(&server.services.db).await, before, "{command:?}");
    }
}

async fn seed_leaves_a_database_with_other_clients_unchanged(server: &TestServer) {
    let url = server.database_url();
    let seed = ["seed", "--clients", "3"];
    let seeded = "the database has the invented clients SEED00000000 to SEED00000002\n";
    // Seeded clients are no obstacle, even if they were changed.
    assert_eq!(on(&url, &["seed", "--clients", "2"]).2, Some(0));
    server
        .write("UPDATE client SET first_name = 'Ana' WHERE client_id = 'SEED00000001'")
        .await
        .expect("it is written");
    assert_eq!(on(&url, &seed).2, Some(0));
    let body = serde_json::json!({ "client": { "id": "SEED00000007", "firstName": "Ines", "lastName": "Okafor" } });
    assert_eq!(server.post("/api/clients", body).await.status, 200);
    let before = server.snapshot().await;
    let (said, failure, code) = on(&url, &seed);
    assert!(failure.starts_with("clientele: the database "), "{failure}");
    assert!(
        failure.ends_with(
            " has clients that were not seeded: name another one with --database-url, or add the invented \
            clients to them with --force"
        ),
        "{failure}"
    );
    assert_eq!((said.as_str(), code), ("", Some(1)));
    assert_eq!(server.snapshot().await, before);
    let (said, _, code) = on(&url, &[&seed[..], &["--force"]].concat());
    assert_eq!((said.as_str(), code), (seeded, Some(0)));
}
