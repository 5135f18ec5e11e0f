//! load DATABASE CLIENTS SECONDS ROUNDS CLIENTELE PID CEILING PID [POSTMASTER]
//!
//! Drives clientele and the ceiling, which run on the same DATABASE, by turns over 16 kept-alive connections, and
//! compares their answers. Each server is given by its address and process; the token for clientele is in TOKEN, the
//! main process of PostgreSQL is POSTMASTER. Writes a line of JSON for each workload. Any wrong answer ends it.

use std::{env, process::ExitCode, sync::Arc, time::Duration};

use clientele_speed::{
    Line,
    drive::{Measured, Server, drive, measure, random},
    http::Failure,
    usage,
    workload::{self, Data, Target, Workload},
};
use serde_json::Value;

/// The number of clients whose answers are compared before the rounds of a workload.
const COMPARED: u64 = 20;

/// Fails unless the two answers are equal as JSON.
fn agree(what: &str, clientele: &Value, ceiling: &Value) -> Result<(), Failure> {
    match clientele == ceiling {
        true => Ok(()),
        false => Err(format!("{what}: clientele answered {clientele}, the ceiling {ceiling}").into()),
    }
}

/// Compares what both servers answer to the same reads.
async fn compare_reads(servers: &[Server; 2], data: &Data, workload: Workload) -> Result<(), Failure> {
    let [clientele, ceiling] = servers;
    for seed in 0..COMPARED {
        let answers = [clientele, ceiling].map(|server| data.exchange(workload, server.target, random(seed)).0);
        let [of_clientele, of_ceiling] = answers;
        let answers = [clientele.json(of_clientele).await?, ceiling.json(of_ceiling).await?];
        agree(&format!("{workload:?}"), &answers[0], &answers[1])?;
    }
    Ok(())
}

/// Changes clients on each server, and compares the answers with what the other one reads afterwards. Searches for what
/// was written.
async fn compare_changes(servers: &[Server; 2], data: &Data) -> Result<(), Failure> {
    for (writer, reader) in [(&servers[0], &servers[1]), (&servers[1], &servers[0])] {
        for seed in 0..COMPARED {
            let call = data.exchange(Workload::W1, writer.target, random(seed)).0;
            let changed = writer.json(call).await?;
            let client = &changed["data"]["upsertClient"]["client"];
            let id = client["clientId"].as_str().ok_or("the answer has no client")?;
            let read = reader.json(workload::one(reader.target, id)).await?;
            agree("W1", client, &read["data"]["client"])?;
            let last_name = client["lastName"].as_str().unwrap_or_default();
            let number = client["idDocuments"][1]["documentId"].as_str();
            // A part of a name is found by another index than a number.
            for text in [last_name.get(1..), number].map(Option::unwrap_or_default) {
                let found = servers[0].json(workload::search(text)).await?;
                let mut clients = found["data"]["clients"]["nodes"].as_array().into_iter().flatten();
                if !clients.any(|client| client["clientId"] == *id) {
                    return Err(format!("a search for {text} found {found}, not {id}").into());
                }
            }
        }
    }
    Ok(())
}

async fn run() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [database, clients, seconds, rounds, rest @ ..] = arguments.as_slice() else {
        return Err("usage: load DATABASE CLIENTS SECONDS ROUNDS CLIENTELE PID CEILING PID [POSTMASTER]".into());
    };
    let (time, rounds): (_, u64) = (Duration::from_secs_f64(seconds.parse()?), rounds.parse()?);
    let postmaster = rest.get(4).map(|pid| pid.parse()).transpose()?;
    let server = |target, at: usize, authorization: String| -> Result<Server, Failure> {
        let [address, pid] = [at, at + 1].map(|at| rest.get(at).ok_or("an argument is missing"));
        let address = address?.trim_start_matches("http://").parse()?;
        Ok(Server {
            target,
            address,
            pid: pid?.parse()?,
            postmaster,
            authorization,
        })
    };
    let servers = [
        server(Target::Clientele, 0, format!("Bearer {}", env::var("TOKEN")?))?,
        server(Target::Ceiling, 2, String::new())?,
    ];
    let data = Arc::new(servers[0].data(clients.parse()?).await?);
    for workloads in workload::ALL.chunks(1) {
        let workload = workloads[0];
        let both = match workload {
            Workload::R1 | Workload::R2 | Workload::R3 => {
                compare_reads(&servers, &data, workload).await?;
                true
            }
            Workload::W1 => {
                compare_changes(&servers, &data).await?;
                true
            }
            _ => false,
        };
        let measured_servers = if both { &servers[..] } else { &servers[..1] };
        let mut measured = [Measured::new(), Measured::new()];
        for server in measured_servers {
            usage::reset_peak(server.pid)?;
            drive(server, &data, workloads, time / 4, 0).await?;
        }
        for round in 1..=rounds {
            let mut turns: Vec<_> = measured_servers.iter().zip(&mut measured).collect();
            if round % 2 == 0 {
                turns.reverse();
            }
            for (server, measured) in turns {
                measure(server, &data, workloads, time, round, measured).await?;
            }
        }
        let [clientele, ceiling] = measured;
        let line = Line {
            database: database.clone(),
            clients: data.clients,
            workload: format!("{workload:?}"),
            clientele: clientele.figures(),
            ceiling: both.then(|| ceiling.figures()),
        };
        println!("{}", serde_json::to_string(&line)?);
        eprintln!("{database} {workload:?}: {:.0} requests/s", line.clientele.rate);
    }
    Ok(())
}

// One thread: the other cores are for the servers.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    clientele_speed::exit_code("load", run().await)
}
