//! Callers who cause many password hashes do not block the sign-ins of others.

use std::{
    io::Write,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::harness::program::{Server, clientele, directory};

const PASSWORD: &str = "correct horse battery";
const TOO_MANY: &str = "Too many attempts to sign in have failed. Wait, then try again with the right credentials.";

fn add_user(directory: &TempDir, name: &str, permissions: &str) {
    let mut child = clientele(directory, &["user", "add", name, "--permissions", permissions], &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(format!("{PASSWORD}\n").as_bytes()).expect("written");
    drop(input);
    assert!(child.wait().expect("it ends").success());
}

/// A server with default settings and the users eve, boss, and new0 to new9 who haven't signed in yet.
fn start() -> Server {
    let directory = directory();
    add_user(&directory, "eve", "VIEW_CLIENT");
    add_user(&directory, "boss", "ALL");
    for number in 0..10 {
        add_user(&directory, &format!("new{number}"), "VIEW_CLIENT");
    }
    Server::start_in(directory, &[])
}

async fn mutate(server: &str, user: &str, query: &str) -> (u16, Value) {
    let request = Client::new().post(format!("{server}/graphql"));
    let request = request
        .basic_auth(user, Some(PASSWORD))
        .json(&json!({ "query": query }));
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("text");
    (status, serde_json::from_str(&text).expect("JSON"))
}

/// Signs in users that are new to the server while `query` is sent over `connections` connections without a pause.
async fn sign_in_during(server: &Server, connections: usize, user: &'static str, query: String) -> Vec<(u16, Value)> {
    let enough = Arc::new(AtomicBool::new(false));
    let mut attack = JoinSet::new();
    // The user is known to the server.
    mutate(&server.address, user, "mutation { __typename }").await;
    for _ in 0..connections {
        let (address, query, enough) = (server.address.clone(), query.clone(), enough.clone());
        attack.spawn(async move {
            let mut answers = Vec::new();
            while !enough.load(SeqCst) {
                answers.push(mutate(&address, user, &query).await);
            }
            answers
        });
    }
    for number in 0..10 {
        let begun = Instant::now();
        let request = Client::new().get(format!("{}/api/clients", server.address));
        let request = request.basic_auth(format!("new{number}"), Some(PASSWORD));
        let status = request.send().await.expect("an answer").status().as_u16();
        assert_eq!(status, 200, "sign-in {number}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    enough.store(true, SeqCst);
    attack.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_old_passwords_are_throttled_and_block_no_sign_in() {
    let server = start();
    let change = |number: usize| {
        format!(
            "a{number}: changePassword(input: {{ oldPassword: \"wrong {number}\", newPassword: \"another good one\" \
             }}) {{ changed userErrors {{ code message path }} }}"
        )
    };
    let one = format!("mutation {{ {} }}", change(0));
    let answers = sign_in_during(&server, 3, "eve", one.clone()).await;
    let wrong = json!({ "data": { "a0": { "changed": false, "userErrors": [
        { "code": "INVALID", "message": "This isn't your password.", "path": ["input", "oldPassword"] }
    ] } } });
    let is_wrong = |(status, body): &&(u16, Value)| (*status, body) == (200, &wrong);
    // The default allowance, plus one attempt every half minute.
    let looked_at = answers.iter().filter(is_wrong).count();
    assert!((10..15).contains(&looked_at), "{looked_at}");
    let throttled = answers.iter().find(|answer| !is_wrong(answer)).expect("more than ten");
    assert_eq!((throttled.0, &throttled.1["data"]), (429, &json!({ "a0": null })));
    assert_eq!(throttled.1["errors"][0]["message"], TOO_MANY);
    assert_eq!(throttled.1["errors"][0]["extensions"]["code"], "RATE_LIMITED");
    // They count as failed sign-ins, and the right password of a known caller still works.
    let request = Client::new().get(format!("{}/api/clients", server.address));
    let again = request
        .basic_auth("eve", Some("wrong"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(again.status().as_u16(), 429);
    let right = "mutation { changePassword(input: { oldPassword: \"correct horse battery\", \
                 newPassword: \"another good one\" }) { changed } }";
    let (status, body) = mutate(&server.address, "eve", right).await;
    assert_eq!(
        (status, body),
        (200, json!({ "data": { "changePassword": { "changed": true } } }))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_password_changes_block_no_sign_in() {
    let server = start();
    let upsert = |number: usize| {
        format!(
            "a{number}: upsertUser(input: {{ name: \"made{number}\", password: \"another good one\", \
             permissions: [] }}) {{ userErrors {{ message }} }}"
        )
    };
    let all: Vec<String> = (0..20).map(upsert).collect();
    let answers = sign_in_during(&server, 3, "boss", format!("mutation {{ {} }}", all.join(" "))).await;
    assert!(answers.iter().all(|(status, _)| [200, 503].contains(status)));
    assert!(
        answers
            .iter()
            .any(|(status, body)| *status == 200 && body.get("errors").is_none())
    );
}
