//! Checks custom field values, which are matched by their field's id, and in a grouped set by their group's index too.
//!
//! A list replaces the values that the caller may change. The others stay as they are and aren't demanded; see
//! [`in_place`] for their positions. A partial list changes only the values that it names; see [`partial`].

pub(super) mod partial;

mod dependent;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use async_graphql::MaybeUndefined;
use entity::{client, custom_field_value::Model as Stored};

use super::ValidationContext;
use crate::member::Problems;
use crate::{
    definitions::{Field, Kind, NO_GROUP},
    upsert::{CustomFieldValueInput, LONGEST_LIST},
};
use clientele_core::{
    path,
    problem::{Message, Problem, ProblemCode, Step},
    scalar::new_key,
};

const LIST: &str = "customInformation";

pub(super) fn check(
    sent: &MaybeUndefined<Vec<CustomFieldValueInput>>,
    client: &client::Model,
    context: &ValidationContext<'_>,
    problems: &mut Problems,
) -> Option<Vec<Stored>> {
    let list = problems.list(LIST, sent, LONGEST_LIST);
    // Required values are demanded on creation and from a list, but not from a change without a list.
    if list.is_none() && (context.stored.is_some() || !sent.is_undefined()) {
        return None;
    }
    Some(replace(
        list.unwrap_or_default(),
        Demands::All,
        client,
        context,
        problems,
    ))
}

/// The groups and the values that a list must have.
#[derive(Clone, Copy, PartialEq)]
enum Demands<'a> {
    /// A value for every required field, in a grouped set in each group; and groups without gaps.
    All,
    /// The same of groups that begin at these indexes, by the ids of their sets; and groups without gaps.
    NewGroups(&'a HashMap<String, i32>),
    /// None: values are deleted.
    Nothing,
}

/// Returns the values to store in place of all that the caller may change.
fn replace(
    list: &[CustomFieldValueInput],
    demands: Demands<'_>,
    client: &client::Model,
    context: &ValidationContext<'_>,
    problems: &mut Problems,
) -> Vec<Stored> {
    let stored = stored_values(context);
    let rights = &*context.caller.rights;
    let kept = kept(stored, context);
    let stored: HashMap<(&str, i32), &Stored> = stored
        .iter()
        .map(|value| ((value.field_key.as_str(), value.group_index), value))
        .collect();
    let in_any_group: HashMap<(&str, &str), &Stored> = stored
        .values()
        .filter_map(|value| Some(((value.field_key.as_str(), text(value)?), *value)))
        .collect();
    let (mut seen, mut groups) = (HashSet::new(), Groups::new());
    let (mut values, mut indexes) = (Vec::new(), Vec::new());
    for (index, value) in list.iter().enumerate() {
        let CustomFieldValueInput {
            field_id,
            group_index,
            value,
            linked_key,
            is_boolean,
            is_removed: _,
            in_new_group: _, // both are only in a partial list
        } = value;
        let Some(field) = field(field_id, index, context, problems) else {
            continue;
        };
        if !field.is_shown(rights) {
            // The answer must not depend on the stored value or on other faults.
            forbid(field, index, problems);
            continue;
        }
        let group_index = group_index.unwrap_or(NO_GROUP);
        if let Err((code, member, message)) = of_usage(field, group_index) {
            problems.add(code, path![LIST, index, member], message);
            continue;
        }
        if field.is_grouped() && field.is_editable(rights) {
            groups
                .entry(&field.set.set_id)
                .or_default()
                .entry(group_index)
                .or_insert(index);
        }
        if !seen.insert((field.row.encoded_key.as_str(), group_index)) {
            let message = match field.is_grouped() {
                true => format!("The field {field_id} is named twice in the group {group_index}."),
                false => format!("The field {field_id} is named twice."),
            };
            problems.add(ProblemCode::Duplicate, path![LIST, index, "fieldId"], message);
            continue;
        }
        if *is_boolean && field.kind != Kind::Checkbox {
            let message = format!("The field {field_id} takes no boolean: send its value as text.");
            problems.add(ProblemCode::Invalid, path![LIST, index, "value"], message);
            continue;
        }
        let before = stored.get(&(field.row.encoded_key.as_str(), group_index)).copied();
        if !field.is_editable(rights) {
            // A caller who may see a value can send it back, as callers do with whole answers.
            if !before.is_some_and(|before| says(before, value, linked_key)) {
                forbid(field, index, problems);
            }
            continue;
        }
        let sent = if field.kind.is_link() { linked_key } else { value };
        // Groups change their index when one before them is deleted.
        let moved = sent
            .value()
            .and_then(|text| in_any_group.get(&(&*field.row.encoded_key, &**text)));
        let known = moved.copied().or(before);
        match decide(field, value, linked_key, known, client, context) {
            Ok((value, linked_key)) => {
                values.push(Stored {
                    client_key: client.encoded_key.clone(),
                    field_key: field.row.encoded_key.clone(),
                    group_index,
                    encoded_key: before.map_or_else(new_key, |before| before.encoded_key.clone()),
                    position: 0, // set below, with the kept values
                    value,
                    linked_key,
                });
                indexes.push(index);
            }
            Err((code, member, message)) => problems.0.push(Problem {
                custom_field: Some(field_id.as_str().into()),
                ..Problem::new(code, path![LIST, index, member], message)
            }),
        }
    }
    if demands != Demands::Nothing {
        gaps(&groups, problems);
    }
    let list = dependent::List {
        values: &values,
        indexes: &indexes,
        named: &seen,
        stored: &stored,
    };
    list.check(context.definitions, problems);
    let is_demanded = |field: &&Arc<Field>| field.is_demanded(&client.client_role_key) && field.is_editable(rights);
    for field in context.definitions.fields.iter().filter(is_demanded) {
        let has = |group_index| seen.contains(&(field.row.encoded_key.as_str(), group_index));
        let of_set = groups.get(&*field.set.set_id);
        let is_complete = match (field.is_grouped(), demands) {
            (_, Demands::Nothing) | (false, Demands::NewGroups(_)) => true,
            (false, Demands::All) => has(NO_GROUP),
            (true, Demands::All) => of_set.is_none_or(|groups| groups.keys().copied().all(has)),
            (true, Demands::NewGroups(first)) => {
                let first = first.get(&*field.set.set_id).copied().unwrap_or_default();
                of_set.is_none_or(|groups| groups.range(first..).all(|(group, _)| has(*group)))
            }
        };
        if !is_complete {
            problems.0.push(missing(field));
        }
    }
    in_place(kept, values)
}

