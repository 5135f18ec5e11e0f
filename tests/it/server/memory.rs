//! Limits on the memory of responses and inputs.

mod all_answers;
mod inputs;
mod one_answer;

use clientele::{api, budget::AnswerSettings};

use crate::harness::{Settings, TestServer};

/// The maximum length of a client's notes.
const NOTES: usize = 65_535;

/// Another server on the same database, with these limits on the memory of responses.
async fn bounded(server: &TestServer, bytes: usize, bytes_together: usize) -> TestServer {
    let answers = AnswerSettings { bytes, bytes_together };
    let mut doors = api::Settings {
        answers,
        ..api::Settings::default()
    };
    doors.graphql.batch = 4;
    server
        .another(Settings {
            doors,
            ..Settings::default()
        })
        .await
}

/// Stores `count` clients with the longest notes.
async fn with_notes(server: &TestServer, count: u32) {
    server.seed(count).await;
    let sql = format!("UPDATE client SET notes = '{}'", "n".repeat(NOTES));
    server.write(&sql).await.expect("they have notes");
}
