//! The rules of custom values.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Client, Model, Problems, StoredValue, VALUES, add, members};
use crate::upsert::model::{
    definitions::Field,
    generate::{Entry, Match, Sent, Submission, Way},
};

impl Model {
    /// The values after a submission: those of its list, or the stored ones with its changes.
    pub(super) fn values(
        &self,
        client: &Client,
        sent: &Submission,
        present: Option<&Client>,
        problems: &mut Problems,
    ) -> Vec<StoredValue> {
        let stored = present.map(|client| client.values.as_slice()).unwrap_or_default();
        if sent.way == Way::DeleteValue {
            return self.without(client, sent, stored, problems);
        }
        let mut list = members::list(&sent.values, sent, VALUES, "customInformation", problems).map(<[_]>::to_vec);
        let is_refused = sent.values == Sent::Null && !sent.way.is_rest();
        // A new client needs what is required.
        if present.is_none() && !is_refused {
            list.get_or_insert_default();
        }
        // The value that the client was looked for by belongs to its list.
        if let (Some(list), Match::Field(field, value)) = (&mut list, sent.matched)
            && !list.iter().any(|entry| entry.field == field)
        {
            let value = match present {
                Some(_) => Sent::Absent,
                None => Sent::Value(value.to_owned()),
            };
            list.push(Entry {
                field,
                group: None,
                value,
            });
        }
        let Some(list) = list else { return stored.to_vec() };
        let count = match &sent.values {
            Sent::Value(sent) => sent.len(),
            _ => 0,
        };
        let mut found = Problems::new();
        let values = self.listed(&list, client, sent, stored, &mut found);
        for problem in &mut found {
            if problem.path == format!("customInformation.{count}.value") {
                problem.path = "matchCustomField.value".to_owned();
            }
        }
        problems.extend(found);
        values
    }

    /// Values match by field and group. Values that the caller may not edit keep their contents and position.
    fn listed(
        &self,
        list: &[Entry],
        client: &Client,
        sent: &Submission,
        stored: &[StoredValue],
        problems: &mut Problems,
    ) -> Vec<StoredValue> {
        let access = sent.access;
        let next: BTreeMap<&str, i32> = next_groups(stored, |id| self.definitions.field(id));
        // A partial change begins with the stored values.
        let own = stored
            .iter()
            .filter(|value| sent.way.is_partial() && access.edits(value.field));
        let mut values: Vec<StoredValue> = own.cloned().collect();
        let mut named = HashSet::new();
        // The first entry of each group, by set.
        let mut groups: BTreeMap<&str, BTreeMap<i32, usize>> = BTreeMap::new();
        for value in &values {
            if let (Some(field), Some(group)) = (self.definitions.field(value.field), value.group) {
                groups.entry(field.set).or_default().insert(group, usize::MAX);
            }
        }
        let mut accepted = BTreeMap::new();
        for (index, entry) in list.iter().enumerate() {
            let at = |member: &str| format!("customInformation.{index}.{member}");
            if entry.field.is_empty() {
                add(problems, VALUES, 3600, "BLANK", at("fieldId"));
                continue;
            }
            let Some(field) = self.definitions.field(entry.field) else {
                add(problems, VALUES, 903, "NOT_FOUND", at("fieldId"));
                continue;
            };
            if !access.sees(field.id) {
                add(problems, VALUES, 15, "FORBIDDEN", at("fieldId"));
                continue;
            }
            let mut group = entry.group.filter(|group| *group != -1);
            if group.is_none() && field.is_grouped() && sent.way == Way::PatchValues {
                group = Some(next.get(field.set).copied().unwrap_or_default());
            }
            if group.is_some() != field.is_grouped() {
                add(problems, VALUES, 913, "GROUP_INDEX", at("groupIndex"));
                continue;
            }
            if let Some(group) = group.filter(|_| access.edits(field.id)) {
                groups.entry(field.set).or_default().entry(group).or_insert(index);
            }
            if !named.insert((field.id, group)) {
                add(problems, VALUES, 918, "DUPLICATE", at("fieldId"));
                continue;
            }
            let before = stored
                .iter()
                .find(|value| value.field == field.id && value.group == group);
            if !access.edits(field.id) {
                let is_same = match (&entry.value, before) {
                    (Sent::Absent, before) => before.is_some(),
                    (Sent::Value(value), Some(before)) => *value == before.value,
                    _ => false,
                };
                if !is_same {
                    add(problems, VALUES, 15, "FORBIDDEN", at("fieldId"));
                }
                continue;
            }
            let place = values
                .iter()
                .position(|value| value.field == field.id && value.group == group);
            match self.accepted(field, &entry.value, before, stored, client) {
                Ok(text) => {
                    accepted.insert((field.id, group), index);
                    let value = StoredValue {
                        key: before.map(|before| before.key.clone()).unwrap_or_default(),
                        field: field.id,
                        group,
                        value: text,
                    };
                    match place {
                        Some(place) => values[place] = value,
                        None => values.push(value),
                    }
                }
                Err((rest, graphql)) => {
                    let member = if field.id == "friend" { "linkedKey" } else { "value" };
                    add(problems, VALUES, rest, graphql, at(member));
                    // It can't be compared with others.
                    place.map(|place| values.remove(place));
                }
            }
        }
        for groups in groups.values() {
            let gap = groups.iter().zip(0..).find(|((group, _), next)| **group != *next);
            if let Some(((_, index), _)) = gap {
                add(
                    problems,
                    VALUES,
                    914,
                    "GROUP_GAP",
                    format!("customInformation.{index}.groupIndex"),
                );
            }
        }
        self.dependent(&values, &named, stored, &accepted, problems);
        for field in self
            .definitions
            .fields
            .iter()
            .filter(|field| field.is_demanded(client.role))
        {
            let has = |group| {
                named.contains(&(field.id, group))
                    || values
                        .iter()
                        .any(|value| value.field == field.id && value.group == group)
            };
            let mut groups = groups.get(field.set).into_iter().flat_map(BTreeMap::keys).copied();
            let is_missing = match (field.is_grouped(), sent.way.is_partial()) {
                (false, true) => false,
                (false, false) => !has(None),
                (true, false) => groups.any(|group| !has(Some(group))),
                // Of a partial change, only new groups must be complete.
                (true, true) => {
                    let first = next.get(field.set).copied().unwrap_or_default();
                    groups.any(|group| group >= first && !has(Some(group)))
                }
            };
            if is_missing && access.edits(field.id) {
                add(problems, VALUES, 902, "REQUIRED", "customInformation");
            }
        }
        in_place(stored, values, |field| access.edits(field))
    }

