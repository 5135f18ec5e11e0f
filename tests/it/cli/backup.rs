//! `clientele backup`: a complete copy while servers write, or nothing when it fails.

use std::{fs, process::Command};

use crate::{
    harness::program::{Server, directory},
    server::database_files::{complete, contents, create, holds, mode, names, run, runs, signal, start, write},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backup_has_every_write_acknowledged_before_it_began() {
    let directory = directory();
    runs(&directory, &["seed", "--clients", "2000"], "");
    let server = Server::start_in_open(&directory);
    for round in 0..10 {
        let mut acknowledged = Vec::new();
        for _ in 0..3 {
            acknowledged.extend(create(&server.address, "Ines").await);
        }
        assert_eq!(acknowledged.len(), 3);
        let address = server.address.clone();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let writing = tokio::spawn(async move {
            let mut written = 0;
            while !*stopped.borrow() {
                written += create(&address, "Ada").await.map_or(0, |_| 1);
            }
            written
        });
        let file = format!("copy{round}.db");
        assert_eq!(
            runs(&directory, &["backup", &file], ""),
            format!("the database has been copied to {file}\n")
        );
        stop.send_replace(true);
        assert!(writing.await.expect("no panic") > 0, "nothing was written meanwhile");
        let file = directory.path().join(file);
        assert_eq!(mode(&file), 0o600);
        // The copy is complete.
        let alone = self::directory();
        let copy = alone.path().join("clientele.db");
        fs::rename(&file, &copy).expect("the same file system");
        let copied = contents(&copy).await;
        holds(&copied, &acknowledged);
        assert_eq!(names(&alone), ["clientele.db"]);
        // A server starts on the copy.
        if round == 0 {
            let started = Server::start_in(alone, &[]);
            started.signal("TERM");
            assert_eq!(started.wait().1, Some(0));
        }
    }
    server.signal("TERM");
    assert_eq!(server.wait().1, Some(0));
    assert_eq!(names(&directory), ["clientele.db"]);
}

#[test]
fn backup_never_overwrites_and_leaves_nothing_when_it_fails() {
    let directory = directory();
    runs(&directory, &["seed", "--clients", "100"], "");
    fs::write(directory.path().join("taken"), "mine").expect("written");
    std::os::unix::fs::symlink("nowhere", directory.path().join("link")).expect("a link");
    let before = names(&directory);
    for (file, reason) in [
        ("taken", "a file of this name exists, choose another name"),
        ("link", "a file of this name exists, choose another name"),
        ("clientele.db", "a file of this name exists, choose another name"),
        (
            "clientele.db-journal",
            "SQLite uses this name for the database itself, choose another name",
        ),
        ("missing/copy.db", "No such file or directory (os error 2)"),
        ("/proc/copy.db", "No such file or directory (os error 2)"),
    ] {
        let sentence = format!("clientele: can't copy the database to {file}: {reason}\n");
        assert_eq!(
            run(&directory, &["backup", file], ""),
            (String::new(), sentence, Some(1))
        );
        assert_eq!(names(&directory), before);
    }
    assert_eq!(
        fs::read_to_string(directory.path().join("taken")).expect("it is there"),
        "mine"
    );
    // A full disk.
    let script = format!(
        "ulimit -f 100; exec '{}' backup copy.db",
        env!("CARGO_BIN_EXE_clientele")
    );
    let failed = Command::new("sh")
        .current_dir(directory.path())
        .env_clear()
        .args(["-c", &script])
        .output()
        .expect("sh");
    assert_eq!(
        (String::from_utf8_lossy(&failed.stderr).as_ref(), failed.status.code()),
        (
            "clientele: can't copy the database to copy.db: its file can't be read or written (SQLite's error 778): \
                check \
             the disk and its limits\n",
            Some(1)
        )
    );
    assert_eq!(names(&directory), before);
}

#[tokio::test]
async fn interrupted_backup_leaves_nothing() {
    let directory = directory();
    runs(&directory, &["seed", "--clients", "100"], "");
    // 64 MiB more, so that the copy takes far longer than to see that it has begun.
    let fill = "CREATE TABLE filling AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1024) \
        SELECT zeroblob(65536) AS bytes FROM n";
    write(&directory.path().join("clientele.db"), fill).await;
    for _ in 0..5 {
        let mut copying = start(&directory, &["backup", "copy.db"], "");
        while names(&directory)
            .iter()
            .all(|name| !name.starts_with(".clientele-backup-"))
        {
            let ended = copying.try_wait().expect("it can be asked");
            assert_eq!(ended, None, "it ended before it was seen to copy");
        }
        signal(&copying, "INT");
        let ended = copying.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(
            (said.as_ref(), ended.status.code()),
            ("clientele: stopped by SIGINT\n", Some(130))
        );
        assert_eq!(names(&directory), ["clientele.db"]);
    }
    write(&directory.path().join("clientele.db"), "DROP TABLE filling").await;
    assert_eq!(complete(&directory).await.rows("client").len(), 100);
}

#[tokio::test]
async fn backup_copies_a_database_of_an_earlier_version_as_it_is() {
    let directory = directory();
    runs(&directory, &["migrate"], "");
    let file = directory.path().join("clientele.db");
    write(
        &file,
        "DELETE FROM seaql_migrations WHERE version = 'm20261126_rare_actions'",
    )
    .await;
    let before = contents(&file).await;
    runs(&directory, &["backup", "copy.db"], "");
    assert_eq!(names(&directory), ["clientele.db", "copy.db"]);
    assert_eq!(contents(&directory.path().join("copy.db")).await, before);
}

#[test]
fn backup_of_postgres_refers_to_pg_dump() {
    let url = "postgres://teller:secret@127.0.0.1:1/bank";
    let sentence =
        "clientele: `clientele backup` copies SQLite databases only: use pg_dump for a database on PostgreSQL\n";
    let said = run(&directory(), &["backup", "copy.db", "--database-url", url], "");
    assert_eq!(said, (String::new(), sentence.to_owned(), Some(2)));
}
