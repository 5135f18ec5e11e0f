//! A primary and its streaming replicas, each a PostgreSQL of its own.

use std::{
    fs,
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, Statement, TryGetable};
use tempfile::TempDir;

/// A running server. Dropping it ends the server.
pub struct Cluster {
    binaries: PathBuf,
    data: PathBuf,
    pub socket: PathBuf,
    /// Of the program under test and of the test.
    pub url: String,
    admin: DatabaseConnection,
}

/// All of them, on which no server of clientele has been started yet. Dropping it ends them.
pub struct Replicated {
    pub replicas: Vec<Cluster>,
    pub primary: Cluster,
    _folder: TempDir,
}

/// None when PostgreSQL isn't installed.
fn binaries() -> Option<PathBuf> {
    let find = "command -v initdb || ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n 1";
    let found = Command::new("sh").args(["-c", find]).output().expect("a shell");
    let found = String::from_utf8(found.stdout).expect("UTF-8");
    Some(fs::canonicalize(found.trim()).ok()?.parent()?.to_owned())
}

/// A command of the user that PostgreSQL runs as: it refuses root.
fn as_server(program: &Path) -> Command {
    let is_root = fs::metadata("/proc/self").expect("Linux").uid() == 0;
    let mut command = match is_root {
        false => Command::new(program),
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
            command.arg(program);
            command
        }
    };
    command.current_dir("/").stdin(Stdio::null());
    command
}

