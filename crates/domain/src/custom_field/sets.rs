//! Creates or changes a set of custom fields, by the same replace rules as clients' collections.
//!
//! A field that isn't listed is deleted if no client has a value for it, and otherwise deactivated.

mod check;
mod concerned;
mod counted;
mod dependent;
mod effects;
mod unique;

use std::collections::{HashMap, HashSet};

use async_graphql::{InputObject, MaybeUndefined};
use entity::{Table, custom_field, custom_field_option, custom_field_role, custom_field_set};
use sea_orm::ConnectionTrait;
use serde::Serialize;

use crate::{
    audit::{Action, Member, Members, Subject},
    client_by::ClientRoleBy,
    definitions::{self, DefinitionChange, Definitions, Field, FieldState, Kind, SetUsage},
};
use clientele_core::{
    error::{Error, Result},
    scalar::Decimal,
};
use clientele_storage::db::{Connection, Transaction};

/// Creates a set of custom fields, or changes the existing set with this `setId`. To change a set, you need the right
/// to change its values. If your rights are limited to certain sets, this also applies to a set that you have created.
#[derive(InputObject, Serialize, Clone, Debug)]
#[graphql(name = "UpsertCustomFieldSetInput")]
#[serde(rename_all = "camelCase")]
pub struct UpsertCustomFieldSet {
    /// The set.
    pub set: CustomFieldSetInput,
    /// Replaces the fields of the set, at most 1,000. A field whose `fieldId` exists is changed; another one is added.
    /// A stored field that isn't listed is deleted, or deactivated if clients have values for it. Omit the list to keep
    /// the fields; `[]` deletes all; null is refused.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub fields: MaybeUndefined<Vec<CustomFieldInput>>,
    /// An ID of your choice, which the payload returns unchanged.
    #[serde(skip)]
    pub client_mutation_id: Option<String>,
}

/// A set of custom fields. If it exists, omitted values stay as they are.
#[derive(InputObject, Serialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct CustomFieldSetInput {
    /// The ID of the set, up to 32 characters.
    pub set_id: String,
    /// The key of a new set: 1 to 32 letters and digits. Omit it to have one generated.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub encoded_key: MaybeUndefined<String>,
    /// The display name, up to 255 characters. Required on creation.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub name: MaybeUndefined<String>,
    /// The number of values that a client can have for each field. SINGLE by default. It can't be changed after
    /// creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<SetUsage>,
    /// The position among all sets, from 0. A new set comes last by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<i32>,
}

/// The definition of a custom field. If it exists, omitted values stay as they are; null clears a value that isn't
/// required.
#[derive(InputObject, Serialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct CustomFieldInput {
    /// The ID of the field, up to 32 characters, unique among all sets.
    pub field_id: String,
    /// The key of a new field: 1 to 32 letters and digits. Omit it to have one generated.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub encoded_key: MaybeUndefined<String>,
    /// The display name, up to 255 characters. Required on creation.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub name: MaybeUndefined<String>,
    /// The purpose of the field, up to 255 characters.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub description: MaybeUndefined<String>,
    /// The type of the values. Required on creation. It can't be changed while clients have values for the field.
    #[graphql(name = "type")]
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The state of the field. ACTIVE by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<FieldState>,
    /// True if every client must have a value; in a GROUPED set, every group. False by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// True if no two clients may have the same value. Only for TEXT, NUMBER, DATE and links; false by default. It is
    /// refused while clients have the same value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique: Option<bool>,
    /// For SELECTION: the ID of another SELECTION field of the set, whose value decides which options are available. A
    /// value then needs a value of that field, in a GROUPED set in the same group.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub parent_field_id: MaybeUndefined<String>,
    /// For TEXT and LONG_TEXT: the required form of a value, in which `#` is a digit, `@` a letter, `$` a digit or
    /// letter, and any other character itself.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub pattern: MaybeUndefined<String>,
    /// For TEXT and LONG_TEXT: the maximum length of a value in characters, if it is lower than the limit of the type.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub max_length: MaybeUndefined<i32>,
    /// Replaces the client roles that the field is available to, at most 1,000; `[]` makes it available to all. Clients
    /// of other roles keep the values that they already have. Omit it to keep the roles; null is refused.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub client_roles: MaybeUndefined<Vec<CustomFieldRoleInput>>,
    /// For SELECTION: replaces the options, at most 1,000, in this order. A stored option that isn't listed is deleted,
    /// or deactivated if clients have it. Omit it to keep the options; null is refused.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub options: MaybeUndefined<Vec<CustomFieldOptionInput>>,
}

/// A client role that a custom field is available to.
#[derive(InputObject, Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct CustomFieldRoleInput {
    /// The role.
    pub client_role: ClientRoleBy,
    /// True if every client of this role must have a value, even if the field isn't required in general. False by
    /// default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
}

