//! The audit record of a change to a message template: the members that differ, under their GraphQL names.

use std::collections::{BTreeMap, BTreeSet};

use entity::{message_template, message_variant};

use super::{Conditions, Template};
use crate::{
    audit::{Member, Members},
    definitions::Definitions,
};

/// A template's row and its current variants.
pub(super) type State<'a> = (&'a message_template::Model, Vec<&'a message_variant::Model>);

pub(super) fn state(template: &Template) -> State<'_> {
    (
        &template.row,
        template.variants.iter().map(|variant| &variant.row).collect(),
    )
}

/// Returns the members in which the states differ; none is a template that doesn't exist.
pub(super) fn members(before: Option<&State<'_>>, after: Option<&State<'_>>, definitions: &Definitions) -> Vec<Member> {
    let mut found = Vec::new();
    use message_template::Column::{Active, Channel, DefaultLanguage, Event, Name, Position, TemplateId};
    let columns = [TemplateId, Name, Event, Channel, Active, DefaultLanguage, Position];
    let [was, is] = [before, after].map(|state| state.map(|(row, _)| *row));
    Members::new(&mut found).columns(was, is, columns);

    let [was, is] = [before, after].map(|state| state.map(|(row, _)| read(&row.conditions)));
    conditions(was, is, definitions, &mut found);

    let variants = |state: Option<&State<'_>>| -> BTreeSet<String> {
        let variants = state.iter().flat_map(|(_, variants)| variants);
        variants.map(|variant| variant.language.clone()).collect()
    };
    for language in &variants(before) | &variants(after) {
        use message_variant::Column::{Html, Subject, Text};
        let [before, after] = [before, after].map(|state| {
            let mut variants = state.into_iter().flat_map(|(_, variants)| variants.iter().copied());
            variants.find(|variant| variant.language == language)
        });
        Members::below(&mut found, &["variants", &language]).columns(before, after, [Subject, Text, Html]);
    }
    found
}

/// A condition's value is shown only to readers who may see the field's values: with it and the recipients of messages,
/// they know the clients' values.
fn conditions(
    before: Option<Conditions>,
    after: Option<Conditions>,
    definitions: &Definitions,
    found: &mut Vec<Member>,
) {
    let split = |state: Option<Conditions>| {
        state.map(|mut state| {
            let fields = std::mem::take(&mut state.fields).into_iter();
            let fields: BTreeMap<String, String> = fields.map(|field| (field.field_key, field.value)).collect();
            (
                serde_json::json!({ "roles": state.roles, "states": state.states }).to_string(),
                fields,
            )
        })
    };
    let [before, after] = [split(before), split(after)];
    let [was, is] = [&before, &after].map(|state| state.as_ref().map(|(own, _)| own.as_str()));
    Members::new(found).text("conditions", was, is);
    let [before, after] = [before, after].map(|state| state.map(|(_, fields)| fields).unwrap_or_default());
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let field = definitions.field_of_key(key);
        let id = field.map_or(key, |field| &field.row.field_id);
        let mut members = Members::below(found, &["conditions", "customFields", id]);
        // The set of a field that no longer exists is unknown: without an id, only readers who see all sets see it.
        members.set = Some(field.map_or_else(String::new, |field| field.set.set_id.clone()));
        members.text(
            "value",
            before.get(key).map(String::as_str),
            after.get(key).map(String::as_str),
        );
    }
}

/// Stored conditions can always be read: this program wrote them.
fn read(conditions: &str) -> Conditions {
    serde_json::from_str(conditions).unwrap_or_default()
}
