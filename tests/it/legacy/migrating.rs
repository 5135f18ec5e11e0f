//! The page about moving to GraphQL: its tables are generated from the OpenAPI document and the table of return codes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

use async_graphql::parser::{
    parse_schema,
    types::{TypeKind, TypeSystemDefinition},
};
use clientele::api::{self, rest::ROUTES};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::codes::counterparts;

const PAGE: &str = "docs/migrating.md";
/// The routes that the legacy service doesn't have.
const NEW_ROUTES: [&str; 1] = ["/api/notifications/receipts"];

/// The objects of the tables: the heading, those that requests have, and those that answers have.
const OBJECTS: [(&str, &[&str], &[&str]); 10] = [
    ("`client`", &["ClientInput", "ClientPatch"], &["Client"]),
    ("`addresses[]`", &["AddressInput"], &["Address"]),
    ("`idDocuments[]`", &["IdDocumentInput"], &["IdDocument"]),
    ("`customInformation[]`", &["CustomValueInput"], &["CustomValue"]),
    ("The whole body", &["Submission"], &["DetailedClient"]),
    (
        "Custom fields, as `customField` and in `customFields[]`",
        &[],
        &["CustomFieldDefinition"],
    ),
    ("Sets of custom fields", &[], &["CustomFieldSet"]),
    ("`customFieldSelectionOptions[]`", &[], &["CustomFieldOption"]),
    ("Client roles", &[], &["ClientRole"]),
    ("Templates of identification documents", &[], &["IdDocumentTemplate"]),
];

/// All fields, arguments, input fields and enum values of the GraphQL schema: `Client.clientId`, `Query.clients.first`.
pub fn coordinates() -> BTreeSet<String> {
    let schema = parse_schema(api::graphql::sdl()).expect("our own schema can be read");
    let mut found = BTreeSet::new();
    for definition in schema.definitions {
        let TypeSystemDefinition::Type(definition) = definition else {
            continue;
        };
        let name = &definition.node.name.node;
        match definition.node.kind {
            TypeKind::Object(object) => {
                for field in object.fields {
                    let field = field.node;
                    let arguments = field.arguments.iter().map(|argument| &argument.node.name.node);
                    found.extend(arguments.map(|argument| format!("{name}.{}.{argument}", field.name.node)));
                    found.insert(format!("{name}.{}", field.name.node));
                }
            }
            TypeKind::InputObject(object) => {
                found.extend(
                    object
                        .fields
                        .iter()
                        .map(|field| format!("{name}.{}", field.node.name.node)),
                );
            }
            TypeKind::Enum(of) => found.extend(
                of.values
                    .iter()
                    .map(|value| format!("{name}.{}", value.node.value.node)),
            ),
            _ => {}
        }
    }
    found
}

