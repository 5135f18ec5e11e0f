//! Makes system calls of a started server fail, through a small library that is loaded into it.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    process::Command,
};

use tempfile::TempDir;

/// A system call on the files of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Write = 1,
    Sync = 2,
    Read = 3,
}

/// Errors of the system, as their numbers on Linux.
pub const INPUT_OUTPUT: i32 = 5;
pub const NO_SPACE: i32 = 28;

/// One fault at a time. The positions are those of `struct control` in `fault.c`.
pub struct Injector {
    directory: TempDir,
    control: File,
}

impl Injector {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("control");
        fs::write(&path, [0; 20]).expect("the control file can be written");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/faults/fault.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(directory.path().join("fault.so"))
            .args([source, "-ldl"])
            .status();
        assert!(compiled.expect("a C compiler").success(), "fault.c must compile");
        let control = File::options().read(true).write(true).open(path).expect("it is there");
        Self { directory, control }
    }

    /// The variables with which the server loads the library.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let path = |name| self.directory.path().join(name).display().to_string();
        [("LD_PRELOAD", path("fault.so")), ("FAULT_CONTROL", path("control"))]
    }

    /// Lets `count` calls fail with `error`, beginning with the one after `skipped` others.
    pub fn arm(&self, call: Call, skipped: i32, count: i32, error: i32) {
        for (at, value) in [(1, skipped + 1), (2, count), (3, error), (4, 0), (0, call as i32)] {
            self.write(at, value);
        }
    }

    /// Answers whether a call failed since the fault was armed.
    pub fn disarm(&self) -> bool {
        self.write(0, 0);
        self.has_hit()
    }

    pub fn has_hit(&self) -> bool {
        self.read(4) >= self.read(1)
    }

    fn write(&self, at: u64, value: i32) {
        let written = self.control.write_all_at(&value.to_ne_bytes(), at * 4);
        written.expect("the control file can be written");
    }

    fn read(&self, at: u64) -> i32 {
        let mut bytes = [0; 4];
        self.control
            .read_exact_at(&mut bytes, at * 4)
            .expect("the control file can be read");
        i32::from_ne_bytes(bytes)
    }
}
