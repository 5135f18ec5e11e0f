//! Idle connections: the cost of each, and the response time of a query meanwhile.

use std::time::Instant;

use tokio::net::TcpStream;

use super::{Shared, callers, server::Server, times, valid};

const RESTING: usize = 10_000;
const ONE: &str = "{clients(first:1){nodes{clientId,fullName}}}";

/// Sends queries one after the other.
async fn one_by_one(server: &Server) -> String {
    let outcome = Shared::default();
    let callers = callers(server, 1, ONE, &outcome).await;
    for _ in 0..500 {
        callers[0].send(Instant::now());
        while callers[0].waits() > 0 {
            tokio::task::yield_now().await;
            valid(&outcome);
        }
    }
    let mut outcome = outcome.borrow_mut();
    times(&mut outcome.answered)
}

pub async fn measure(server: &Server) {
    println!("alone       {}", one_by_one(server).await);
    let before = server.memory();
    let mut resting = Vec::with_capacity(RESTING);
    for _ in 0..RESTING {
        resting.push(TcpStream::connect(&server.address).await.expect("connected"));
    }
    println!("with {RESTING} idle callers {}", one_by_one(server).await);
    let each = server.memory().saturating_sub(before) as f64 / RESTING as f64;
    println!("at rest     {each:8.1} KiB each");
}
