//! The files of a SQLite database: complete, private and without side files once no process has the database open.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use clientele::db::{Database, DatabaseSettings, Step, Transaction, Work};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    Snapshot, net,
    program::{Server, clientele, directory, text},
};

const RUNS: usize = 20;
const PASSWORD: &str = "correct horse battery\n";

/// Starts a command with a line on standard input.
pub fn start(directory: &TempDir, arguments: &[&str], line: &str) -> Child {
    let mut command = clientele(directory, arguments, &[("CLIENTELE_LOG__FILTER", "off")]);
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // A command that fails may end before it reads.
    let _ = child.stdin.take().expect("piped").write_all(line.as_bytes());
    child
}

/// Runs a command to its end: standard output, standard error, exit code.
pub fn run(directory: &TempDir, arguments: &[&str], line: &str) -> (String, String, Option<i32>) {
    let output = start(directory, arguments, line).wait_with_output().expect("it ends");
    let stderr = text(output.stderr);
    net::standard_error(&stderr);
    (text(output.stdout), stderr, output.status.code())
}

#[track_caller]
pub fn runs(directory: &TempDir, arguments: &[&str], line: &str) -> String {
    let (said, log, code) = run(directory, arguments, line);
    assert_eq!((log.as_str(), code), ("", Some(0)), "{arguments:?}");
    said
}

pub fn signal(process: &Child, signal: &str) {
    let sent = Command::new("kill")
        .args(["-s", signal, &process.id().to_string()])
        .status();
    assert!(sent.expect("kill").success());
}

pub fn names(directory: &TempDir) -> Vec<String> {
    let entries = directory.path().read_dir().expect("a directory");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it exists").permissions().mode() & 0o777
}

/// Asserts that the main file is the only one, and returns the contents of a copy.
pub async fn complete(directory: &TempDir) -> Snapshot {
    assert_eq!(names(directory), ["clientele.db"]);
    let copies = self::directory();
    let copy = copies.path().join("copy.db");
    fs::copy(directory.path().join("clientele.db"), &copy).expect("a copy");
    contents(&copy).await
}

/// Returns the contents of a database file, and asserts its integrity.
pub async fn contents(file: &Path) -> Snapshot {
    let url = format!("sqlite:{}", file.display());
    let database = Database::connect_to_look(&url, &DatabaseSettings::default())
        .await
        .expect("it opens");
    let row = database
        .read()
        .one("PRAGMA integrity_check", [])
        .await
        .expect("it is checked");
    let answer: String = row.expect("a row").try_get_by_index(0).expect("text");
    assert_eq!(answer, "ok");
    let snapshot = Snapshot::take(&database).await;
    database.close().await;
    snapshot
}

struct Statement<'a>(&'a str);

impl Work for Statement<'_> {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> clientele::error::Result<Step<()>> {
        transaction.run(self.0, []).await?;
        Ok(Step::Commit(()))
    }
}

/// Runs a statement on a database file that no process has open.
pub async fn write(file: &Path, sql: &str) {
    let url = format!("sqlite:{}", file.display());
    let database = Database::connect(&url, &DatabaseSettings::default())
        .await
        .expect("it opens");
    database.write(&Statement(sql)).await.expect("it is written");
    database.close().await;
}

/// Creates a client and returns its id once the server has acknowledged it.
pub async fn create(server: &str, first_name: &str) -> Option<String> {
    let body = json!({ "client": { "firstName": first_name, "lastName": "Okafor" } });
    let sent = reqwest::Client::new().post(format!("{server}/api/clients")).json(&body);
    let answer = sent.send().await.ok()?;
    let status = answer.status().as_u16();
    let answer: Value = answer.json().await.ok()?;
    (status == 200).then(|| answer["client"]["id"].as_str().expect("an id").to_owned())
}

#[track_caller]
pub fn holds(snapshot: &Snapshot, ids: &[String]) {
    let claims = snapshot.rows("client_id_claim");
    for id in ids {
        assert!(claims.iter().any(|row| row.contains(id)), "{id} is missing: {claims:?}");
    }
}

