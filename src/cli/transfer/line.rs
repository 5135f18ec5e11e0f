//! One line of the file: a client or a definition as JSON.

use async_graphql::InputType;
use chrono::DateTime;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Map, Value as Json, json};

use super::super::Failure;
use super::history::{self, ChainLine, HistoryLine, RemovedLine};
use super::input::input;
use super::refusal::{Refusal, unknown};
use clientele_core::{
    json_check::{self, JsonFault, Limits, PathStep},
    problem::ProblemCode,
    text::escaped,
};
use clientele_domain::{
    audit::ChainPart,
    client::Aggregate,
    custom_field::{UpsertClientRole, UpsertCustomFieldSet, UpsertIdDocumentTemplate},
    definitions::{Definitions, NO_GROUP},
    notify::template::UpsertMessageTemplate,
    upsert::{ImportedClient, UpsertClient},
};
use entity::{Table, client};

/// The members of the tables that follow from the place in the file, or have another form there.
const PLACES: [&str; 3] = ["client_key", "position", "client_role_key"];
/// Numbers that the tables keep as text.
const DEGREES: [&str; 2] = ["latitude", "longitude"];
const LISTS: [&str; 3] = ["addresses", "idDocuments", "customInformation"];
/// The members of the first line.
const HEADER: [&str; 5] = ["format", "version", "stored", "exportedAt", "position"];
/// The members of `end` in the last line.
const END: [&str; 2] = ["clients", "removedClients"];
/// The only spelling of the character U+0000 in JSON.
const NUL: &str = "\\u0000";

/// The line of a client, with the first records of its audit chain.
pub(super) fn of_client(client: &Aggregate, history: &ChainPart, definitions: &Definitions) -> Result<String, Failure> {
    let mut own = members(&client.client)?;
    let role = definitions.role_of_key(&client.client.client_role_key);
    own.insert(
        "clientRole".to_owned(),
        match role {
            Some(role) => json!({ "roleId": role.role_id }),
            None => json!({ "encodedKey": client.client.client_role_key }),
        },
    );
    let mut line = Map::new();
    line.insert("client".to_owned(), own.into());
    let addresses: Result<Vec<_>, _> = client.addresses.iter().flatten().map(members).collect();
    let documents: Result<Vec<_>, _> = client.id_documents.iter().flatten().map(members).collect();
    let mut values = Vec::new();
    for value in client.custom_values.iter().flatten() {
        let mut value_members = members(value)?;
        value_members.remove("fieldKey");
        let field = definitions.field_of_key(&value.field_key);
        let id = field.map_or(&value.field_key, |field| &field.row.field_id);
        value_members.insert("fieldId".to_owned(), id.as_str().into());
        if value.group_index == NO_GROUP {
            value_members.remove("groupIndex");
        }
        values.push(Json::Object(value_members));
    }
    line.insert("addresses".to_owned(), json!(addresses?));
    line.insert("idDocuments".to_owned(), json!(documents?));
    line.insert("customInformation".to_owned(), values.into());
    let history = serde_json::to_value(history).map_err(Failure::internal)?;
    line.insert("history".to_owned(), history);
    Ok(Json::Object(line).to_string())
}

/// The columns of a row under their names in the GraphQL API, without those that have no value.
fn members(row: &impl Serialize) -> Result<Map<String, Json>, Failure> {
    let Json::Object(columns) = serde_json::to_value(row).map_err(Failure::internal)? else {
        return Ok(Map::new());
    };
    let own = columns
        .into_iter()
        .filter(|(name, value)| !value.is_null() && !PLACES.contains(&name.as_str()));
    Ok(own
        .map(
            |(name, value)| match value.as_str().and_then(|text| text.parse::<f64>().ok()) {
                Some(number) if DEGREES.contains(&name.as_str()) => (name, json!(number)),
                _ => (name, value),
            },
        )
        .map(|(name, value)| (camel(&name), value))
        .collect())
}

fn camel(column: &str) -> String {
    let mut words = column.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.extend(letters);
        name
    })
}

