//! Checks a set of custom fields. A pure function: submission + present definitions → the resulting set, or every
//! problem.

use std::collections::{HashMap, HashSet};

use async_graphql::MaybeUndefined;
use entity::{custom_field, custom_field_option, custom_field_role, custom_field_set};

use super::{
    CustomFieldInput, CustomFieldOptionInput, CustomFieldRoleInput, CustomFieldSetInput, InUse, Plan, PlannedField,
    UpsertCustomFieldSet, dependent,
};
use crate::definitions::{Definitions, Field, FieldState, Kind, SetUsage};
use crate::member::{Problems, Scalars, TEXT_LIMIT, keep};
use clientele_core::{
    path,
    problem::{Message, Problem, ProblemCode},
    scalar::{Decimal, new_key},
    text::is_blank,
};

const MOST: usize = 1_000;

/// `used` are the set's fields and options that clients have values of.
pub(super) fn check(input: &UpsertCustomFieldSet, known: &Definitions, used: &InUse) -> Result<Plan, Vec<Problem>> {
    let UpsertCustomFieldSet {
        set,
        fields,
        client_mutation_id: _,
    } = input;
    let mut problems = Problems::default();
    let set = self::set(set, known, &mut problems);
    let mut plan = Plan {
        moved: moved(&set, known),
        set,
        fields: Vec::new(),
        removed: Vec::new(),
    };
    let stored = known.fields_of(&plan.set.encoded_key);
    match problems.list("fields", fields, MOST) {
        None => plan.fields.extend(stored.into_iter().map(PlannedField::kept)),
        Some(list) => {
            let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
            for (index, field) in list.iter().enumerate() {
                let unique = ids.insert(field.field_id.as_str())
                    & field.encoded_key.value().is_none_or(|key| keys.insert(key.as_str()));
                if !unique {
                    let message = "A field id or key is named twice: each field may be listed once.";
                    problems.add(ProblemCode::Duplicate, path!["fields", index, "fieldId"], message);
                }
                plan.fields.push(self::field(
                    field,
                    index,
                    &plan.set.encoded_key,
                    known,
                    used,
                    &mut problems,
                ));
            }
            for field in stored
                .into_iter()
                .filter(|field| !ids.contains(field.row.field_id.as_str()))
            {
                if used.fields.contains(&field.row.encoded_key) {
                    let mut kept = PlannedField::kept(field);
                    kept.row.position = plan.fields.len() as i32;
                    kept.row.state = FieldState::Deactivated.as_str().to_owned();
                    plan.fields.push(kept);
                } else {
                    plan.removed.push(field.row.encoded_key.clone());
                }
            }
            if plan.fields.len() > MOST {
                let message = format!(
                    "A set has at most {MOST} fields, and clients have values of some that aren't listed, which are \
                     kept: list fewer."
                );
                problems.add(ProblemCode::TooMany, path!["fields"], message);
            }
            dependent::resolve(list, &mut plan, &mut problems);
        }
    }
    if problems.0.is_empty() {
        Ok(plan)
    } else {
        Err(problems.0)
    }
}

fn set(input: &CustomFieldSetInput, known: &Definitions, problems: &mut Problems) -> custom_field_set::Model {
    let CustomFieldSetInput {
        set_id,
        encoded_key,
        name,
        usage,
        position,
    } = input;
    let mut member = Scalars {
        scope: path!["set"].to_vec(),
        problems,
    };
    let stored = known.sets.iter().find(|set| set.set_id == *set_id);
    member.definition_id("setId", set_id, stored.is_some());
    if stored.is_none() && known.sets.len() >= MOST {
        let message = format!("There are at most {MOST} sets: add the fields to an existing one.");
        member.refuse(ProblemCode::TooMany, "setId", message);
    }
    let is_taken = |key: &str| known.set_of_key(key).is_some();
    custom_field_set::Model {
        encoded_key: member.definition_key(encoded_key, stored.map(|set| set.encoded_key.as_str()), is_taken),
        set_id: set_id.clone(),
        name: member.required("name", name, stored.map_or("", |set| &set.name)),
        usage: self::usage(*usage, stored.map(|set| set.usage.as_str()), &mut member),
        position: self::position(*position, stored.map(|set| set.position), known, &mut member),
    }
}

