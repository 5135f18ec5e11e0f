//! The model of the rules: the clients that a submission leaves, or every problem with it.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::access::Access;
use super::generate::{Door, Entry, Member, Sent, Submission, accept_value};

pub type Members = BTreeMap<&'static str, Value>;

/// A client with its collections. A key is empty until the server has answered it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Client {
    pub key: String,
    pub id: String,
    pub version: i64,
    pub scalars: Members,
    pub documents: Vec<Stored>,
    pub address: Option<Stored>,
    pub values: Vec<StoredValue>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    pub key: String,
    pub members: Members,
}

#[derive(Clone, Debug, PartialEq)]
pub struct StoredValue {
    pub key: String,
    pub field: &'static str,
    pub value: String,
}

/// A problem of a submission: its code on each API, the rank of its part, and its path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub rank: u8,
    pub rest: u16,
    pub graphql: &'static str,
    pub path: String,
}

#[derive(Debug)]
pub struct Verdict {
    pub client: Client,
    pub created: bool,
    pub unchanged: bool,
}

#[derive(Debug, Default)]
pub struct Model {
    pub clients: Vec<Client>,
    /// Every generated key: none may be reused.
    pub keys: HashSet<String>,
}

const CLIENT: u8 = 0;
const PERMISSION: u8 = 1;
const DOCUMENTS: u8 = 2;
const ADDRESSES: u8 = 3;
const VALUES: u8 = 4;
/// The path of a problem with the whole request.
pub const REQUEST: &str = "the request";

type Problems = Vec<Problem>;

fn add(problems: &mut Problems, rank: u8, rest: u16, graphql: &'static str, path: impl Into<String>) {
    problems.push(Problem {
        rank,
        rest,
        graphql,
        path: path.into(),
    });
}

impl Model {
    pub fn store(&mut self, client: Client) {
        match self.clients.iter_mut().find(|stored| stored.key == client.key) {
            Some(stored) => *stored = client,
            None => self.clients.push(client),
        }
    }

    pub fn judge(&self, sent: &Submission, door: Door, access: Access) -> Result<Verdict, Problems> {
        let mut problems = Problems::new();
        if access.may_nothing() {
            add(&mut problems, PERMISSION, 15, "FORBIDDEN", REQUEST);
            return Err(problems);
        }
        let present = self.target(sent)?;
        if !access.may_write(present.is_some()) {
            let mut members = present.map(|client| client.scalars.clone()).unwrap_or_default();
            scalars(&mut members, &sent.client, &mut problems);
            add(&mut problems, PERMISSION, 15, "FORBIDDEN", "");
            return Err(problems);
        }
        let version = present.map_or(0, |client| client.version);
        if sent.expected_version.is_some_and(|expected| expected != version) {
            return Err(vec![Problem {
                rank: CLIENT,
                rest: 4,
                graphql: "VERSION_CONFLICT",
                path: "expectedVersion".into(),
            }]);
        }
        let mut client = present.cloned().unwrap_or_default();
        scalars(&mut client.scalars, &sent.client, &mut problems);
        if present.is_none()
            && let Some(id) = &sent.id
        {
            if self.clients.iter().any(|other| other.id == *id) {
                add(&mut problems, CLIENT, 316, "TAKEN", "client.clientId");
            }
            client.id = id.clone();
        }
        if let Some(documents) = list(&sent.documents, door, DOCUMENTS, "idDocuments", &mut problems) {
            client.documents = replaced(documents, &client.documents, DOCUMENTS, "idDocuments", &mut problems);
        }
        if let Some(addresses) = list(&sent.addresses, door, ADDRESSES, "addresses", &mut problems) {
            let first = &addresses[..addresses.len().min(1)];
            let stored: Vec<Stored> = client.address.take().into_iter().collect();
            client.address = replaced(first, &stored, ADDRESSES, "addresses", &mut problems).pop();
        }
        if let Some(values) = list(&sent.values, door, VALUES, "customInformation", &mut problems) {
            client.values = self.values(values, &client.values, access, &mut problems);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let unchanged = present == Some(&client);
        client.version += i64::from(!unchanged);
        Ok(Verdict {
            client,
            created: present.is_none(),
            unchanged,
        })
    }

    /// The path takes precedence over the key, and both must name one client.
    fn target(&self, sent: &Submission) -> Result<Option<&Client>, Problems> {
        let refused = |rest, graphql, path: &str| {
            Err(vec![Problem {
                rank: CLIENT,
                rest,
                graphql,
                path: path.into(),
            }])
        };
        let find = |name: &String| {
            self.clients
                .iter()
                .find(|client| client.id == *name || client.key == *name)
        };
        let by_path = sent.path.as_ref().map(find);
        let by_key = sent
            .key
            .as_ref()
            .map(|key| self.clients.iter().find(|client| client.key == *key));
        match (by_path, by_key) {
            (Some(None), _) => refused(301, "", "id"),
            (_, Some(None)) => refused(302, "NOT_FOUND", "client.encodedKey"),
            (Some(Some(a)), Some(Some(b))) if a.key != b.key => refused(25, "MISMATCH", "client.encodedKey"),
            (Some(found), _) | (_, Some(found)) => Ok(found),
            (None, None) if sent.match_on_id => Ok(sent.id.as_ref().and_then(find)),
            (None, None) => Ok(None),
        }
    }

    /// Values match by field. Values that the caller may not edit keep their contents and position.
    fn values(
        &self,
        sent: &[Entry],
        stored: &[StoredValue],
        access: Access,
        problems: &mut Problems,
    ) -> Vec<StoredValue> {
        let (mut named, mut values) = (HashSet::new(), Vec::new());
        for (index, Entry { field, value }) in sent.iter().enumerate() {
            let at = |member: &str| format!("customInformation.{index}.{member}");
            let link = *field == "friend";
            match *field {
                "" => add(problems, VALUES, 3600, "BLANK", at("fieldId")),
                "nonsense" => add(problems, VALUES, 903, "NOT_FOUND", at("fieldId")),
                field if !access.sees(field) => add(problems, VALUES, 15, "FORBIDDEN", at("fieldId")),
                field if !named.insert(field) => add(problems, VALUES, 918, "DUPLICATE", at("fieldId")),
                field if !access.edits(field) => {
                    let before = stored.iter().find(|value| value.field == field);
                    let same = match (value, before) {
                        (Sent::Absent, before) => before.is_some(),
                        (Sent::Value(value), Some(before)) => *value == before.value,
                        _ => false,
                    };
                    if !same {
                        add(problems, VALUES, 15, "FORBIDDEN", at("fieldId"));
                    }
                }
                field => {
                    let before = stored.iter().find(|value| value.field == field);
                    let member = at(if link { "linkedKey" } else { "value" });
                    let accepted = match (value, before) {
                        (Sent::Absent, Some(before)) => Ok(before.value.clone()),
                        (Sent::Value(value), Some(before)) if *value == before.value => Ok(value.clone()),
                        (Sent::Value(value), _) if !value.is_empty() => accept_value(field, value, self),
                        _ => Err((901, "BLANK")),
                    };
                    match accepted {
                        Ok(value) => {
                            let key = before.map(|before| before.key.clone()).unwrap_or_default();
                            values.push(StoredValue { key, field, value });
                        }
                        Err((rest, graphql)) => add(problems, VALUES, rest, graphql, member),
                    }
                }
            }
        }
        for (place, kept) in stored.iter().enumerate() {
            if !access.edits(kept.field) {
                values.insert(place.min(values.len()), kept.clone());
            }
        }
        values
    }
}

impl Client {
    /// The client as a caller sees it.
    pub fn seen_by(&self, access: Access) -> Self {
        let mut seen = self.clone();
        seen.values.retain(|value| access.sees(value.field));
        seen
    }
}

/// Absent stays; null counts as absent on the legacy route and is refused in GraphQL.
fn list<'a, T>(sent: &'a Sent<Vec<T>>, door: Door, rank: u8, name: &str, problems: &mut Problems) -> Option<&'a [T]> {
    match sent {
        Sent::Value(list) => Some(list),
        Sent::Null if door == Door::Graphql => {
            add(problems, rank, 0, "NULL_LIST", name);
            None
        }
        Sent::Null | Sent::Absent => None,
    }
}

