//! Selections whose options depend on the value of another selection of the set, their parent.

use std::collections::HashSet;

use async_graphql::MaybeUndefined;

use super::{CustomFieldInput, Plan};
use crate::{
    definitions::{Definitions, Kind, for_values},
    member::Problems,
};
use clientele_core::{
    path,
    problem::{Message, ProblemCode},
};

/// Enters the parents of the fields in the plan, and checks them and the options.
pub(super) fn resolve(inputs: &[CustomFieldInput], plan: &mut Plan, problems: &mut Problems) {
    let mut unresolved = HashSet::new();
    for (index, input) in inputs.iter().enumerate() {
        match &input.parent_field_id {
            MaybeUndefined::Undefined => {}
            MaybeUndefined::Null => plan.fields[index].row.parent_key = None,
            MaybeUndefined::Value(id) => {
                let parent = plan.fields.iter().find(|field| field.row.field_id == *id);
                let key = parent.map(|parent| parent.row.encoded_key.clone());
                let is_known = key.is_some();
                plan.fields[index].row.parent_key = key;
                if !is_known {
                    let message = Message::of_member("parentFieldId", " must name a field of this set.");
                    problems.add(ProblemCode::NotFound, path!["fields", index, "parentFieldId"], message);
                    unresolved.insert(index);
                }
            }
        }
    }
    for index in (0..plan.fields.len()).filter(|index| !unresolved.contains(index)) {
        check(index, plan, problems);
    }
}

fn check(index: usize, plan: &Plan, problems: &mut Problems) {
    let field = &plan.fields[index];
    let parent_of = |key: &str| plan.fields.iter().find(|field| field.row.encoded_key == key);
    let is_selection = |kind: &str| kind == Kind::Selection.as_str();
    let mut refuse = |code, member: &'static str, message: &'static str| {
        problems.add(code, path!["fields", index, member], message);
    };
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
    let is_value = |value: &String| parent.options.iter().any(|option| option.value == *value);
    for (at, option) in field.options.iter().enumerate() {
        if !for_values(option).iter().all(is_value) {
            let message = "Each of forValues must be an option of the parent field.";
            let place = path!["fields", index, "options", at, "forValues"];
            problems.add(ProblemCode::NotFound, place, message);
        }
    }
}

/// The id of the field with this key.
pub(super) fn id_of(key: &str, plan: &Plan, before: &Definitions) -> Option<String> {
    let planned = plan.fields.iter().find(|field| field.row.encoded_key == key);
    let planned = planned.map(|field| field.row.field_id.clone());
    planned.or_else(|| before.field_of_key(key).map(|field| field.row.field_id.clone()))
}
