//! Creates or changes a set of custom fields, by the same replace rules as clients' collections.
//!
//! A field that isn't listed is deleted if no client has a value for it, and otherwise deactivated.

mod check;
mod recorded;

use std::{collections::HashSet, sync::Arc};

use async_graphql::{InputObject, MaybeUndefined};
use chrono::{DateTime, Utc};
use entity::{Table, custom_field, custom_field_option, custom_field_set};

use crate::definitions::{Definitions, FieldState, Kind, SetUsage, bump_version, lock_definitions};
use crate::{
    Clientele,
    audit::{Action, Chain, Change, Subject},
    caller::{Caller, Permission},
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::{Step, Transaction, Work};

/// Creates a set of custom fields, or changes the one with this `setId` if there is one. To change it, you need the
/// right to change its values. If you have rights to some sets only, you need them for a set that you have created,
/// too.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "UpsertCustomFieldSetInput")]
pub struct UpsertCustomFieldSet {
    /// The set itself.
    pub set: CustomFieldSetInput,
    /// Replaces the fields of the set: one whose `fieldId` is known is changed, another is new, and a stored one that
    /// isn't listed is deleted, or deactivated if clients have values for it. Omit to keep them; `[]` removes all; null
    /// is refused. At most 1,000.
    pub fields: MaybeUndefined<Vec<CustomFieldInput>>,
    /// Returned unchanged in the payload.
    pub client_mutation_id: Option<String>,
}

/// The members of a set. An omitted one stays as it is.
#[derive(InputObject, Clone, Debug)]
pub struct CustomFieldSetInput {
    /// The id of the set, up to 32 characters.
    pub set_id: String,
    /// The key of a new set: 1 to 32 letters and digits. Omit it to have one generated.
    pub encoded_key: MaybeUndefined<String>,
    /// The display name, up to 255 characters. Required on creation.
    pub name: MaybeUndefined<String>,
    /// How many values a client can have for each field. SINGLE by default. Can't be changed.
    pub usage: Option<SetUsage>,
}

/// The definition of a custom field. An omitted member stays as it is; null clears it if it can be cleared.
#[derive(InputObject, Clone, Debug)]
pub struct CustomFieldInput {
    /// The id of the field, up to 32 characters, unique among all sets.
    pub field_id: String,
    /// The key of a new field: 1 to 32 letters and digits. Omit it to have one generated.
    pub encoded_key: MaybeUndefined<String>,
    /// The display name, up to 255 characters. Required on creation.
    pub name: MaybeUndefined<String>,
    /// What the field is for, up to 255 characters.
    pub description: MaybeUndefined<String>,
    /// The type of its values. Required on creation; can't be changed while clients have values for it.
    #[graphql(name = "type")]
    pub kind: Option<Kind>,
    /// Whether it takes values. ACTIVE by default.
    pub state: Option<FieldState>,
    /// Whether every client needs a value for it. False by default.
    pub required: Option<bool>,
    /// For TEXT and LONG_TEXT: the form of the value, where `#` is a digit, `@` a letter, `$` either, any other
    /// character itself.
    pub pattern: MaybeUndefined<String>,
    /// For TEXT and LONG_TEXT: the limit of the value in characters, if it is lower than that of the type.
    pub max_length: MaybeUndefined<i32>,
    /// For SELECTION: replaces the values on offer, in this order. Clients keep the values that they have already. Omit
    /// to keep the list; null is refused. At most 1,000.
    pub options: MaybeUndefined<Vec<CustomFieldOptionInput>>,
}

/// A value that a selection field offers.
#[derive(InputObject, Clone, Debug)]
pub struct CustomFieldOptionInput {
    /// The value itself, up to 255 characters, unique in its field.
    pub value: String,
}

/// A set with its fields as they will be stored.
#[derive(Debug)]
struct Plan {
    set: custom_field_set::Model,
    fields: Vec<(custom_field::Model, Vec<custom_field_option::Model>)>,
    /// Keys of unlisted fields without any values.
    removed: Vec<String>,
}

/// Creates the set that `input` describes, or changes the one it names. Returns all definitions and the set's key.
pub async fn upsert_custom_field_set(
    clientele: &Clientele,
    caller: &Caller,
    input: &UpsertCustomFieldSet,
    now: DateTime<Utc>,
) -> Result<Result<(Arc<Definitions>, String), Vec<Problem>>> {
    caller.needs(Permission::ManageCustomFields)?;
    let work = Upsert {
        clientele,
        caller,
        input,
        now,
    };
    clientele.db.write(&work).await
}

struct Upsert<'a> {
    clientele: &'a Clientele,
    caller: &'a Caller,
    input: &'a UpsertCustomFieldSet,
    now: DateTime<Utc>,
}