#[tokio::test]
async fn every_command_leaves_one_complete_file() {
    for _ in 0..RUNS {
        let directory = directory();
        runs(&directory, &["migrate"], "");
        assert!(complete(&directory).await.rows("seaql_migrations").len() > 1);
        runs(&directory, &["seed", "--clients", "2"], "");
        assert_eq!(complete(&directory).await.rows("client").len(), 2);
        runs(&directory, &["user", "add", "ana", "--permissions", "ALL"], PASSWORD);
        let added = complete(&directory).await;
        assert_eq!(added.rows("api_user").len(), 1);
        runs(&directory, &["user", "password", "ana"], "another good password\n");
        assert_ne!(complete(&directory).await.rows("api_user"), added.rows("api_user"));
        runs(&directory, &["user", "list"], "");
        let (_, told, status) = run(&directory, &["token", "create", "job", "--permissions", "ALL"], "");
        assert!(told.starts_with("to revoke the token: ") && status == Some(0), "{told}");
        assert_eq!(complete(&directory).await.rows("api_token").len(), 1);
        runs(&directory, &["client", "erase", "SEED00000000", "--yes"], "");
        let erased = complete(&directory).await;
        runs(&directory, &["audit", "verify"], "");
        assert_eq!(complete(&directory).await, erased);
        // Failures, too.
        assert_eq!(run(&directory, &["client", "erase", "X", "--yes"], "").2, Some(1));
        assert_eq!(run(&directory, &["user", "remove", "ana"], "").2, Some(1));
        assert_eq!(complete(&directory).await, erased);
    }
}

#[tokio::test]
async fn server_leaves_one_complete_file_at_every_stop() {
    for run in 0..RUNS {
        let server = Server::open(&[]);
        let mut acknowledged = Vec::new();
        for _ in 0..3 {
            acknowledged.extend(create(&server.address, "Ines").await);
        }
        assert_eq!(acknowledged.len(), 3);
        let signals = [&["TERM"][..], &["INT"], &["TERM", "INT"], &["HUP"], &["QUIT"]][run % 5];
        let stopping = async {
            for signal in signals {
                server.signal(signal);
            }
        };
        // Requests under way at that moment.
        let (more, ()) = tokio::join!(
            futures_util::future::join_all((0..4).map(|_| create(&server.address, "Ada"))),
            stopping
        );
        acknowledged.extend(more.into_iter().flatten());
        let (code, directory) = server.stopped();
        assert_eq!(code, Some(0));
        holds(&complete(&directory).await, &acknowledged);
    }
}

/// Sends a request that the server has begun to read.
fn begun_request(address: &str) -> TcpStream {
    let body = json!({ "client": { "firstName": "Ada", "lastName": "Okafor" } }).to_string();
    let head = format!(
        "POST /api/clients HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(head.as_bytes()).expect("written");
    let mut go_on = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut go_on).expect("it is read");
    assert!(
        go_on.starts_with(b"HTTP/1.1 100 "),
        "{}",
        String::from_utf8_lossy(&go_on)
    );
    stream.write_all(body.as_bytes()).expect("written");
    stream
}

/// Holds the writer of a database until it is released.
struct Holding(
    tokio::sync::Mutex<(
        Option<tokio::sync::oneshot::Sender<()>>,
        tokio::sync::mpsc::Receiver<()>,
    )>,
);

impl Work for Holding {
    type Output = ();

