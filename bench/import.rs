//! cargo bench --bench import -- DATABASE_URL [CLIENTS] [ROUNDS]
//!
//! Measures `clientele import` against the database's own bulk path for the same rows, in turns in one run: COPY on
//! PostgreSQL, prepared INSERTs of many rows on SQLite, each in one transaction. Also shows the most memory that an
//! import had. The database must be empty or from an earlier run. Its clients are deleted. The rows are held in memory.
//! CLIENTS is 20000 and ROUNDS is 5 by default.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};

/// The tables that an import writes, in an order that references allow.
const TABLES: [&str; 8] = [
    "client",
    "client_id_claim",
    "address",
    "id_document",
    "custom_field_value",
    "client_search",
    "id_document_search",
    "audit_record",
];
/// The rows of one INSERT.
const ROWS: usize = 100;
/// The bytes of one message of COPY.
const COPIED: usize = 64 * 1024;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let url = arguments
        .next()
        .expect("usage: cargo bench --bench import -- DATABASE_URL [CLIENTS] [ROUNDS]");
    let clients = arguments.next().unwrap_or_else(|| "20000".to_owned());
    let rounds: usize = arguments.next().map_or(5, |rounds| rounds.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("clients").display().to_string();
    run(&url, &["seed", "--force", "--clients", &clients]).await;
    run(&url, &["export", &file]).await;
    let mut database = Bulk::open(&url).await;
    // Invented clients have no audit records. Without a history, each gets one of its import.
    let lines = fs::read_to_string(&file).expect("it is read");
    fs::write(&file, lines.replace("\"history\":{\"records\":[]},", "")).expect("it is written");
    database.clear().await;
    run(&url, &["import", &file]).await;
    run(&url, &["export", "--force", &file]).await;
    let (mut times, mut peak) = ([Vec::new(), Vec::new()], 0);
    for _ in 0..rounds {
        database.clear().await;
        let begun = Instant::now();
        peak = peak.max(run(&url, &["import", &file]).await);
        times[0].push(begun.elapsed().as_secs_f64());
        let rows = database.read().await;
        database.clear().await;
        let begun = Instant::now();
        database.write(&rows).await;
        times[1].push(begun.elapsed().as_secs_f64());
    }
    let [import, bulk] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    let clients: f64 = clients.parse().expect("a number");
    println!(
        "import: {:.0} clients/s, {} MiB; the database's bulk path: {:.0} clients/s; {:.2} times the time",
        clients / import,
        peak / 1024,
        clients / bulk,
        import / bulk
    );
}

/// Runs the program. Returns the most memory that it had, in KiB.
async fn run(url: &str, arguments: &[&str]) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clientele"));
    command
        .args(arguments)
        .env("DATABASE_URL", url)
        .env("CLIENTELE_LOG__FILTER", "off");
    let mut program = command.stdout(Stdio::null()).spawn().expect("the program starts");
    let mut peak = 0;
    loop {
        // Gone as soon as the program ends.
        let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line
            .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or(peak);
        if let Some(status) = program.try_wait().expect("it is ours") {
            assert!(status.success(), "{arguments:?}");
            return peak;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The database, without this program.
enum Bulk {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

/// The rows of each table, as the bulk path takes them.
enum Rows {
    Postgres(Vec<Vec<u8>>),
    Sqlite(Vec<(usize, Vec<Option<String>>)>),
}

impl Bulk {
    async fn open(url: &str) -> Self {
        match url.starts_with("sqlite:") {
            true => Self::Sqlite(SqliteConnection::connect(url).await.expect("it opens")),
            false => Self::Postgres(PgConnection::connect(url).await.expect("it answers")),
        }
    }

    async fn clear(&mut self) {
        for table in TABLES.iter().rev() {
            let which = if *table == "audit_record" {
                " WHERE chain NOT LIKE '~%'"
            } else {
                ""
            };
            let sql = format!("DELETE FROM {table}{which}");
            match self {
                Self::Postgres(connection) => {
                    sqlx::raw_sql(AssertSqlSafe(sql))
                        .execute(&mut *connection)
                        .await
                        .expect("it is empty");
                    let vacuum = format!("VACUUM {table}");
                    sqlx::raw_sql(AssertSqlSafe(vacuum))
                        .execute(&mut *connection)
                        .await
                        .expect("it is clean");
                }
                Self::Sqlite(connection) => {
                    sqlx::raw_sql(AssertSqlSafe(sql))
                        .execute(&mut *connection)
                        .await
                        .expect("it is empty");
                }
            }
        }
    }

    async fn read(&mut self) -> Rows {
        let of_clients = |table: &str| match table {
            "audit_record" => format!("SELECT * FROM {table} WHERE chain NOT LIKE '~%'"),
            _ => format!("SELECT * FROM {table}"),
        };
        match self {
            Self::Postgres(connection) => {
                let mut all = Vec::new();
                for table in TABLES {
                    let sql = format!("COPY ({}) TO STDOUT", of_clients(table));
                    let copied = connection.copy_out_raw(&sql).await.expect("it is read");
                    let bytes: Vec<_> = copied.try_collect().await.expect("it is read");
                    all.push(bytes.concat());
                }
                Rows::Postgres(all)
            }
            Self::Sqlite(connection) => {
                let mut all = Vec::new();
                for table in TABLES {
                    let sql = of_clients(table);
                    let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut *connection);
                    let (mut columns, mut values) = (0, Vec::new());
                    while let Some(row) = rows.next().await {
                        let row = row.expect("it is read");
                        columns = row.len();
                        for at in 0..columns {
                            values.push(row.get_unchecked::<Option<String>, _>(at));
                        }
                    }
                    all.push((columns, values));
                }
                Rows::Sqlite(all)
            }
        }
    }

    async fn write(&mut self, rows: &Rows) {
        match (self, rows) {
            (Self::Postgres(connection), Rows::Postgres(rows)) => {
                sqlx::raw_sql("BEGIN")
                    .execute(&mut *connection)
                    .await
                    .expect("it begins");
                for (table, rows) in TABLES.iter().zip(rows) {
                    let sql = format!("COPY {table} FROM STDIN");
                    let mut copy = connection.copy_in_raw(&sql).await.expect("it begins");
                    for part in rows.chunks(COPIED) {
                        copy.send(part).await.expect("it is sent");
                    }
                    copy.finish().await.expect("it is stored");
                }
                sqlx::raw_sql("COMMIT")
                    .execute(&mut *connection)
                    .await
                    .expect("it is stored");
            }
            (Self::Sqlite(connection), Rows::Sqlite(rows)) => {
                sqlx::raw_sql("BEGIN")
                    .execute(&mut *connection)
                    .await
                    .expect("it begins");
                for (table, (columns, values)) in TABLES.iter().zip(rows) {
                    for part in values.chunks(ROWS * (*columns).max(1)) {
                        let row = format!("({})", vec!["?"; *columns].join(","));
                        let all = vec![row; part.len() / columns].join(",");
                        let mut query = sqlx::query(AssertSqlSafe(format!("INSERT INTO {table} VALUES {all}")));
                        for value in part {
                            query = query.bind(value);
                        }
                        query.execute(&mut *connection).await.expect("it is stored");
                    }
                }
                sqlx::raw_sql("COMMIT")
                    .execute(&mut *connection)
                    .await
                    .expect("it is stored");
            }
            _ => unreachable!("rows of another database"),
        }
    }
}