/// A JSON object in the order of its text.
struct Ordered(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Ordered;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Ordered(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[derive(Deserialize)]
struct Document {
    paths: BTreeMap<String, BTreeMap<String, Value>>,
    components: Components,
}

#[derive(Deserialize)]
struct Components {
    schemas: BTreeMap<String, Schema>,
}

#[derive(Deserialize)]
struct Schema {
    properties: Option<Ordered>,
    #[serde(rename = "x-graphql")]
    graphql: Option<Ordered>,
}

impl Document {
    /// The members of a schema in their order; those of several, each once.
    fn members(&self, schemas: &[&str]) -> Vec<(&str, &Value)> {
        let mut found: Vec<(&str, &Value)> = Vec::new();
        for schema in schemas {
            let Some(Ordered(members)) = &self.components.schemas[*schema].properties else {
                continue;
            };
            for (name, member) in members {
                if !found.iter().any(|(known, _)| known == name) {
                    found.push((name, member));
                }
            }
        }
        found
    }
}

fn code(value: &Value) -> Option<String> {
    Some(format!("`{}`", value["x-graphql"].as_str()?))
}

/// The counterpart, or the reason why there is none.
fn counterpart(value: &Value) -> String {
    let reason = value["description"].as_str().unwrap_or_default();
    code(value).unwrap_or_else(|| format!("none. {reason}").trim_end().to_owned())
}

fn table(heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let line = vec!["---".to_owned(); heads.len()];
    let rows: String = rows.into_iter().map(|cells| row(&cells)).collect();
    format!("{}{}{rows}", row(&heads), row(&line))
}

fn calls(document: &Document) -> String {
    let routes = ROUTES.iter().filter(|route| !NEW_ROUTES.contains(&route.path));
    let rows = routes.map(|route| {
        let operation = &document.paths[route.path][&route.method.as_str().to_lowercase()];
        let summary = operation["summary"].as_str().expect("a summary").to_owned();
        vec![
            format!("`{} {}`", route.method, route.path),
            counterpart(operation),
            summary,
        ]
    });
    table(&["call", "GraphQL", "purpose"], rows)
}

fn parameters(document: &Document) -> String {
    let parameters = document.paths["/api/clients"]["get"]["parameters"]
        .as_array()
        .expect("parameters");
    let rows = parameters.iter().map(|parameter| {
        let name = parameter["name"].as_str().expect("a name");
        vec![format!("`{name}`"), counterpart(parameter)]
    });
    table(&["parameter of `GET /api/clients`", "GraphQL"], rows)
}

fn members(document: &Document) -> String {
    let tables = OBJECTS.iter().map(|(heading, requests, answers)| {
        let (sent, answered) = (document.members(requests), document.members(answers));
        let find = |members: &[(&str, &Value)], name: &str| {
            let found = members.iter().find(|(known, _)| *known == name);
            found.map(|(_, member)| counterpart(member))
        };
        let mut names: Vec<&str> = answered.iter().map(|(name, _)| *name).collect();
        let more = sent.iter().map(|(name, _)| *name).filter(|name| !names.contains(name));
        let more: Vec<&str> = more.collect();
        names.extend(more);
        let rows = names.into_iter().map(|name| {
            let mut cells = vec![format!("`{name}`")];
            if !requests.is_empty() {
                cells.push(find(&sent, name).unwrap_or_default());
            }
            cells.push(find(&answered, name).unwrap_or_default());
            cells
        });
        let heads: &[&str] = match requests.is_empty() {
            true => &["member", "in answers"],
            false => &["member", "in requests", "in answers"],
        };
        format!("### {heading}\n\n{}", table(heads, rows))
    });
    tables.collect::<Vec<_>>().join("\n")
}

fn selections(document: &Document) -> String {
    let Some(Ordered(selections)) = &document.components.schemas["FilterSelection"].graphql else {
        panic!("the selections have counterparts")
    };
    let rows = selections.iter().map(|(name, graphql)| {
        let graphql = match graphql.as_str() {
            Some("") | None => "none".to_owned(),
            Some(graphql) => format!("`{graphql}`"),
        };
        vec![format!("`{name}`"), graphql]
    });
    table(&["`filterSelection`", "GraphQL"], rows)
}

fn codes() -> String {
    let rows = counterparts().into_iter().map(|((status, number, name), graphql)| {
        vec![status.to_string(), number.to_string(), format!("`{name}`"), graphql]
    });
    table(&["status", "code", "name", "GraphQL"], rows)
}

/// The page with its tables generated anew, between the comments that name them.
fn generated(page: &str) -> String {
    let document: Document = serde_json::from_str(api::rest::openapi::document()).expect("the document");
    let mut page = page.to_owned();
    for (name, table) in [
        ("calls", calls(&document)),
        ("parameters", parameters(&document)),
        ("members", members(&document)),
        ("selections", selections(&document)),
        ("codes", codes()),
    ] {
        let start = format!("<!-- generated: {name} -->\n");
        let (before, rest) = page.split_once(&start).unwrap_or_else(|| panic!("{start} isn't there"));
        let (_, after) = rest.split_once("<!-- end -->").expect("the end of the table");
        page = format!("{before}{start}\n{table}\n<!-- end -->{after}");
    }
    page
}

#[test]
fn tables_of_the_page_are_generated() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = fs::read_to_string(&file).expect("the page is text");
    let expected = generated(&page);
    if std::env::var_os("UPDATE_MIGRATING").is_some() {
        fs::write(&file, &expected).expect("the page can be written");
        return;
    }
    assert!(
        page == expected,
        "{PAGE} is out of date: run UPDATE_MIGRATING=1 bin/test tables_of_the_page, and read the difference"
    );
}

/// Every user error that the page names exists.
#[test]
fn user_errors_of_the_page_exist() {
    let known = coordinates();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).expect("the page is text");
    let named: Vec<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.starts_with("UserErrorCode."))
        .collect();
    assert!(named.len() > 30, "{named:?}");
    assert!(named.iter().all(|name| known.contains(*name)), "{named:?}");
}
