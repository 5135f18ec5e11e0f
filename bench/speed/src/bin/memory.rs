//! memory MINUTES CLIENTS ADDRESS PID
//!
//! Sends requests of all workloads to a server of clientele that has just been started on a database with invented
//! clients, and prints its resident memory: at rest, twelve times meanwhile, and at rest again. The token is in TOKEN.
//! Any wrong answer ends it.

use std::{env, process::ExitCode, sync::Arc, time::Duration};

use clientele_speed::{
    drive::{Server, drive},
    http::Failure,
    usage,
    workload::{self, Target},
};

const INTERVALS: u64 = 12;
const REST: Duration = Duration::from_secs(10);

async fn run() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [minutes, clients, address, pid] = arguments.as_slice() else {
        return Err("usage: memory MINUTES CLIENTS ADDRESS PID".into());
    };
    let interval = Duration::from_secs_f64(minutes.parse::<f64>()? * 60.0 / INTERVALS as f64);
    let server = Server {
        target: Target::Clientele,
        address: address.trim_start_matches("http://").parse()?,
        pid: pid.parse()?,
        postmaster: None,
        authorization: format!("Bearer {}", env::var("TOKEN")?),
    };
    let show = |minute: f64, requests: u64| -> Result<(), Failure> {
        let (resident, peak) = (usage::resident(server.pid)?, usage::peak(server.pid)?);
        println!("| {minute:.0} | {requests} | {resident:.0} | {peak:.0} |");
        Ok(())
    };
    println!("| minute | requests | resident MiB | peak MiB |\n| --- | --- | --- | --- |");
    // The allocator returns the memory of the start to the system only after a while.
    tokio::time::sleep(REST).await;
    show(0.0, 0)?;
    let data = Arc::new(server.data(clients.parse()?).await?);
    let mut requests = 0;
    for number in 1..=INTERVALS {
        requests += drive(&server, &data, &workload::ALL, interval, number).await?.len();
        show((interval * number as u32).as_secs_f64() / 60.0, requests)?;
    }
    tokio::time::sleep(REST).await;
    show((interval * INTERVALS as u32 + REST).as_secs_f64() / 60.0, requests)
}

// One thread: the other cores are for the server.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    clientele_speed::exit_code("memory", run().await)
}
