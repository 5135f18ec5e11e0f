//! Reads a member of a line as an input of the GraphQL API, and names the member that doesn't fit.

use async_graphql::{InputType, Value, resolver_utils::EnumType};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::refusal::{Refusal, unknown};
use clientele_domain::enums::{Gender, Language};

/// Limit of the members or elements that are tried, one by one, to find the one that doesn't fit.
const MOST_TRIED: usize = 1_000;

pub(super) fn input<T: InputType + Serialize>(json: Json, scope: &str) -> Result<T, Refusal> {
    let Some(read) = parse::<T>(&json) else {
        let mut path: Vec<String> = Some(scope)
            .filter(|scope| !scope.is_empty())
            .map(str::to_owned)
            .into_iter()
            .collect();
        misfit(json, &|json| parse::<T>(&json).is_some(), &mut path);
        let message = path.last().and_then(|member| form(member)).unwrap_or_else(|| {
            "A member is missing or has a value of the wrong type: compare the line with the input in the schema."
                .to_owned()
        });
        return Err(Refusal::malformed(path.join("."), &message));
    };
    let back = serde_json::to_value(&read).unwrap_or_default();
    match ignored(&json, &back, scope) {
        Some(path) => Err(unknown(&path)),
        None => Ok(read),
    }
}

/// The form of a member whose values have one of their own, or its choices.
fn form(member: &str) -> Option<String> {
    let choices = |names: Vec<&str>| Some(format!("{member} must be one of {}.", names.join(", ")));
    match member {
        "birthDate" | "validUntil" => Some(format!("{member} must be a date, such as 1990-04-17.")),
        "gender" => choices(Gender::items().iter().map(|item| item.name).collect()),
        "preferredLanguage" => choices(Language::items().iter().map(|item| item.name).collect()),
        _ => None,
    }
}

fn parse<T: InputType>(json: &Json) -> Option<T> {
    T::parse(Some(Value::deserialize(json).ok()?)).ok()
}

/// Adds the steps to the first member that doesn't fit, as far as it can be told.
fn misfit(json: Json, fits: &dyn Fn(Json) -> bool, path: &mut Vec<String>) {
    let count = match &json {
        Json::Object(members) => members.len(),
        Json::Array(elements) => elements.len(),
        _ => 0,
    };
    if count > MOST_TRIED {
        return;
    }
    match json {
        // Alone, if nothing else is required; otherwise with the others, which fit without it or with an empty one.
        Json::Object(members) if fits(Json::Object(Map::new())) => {
            let alone = |name: &String, value: Json| Json::Object(Map::from_iter([(name.clone(), value)]));
            let found = members
                .into_iter()
                .find(|(name, value)| !fits(alone(name, value.clone())));
            if let Some((name, value)) = found {
                path.push(name.clone());
                misfit(value, &|value| fits(alone(&name, value)), path);
            }
        }
        Json::Object(members) => {
            let with = |name: &String, value: Option<Json>| {
                let mut all = members.clone();
                all.remove(name);
                all.extend(value.map(|value| (name.clone(), value)));
                fits(Json::Object(all))
            };
            let others_fit = |name: &String| {
                [None, Some(json!({})), Some(json!([]))]
                    .into_iter()
                    .any(|it| with(name, it))
            };
            if let Some(name) = members.keys().find(|name| others_fit(name)) {
                path.push(name.clone());
                misfit(members[name].clone(), &|value| with(name, Some(value)), path);
            }
        }
        Json::Array(elements) if fits(json!([])) => {
            let alone = |element: Json| fits(Json::Array(vec![element]));
            if let Some((index, element)) = elements
                .into_iter()
                .enumerate()
                .find(|(_, element)| !alone(element.clone()))
            {
                path.push(index.to_string());
                misfit(element, &alone, path);
            }
        }
        _ => {}
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