fn snake(member: &str) -> String {
    let mut column = String::new();
    for letter in member.chars() {
        if letter.is_ascii_uppercase() {
            column.push('_');
        }
        column.push(letter.to_ascii_lowercase());
    }
    column
}

/// Limits of the JSON values of a client, and of a definition.
const MOST_VALUES: usize = 100_000;
const MOST_OF_DEFINITION: usize = 1_000_000;

/// The meaning of a line.
pub(super) enum Line {
    Header(Header),
    Role(UpsertClientRole),
    DocumentTemplate(UpsertIdDocumentTemplate),
    Set(UpsertCustomFieldSet),
    Template(UpsertMessageTemplate),
    Client(Box<ImportedClient>),
    History(HistoryLine),
    Removed(RemovedLine),
    End { clients: u64, removed: Option<u64> },
}

impl From<ChainLine> for Line {
    fn from(line: ChainLine) -> Self {
        match line {
            ChainLine::History(line) => Self::History(line),
            ChainLine::RemovedClient(line) => Self::Removed(line),
        }
    }
}

/// The first line.
pub(super) struct Header {
    pub format: String,
    pub version: u64,
    pub stored: bool,
    /// The sentence about a member that no first line has, or that has no such value.
    pub fault: Option<String>,
}

impl Header {
    fn of(format: String, version: u64, line: &Map<String, Json>) -> Self {
        let is_time = |at: &Json| at.as_str().is_some_and(|at| DateTime::parse_from_rfc3339(at).is_ok());
        let unknown = line.keys().find(|name| !HEADER.contains(&name.as_str()));
        let fault = if let Some(name) = unknown {
            let name = escaped(name);
            Some(format!(
                "the first line has the member {name}, which doesn't exist: leave it out"
            ))
        } else if line.get("stored").is_some_and(|stored| !stored.is_boolean()) {
            Some("stored in the first line must be true or false".to_owned())
        } else if line.get("exportedAt").is_some_and(|at| !is_time(at)) {
            Some("exportedAt in the first line must be a time such as 2026-01-31T09:30:00Z".to_owned())
        } else if line.get("position").is_some_and(|position| !position.is_string()) {
            Some("position in the first line must be a text".to_owned())
        } else {
            None
        };
        Self {
            format,
            version,
            stored: line.get("stored").and_then(Json::as_bool).unwrap_or_default(),
            fault,
        }
    }
}

pub(super) fn parse(text: &str) -> Result<Line, Refusal> {
    let no_object = || Refusal::malformed("", "The line is not a JSON object: each line must be one, complete.");
    if let Some(line) = history::read(text) {
        return line.map(Line::from);
    }
    // A value takes far more memory than its text.
    let mut fault = json_check::check(text, Limits::of_values(MOST_VALUES)).err();
    let mut kind = "client";
    if matches!(fault, Some(JsonFault::TooManyValues { .. })) && is_definition(text) {
        fault = json_check::check(text, Limits::of_values(MOST_OF_DEFINITION)).err();
        kind = "definition";
    }
    if let Some(JsonFault::TooManyValues { most }) = fault {
        let message = format!("The line has more than {most} values, which no {kind} has: divide it.");
        return Err(Refusal::new(ProblemCode::TooMany, "", message));
    }
    let line: Json = serde_json::from_str(text).map_err(|_| no_object())?;
    let Json::Object(mut line) = line else {
        return Err(no_object());
    };
    let id = id_of(&line);
    if let Some(JsonFault::DuplicateMember(path)) = fault {
        let message = "The line has this member twice: leave one of them out.";
        let refusal = Refusal::malformed(dotted(&path), message);
        return Err(Refusal { id, ..refusal });
    }
    // Audit records have rules of their own.
    let mut checked = line.iter().filter(|(name, _)| *name != "history");
    if line.contains_key("client")
        && text.contains(NUL)
        && let Some(path) = checked.find_map(|(name, value)| place_of_nul(name, value))
    {
        let member = path
            .rsplit('.')
            .find(|step| !step.starts_with(|first: char| first.is_ascii_digit()));
        let message = format!("{} must not contain the character U+0000.", member.unwrap_or_default());
        let refusal = Refusal::new(ProblemCode::InvalidCharacter, path, message);
        return Err(Refusal { id, ..refusal });
    }
    if line.contains_key("client") {
        let client = client_of(line).map_err(|refusal| Refusal { id, ..refusal })?;
        return Ok(Line::Client(Box::new(client)));
    }
    let is_one = line.len() == 1;
    let mut only = |name: &str| line.remove(name).filter(|_| is_one);
    if let Some(role) = only("clientRole") {
        return Ok(Line::Role(role_of(role)?));
    }
    if let Some(template) = only("idDocumentTemplate") {
        return Ok(Line::DocumentTemplate(input(template, "idDocumentTemplate")?));
    }
    if let Some(set) = only("customFieldSet") {
        return Ok(Line::Set(input(set, "customFieldSet")?));
    }
    if let Some(template) = only("messageTemplate") {
        return Ok(Line::Template(input(template, "messageTemplate")?));
    }
    if let Some(history) = only("history") {
        return history::parsed(history).map(Line::from);
    }
    if let Some(removed) = only("removedClient") {
        return history::parsed_removed(removed).map(Line::from);
    }
    if let Some(end) = only("end") {
        return end_of(&end);
    }
    match (
        line.get("format").and_then(Json::as_str),
        line.get("version").and_then(Json::as_u64),
    ) {
        (Some(format), Some(version)) => Ok(Line::Header(Header::of(format.to_owned(), version, &line))),
        _ => Err(Refusal::malformed(
            "",
            "The line is neither a client nor a definition: it must have the member client, clientRole, \
             idDocumentTemplate, customFieldSet or messageTemplate.",
        )),
    }
}

