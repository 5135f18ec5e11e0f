//! The conditions on the clients of a template.

use crate::{
    caller::Rights,
    client::Aggregate,
    definitions::{Conditions, Definitions, FieldCondition},
    notify::hidden::HIDDEN,
};

impl Conditions {
    /// Returns true if they hold for a client, which must be loaded with its custom field values if any condition needs
    /// them.
    pub fn hold(&self, aggregate: &Aggregate) -> bool {
        let client = &aggregate.client;
        let role = self.roles.is_empty() || self.roles.contains(&client.client_role_key);
        let state = self.states.is_empty() || self.states.iter().any(|state| state.as_str() == client.state);
        role && state && self.fields.iter().all(|field| field.holds(aggregate))
    }
}

impl Conditions {
    /// Returns true if one of them is on a value that a caller with these rights may not see. The value of a field that
    /// no longer exists can be of any set.
    pub fn depend_on_hidden(&self, definitions: &Definitions, rights: &Rights) -> bool {
        let is_shown = |field: &FieldCondition| {
            let known = definitions.field_of_key(&field.field_key);
            rights.views_all() || known.is_some_and(|known| known.is_shown(rights))
        };
        !self.fields.iter().all(is_shown)
    }
}

impl FieldCondition {
    /// Returns the value, masked if a reader with these rights may not see it: with it and the recipients of messages,
    /// they would know the clients' values. The value of a field that no longer exists can be of any set.
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
