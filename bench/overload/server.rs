//! The measured program, in a separate process on its own core.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The system's unit of processes' CPU time.
const TICK: Duration = Duration::from_millis(10);

pub struct Server {
    child: Child,
    pub address: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Serves a thousand invented clients from SQLite, with `settings` in addition to the defaults.
    pub fn start(settings: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let command = |arguments: &[&str]| {
            let mut command = Command::new("taskset");
            command
                .args(["-c", "0", env!("CARGO_BIN_EXE_clientele")])
                .current_dir(folder.path())
                .args(arguments)
                .stderr(Stdio::null());
            command
        };
        let seeded = command(&["seed", "--clients", "1000"]).stdout(Stdio::null()).status();
        assert!(seeded.expect("the program starts").success());
        // All callers have one address here. Log lines for requests aren't measured.
        let arguments = [
            "serve",
            "--no-auth",
            "--listen",
            "127.0.0.1:0",
            "--set",
            "http.connections_per_address=20000",
        ];
        let mut child = command(&arguments)
            .args(settings)
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

    /// CPU time used so far.
    pub fn cpu(&self) -> Duration {
        cpu(self.child.id())
    }

    /// Memory in use, in KiB.
    pub fn memory(&self) -> usize {
        self.figure("VmRSS:")
    }

    /// Peak memory in use, in KiB.
    pub fn peak_memory(&self) -> usize {
        self.figure("VmHWM:")
    }

    fn figure(&self, name: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let figure = line.expect("a figure").trim().trim_end_matches(" kB");
        figure.parse().expect("a number")
    }
}

/// Moves this process to another core: callers on the server's core would take more of it as they send more.
pub fn keep_off() {
    let own = std::process::id().to_string();
    let kept = Command::new("taskset")
        .args(["-a", "-p", "-c", "1", &own])
        .stdout(Stdio::null())
        .status();
    assert!(
        kept.expect("taskset, of util-linux").success(),
        "there is a second core"
    );
}

/// CPU time of a process.
pub fn cpu(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    // The program's name before it may contain anything.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2);
    TICK * ticks.map(|field| field.parse::<u32>().expect("a number")).sum()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
