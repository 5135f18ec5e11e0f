//! Claims the values of unique custom fields. Each is unique in the database: it has one row in `custom_field_claim`.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use entity::{Table, custom_field_claim, custom_field_value};
use serde::Serialize;

use super::{
    Answer, CustomFieldValueInput, Upsert, UpsertClient,
    match_field::{HOLDER, MEMBER},
};
use crate::{
    caller::Rights,
    client::Aggregate,
    definitions::{Definitions, Field},
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode, Section, Step as PathStep},
};
use clientele_storage::db::{Dialect, Step, Transaction};

/// A value to claim: the key of its field, and the value in its comparable form.
#[derive(Serialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    field_key: String,
    value: String,
}

impl Claim {
    /// The claim of a value in its comparable form.
    pub(super) fn new(field: &Field, value: String) -> Self {
        Self {
            field_key: field.row.encoded_key.clone(),
            value,
        }
    }

    fn of(field: &Field, text: &str) -> Option<Self> {
        let is_unique = field.row.is_unique;
        is_unique.then(|| Self::new(field, field.kind.comparable(text)))
    }

    /// The claims of a new client with the values of this submission, each with the index of its value. Values that
    /// break a rule of their field claim nothing.
    pub(super) fn sent<'a>(
        input: &'a UpsertClient,
        definitions: &'a Definitions,
    ) -> impl Iterator<Item = (usize, Self)> + 'a {
        let values = input.custom_information.value().into_iter().flatten().enumerate();
        values.filter_map(|(index, sent)| Some((index, Self::of_sent(sent, definitions)?)))
    }

    fn of_sent(sent: &CustomFieldValueInput, definitions: &Definitions) -> Option<Self> {
        let field = definitions.field(&sent.field_id)?;
        let text = if field.kind.is_link() {
            &sent.linked_key
        } else {
            &sent.value
        };
        let text = field.accept(text.value()?).ok().filter(|text| !text.is_empty())?;
        Self::of(field, &text)
    }

    /// The condition that a row is one of the claims in the JSON array bound to `placeholder`.
    pub(super) fn is_one_of(dialect: Dialect, placeholder: &str) -> String {
        let columns = ["field_key", "value"];
        let rows = dialect.rows_of_json(custom_field_claim::Entity::table(), &columns, placeholder);
        format!("(field_key, value) IN ({rows})")
    }

    /// The claim as a text that differs from that of every other claim.
    pub(super) fn text(&self) -> String {
        format!("{} {}", self.field_key, self.value)
    }

    /// The row of a client's claim.
    pub(super) fn row(&self, client_key: &str) -> custom_field_claim::Model {
        custom_field_claim::Model {
            field_key: self.field_key.clone(),
            value: self.value.clone(),
            client_key: client_key.to_owned(),
        }
    }
}

/// Returns the claims of a client with these values.
pub(super) fn claims(values: Option<&Vec<custom_field_value::Model>>, definitions: &Definitions) -> BTreeSet<Claim> {
    let claim = |value: &custom_field_value::Model| {
        let text = value.value.as_deref().or(value.linked_key.as_deref())?;
        Claim::of(definitions.field_of_key(&value.field_key)?, text)
    };
    values.into_iter().flatten().filter_map(claim).collect()
}

