//! The audit record of a change to a custom field set: the members that differ, under their GraphQL names.

use entity::{custom_field, custom_field_option, custom_field_set};

use super::Plan;
use crate::{
    audit::{Member, Members},
    definitions::Definitions,
};

/// Returns the members in which the plan differs from the stored set; all members of a new set.
pub(super) fn members(plan: &Plan, before: &Definitions) -> Vec<Member> {
    let mut found = Vec::new();
    use custom_field_set::Column::{Name, Position, SetId, Usage};
    let stored = before.set_of_key(&plan.set.encoded_key);
    Members::new(&mut found).columns(stored, Some(&plan.set), [SetId, Name, Usage, Position]);
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

/// A field with its options.
type Field<'a> = (&'a custom_field::Model, &'a [custom_field_option::Model]);

fn field(before: Option<Field<'_>>, after: Option<Field<'_>>, found: &mut Vec<Member>) {
    let Some(id) = after.or(before).map(|(row, _)| &row.field_id) else {
        return;
    };
    let mut members = Members::below(found, &["fields", id]);
    use custom_field::Column::{Description, Kind, MaxLength, Name, Pattern, Position, Required, State};
    let columns = [Name, Description, Kind, State, Pattern, MaxLength, Position, Required];
    members.columns(before.map(|(row, _)| row), after.map(|(row, _)| row), columns);
    let options = |(_, options): Field<'_>| {
        let values: Vec<&str> = options.iter().map(|option| option.value.as_str()).collect();
        (!values.is_empty()).then(|| serde_json::json!(values).to_string())
    };
    let [before, after] = [before, after].map(|field| field.and_then(options));
    members.text("options", before.as_deref(), after.as_deref());
}