/// The position of the set; the last one is free for a new set.
fn position(sent: Option<i32>, stored: Option<i32>, known: &Definitions, member: &mut Scalars<'_>) -> i32 {
    let last = known.sets.len() as i32 - i32::from(stored.is_some());
    let position = sent.or(stored).unwrap_or(last);
    if sent.is_some() && !(0..=last).contains(&position) {
        let message = format!("position must be from 0 to {last}.");
        member.refuse(ProblemCode::Invalid, "position", message);
    }
    position
}

/// Returns the other sets that get another position when this set has its own.
fn moved(set: &custom_field_set::Model, known: &Definitions) -> Vec<custom_field_set::Model> {
    let others = known.sets.iter().filter(|other| other.encoded_key != set.encoded_key);
    let places = (0..).filter(|place| *place != set.position);
    let moved = others.zip(places).filter(|(other, place)| other.position != *place);
    let moved = moved.map(|(other, position)| custom_field_set::Model {
        position,
        ..custom_field_set::Model::clone(other)
    });
    moved.collect()
}

fn usage(sent: Option<SetUsage>, stored: Option<&str>, member: &mut Scalars<'_>) -> String {
    let sent = sent.map(SetUsage::as_str);
    if let (Some(sent), Some(stored)) = (sent, stored)
        && sent != stored
    {
        let message = "The usage of a set can't change after its creation: leave usage out.";
        member.refuse(ProblemCode::NotEditable, "usage", message);
    }
    stored.or(sent).unwrap_or(SetUsage::Single.as_str()).to_owned()
}

fn field(
    input: &CustomFieldInput,
    index: usize,
    set_key: &str,
    known: &Definitions,
    used: &InUse,
    problems: &mut Problems,
) -> PlannedField {
    let CustomFieldInput {
        field_id,
        encoded_key,
        name,
        description,
        kind,
        state,
        required,
        unique,
        pattern,
        max_length,
        parent_field_id: _, // resolved when all fields are known
        client_roles,
        options,
    } = input;
    let mut member = Scalars {
        scope: path!["fields", index].to_vec(),
        problems,
    };
    let stored = known.field(field_id);
    member.definition_id("fieldId", field_id, stored.is_some());
    if stored.is_some_and(|field| field.row.set_key != set_key) {
        let message = "A field of another set has this id: ids are unique among all sets.";
        member.refuse(ProblemCode::Taken, "fieldId", message);
    }
    let before = stored.map(|field| &field.row);
    let is_taken = |key: &str| known.field_of_key(key).is_some();
    let encoded_key = member.definition_key(encoded_key, before.map(|field| field.encoded_key.as_str()), is_taken);
    let in_use = used.fields.contains(&encoded_key);
    let kind = self::kind(*kind, stored, in_use, &mut member);
    let row = custom_field::Model {
        field_id: field_id.clone(),
        set_key: set_key.to_owned(),
        position: index as i32,
        name: member.required("name", name, before.map_or("", |field| &field.name)),
        description: member.lines(
            "description",
            description,
            before.and_then(|field| field.description.clone()),
            TEXT_LIMIT,
        ),
        kind: kind.as_str().to_owned(),
        state: match state {
            Some(state) => state.as_str().to_owned(),
            None => before.map_or_else(|| FieldState::Active.as_str().to_owned(), |field| field.state.clone()),
        },
        required: required.unwrap_or(before.is_some_and(|field| field.required)),
        pattern: member.text("pattern", pattern, before.and_then(|field| field.pattern.clone())),
        max_length: self::max_length(max_length, before, kind, &mut member),
        parent_key: before.and_then(|field| field.parent_key.clone()),
        is_unique: unique.unwrap_or(before.is_some_and(|field| field.is_unique)),
        encoded_key,
    };
    if row.is_unique && !kind.can_be_unique() {
        let message = "Only TEXT, NUMBER, DATE and link fields can be unique: send false.";
        member.refuse(ProblemCode::Invalid, "unique", message);
    }
    if row.pattern.is_some() && kind.longest().is_none() {
        member.refuse(
            ProblemCode::Invalid,
            "pattern",
            "Only TEXT and LONG_TEXT fields have a pattern: send null.",
        );
    }
    let roles = roles(client_roles, stored, known, &row.encoded_key, &mut member);
    let options = self::options(options, stored, kind, &row.encoded_key, used, &mut member);
    PlannedField { row, options, roles }
}

