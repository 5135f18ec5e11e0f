//! A primary and its replica behind PgBouncer, which gives a session to another connection after each transaction.

use std::time::{Duration, Instant};

use sea_orm::{
    ConnectionTrait, DatabaseConnection,
    sqlx::{self, Connection, Executor, PgConnection},
};
use tokio::time::timeout;

use super::{
    FIRST, SERVES, about_replicas, change, change_and_read,
    cluster::{Cluster, Replicated},
    dies_and_returns, left_out, read, serve, until_replica_reads, until_serving,
};
use crate::harness::{
    pooler::Pooler,
    program::{clientele, directory, text},
};

/// Fewer sessions than a server has connections.
const SHARED: &str = "pool_mode = transaction\ndefault_pool_size = 3";

/// A pooler with the databases `primary` and `replica`.
async fn pooled() -> Option<(Pooler, Replicated)> {
    let clusters = Replicated::start(1).await?;
    let database = |cluster: &Cluster| format!("host={} dbname=postgres user=clientele", cluster.socket.display());
    let databases = [
        ("primary", database(&clusters.primary)),
        ("replica", database(&clusters.replicas[0])),
    ];
    Some((Pooler::start(&databases, SHARED)?, clusters))
}

fn unprepared(pooler: &Pooler, database: &str) -> String {
    format!("{}&statement-cache-capacity=0", pooler.url(database))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_server_reads_older_data_than_another_has_written() {
    let Some((pooler, Replicated { replicas, .. })) = &pooled().await else {
        return;
    };
    let servers = [(); 2].map(|()| serve(&unprepared(pooler, "primary"), &[&unprepared(pooler, "replica")]));
    for (round, delay) in ["0", "10ms"].into_iter().enumerate() {
        replicas[0].set("recovery_min_apply_delay", &format!("'{delay}'")).await;
        change_and_read(&servers, round).await;
    }
    replicas[0].set("recovery_min_apply_delay", "DEFAULT").await;
    for server in &servers {
        until_serving(server, 1, true).await;
        until_replica_reads(server, &replicas[0], "+4791010099").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_outlive_a_replica_that_dies() {
    let Some((pooler, Replicated { replicas, .. })) = &pooled().await else {
        return;
    };
    let server = serve(&unprepared(pooler, "primary"), &[&unprepared(pooler, "replica")]);
    change(&server, FIRST).await;
    until_serving(&server, 1, true).await;
    until_replica_reads(&server, &replicas[0], FIRST).await;
    dies_and_returns(&server, &replicas[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_say_what_a_pooler_needs() {
    let Some((pooler, Replicated { primary, .. })) = &pooled().await else {
        return;
    };
    let directory = directory();
    let errors = |arguments: &[&str], url: &str| {
        let output = clientele(
            &directory,
            arguments,
            &[("DATABASE_URL", url), ("CLIENTELE_LOG__FILTER", "off")],
        )
        .output();
        text(output.expect("it starts").stderr)
    };
    assert_eq!(errors(&["migrate"], &primary.url), "");
    assert_eq!(errors(&["user", "list"], &unprepared(pooler, "primary")), "");
    assert_eq!(
        errors(&["migrate", "--dry-run"], &unprepared(pooler, "primary")),
        "clientele: the database can't be migrated: a dry run can't go through a pooler: name the database's own \
         address, without statement-cache-capacity=0\n"
    );
    let advice = "a pooler loses prepared statements: add statement-cache-capacity=0 to the address of the database";
    for command in ["serve", "worker", "user list"] {
        let arguments: Vec<&str> = command.split(' ').collect();
        let error = errors(&arguments, &pooler.url("primary"));
        assert!(
            error.starts_with("clientele: can't open the database postgres://"),
            "{error}"
        );
        assert!(error.ends_with(&format!(": {advice}\n")), "{error}");
    }
}

/// Its login at PostgreSQL fails, as when a reload interrupts it: until it tries again, it ends connections that need a
/// session, and refuses new ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_wait_for_the_next_login_of_a_pooler() {
    let Some((pooler, Replicated { primary, .. })) = &pooled().await else {
        return;
    };
    let server = serve(&unprepared(pooler, "primary"), &[]);
    change(&server, FIRST).await;
    let outside = primary.outside().await;
    for phone in ["+4791010098", "+4791010097"] {
        refuse_logins(&outside, pooler).await;
        tokio::join!(change(&server, phone), allow_logins(&outside, true));
        refuse_logins(&outside, pooler).await;
        tokio::join!(read(&server, phone), allow_logins(&outside, true));
    }
}

async fn allow_logins(outside: &DatabaseConnection, allowed: bool) {
    let sql = format!("ALTER DATABASE postgres ALLOW_CONNECTIONS {allowed}");
    outside.execute_unprepared(&sql).await.expect("it runs");
}

/// Ends all sessions of the database, and returns when the pooler has failed to open another.
async fn refuse_logins(outside: &DatabaseConnection, pooler: &Pooler) {
    allow_logins(outside, false).await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'postgres'";
    outside.execute_unprepared(end).await.expect("it runs");
    let url = pooler.url("primary");
    let refused = async || -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect(&url).await?;
        connection.execute("SELECT 1").await.map(|_| ())
    };
    // A session that is asked for before the login has failed waits for the next login.
    let is_refused = async || {
        let refused = timeout(Duration::from_millis(100), refused()).await;
        matches!(refused, Ok(Err(error)) if error.to_string().contains("server_login_retry"))
    };
    while !is_refused().await {}
}

/// Otherwise a read could run the statement that another connection has prepared under the same name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_whose_pooler_loses_statements_serves_no_reads() {
    let Some((pooler, Replicated { primary, .. })) = &pooled().await else {
        return;
    };
    let server = serve(&primary.url, &[&pooler.url("replica")]);
    change(&server, FIRST).await;
    // Replicas are checked each second.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        read(&server, FIRST).await;
    }
    let log = about_replicas(server);
    let loses = "a pooler loses its prepared statements: add statement-cache-capacity=0 to its address";
    assert!(log.contains(&left_out(1, loses)), "{log:?}");
    assert!(!log.iter().any(|line| line == SERVES), "{log:?}");
}
