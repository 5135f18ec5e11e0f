//! The started program, in its own directory and environment.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;

use super::net;

/// A command with settings from the test only. The log level may come from outside: the leak check
/// must hold at every level.
pub fn clientele(directory: &TempDir, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clientele"));
    command
        .current_dir(directory.path())
        .env_clear()
        .env("CLIENTELE_LOG__FILTER", "trace")
        .args(arguments)
        .envs(environment.iter().copied());
    command
}

pub fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Runs to the end: standard output, standard error, exit code.
pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (String, String, Option<i32>) {
    let Output { stdout, stderr, status } = clientele(&directory(), arguments, environment)
        .output()
        .expect("the program starts");
    let stderr = text(stderr);
    net::standard_error(&stderr);
    (text(stdout), stderr, status.code())
}

pub fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

/// The text with TIME in place of the point in time after `at`.
pub fn without_time(text: &str) -> String {
    let (before, after) = text.split_once(" at 2").expect("a time");
    let (time, after) = after.split_once('Z').expect("the end of a time");
    let time = format!("2{time}Z").parse::<chrono::DateTime<chrono::Utc>>();
    time.expect("a point in time");
    format!("{before} at TIME{after}")
}

/// A server that listens. Dropping it kills it.
pub struct Server {
    child: Child,
    /// Reads standard error to its end, so that a server that logs much never waits for its reader.
    log: Option<JoinHandle<Vec<u8>>>,
    /// As printed: `http://127.0.0.1:PORT`.
    pub address: String,
    /// Everything on standard output up to the line that says it listens. Empty when the log is JSON.
    pub greeting: String,
    pub directory: TempDir,
}

impl Server {
    pub fn start(environment: &[(&str, &str)]) -> Self {
        Self::start_with(&["--listen", "127.0.0.1:0"], environment)
    }

    /// A server without authentication.
    pub fn open(environment: &[(&str, &str)]) -> Self {
        Self::start_with(&["serve", "--no-auth", "--listen", "127.0.0.1:0"], environment)
    }

    /// A server with a terminal as standard output and a piped log. Its output arrives at the terminal's other end.
    pub fn on_terminal(environment: &[(&str, &str)]) -> Self {
        let directory = directory();
        let mut command = Command::new("script");
        let program = env!("CARGO_BIN_EXE_clientele");
        // The shell becomes the server, so that its process id is the server's; standard error bypasses the terminal.
        let line = format!("echo $$ >pid; exec '{program}' --listen 127.0.0.1:0 2>log");
        command
            .current_dir(directory.path())
            .env_clear()
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .envs(environment.iter().copied())
            .stdin(Stdio::null());
        Self::listening(command, directory)
    }

    /// A server on the database in this directory.
    pub fn start_in(directory: TempDir, environment: &[(&str, &str)]) -> Self {
        let command = clientele(&directory, &["--listen", "127.0.0.1:0"], environment);
        Self::listening(command, directory)
    }

    /// A server without authentication, on the database in a directory that the test keeps.
    pub fn start_in_open(directory: &TempDir) -> Self {
        let arguments = ["serve", "--no-auth", "--listen", "127.0.0.1:0"];
        Self::listening(clientele(directory, &arguments, &[]), self::directory())
    }

    /// A server that a shell starts, in a directory that the test keeps.
    pub fn of_shell(directory: &TempDir, script: &str) -> Self {
        let mut command = Command::new("sh");
        command.current_dir(directory.path()).env_clear().args(["-c", script]);
        Self::listening(command, self::directory())
    }

    pub fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let directory = directory();
        let command = clientele(&directory, arguments, environment);
        Self::listening(command, directory)
    }

    /// The server that `command` starts in this directory.
    pub fn listening(mut command: Command, directory: TempDir) -> Self {
        // The HTTP client needs a cryptography provider although nothing here is encrypted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let is_json = command
            .get_envs()
            .any(|(name, value)| name == "CLIENTELE_LOG__FORMAT" && value.is_some_and(|value| value == "json"));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stderr = child.stderr.take().expect("piped");
        let (start, event) = match is_json {
            true => Self::event(&mut stderr, "listening"),
            false => Default::default(),
        };
        let log = std::thread::spawn({
            let mut log = start.into_bytes();
            move || {
                let _ = stderr.read_to_end(&mut log);
                log
            }
        });
        if is_json {
            return Self {
                child,
                log: Some(log),
                address: event["address"].as_str().expect("an address").to_owned(),
                greeting: String::new(),
                directory,
            };
        }
        let mut greeting = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let address = loop {
            let start = greeting.len();
            if lines.read_line(&mut greeting).expect("UTF-8") == 0 {
                panic!("it stopped before it listened: {}", text(collected(log)));
            }
            if let Some(address) = greeting[start..].strip_prefix("listening on ") {
                break address.trim_end().to_owned();
            }
        };
        Self {
            child,
            log: Some(log),
            address,
            greeting,
            directory,
        }
    }

    /// Reads a log of JSON up to an event, byte by byte, so that the rest stays: what was read, and the event.
    pub fn event(stderr: &mut ChildStderr, message: &str) -> (String, Value) {
        let mut bytes = Vec::new();
        loop {
            let mut byte = [0];
            let read = stderr.read(&mut byte).expect("read");
            assert_eq!(read, 1, "it stopped: {}", String::from_utf8_lossy(&bytes));
            bytes.push(byte[0]);
            let Some(lines) = bytes.strip_suffix(b"\n") else {
                continue;
            };
            let line = lines.rsplit(|byte| *byte == b'\n').next().unwrap_or(lines);
            let event: Value = serde_json::from_slice(line).expect("JSON");
            if event["message"] == message {
                return (text(bytes), event);
            }
        }
    }

    /// A memory figure of the process in KiB, as `VmHWM`.
    pub fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a running process");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let figure = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        figure.expect("a figure in kB")
    }

    pub fn signal(&self, signal: &str) {
        let on_terminal = std::fs::read_to_string(self.directory.path().join("pid")).ok();
        let id = on_terminal.unwrap_or_else(|| self.child.id().to_string());
        assert!(
            Command::new("kill")
                .args(["-s", signal, id.trim()])
                .status()
                .expect("kill")
                .success()
        );
    }

    /// Waits for the end. Returns the log and the exit code.
    pub fn wait(self) -> (String, Option<i32>) {
        let (log, _, code, _) = self.ended();
        (log, code)
    }

    /// The same, with the output since the greeting.
    pub fn wait_for_output(self) -> (String, String, Option<i32>) {
        let (log, printed, code, _) = self.ended();
        (log, printed, code)
    }

    /// Waits for the end. Returns the exit code and the directory.
    pub fn stopped(self) -> (Option<i32>, TempDir) {
        let (_, _, code, directory) = self.ended();
        (code, directory)
    }

    fn ended(mut self) -> (String, String, Option<i32>, TempDir) {
        let mut log = collected(self.log.take().expect("it is read once"));
        if let Ok(file) = std::fs::read(self.directory.path().join("log")) {
            log.extend(file);
        }
        let log = text(log);
        net::standard_error(&log);
        let mut printed = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut printed).expect("UTF-8");
        }
        let code = self.child.wait().expect("ended").code();
        let directory = std::mem::replace(&mut self.directory, directory());
        (log, printed, code, directory)
    }
}

fn collected(log: JoinHandle<Vec<u8>>) -> Vec<u8> {
    log.join().expect("reading never panics")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(log) = self.log.take() {
            let log = collected(log);
            if !std::thread::panicking() {
                net::standard_error(&text(log));
            }
        }
    }
}