/// The client roles that the field is available to, each once.
fn roles(
    sent: &MaybeUndefined<Vec<CustomFieldRoleInput>>,
    stored: Option<&Field>,
    known: &Definitions,
    field_key: &str,
    member: &mut Scalars<'_>,
) -> Vec<custom_field_role::Model> {
    let mut refuse = |code, message: Message| member.refuse(code, "clientRoles", message);
    let list = match sent {
        MaybeUndefined::Undefined => return stored.map(|field| field.roles.clone()).unwrap_or_default(),
        MaybeUndefined::Null => {
            let message = "Send [] to make the field available to all roles, or leave it out to keep the roles.";
            refuse(ProblemCode::NullList, message.into());
            return Vec::new();
        }
        MaybeUndefined::Value(list) if list.len() > MOST => {
            refuse(
                ProblemCode::TooMany,
                format!("A field has at most {MOST} roles.").into(),
            );
            return Vec::new();
        }
        MaybeUndefined::Value(list) => list,
    };
    let (mut roles, mut seen) = (Vec::new(), HashSet::new());
    for CustomFieldRoleInput { client_role, required } in list {
        match known.role(client_role) {
            None => {
                let message = Message::from("There is no client role of this name").listed_by("clientRoles");
                refuse(ProblemCode::NotFound, message);
            }
            Some(role) if !seen.insert(&role.encoded_key) => {
                refuse(
                    ProblemCode::Duplicate,
                    "A role is named twice: name each role once.".into(),
                );
            }
            Some(role) => roles.push(custom_field_role::Model {
                field_key: field_key.to_owned(),
                role_key: role.encoded_key.clone(),
                position: roles.len() as i32,
                is_required: required.unwrap_or_default(),
            }),
        }
    }
    roles
}

fn kind(sent: Option<Kind>, stored: Option<&Field>, in_use: bool, member: &mut Scalars<'_>) -> Kind {
    match (sent, stored.map(|field| field.kind)) {
        (Some(sent), Some(stored)) if sent != stored && in_use => {
            let message = "The type of a field can't change while clients have values for it.";
            member.refuse(ProblemCode::NotEditable, "type", message);
            stored
        }
        (Some(sent), _) => sent,
        (None, Some(stored)) => stored,
        (None, None) => {
            member.refuse(ProblemCode::Blank, "type", "A new field needs a type.");
            Kind::Text
        }
    }
}

fn max_length(
    sent: &MaybeUndefined<i32>,
    before: Option<&custom_field::Model>,
    kind: Kind,
    member: &mut Scalars<'_>,
) -> Option<i32> {
    let length = match sent {
        MaybeUndefined::Undefined => before.and_then(|field| field.max_length),
        MaybeUndefined::Null => None,
        MaybeUndefined::Value(length) => Some(*length),
    }?;
    match kind.longest() {
        None => member.refuse(
            ProblemCode::Invalid,
            "maxLength",
            "Only TEXT and LONG_TEXT fields have a length: send null.",
        ),
        Some(longest) if !(1..=longest as i32).contains(&length) => {
            member.refuse(
                ProblemCode::Invalid,
                "maxLength",
                format!("maxLength must be from 1 to {longest} for this type."),
            );
        }
        Some(_) => {}
    }
    Some(length)
}