impl Upsert<'_> {
    /// Claims the unique values that `after` has and `before` lacks, and releases the others. Returns the end of the
    /// upsert if other clients have values.
    pub(super) async fn claim_values(
        &self,
        before: Option<&Aggregate>,
        after: &Aggregate,
        definitions: &Definitions,
        transaction: &Transaction,
    ) -> Result<Option<Step<Answer>>> {
        if after.custom_values.is_none() {
            return Ok(None);
        }
        let old = claims(before.and_then(|before| before.custom_values.as_ref()), definitions);
        let new = claims(after.custom_values.as_ref(), definitions);
        let key = &after.client.encoded_key;
        let (dialect, released) = (transaction.dialect, Vec::from_iter(old.difference(&new)));
        if !released.is_empty() {
            let which = Claim::is_one_of(dialect, "$2");
            let sql = format!("DELETE FROM custom_field_claim WHERE client_key = $1 AND {which}");
            let values = [key.into(), json(&released)?.into()];
            transaction.run(sql, values).await?;
        }
        // In order, so that two clients who claim the same values don't wait for each other.
        let claimed = Vec::from_iter(new.difference(&old));
        if claimed.is_empty() {
            return Ok(None);
        }
        let rows: Vec<_> = claimed.iter().map(|claim| claim.row(key)).collect();
        if insert(&rows, transaction).await? {
            return Ok(None);
        }
        let taken = taken(key, &claimed, &Rights::all(), transaction).await?;
        // A value has been released since it was found to be taken, or another request has just created the client
        // that this one names by its value.
        if taken.is_empty() {
            return Ok(Some(Step::Again));
        }
        if let Some(claim) = taken.iter().find(|claim| self.is_matched(claim, definitions)) {
            // If that client doesn't exist for the caller, the value is taken.
            let values = [(&claim.field_key).into(), (&claim.value).into()];
            if !self.is_hidden(HOLDER, values, transaction).await? {
                return Ok(Some(Step::Again));
            }
        }
        let mut problems: Vec<(Option<usize>, Problem)> = taken
            .iter()
            .map(|claim| {
                let (index, mut problem) = value_taken(self.input, claim, definitions);
                if index.is_none() && self.is_matched(claim, definitions) {
                    problem.path = path![MEMBER, "value"].to_vec();
                }
                (index, problem)
            })
            .collect();
        problems.sort_by_key(|(index, _)| *index);
        let problems = problems.into_iter().map(|(_, problem)| problem).collect();
        Ok(Some(Step::Discard(Err(problems))))
    }

    /// Adds the values that other clients have to the other problems of a submission, so that the caller can correct
    /// all of them at once. A value with another problem isn't looked up: it must be changed anyway.
    pub(super) async fn with_taken_values(
        &self,
        mut problems: Vec<Problem>,
        input: &UpsertClient,
        stored: Option<&Aggregate>,
        definitions: &Definitions,
        transaction: &Transaction,
    ) -> Result<Vec<Problem>> {
        let is_final =
            |problem: &Problem| problem.section() == Section::Permission || problem.code == ProblemCode::Blacklisted;
        let is_editable = |claim: &Claim| {
            let field = definitions.field_of_key(&claim.field_key);
            field.is_some_and(|field| field.is_editable(&self.caller.rights)) && !claim.value.contains('\0')
        };
        let refused: HashSet<usize> = problems.iter().filter_map(index_of_value).collect();
        let mut claims: BTreeMap<Claim, usize> = BTreeMap::new();
        for (index, claim) in Claim::sent(input, definitions) {
            if is_editable(&claim) && !refused.contains(&index) {
                claims.entry(claim).or_insert(index);
            }
        }
        if claims.is_empty() || problems.iter().any(is_final) {
            return Ok(problems);
        }
        let key = stored.map_or("", |stored| &*stored.client.encoded_key);
        let claimed: Vec<&Claim> = claims.keys().collect();
        let taken = taken(key, &claimed, &self.caller.rights, transaction).await?;
        let mut taken: Vec<(usize, Claim)> = taken.into_iter().map(|claim| (claims[&claim], claim)).collect();
        taken.sort();
        problems.extend(
            taken
                .iter()
                .map(|(index, claim)| value_taken_at(Some(*index), claim, definitions)),
        );
        problems.sort_by_key(Problem::section);
        Ok(problems)
    }

    /// Returns true if the submission names its client by this value.
    fn is_matched(&self, claim: &Claim, definitions: &Definitions) -> bool {
        let matched = self.matched(definitions).ok().flatten();
        matched.is_some_and(|(field, value)| field.row.encoded_key == claim.field_key && value == claim.value)
    }
}

/// Returns those claims that other clients of these rights have.
async fn taken(
    client_key: &str,
    claims: &impl Serialize,
    rights: &Rights,
    transaction: &Transaction,
) -> Result<Vec<Claim>> {
    let mut values = vec![client_key.into(), json(claims)?.into()];
    let limit = rights.and_limit(transaction.dialect, "c", &mut values);
    let owner = match limit.is_empty() {
        true => String::new(),
        false => format!(" AND client_key IN (SELECT c.encoded_key FROM client c WHERE TRUE{limit})"),
    };
    let which = Claim::is_one_of(transaction.dialect, "$2");
    let sql = format!("SELECT field_key, value FROM custom_field_claim WHERE client_key <> $1 AND {which}{owner}");
    let rows = transaction.all(sql, values).await?;
    let claim = |(field_key, value)| Claim { field_key, value };
    rows.iter().map(|row| Ok(claim(row.try_get_many_by_index()?))).collect()
}

/// Returns the problem of a submission with a value that another client has claimed, and the index of the value in the
/// list.
pub(super) fn value_taken(input: &UpsertClient, claim: &Claim, definitions: &Definitions) -> (Option<usize>, Problem) {
    let field = definitions.field_of_key(&claim.field_key);
    let mut values = input.custom_information.value().into_iter().flatten();
    let index = values.position(|sent| {
        field.is_some_and(|field| sent.field_id == field.row.field_id)
            && Claim::of_sent(sent, definitions).as_ref() == Some(claim)
    });
    (index, value_taken_at(index, claim, definitions))
}

/// Returns the problem with the value at this index of the list, which another client has claimed.
fn value_taken_at(index: Option<usize>, claim: &Claim, definitions: &Definitions) -> Problem {
    let field = definitions.field_of_key(&claim.field_key);
    let id = field.map_or("", |field| &field.row.field_id);
    let path = match (index, field.is_some_and(|field| field.kind.is_link())) {
        (Some(index), false) => path!["customInformation", index, "value"].to_vec(),
        (Some(index), true) => path!["customInformation", index, "linkedKey"].to_vec(),
        (None, _) => path!["customInformation"].to_vec(),
    };
    let message = format!("Another client has this value of the field {id}, which must be unique.");
    Problem {
        custom_field: Some(id.into()),
        ..Problem::new(ProblemCode::Taken, path, message)
    }
}

