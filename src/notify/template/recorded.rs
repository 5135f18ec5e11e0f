//! What the history records of a message template: the members that differ, in the names of the GraphQL API.

use std::collections::BTreeSet;

use entity::{message_template, message_variant};

use super::Template;
use crate::history::{Member, Members};

/// A template's row and its present variants.
pub(super) type State<'a> = (&'a message_template::Model, Vec<&'a message_variant::Model>);

pub(super) fn state(template: &Template) -> State<'_> {
    (
        &template.row,
        template.variants.iter().map(|variant| &variant.row).collect(),
    )
}

/// The members in which one state differs from the other; none is the state of what isn't there.
pub(super) fn members(before: Option<&State<'_>>, after: Option<&State<'_>>) -> Vec<Member> {
    let mut found = Vec::new();
    let mut own = Members::new(&mut found);
    let mut text = |name, of: fn(&message_template::Model) -> &str| {
        let [before, after] = [before, after].map(|state| state.map(|(row, _)| of(row)));
        own.text(name, before, after);
    };
    text("templateId", |of| &of.template_id);
    text("name", |of| &of.name);
    text("event", |of| &of.event);
    text("channel", |of| &of.channel);
    text("active", |of| if of.active { "true" } else { "false" });
    text("defaultLanguage", |of| &of.default_language);
    text("conditions", |of| &of.conditions);
    let [was, is] = [before, after].map(|state| state.map(|(row, _)| row.position));
    own.value("position", was, is, i32::to_string);

    let variants = |state: Option<&State<'_>>| -> BTreeSet<String> {
        let variants = state.iter().flat_map(|(_, variants)| variants);
        variants.map(|variant| variant.language.clone()).collect()
    };
    for language in &variants(before) | &variants(after) {
        let mut members = Members::below(&mut found, &["variants", &language]);
        let mut text = |name, of: fn(&message_variant::Model) -> Option<&str>| {
            let [before, after] = [before, after].map(|state| {
                let variants = state.into_iter().flat_map(|(_, variants)| variants);
                let mut variants = variants.filter(|variant| variant.language == language);
                variants.next().and_then(|variant| of(variant))
            });
            members.text(name, before, after);
        };
        text("subject", |of| of.subject.as_deref());
        text("text", |of| Some(&of.text));
        text("html", |of| of.html.as_deref());
    }
    found
}
