//! PgBouncer in front of PostgreSQL servers.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// Debian adds it outside the PATH of users.
const PROGRAM: &str = "/usr/sbin/pgbouncer";
/// The first version that can keep prepared statements has number 1.21.
const MAX_PREPARED_STATEMENTS: (u32, u32) = (1, 21);

/// A PgBouncer on a socket of its own, without the prepared statements of connections. Dropping it ends it.
pub struct Pooler {
    child: Child,
    directory: TempDir,
}

impl Pooler {
    /// Leads to databases, each with the parameters of its server. None when PgBouncer isn't installed.
    pub fn start(databases: &[(&str, String)], settings: &str) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            let required = std::env::var("CI").as_deref() == Ok("true");
            assert!(!required, "with CI=true the tests of PgBouncer must run");
            let _ = writeln!(std::io::stderr(), "left out: PgBouncer isn't installed");
            return None;
        }
        let directory = TempDir::new().expect("a directory");
        let databases: String = databases
            .iter()
            .map(|(name, parameters)| format!("{name} = {parameters}\n"))
            .collect();
        let unprepared = match version() >= MAX_PREPARED_STATEMENTS {
            true => "max_prepared_statements = 0",
            false => "",
        };
        let ini = format!(
            "[databases]\n{databases}[pgbouncer]\nlisten_port = 6432\nlisten_addr =\nunix_socket_dir = {}\n\
             auth_type = any\nmax_client_conn = 200\nserver_login_retry = 1\n\
             ignore_startup_parameters = options,extra_float_digits\n{unprepared}\n{settings}\n",
            directory.path().display()
        );
        let file = directory.path().join("pgbouncer.ini");
        fs::write(&file, ini).expect("written");
        // It refuses to run as root.
        let chown = Command::new("chown")
            .args(["-R", "postgres"])
            .arg(directory.path())
            .output();
        let mut command = match chown.is_ok_and(|chown| chown.status.success()) {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", PROGRAM]);
                command
            }
            false => Command::new(PROGRAM),
        };
        let mut child = command
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        let mut lines = log.lines().map_while(Result::ok);
        let is_up = lines.any(|line| line.contains("process up"));
        assert!(is_up, "it stopped");
        // It must never wait for a reader of its log.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, directory })
    }

    /// The address of a database, whose parameters end with those of this socket.
    pub fn url(&self, database: &str) -> String {
        let directory = self.directory.path().display();
        format!("postgres://clientele@localhost/{database}?host={directory}&port=6432")
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn version() -> (u32, u32) {
    let output = Command::new(PROGRAM).arg("--version").output().expect("it starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let version = text.split_whitespace().nth(1).expect("PgBouncer VERSION");
    let mut parts = version.split('.').map(|part| part.parse().expect("a number"));
    (parts.next().expect("a number"), parts.next().expect("a number"))
}