/// Returns the index of the custom field value that a problem is about.
fn index_of_value(problem: &Problem) -> Option<usize> {
    match *problem.path {
        [PathStep::Name("customInformation"), PathStep::Index(index), ..] => Some(index),
        _ => None,
    }
}

/// Returns the claims that these submissions could make, and that a client has already.
pub(super) async fn claimed(
    inputs: impl Iterator<Item = &UpsertClient>,
    definitions: &Definitions,
    transaction: &Transaction,
) -> Result<BTreeSet<Claim>> {
    let sent = inputs.flat_map(|input| input.custom_information.value().into_iter().flatten());
    // New values are stored in their canonical form, exported ones as they are.
    let claims = sent.filter_map(|sent| {
        let field = definitions.field(&sent.field_id).filter(|field| field.row.is_unique)?;
        let text = sent.value.value().or(sent.linked_key.value())?;
        let canonical = field.accept(text).ok().and_then(|text| Claim::of(field, &text));
        Some([canonical, Claim::of(field, text)].into_iter().flatten())
    });
    let claims = claims.flatten().filter(|claim| !claim.value.contains('\0'));
    let claims: BTreeSet<Claim> = claims.collect();
    if claims.is_empty() {
        return Ok(claims);
    }
    let which = Claim::is_one_of(transaction.dialect, "$1");
    let sql = format!("SELECT field_key, value FROM custom_field_claim WHERE {which}");
    let rows = transaction.all(sql, [json(&claims)?.into()]).await?;
    let claim = |(field_key, value)| Claim { field_key, value };
    rows.iter().map(|row| Ok(claim(row.try_get_many_by_index()?))).collect()
}

/// Inserts these claims, which are distinct and in order. Returns false if clients have some of them already.
async fn insert(claims: &[custom_field_claim::Model], transaction: &Transaction) -> Result<bool> {
    let columns = custom_field_claim::Entity::columns();
    let sql = format!(
        "INSERT INTO custom_field_claim ({}) {} ON CONFLICT DO NOTHING RETURNING 1",
        columns.join(", "),
        rows_of_json(transaction.dialect, "$1"),
    );
    Ok(transaction.all(sql, [json(&claims)?.into()]).await?.len() == claims.len())
}

/// The statement that reads the claims in the JSON array bound to `placeholder`.
fn rows_of_json(dialect: Dialect, placeholder: &str) -> String {
    let columns = custom_field_claim::Entity::columns();
    dialect.rows_of_json(custom_field_claim::Entity::table(), &columns, placeholder)
}

/// The claims of values that change in several clients at once: the claims of the former values are released, and
/// those of the new values are made.
pub(super) struct Reclaim {
    /// Those before and after.
    released: Vec<custom_field_claim::Model>,
    claimed: Vec<custom_field_claim::Model>,
}

impl Reclaim {
    pub fn of(
        before: &[custom_field_value::Model],
        after: &[custom_field_value::Model],
        definitions: &Definitions,
    ) -> Self {
        let claims = |values: &mut dyn Iterator<Item = &custom_field_value::Model>| {
            let claim = |value: &custom_field_value::Model| {
                let claim = claims(Some(&vec![value.clone()]), definitions).pop_first()?;
                Some((claim, value.client_key.clone()))
            };
            let distinct: BTreeSet<(Claim, String)> = values.filter_map(claim).collect();
            distinct
                .iter()
                .map(|(claim, client_key)| claim.row(client_key))
                .collect()
        };
        Self {
            released: claims(&mut before.iter().chain(after)),
            claimed: claims(&mut after.iter()),
        }
    }

    /// Returns true if other clients have the new claims, or two of these clients would.
    pub async fn is_taken(&self, transaction: &Transaction) -> Result<bool> {
        let values: BTreeSet<(&str, &str)> = self.claimed.iter().map(|row| (&*row.field_key, &*row.value)).collect();
        if values.len() < self.claimed.len() {
            return Ok(true);
        }
        if self.claimed.is_empty() {
            return Ok(false);
        }
        let which = Claim::is_one_of(transaction.dialect, "$1");
        let sql = format!("SELECT field_key, value, client_key FROM custom_field_claim WHERE {which}");
        for row in transaction.all(sql, [json(&self.claimed)?.into()]).await? {
            let (field_key, value, client_key) = row.try_get_many_by_index()?;
            let held = custom_field_claim::Model {
                field_key,
                value,
                client_key,
            };
            if !self.claimed.contains(&held) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Changes the claims, of which none is taken. Returns false if another client has just claimed one of them.
    pub async fn write(&self, transaction: &Transaction) -> Result<bool> {
        if self.claimed.is_empty() {
            return Ok(true);
        }
        let sql = format!(
            "DELETE FROM custom_field_claim WHERE (field_key, value, client_key) IN ({})",
            rows_of_json(transaction.dialect, "$1")
        );
        transaction.run(sql, [json(&self.released)?.into()]).await?;
        insert(&self.claimed, transaction).await
    }
}

fn json(claims: &impl Serialize) -> Result<String> {
    serde_json::to_string(claims).map_err(Error::internal)
}