/// Returns the path of the first text with the character U+0000, which PostgreSQL can't store.
fn place_of_nul(path: &str, value: &Json) -> Option<String> {
    match value {
        Json::String(text) => text.contains('\0').then(|| path.to_owned()),
        Json::Array(list) => list
            .iter()
            .enumerate()
            .find_map(|(index, value)| place_of_nul(&format!("{path}.{index}"), value)),
        Json::Object(members) => members
            .iter()
            .find_map(|(name, value)| place_of_nul(&format!("{path}.{name}"), value)),
        Json::Null | Json::Bool(_) | Json::Number(_) => None,
    }
}

/// Returns true if the only member of a line is a definition.
fn is_definition(text: &str) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    enum Definition {
        ClientRole(IgnoredAny),
        IdDocumentTemplate(IgnoredAny),
        CustomFieldSet(IgnoredAny),
        MessageTemplate(IgnoredAny),
    }
    use Definition::{ClientRole, CustomFieldSet, IdDocumentTemplate, MessageTemplate};
    let read = serde_json::from_str(text);
    read.is_ok_and(|definition| match definition {
        ClientRole(IgnoredAny)
        | IdDocumentTemplate(IgnoredAny)
        | CustomFieldSet(IgnoredAny)
        | MessageTemplate(IgnoredAny) => true,
    })
}

/// Reads the numbers of clients and of removed clients in the last line.
fn end_of(end: &Json) -> Result<Line, Refusal> {
    let no_object = || Refusal::malformed("end", "end must be an object with the number of clients.");
    let members = end.as_object().ok_or_else(no_object)?;
    if let Some(name) = members.keys().find(|name| !END.contains(&name.as_str())) {
        return Err(unknown(&format!("end.{name}")));
    }
    let number = |name: &str, value: &Json| {
        let not_a_number = || Refusal::malformed(format!("end.{name}"), &format!("{name} must be a whole number."));
        value.as_u64().ok_or_else(not_a_number)
    };
    let [clients, removed] = END;
    Ok(Line::End {
        clients: number(clients, members.get(clients).unwrap_or(&Json::Null))?,
        removed: members.get(removed).map(|value| number(removed, value)).transpose()?,
    })
}

/// A path in the form of the report.
fn dotted(path: &[PathStep]) -> String {
    let steps = path.iter().map(|step| match step {
        PathStep::Member(name) => name.clone(),
        PathStep::Element(index) => index.to_string(),
    });
    steps.collect::<Vec<_>>().join(".")
}

