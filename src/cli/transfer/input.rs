//! Reads a member of a line as an input of the GraphQL API.

use async_graphql::{InputType, Value};
use serde::Serialize;
use serde_json::Value as Json;

use super::line::{Refusal, unknown};

pub(super) fn input<T: InputType + Serialize>(json: Json, scope: &str) -> Result<T, Refusal> {
    let read = Value::from_json(json.clone())
        .ok()
        .and_then(|value| T::parse(Some(value)).ok());
    let Some(read) = read else {
        return Err(Refusal::malformed(
            scope,
            "A member is missing or has a value of the wrong type: compare the line with the input in the schema.",
        ));
    };
    let back = serde_json::to_value(&read).unwrap_or_default();
    match ignored(&json, &back, scope) {
        Some(path) => Err(unknown(&path)),
        None => Ok(read),
    }
}

/// The path of a member that was not read.
fn ignored(sent: &Json, read: &Json, path: &str) -> Option<String> {
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    match (sent, read) {
        (Json::Object(sent), _) => sent.iter().find_map(|(name, value)| match read.get(name) {
            None if value.is_null() => None,
            None => Some(below(name)),
            Some(read) => ignored(value, read, &below(name)),
        }),
        (Json::Array(sent), Json::Array(read)) => {
            let mut pairs = sent.iter().zip(read).enumerate();
            pairs.find_map(|(index, (sent, read))| ignored(sent, read, &below(&index.to_string())))
        }
        _ => None,
    }
}
