//! The input types according to introspection, and their values as GraphQL literals.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::TestServer;

/// Stands where the variable `$v` is to be written.
pub const VARIABLE: &str = "$v";

const QUERY: &str =
    "{ __schema { types { name kind isOneOf inputFields { name type { ...T } } fields { args { type { ...T } } } } } }
    fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// Types by name.
pub struct Schema(BTreeMap<String, Value>);

impl Schema {
    pub async fn load(server: &TestServer) -> Self {
        let data = crate::harness::graphql::data(server, QUERY, json!({})).await;
        let types = data["__schema"]["types"].as_array().expect("a list of types").iter();
        Self(
            types
                .map(|ty| (ty["name"].as_str().unwrap_or_default().to_owned(), ty.clone()))
                .collect(),
        )
    }

    /// The input types of all mutations.
    pub fn inputs_of_mutations(&self) -> Vec<String> {
        let fields = self.0["Mutation"]["fields"].as_array().map(Vec::as_slice);
        let arguments = fields
            .unwrap_or_default()
            .iter()
            .filter_map(|field| field["args"].as_array());
        arguments
            .flatten()
            .map(|argument| innermost(&argument["type"]).to_owned())
            .collect()
    }

    /// `Type.field` for each nullable field of an input type and of all input types below it.
    pub fn nullable_fields(&self, root: &str) -> Vec<String> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        let mut waiting = vec![root.to_owned()];
        while let Some(name) = waiting.pop() {
            if self.0[&name]["kind"] != "INPUT_OBJECT" || !seen.insert(name.clone()) {
                continue;
            }
            for field in self.fields(&name) {
                if field["type"]["kind"] != "NON_NULL" {
                    found.push(format!("{name}.{}", field["name"].as_str().unwrap_or_default()));
                }
                waiting.push(innermost(&field["type"]).to_owned());
            }
        }
        found
    }

    /// The type a variable for `Type.field` needs. A member of a `@oneOf` type takes no null.
    pub fn variable_type(&self, field: &str) -> String {
        let (owner, name) = field.split_once('.').expect("a type and a field");
        let text = text(&self.field(owner, name)["type"]);
        if self.0[owner]["isOneOf"] == true {
            text + "!"
        } else {
            text
        }
    }

    /// A value of this type as a document writes it.
    pub fn literal(&self, value: &Value, ty: &str) -> String {
        match value {
            Value::String(text) if text == VARIABLE => VARIABLE.to_owned(),
            Value::String(text) if self.0[ty]["kind"] == "ENUM" => text.clone(),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| self.literal(item, ty)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Object(members) => {
                let members: Vec<String> = members
                    .iter()
                    .map(|(name, value)| {
                        let ty = innermost(&self.field(ty, name)["type"]);
                        format!("{name}: {}", self.literal(value, ty))
                    })
                    .collect();
                format!("{{{}}}", members.join(", "))
            }
            plain => plain.to_string(),
        }
    }

    fn fields(&self, ty: &str) -> &[Value] {
        self.0[ty]["inputFields"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    fn field(&self, ty: &str, name: &str) -> &Value {
        self.fields(ty)
            .iter()
            .find(|field| field["name"] == name)
            .unwrap_or(&Value::Null)
    }
}

fn innermost(ty: &Value) -> &str {
    match &ty["ofType"] {
        Value::Null => ty["name"].as_str().unwrap_or_default(),
        inner => innermost(inner),
    }
}

fn text(ty: &Value) -> String {
    match ty["kind"].as_str() {
        Some("NON_NULL") => text(&ty["ofType"]) + "!",
        Some("LIST") => format!("[{}]", text(&ty["ofType"])),
        _ => ty["name"].as_str().unwrap_or_default().to_owned(),
    }
}