    async fn attempt(&self, _: &Transaction) -> clientele::error::Result<Step<()>> {
        let mut holding = self.0.lock().await;
        if let Some(begun) = holding.0.take() {
            let _ = begun.send(());
        }
        holding.1.recv().await;
        Ok(Step::Discard(()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_past_the_shutdown_bound_leave_one_complete_file() {
    for _ in 0..5 {
        let server = Server::open(&[("CLIENTELE_SHUTDOWN_TIMEOUT_SECONDS", "1")]);
        let acknowledged = [create(&server.address, "Ines").await.expect("it is created")];
        let url = format!("sqlite:{}", server.directory.path().join("clientele.db").display());
        let other = Database::connect(&url, &DatabaseSettings::default())
            .await
            .expect("it opens");
        let ((begin, begun), (release, released)) = (tokio::sync::oneshot::channel(), tokio::sync::mpsc::channel(1));
        let holding = Holding(tokio::sync::Mutex::new((Some(begin), released)));
        let holder = other.clone();
        let holding = tokio::spawn(async move { holder.write(&holding).await });
        begun.await.expect("the writer is held");
        // It waits for the writer until the server times out.
        let mut waiting = begun_request(server.address.trim_start_matches("http://"));
        server.signal("TERM");
        let mut answer = String::new();
        waiting.read_to_string(&mut answer).expect("it is closed");
        assert_eq!(answer, "");
        release.send(()).await.expect("it is held");
        holding.await.expect("no panic").expect("it ends");
        other.close().await;
        let (code, directory) = server.stopped();
        assert_eq!(code, Some(0));
        holds(&complete(&directory).await, &acknowledged);
    }
}

#[tokio::test]
async fn worker_leaves_one_complete_file_at_every_stop() {
    let directory = directory();
    runs(&directory, &["seed", "--clients", "2"], "");
    for run in 0..RUNS {
        let mut worker = start(&directory, &["worker"], "");
        let mut said = BufReader::new(worker.stdout.take().expect("piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("UTF-8");
        assert_eq!(line, "sending messages\n");
        signal(&worker, ["TERM", "INT"][run % 2]);
        assert_eq!(worker.wait().expect("it ends").code(), Some(0));
        assert_eq!(complete(&directory).await.rows("client").len(), 2);
    }
}

#[tokio::test]
async fn interrupted_command_leaves_one_complete_file() {
    for run in 0..RUNS {
        let directory = directory();
        let mut seeding = clientele(&directory, &["seed", "--clients", "1000000"], &[]);
        let mut seeding = seeding.stderr(Stdio::piped()).spawn().expect("the program starts");
        // The first batch is stored.
        let mut log = BufReader::new(seeding.stderr.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("seeding") {
            line.clear();
            assert_ne!(log.read_line(&mut line).expect("UTF-8"), 0);
        }
        let (name, code) = [("TERM", 143), ("INT", 130), ("HUP", 129), ("QUIT", 131)][run % 4];
        signal(&seeding, name);
        let mut rest = String::new();
        log.read_to_string(&mut rest).expect("UTF-8");
        assert!(rest.ends_with(&format!("clientele: stopped by SIG{name}\n")), "{rest}");
        assert_eq!(seeding.wait().expect("it ends").code(), Some(code));
        let stored = complete(&directory).await.rows("client").len();
        assert!(stored > 0 && stored.is_multiple_of(1_000), "{stored}");
    }
}

#[tokio::test]
async fn signal_at_any_instant_leaves_one_complete_file() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let directory = directory();
    runs(&directory, &["seed", "--clients", "10"], "");
    for run in 0..RUNS * 2 {
        let commands: [&[&str]; 5] = [
            &["serve", "--no-auth", "--listen", "127.0.0.1:0"],
            &["worker"],
            &["migrate"],
            &["audit", "verify"],
            &["user", "list"],
        ];
        let command = commands[run % commands.len()];
        let mut process = start(&directory, command, "");
        let name = ["TERM", "INT"][run / commands.len() % 2];
        let has_opened = (run / commands.len() / 2).is_multiple_of(2);
        if has_opened {
            let log = directory.path().join("clientele.db-wal");
            while !log.exists() && process.try_wait().expect("it can be asked").is_none() {
                std::thread::yield_now();
            }
        } else {
            tokio::time::sleep(Duration::from_micros(chance.random_range(0..60_000))).await;
        }
        // A command may have ended by itself.
        if process.try_wait().expect("it can be asked").is_none() {
            signal(&process, name);
        }
        let status = process.wait().expect("it ends");
        // A process that was killed had not opened the database yet.
        let is_expected = match status.code() {
            None => !has_opened,
            Some(code) => matches!(code, 0 | 130 | 143),
        };
        assert!(is_expected, "{command:?}: {status}");
        assert_eq!(
            names(&directory),
            ["clientele.db"],
            "{command:?}: {status}, {has_opened}"
        );
        assert_eq!(complete(&directory).await.rows("client").len(), 10, "{command:?}");
    }
}

/// Failures after the database has been opened.
#[tokio::test]
async fn failed_start_leaves_one_complete_file() {
    for _ in 0..RUNS {
        let directory = directory();
        runs(&directory, &["seed", "--clients", "2"], "");
        let before = complete(&directory).await;
        for arguments in [
            &["serve", "--no-auth", "--listen", "127.0.0.1:0"][..],
            &["worker"],
            &["user", "list"],
            &["token", "list"],
        ] {
            let full = File::options().write(true).open("/dev/full").expect("it exists");
            let failed = clientele(&directory, arguments, &[]).stdout(full).output();
            let failed = failed.expect("the program starts");
            let said = text(failed.stderr);
            match arguments {
                // Nothing is listed, so that nothing is written.
                ["user" | "token", ..] => assert_eq!(failed.status.code(), Some(0), "{said}"),
                _ => {
                    let sentence = "clientele: can't write to standard output: No space left on device (os error 28)";
                    assert!(said.lines().any(|line| line == sentence), "{said}");
                    assert_eq!(failed.status.code(), Some(1));
                }
            }
            assert_eq!(complete(&directory).await.rows("client"), before.rows("client"));
        }
    }
}

#[tokio::test]
async fn processes_that_end_together_leave_one_complete_file() {
    for _ in 0..RUNS {
        let directory = directory();
        // They create it together, too.
        let add = |name: &'static str| start(&directory, &["user", "add", name, "--permissions", "ALL"], PASSWORD);
        let adding = ["ana", "bo", "cy", "di"].map(add);
        for added in adding {
            let added = added.wait_with_output().expect("it ends");
            assert_eq!((text(added.stderr).as_str(), added.status.code()), ("", Some(0)));
        }
        assert_eq!(complete(&directory).await.rows("api_user").len(), 4);
        let readers = [&["user", "list"][..], &["audit", "verify"], &["audit", "verify"]];
        let reading = readers.map(|arguments| start(&directory, arguments, ""));
        for read in reading {
            assert_eq!(read.wait_with_output().expect("it ends").status.code(), Some(0));
        }
        assert_eq!(complete(&directory).await.rows("api_user").len(), 4);
    }
}

#[tokio::test]
async fn erased_values_are_in_no_file_after_all_processes_end() {
    let directory = directory();
    for run in 0..RUNS {
        let secret = format!("Zebediah{run}x");
        let server = Server::start_in_open(&directory);
        let id = create(&server.address, &secret).await.expect("it is created");
        let change = json!({ "query": "mutation($id: String!) { upsertClient(input: { matchOn: CLIENT_ID, client: \
            { clientId: $id, firstName: \"Ana\" } }) { userErrors { message } } }", "variables": { "id": id } });
        let changed = reqwest::Client::new()
            .post(format!("{}/graphql", server.address))
            .json(&change)
            .send();
        let changed: Value = changed.await.expect("an answer").json().await.expect("JSON");
        assert_eq!(changed, json!({ "data": { "upsertClient": { "userErrors": [] } } }));
        let occurs = || {
            let files = names(&directory).into_iter();
            files
                .filter(|name| {
                    let bytes = fs::read(directory.path().join(name)).expect("it is read");
                    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
                })
                .collect::<Vec<_>>()
        };
        let erase = ["client", "erase", &id, "--yes"];
        // While a server runs, and after the last one has ended.
        if run % 2 == 0 {
            runs(&directory, &erase, "");
            server.signal("TERM");
            assert_eq!(server.wait().1, Some(0));
        } else {
            server.signal("TERM");
            assert_eq!(server.wait().1, Some(0));
            assert_eq!(occurs(), ["clientele.db"]);
            runs(&directory, &erase, "");
        }
        assert_eq!(names(&directory), ["clientele.db"]);
        assert_eq!(occurs(), Vec::<String>::new());
    }
}

#[test]
fn database_files_are_private_whatever_the_umask() {
    for mask in ["000", "022", "077", "777"] {
        let directory = directory();
        let program = env!("CARGO_BIN_EXE_clientele");
        let script = format!("umask {mask}; exec '{program}' serve --no-auth --listen 127.0.0.1:0");
        let server = Server::of_shell(&directory, &script);
        for name in ["clientele.db", "clientele.db-wal", "clientele.db-shm"] {
            assert_eq!(mode(&directory.path().join(name)), 0o600, "{name} with umask {mask}");
        }
        let backup = Command::new("sh")
            .current_dir(directory.path())
            .env_clear()
            .args(["-c", &format!("umask {mask}; exec '{program}' backup copy.db")])
            .status();
        assert!(backup.expect("sh").success());
        assert_eq!(mode(&directory.path().join("copy.db")), 0o600, "with umask {mask}");
        drop(server);
    }
}

#[test]
fn mode_of_an_existing_database_stays() {
    let directory = directory();
    let file = directory.path().join("clientele.db");
    runs(&directory, &["migrate"], "");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("it is ours");
    let server = Server::start_in_open(&directory);
    for name in ["clientele.db", "clientele.db-wal", "clientele.db-shm"] {
        assert_eq!(mode(&directory.path().join(name)), 0o640, "{name}");
    }
    drop(server);
}

#[test]
fn symbolic_link_to_a_missing_file_creates_a_private_file() {
    let directory = directory();
    let elsewhere = self::directory();
    let target = elsewhere.path().join("bank.db");
    std::os::unix::fs::symlink(&target, directory.path().join("clientele.db")).expect("a link");
    runs(&directory, &["migrate"], "");
    assert_eq!(mode(&target), 0o600);
    assert_eq!(names(&elsewhere), ["bank.db"]);
    assert_eq!(names(&directory), ["clientele.db"]);
}

#[test]
fn file_uris_are_refused_and_create_nothing() {
    let directory = directory();
    let (said, failure, code) = run(&directory, &["migrate", "--database-url", "sqlite:file:bank.db"], "");
    assert!(failure.starts_with("clientele: "), "{failure}");
    assert_eq!((said.as_str(), code.is_some_and(|code| code > 0)), ("", true));
    assert_eq!(names(&directory), Vec::<String>::new());
}
