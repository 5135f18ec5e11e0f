//! Placeholders for values that differ from run to run, so that tests can contain whole answers.
//!
//! Keys become `<key 1>`, `<key 2>`… and generated client ids `<id 1>`… in the order of their appearance in a test;
//! present times become `<time>`. Requests may contain the placeholders of keys.

use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// The values of one test's placeholders.
#[derive(Debug, Default)]
pub struct Names(Mutex<Vec<(String, String)>>);

impl Names {
    /// The answer with placeholders in it.
    pub fn hide(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.hide_text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.hide(item)).collect(),
            Value::Object(members) => members
                .into_iter()
                .map(|(name, member)| (name, self.hide(member)))
                .collect(),
            plain => plain,
        }
    }

    pub fn hide_text(&self, text: &str) -> String {
        if is_present(text) {
            return "<time>".to_owned();
        }
        if is_generated_id(text) {
            return self.placeholder("id", text);
        }
        let mut hidden = String::new();
        let mut rest = text;
        while let Some(at) = (0..rest.len()).find(|at| rest.get(*at..at + 32).is_some_and(is_generated_key)) {
            hidden += &rest[..at];
            hidden += &self.placeholder("key", &rest[at..at + 32]);
            rest = &rest[at + 32..];
        }
        hidden + rest
    }

    /// The request with its placeholders replaced.
    pub fn reveal(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.reveal_text(text)),
            Value::Array(items) => items.iter().map(|item| self.reveal(item)).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(name, member)| (name.clone(), self.reveal(member)))
                .collect(),
            plain => plain.clone(),
        }
    }

    pub fn reveal_text(&self, text: &str) -> String {
        let known = self.0.lock().expect("no test thread has panicked");
        known
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    fn placeholder(&self, kind: &str, value: &str) -> String {
        let mut known = self.0.lock().expect("no test thread has panicked");
        if let Some((name, _)) = known.iter().find(|(_, known)| known == value) {
            return name.clone();
        }
        let number = known.iter().filter(|(name, _)| name[1..].starts_with(kind)).count() + 1;
        let name = format!("<{kind} {number}>");
        known.push((name.clone(), value.to_owned()));
        name
    }
}

/// A UUID of version 7 without its hyphens.
fn is_generated_key(text: &str) -> bool {
    text.as_bytes()[12] == b'7' && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The form of the default pattern: three capital letters, six digits.
fn is_generated_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 9 && bytes[..3].iter().all(u8::is_ascii_uppercase) && bytes[3..].iter().all(u8::is_ascii_digit)
}

fn is_present(text: &str) -> bool {
    let instant = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%z").or_else(|_| DateTime::parse_from_rfc3339(text));
    let now = DateTime::<Utc>::from(std::time::SystemTime::now());
    instant.is_ok_and(|instant| (now - instant.to_utc()).abs() < TimeDelta::hours(1))
}
