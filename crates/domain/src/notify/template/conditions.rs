//! Which clients a template is for.

use serde::{Deserialize, Serialize};

use crate::{
    access::Rights,
    client::{Aggregate, ClientState},
    custom_field::Definitions,
    notify::hidden::HIDDEN,
};

/// All of these must hold. An empty list asks for nothing, and so does one that wasn't known yet when it was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// The keys of roles, one of which the client must have.
    pub roles: Vec<String>,
    /// States, in one of which the client must be.
    pub states: Vec<ClientState>,
    pub fields: Vec<FieldCondition>,
}

/// A custom field must have this value. A field that is no more has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldCondition {
    pub field_key: String,
    /// The value in its canonical text; for links, the key of what is linked.
    pub value: String,
}

impl Conditions {
    /// Whether they hold for a client that was loaded with its custom field values, if any are asked for.
    pub fn hold(&self, aggregate: &Aggregate) -> bool {
        let client = &aggregate.client;
        let role = self.roles.is_empty() || self.roles.contains(&client.client_role_key);
        let state = self.states.is_empty() || self.states.iter().any(|state| state.as_str() == client.state);
        role && state && self.fields.iter().all(|field| field.holds(aggregate))
    }
}

impl Conditions {
    /// Returns true when one of them is on a value that a caller with these rights may not see. The value of a field
    /// that no longer exists may be of any set.
    pub fn depend_on_hidden(&self, definitions: &Definitions, rights: &Rights) -> bool {
        let is_shown = |field: &FieldCondition| {
            let known = definitions.field_of_key(&field.field_key);
            rights.views_all() || known.is_some_and(|known| known.is_shown(rights))
        };
        !self.fields.iter().all(is_shown)
    }
}

impl FieldCondition {
    /// The value, as far as somebody with these rights may see it: who knows it, and which clients got a message, would know
    /// what they have. That of a field that is no more may be of any set.
    pub fn shown(&self, definitions: &Definitions, rights: &Rights) -> &str {
        let field = definitions.field_of_key(&self.field_key);
        match rights.views_all() || field.is_some_and(|field| field.is_shown(rights)) {
            true => &self.value,
            false => HIDDEN,
        }
    }

    fn holds(&self, aggregate: &Aggregate) -> bool {
        let values = aggregate.custom_values.iter().flatten();
        values
            .filter(|value| value.field_key == self.field_key)
            .any(|value| value.value.as_ref().or(value.linked_key.as_ref()) == Some(&self.value))
    }
}