/// Options that are offered already keep their keys, and the members that the input omits. Options that clients have
/// are deactivated instead of deleted.
fn options(
    sent: &MaybeUndefined<Vec<CustomFieldOptionInput>>,
    stored: Option<&Field>,
    kind: Kind,
    field_key: &str,
    used: &InUse,
    member: &mut Scalars<'_>,
) -> Vec<custom_field_option::Model> {
    let stored = stored.map(|field| field.options.as_slice()).unwrap_or_default();
    let list = match sent {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => {
            member.refuse(
                ProblemCode::NullList,
                "options",
                "Send the list of options, or leave it out to keep them.",
            );
            return Vec::new();
        }
        MaybeUndefined::Value(list) if list.len() > MOST => {
            let message = format!("A field has at most {MOST} options.");
            member.refuse(ProblemCode::TooMany, "options", message);
            return Vec::new();
        }
        MaybeUndefined::Value(list) => Some(list),
    };
    match (kind == Kind::Selection, list.map_or(stored.is_empty(), Vec::is_empty)) {
        (true, true) => member.refuse(
            ProblemCode::Blank,
            "options",
            "A SELECTION field needs at least one option.",
        ),
        (false, false) => member.refuse(
            ProblemCode::Invalid,
            "options",
            "Only SELECTION fields have options: send [].",
        ),
        _ => {}
    }
    let Some(list) = list else { return stored.to_vec() };
    let known: HashMap<&str, &custom_field_option::Model> =
        stored.iter().map(|option| (&*option.value, option)).collect();
    let mut seen = HashSet::new();
    let mut options = Vec::with_capacity(list.len());
    for (position, option) in list.iter().enumerate() {
        let CustomFieldOptionInput {
            value,
            state,
            score,
            for_values,
        } = option;
        let before = known.get(&**value).copied();
        // A stored value is accepted, even if the rules have changed.
        if is_blank(value) && before.is_none() || !seen.insert(value) {
            let message = "Each option needs a value of its own that isn't blank.";
            member.refuse(ProblemCode::Duplicate, "options", message);
        } else if before.is_none() {
            member.fits("options", value, TEXT_LIMIT);
        }
        let stored_state = || before.map_or_else(|| FieldState::Active.as_str().to_owned(), |it| it.state.clone());
        options.push(custom_field_option::Model {
            field_key: field_key.to_owned(),
            encoded_key: before.map_or_else(new_key, |option| option.encoded_key.clone()),
            position: position as i32,
            value: value.clone(),
            state: state.map_or_else(stored_state, |state| state.as_str().to_owned()),
            score: keep(
                score,
                before.and_then(|option| option.score.clone()),
                |Decimal(score)| score,
            ),
            for_values: self::for_values(
                for_values,
                position,
                before.and_then(|it| it.for_values.clone()),
                member,
            ),
        });
    }
    let is_dropped = |option: &&custom_field_option::Model| !seen.contains(&option.value);
    for option in stored.iter().filter(is_dropped) {
        if kind == Kind::Selection && used.options.contains(&option.encoded_key) {
            options.push(custom_field_option::Model {
                position: options.len() as i32,
                state: FieldState::Deactivated.as_str().to_owned(),
                ..option.clone()
            });
        }
    }
    if options.len() > MOST {
        let message = format!(
            "A field has at most {MOST} options, and clients have some that aren't listed, which are kept: list fewer."
        );
        member.refuse(ProblemCode::TooMany, "options", message);
    }
    options
}

/// The values of the parent field that an option is available for, as they are stored.
fn for_values(
    sent: &MaybeUndefined<Vec<String>>,
    index: usize,
    stored: Option<String>,
    member: &mut Scalars<'_>,
) -> Option<String> {
    let mut refuse = |code, message: String| {
        let place = member.scope.iter().cloned().chain(path!["options", index, "forValues"]);
        member.problems.add(code, place, message);
    };
    match sent {
        MaybeUndefined::Undefined => stored,
        MaybeUndefined::Null => {
            let message = "Send [] to make the option available for all values, or leave it out to keep them.";
            refuse(ProblemCode::NullList, message.to_owned());
            stored
        }
        MaybeUndefined::Value(values) if values.len() > MOST => {
            refuse(ProblemCode::TooMany, format!("An option has at most {MOST} forValues."));
            stored
        }
        MaybeUndefined::Value(values) => (!values.is_empty()).then(|| serde_json::json!(values).to_string()),
    }
}
