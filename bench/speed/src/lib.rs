//! The load for benchmarks of the server, and the figures that `report` shows.

pub mod drive;
pub mod http;
pub mod usage;
pub mod workload;

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// One workload on one database.
#[derive(Serialize, Deserialize)]
pub struct Line {
    pub database: String,
    /// The number of invented clients in it.
    pub clients: u32,
    pub workload: String,
    pub clientele: Figures,
    /// None if the ceiling doesn't answer this workload.
    pub ceiling: Option<Figures>,
}

/// Medians of the rounds; the percentiles are of all requests together, and the peak is that of all rounds.
#[derive(Serialize, Deserialize)]
pub struct Figures {
    /// Requests per second.
    pub rate: f64,
    /// Milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// CPU microseconds of the server for each request.
    pub server: f64,
    /// CPU microseconds of the database's processes for each request; 0 for SQLite, which runs in the server.
    pub database: f64,
    /// Peak memory of the server in MiB.
    pub peak: f64,
}

impl Figures {
    /// CPU microseconds of server and database for each request.
    pub fn cpu(&self) -> f64 {
        self.server + self.database
    }
}

/// Prints the failure, and returns the exit code.
pub fn exit_code(program: &str, result: Result<(), http::Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{program}: {failure}");
            ExitCode::FAILURE
        }
    }
}
