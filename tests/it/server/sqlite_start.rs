//! Starts on SQLite files that cannot be opened: failures name their cause.

use std::os::unix::fs::symlink;
use std::process::Command;

use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection};
use tempfile::TempDir;

use super::database_files::names;
use crate::harness::program::{clientele, directory, text};

async fn open(directory: &TempDir, file: &str) -> DatabaseConnection {
    let path = directory.path().join(file);
    let mut options = ConnectOptions::new(format!("sqlite:{}?mode=rwc", path.display()));
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options).await.expect("SQLite")
}

/// The standard error of a command that fails.
fn fails(directory: &TempDir, arguments: &[&str], url: &str) -> String {
    let output = clientele(directory, arguments, &[("DATABASE_URL", url)])
        .output()
        .expect("the program starts");
    assert_eq!(
        (text(output.stdout).as_str(), output.status.code()),
        ("", Some(1)),
        "{url}"
    );
    text(output.stderr)
}

#[tokio::test]
async fn sqlite_file_that_cannot_be_opened_is_explained() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    std::fs::create_dir(path("folder")).expect("made");
    std::fs::write(path("notes.txt"), "not a database\n".repeat(100)).expect("written");
    std::fs::write(path("short"), "SQLite").expect("written");
    symlink("/dev/null", path("null")).expect("linked");
    let wide = open(&directory, "wide.db").await;
    for sql in ["PRAGMA encoding = 'UTF-16'", "CREATE TABLE t (a)"] {
        wide.execute_unprepared(sql).await.expect(sql);
    }
    wide.close().await.expect("closed");
    let corrupt = open(&directory, "corrupt.db").await;
    corrupt.execute_unprepared("CREATE TABLE t (a)").await.expect("made");
    corrupt.close().await.expect("closed");
    let mut bytes = std::fs::read(path("corrupt.db")).expect("read");
    bytes[100..4000].fill(0xff);
    std::fs::write(path("corrupt.db"), bytes).expect("written");

    for (file, reason) in [
        (
            "nowhere/c.db",
            "the directory nowhere doesn't exist: create it, or name another",
        ),
        (
            "notes.txt/c.db",
            "its file can't be reached: Not a directory (os error 20)",
        ),
        ("folder", "it is a directory: name a file in it"),
        ("null", "it isn't a regular file: name another file"),
        ("notes.txt", "it isn't a SQLite database: name another file"),
        ("short", "it isn't a SQLite database: name another file"),
        (
            "wide.db",
            "its encoding is UTF-16, and must be UTF-8: use another database",
        ),
        ("corrupt.db", "its file is corrupt: restore a backup"),
        (
            "/proc/c.db",
            "no file can be created in its directory /proc: No such file or directory (os error 2)",
        ),
    ] {
        let url = format!("sqlite:{file}");
        let sentence = format!("clientele: can't open the database {url}: {reason}\n");
        for command in ["migrate", "serve"] {
            let arguments = [command, "--listen", "127.0.0.1:0"];
            assert_eq!(fails(&directory, &arguments, &url), sentence, "{command}");
        }
    }
}

#[test]
fn read_only_address_is_not_served() {
    let directory = directory();
    let migrated = clientele(&directory, &["migrate"], &[]).status().expect("it starts");
    assert!(migrated.success());
    for parameter in ["mode=ro", "immutable=1"] {
        let url = format!("sqlite:clientele.db?{parameter}");
        let said = fails(&directory, &["serve", "--listen", "127.0.0.1:0"], &url);
        let reason = format!("the database {url}: its address has mode=ro or immutable: remove that to make changes\n");
        assert!(said.ends_with(&reason), "{said}");
    }
}

#[test]
fn full_disk_is_explained() {
    let directory = directory();
    // Files may have 100 blocks of 512 bytes; the tables take more.
    let line = format!(
        "trap '' XFSZ; ulimit -f 100; exec '{}' migrate",
        env!("CARGO_BIN_EXE_clientele")
    );
    let output = Command::new("sh")
        .current_dir(directory.path())
        .env_clear()
        .args(["-c", &line])
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(output.stderr),
        "clientele: can't migrate the database sqlite:clientele.db: its file can't be read or written (SQLite's \
         error 778): check the disk and its limits\n"
    );
}

#[tokio::test]
async fn locked_sqlite_file_is_explained() {
    let directory = directory();
    let migrated = clientele(&directory, &["migrate"], &[]).status().expect("it starts");
    assert!(migrated.success());
    let other = open(&directory, "clientele.db").await;
    for sql in [
        "PRAGMA locking_mode = EXCLUSIVE",
        "BEGIN EXCLUSIVE",
        "CREATE TABLE t (a)",
    ] {
        other.execute_unprepared(sql).await.expect(sql);
    }
    assert_eq!(
        fails(&directory, &["migrate"], "sqlite:clientele.db"),
        "clientele: can't open the database sqlite:clientele.db: another program has locked it: stop that one, or \
         try again later\n"
    );
    other.close().await.expect("closed");
}

#[tokio::test]
async fn search_for_a_cause_leaves_other_files_alone() {
    let directory = directory();
    let other = open(&directory, "clientele.db").await;
    for sql in ["PRAGMA journal_mode = WAL", "BEGIN IMMEDIATE"] {
        other.execute_unprepared(sql).await.expect(sql);
    }
    let own = directory.path().join("clientele.db-check");
    std::fs::write(&own, "a user's file").expect("written");
    assert_eq!(
        fails(&directory, &["migrate"], "sqlite:clientele.db"),
        "clientele: can't migrate the database sqlite:clientele.db: it can't be opened for writing: another program \
         may use it\n"
    );
    assert_eq!(
        std::fs::read_to_string(&own).expect("it is still there"),
        "a user's file"
    );
    other.close().await.expect("closed");
    assert_eq!(names(&directory), ["clientele.db", "clientele.db-check"]);
}
