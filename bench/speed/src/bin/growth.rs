//! growth DATABASE SECONDS ROUNDS POSTMASTER CLIENTS ADDRESS PID…
//!
//! Compares servers of clientele whose databases have different numbers of invented clients, by turns. Their tokens are
//! in TOKENS, in this order; POSTMASTER is the main process of PostgreSQL, or `-`. Writes a line of JSON for each
//! workload and server. Any wrong answer ends it.

use std::{env, process::ExitCode, sync::Arc, time::Duration};

use clientele_speed::{
    Line,
    drive::{Measured, Server, drive, measure},
    http::Failure,
    usage,
    workload::{self, Data, Target},
};

const USAGE: &str = "usage: growth DATABASE SECONDS ROUNDS POSTMASTER CLIENTS ADDRESS PID…";

async fn run() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [database, seconds, rounds, postmaster, rest @ ..] = arguments.as_slice() else {
        return Err(USAGE.into());
    };
    let (time, rounds): (_, u64) = (Duration::from_secs_f64(seconds.parse()?), rounds.parse()?);
    let postmaster = postmaster.parse().ok();
    let tokens = env::var("TOKENS")?;
    let mut servers: Vec<(Server, Arc<Data>)> = Vec::new();
    for (server, token) in rest.chunks(3).zip(tokens.split_whitespace()) {
        let [clients, address, pid] = server else {
            return Err(USAGE.into());
        };
        let server = Server {
            target: Target::Clientele,
            address: address.trim_start_matches("http://").parse()?,
            pid: pid.parse()?,
            postmaster,
            authorization: format!("Bearer {token}"),
        };
        let data = Arc::new(server.data(clients.parse()?).await?);
        servers.push((server, data));
    }
    for workloads in workload::GROWTH.chunks(1) {
        let mut measured: Vec<Measured> = servers.iter().map(|_| Measured::new()).collect();
        for (server, data) in &servers {
            usage::reset_peak(server.pid)?;
            drive(server, data, workloads, time / 2, 0).await?;
        }
        for round in 1..=rounds {
            let mut turns: Vec<_> = servers.iter().zip(&mut measured).collect();
            if round % 2 == 0 {
                turns.reverse();
            }
            for ((server, data), measured) in turns {
                measure(server, data, workloads, time, round, measured).await?;
            }
        }
        for ((_, data), measured) in servers.iter().zip(measured) {
            let line = Line {
                database: database.clone(),
                clients: data.clients,
                workload: format!("{:?}", workloads[0]),
                clientele: measured.figures(),
                ceiling: None,
            };
            println!("{}", serde_json::to_string(&line)?);
            eprintln!(
                "{database} {:?}, {} clients: {:.0} requests/s",
                workloads[0], data.clients, line.clientele.rate
            );
        }
    }
    Ok(())
}

// One thread: the other cores are for the servers.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    clientele_speed::exit_code("growth", run().await)
}