    /// The value to store. A stored value is accepted as it is, also in another group.
    fn accepted(
        &self,
        field: &Field,
        sent: &Sent<String>,
        before: Option<&StoredValue>,
        stored: &[StoredValue],
        client: &Client,
    ) -> Result<String, (u16, &'static str)> {
        let text = match (sent, before) {
            (Sent::Absent, Some(before)) => return Ok(before.value.clone()),
            (Sent::Value(text), _) if !text.is_empty() => text,
            _ if field.is_demanded(client.role) => return Err((902, "REQUIRED")),
            _ => return Err((901, "BLANK")),
        };
        if stored
            .iter()
            .any(|value| value.field == field.id && value.value == *text)
        {
            return Ok(text.clone());
        }
        if !field.is_active {
            return Err((908, "DEACTIVATED"));
        }
        if !field.is_available(client.role) {
            return Err((910, "NOT_AVAILABLE"));
        }
        if field.id == "friend" && self.clients.iter().all(|client| client.key != *text) {
            return Err((911, "NOT_FOUND"));
        }
        field.accept(text)
    }

    /// A dependent value needs a value of its parent, and must be available for it. A pair that is stored is accepted.
    fn dependent(
        &self,
        values: &[StoredValue],
        named: &HashSet<(&str, Option<i32>)>,
        stored: &[StoredValue],
        accepted: &BTreeMap<(&str, Option<i32>), usize>,
        problems: &mut Problems,
    ) {
        let find = |values: &[StoredValue], id: &str| {
            let value = values.iter().find(|value| value.field == id);
            value.map(|value| value.value.clone())
        };
        for value in values {
            let Some(field) = self.definitions.field(value.field) else {
                continue;
            };
            let Some(parent) = field.parent else { continue };
            let pair = (find(values, parent), Some(value.value.clone()));
            let is_stored = find(stored, field.id).is_some() && pair == (find(stored, parent), find(stored, field.id));
            // A refused parent has its own problem.
            if is_stored || pair.0.is_none() && named.contains(&(parent, value.group)) {
                continue;
            }
            let option = field.options.iter().find(|option| option.value == value.value);
            let of_parents = option.map(|option| option.of_parents).unwrap_or_default();
            let index = accepted.get(&(field.id, value.group)).copied().unwrap_or(usize::MAX);
            let path = format!("customInformation.{index}.value");
            match pair.0 {
                None => add(problems, VALUES, 912, "PARENT_REQUIRED", path),
                Some(parent) if !of_parents.is_empty() && !of_parents.contains(&&*parent) => {
                    add(problems, VALUES, 901, "NOT_AN_OPTION", path);
                }
                Some(_) => {}
            }
        }
    }

