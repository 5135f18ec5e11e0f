//! One PostgreSQL for all tests, and the creation of databases in it.
//!
//! A copy of a migrated template database takes a fraction of the time of the migrations.
//!
//! `TEST_DATABASE` names a database that exists already, see `bin/test --database-url`. Each test then gets a schema of
//! its own in it: its role may not create databases, and extensions such as Citus belong to a database.

use std::{
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use clientele::db::{Database, DatabaseSettings};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use uuid::Uuid;

/// The advisory lock of the template among the test processes of one run. The number is arbitrary.
const TEMPLATE_LOCK: i64 = 0x7465_7374;

struct Cluster {
    url: String,
    /// The cluster that this process started lives until this input closes at the end of the process.
    _alive: Option<Child>,
}

/// The address of the cluster; none when PostgreSQL isn't installed.
fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER
        .get_or_init(|| match std::env::var("TEST_POSTGRES") {
            Ok(url) => Some(Cluster { url, _alive: None }),
            Err(_) => start(),
        })
        .as_ref()
}

fn start() -> Option<Cluster> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/bin/with-postgres");
    let mut child = Command::new(script)
        .args(["sh", "-c", "echo \"$TEST_POSTGRES\"; exec cat >/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bin/with-postgres can be started");
    let mut url = String::new();
    let stdout = child.stdout.take().expect("stdout is piped");
    BufReader::new(stdout)
        .read_line(&mut url)
        .expect("bin/with-postgres prints text");
    if url.is_empty() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "with CI=true the PostgreSQL half of the tests must run"
        );
        let _ = child.wait();
        return None;
    }
    Some(Cluster {
        url: url.trim().to_owned(),
        _alive: Some(child),
    })
}

/// The address of another database of the same cluster.
fn sibling(url: &str, database: &str) -> String {
    let (address, parameters) = url
        .split_once('?')
        .map_or((url, String::new()), |(a, p)| (a, format!("?{p}")));
    let (server, _) = address
        .rsplit_once('/')
        .expect("a database's address ends with its name");
    format!("{server}/{database}{parameters}")
}

async fn administer(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    // One connection: the lock belongs to the one that took it.
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options)
        .await
        .expect("the test cluster answers")
}

async fn execute(admin: &DatabaseConnection, sql: String) {
    admin
        .execute_unprepared(&sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The address of a database that exists already, in which tests must stay within schemas of their own.
fn existing() -> Option<String> {
    std::env::var("TEST_DATABASE").ok()
}

/// Called by tests that change a whole PostgreSQL or database, or reach it in ways of their own: none of them may run
/// on an operator's database. `bin/test --database-url` leaves them out and names them.
pub fn require_own_cluster() {
    assert!(
        existing().is_none(),
        "this test needs a PostgreSQL of its own: list it in bin/test"
    );
}

/// Creates an empty, migrated database. Returns its address and name; None when PostgreSQL isn't installed.
pub async fn create() -> Option<(String, String)> {
    if let Some(url) = existing() {
        return Some(create_schema(&url).await);
    }
    let url = &cluster()?.url;
    let admin = administer(url).await;
    let template = template(url, &admin).await;
    let name = format!("test_{}", Uuid::now_v7().simple());
    execute(&admin, format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
    let _ = admin.close().await;
    Some((sibling(url, &name), name))
}

/// The beginning of the names of schemas of tests.
const SCHEMA: &str = "clientele_test_";

/// Creates a migrated schema, and returns the address that leads to it and its name.
///
/// Names that the schema lacks are looked up where the extension is. The database of a clientele is refused, so that
/// no statement can reach its tables.
async fn create_schema(url: &str) -> (String, String) {
    let admin = administer(url).await;
    let find = async |sql: &str| -> Option<String> {
        let found = admin
            .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
            .await;
        let row = found.expect("the catalog can be read")?;
        Some(row.try_get_by_index(0).expect("a name"))
    };
    let used = "SELECT schemaname::text FROM pg_tables WHERE tablename = 'client_id_claim' \
        AND schemaname NOT LIKE 'clientele\\_test\\_%' LIMIT 1";
    if let Some(used) = find(used).await {
        panic!("TEST_DATABASE has the tables of a clientele in its schema {used}: name another database");
    }
    let extension = "SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace \
        WHERE e.extname = 'pg_trgm'";
    let extension = find(extension).await;
    let extension = extension.expect("TEST_DATABASE lacks pg_trgm: run CREATE EXTENSION pg_trgm in it");
    let name = format!("{SCHEMA}{}", Uuid::now_v7().simple());
    execute(&admin, format!("CREATE SCHEMA {name}")).await;
    let _ = admin.close().await;
    let more = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{more}options[search_path]={name},{extension}");
    migrate(&url).await;
    (url, name)
}

async fn migrate(url: &str) {
    let settings = DatabaseSettings {
        max_connections: 1,
        ..DatabaseSettings::default()
    };
    let database = Database::connect(url, &settings).await.expect("it was just created");
    database.migrate().await.expect("migrations run");
    database.close().await;
}

/// Drops a database, or the schema that stands for it.
pub async fn drop(name: &str) {
    if let Some(url) = existing() {
        let admin = administer(&url).await;
        execute(&admin, format!("DROP SCHEMA {name} CASCADE")).await;
        let _ = admin.close().await;
        return;
    }
    let url = &cluster().expect("the database was made in it").url;
    let admin = administer(url).await;
    execute(&admin, format!("DROP DATABASE {name} WITH (FORCE)")).await;
    let _ = admin.close().await;
}

/// The migrated template of this build of the tests: a cluster that outlives the run may hold those of older builds.
async fn template(url: &str, admin: &DatabaseConnection) -> String {
    let mut build = DefaultHasher::new();
    let program = std::env::current_exe()
        .and_then(File::open)
        .and_then(|file| file.metadata()?.modified());
    program.expect("the test program is a file").hash(&mut build);
    let template = format!("template_{:016x}", build.finish());
    execute(admin, format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})")).await;
    let sql = "SELECT 1 FROM pg_database WHERE datname = $1";
    let known = Statement::from_sql_and_values(DbBackend::Postgres, sql, [template.clone().into()]);
    if admin
        .query_one_raw(known)
        .await
        .expect("the catalog can be read")
        .is_none()
    {
        // A run that is killed here leaves a database with an unused name.
        let unfinished = format!("unfinished_{}", Uuid::now_v7().simple());
        execute(admin, format!("CREATE DATABASE {unfinished}")).await;
        migrate(&sibling(url, &unfinished)).await;
        execute(admin, format!("ALTER DATABASE {unfinished} RENAME TO {template}")).await;
    }
    execute(admin, format!("SELECT pg_advisory_unlock({TEMPLATE_LOCK})")).await;
    template
}
