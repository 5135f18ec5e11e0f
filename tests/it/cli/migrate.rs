//! `clientele migrate status` and `clientele migrate --dry-run`.

use sea_orm::ConnectionTrait;

use crate::{
    harness::{
        TestServer, net,
        program::{clientele, directory, text},
    },
    server::database_files::{names, run, runs},
};

on_both!(
    status_lists_each_step_with_its_time,
    dry_run_prints_what_completes_the_migration,
    step_that_cannot_be_applied_is_explained,
);

/// Standard output, the last line of standard error, and the exit code.
fn migrate(server: &TestServer, arguments: &[&str]) -> (String, String, Option<i32>) {
    let url = server.database_url();
    let all = [&["migrate"], arguments].concat();
    let output = clientele(&directory(), &all, &[("DATABASE_URL", &url)])
        .output()
        .expect("the program starts");
    let log = text(output.stderr);
    net::standard_error(&log);
    let last = log
        .lines()
        .last()
        .filter(|line| line.starts_with("clientele: "))
        .unwrap_or_default()
        .to_owned();
    (text(output.stdout), last, output.status.code())
}

async fn write(server: &TestServer, sql: &str) {
    server.write(sql).await.expect(sql);
}

/// The steps in the output, with their states.
fn states(printed: &str) -> Vec<(&str, Vec<&str>)> {
    let words = printed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words.map(|words| (words[0], words[1..].to_vec())).collect()
}

async fn status_lists_each_step_with_its_time(server: &TestServer) {
    write(server, "UPDATE seaql_migrations SET applied_at = 1796032800").await;
    let (printed, failure, code) = migrate(server, &["status"]);
    assert_eq!((failure.as_str(), code), ("", Some(0)));
    let steps = states(&printed);
    assert_eq!(steps[0].0, "m20261122_clients");
    assert!(
        steps
            .iter()
            .all(|(_, state)| *state == ["applied", "2026-11-30T10:00:00Z"]),
        "{printed}"
    );
    write(
        server,
        "DELETE FROM seaql_migrations WHERE version = 'm20261129_branches'",
    )
    .await;
    let before = server.snapshot().await;
    let (printed, failure, code) = migrate(server, &["status"]);
    assert_eq!(
        (failure.as_str(), code),
        ("clientele: 1 step is pending: run `clientele migrate`", Some(3))
    );
    let pending: Vec<_> = states(&printed)
        .into_iter()
        .filter(|(_, state)| *state == ["pending"])
        .collect();
    assert_eq!(pending, [("m20261129_branches", vec!["pending"])]);
    assert_eq!(server.snapshot().await, before);
    write(
        server,
        "DELETE FROM seaql_migrations WHERE version = 'm20261128_user_names'",
    )
    .await;
    assert_eq!(
        migrate(server, &["status"]).1,
        "clientele: 2 steps are pending: run `clientele migrate`"
    );
    write(
        server,
        "INSERT INTO seaql_migrations VALUES ('m29990101_later', 1796032800)",
    )
    .await;
    let later = "clientele: the database was migrated by a later version of this program: use that version";
    let (printed, failure, code) = migrate(server, &["status"]);
    assert_eq!((failure.as_str(), code), (later, Some(1)));
    let line = "m29990101_later                     applied  2026-11-30T10:00:00Z  by a later version\n";
    assert!(printed.ends_with(line), "{printed}");
    assert_eq!(
        migrate(server, &["--dry-run"]),
        (String::new(), later.to_owned(), Some(1))
    );
}

/// The tables, columns and indexes of the database.
async fn schema(server: &TestServer) -> Vec<String> {
    let sql = match server.database_url().starts_with("sqlite:") {
        true => "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1",
        false => {
            "SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || coalesce(column_default, '') \
             || is_nullable FROM information_schema.columns WHERE table_schema = current_schema() \
             UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1"
        }
    };
    let rows = server.services.db.read().all(sql, []).await.expect("it is read");
    rows.iter()
        .map(|row| row.try_get_by_index(0).expect("a text"))
        .collect()
}