/// Absent stays, null and `""` clear; names cannot be cleared, and a language falls back to English.
fn scalars(stored: &mut Members, sent: &BTreeMap<&'static str, Sent<Value>>, problems: &mut Problems) {
    overlay(stored, sent);
    stored.entry("preferredLanguage").or_insert(json!("ENGLISH"));
    for name in ["firstName", "lastName"] {
        if is_blank(stored.get(name)) {
            add(problems, CLIENT, 4, "BLANK", format!("client.{name}"));
        }
    }
    for (name, sent) in sent {
        if too_long(sent) {
            add(problems, CLIENT, 3742, "TOO_LONG", format!("client.{name}"));
        }
    }
    if stored.get("emailAddress").is_some_and(|address| address == "absent") {
        add(problems, CLIENT, 711, "NOT_AN_EMAIL_ADDRESS", "client.emailAddress");
    }
}

/// The list becomes the collection; members match by key and keep it.
fn replaced(sent: &[Member], stored: &[Stored], rank: u8, list: &str, problems: &mut Problems) -> Vec<Stored> {
    let rest = if rank == DOCUMENTS { 950 } else { 1150 };
    let mut named = HashSet::new();
    let replace = |(index, Member { key, members }): (usize, &Member)| {
        let own = key
            .as_ref()
            .and_then(|key| stored.iter().find(|member| member.key == *key));
        let twice = own.is_some_and(|own| !named.insert(own.key.clone()));
        if twice {
            add(problems, rank, rest, "DUPLICATE", format!("{list}.{index}.encodedKey"));
        } else if key.is_some() && own.is_none() {
            add(problems, rank, rest, "NOT_OWNED", format!("{list}.{index}.encodedKey"));
        }
        let mut member = own.filter(|_| !twice).cloned().unwrap_or_default();
        overlay(&mut member.members, members);
        for (name, sent) in members {
            if too_long(sent) {
                add(problems, rank, rest, "TOO_LONG", format!("{list}.{index}.{name}"));
            }
            if matches!(sent, Sent::Value(Value::Number(degrees)) if degrees.as_f64() > Some(90.0)) {
                add(problems, rank, rest, "INVALID", format!("{list}.{index}.{name}"));
            }
        }
        for name in ["documentType", "documentId"] {
            if rank == DOCUMENTS && is_blank(member.members.get(name)) {
                add(problems, rank, rest, "BLANK", format!("{list}.{index}.{name}"));
            }
        }
        member
    };
    sent.iter().enumerate().map(replace).collect()
}

fn overlay(stored: &mut Members, sent: &BTreeMap<&'static str, Sent<Value>>) {
    for (name, sent) in sent {
        match sent {
            Sent::Absent => {}
            Sent::Value(value) if value != "" => {
                stored.insert(name, value.clone());
            }
            Sent::Value(_) | Sent::Null => {
                stored.remove(name);
            }
        }
    }
}

fn is_blank(text: Option<&Value>) -> bool {
    text.and_then(Value::as_str).is_none_or(|text| text.trim().is_empty())
}

fn too_long(sent: &Sent<Value>) -> bool {
    matches!(sent, Sent::Value(Value::String(text)) if text.chars().count() > 255)
}
