//! The leak check of every test: no log line and no error may contain personal data or internals.
//!
//! All crates of the project log at TRACE here. Fixtures take personal data from [`PLANTED`], so that it can be found.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use clientele::{
    config::{Log, LogFormat},
    telemetry,
};
use serde_json::Value;
use tracing_subscriber::{fmt::MakeWriter, util::SubscriberInitExt};

/// Personal data and secrets of the fixtures: names, addresses, numbers, documents, passwords, keys.
const PLANTED: &[&str] = &[
    "Trevor",
    "Linden",
    "Lindens",
    "Ines",
    "Okafor",
    "Ana",
    "Anabel",
    "Cruz",
    "Diaz",
    "Eva",
    "Amara",
    "Bellweather",
    "example.test",
    "mambu.com",
    "evil.test",
    "4155550101",
    "14155550101",
    "15550001111",
    "15551234567",
    "555 123 4567",
    "7700 900123",
    "7899221665",
    "X1234567",
    "hunter2",
    "correct horse battery",
    "another good one",
    // A custom value, an idempotency key, names of users.
    "s3cret",
    "order-7319",
    "ana",
    "bo",
];

/// Prefixes of secrets: tokens, JWTs and password hashes.
/// A JWT begins with `alg`, `typ` or `kid`. Three letters alone are found in the random ids of keys.
const SECRETS: &[&str] = &["clt_", "cla_", "clr_", "eyJhbGci", "eyJ0eXAi", "eyJraWQi", "$argon2"];

/// Words of the database. DELETE alone is a method of HTTP as well.
const STATEMENTS: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE FROM",
    "WHERE",
    "JOIN",
    "RETURNING",
    "SQL",
    "SQLSTATE",
    "relation",
    "constraint",
    "sqlite",
    "SQLite",
    "postgres",
    "PostgreSQL",
    "sqlx",
    "sea_orm",
];

/// Other phrases of databases, source locations, and names of types.
const INSIDES: &[&str] = &[
    "column \\\"",
    "such column",
    "such table",
    "/src/",
    ".rs:",
    "/tmp/",
    "::",
    "Option<",
    "Vec<",
    "Some(",
    "DbErr",
];

/// The parts of `text` that no caller may see.
pub fn leak(text: &str) -> Option<&'static str> {
    planted(text).or_else(|| {
        let words = STATEMENTS.iter().find(|word| has_word(text, word));
        words
            .or_else(|| INSIDES.iter().find(|part| text.contains(*part)))
            .copied()
    })
}

/// The fixtures' data in `text`.
pub fn planted(text: &str) -> Option<&'static str> {
    let words = PLANTED.iter().find(|word| has_word(text, word));
    words
        .or_else(|| SECRETS.iter().find(|part| text.contains(*part)))
        .copied()
}

/// `X1` is no part of `X15`, nor of a key.
fn has_word(text: &str, word: &str) -> bool {
    let inside = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    text.match_indices(word)
        .any(|(at, _)| !inside(text[..at].chars().next_back()) && !inside(text[at + word.len()..].chars().next()))
}

/// Log lines that must not have been written.
#[derive(Clone, Debug, Default)]
struct Net(Arc<Mutex<Vec<String>>>);

impl Net {
    /// A log layer that keeps leaks and writes nothing.
    fn log() -> Log {
        Log {
            format: LogFormat::Json,
            filter: "warn,clientele=trace,entity=trace,graphql_server=trace,http_server=trace,migration=trace"
                .to_owned(),
        }
    }

