//! The program with its default settings under high load: bursts, overload and greedy callers.

mod bursts;
mod fairness;
mod overload;

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

use crate::harness::{
    self, Backend,
    program::{Server, clientele, directory, text},
};

const PASSWORD: &str = "correct horse battery";
/// Nothing here takes that long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// A database before the program serves it.
struct Prepared {
    directory: TempDir,
    database: Option<String>,
}

impl Prepared {
    fn command(&self, arguments: &[&str], line: &str) -> String {
        let mut environment = vec![("CLIENTELE_LOG__FILTER", "off")];
        if let Some(url) = &self.database {
            environment.push(("DATABASE_URL", url));
        }
        let mut command = clientele(&self.directory, arguments, &environment);
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut input = child.stdin.take().expect("piped");
        std::io::Write::write_all(&mut input, line.as_bytes()).expect("written");
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{arguments:?}: {}", text(output.stderr));
        text(output.stdout)
    }

    fn user(&self, name: &str, permissions: &str) -> Credentials {
        let add = ["user", "add", name, "--permissions", permissions];
        self.command(&add, &format!("{PASSWORD}\n"));
        let basic = BASE64_STANDARD.encode(format!("{name}:{PASSWORD}"));
        Credentials(format!("Basic {basic}"))
    }

    fn token(&self, name: &str, permissions: &str) -> Credentials {
        let printed = self.command(&["token", "create", name, "--permissions", permissions], "");
        let token = printed.split_whitespace().find(|word| word.starts_with("clt_"));
        Credentials(format!("Bearer {}", token.expect("a token")))
    }

    /// The program with its default settings, and with the limit of open files that most systems have.
    fn serve(self) -> Running {
        let database = self
            .database
            .map(|url| format!("DATABASE_URL='{url}'"))
            .unwrap_or_default();
        let program = env!("CARGO_BIN_EXE_clientele");
        let script = format!("ulimit -Sn 1024; {database} exec '{program}' --listen 127.0.0.1:0");
        let server = Server::of_shell(&self.directory, &script);
        let address = server.address.trim_start_matches("http://").parse();
        Running {
            address: address.expect("an address"),
            _server: server,
            _directory: self.directory,
        }
    }
}

struct Running {
    address: SocketAddr,
    _server: Server,
    _directory: TempDir,
}

/// Runs a scenario on a new database. PostgreSQL is left out where it isn't installed.
async fn on(backend: Backend, scenario: impl AsyncFnOnce(Prepared)) {
    let directory = directory();
    match backend {
        Backend::Sqlite => {
            let database = None;
            let prepared = Prepared { directory, database };
            prepared.command(&["migrate"], "");
            scenario(prepared).await;
        }
        Backend::Postgres => {
            harness::run(backend, async |server| {
                let database = Some(server.database_url());
                scenario(Prepared { directory, database }).await;
            })
            .await;
        }
    }
}

#[derive(Clone)]
struct Credentials(String);

impl Credentials {
    fn get(&self, path: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: {}\r\n\r\n", self.0).into_bytes()
    }

    fn post(&self, path: &str, body: &Value) -> Vec<u8> {
        let body = body.to_string();
        format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: {}\r\ncontent-type: application/json\r\ncontent-length: \
             {}\r\n\r\n{body}",
            self.0,
            body.len()
        )
        .into_bytes()
    }

    fn graphql(&self, query: &str, variables: &Value) -> Vec<u8> {
        self.post("/graphql", &json!({ "query": query, "variables": variables }))
    }

    fn create(&self, number: usize) -> Vec<u8> {
        let client = json!({ "firstName": format!("First {number}"), "lastName": "Last" });
        self.post("/api/clients", &json!({ "client": client }))
    }

    fn create_by_graphql(&self, number: usize) -> Vec<u8> {
        let client = json!({ "firstName": format!("First {number}"), "lastName": "Last" });
        let query = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { created } }";
        self.graphql(query, &json!({ "input": { "client": client } }))
    }

    fn list(&self) -> Vec<u8> {
        self.get("/api/clients?limit=50")
    }

    fn list_by_graphql(&self) -> Vec<u8> {
        let query = "{ clients(first: 50) { nodes { clientId fullName addresses { city } } } }";
        self.graphql(query, &json!({}))
    }
}

#[derive(Clone, Debug)]
struct Answer {
    status: u16,
    body: String,
    after: Duration,
}

impl Answer {
    /// Returns true for data without errors.
    fn is_good(&self) -> bool {
        self.status == 200 && !self.body.contains("\"errors\"")
    }
}

/// A connection that sends one request after the other.
struct Connection(TcpStream);

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("connected"))
    }

    async fn exchange(&mut self, request: &[u8]) -> Answer {
        let begun = Instant::now();
        self.0.write_all(request).await.expect("sent");
        let (status, body) = timeout(PATIENCE, self.answer()).await.expect("an answer in time");
        let after = begun.elapsed();
        Answer { status, body, after }
    }

    async fn answer(&mut self) -> (u16, String) {
        let mut bytes = Vec::new();
        loop {
            if let Some(answer) = complete(&bytes) {
                return answer;
            }
            let read = self.0.read_buf(&mut bytes).await.expect("an answer");
            assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
        }
    }
}

/// The status and the body, once everything has arrived.
fn complete(bytes: &[u8]) -> Option<(u16, String)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.get(9..12)?.parse().expect("a status");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    match length {
        Some(length) => {
            let is_complete = body.len() == length.parse::<usize>().expect("a length");
            is_complete.then(|| (status, body.to_owned()))
        }
        None => body.ends_with("\r\n0\r\n\r\n").then(|| (status, body.to_owned())),
    }
}

async fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    Connection::open(address).await.exchange(request).await
}

/// Connections that send the same request again and again.
struct Load {
    stop: Arc<AtomicBool>,
    answered: watch::Sender<usize>,
    connections: Vec<JoinHandle<Vec<Answer>>>,
}

impl Load {
    /// Returns once the first requests have been answered.
    async fn begin(address: SocketAddr, connections: usize, request: Vec<u8>) -> Self {
        let (stop, answered, request) = (
            Arc::<AtomicBool>::default(),
            watch::Sender::new(0),
            Arc::<[u8]>::from(request),
        );
        let run = || {
            let (stop, answered, request) = (stop.clone(), answered.clone(), request.clone());
            async move {
                let mut connection = Connection::open(address).await;
                let mut answers = Vec::new();
                while !stop.load(SeqCst) {
                    let answer = connection.exchange(&request).await;
                    // Answers are dropped to save memory.
                    let body = answer.body.chars().take(200).collect();
                    answers.push(Answer { body, ..answer });
                    answered.send_modify(|answered| *answered += 1);
                }
                answers
            }
        };
        let load = Self {
            connections: (0..connections).map(|_| tokio::spawn(run())).collect(),
            stop,
            answered,
        };
        load.answered(connections / 2).await;
        load
    }

    /// Waits until this many more requests have been answered.
    async fn answered(&self, more: usize) {
        let mut answered = self.answered.subscribe();
        let wanted = *answered.borrow() + more;
        answered
            .wait_for(|answered| *answered >= wanted)
            .await
            .expect("it counts");
    }

    async fn end(self) -> Vec<Answer> {
        self.stop.store(true, SeqCst);
        let mut answers = Vec::new();
        for connection in self.connections {
            answers.extend(connection.await.expect("no panic"));
        }
        answers
    }
}

/// The time within which this percentage of the answers came.
fn percentile(answers: &[Answer], percent: usize) -> Duration {
    let mut times: Vec<_> = answers.iter().map(|answer| answer.after).collect();
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}
