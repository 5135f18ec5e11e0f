//! Limits changes to a template that selects clients by, or sends, values that the caller may not see: its recipients
//! and the times of its messages would reveal the values.

use crate::member::Problems;
use crate::{
    caller::Rights,
    definitions::Definitions,
    enums::{Channel, Event},
    notify::{
        placeholder::Placeholder,
        template::{Conditions, Template},
    },
};
use clientele_core::{path, problem::ProblemCode};

/// The recipients and the occasions of messages after the change.
pub(super) struct Aim<'a> {
    pub event: Option<Event>,
    pub channel: Option<Channel>,
    pub active: bool,
    /// None if they have a problem already.
    pub conditions: Option<&'a Conditions>,
}

/// Refuses to change the recipients or occasions of a template that depends on hidden values. Its texts can be changed,
/// and it can be deactivated and deleted.
pub(super) fn guard(stored: &Template, aim: &Aim<'_>, known: &Definitions, rights: &Rights, problems: &mut Problems) {
    if !depends_on_hidden(stored, known, rights) {
        return;
    }
    let changes = [
        ("event", aim.event.is_some_and(|event| event != stored.event)),
        ("channel", aim.channel.is_some_and(|channel| channel != stored.channel)),
        ("active", aim.active && !stored.row.active),
        (
            "conditions",
            aim.conditions
                .is_some_and(|conditions| *conditions != stored.conditions),
        ),
    ];
    for (name, _) in changes.into_iter().filter(|(_, changed)| *changed) {
        let message = "This template depends on values of custom fields that you may not see: you may change its texts, \
                       deactivate it or delete it.";
        problems.add(ProblemCode::Forbidden, path![name], message);
    }
}

fn depends_on_hidden(template: &Template, known: &Definitions, rights: &Rights) -> bool {
    if rights.views_all() {
        return false;
    }
    let mut conditions = template.conditions.fields.iter();
    let mut keys = template.variants.iter().flat_map(|variant| &variant.keys);
    conditions.any(|condition| {
        let field = known.field_of_key(&condition.field_key);
        !field.is_some_and(|field| field.is_shown(rights))
    }) || keys.any(|key| match Placeholder::of_key(key) {
        Some(Placeholder::CustomField(id)) => known.field(&id).is_some_and(|field| !field.is_shown(rights)),
        _ => false,
    })
}