impl Work for Upsert<'_> {
    type Output = Result<(Arc<Definitions>, String), Vec<Problem>>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        lock_definitions(transaction).await?;
        let definitions = Definitions::load(transaction).await?;
        if let Some(problem) = self.forbidden(&definitions) {
            return Ok(Step::Discard(Err(vec![problem])));
        }
        let used = fields_in_use(&self.input.set.set_id, transaction).await?;
        let plan = match check::check(self.input, &definitions, &used) {
            Ok(plan) => plan,
            Err(problems) => return Ok(Step::Discard(Err(problems))),
        };
        let key = plan.set.encoded_key.clone();
        if !write(&plan, &definitions, transaction).await? {
            return Ok(Step::Discard(Ok((Arc::new(definitions), key))));
        }
        bump_version(transaction).await?;
        let change = Change {
            chain: Chain::Definitions,
            subject: Subject::CustomFieldSet,
            subject_key: &key,
            action: Action::of(definitions.set_of_key(&key)),
            members: recorded::members(&plan, &definitions),
        };
        let history = &self.clientele.history;
        history.record(transaction, self.caller, &change, self.now).await?;
        Ok(Step::Commit(Ok((Arc::new(Definitions::load(transaction).await?), key))))
    }
}

impl Upsert<'_> {
    /// Refuses a caller who may not change the set's values: they may not change the rules for the values, nor find out
    /// by trying which fields have any.
    fn forbidden(&self, definitions: &Definitions) -> Option<Problem> {
        let set = definitions
            .sets
            .iter()
            .find(|set| set.set_id == self.input.set.set_id)?;
        let message = "You may not change values of this set, nor its definition.";
        (!self.caller.rights.edits(&set.set_id))
            .then(|| Problem::new(ProblemCode::Forbidden, path!["set", "setId"], message))
    }
}

/// Writes the differences, a table at a time. Returns true if there were any.
async fn write(plan: &Plan, before: &Definitions, transaction: &Transaction) -> Result<bool> {
    let (mut fields, mut options, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for (row, wanted) in &plan.fields {
        let stored = before.field_of_key(&row.encoded_key);
        if stored.map(|field| &field.row) != Some(row) {
            fields.push(row);
        }
        let stored = stored.map(|field| field.options.as_slice()).unwrap_or_default();
        let kept: HashSet<&str> = wanted.iter().map(|option| option.encoded_key.as_str()).collect();
        let keys = stored.iter().map(|option| option.encoded_key.as_str());
        gone.extend(keys.filter(|key| !kept.contains(key)));
        let known: HashSet<(&str, i32)> = stored
            .iter()
            .map(|option| (option.encoded_key.as_str(), option.position))
            .collect();
        options.extend(
            wanted
                .iter()
                .filter(|option| !known.contains(&(option.encoded_key.as_str(), option.position))),
        );
    }
    let new_set = before.set_of_key(&plan.set.encoded_key) != Some(&plan.set);
    let removed: Vec<&str> = plan.removed.iter().map(String::as_str).collect();
    if !new_set && fields.is_empty() && options.is_empty() && gone.is_empty() && removed.is_empty() {
        return Ok(false);
    }
    if new_set {
        transaction.put::<custom_field_set::Entity>(&[&plan.set]).await?;
    }
    delete::<custom_field_option::Entity>(&gone, transaction).await?;
    delete::<custom_field::Entity>(&removed, transaction).await?;
    transaction.put::<custom_field::Entity>(&fields).await?;
    transaction.put::<custom_field_option::Entity>(&options).await?;
    Ok(true)
}

async fn delete<T: Table>(keys: &[&str], transaction: &Transaction) -> Result<()> {
    let which = transaction.dialect.is_one_of("encoded_key", "$1");
    let keys = serde_json::to_string(keys).map_err(Error::internal)?;
    transaction
        .run(format!("DELETE FROM {} WHERE {which}", T::table()), [keys.into()])
        .await
        .map(|_| ())
}

/// Returns the keys of a set's fields that have values.
async fn fields_in_use(set_id: &str, transaction: &Transaction) -> Result<HashSet<String>> {
    if set_id.contains('\0') {
        return Ok(HashSet::new());
    }
    let sql = "SELECT f.encoded_key FROM custom_field f JOIN custom_field_set s ON s.encoded_key = f.set_key \
               WHERE s.set_id = $1 AND EXISTS (SELECT 1 FROM custom_field_value v WHERE v.field_key = f.encoded_key)";
    let rows = transaction.all(sql, [set_id.into()]).await?;
    rows.iter()
        .map(|row| row.try_get_by_index(0).map_err(Error::from))
        .collect()
}
