//! The GraphQL schema according to introspection, with values for its input fields.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::parser::{
    parse_schema,
    types::{TypeKind, TypeSystemDefinition},
};
use clientele::api;
use serde_json::{Map, Value, json};

use super::{TestServer, graphql};

/// Stands for the variable `$v` in a value.
pub const VARIABLE: &str = "$v";

const QUERY: &str = "{ __schema { types { name kind isOneOf enumValues { name } inputFields { name type { ...T } }
    fields { name args { type { ...T } } type { ...T } } } } }
    fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// Types by name.
pub struct Schema(BTreeMap<String, Value>);

impl Schema {
    pub async fn load(server: &TestServer) -> Self {
        let data = graphql::data(server, QUERY, json!({})).await;
        let types = data["__schema"]["types"].as_array().expect("a list of types").iter();
        Self(types.map(|ty| (name(ty).to_owned(), ty.clone())).collect())
    }

    /// The input types of all mutations.
    pub fn inputs_of_mutations(&self) -> Vec<String> {
        let arguments = self
            .fields("Mutation")
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
        while let Some(ty) = waiting.pop() {
            if self.0[&ty]["kind"] != "INPUT_OBJECT" || !seen.insert(ty.clone()) {
                continue;
            }
            found.extend(self.nullable_names(&ty).map(|name| format!("{ty}.{name}")));
            waiting.extend(
                self.fields(&ty)
                    .iter()
                    .map(|field| innermost(&field["type"]).to_owned()),
            );
        }
        found
    }

    /// The names of the nullable fields of one type.
    pub fn nullable_names(&self, ty: &str) -> impl Iterator<Item = &str> {
        let fields = self.fields(ty).iter();
        fields.filter(|field| field["type"]["kind"] != "NON_NULL").map(name)
    }

    /// The names of the fields without arguments whose type is a scalar or an enum.
    pub fn leaf_names(&self, ty: &str) -> impl Iterator<Item = &str> {
        let is_leaf = |field: &&Value| {
            self.is_leaf(innermost(&field["type"])) && field["args"].as_array().is_none_or(Vec::is_empty)
        };
        self.fields(ty).iter().filter(is_leaf).map(name)
    }

    /// The fields without arguments whose type is a scalar or an enum, each with its type.
    pub fn leaf_types(&self, ty: &str) -> BTreeMap<&str, String> {
        let leaves = self.leaf_names(ty);
        leaves.map(|name| (name, text(&self.field(ty, name)["type"]))).collect()
    }

    /// The type that a variable for `Type.field` needs. A member of a `@oneOf` type can't be null.
    pub fn variable_type(&self, field: &str) -> String {
        let (owner, name) = field.split_once('.').expect("a type and a field");
        let text = text(&self.field(owner, name)["type"]);
        if self.0[owner]["isOneOf"] == true {
            text + "!"
        } else {
            text
        }
    }

    /// The type of the member at a JSON pointer in an object of the type; null if there is none.
    pub fn type_at(&self, ty: &str, pointer: &str) -> &Value {
        let names = pointer.split('/').filter(|part| part.starts_with(char::is_alphabetic));
        let mut found = &self.0[ty];
        for name in names {
            found = &self.field(innermost(found), name)["type"];
        }
        found
    }

    /// One of two different values of an input field; null if its type has none. A list of objects is empty.
    pub fn sample(&self, owner: &str, field: &str, is_second: bool) -> Value {
        let ty = &self.field(owner, field)["type"];
        let (is_list, ty) = (is_list(ty), innermost(ty));
        let either = |first: Value, second: Value| if is_second { second } else { first };
        let value = match ty {
            _ if self.0[ty]["kind"] == "ENUM" => self.0[ty]["enumValues"][usize::from(is_second)]["name"].clone(),
            // The first text tells the fields apart.
            "String" => either(json!(field), json!("z9")),
            "Boolean" => either(json!(true), json!(false)),
            "Int" => either(json!(1), json!(7)),
            "Float" => either(json!(-2.25), json!(7.5)),
            "Date" => either(json!("1990-04-17"), json!("2001-02-03")),
            _ if is_list => return json!([]),
            _ => return Value::Null,
        };
        if is_list { json!([value]) } else { value }
    }

    /// The input object, with `value` for each nullable field that it lacks.
    pub fn complete(&self, ty: &str, given: Value, value: impl Fn(&str) -> Value) -> Value {
        let members = self.nullable_names(ty).map(|name| (name.to_owned(), value(name)));
        let mut members: Map<String, Value> = members.collect();
        let Value::Object(given) = given else {
            panic!("{ty} is an object")
        };
        members.extend(given);
        Value::Object(members)
    }

    /// A selection of the output type: the members that the input type sets, and the keys of members of lists.
    pub fn selection(&self, input: &str, output: &str) -> String {
        let mut selected = String::from(match output {
            "CustomFieldOption" => "encodedKey",
            "CustomFieldValue" => "encodedKey field { fieldId }",
            "MessageFieldCondition" => "field { fieldId }",
            _ => "",
        });
        for field in self.fields(input) {
            let (name, inner) = (name(field), innermost(&field["type"]));
            let shown = self.field(output, name);
            selected += " ";
            selected += &match (self.is_leaf(inner), shown.is_null()) {
                (true, true) => continue,
                (true, false) => name.to_owned(),
                // The output has the members of the inner object itself.
                (false, true) => self.selection(inner, output),
                (false, false) => format!("{name} {{ {} }}", self.selection(inner, innermost(&shown["type"]))),
            };
        }
        selected
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

    fn is_leaf(&self, ty: &str) -> bool {
        ["SCALAR", "ENUM"].iter().any(|kind| self.0[ty]["kind"] == *kind)
    }

    /// The fields of an input type or an output type.
    fn fields(&self, ty: &str) -> &[Value] {
        let ty = &self.0[ty];
        let fields = ty["inputFields"].as_array().or(ty["fields"].as_array());
        fields.map(Vec::as_slice).unwrap_or_default()
    }

    fn field(&self, ty: &str, name: &str) -> &Value {
        self.fields(ty)
            .iter()
            .find(|field| field["name"] == name)
            .unwrap_or(&Value::Null)
    }
}

/// The fields of the schema's roots, as in `Query.client`.
pub fn root_fields() -> BTreeSet<String> {
    let schema = parse_schema(api::graphql::sdl()).expect("our own schema can be read");
    let mut fields = BTreeSet::new();
    for definition in schema.definitions {
        let TypeSystemDefinition::Type(definition) = definition else {
            continue;
        };
        let name = definition.node.name.node.to_string();
        if let (TypeKind::Object(object), "Query" | "Mutation") = (definition.node.kind, name.as_str()) {
            let names = object.fields.iter().map(|field| &field.node.name.node);
            fields.extend(names.map(|field| format!("{name}.{field}")));
        }
    }
    fields
}

fn name(described: &Value) -> &str {
    described["name"].as_str().unwrap_or_default()
}

pub fn is_list(ty: &Value) -> bool {
    ty["kind"] == "LIST" || ty["ofType"]["kind"] == "LIST"
}

pub fn innermost(ty: &Value) -> &str {
    match &ty["ofType"] {
        Value::Null => name(ty),
        inner => innermost(inner),
    }
}

fn text(ty: &Value) -> String {
    match ty["kind"].as_str() {
        Some("NON_NULL") => text(&ty["ofType"]) + "!",
        Some("LIST") => format!("[{}]", text(&ty["ofType"])),
        _ => name(ty).to_owned(),
    }
}
