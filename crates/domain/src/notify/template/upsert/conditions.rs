//! Checks a template's conditions.

use std::collections::HashSet;

use async_graphql::MaybeUndefined;

use super::{MessageConditionsInput, MessageFieldConditionInput};
use crate::member::Problems;
use crate::{
    caller::Rights,
    client_by::ClientRoleBy,
    definitions::Definitions,
    enums::ClientState,
    notify::{
        hidden::HIDDEN,
        template::{Conditions, FieldCondition, Template},
    },
};
use clientele_core::{
    path,
    problem::{Message, ProblemCode},
};

const MOST: usize = 100;

/// Returns the resulting conditions.
pub(super) fn conditions(
    sent: &MaybeUndefined<MessageConditionsInput>,
    stored: Option<&Template>,
    known: &Definitions,
    rights: &Rights,
    problems: &mut Problems,
) -> Conditions {
    let input = match sent {
        MaybeUndefined::Undefined => return stored.map(|template| template.conditions.clone()).unwrap_or_default(),
        MaybeUndefined::Null => return Conditions::default(),
        MaybeUndefined::Value(input) => input,
    };
    let MessageConditionsInput {
        client_roles,
        states,
        custom_fields,
    } = input;
    Conditions {
        roles: roles(listed("clientRoles", client_roles, problems), known, problems),
        states: self::states(listed("states", states, problems)),
        fields: {
            let before = stored.map(|template| template.conditions.fields.as_slice());
            let sent = listed("customFields", custom_fields, problems);
            fields(sent, before.unwrap_or_default(), known, rights, problems)
        },
    }
}

fn listed<'a, T>(name: &'static str, sent: &'a Option<Vec<T>>, problems: &mut Problems) -> &'a [T] {
    let list = sent.as_deref().unwrap_or_default();
    if list.len() > MOST {
        let message = format!("Send at most {MOST} {name}.");
        problems.add(ProblemCode::TooMany, path!["conditions", name], message);
        return &[];
    }
    list
}

/// Returns the keys of the roles; one that is named twice counts once.
fn roles(sent: &[ClientRoleBy], known: &Definitions, problems: &mut Problems) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for (index, by) in sent.iter().enumerate() {
        let (role, name) = match by {
            ClientRoleBy::EncodedKey(key) => (known.role_of_key(key), "encodedKey"),
            ClientRoleBy::RoleId(id) => (known.roles.iter().find(|role| role.role_id == *id), "roleId"),
        };
        match role {
            Some(role) if keys.contains(&role.encoded_key) => {}
            Some(role) => keys.push(role.encoded_key.clone()),
            None => {
                let message = Message::from("There is no client role of this name").listed_by("clientRoles");
                let place = path!["conditions", "clientRoles", index, name];
                problems.add(ProblemCode::NotFound, place, message);
            }
        }
    }
    keys
}

fn states(sent: &[ClientState]) -> Vec<ClientState> {
    let mut states = Vec::new();
    for state in sent {
        if !states.contains(state) {
            states.push(*state);
        }
    }
    states
}

fn fields(
    sent: &[MessageFieldConditionInput],
    stored: &[FieldCondition],
    known: &Definitions,
    rights: &Rights,
    problems: &mut Problems,
) -> Vec<FieldCondition> {
    let (mut conditions, mut seen) = (Vec::new(), HashSet::new());
    for (index, MessageFieldConditionInput { field_id, value }) in sent.iter().enumerate() {
        let place = |name: &'static str| path!["conditions", "customFields", index, name];
        let Some(field) = known.field(field_id) else {
            let message = Message::from("There is no custom field with this id").listed_by("customFieldSets");
            problems.add(ProblemCode::NotFound, place("fieldId"), message);
            continue;
        };
        if !seen.insert(field_id) {
            let message = "A field is named twice: it has one value, so that no client would be meant.";
            problems.add(ProblemCode::Duplicate, place("fieldId"), message);
        }
        if value.is_empty() {
            let message = "A condition needs a value that the field must have.";
            problems.add(ProblemCode::Blank, place("value"), message);
            continue;
        }
        // The recipients of its messages would reveal the values. A stored condition can stay in its masked form: if
        // its value were accepted, the caller could guess it.
        if !field.is_shown(rights) {
            let stored = stored
                .iter()
                .find(|condition| condition.field_key == field.row.encoded_key);
            match stored.filter(|_| value == HIDDEN) {
                Some(stored) => conditions.push(stored.clone()),
                None => {
                    let message = "You may not see the values of this custom field, nor choose clients by them.";
                    problems.add(ProblemCode::Forbidden, place("fieldId"), message);
                }
            }
            continue;
        }
        match field.accept(value) {
            Ok(value) => conditions.push(FieldCondition {
                field_key: field.row.encoded_key.clone(),
                value,
            }),
            Err((code, message)) => problems.add(code, place("value"), message),
        }
    }
    conditions
}