    /// The values without the one that is deleted. An emptied group closes its gap.
    fn without(
        &self,
        client: &Client,
        sent: &Submission,
        stored: &[StoredValue],
        problems: &mut Problems,
    ) -> Vec<StoredValue> {
        let Sent::Value(list) = &sent.values else {
            return stored.to_vec();
        };
        let Entry { field: id, group, .. } = &list[0];
        let group = group.filter(|group| *group != -1);
        let Some(field) = self.definitions.field(id) else {
            add(problems, VALUES, 903, "NOT_FOUND", "");
            return stored.to_vec();
        };
        if !sent.access.edits(id) {
            add(problems, VALUES, 15, "FORBIDDEN", "");
            return stored.to_vec();
        }
        if group.is_some() != field.is_grouped() {
            add(problems, VALUES, 913, "GROUP_INDEX", "");
            return stored.to_vec();
        }
        let is_it = |value: &&StoredValue| value.field == field.id && value.group == group;
        if !stored.iter().any(|value| is_it(&value)) {
            return stored.to_vec();
        }
        if field.is_demanded(client.role) {
            add(problems, VALUES, 902, "REQUIRED", "");
        }
        let left = stored
            .iter()
            .filter(|value| sent.access.edits(value.field) && !is_it(value));
        let mut left: Vec<StoredValue> = left.cloned().collect();
        self.dependent(&left, &HashSet::new(), stored, &BTreeMap::new(), problems);
        let grouped = |value: &StoredValue| {
            self.definitions
                .field(value.field)
                .is_some_and(|it| it.set == field.set)
        };
        if let Some(emptied) = group.filter(|group| !left.iter().any(|it| grouped(it) && it.group == Some(*group))) {
            for value in left
                .iter_mut()
                .filter(|value| grouped(value) && value.group > Some(emptied))
            {
                value.group = value.group.map(|group| group - 1);
                // A value has the key of its place.
                let place = stored
                    .iter()
                    .find(|before| before.field == value.field && before.group == value.group);
                value.key = place.map(|before| before.key.clone()).unwrap_or_default();
            }
        }
        in_place(stored, left, |field| sent.access.edits(field))
    }
}

/// The index after the last group of each grouped set.
fn next_groups<'a>(stored: &[StoredValue], field: impl Fn(&str) -> Option<&'a Field>) -> BTreeMap<&'a str, i32> {
    let mut next = BTreeMap::new();
    for value in stored {
        if let (Some(field), Some(group)) = (field(value.field), value.group) {
            let index = next.entry(field.set).or_insert(0);
            *index = (group + 1).max(*index);
        }
    }
    next
}

/// The values with those that the caller may not edit at their positions.
fn in_place(stored: &[StoredValue], mut values: Vec<StoredValue>, edits: impl Fn(&str) -> bool) -> Vec<StoredValue> {
    for (place, kept) in stored.iter().enumerate() {
        if !edits(kept.field) {
            values.insert(place.min(values.len()), kept.clone());
        }
    }
    values
}

/// The clients' claims of unique values: each field with its value in comparable form.
pub fn claims(model: &Model) -> BTreeSet<(String, String, String)> {
    let mut claims = BTreeSet::new();
    for client in &model.clients {
        for value in &client.values {
            if let Some(field) = model.definitions.field(value.field).filter(|field| field.is_unique) {
                let text = field.comparable(&value.value);
                claims.insert((format!("{}Key", field.id), text, client.key.clone()));
            }
        }
    }
    claims
}
