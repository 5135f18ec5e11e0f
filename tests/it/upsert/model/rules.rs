//! The model of the rules: the client that a submission leaves, or every problem with it.
//!
//! It states `docs/upsert.md`, `docs/custom-fields.md` and `docs/client-states.md` in the simplest way, and shares no
//! code with the server.

pub mod effects;
mod members;
pub mod values;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::access::Access;
use super::definitions::{Definitions, Role};
use super::generate::{Entry, Match, Removal, Sent, Submission, Way};

pub type Members = BTreeMap<&'static str, Value>;

/// A client with its collections. A key is empty until the server has answered it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Client {
    pub key: String,
    pub id: String,
    pub version: i64,
    pub state: &'static str,
    /// The names of the dates of its state.
    pub dates: BTreeSet<&'static str>,
    pub role: &'static str,
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
    pub group: Option<i32>,
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

#[derive(Debug)]
pub struct Model {
    pub definitions: Definitions,
    /// In the order of creation.
    pub clients: Vec<Client>,
    /// Every generated key: none may be reused.
    pub keys: BTreeSet<String>,
    /// The keys of removed clients, which are no ids.
    pub removed: BTreeSet<String>,
}

// The parts of a submission, in the order in which the REST API reports them.
const TARGET: u8 = 0;
const CLIENT: u8 = 1;
const PERMISSION: u8 = 2;
const ROLE: u8 = 3;
const ASSIGNMENTS: u8 = 4;
const DOCUMENTS: u8 = 5;
const ADDRESSES: u8 = 6;
const VALUES: u8 = 7;
/// The path of a problem with the whole request.
pub const REQUEST: &str = "the request";

/// The allowed changes of state, each with the dates that it sets and clears.
const TRANSITIONS: [(&str, &str, &[&str], &[&str]); 13] = [
    ("PENDING_APPROVAL", "INACTIVE", &["approved"], &[]),
    ("PENDING_APPROVAL", "REJECTED", &[], &[]),
    ("PENDING_APPROVAL", "BLACKLISTED", &["closed"], &[]),
    ("INACTIVE", "PENDING_APPROVAL", &[], &["approved"]),
    ("INACTIVE", "ACTIVE", &["activated"], &[]),
    ("INACTIVE", "EXITED", &["closed"], &[]),
    ("INACTIVE", "BLACKLISTED", &["closed"], &[]),
    ("ACTIVE", "INACTIVE", &[], &[]),
    ("ACTIVE", "EXITED", &["closed"], &[]),
    ("ACTIVE", "BLACKLISTED", &["closed"], &[]),
    ("EXITED", "INACTIVE", &[], &["closed"]),
    ("BLACKLISTED", "INACTIVE", &["approved"], &["closed"]),
    ("REJECTED", "PENDING_APPROVAL", &[], &[]),
];

pub type Problems = Vec<Problem>;

fn problem(rank: u8, rest: u16, graphql: &'static str, path: impl Into<String>) -> Problem {
    Problem {
        rank,
        rest,
        graphql,
        path: path.into(),
    }
}

fn add(problems: &mut Problems, rank: u8, rest: u16, graphql: &'static str, path: impl Into<String>) {
    problems.push(problem(rank, rest, graphql, path));
}

impl Model {
    pub fn new(definitions: Definitions) -> Self {
        Self {
            definitions,
            clients: Vec::new(),
            keys: BTreeSet::new(),
            removed: BTreeSet::new(),
        }
    }

    pub fn store(&mut self, client: Client) {
        match self.clients.iter_mut().find(|stored| stored.key == client.key) {
            Some(stored) => *stored = client,
            None => self.clients.push(client),
        }
    }