/// A value that a SELECTION field offers. If it exists, omitted members stay as they are.
#[derive(InputObject, Serialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct CustomFieldOptionInput {
    /// The value, up to 255 characters, unique within the field.
    pub value: String,
    /// The state of the option. ACTIVE by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<FieldState>,
    /// A number that the bank gives to the option, for example for a rating.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub score: MaybeUndefined<Decimal>,
    /// For a field with a parent field: the values of the parent that the option is available for, at most 1,000; `[]`
    /// makes it available for all. Omit it to keep the values; null is refused.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub for_values: MaybeUndefined<Vec<String>>,
}

/// A set with its fields as they will be stored.
#[derive(Debug)]
struct Plan {
    set: custom_field_set::Model,
    /// Other sets that get another position.
    moved: Vec<custom_field_set::Model>,
    fields: Vec<PlannedField>,
    /// Keys of unlisted fields without any values.
    removed: Vec<String>,
}

/// A field as it will be stored.
#[derive(Debug)]
struct PlannedField {
    row: custom_field::Model,
    options: Vec<custom_field_option::Model>,
    roles: Vec<custom_field_role::Model>,
}

impl PlannedField {
    /// A stored field that doesn't change.
    fn kept(field: &Field) -> Self {
        Self {
            row: field.row.clone(),
            options: field.options.clone(),
            roles: field.roles.clone(),
        }
    }
}

