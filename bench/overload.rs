//! What a server does with ten times what it can: `cargo bench --bench overload [-- SECONDS]`.
//!
//! A process of its own serves pages of invented clients from SQLite. First as many callers as it takes at once ask without
//! a pause: the peak. Then ten times as many requests a second come on a thousand connections, whether or not earlier ones
//! have been answered. Printed are the goodput of both and its ratio, and how soon the others heard 503. Last, ten thousand
//! connections that say nothing: the server's memory with and without them, and how soon it still answers.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep_until,
};

const CALLERS: usize = 128;
const TIMES: usize = 10;
const CONNECTIONS: usize = 1_000;
const RESTING: usize = 9_900;
const DOCUMENT: &str = "query={clients(first:50){nodes{clientId,fullName,addresses{city},customInformation{value}}}}";

struct Server {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let command = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_clientele"));
            command.current_dir(folder.path()).args(arguments).stderr(Stdio::null());
            command
        };
        let seeded = command(&["seed", "--clients", "1000"]).stdout(Stdio::null()).status();
        assert!(seeded.expect("the program starts").success());
        let arguments = ["--listen", "127.0.0.1:0", "--set", "http.connections_per_address=20000"];
        let mut child = command(&arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.strip_prefix("listening on http://")?.to_owned()))
            .expect("it listens");
        Self {
            child,
            address,
            _folder: folder,
        }
    }

    /// Memory in use, in KiB.
    fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("a figure");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One caller's connection, made anew when the server has closed it.
struct Caller {
    address: String,
    stream: Option<TcpStream>,
}

impl Caller {
    fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            stream: None,
        }
    }

    /// The status of one answer, read to its end.
    async fn ask(&mut self) -> Option<u16> {
        let request = format!("GET /graphql?{DOCUMENT} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(&self.address).await.ok()?,
        };
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        let (start, length) = loop {
            let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = head {
                let head = std::str::from_utf8(&bytes[..end]).ok()?;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
                break (end + 4, length.parse::<usize>().ok()?);
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        while bytes.len() < start + length {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        self.stream = Some(stream);
        std::str::from_utf8(bytes.get(9..12)?).ok()?.parse().ok()
    }
}

/// Answers a second to callers that ask again as soon as they are answered.
async fn peak(address: &str, time: Duration) -> f64 {
    let answered = Arc::new(AtomicUsize::new(0));
    let end = Instant::now() + time;
    let ask = |mut caller: Caller, answered: Arc<AtomicUsize>| async move {
        while Instant::now() < end {
            if caller.ask().await == Some(200) {
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let all: Vec<_> = (0..CALLERS)
        .map(|_| tokio::spawn(ask(Caller::new(address), answered.clone())))
        .collect();
    for one in all {
        one.await.expect("no panic");
    }
    per_second(answered.load(Ordering::Relaxed), time)
}

#[derive(Default)]
struct Outcome {
    answered: usize,
    refused: Vec<Duration>,
    failed: usize,
}

/// Offers `rate` requests a second for `time`, on connections that take turns.
async fn offer(address: &str, rate: f64, time: Duration) -> Outcome {
    let outcome: Arc<Mutex<Outcome>> = Arc::default();
    let start = Instant::now();
    let pause = Duration::from_secs_f64(CONNECTIONS as f64 / rate);
    let ask = |number: usize, mut caller: Caller, outcome: Arc<Mutex<Outcome>>| async move {
        let mut turn = start + pause.mul_f64(number as f64 / CONNECTIONS as f64);
        while turn < start + time {
            sleep_until(turn.into()).await;
            let asked = Instant::now();
            let status = caller.ask().await;
            let mut outcome = outcome.lock().expect("no panic");
            match status {
                Some(200) => outcome.answered += 1,
                Some(503) => outcome.refused.push(asked.elapsed()),
                _ => outcome.failed += 1,
            }
            drop(outcome);
            turn = (turn + pause).max(Instant::now());
        }
    };
    let all: Vec<_> = (0..CONNECTIONS)
        .map(|number| tokio::spawn(ask(number, Caller::new(address), outcome.clone())))
        .collect();
    for one in all {
        one.await.expect("no panic");
    }
    std::mem::take(&mut *outcome.lock().expect("no panic"))
}

fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

#[tokio::main]
async fn main() {
    let seconds = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(10);
    let time = Duration::from_secs(seconds);
    let server = Server::start();
    peak(&server.address, Duration::from_secs(1)).await;
    let peak = peak(&server.address, time).await;
    println!("peak        {peak:8.0} answers/s to {CALLERS} callers");

    let start = Instant::now();
    let Outcome {
        answered,
        mut refused,
        failed,
    } = offer(&server.address, peak * TIMES as f64, time).await;
    let goodput = per_second(answered, start.elapsed());
    let offered = per_second(answered + refused.len() + failed, start.elapsed());
    println!(
        "overload    {goodput:8.0} answers/s of {offered:.0} requests/s   ratio {:.2}",
        goodput / peak
    );
    refused.sort_unstable();
    let at = |part: f64| {
        refused
            .get((refused.len() as f64 * part) as usize)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "refused     {:8} of them, median {:?}, 99 % within {:?}, all within {:?}; {failed} without an answer",
        refused.len(),
        at(0.5),
        at(0.99),
        refused.last().copied().unwrap_or_default()
    );

    let before = server.memory();
    let mut resting = Vec::new();
    for _ in 0..RESTING {
        resting.push(TcpStream::connect(&server.address).await.expect("connected"));
    }
    let mut caller = Caller::new(&server.address);
    let asked = Instant::now();
    let answers = 20;
    for _ in 0..answers {
        assert_eq!(caller.ask().await, Some(200));
    }
    println!(
        "at rest     {RESTING} connections: {} KiB each; others are answered in {:?}",
        (server.memory().saturating_sub(before)) / RESTING,
        asked.elapsed() / answers
    );
}