    /// Deletes or erases a client. It can't be deleted while others link to it.
    pub fn remove(&mut self, name: &str, how: Removal, access: Access) -> Result<(), Problem> {
        if !access.remove {
            return Err(problem(PERMISSION, 15, "FORBIDDEN", REQUEST));
        }
        let found = self
            .clients
            .iter()
            .position(|client| client.id == name || client.key == name);
        let Some(place) = found else {
            return Err(problem(TARGET, 301, "NOT_FOUND", "by"));
        };
        let key = self.clients[place].key.clone();
        let links = |value: &StoredValue| value.field == "friend" && value.value == key;
        let mut others = self.clients.iter().filter(|client| client.key != key);
        if how != Removal::Erasure && others.any(|client| client.values.iter().any(links)) {
            return Err(problem(TARGET, 927, "STILL_LINKED", "by"));
        }
        self.clients.remove(place);
        self.removed.insert(key);
        Ok(())
    }

    /// The client with this value of a unique field.
    pub fn holder(&self, field: &str, value: &str) -> Option<&Client> {
        let field = self.definitions.field(field)?;
        let has_it = |stored: &StoredValue| {
            stored.field == field.id && field.comparable(&stored.value) == field.comparable(value)
        };
        self.clients.iter().find(|client| client.values.iter().any(has_it))
    }