/// The value as a text, which is in one of two columns.
fn text(value: &Stored) -> Option<&str> {
    value.value.as_deref().or(value.linked_key.as_deref())
}

fn stored_values<'a>(context: &ValidationContext<'a>) -> &'a [Stored] {
    let values = context.stored.and_then(|stored| stored.custom_values.as_deref());
    values.unwrap_or_default()
}

/// The problem with a required field that would have no value.
fn missing(field: &Field) -> Problem {
    let id = field.row.field_id.as_str();
    let message = format!("The custom field {id} requires a value.");
    Problem {
        custom_field: Some(id.into()),
        ..Problem::new(ProblemCode::Required, path![LIST], message)
    }
}

/// The groups that a list has of each grouped set, by the set's id: each group index, and where it comes first.
pub(in crate::upsert) type Groups<'a> = BTreeMap<&'a str, BTreeMap<i32, usize>>;

/// Groups are numbered 0, 1, 2…: reports the first index of each set that isn't the next one.
pub(in crate::upsert) fn gaps(groups: &Groups<'_>, problems: &mut Problems) {
    for (set, groups) in groups {
        let next = groups
            .iter()
            .zip(0..)
            .find(|((group_index, _), next)| *group_index != next);
        if let Some(((_, index), next)) = next {
            let message = format!("The groups of the set {set} must have the indexes 0, 1, 2…: {next} is missing.");
            problems.add(ProblemCode::GroupGap, path![LIST, *index, "groupIndex"], message);
        }
    }
}

/// Returns the stored values that a list of this caller doesn't replace.
fn kept(stored: &[Stored], context: &ValidationContext<'_>) -> Vec<Stored> {
    let rights = &*context.caller.rights;
    if rights.edits_all() {
        return Vec::new();
    }
    let field = |value: &Stored| context.definitions.field_of_key(&value.field_key);
    let is_kept = |value: &&Stored| !field(value).is_some_and(|field| field.is_editable(rights));
    let mut kept: Vec<Stored> = stored.iter().filter(is_kept).cloned().collect();
    kept.sort_by_key(|value| value.position);
    kept
}

/// Merges the list to store. Kept values stay at their positions; sent values fill the others in their own order. There
/// are no gaps: kept values move up if fewer values precede them than before.
fn in_place(kept: Vec<Stored>, sent: Vec<Stored>) -> Vec<Stored> {
    let (mut kept, mut sent) = (kept.into_iter().peekable(), sent.into_iter());
    let mut list = Vec::with_capacity(kept.len() + sent.len());
    loop {
        let place = list.len() as i32;
        let next = match kept.next_if(|value| value.position <= place) {
            Some(value) => Some(value),
            None => sent.next().or_else(|| kept.next()),
        };
        let Some(next) = next else { return list };
        list.push(Stored {
            position: place,
            ..next
        });
    }
}

/// Returns true if a stored value is sent back unchanged.
fn says(before: &Stored, value: &MaybeUndefined<String>, linked_key: &MaybeUndefined<String>) -> bool {
    let same = |sent: &MaybeUndefined<String>, stored: &Option<String>| match sent {
        MaybeUndefined::Undefined => true,
        MaybeUndefined::Null => stored.is_none(),
        MaybeUndefined::Value(text) => stored.as_deref().unwrap_or_default() == text,
    };
    same(value, &before.value) && same(linked_key, &before.linked_key)
}

