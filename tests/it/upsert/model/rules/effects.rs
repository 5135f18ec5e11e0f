//! The effects of changed definitions on stored clients: what is refused, and what is warned of.

use super::{Client, Model, StoredValue};
use crate::upsert::model::definitions::{Change, Field};

/// A refusal or a warning: its code, the index of the field in its set, its member, and the ids of the clients.
#[derive(Debug, PartialEq)]
pub struct Effect {
    pub is_refused: bool,
    pub code: &'static str,
    pub index: usize,
    pub member: &'static str,
    pub ids: Vec<String>,
}

impl Model {
    /// The effect of a change on the stored clients; none if it concerns no client. The model has made the change.
    pub fn effect(&self, change: Change) -> Option<Effect> {
        let (id, is_refused, code, member) = match change {
            Change::State(id) => (id, false, "DEACTIVATED", "state"),
            Change::Option(id, _) => (id, false, "NOT_AN_OPTION", "options"),
            Change::Required(id) => (id, false, "REQUIRED", "required"),
            Change::Unique(id) => (id, true, "TAKEN", "unique"),
            Change::Length(id) => (id, false, "INVALID", "maxLength"),
            Change::Template(_) | Change::Addresses(_) | Change::Documents(_) => return None,
        };
        let field = self.definitions.field(id)?;
        let is_concerned = |client: &&Client| match change {
            Change::State(_) if field.is_active => is_left_without(field, client),
            Change::State(_) => of(field, client).next().is_some(),
            Change::Option(_, option) => {
                let is_dropped = field.options.iter().any(|it| it.value == option && !it.is_active);
                is_dropped && of(field, client).any(|value| value.value == option)
            }
            Change::Required(_) => is_left_without(field, client),
            Change::Unique(_) => field.is_unique && self.shares_a_value(field, client),
            _ => of(field, client).any(|value| field.accept(&value.value).is_err()),
        };
        let clients = self.clients.iter().filter(is_concerned);
        let ids: Vec<String> = clients.map(|client| client.id.clone()).collect();
        let is_activated = matches!(change, Change::State(_)) && field.is_active;
        (!ids.is_empty()).then(|| Effect {
            is_refused,
            code: if is_activated { "REQUIRED" } else { code },
            index: self
                .definitions
                .of_set(field.set)
                .position(|it| it.id == id)
                .unwrap_or_default(),
            member: if is_activated { "required" } else { member },
            ids,
        })
    }

    fn shares_a_value(&self, field: &Field, client: &Client) -> bool {
        of(field, client).any(|value| {
            let text = field.comparable(&value.value);
            let has_it = |other: &StoredValue| field.comparable(&other.value) == text;
            let mut others = self.clients.iter().filter(|other| other.key != client.key);
            others.any(|other| of(field, other).any(has_it))
        })
    }
}

fn of<'a>(field: &'a Field, client: &'a Client) -> impl Iterator<Item = &'a StoredValue> {
    client.values.iter().filter(|value| value.field == field.id)
}

/// True if the client lacks a value that the field demands; in a grouped set, one of its groups does.
fn is_left_without(field: &Field, client: &Client) -> bool {
    if !field.is_demanded(client.role) {
        return false;
    }
    let has = |group: Option<i32>| of(field, client).any(|value| value.group == group);
    match field.is_grouped() {
        true => client
            .values
            .iter()
            .any(|value| value.group.is_some() && !has(value.group)),
        false => !has(None),
    }
}