/// Writes the differences, a table at a time. Returns true if there were any.
async fn write(plan: &Plan, before: &Definitions, transaction: &Transaction) -> Result<bool> {
    let (mut fields, mut options, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    let (mut roles, mut of_fields) = (Vec::new(), Vec::new());
    for field in &plan.fields {
        let stored = before.field_of_key(&field.row.encoded_key);
        if stored.map(|stored| &stored.row) != Some(&field.row) {
            fields.push(&field.row);
        }
        if stored.map_or(&[][..], |stored| &stored.roles) != field.roles {
            of_fields.push(field.row.encoded_key.as_str());
            roles.extend(&field.roles);
        }
        let stored = stored.map(|stored| stored.options.as_slice()).unwrap_or_default();
        let kept: HashSet<&str> = field.options.iter().map(|option| &*option.encoded_key).collect();
        let keys = stored.iter().map(|option| option.encoded_key.as_str());
        gone.extend(keys.filter(|key| !kept.contains(key)));
        let known: HashMap<&str, _> = stored.iter().map(|option| (&*option.encoded_key, option)).collect();
        let changed = |option: &&custom_field_option::Model| known.get(&*option.encoded_key) != Some(option);
        options.extend(field.options.iter().filter(changed));
    }
    let new_set = before.set_of_key(&plan.set.encoded_key) != Some(&plan.set);
    let sets = Vec::from_iter(plan.moved.iter().chain(new_set.then_some(&plan.set)));
    let removed: Vec<&str> = plan.removed.iter().map(String::as_str).collect();
    if sets.is_empty()
        && fields.is_empty()
        && options.is_empty()
        && gone.is_empty()
        && removed.is_empty()
        && of_fields.is_empty()
    {
        return Ok(false);
    }
    transaction.put::<custom_field_set::Entity>(&sets).await?;
    delete::<custom_field_option::Entity>("encoded_key", &gone, transaction).await?;
    delete::<custom_field::Entity>("encoded_key", &removed, transaction).await?;
    delete::<custom_field_role::Entity>("field_key", &of_fields, transaction).await?;
    transaction.put::<custom_field::Entity>(&fields).await?;
    transaction.put::<custom_field_option::Entity>(&options).await?;
    transaction.put::<custom_field_role::Entity>(&roles).await?;
    Ok(true)
}

async fn delete<T: Table>(column: &str, keys: &[&str], transaction: &Transaction) -> Result<()> {
    let which = transaction.dialect.is_one_of(column, "$1");
    let keys = serde_json::to_string(keys).map_err(Error::internal)?;
    transaction
        .run(format!("DELETE FROM {} WHERE {which}", T::table()), [keys.into()])
        .await
        .map(|_| ())
}

/// The fields and options of a set that clients have values of.
#[derive(Debug, Default, PartialEq)]
struct InUse {
    /// The keys of the fields.
    fields: HashSet<String>,
    /// The keys of the options.
    options: HashSet<String>,
}

impl InUse {
    async fn read<C: ConnectionTrait>(set_id: &str, connection: &Connection<C>) -> Result<Self> {
        if set_id.contains('\0') {
            return Ok(Self::default());
        }
        let sql = match connection.distributed {
            true => USED_OF_NODES,
            false => USED,
        };
        let mut used = Self::default();
        for row in connection.all(sql, [set_id.into()]).await? {
            let (is_option, key): (bool, String) = row.try_get_many_by_index()?;
            let keys = if is_option { &mut used.options } else { &mut used.fields };
            keys.insert(key);
        }
        Ok(used)
    }
}

/// Selects the fields and options of a set that clients have values of. The index has the beginning of a value.
const USED: &str = "SELECT FALSE, f.encoded_key FROM custom_field f \
    JOIN custom_field_set s ON s.encoded_key = f.set_key WHERE s.set_id = $1 \
    AND EXISTS (SELECT 1 FROM custom_field_value v WHERE v.field_key = f.encoded_key) \
    UNION ALL SELECT TRUE, o.encoded_key FROM custom_field_option o \
    JOIN custom_field f ON f.encoded_key = o.field_key JOIN custom_field_set s ON s.encoded_key = f.set_key \
    WHERE s.set_id = $1 AND EXISTS (SELECT 1 FROM custom_field_value v WHERE v.field_key = o.field_key \
    AND substr(coalesce(v.value, v.linked_key), 1, 100) = substr(o.value, 1, 100) AND v.value = o.value)";

/// The same on a distributed database, where each node starts with its own values: it reads all of the fields.
const USED_OF_NODES: &str = "SELECT DISTINCT FALSE, v.field_key FROM custom_field_value v \
    JOIN custom_field f ON f.encoded_key = v.field_key JOIN custom_field_set s ON s.encoded_key = f.set_key \
    WHERE s.set_id = $1 UNION ALL SELECT DISTINCT TRUE, o.encoded_key FROM custom_field_value v \
    JOIN custom_field_option o ON o.field_key = v.field_key AND o.value = v.value \
    JOIN custom_field f ON f.encoded_key = o.field_key JOIN custom_field_set s ON s.encoded_key = f.set_key \
    WHERE s.set_id = $1";

/// The change of a set that only gets another position.
fn moved(set: &custom_field_set::Model, before: &Definitions) -> DefinitionChange {
    let (mut members, stored) = (Vec::new(), before.set_of_key(&set.encoded_key));
    Members::new(&mut members).columns(stored, Some(set), [custom_field_set::Column::Position]);
    DefinitionChange {
        subject: Subject::CustomFieldSet,
        key: set.encoded_key.clone(),
        action: Action::of(stored),
        members,
    }
}

/// Returns the members in which the plan differs from the stored set; all members of a new set.
fn members(plan: &Plan, before: &Definitions) -> Vec<Member> {
    let mut found = Vec::new();
    use custom_field_set::Column::{Name, Position, SetId, Usage};
    let stored = before.set_of_key(&plan.set.encoded_key);
    Members::new(&mut found).columns(stored, Some(&plan.set), [SetId, Name, Usage, Position]);
    for field in &plan.fields {
        let stored = before.field_of_key(&field.row.encoded_key).map(PlannedField::kept);
        field_members(stored.as_ref(), Some(field), before, &mut found);
        let parent = |field: &PlannedField| dependent::id_of(field.row.parent_key.as_deref()?, plan, before);
        let [stored, parent] = [stored.as_ref().and_then(parent), parent(field)];
        let mut members = Members::below(&mut found, &["fields", &field.row.field_id]);
        members.text("parentFieldId", stored.as_deref(), parent.as_deref());
    }
    for key in &plan.removed {
        let stored = before.field_of_key(key).map(PlannedField::kept);
        field_members(stored.as_ref(), None, before, &mut found);
    }
    found
}

fn field_members(
    before: Option<&PlannedField>,
    after: Option<&PlannedField>,
    definitions: &Definitions,
    found: &mut Vec<Member>,
) {
    let Some(id) = after.or(before).map(|field| &field.row.field_id) else {
        return;
    };
    let mut members = Members::below(found, &["fields", id]);
    use custom_field::Column::{Description, IsUnique, Kind, MaxLength, Name, Pattern, Position, Required, State};
    let columns = [
        Name,
        Description,
        Kind,
        State,
        Pattern,
        MaxLength,
        Position,
        Required,
        IsUnique,
    ];
    members.columns(before.map(|field| &field.row), after.map(|field| &field.row), columns);
    let list = |recorded: Vec<serde_json::Value>| {
        (!recorded.is_empty()).then(|| serde_json::Value::Array(recorded).to_string())
    };
    let options = |field: &PlannedField| list(field.options.iter().map(recorded).collect());
    let [options_before, options_after] = [before, after].map(|field| field.and_then(options));
    members.text("options", options_before.as_deref(), options_after.as_deref());
    let role = |role: &custom_field_role::Model| {
        let id = definitions.role_of_key(&role.role_key).map(|role| &role.role_id);
        serde_json::json!({ "roleId": id, "required": role.is_required })
    };
    let roles = |field: &PlannedField| list(field.roles.iter().map(role).collect());
    let [roles_before, roles_after] = [before, after].map(|field| field.and_then(roles));
    members.text("clientRoles", roles_before.as_deref(), roles_after.as_deref());
}

/// An option in an audit record: its value, or an object if it has more than that.
fn recorded(option: &custom_field_option::Model) -> serde_json::Value {
    let custom_field_option::Model {
        value,
        state,
        score,
        for_values,
        ..
    } = option;
    if state == FieldState::Active.as_str() && score.is_none() && for_values.is_none() {
        serde_json::json!(value)
    } else {
        let for_values = definitions::for_values(option);
        serde_json::json!({ "value": value, "state": state, "score": score, "forValues": for_values })
    }
}
