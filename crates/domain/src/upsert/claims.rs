//! Claims the values of unique custom fields. Each is unique in the database: it has one row in `custom_field_claim`.

use std::collections::BTreeSet;

use entity::{Table, custom_field_claim, custom_field_value};
use serde::Serialize;

use super::{Answer, CustomFieldValueInput, Upsert};
use crate::{
    client::Aggregate,
    definitions::{Definitions, Field},
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::{Dialect, Step, Transaction};

/// A value to claim: the key of its field, and the value in its comparable form.
#[derive(Serialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    field_key: String,
    value: String,
}

impl Claim {
    fn of(field: &Field, text: &str) -> Option<Self> {
        field.row.is_unique.then(|| Self {
            field_key: field.row.encoded_key.clone(),
            value: field.kind.comparable(text),
        })
    }
}

/// Returns the claims of a client with these values.
fn claims(values: Option<&Vec<custom_field_value::Model>>, definitions: &Definitions) -> BTreeSet<Claim> {
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
            let which = is_one_of(dialect, "$2");
            let sql = format!("DELETE FROM custom_field_claim WHERE client_key = $1 AND {which}");
            let values = [key.into(), json(&released)?.into()];
            transaction.run(sql, values).await?;
        }
        // In order, so that two clients who claim the same values don't wait for each other.
        let claimed = Vec::from_iter(new.difference(&old));
        if claimed.is_empty() {
            return Ok(None);
        }
        let rows = claimed.iter().map(|claim| custom_field_claim::Model {
            field_key: claim.field_key.clone(),
            value: claim.value.clone(),
            client_key: key.clone(),
        });
        let columns = custom_field_claim::Entity::columns();
        let sql = format!(
            "INSERT INTO custom_field_claim ({}) {} ON CONFLICT DO NOTHING",
            columns.join(", "),
            dialect.rows_of_json(custom_field_claim::Entity::table(), &columns, "$1"),
        );
        let rows = json(&Vec::from_iter(rows))?;
        if transaction.run(sql, [rows.into()]).await? == claimed.len() as u64 {
            return Ok(None);
        }
        let which = is_one_of(dialect, "$2");
        let sql = format!("SELECT field_key, value FROM custom_field_claim WHERE client_key <> $1 AND {which}");
        let rows = transaction.all(sql, [key.into(), json(&claimed)?.into()]).await?;
        let claim = |(field_key, value)| Claim { field_key, value };
        let taken: Result<Vec<Claim>> = rows.iter().map(|row| Ok(claim(row.try_get_many_by_index()?))).collect();
        let taken = taken?;
        // A value has been released since it was found to be taken, or another request has just created the client
        // that this one names by its value.
        if taken.is_empty() || taken.iter().any(|claim| self.is_matched(claim, definitions)) {
            return Ok(Some(Step::Again));
        }
        let mut problems: Vec<(Option<usize>, Problem)> =
            taken.iter().map(|claim| self.value_taken(claim, definitions)).collect();
        problems.sort_by_key(|(index, _)| *index);
        let problems = problems.into_iter().map(|(_, problem)| problem).collect();
        Ok(Some(Step::Discard(Err(problems))))
    }

    /// Returns true if the submission names its client by this value.
    fn is_matched(&self, claim: &Claim, definitions: &Definitions) -> bool {
        let matched = self.matched(definitions).ok().flatten();
        matched.is_some_and(|(field, value)| field.row.encoded_key == claim.field_key && value == claim.value)
    }

    /// Returns the problem, and the index of the value in the list.
    fn value_taken(&self, claim: &Claim, definitions: &Definitions) -> (Option<usize>, Problem) {
        let field = definitions.field_of_key(&claim.field_key);
        let id = field.map_or("", |field| &field.row.field_id);
        let has_it = |input: &CustomFieldValueInput| {
            let field = field.filter(|_| input.field_id == id)?;
            let sent = if field.kind.is_link() {
                &input.linked_key
            } else {
                &input.value
            };
            let text = field.accept(sent.value()?).ok()?;
            let member = if field.kind.is_link() { "linkedKey" } else { "value" };
            (Claim::of(field, &text)? == *claim).then_some(member)
        };
        let mut values = self.input.custom_information.value().into_iter().flatten().enumerate();
        let found = values.find_map(|(index, input)| Some((index, has_it(input)?)));
        let path = match found {
            Some((index, member)) => path!["customInformation", index, member].to_vec(),
            None => path!["customInformation"].to_vec(),
        };
        let message = format!("Another client has this value of the field {id}, which must be unique.");
        let problem = Problem {
            custom_field: Some(id.into()),
            ..Problem::new(ProblemCode::Taken, path, message)
        };
        (found.map(|(index, _)| index), problem)
    }
}

fn json(claims: &impl Serialize) -> Result<String> {
    serde_json::to_string(claims).map_err(Error::internal)
}

/// The condition that a row is one of the claims in the JSON array bound to `placeholder`.
fn is_one_of(dialect: Dialect, placeholder: &str) -> String {
    let rows = dialect.rows_of_json(
        custom_field_claim::Entity::table(),
        &["field_key", "value"],
        placeholder,
    );
    format!("(field_key, value) IN ({rows})")
}
