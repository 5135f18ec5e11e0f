//! Selections whose options depend on the value of another selection of the set, their parent.

use std::collections::{HashMap, HashSet};

use async_graphql::MaybeUndefined;
use entity::custom_field_option;

use super::{CustomFieldInput, Plan, PlannedField};
use crate::{
    definitions::{Definitions, FieldState, Kind, for_values},
    member::Problems,
};
use clientele_core::{
    path,
    problem::{Message, ProblemCode},
};

/// Enters the parents of the fields in the plan, and checks them and the options. `inputs` are the first fields of the
/// plan; the others are kept, because clients have values of them.
pub(super) fn resolve(inputs: &[CustomFieldInput], plan: &mut Plan, problems: &mut Problems) {
    let keys = plan.fields.iter().map(|field| &field.row);
    let keys: HashMap<String, String> = keys
        .map(|row| (row.field_id.clone(), row.encoded_key.clone()))
        .collect();
    let planned: HashSet<&String> = keys.values().collect();
    let mut unresolved = HashSet::new();
    for (index, (input, field)) in inputs.iter().zip(&mut plan.fields).enumerate() {
        match &input.parent_field_id {
            MaybeUndefined::Undefined => {}
            MaybeUndefined::Null => field.row.parent_key = None,
            MaybeUndefined::Value(id) => {
                field.row.parent_key = keys.get(id).cloned();
                if field.row.parent_key.is_none() {
                    let message = Message::of_member("parentFieldId", " must name a field of this set.");
                    problems.add(ProblemCode::NotFound, path!["fields", index, "parentFieldId"], message);
                    unresolved.insert(index);
                }
            }
        }
    }
    for field in plan.fields.iter_mut().skip(inputs.len()) {
        field.row.parent_key.take_if(|key| !planned.contains(key));
    }
    let inputs = inputs.iter().enumerate();
    for (index, input) in inputs.filter(|(index, _)| !unresolved.contains(index)) {
        check(index, input, plan, problems);
    }
}

fn check(index: usize, input: &CustomFieldInput, plan: &Plan, problems: &mut Problems) {
    let field = &plan.fields[index];
    let parent_of = |key: &str| plan.fields.iter().find(|field| field.row.encoded_key == key);
    let is_selection = |kind: &str| kind == Kind::Selection.as_str();
    let mut refuse = |code, member: &'static str, message: &'static str| {
        problems.add(code, path!["fields", index, member], message);
    };
    let is_used = is_active(&field.row.state) && is_selection(&field.row.kind);
    if is_used && !field.options.is_empty() && active(field).next().is_none() {
        let message = "An active SELECTION field needs an active option: deactivate the field instead.";
        return refuse(ProblemCode::Blank, "options", message);
    }
    let Some(key) = &field.row.parent_key else {
        if field.options.iter().any(|option| option.for_values.is_some()) {
            let message = "Only options of a field with a parentFieldId have forValues: send [].";
            refuse(ProblemCode::Invalid, "options", message);
        }
        return;
    };
    let Some(parent) = parent_of(key) else {
        let message = "The parent of this field isn't in the list: list it, or send null.";
        return refuse(ProblemCode::NotFound, "parentFieldId", message);
    };
    if !is_selection(&field.row.kind) || !is_selection(&parent.row.kind) {
        let message = "Only a SELECTION field has a parent, and the parent must be one, too.";
        return refuse(ProblemCode::Invalid, "parentFieldId", message);
    }
    // A chain of parents that is longer than the list goes in a circle.
    let mut ancestors = std::iter::successors(Some(field), |field| parent_of(field.row.parent_key.as_deref()?));
    if ancestors.nth(plan.fields.len()).is_some() {
        let message = "A field can't be its own parent, directly or through others.";
        return refuse(ProblemCode::Invalid, "parentFieldId", message);
    }
    let values: HashSet<&String> = parent.options.iter().map(|option| &option.value).collect();
    // Options after those of the list are kept, because clients have them.
    let sent = input.options.value().map(Vec::len);
    let checked = sent.unwrap_or(field.options.len());
    let count = problems.0.len();
    for (at, option) in field.options.iter().take(checked).enumerate() {
        if !for_values(option).iter().all(|value| values.contains(value)) {
            let message = "Each of forValues must be an option of the parent field.";
            match sent {
                Some(_) => {
                    let place = path!["fields", index, "options", at, "forValues"];
                    problems.add(ProblemCode::NotFound, place, message);
                }
                None => return problems.add(ProblemCode::NotFound, path!["fields", index, "options"], message),
            }
        }
    }
    if problems.0.len() == count
        && is_used
        && let Err((member, message)) = can_be_used(field, parent)
    {
        problems.add(ProblemCode::Invalid, path!["fields", index, member], message);
    }
}

/// Checks that clients can have a value of an active field, which needs a value of its parent.
///
/// # Errors
/// The member of the field at fault, and a message.
fn can_be_used(field: &PlannedField, parent: &PlannedField) -> Result<(), (&'static str, &'static str)> {
    if !is_active(&parent.row.state) {
        let message = "The parent of an active field must be active: deactivate both, or send null.";
        return Err(("parentFieldId", message));
    }
    let has_role = |role: &str| parent.roles.iter().any(|of_parent| of_parent.role_key == role);
    let is_available =
        parent.roles.is_empty() || !field.roles.is_empty() && field.roles.iter().all(|role| has_role(&role.role_key));
    if !is_available {
        let message = "The parent of a field must be available to all client roles of the field.";
        return Err(("clientRoles", message));
    }
    let of_parent: HashSet<&String> = active(parent).map(|option| &option.value).collect();
    let is_reachable = |option: &custom_field_option::Model| {
        let values = for_values(option);
        values.is_empty() || values.iter().any(|value| of_parent.contains(value))
    };
    // A parent without active options is refused itself.
    match of_parent.is_empty() || active(field).any(is_reachable) {
        true => Ok(()),
        false => Err((
            "options",
            "An option must be available for an active option of the parent field.",
        )),
    }
}

fn active(field: &PlannedField) -> impl Iterator<Item = &custom_field_option::Model> {
    field.options.iter().filter(|option| is_active(&option.state))
}

fn is_active(state: &str) -> bool {
    state == FieldState::Active.as_str()
}

/// The id of the field with this key.
pub(super) fn id_of(key: &str, plan: &Plan, before: &Definitions) -> Option<String> {
    let planned = plan.fields.iter().find(|field| field.row.encoded_key == key);
    let planned = planned.map(|field| field.row.field_id.clone());
    planned.or_else(|| before.field_of_key(key).map(|field| field.row.field_id.clone()))
}