async fn dry_run_prints_what_completes_the_migration(server: &TestServer) {
    assert_eq!(migrate(server, &["--dry-run"]), (String::new(), String::new(), Some(0)));
    // Undoes the last step.
    for sql in [
        "CREATE INDEX client_by_branch ON client (assigned_branch_key) WHERE assigned_branch_key IS NOT NULL",
        "DROP INDEX client_by_branch_creation",
        "ALTER TABLE api_user DROP COLUMN branches",
        "ALTER TABLE api_user DROP COLUMN centres",
        "ALTER TABLE api_token DROP COLUMN branches",
        "ALTER TABLE api_token DROP COLUMN centres",
        "DELETE FROM seaql_migrations WHERE version = 'm20261129_branches'",
    ] {
        write(server, sql).await;
    }
    let before = schema(server).await;
    let (script, failure, code) = migrate(server, &["--dry-run"]);
    assert_eq!((failure.as_str(), code), ("", Some(0)));
    assert_eq!(schema(server).await, before);
    assert!(
        script.starts_with("BEGIN;\nCREATE TABLE IF NOT EXISTS \"seaql_migrations\" "),
        "{script}"
    );
    let statements = "\n-- m20261129_branches\nALTER TABLE api_user ADD COLUMN branches ";
    assert!(
        script.contains(statements) && script.ends_with("\nCOMMIT;\n"),
        "{script}"
    );
    let url = server.database_url();
    let another = sea_orm::Database::connect(&url).await.expect("it opens");
    another.execute_unprepared(&script).await.expect("the script runs");
    another.close().await.expect("it closes");
    assert_eq!(migrate(server, &["status"]).2, Some(0));
    assert_eq!(migrate(server, &["--dry-run"]), (String::new(), String::new(), Some(0)));
}

async fn step_that_cannot_be_applied_is_explained(server: &TestServer) {
    for sql in [
        "DROP INDEX api_user_by_lower_name",
        "DELETE FROM seaql_migrations WHERE version = 'm20261128_user_names'",
    ] {
        write(server, sql).await;
    }
    let (script, _, code) = migrate(server, &["--dry-run"]);
    let index = "\n-- m20261128_user_names\nCREATE UNIQUE INDEX api_user_by_lower_name ON api_user (lower(name));\n";
    assert!(code == Some(0) && script.contains(index), "{script}");
    for name in ["ops", "Ops"] {
        let columns = "encoded_key, name, password_hash, active, initial, permissions, version, created_at, updated_at";
        let at = "'2026-01-01T00:00:00.000000Z'";
        let insert = format!(
            "INSERT INTO api_user ({columns}) VALUES ('{name}', '{name}', '', true, false, '[]', 1, {at}, {at})"
        );
        write(server, &insert).await;
    }
    let reason = "clientele: the database can't be migrated: user names must differ in more than upper and lower case, \
        and these don't: Ops, ops. Nothing was changed. Remove all but one of each with the command `user remove` of \
        the former version, then start this one again";
    assert_eq!(
        migrate(server, &["--dry-run"]),
        (String::new(), reason.to_owned(), Some(1))
    );
}

/// The whole schema, made by the script, equals the one that the program makes.
#[test]
fn script_of_an_empty_database_makes_all_tables() {
    let (migrated, scripted) = (directory(), directory());
    runs(&migrated, &["migrate"], "");
    std::fs::write(scripted.path().join("clientele.db"), "").expect("an empty file");
    let script = runs(&scripted, &["migrate", "--dry-run"], "");
    assert_eq!(
        std::fs::read(scripted.path().join("clientele.db")).expect("a file"),
        b""
    );
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let schema = |directory: &tempfile::TempDir, script: &str| {
        let url = format!("sqlite:{}", directory.path().join("clientele.db").display());
        runtime.block_on(async {
            let database = sea_orm::Database::connect(&url).await.expect("it opens");
            if !script.is_empty() {
                database.execute_unprepared(script).await.expect("the script runs");
            }
            let sql = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1";
            let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, sql);
            let rows = database.query_all_raw(statement).await.expect("it is read");
            database.close().await.expect("it closes");
            rows.iter()
                .map(|row| row.try_get_by_index(0).expect("a text"))
                .collect::<Vec<String>>()
        })
    };
    assert_eq!(schema(&scripted, &script), schema(&migrated, ""));
    let (printed, _, code) = run(&scripted, &["migrate", "status"], "");
    assert_eq!(code, Some(0), "{printed}");
}

#[test]
fn missing_database_is_not_created() {
    let directory = directory();
    for arguments in [&["migrate", "status"][..], &["migrate", "--dry-run"]] {
        let (printed, failure, code) = run(&directory, arguments, "");
        assert_eq!((printed.as_str(), code), ("", Some(1)));
        assert!(failure.starts_with("clientele: there is no database at "), "{failure}");
        assert_eq!(names(&directory), Vec::<String>::new());
    }
    let (_, failure, code) = run(&directory, &["migrate", "--dry-run", "status"], "");
    assert_eq!(code, Some(2), "{failure}");
}
