//! The measured program, in a process of its own.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

pub struct Server {
    child: Child,
    pub address: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Serves a thousand invented clients from SQLite, with `settings` beside the default ones.
    pub fn start(settings: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let command = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_clientele"));
            command.current_dir(folder.path()).args(arguments).stderr(Stdio::null());
            command
        };
        let seeded = command(&["seed", "--clients", "1000"]).stdout(Stdio::null()).status();
        assert!(seeded.expect("the program starts").success());
        // All callers are one machine here. A line in the log for every request is not what is measured.
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

    /// Memory in use, in KiB.
    pub fn memory(&self) -> usize {
        self.figure("VmRSS:")
    }

    /// The most memory that was ever in use, in KiB.
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

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
