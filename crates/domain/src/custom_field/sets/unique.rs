//! Fields that become unique, or no longer are, while clients have values for them.

use entity::custom_field;

use super::{Plan, concerned};
use crate::{
    caller::Caller,
    definitions::{Definitions, Kind},
};
use clientele_core::{
    error::Result,
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::Transaction;

/// Returns a problem for each field that becomes unique although clients have the same value.
pub(super) async fn duplicates(
    plan: &Plan,
    present: &Definitions,
    caller: &Caller,
    transaction: &Transaction,
) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for (index, (row, kind)) in changed(plan, present, true) {
        let value = comparable(kind);
        let keys = format!(
            "SELECT DISTINCT client_key FROM custom_field_value WHERE field_key = $1 AND {value} IN \
             (SELECT {value} FROM custom_field_value WHERE field_key = $1 GROUP BY 1 \
              HAVING count(DISTINCT client_key) > 1)"
        );
        let values = [row.encoded_key.clone().into()];
        if let Some(clients) = concerned::clients(&keys, values, caller, transaction).await? {
            let have = concerned::have(&clients);
            let message = format!("{have} a value that another client has, too: change the values first.");
            problems.push(Problem {
                custom_field: Some(row.field_id.as_str().into()),
                clients: Some(Box::new(clients)),
                ..Problem::new(ProblemCode::Taken, path!["fields", index, "unique"], message)
            });
        }
    }
    Ok(problems)
}

/// Claims the stored values of fields that have become unique, and releases those of fields that no longer are.
pub(super) async fn claim(plan: &Plan, present: &Definitions, transaction: &Transaction) -> Result<()> {
    for (_, (row, kind)) in changed(plan, present, true) {
        let sql = format!(
            "INSERT INTO custom_field_claim (field_key, value, client_key) \
             SELECT DISTINCT field_key, {}, client_key FROM custom_field_value WHERE field_key = $1",
            comparable(kind)
        );
        transaction.run(sql, [row.encoded_key.clone().into()]).await?;
    }
    for (_, (row, _)) in changed(plan, present, false) {
        let sql = "DELETE FROM custom_field_claim WHERE field_key = $1";
        transaction.run(sql, [row.encoded_key.clone().into()]).await?;
    }
    Ok(())
}

fn comparable(kind: Kind) -> String {
    kind.comparable_sql("coalesce(value, linked_key)")
}

/// The stored fields that become unique, or no longer are, each with its position in the list.
fn changed<'a>(
    plan: &'a Plan,
    present: &'a Definitions,
    is_unique: bool,
) -> impl Iterator<Item = (usize, (&'a custom_field::Model, Kind))> {
    plan.fields.iter().enumerate().filter_map(move |(index, field)| {
        let row = &field.row;
        let stored = present.field_of_key(&row.encoded_key)?;
        let changes = row.is_unique == is_unique && stored.row.is_unique != is_unique;
        changes.then_some((index, (row, Kind::parse(&row.kind)?)))
    })
}
