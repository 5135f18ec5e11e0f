//! load DATABASE CLIENTS SECONDS ROUNDS CLIENTELE PID CEILING PID [POSTMASTER]
//!
//! Drives clientele and the ceiling, which run on the same DATABASE, by turns over 16 kept-alive connections, and
//! compares their answers. Each server is given by its address and process; the token for clientele is in TOKEN, the
//! main process of PostgreSQL is POSTMASTER. Writes a line of JSON for each workload. Any wrong answer ends it.

mod http;
mod usage;
mod workload;

use std::{
    env,
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clientele_speed::{Figures, Line};
use hdrhistogram::Histogram;
use serde_json::Value;
use tokio::task::JoinSet;

use self::{
    http::{Call, Connection, Failure},
    usage::Ticks,
    workload::{Data, Target, Workload},
};

const CONNECTIONS: u64 = 16;
/// The number of clients whose answers are compared before the rounds of a workload.
const COMPARED: u64 = 20;
/// The number of clients that W2 repeats.
const REPEATED: u64 = 1_000;

struct Server {
    target: Target,
    address: SocketAddr,
    pid: u32,
    postmaster: Option<u32>,
    authorization: String,
}

impl Server {
    async fn connect(&self) -> Result<Connection, Failure> {
        Connection::open(self.address, &self.authorization).await
    }

    async fn json(&self, call: Call) -> Result<Value, Failure> {
        let (status, body) = self.connect().await?.send(call).await?;
        match status.is_success() {
            true => Ok(serde_json::from_slice(&body)?),
            false => Err(format!("{status} {}", String::from_utf8_lossy(&body)).into()),
        }
    }
}

/// The measurements of one workload on one server.
struct Measured {
    rates: Vec<f64>,
    of_server: Vec<f64>,
    of_database: Vec<f64>,
    times: Histogram<u64>,
    peak: f64,
}

impl Measured {
    fn new() -> Self {
        let times = Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid");
        Self {
            rates: Vec::new(),
            of_server: Vec::new(),
            of_database: Vec::new(),
            times,
            peak: 0.0,
        }
    }

    fn figures(mut self) -> Figures {
        let median = |numbers: &mut Vec<f64>| {
            numbers.sort_by(f64::total_cmp);
            (numbers[(numbers.len() - 1) / 2] + numbers[numbers.len() / 2]) / 2.0
        };
        Figures {
            rate: median(&mut self.rates),
            p50: self.times.value_at_quantile(0.5) as f64 / 1e3,
            p99: self.times.value_at_quantile(0.99) as f64 / 1e3,
            server: median(&mut self.of_server),
            database: median(&mut self.of_database),
            peak: self.peak,
        }
    }
}

/// The same numbers in every run.
fn random(seed: u64) -> u64 {
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Sends requests over all connections until the time is over, and returns their times in microseconds.
async fn drive(
    server: &Server,
    data: &Arc<Data>,
    workload: Workload,
    time: Duration,
    round: u64,
) -> Result<Histogram<u64>, Failure> {
    let mut callers = JoinSet::new();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(server.connect().await?);
    }
    let end = Instant::now() + time;
    for (number, mut connection) in (0..).zip(connections) {
        let (data, target) = (data.clone(), server.target);
        callers.spawn(async move {
            let mut times = Measured::new().times;
            let mut seed = (round * CONNECTIONS + number) << 32;
            while Instant::now() < end {
                seed += 1;
                let (call, expected) = data.exchange(workload, target, random(seed));
                let begun = Instant::now();
                let (status, body) = connection.send(call).await.map_err(|error| error.to_string())?;
                times.saturating_record(begun.elapsed().as_micros() as u64);
                expected.check(status, &body)?;
            }
            Ok::<_, String>(times)
        });
    }
    let mut times = Measured::new().times;
    while let Some(caller) = callers.join_next().await {
        times.add(caller??)?;
    }
    Ok(times)
}

async fn measure(
    server: &Server,
    data: &Arc<Data>,
    workload: Workload,
    time: Duration,
    round: u64,
    measured: &mut Measured,
) -> Result<(), Failure> {
    let before = Ticks::read(server.pid, server.postmaster)?;
    let begun = Instant::now();
    let times = drive(server, data, workload, time, round).await?;
    let took = begun.elapsed().as_secs_f64();
    let ticks = Ticks::read(server.pid, server.postmaster)?.since(before);
    let requests = times.len() as f64;
    let microseconds = |ticks: u64| ticks as f64 * usage::MICROSECONDS / requests;
    measured.rates.push(requests / took);
    measured.of_server.push(microseconds(ticks.server));
    measured.of_database.push(microseconds(ticks.database));
    measured.times.add(times)?;
    measured.peak = measured.peak.max(usage::peak(server.pid)?);
    Ok(())
}

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
    let mut data = Data::new(clients.parse()?);
    for seed in 0..REPEATED.min(data.clients.into()) {
        let id = workload::client_id((random(seed) % u64::from(data.clients)) as u32);
        data.repeat(&servers[0].json(workload::one(Target::Clientele, &id)).await?);
    }
    let data = Arc::new(data);
    for workload in workload::ALL {
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
            drive(server, &data, workload, time / 4, 0).await?;
        }
        for round in 1..=rounds {
            let mut turns: Vec<_> = measured_servers.iter().zip(&mut measured).collect();
            if round % 2 == 0 {
                turns.reverse();
            }
            for (server, measured) in turns {
                measure(server, &data, workload, time, round, measured).await?;
            }
        }
        let [clientele, ceiling] = measured;
        let line = Line {
            database: database.clone(),
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
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("load: {failure}");
            ExitCode::FAILURE
        }
    }
}
