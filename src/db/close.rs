//! Closes the connections of a database.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{Database, Dialect};

/// How long a write that is under way may take to end by itself.
const GRACE: Duration = Duration::from_secs(1);
/// When closing is given up.
const LONGEST: Duration = Duration::from_secs(10);
/// How often statements that are still running are ended.
const EVERY: Duration = Duration::from_millis(50);

impl Database {
    /// Closes all connections, also those of clones: what still uses one fails from now on. A SQLite database is complete in its
    /// main file afterwards, unless another process has it open.
    ///
    /// Statements under way are ended: readers at once, the writer after a second. What they have written is rolled back unless
    /// the commit has begun.
    pub async fn close(self) {
        let closing = async {
            match self.writer.dialect {
                Dialect::Postgres => {
                    let _ = self.writer.inner.close_by_ref().await;
                }
                Dialect::Sqlite => {
                    // Both refuse new work from here on, whichever is closed first.
                    let readers = self.reader.inner.get_sqlite_connection_pool().close();
                    let writer = self.writer.inner.get_sqlite_connection_pool().close();
                    readers.await;
                    writer.await;
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

    /// Ends again and again what runs on SQLite. PostgreSQL ends statements by itself when their connections are closed.
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