    pub fn judge(&self, sent: &Submission) -> Result<Verdict, Problems> {
        let access = sent.access;
        if !access.may_try(sent.way) {
            return Err(vec![problem(PERMISSION, 15, "FORBIDDEN", REQUEST)]);
        }
        let present = self.target(sent)?;
        let mut problems = Problems::new();
        let mut client = present.cloned().unwrap_or_else(|| self.new_client());
        self.scalars(&mut client, sent, present, &mut problems);
        if !is_permitted(sent, present) {
            // The caller learns nothing about the stored client.
            problems.retain(|problem| !["NOT_EDITABLE", "INVALID_TRANSITION"].contains(&problem.graphql));
            problems.retain(|problem| problem.rank < PERMISSION);
            add(&mut problems, PERMISSION, 15, "FORBIDDEN", "");
            return Err(problems);
        }
        let version = present.map_or(0, |client| client.version);
        if sent.expected_version.is_some_and(|expected| expected != version) {
            return Err(vec![problem(CLIENT, 4, "VERSION_CONFLICT", "expectedVersion")]);
        }
        self.id(&mut client, sent, present, &mut problems);
        if matches!(sent.way, Way::Post | Way::Upsert) {
            self.members(&mut client, sent, present, &mut problems);
        }
        client.values = self.values(&client, sent, present, &mut problems);
        if let Some(present) = present
            && present.state == "BLACKLISTED"
            && (problems.iter().any(|problem| !is_of_state(problem)) || exceeds_state(present, &client))
        {
            return Err(vec![problem(CLIENT, 3741, "BLACKLISTED", "client")]);
        }
        let taken = self.taken(&client, sent, &problems);
        problems.extend(taken);
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

    fn new_client(&self) -> Client {
        let dates: &[&str] = match self.definitions.first_state {
            "PENDING_APPROVAL" => &[],
            "INACTIVE" => &["approved"],
            _ => &["approved", "activated"],
        };
        Client {
            state: self.definitions.first_state,
            dates: dates.iter().copied().collect(),
            role: "client",
            ..Client::default()
        }
    }

    /// The path takes precedence over the key, and both must name one client.
    fn target(&self, sent: &Submission) -> Result<Option<&Client>, Problems> {
        let refused = |rest, graphql, path: &str| Err(vec![problem(TARGET, rest, graphql, path)]);
        if let Match::Field(field, value) = sent.matched {
            if !sent.access.edits(field) {
                return refused(0, "FORBIDDEN", "matchCustomField.fieldId");
            }
            if value.is_empty() {
                return refused(0, "BLANK", "matchCustomField.value");
            }
            if value == "x" {
                return refused(0, "NOT_A_NUMBER", "matchCustomField.value");
            }
            return Ok(self.holder(field, value));
        }
        let find = |name: &String| {
            self.clients
                .iter()
                .find(|client| client.id == *name || client.key == *name)
        };
        let by_path = sent.path.as_ref().map(find);
        let by_key = sent.key.as_ref();
        let by_key = by_key.map(|key| self.clients.iter().find(|client| client.key == *key));
        match (by_path, by_key) {
            (Some(None), _) => refused(301, "NOT_FOUND", "by"),
            (_, Some(None)) => refused(302, "NOT_FOUND", "client.encodedKey"),
            (Some(Some(a)), Some(Some(b))) if a.key != b.key => refused(25, "MISMATCH", "client.encodedKey"),
            (Some(found), _) | (_, Some(found)) => Ok(found),
            (None, None) if sent.matched == Match::Id => match &sent.id {
                Some(id) if id.trim().is_empty() => refused(0, "BLANK", "client.clientId"),
                id => Ok(self.clients.iter().find(|client| Some(&client.id) == id.as_ref())),
            },
            (None, None) => Ok(None),
        }
    }

    /// The role that the client has after this, also if there is no role of this id.
    pub fn role_after(&self, present: Option<&Client>, sent: &super::generate::Members) -> &Role {
        let stored = present.map_or("client", |client| client.role);
        let id = match sent.get("role") {
            Some(Sent::Value(Value::String(id))) => id,
            Some(Sent::Null) => "client",
            _ => stored,
        };
        let role = self.definitions.role(id).or_else(|| self.definitions.role(stored));
        role.expect("the stored role exists")
    }

    /// Absent stays, null and `""` clear; names can't be cleared, and a language falls back to English. In a PATCH,
    /// null stays, and any blank text clears.
    fn scalars(&self, client: &mut Client, sent: &Submission, present: Option<&Client>, problems: &mut Problems) {
        for (name, value) in &sent.client {
            let value = match value {
                Sent::Null if sent.way == Way::Patch => &Sent::Absent,
                Sent::Value(Value::String(text)) if sent.way == Way::Patch && text.trim().is_empty() => &Sent::Null,
                value => value,
            };
            match *name {
                "role" => {
                    let unknown = matches!(value, Sent::Value(id) if id == "absent");
                    if unknown {
                        add(problems, ROLE, 306, "NOT_FOUND", "client.clientRole.roleId");
                    } else if *value != Sent::Absent {
                        client.role = self.role_after(present, &sent.client).id;
                    }
                }
                "state" => state(client, value, sent, present.is_some(), problems),
                _ => members::overlay(&mut client.scalars, name, value),
            }
            if members::is_too_long(value) {
                add(problems, CLIENT, 3742, "TOO_LONG", format!("client.{name}"));
            }
        }
        let stored = &mut client.scalars;
        stored.entry("preferredLanguage").or_insert(json!("ENGLISH"));
        for name in ["firstName", "lastName"] {
            if members::is_blank(stored.get(name)) {
                add(problems, CLIENT, 4, "BLANK", format!("client.{name}"));
            }
        }
        if stored.get("emailAddress").is_some_and(|address| address == "absent") {
            add(problems, CLIENT, 711, "NOT_AN_EMAIL_ADDRESS", "client.emailAddress");
        }
        if stored.get("assignedBranchKey").is_some_and(|key| key == "no key") {
            add(problems, ASSIGNMENTS, 4, "MALFORMED", "client.assignedBranchKey");
        }
        if let Some(problem) = self.form_of_id(sent, present) {
            problems.push(problem);
        }
    }

    /// The problem with the chosen id itself.
    fn form_of_id(&self, sent: &Submission, present: Option<&Client>) -> Option<Problem> {
        let id = sent
            .id
            .as_ref()
            .filter(|id| present.is_none_or(|client| client.id != **id))?;
        if present.is_some() && !sent.way.is_patch() {
            return Some(problem(CLIENT, 1906, "NOT_EDITABLE", "client.clientId"));
        }
        match id.as_str() {
            " " => Some(problem(CLIENT, 4, "BLANK", "client.clientId")),
            "search" => Some(problem(CLIENT, 316, "TAKEN", "client.clientId")),
            _ => None,
        }
    }

    /// The id is unique, and isn't the key of another client, also of a removed one.
    fn id(&self, client: &mut Client, sent: &Submission, present: Option<&Client>, problems: &mut Problems) {
        let Some(id) = &sent.id else { return };
        if present.is_some_and(|client| client.id == *id || !sent.way.is_patch()) {
            return;
        }
        if self.clients.iter().any(|other| other.id == *id || other.key == *id) || self.removed.contains(id) {
            add(problems, CLIENT, 316, "TAKEN", "client.clientId");
        }
        client.id.clone_from(id);
    }

    /// Refuses values of unique fields that other clients have. A value with another problem isn't looked for.
    fn taken(&self, client: &Client, sent: &Submission, others: &[Problem]) -> Problems {
        let mut problems = Problems::new();
        let mut seen = BTreeSet::new();
        for StoredValue { field, value, .. } in &client.values {
            let Some(field) = self.definitions.field(field).filter(|field| field.is_unique) else {
                continue;
            };
            let comparable = field.comparable(value);
            let has_it =
                |stored: &StoredValue| stored.field == field.id && field.comparable(&stored.value) == comparable;
            let clients = self.clients.iter().filter(|other| other.key != client.key);
            let is_taken = clients.flat_map(|other| &other.values).any(has_it);
            if is_taken && seen.insert((field.id, comparable.clone())) {
                let list = match &sent.values {
                    Sent::Value(list) => list.as_slice(),
                    _ => &[],
                };
                let has_it = |entry: &Entry| match &entry.value {
                    Sent::Value(text) => entry.field == field.id && field.comparable(text) == comparable,
                    _ => false,
                };
                let at = |index: usize| format!("customInformation.{index}.");
                let is_sound = |index: &usize| others.iter().all(|other| !other.path.starts_with(&at(*index)));
                let sent = list.iter().enumerate().filter(|(_, entry)| has_it(entry));
                if let Some(index) = sent.map(|(index, _)| index).find(is_sound) {
                    add(&mut problems, VALUES, 926, "TAKEN", format!("{}value", at(index)));
                }
            }
        }
        problems
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

/// The permission to create or to edit, and to change the state, as far as the submission needs it.
fn is_permitted(sent: &Submission, present: Option<&Client>) -> bool {
    let access = sent.access;
    let Some(present) = present else { return access.create };
    let state = match sent.client.get("state") {
        Some(Sent::Value(state)) if sent.way.is_patch() => Some(state),
        _ => None,
    };
    let is_named = |name: &str, value: &Sent<Value>| {
        let is_sent = match value {
            Sent::Absent => false,
            Sent::Null => sent.way != Way::Patch,
            Sent::Value(_) => true,
        };
        name != "state" && is_sent
    };
    let edits = state.is_none() || sent.id.is_some() || sent.client.iter().any(|(name, value)| is_named(name, value));
    let moves = state.is_some_and(|state| !edits || *state != present.state);
    (!edits || access.edit) && (!moves || access.change_state)
}

/// In a PATCH, the state changes by the transitions. A POST can only repeat it, and a new client can be sent INACTIVE.
fn state(client: &mut Client, sent: &Sent<Value>, all: &Submission, is_present: bool, problems: &mut Problems) {
    let Sent::Value(Value::String(wanted)) = sent else {
        return;
    };
    if *wanted == client.state {
        return;
    }
    if !all.way.is_patch() {
        if is_present || wanted != "INACTIVE" {
            add(problems, CLIENT, 305, "NOT_EDITABLE", "client.state");
        }
        return;
    }
    let found = TRANSITIONS
        .iter()
        .find(|(from, to, ..)| *from == client.state && to == wanted);
    let Some((_, to, set, cleared)) = found else {
        let path = if all.way == Way::State { "state" } else { "client.state" };
        return add(problems, CLIENT, 312, "INVALID_TRANSITION", path);
    };
    client.state = to;
    client.dates.extend(*set);
    client.dates.retain(|date| !cleared.contains(date));
}

fn is_of_state(problem: &Problem) -> bool {
    problem.path == "client.state" || problem.path == "state"
}

fn exceeds_state(before: &Client, after: &Client) -> bool {
    let without_state = |client: &Client| Client {
        state: "",
        dates: BTreeSet::new(),
        ..client.clone()
    };
    without_state(before) != without_state(after)
}
