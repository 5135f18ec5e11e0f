//! A plain interpreter of selections, written from the GraphQL specification, over a complete answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::generator::{Fragment, Item};
use crate::harness::{TestServer, graphql::data};

/// The fields of each object type and of `Node`, with the type of those that have a selection of their own.
pub struct Types(BTreeMap<String, Vec<(String, Option<String>)>>);

const QUERY: &str = "{ __schema { types { name kind fields { name type { ...T } } } } }
    fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

impl Types {
    pub async fn load(server: &TestServer) -> Self {
        let data = data(server, QUERY, json!({})).await;
        let types = data["__schema"]["types"].as_array().expect("a list").iter();
        let types = types.filter(|ty| ty["kind"] == "OBJECT" || ty["kind"] == "INTERFACE");
        Self(
            types
                .map(|ty| {
                    (
                        text(&ty["name"]),
                        ty["fields"].as_array().into_iter().flatten().map(field).collect(),
                    )
                })
                .collect(),
        )
    }

    pub fn fields(&self, ty: &str) -> &[(String, Option<String>)] {
        &self.0[ty]
    }

    pub fn is_node(&self, ty: &str) -> bool {
        // The id of a caller is not a global id.
        ty != "AuditCaller" && (ty == "Node" || self.0[ty].iter().any(|(name, _)| name == "id"))
    }

    /// A selection of all fields, `depth` levels deep.
    pub fn everything(&self, ty: &str, depth: usize) -> String {
        let fields = self.0[ty].iter().filter_map(|(name, inner)| match inner {
            None => Some(name.clone()),
            Some(_) if depth == 1 => None,
            // No client of the test is merged: without it, the answer is the same and costs less.
            Some(_) if name == "mergedInto" => None,
            Some(inner) => Some(format!("{name} {}", self.everything(inner, depth - 1))),
        });
        format!("{{ __typename {} }}", fields.collect::<Vec<_>>().join(" "))
    }

    /// The expected answer.
    pub fn answer(&self, whole: &Value, ty: &str, items: &[Item], fragments: &[Fragment]) -> String {
        self.merged(whole, ty, &[items], fragments)
    }

    /// Answers selections that belong to one object.
    fn merged(&self, whole: &Value, ty: &str, sets: &[&[Item]], fragments: &[Fragment]) -> String {
        match whole {
            Value::Null => return "null".to_owned(),
            Value::Array(items) => {
                let items: Vec<String> = items
                    .iter()
                    .map(|item| self.merged(item, ty, sets, fragments))
                    .collect();
                return format!("[{}]", items.join(","));
            }
            _ => {}
        }
        let mut collected: Vec<(&str, Vec<&Item>)> = Vec::new();
        for items in sets {
            collect(items, fragments, &mut collected);
        }
        let members = collected.into_iter().map(|(key, items)| {
            let Item::Field { name, only, .. } = items[0] else {
                unreachable!("only fields are collected")
            };
            let inner = self.0[ty]
                .iter()
                .find(|(field, _)| field == name)
                .and_then(|(_, inner)| inner.as_deref());
            let value = match inner {
                None => whole[name].to_string(),
                Some(inner) => {
                    let below: Vec<&[Item]> = items.iter().filter_map(|item| below(item)).collect();
                    self.merged(&narrowed(&whole[name], *only), inner, &below, fragments)
                }
            };
            format!("{}:{value}", json!(key))
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

/// Fields by response key, in order of first appearance. Each object has the selected type,
/// so that every fragment applies.
fn collect<'a>(items: &'a [Item], fragments: &'a [Fragment], into: &mut Vec<(&'a str, Vec<&'a Item>)>) {
    for item in items {
        match item {
            Item::Field { alias, name, when, .. } if when.holds => {
                let key = alias.as_deref().unwrap_or(name);
                match into.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, fields)) => fields.push(item),
                    None => into.push((key, vec![item])),
                }
            }
            Item::Inline { when, below, .. } if when.holds => collect(&below.0, fragments, into),
            Item::Spread { fragment, when } if when.holds => collect(&fragments[*fragment].1.0, fragments, into),
            _ => {}
        }
    }
}

fn below(item: &Item) -> Option<&[Item]> {
    match item {
        Item::Field { below: Some(below), .. } => Some(&below.0),
        _ => None,
    }
}

/// Only the values of one custom field.
fn narrowed(values: &Value, only: Option<&str>) -> Value {
    match (values, only) {
        (Value::Array(values), Some(only)) => values
            .iter()
            .filter(|value| value["field"]["fieldId"] == only)
            .cloned()
            .collect(),
        _ => values.clone(),
    }
}

fn field(field: &Value) -> (String, Option<String>) {
    let mut ty = &field["type"];
    while !ty["ofType"].is_null() {
        ty = &ty["ofType"];
    }
    let composite = ty["kind"] == "OBJECT" || ty["kind"] == "INTERFACE";
    (text(&field["name"]), composite.then(|| text(&ty["name"])))
}

fn text(value: &Value) -> String {
    value.as_str().expect("a name").to_owned()
}
