//! Many simultaneous requests, each on its own connection.

use std::net::SocketAddr;

use futures_util::future::join_all;

use super::{Answer, Connection, Credentials, on};
use crate::harness::Backend;

/// Sends all requests at once, and returns the answers that aren't good.
async fn burst(address: SocketAddr, requests: impl Iterator<Item = Vec<u8>>) -> Vec<Answer> {
    let mut connections = Vec::new();
    for request in requests {
        connections.push((Connection::open(address).await, request));
    }
    let sending = connections
        .iter_mut()
        .map(|(connection, request)| connection.exchange(request));
    let mut answers = join_all(sending).await;
    answers.retain(|answer| !answer.is_good());
    answers
}

/// Creates and reads at both APIs.
fn mixed(number: usize, credentials: &Credentials) -> Vec<u8> {
    match number % 4 {
        0 => credentials.create(number),
        1 => credentials.create_by_graphql(number),
        2 => credentials.list(),
        _ => credentials.list_by_graphql(),
    }
}

async fn is_answered(backend: Backend, size: usize) {
    on(backend, async |prepared| {
        let user = prepared.user("ana", "ALL");
        let token = prepared.token("program", "ALL");
        let server = prepared.serve();
        // All of one caller. The program hasn't seen the password or the token before.
        for credentials in [user, token] {
            let refused = burst(server.address, (0..size).map(|number| mixed(number, &credentials))).await;
            assert!(refused.is_empty(), "{} of {size}, {:?}", refused.len(), refused[0]);
        }
    })
    .await;
}

/// Their passwords are hashed one after the other.
#[tokio::test]
async fn simultaneous_first_sign_ins_from_one_address_succeed() {
    on(Backend::Sqlite, async |prepared| {
        let users: Vec<_> = (0..24)
            .map(|number| prepared.user(&format!("user{number}"), "VIEW_CLIENT"))
            .collect();
        let server = prepared.serve();
        let refused = burst(server.address, users.iter().map(Credentials::list)).await;
        assert!(refused.is_empty(), "{} of 24, {:?}", refused.len(), refused[0]);
    })
    .await;
}

#[tokio::test]
async fn burst_of_200_is_answered_on_sqlite() {
    is_answered(Backend::Sqlite, 200).await;
}

#[tokio::test]
async fn burst_of_1000_is_answered_on_sqlite() {
    is_answered(Backend::Sqlite, 1_000).await;
}

#[tokio::test]
async fn burst_of_200_is_answered_on_postgres() {
    is_answered(Backend::Postgres, 200).await;
}

#[tokio::test]
async fn burst_of_1000_is_answered_on_postgres() {
    is_answered(Backend::Postgres, 1_000).await;
}
