//! Closes the connections of a database.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{Database, Dialect};

/// The time in which a running write may complete.
const GRACE: Duration = Duration::from_secs(1);
/// The time after which closing is given up.
const LONGEST: Duration = Duration::from_secs(10);
/// The pause between two attempts to end running statements.
const EVERY: Duration = Duration::from_millis(50);

impl Database {
    /// Closes all connections, including those of clones: using one fails from now on. Afterwards, a SQLite database is
    /// complete in its main file, unless another process has it open.
    ///
    /// Running statements are interrupted: reads at once, writes after a second. Uncommitted writes are rolled back,
    /// unless the commit has begun.
    pub async fn close(self) {
        let closing = async {
            match self.writer.dialect {
                Dialect::Postgres => {
                    let _ = self.writer.inner.close_by_ref().await;
                }
                Dialect::Sqlite => {
                    // Both refuse new work from here on, regardless of which closes first.
                    let readers = self.reader.inner.get_sqlite_connection_pool().close();
                    let writer = self.writer.inner.get_sqlite_connection_pool().close();
                    readers.await;
                    writer.await;
                    if let Some(availability) = &self.writer.availability {
                        availability.probe_ended().await;
                    }
                }
            }
        };
        let closed = async {
            tokio::select! {
                () = closing => {}
                () = self.end_statements() => {}
            }
        };
        if timeout(LONGEST, closed).await.is_err() {
            tracing::warn!(
                seconds = LONGEST.as_secs(),
                "the database was not closed: statements were still running"
            );
        }
        if let Some(file) = &self.file {
            file.remove_log().await;
        }
    }

    /// Interrupts running statements on SQLite, repeatedly. PostgreSQL has a `statement_timeout`, and rolls back when a
    /// connection closes.
    async fn end_statements(&self) {
        let begun = Instant::now();
        loop {
            if let Some(readers) = &self.reader.bounds {
                readers.end_all();
            }
            if let Some(writer) = self.writer_bounds.as_ref().filter(|_| begun.elapsed() > GRACE) {
                writer.end_all();
            }
            sleep(EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::{Database, DatabaseSettings, Step, Transaction, Work};
    use clientele_core::error::{Error, Result};

    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

    struct Endless;

    impl Work for Endless {
        type Output = ();

        async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
            transaction.run("CREATE TABLE written (number INTEGER)", []).await?;
            transaction.one(ENDLESS, []).await?;
            Ok(Step::Commit(()))
        }
    }

    async fn database(folder: &tempfile::TempDir) -> Database {
        let url = format!("sqlite:{}", folder.path().join("clientele.db").display());
        let settings = DatabaseSettings {
            request_timeout_seconds: 600,
            ..DatabaseSettings::default()
        };
        Database::connect(&url, &settings).await.expect("it opens")
    }

    fn files(folder: &tempfile::TempDir) -> Vec<String> {
        let entries = folder.path().read_dir().expect("a folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
        entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn closing_ends_running_statements_and_leaves_one_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(&folder).await;
        let clone = database.clone();
        let reading = tokio::spawn(async move { clone.read().one(ENDLESS, []).await });
        let clone = database.clone();
        let writing = tokio::spawn(async move { clone.write(&Endless).await });
        // The writer is busy once its connection is taken.
        while database.writer.inner.get_sqlite_connection_pool().num_idle() > 0 {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        database.close().await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(files(&folder), ["clientele.db"]);
        assert!(matches!(reading.await.expect("no panic"), Err(Error::Unavailable(_))));
        writing.await.expect("no panic").expect_err("it was ended");
    }

    #[tokio::test]
    async fn a_read_only_connection_leaves_no_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(&folder).await;
        database.migrate().await.expect("it migrates");
        for suffix in ["", "-wal"] {
            let name = format!("clientele.db{suffix}");
            std::fs::copy(folder.path().join(&name), folder.path().join(format!("copy-of-{name}"))).expect("a copy");
        }
        let url = format!("sqlite:{}", folder.path().join("copy-of-clientele.db").display());
        let copy = Database::connect_to_look(&url, &DatabaseSettings::default())
            .await
            .expect("it opens");
        assert_eq!(copy.version().await.expect("it answers"), super::super::Version::Ours);
        copy.close().await;
        database.close().await;
        let mut left = files(&folder);
        left.sort();
        assert_eq!(left, ["clientele.db", "copy-of-clientele.db"]);
    }
}
