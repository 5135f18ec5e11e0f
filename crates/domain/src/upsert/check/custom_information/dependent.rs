//! Checks selections whose options depend on the value of another selection, their parent.

use std::collections::{HashMap, HashSet};

use super::{LIST, Stored};
use crate::{definitions::Definitions, member::Problems};
use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
};

/// A field's key and a group index.
type FieldInGroup<'a> = (&'a str, i32);

/// The values of a list that have been accepted so far.
pub(super) struct List<'a> {
    pub values: &'a [Stored],
    /// The position of each value in the list.
    pub indexes: &'a [usize],
    /// The values that the list names, including those that were refused.
    pub named: &'a HashSet<FieldInGroup<'a>>,
    pub stored: &'a HashMap<FieldInGroup<'a>, &'a Stored>,
}

impl List<'_> {
    /// A value and its parent that are stored together already, in any group, are accepted, even if the options have
    /// changed.
    pub fn check(&self, definitions: &Definitions, problems: &mut Problems) {
        let fields = self
            .values
            .iter()
            .map(|value| (value.field_key.as_str(), value.group_index));
        let values: HashMap<FieldInGroup<'_>, &Stored> = fields.zip(self.values).collect();
        let pair = |((field_key, group_index), value): (&FieldInGroup<'_>, &&'_ Stored)| {
            let parent_key = definitions.field_of_key(field_key)?.row.parent_key.as_deref()?;
            let parent = self.stored.get(&(parent_key, *group_index));
            let parent_value = parent.and_then(|parent| parent.value.clone());
            Some(((*field_key).to_owned(), parent_value, value.value.clone()))
        };
        let stored: HashSet<(String, Option<String>, Option<String>)> = self.stored.iter().filter_map(pair).collect();
        for (value, index) in self.values.iter().zip(self.indexes) {
            let Some(field) = definitions.field_of_key(&value.field_key) else {
                continue;
            };
            let Some(parent_key) = &field.row.parent_key else {
                continue;
            };
            let parent = values.get(&(parent_key.as_str(), value.group_index));
            let parent_value = parent.and_then(|parent| parent.value.as_deref());
            let pair = (
                value.field_key.clone(),
                parent_value.map(str::to_owned),
                value.value.clone(),
            );
            let is_stored = stored.contains(&pair);
            let is_refused = parent.is_none() && self.named.contains(&(&**parent_key, value.group_index));
            if is_stored || is_refused {
                continue;
            }
            let parent_id = definitions
                .field_of_key(parent_key)
                .map_or("", |parent| &parent.row.field_id);
            let id = &field.row.field_id;
            let (code, message) = match (parent_value, value.value.as_deref()) {
                (None, _) => {
                    let message = format!("The field {id} depends on the field {parent_id}: send a value of it, too.");
                    (ProblemCode::ParentRequired, message)
                }
                (Some(parent_value), Some(value)) if !field.is_option_for(value, parent_value) => {
                    let message = format!("The field {id} doesn't have this option with this value of {parent_id}.");
                    (ProblemCode::NotAnOption, message)
                }
                _ => continue,
            };
            problems.0.push(Problem {
                custom_field: Some(id.as_str().into()),
                ..Problem::new(code, path![LIST, *index, "value"], message)
            });
        }
    }
}
