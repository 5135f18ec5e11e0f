//! A partial list changes or deletes the values that it names. It becomes a complete list, in which the other values
//! are sent back unchanged, so that all rules of complete lists apply to the result.

use std::collections::{BTreeSet, HashMap};

use async_graphql::MaybeUndefined;
use entity::{client, custom_field_value::Model as Stored};

use super::{Demands, LIST, ValidationContext, forbid, missing, replace, stored_values};
use crate::{
    definitions::{Field, NO_GROUP},
    member::Problems,
    upsert::{CustomFieldValueInput, LONGEST_LIST},
};
use clientele_core::{
    path,
    problem::{ProblemCode, Step},
    scalar::new_key,
};

/// A value of the complete list, with its index in the partial list; without one, it is sent back unchanged.
type Entry = (Option<usize>, CustomFieldValueInput);

pub(in crate::upsert::check) fn check(
    sent: &MaybeUndefined<Vec<CustomFieldValueInput>>,
    client: &client::Model,
    context: &ValidationContext<'_>,
    problems: &mut Problems,
) -> Option<Vec<Stored>> {
    let changes = problems.list(LIST, sent, LONGEST_LIST)?;
    let new_groups = new_groups(context);
    let complete = complete(changes, &new_groups, client, context, problems);
    let (origins, list): (Vec<Option<usize>>, Vec<CustomFieldValueInput>) = complete.into_iter().unzip();
    let mut found = Problems::default();
    // Only the named values change: others may be missing, as before.
    let is_deletion = changes.iter().any(|change| change.is_removed);
    let demands = match is_deletion {
        true => Demands::Nothing,
        false => Demands::NewGroups(&new_groups),
    };
    let mut values = replace(&list, demands, client, context, &mut found);
    if found.0.is_empty() && list.len() > LONGEST_LIST {
        let message = format!("A client has at most {LONGEST_LIST} values of custom fields.");
        found.add(ProblemCode::TooMany, path![LIST], message);
    }
    problems.0.extend(found.0.into_iter().map(|mut problem| {
        if let [_, Step::Index(index), ..] = problem.path[..] {
            match origins[index] {
                Some(origin) => problem.path[1] = Step::Index(origin),
                None => problem.path.truncate(1),
            }
        }
        problem
    }));
    if is_deletion {
        close_gaps(&mut values, context);
    }
    Some(values)
}

/// Returns the index after the last group of each set, by the set's id; none for a set without groups.
fn new_groups(context: &ValidationContext<'_>) -> HashMap<String, i32> {
    let mut next = HashMap::new();
    for value in stored_values(context) {
        if let Some(field) = context.definitions.field_of_key(&value.field_key) {
            let index = next.entry(field.set.set_id.clone()).or_default();
            *index = (value.group_index + 1).max(*index);
        }
    }
    next
}

fn complete(
    changes: &[CustomFieldValueInput],
    new_groups: &HashMap<String, i32>,
    client: &client::Model,
    context: &ValidationContext<'_>,
    problems: &mut Problems,
) -> Vec<Entry> {
    let rights = &*context.caller.rights;
    let mut stored: Vec<&Stored> = stored_values(context).iter().collect();
    stored.sort_by_key(|value| value.position);
    // Values that the caller can't change are kept by the rules of complete lists.
    let unchanged = |value: &Stored| {
        let field = context.definitions.field_of_key(&value.field_key)?;
        field.is_editable(rights).then(|| unchanged(field, value))
    };
    let mut entries: Vec<Option<Entry>> = stored
        .into_iter()
        .filter_map(unchanged)
        .map(|value| Some((None, value)))
        .collect();
    let places = entries.iter().flatten().enumerate();
    let places: HashMap<(String, i32), usize> = places.map(|(place, (_, value))| (name(value), place)).collect();
    for (index, change) in changes.iter().enumerate() {
        let field = context.definitions.field(&change.field_id);
        let mut change = change.clone();
        if let Some(field) = field.filter(|field| field.is_grouped() && change.in_new_group) {
            change.group_index = Some(new_groups.get(&field.set.set_id).copied().unwrap_or_default());
        }
        let place = places.get(&name(&change)).copied();
        match (field.filter(|_| change.is_removed), place) {
            (Some(field), _) if !field.is_editable(rights) => forbid(field, index, problems),
            (Some(field), Some(place)) => {
                if field.is_demanded(&client.client_role_key) {
                    problems.0.push(missing(field));
                }
                entries[place] = None;
            }
            // A value that isn't there is deleted already.
            (Some(field), None) if change.group_index.is_some() == field.is_grouped() => {}
            // Only the first change of a value has its place: another one is a duplicate.
            (_, Some(place)) if matches!(entries[place], Some((None, _))) => {
                entries[place] = Some((Some(index), change));
            }
            _ => entries.push(Some((Some(index), change))),
        }
    }
    entries.into_iter().flatten().collect()
}

/// The name of a value: its field and its group.
fn name(value: &CustomFieldValueInput) -> (String, i32) {
    (value.field_id.clone(), value.group_index.unwrap_or(NO_GROUP))
}

/// A stored value as a caller sends it back.
fn unchanged(field: &Field, value: &Stored) -> CustomFieldValueInput {
    CustomFieldValueInput {
        field_id: field.row.field_id.clone(),
        group_index: (value.group_index != NO_GROUP).then_some(value.group_index),
        ..CustomFieldValueInput::default()
    }
}

/// Numbers the groups of each set anew, so that there are no gaps. A value takes the key of the stored value whose
/// place it takes: values are identified by their field and group.
pub(in crate::upsert) fn close_gaps(values: &mut [Stored], context: &ValidationContext<'_>) {
    let field = |value: &Stored| context.definitions.field_of_key(&value.field_key);
    let stored = stored_values(context).iter();
    let keys = stored.map(|value| {
        (
            (value.field_key.as_str(), value.group_index),
            value.encoded_key.as_str(),
        )
    });
    let keys: HashMap<(&str, i32), &str> = keys.collect();
    let mut groups: HashMap<String, BTreeSet<i32>> = HashMap::new();
    for value in values.iter().filter(|value| value.group_index != NO_GROUP) {
        if let Some(field) = field(value) {
            let of_set = groups.entry(field.row.set_key.clone()).or_default();
            of_set.insert(value.group_index);
        }
    }
    for value in values.iter_mut().filter(|value| value.group_index != NO_GROUP) {
        let Some(of_set) = field(value).and_then(|field| groups.get(&field.row.set_key)) else {
            continue;
        };
        let index = of_set.range(..value.group_index).count() as i32;
        if index != value.group_index {
            value.group_index = index;
            let key = keys.get(&(value.field_key.as_str(), index));
            value.encoded_key = key.map_or_else(new_key, |key| (*key).to_owned());
        }
    }
}