    fn caught(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Write for Net {
    /// One event, as one object of JSON.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let mut event: Value = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.into_owned()));
        if let Some(members) = event.as_object_mut() {
            // The name of the logging module is public, and an address of IPv6 looks like a path of Rust.
            members.remove("target");
            members.remove("address");
            // The random id of an audit key can contain a word.
            if members.get("message").and_then(Value::as_str) == Some("the history begins under this key") {
                members.remove("key");
            }
        }
        let event = event.to_string();
        if let Some(leak) = leak(&event) {
            let mut caught = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            caught.push(format!("{leak}: {event}"));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Net {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

static NET: OnceLock<Net> = OnceLock::new();

/// A running leak check. When dropped, it asserts that nothing has leaked into the log of this process.
#[derive(Debug)]
#[must_use = "a leak check that is dropped before the end of the test misses later leaks"]
pub struct Spread(Net);

/// Checks everything that this process logs from now on.
pub fn spread() -> Spread {
    let net = NET.get_or_init(|| {
        let net = Net::default();
        telemetry::subscriber(&Net::log(), net.clone())
            .try_init()
            .expect("no other subscriber is set");
        net
    });
    Spread(net.clone())
}

impl Drop for Spread {
    fn drop(&mut self) {
        // A test that is already failing reports only its first failure.
        if !std::thread::panicking() {
            assert_eq!(self.0.caught(), [""; 0], "log lines with hidden data");
        }
    }
}

/// Asserts that a process's standard error contains no data of the fixtures. It may name files.
#[track_caller]
pub fn standard_error(said: &str) {
    assert_eq!(planted(said), None, "on standard error: {said}");
}

/// Asserts that the errors of an answer contain nothing that its caller may not see.
#[track_caller]
pub fn answer(status: u16, text: &str) {
    let Some((leak, error)) = errors(status, text)
        .into_iter()
        .find_map(|error| Some((leak(&error)?, error)))
    else {
        return;
    };
    panic!("an error shows {leak:?}: {status} {error}");
}

/// The parts of an answer that describe errors.
fn errors(status: u16, text: &str) -> Vec<String> {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let mut found = Vec::new();
    collect(&body, &mut found);
    if found.is_empty() && status >= 400 {
        found.push(text.to_owned());
    }
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => {
            if members.contains_key("returnCode") {
                found.push(value.to_string());
            }
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("errors" | "userErrors", Value::Array(errors)) => found.extend(errors.iter().map(without_place)),
                    _ => collect(member, found),
                }
            }
        }
        _ => {}
    }
}

/// The location of an error in the document has lines and columns.
fn without_place(error: &Value) -> String {
    let mut error = error.clone();
    if let Some(members) = error.as_object_mut() {
        members.remove("locations");
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use clientele::telemetry;

    use super::{Net, Spread, answer, errors, leak};

    #[test]
    fn personal_data_in_a_log_line_of_any_level_is_caught() {
        let net = Net::default();
        let subscriber = telemetry::subscriber(&Net::log(), net.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "clientele::client", name = "Ines Okafor", "stored");
            tracing::info!(target: "clientele::db", error = "relation \"client\" does not exist", "failed");
            tracing::error!(target: "hyper", "trevor@example.test");
            tracing::debug!(target: "clientele::client", key = "01a204b6e17070e2996235536f30e1a7", "stored");
            // Dependencies are filtered out.
            tracing::info!(target: "hyper", "Ines Okafor");
            tracing::warn!(target: "sqlx::query", "Ines Okafor");
        });
        let caught: Vec<String> = net
            .caught()
            .iter()
            .map(|line| line.split(':').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(caught, ["Ines", "relation", "example.test"]);
    }

    #[test]
    #[should_panic(expected = "log lines with hidden data")]
    fn leaking_log_line_fails_its_test() {
        let net = Net::default();
        let subscriber = telemetry::subscriber(&Net::log(), net.clone());
        let _spread = Spread(net);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "clientele::telemetry", route = "/api/clients/Okafor", "request");
        });
    }

    #[test]
    fn forbidden_words_are_found_in_every_form_of_error() {
        for (status, text, found) in [
            (200, r#"{"data":{"client":{"firstName":"Ines"}}}"#, None),
            (
                200,
                r#"{"errors":[{"message":"no","locations":[{"line":1,"column":2}]}]}"#,
                None,
            ),
            (200, r#"{"errors":[{"message":"no Ines"}]}"#, Some("Ines")),
            (
                200,
                r#"[{"data":{"a":{"userErrors":[{"message":"X1234567 is taken"}]}}}]"#,
                Some("X1234567"),
            ),
            (
                400,
                r#"{"returnCode":4,"errorSource":"sea_orm::DbErr"}"#,
                Some("sea_orm"),
            ),
            (500, "panicked at /home/x/src/main.rs:7", Some("/src/")),
            (404, "no X15 here\n", None),
        ] {
            let leaked = errors(status, text).iter().find_map(|error| leak(error));
            assert_eq!(leaked, found, "{status} {text}");
        }
    }

    #[test]
    #[should_panic(expected = "an error shows \"Okafor\"")]
    fn leaking_error_fails_its_test() {
        answer(409, r#"{"returnCode":4,"errorSource":"Okafor exists"}"#);
    }
}
