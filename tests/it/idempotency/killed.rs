//! A server that is killed at any instant: a repetition on the next server gets the one answer.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::Value;

use super::{CLIENTS, counts, ines, welcome};
use crate::harness::{TestServer, program::Server};

const KILLS: usize = 20;

/// Posts a client under a key; none when the server is gone before it has answered.
async fn post(server: &Server, key: &str) -> Option<(u16, String)> {
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("it has no options");
    let request = http
        .post(format!("{}{CLIENTS}", server.address))
        .header("Idempotency-Key", key);
    let response = request.json::<Value>(&ines()).send().await.ok()?;
    Some((response.status().as_u16(), response.text().await.ok()?))
}

on_both!(request_is_executed_once_when_its_server_is_killed);

async fn request_is_executed_once_when_its_server_is_killed(server: &TestServer) {
    welcome(server).await;
    let url = server.database_url();
    let environment = [("DATABASE_URL", &*url)];
    let seed = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let mut process = Server::open(&environment);
    for round in 0..KILLS {
        let key = format!("round {round}");
        let kill = async {
            // An instant of the request: before, within and after the write.
            tokio::time::sleep(Duration::from_micros(chance.random_range(0..10_000))).await;
            process.signal("KILL");
        };
        let (first, ()) = tokio::join!(post(&process, &key), kill);
        process = Server::open(&environment);
        let again = post(&process, &key).await.expect("this server is not killed");
        assert_eq!(again.0, 200, "{}", again.1);
        assert_eq!(first.unwrap_or_else(|| again.clone()), again);
    }
    assert_eq!(counts(server).await, [KILLS; 3]);
}