fn role_of(mut role: Json) -> Result<UpsertClientRole, Refusal> {
    let created_at = role.as_object_mut().and_then(|role| role.remove("createdAt"));
    let created_at = serde_json::from_value(created_at.unwrap_or_default());
    let not_a_time = |_| {
        Refusal::malformed(
            "clientRole.createdAt",
            "createdAt must be a time such as 2026-01-31T09:30:00Z.",
        )
    };
    Ok(UpsertClientRole {
        created_at: created_at.map_err(not_a_time)?,
        ..input(role, "clientRole")?
    })
}

/// The key of the client on a line, or its id, if it has the form of one.
fn id_of(line: &Map<String, Json>) -> Option<String> {
    let client = line.get("client")?;
    let names = ["encodedKey", "clientId"]
        .into_iter()
        .filter_map(|name| client.get(name)?.as_str());
    let is_short = |name: &&str| name.chars().count() <= 32 && !name.chars().any(char::is_control);
    names.filter(|name| !name.is_empty()).find(is_short).map(str::to_owned)
}

fn client_of(mut line: Map<String, Json>) -> Result<ImportedClient, Refusal> {
    let mut keys = LISTS.map(|_| Vec::new());
    for (list, keys) in LISTS.into_iter().zip(&mut keys) {
        let members = match line.get_mut(list) {
            Some(Json::Array(members)) => members,
            Some(Json::Object(_)) => {
                let message = format!("{list} must be a list: [{{…}}].");
                return Err(Refusal::malformed(list, &message));
            }
            _ => continue,
        };
        for (index, member) in members.iter_mut().enumerate() {
            keys.push(
                match member.as_object_mut().and_then(|member| member.remove("encodedKey")) {
                    None | Some(Json::Null) => None,
                    Some(Json::String(key)) => Some(key),
                    Some(_) => {
                        let path = format!("{list}.{index}.encodedKey");
                        return Err(Refusal::malformed(path, "A key is a text."));
                    }
                },
            );
        }
    }
    let history = line
        .remove("history")
        .map(|part| history::part(part, "history"))
        .transpose()?;
    let mut row = Map::new();
    if let Some(Json::Object(own)) = line.get_mut("client") {
        let columns = client::Entity::columns();
        let settable = settable();
        let names: Vec<String> = own.keys().filter(|name| !settable.contains(name)).cloned().collect();
        for name in names {
            let column = snake(&name);
            if !columns.contains(&&*column) || PLACES.contains(&&*column) {
                return Err(match name.as_str() {
                    "id" => {
                        let message = "A client has no member id here: its id is clientId, its key encodedKey.";
                        Refusal::new(ProblemCode::Invalid, "client.id", message)
                    }
                    _ => unknown(&format!("client.{name}")),
                });
            }
            if let Some(value) = own.remove(&name).filter(|value| !value.is_null()) {
                row.insert(column, value);
            }
        }
    }
    if let Some(name) = line
        .keys()
        .find(|name| *name != "client" && !LISTS.contains(&name.as_str()))
    {
        return Err(unknown(name));
    }
    let input: UpsertClient = input(Json::Object(line), "")?;
    let [addresses, id_documents, custom_values] = keys;
    Ok(ImportedClient {
        input,
        row,
        addresses,
        id_documents,
        custom_values,
        history,
    })
}

/// The members of a client that an upsert can set. Its key isn't among them here: it chooses the client to change.
fn settable() -> &'static Vec<String> {
    static NAMES: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
        let mut registry = async_graphql::registry::Registry::default();
        clientele_domain::upsert::ClientInput::create_type_info(&mut registry);
        let ty = registry.types.get("ClientInput");
        let names = ty.and_then(|ty| match ty {
            async_graphql::registry::MetaType::InputObject { input_fields, .. } => Some(input_fields.keys()),
            _ => None,
        });
        names
            .into_iter()
            .flatten()
            .filter(|name| *name != "encodedKey")
            .cloned()
            .collect()
    });
    &NAMES
}