fn forbid(field: &Field, index: usize, problems: &mut Problems) {
    let message = format!(
        "You may not change values of the set {}: leave the field {} out.",
        field.set.set_id, field.row.field_id
    );
    problems.add(ProblemCode::Forbidden, path![LIST, index, "fieldId"], message);
}

fn field<'a>(id: &str, index: usize, context: &'a ValidationContext<'_>, problems: &mut Problems) -> Option<&'a Field> {
    let place: [Step; 3] = path![LIST, index, "fieldId"];
    if id.is_empty() {
        problems.add(ProblemCode::Blank, place, "Name the custom field by its id.");
        return None;
    }
    let field = context.definitions.field(id);
    if field.is_none() {
        let message = Message::from("There is no custom field with this id").listed_by("customFieldSets");
        problems.add(ProblemCode::NotFound, place, message);
    }
    field
}

/// The reason to refuse a value: its code, the member at fault, and a message.
pub(in crate::upsert) type InvalidValue = (ProblemCode, &'static str, Message);

/// Refuses a group in a set that isn't grouped, and a value without one in a set that is.
pub(in crate::upsert) fn of_usage(field: &Field, group_index: i32) -> Result<(), InvalidValue> {
    let id = &field.row.field_id;
    let message = match (group_index != NO_GROUP, field.is_grouped()) {
        (false, true) => Message::from(format!("The set of {id} is grouped: send ")).member("groupIndex"),
        (true, false) => Message::from(format!("The set of {id} isn't grouped: leave "))
            .member("groupIndex")
            .text(" out"),
        _ => return Ok(()),
    };
    Err((ProblemCode::GroupIndex, "groupIndex", message.text(".")))
}

/// Returns the member that has the value of a field of this type. The other one must be empty.
pub(in crate::upsert) fn of_type<'a>(
    field: &Field,
    value: &'a MaybeUndefined<String>,
    linked_key: &'a MaybeUndefined<String>,
) -> Result<(&'static str, &'a MaybeUndefined<String>), InvalidValue> {
    let (member, sent, other_member, other) = match field.kind.is_link() {
        true => ("linkedKey", linked_key, "value", value),
        false => ("value", value, "linkedKey", linked_key),
    };
    if matches!(other, MaybeUndefined::Value(text) if !text.is_empty()) {
        let (id, kind) = (&field.row.field_id, field.kind.as_str());
        let message = Message::from(format!("The field {id} is of type {kind}: send "))
            .member(member)
            .text(", not ")
            .member(other_member)
            .text(".");
        return Err((ProblemCode::Invalid, other_member, message));
    }
    Ok((member, sent))
}

/// Returns the value and linked key to store, for a caller who may change them. `before` is the stored value that was
/// sent, of any group, or else the one in its place.
///
/// Unique values are claimed later, and only those that passed here: the refusal of a claim reveals that another client
/// has the value.
fn decide(
    field: &Field,
    value: &MaybeUndefined<String>,
    linked_key: &MaybeUndefined<String>,
    before: Option<&Stored>,
    client: &client::Model,
    context: &ValidationContext<'_>,
) -> Result<(Option<String>, Option<String>), InvalidValue> {
    let id = &field.row.field_id;
    let link = field.kind.is_link();
    let (member, sent) = of_type(field, value, linked_key)?;
    let kept = before.map(|before| (before.value.clone(), before.linked_key.clone()));
    let text = match (sent, kept) {
        (MaybeUndefined::Undefined, Some(kept)) => return Ok(kept),
        // A stored value is accepted unchanged, even if its definition has changed.
        (MaybeUndefined::Value(text), Some(kept)) if kept.0.as_ref().or(kept.1.as_ref()) == Some(text) => {
            return Ok(kept);
        }
        (MaybeUndefined::Value(text), _) if !text.is_empty() => text,
        _ => {
            let code = if field.is_demanded(&client.client_role_key) {
                ProblemCode::Required
            } else {
                ProblemCode::Blank
            };
            let message = Message::from(format!("The field {id} has no value: send "))
                .member(member)
                .text(".");
            return Err((code, member, message));
        }
    };
    if !field.is_active() {
        let message = format!("The field {id} is deactivated: it takes no new values.").into();
        return Err((ProblemCode::Deactivated, member, message));
    }
    if !field.is_available(&client.client_role_key) {
        let message = format!("The field {id} isn't available to clients of this role: leave it out.").into();
        return Err((ProblemCode::NotAvailable, member, message));
    }
    let text = field
        .accept(text)
        .map_err(|(code, message)| (code, member, message.into()))?;
    if field.links_clients() && !context.linked.contains(&text) {
        return Err((ProblemCode::NotFound, member, no_linked_client(field)));
    }
    Ok(if link { (None, Some(text)) } else { (Some(text), None) })
}

/// The sentence about a link that leads nowhere.
pub(in crate::upsert) fn no_linked_client(field: &Field) -> Message {
    let id = &field.row.field_id;
    format!("The field {id} links to a client, and there is none with this key.").into()
}
