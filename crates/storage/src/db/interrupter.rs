//! Limits the time of read statements on SQLite, which has no equivalent of PostgreSQL's `statement_timeout`.
//!
//! SQLite asks running statements periodically whether to continue, but doesn't identify the statement. Therefore all
//! running statements are interrupted, and those within their limits are run again: they only read.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sea_orm::{DbErr, RuntimeErr, sqlx};
use tokio::{runtime::Handle, time::Instant};

use clientele_core::error::{Error, Result};

/// The number of SQLite's virtual machine steps between two checks: about a millisecond.
const STEPS: i32 = 20_000;
/// The minimum interval between interrupting statements whose callers disconnected: frequent disconnects must not keep
/// other callers' statements from completing.
const SWEEP: Duration = Duration::from_secs(1);
/// SQLITE_INTERRUPT
const INTERRUPTED: &str = "9";

/// Interrupts the statements of all connections of a pool. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Interrupter {
    longest: Duration,
    /// The number of interruptions so far.
    ended: Arc<AtomicU64>,
    sweeping: Arc<AtomicBool>,
}

impl Interrupter {
    pub fn new(longest: Duration) -> Self {
        Self {
            longest,
            ended: Arc::default(),
            sweeping: Arc::default(),
        }
    }

    /// Makes the statements of this connection interruptible.
    pub async fn watch(self, connection: &mut sqlx::SqliteConnection) -> Result<(), sqlx::Error> {
        let mut seen = self.ended.load(Ordering::Relaxed);
        let keep_running = move || {
            let ended = self.ended.load(Ordering::Relaxed);
            std::mem::replace(&mut seen, ended) == ended
        };
        connection
            .lock_handle()
            .await?
            .set_progress_handler(STEPS, keep_running);
        Ok(())
    }

    /// Runs the future that `statement` creates, and repeats it when it was interrupted because of another one.
    pub async fn run<T, F>(&self, statement: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, DbErr>>,
    {
        let end = Instant::now() + self.longest;
        loop {
            let mut abandoned = Abandoned(Some(self));
            let outcome = tokio::time::timeout_at(end, statement()).await;
            abandoned.0 = None;
            match outcome {
                Ok(Err(error)) if is_interrupted(&error) => {}
                Ok(outcome) => return Ok(outcome?),
                Err(_) => {
                    self.interrupt_all();
                    return Err(Error::TimedOut);
                }
            }
        }
    }

    /// Interrupts all running statements.
    pub(super) fn interrupt_all(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    fn interrupt_all_soon(&self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.sweeping.swap(true, Ordering::Relaxed) {
            let interrupter = self.clone();
            runtime.spawn(async move {
                tokio::time::sleep(SWEEP).await;
                interrupter.sweeping.store(false, Ordering::Relaxed);
                interrupter.interrupt_all();
            });
        }
    }
}

/// Interrupts an abandoned statement when dropped with an interrupter.
struct Abandoned<'a>(Option<&'a Interrupter>);

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if let Some(interrupter) = self.0 {
            interrupter.interrupt_all_soon();
        }
    }
}

fn is_interrupted(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) = error else {
        return false;
    };
    let code = cause.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == INTERRUPTED)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Database, DatabaseSettings};
    use clientele_core::{
        budget::{AnswerSettings, BudgetPool, Priority},
        error::Error,
    };

    /// Counts forever and keeps a reader busy.
    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

    /// With one reader, later reads need the very connection that the statement used.
    async fn database(folder: &tempfile::TempDir, max_connections: u32, request_timeout_seconds: u64) -> Database {
        let url = format!("sqlite:{}", folder.path().join("clientele.db").display());
        let settings = DatabaseSettings {
            max_connections,
            request_timeout_seconds,
            ..DatabaseSettings::default()
        };
        Database::connect(&url, &settings).await.expect("it opens")
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_statement_without_end_is_ended_and_gives_its_connection_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(&folder, 1, 1).await;
        for _ in 0..2 {
            let error = database.read().one(ENDLESS, []).await.expect_err("it has no end");
            assert!(matches!(error, Error::TimedOut), "{error}");
            database.ping().await.expect("the connection is free again");
        }
        database.close().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_caller_that_goes_away_takes_its_statement_along() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(&folder, 1, 60).await;
        let waiting = tokio::time::timeout(Duration::from_millis(50), database.read().one(ENDLESS, []));
        waiting.await.expect_err("it has no end");
        database.ping().await.expect("the connection is free again");
        database.close().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_request_uses_a_part_of_the_connections() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(&folder, 8, 60).await;
        let budget = BudgetPool::new(
            Duration::from_secs(60),
            database.connections(),
            &AnswerSettings::default(),
        )
        .start(Priority::Read, None)
        .expect("there is memory");
        let many = budget.scope(futures_util::future::join_all(
            (0..20).map(|_| database.reader.one(ENDLESS, [])),
        ));
        let others = async {
            for _ in 0..20 {
                let all = futures_util::future::join_all((0..6).map(|_| database.ping()));
                all.await.into_iter().for_each(|answer| answer.expect("some are left"));
            }
        };
        tokio::select! {
            biased;
            _ = many => panic!("they have no end"),
            () = others => {}
        }
        database.close().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_statement_ended_for_anothers_sake_is_run_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(&folder, 1, 60).await;
        let long =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000) SELECT count(*) FROM n";
        let interrupter = database.reader.interrupter.clone().expect("readers on SQLite have one");
        let ending = async {
            for _ in 0..5 {
                interrupter.interrupt_all();
                tokio::task::yield_now().await;
            }
        };
        let (row, ()) = tokio::join!(database.read().one(long, []), ending);
        let count: i64 = row
            .expect("it runs")
            .expect("a row")
            .try_get_by_index(0)
            .expect("a number");
        assert_eq!(count, 300_000);
        database.close().await;
    }
}
