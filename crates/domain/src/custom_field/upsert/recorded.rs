//! The audit record of a change to a custom field set: the members that differ, under their GraphQL names.

use entity::{custom_field, custom_field_option, custom_field_set};

use super::Plan;
use crate::{
    audit::{Member, Members},
    definitions::Definitions,
};

/// The members in which the plan differs from what is stored; all it has when it is new.
pub(super) fn members(plan: &Plan, before: &Definitions) -> Vec<Member> {
    let mut found = Vec::new();
    let custom_field_set::Model {
        encoded_key,
        set_id,
        name,
        usage,
        position,
    } = &plan.set;
    let stored = before.set_of_key(encoded_key);
    let mut set = Members::new(&mut found);
    set.text("setId", stored.map(|of| of.set_id.as_str()), Some(set_id));
    set.text("name", stored.map(|of| of.name.as_str()), Some(name));
    set.text("usage", stored.map(|of| of.usage.as_str()), Some(usage));
    set.value(
        "position",
        stored.map(|of| of.position),
        Some(*position),
        i32::to_string,
    );
    for (row, options) in &plan.fields {
        let stored = before.field_of_key(&row.encoded_key);
        let stored = stored.map(|field| (&field.row, field.options.as_slice()));
        field(stored, Some((row, options)), &mut found);
    }
    for key in &plan.removed {
        let stored = before.field_of_key(key);
        let stored = stored.map(|field| (&field.row, field.options.as_slice()));
        field(stored, None, &mut found);
    }
    found
}

/// A field with what it offers.
type Field<'a> = (&'a custom_field::Model, &'a [custom_field_option::Model]);

fn field(before: Option<Field<'_>>, after: Option<Field<'_>>, found: &mut Vec<Member>) {
    let Some(id) = after.or(before).map(|(row, _)| &row.field_id) else {
        return;
    };
    let mut members = Members::below(found, &["fields", id]);
    let mut text = |name, of: fn(&custom_field::Model) -> Option<&str>| {
        let [before, after] = [before, after].map(|field| field.and_then(|(row, _)| of(row)));
        members.text(name, before, after);
    };
    text("name", |of| Some(&of.name));
    text("description", |of| of.description.as_deref());
    text("type", |of| Some(&of.kind));
    text("state", |of| Some(&of.state));
    text("pattern", |of| of.pattern.as_deref());
    let mut number = |name, of: fn(&custom_field::Model) -> Option<i32>| {
        let [before, after] = [before, after].map(|field| field.and_then(|(row, _)| of(row)));
        members.value(name, before, after, i32::to_string);
    };
    number("maxLength", |of| of.max_length);
    number("position", |of| Some(of.position));
    let [was, is] = [before, after].map(|field| field.map(|(row, _)| row.required));
    members.value("required", was, is, bool::to_string);
    let values = |(_, options): Field<'_>| -> Option<Vec<String>> {
        let values: Vec<String> = options.iter().map(|option| option.value.clone()).collect();
        (!values.is_empty()).then_some(values)
    };
    let as_json = |values: &Vec<String>| serde_json::to_string(values).unwrap_or_default();
    members.value("options", before.and_then(values), after.and_then(values), as_json);
}
