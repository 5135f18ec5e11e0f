//! Sends the requests of a workload, and measures them.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{
    Figures,
    http::{Call, Connection, Failure},
    usage::{self, Ticks},
    workload::{self, Data, Target, Workload},
};

const CONNECTIONS: u64 = 16;
/// The number of clients that W2 repeats.
const REPEATED: u64 = 1_000;

pub struct Server {
    pub target: Target,
    pub address: SocketAddr,
    pub pid: u32,
    pub postmaster: Option<u32>,
    pub authorization: String,
}

impl Server {
    async fn connect(&self) -> Result<Connection, Failure> {
        Connection::open(self.address, &self.authorization).await
    }

    /// The answer to a request, which must be a success.
    pub async fn json(&self, call: Call) -> Result<Value, Failure> {
        let (status, body) = self.connect().await?.send(call).await?;
        match status.is_success() {
            true => Ok(serde_json::from_slice(&body)?),
            false => Err(format!("{status} {}", String::from_utf8_lossy(&body)).into()),
        }
    }

    /// Reads what requests need from a server of clientele with these invented clients, at least 144.
    pub async fn data(&self, clients: u32) -> Result<Data, Failure> {
        let mut data = Data::new(clients);
        for seed in 0..REPEATED.min(clients.into()) {
            let id = workload::client_id(data.unchanged_client(random(seed)));
            data.repeat(&self.json(workload::one(Target::Clientele, &id)).await?);
        }
        let found = self.json(workload::cursor(workload::middle(clients))).await?;
        let cursor = &found["data"]["clients"]["edges"][0]["cursor"];
        data.middle = cursor
            .as_str()
            .ok_or_else(|| format!("no cursor in {found}"))?
            .to_owned();
        Ok(data)
    }
}

/// The measurements of one workload on one server.
pub struct Measured {
    rates: Vec<f64>,
    of_server: Vec<f64>,
    of_database: Vec<f64>,
    times: Histogram<u64>,
    peak: f64,
}

impl Measured {
    pub fn new() -> Self {
        let times = Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid");
        Self {
            rates: Vec::new(),
            of_server: Vec::new(),
            of_database: Vec::new(),
            times,
            peak: 0.0,
        }
    }

    pub fn figures(mut self) -> Figures {
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
pub fn random(seed: u64) -> u64 {
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Sends requests of these workloads, in a random order, over all connections until the time is over. Returns their
/// times in microseconds.
pub async fn drive(
    server: &Server,
    data: &Arc<Data>,
    workloads: &'static [Workload],
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
                let workload = workloads[random(!seed) as usize % workloads.len()];
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

pub async fn measure(
    server: &Server,
    data: &Arc<Data>,
    workloads: &'static [Workload],
    time: Duration,
    round: u64,
    measured: &mut Measured,
) -> Result<(), Failure> {
    let before = Ticks::read(server.pid, server.postmaster)?;
    let begun = Instant::now();
    let times = drive(server, data, workloads, time, round).await?;
    let took = begun.elapsed().as_secs_f64();
    let ticks = Ticks::read(server.pid, server.postmaster)?.since(before);
    let requests = times.len() as f64;
    let microseconds = |ticks: u64| ticks as f64 * usage::TICK_MICROSECONDS / requests;
    measured.rates.push(requests / took);
    measured.of_server.push(microseconds(ticks.server));
    measured.of_database.push(microseconds(ticks.database));
    measured.times.add(times)?;
    measured.peak = measured.peak.max(usage::peak(server.pid)?);
    Ok(())
}