impl Replicated {
    /// None when PostgreSQL isn't installed.
    pub async fn start(replicas: usize) -> Option<Self> {
        let Some(binaries) = binaries() else {
            let required = std::env::var("CI").as_deref() == Ok("true");
            assert!(!required, "with CI=true the PostgreSQL half of the tests must run");
            let _ = writeln!(std::io::stderr(), "left out: PostgreSQL isn't installed");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        if fs::metadata("/proc/self").expect("Linux").uid() == 0 {
            let given = Command::new("chown").arg("postgres").arg(folder.path()).status();
            assert!(given.expect("chown").success());
        }
        let of = |name: &str| folder.path().join(name);
        run(as_server(&binaries.join("initdb"))
            .args([
                "-U",
                "clientele",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
            ])
            .arg(of("primary")));
        let primary = Cluster::start(&binaries, of("primary")).await;
        let mut started = Vec::new();
        for number in 1..=replicas {
            let data = of(&format!("replica-{number}"));
            run(as_server(&binaries.join("pg_basebackup"))
                .args(["-R", "-c", "fast", "-X", "stream", "--no-sync", "-U", "clientele", "-h"])
                .arg(&primary.socket)
                .arg("-D")
                .arg(&data));
            started.push(Cluster::start(&binaries, data).await);
        }
        Some(Self {
            replicas: started,
            primary,
            _folder: folder,
        })
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("it starts");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Cluster {
    async fn start(binaries: &Path, data: PathBuf) -> Self {
        // A copy of the data must not have the lock of the socket.
        let socket = data.with_extension("socket");
        run(as_server(Path::new("mkdir")).arg(&socket));
        let url = format!("postgres://clientele@localhost/postgres?host={}", socket.display());
        launch(binaries, &data, &socket);
        let admin = connect(&url).await;
        Self {
            binaries: binaries.to_owned(),
            data,
            socket,
            url,
            admin,
        }
    }

    /// Starts it again.
    pub fn start_again(&self) {
        launch(&self.binaries, &self.data, &self.socket);
    }

    /// Ends it as a crash does.
    pub fn crash(&self) {
        run(&mut self.pg_ctl(&["-m", "immediate", "-w", "stop"]));
    }

    /// Copies the data of a server that doesn't run.
    pub fn copy(&self) -> PathBuf {
        let copy = self.data.with_extension("copy");
        run(as_server(Path::new("cp")).arg("-a").arg(&self.data).arg(&copy));
        copy
    }

    /// Gives the data of a copy back to a server that doesn't run.
    pub fn restore(&self, copy: &Path) {
        fs::remove_dir_all(&self.data).expect("it was stopped");
        run(as_server(Path::new("cp")).arg("-a").arg(copy).arg(&self.data));
    }

    pub fn promote(&self) {
        run(&mut self.pg_ctl(&["-w", "promote"]));
    }

    fn pg_ctl(&self, arguments: &[&str]) -> Command {
        let mut command = as_server(&self.binaries.join("pg_ctl"));
        command.arg("-D").arg(&self.data).args(arguments);
        command
    }

    /// Sends a signal to all processes of the server.
    pub fn signal(&self, signal: &str) {
        let pid = fs::read_to_string(self.data.join("postmaster.pid")).expect("it runs");
        let pid = pid.lines().next().expect("a process id").to_owned();
        let children = format!("/proc/{pid}/task/{pid}/children");
        let children = fs::read_to_string(children).expect("it runs");
        let all = [&*pid].into_iter().chain(children.split_whitespace());
        // A session may have just ended.
        let _ = Command::new("kill")
            .args(["-s", signal])
            .args(all)
            .output()
            .expect("kill");
    }

    pub async fn run(&self, sql: &str) {
        self.admin.execute_unprepared(sql).await.expect(sql);
    }

    /// Changes a setting of the server. `DEFAULT` is its value at first.
    pub async fn set(&self, name: &str, value: &str) {
        self.run(&format!("ALTER SYSTEM SET {name} = {value}")).await;
        self.run("SELECT pg_reload_conf()").await;
    }

    /// The value of a query.
    pub async fn ask<T: TryGetable>(&self, sql: &str) -> T {
        let row = self
            .admin
            .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
            .await;
        let row = row.expect(sql).expect("a row");
        row.try_get_by_index(0).expect("a value")
    }

    /// Waits until a query is true.
    pub async fn until(&self, sql: &str) {
        while !self.ask::<bool>(sql).await {
            tokio::task::yield_now().await;
        }
    }

    /// The position up to which the log is written.
    pub async fn position(&self) -> String {
        self.ask("SELECT pg_current_wal_lsn()::text").await
    }

    /// Waits until this replica has replayed everything that the primary has written.
    pub async fn follows(&self, primary: &Self) {
        let position = primary.position().await;
        self.until(&format!("SELECT pg_last_wal_replay_lsn() >= '{position}'"))
            .await;
    }

    /// The number of statements in its log that contain this text.
    pub fn statements(&self, text: &str) -> usize {
        let log = fs::read(self.data.with_extension("log")).expect("a log");
        String::from_utf8_lossy(&log).matches(text).count()
    }

    /// A session in another database than that of the program.
    pub async fn outside(&self) -> DatabaseConnection {
        connect(&self.url.replace("/postgres?", "/template1?")).await
    }

    /// Another session.
    pub async fn session(&self) -> DatabaseConnection {
        connect(&self.url).await
    }
}

/// Every statement is logged.
fn launch(binaries: &Path, data: &Path, socket: &Path) {
    let options = format!(
        "-k '{}' -c listen_addresses='' -c fsync=off -c max_connections=100 -c log_statement=all",
        socket.display()
    );
    let log = data.with_extension("log");
    run(as_server(&binaries.join("pg_ctl"))
        .arg("-D")
        .arg(data)
        .arg("-l")
        .arg(&log)
        .args(["-w", "-o", &options, "start"])
        .stdout(Stdio::null()));
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options).await.expect("the cluster answers")
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.signal_if_running("CONT");
        let _ = self.pg_ctl(&["-m", "immediate", "stop"]).output();
    }
}

impl Cluster {
    fn signal_if_running(&self, signal: &str) {
        if self.data.join("postmaster.pid").exists() {
            self.signal(signal);
        }
    }
}
