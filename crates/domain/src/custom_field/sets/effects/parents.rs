//! The clients whose stored pairs of a selection and its parent a changed field would no longer accept.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, Value};
use serde::Serialize;

use super::{Effects, PlannedField};
use crate::definitions::{Field, FieldState, for_values};
use clientele_core::{
    error::{Error, Result},
    problem::ConcernedClients,
};
use clientele_storage::db::Dialect;

/// The parent's value ($2 is its field) in the group of a value `v`.
const PARENT: &str = "SELECT 1 FROM custom_field_value p WHERE p.client_key = v.client_key \
                      AND p.group_index = v.group_index AND p.field_key = $2";

impl<C: ConnectionTrait> Effects<'_, C> {
    /// The clients with a value of a field that gets another parent, of which they have no fitting value.
    pub(super) async fn without_parent(
        &self,
        field: &PlannedField,
        stored: &Field,
    ) -> Result<Option<ConcernedClients>> {
        let is_new = stored.row.parent_key != field.row.parent_key;
        let Some(parent) = field.row.parent_key.as_ref().filter(|_| is_new) else {
            return Ok(None);
        };
        if !self.used.fields.contains(&field.row.encoded_key) {
            return Ok(None);
        }
        let restricted = field.options.iter().filter(|option| !for_values(option).is_empty());
        let restricted: Vec<&str> = restricted.map(|option| &*option.value).collect();
        let dialect = self.connection.dialect;
        let keys = format!(
            "SELECT DISTINCT v.client_key FROM custom_field_value v WHERE v.field_key = $1 AND NOT EXISTS ({PARENT} \
             AND (NOT ({}) OR {}))",
            dialect.is_one_of("v.value", "$3"),
            is_pair_of("$4", dialect),
        );
        let values: [Value; 4] = [
            field.row.encoded_key.as_str().into(),
            parent.as_str().into(),
            json(&restricted)?,
            json(&pairs(field))?,
        ];
        self.clients(&keys, values).await
    }

    /// The clients with an option that is no longer available for their value of the same parent.
    pub(super) async fn with_lost_pair(
        &self,
        field: &PlannedField,
        stored: &Field,
    ) -> Result<Option<ConcernedClients>> {
        let is_same = stored.row.parent_key == field.row.parent_key;
        let Some(parent) = field.row.parent_key.as_ref().filter(|_| is_same) else {
            return Ok(None);
        };
        let (mut for_all, mut lost) = (Vec::new(), Vec::new());
        let used = field.options.iter();
        for option in used.filter(|option| self.used.options.contains(&option.encoded_key)) {
            let Some(before) = stored.option(&option.value) else {
                continue;
            };
            let (was, is) = (for_values(before), for_values(option));
            // Those of a deactivated option have a warning of their own.
            if is.is_empty() || option.state != FieldState::Active.as_str() {
                continue;
            }
            if was.is_empty() {
                for_all.push(&*option.value);
            }
            let is: HashSet<String> = is.into_iter().collect();
            let gone = was.into_iter().filter(|value| !is.contains(value));
            lost.extend(gone.map(|value| [option.value.clone(), value]));
        }
        if for_all.is_empty() && lost.is_empty() {
            return Ok(None);
        }
        let dialect = self.connection.dialect;
        let keys = format!(
            "SELECT DISTINCT v.client_key FROM custom_field_value v WHERE v.field_key = $1 AND EXISTS ({PARENT} \
             AND ({} AND NOT ({}) OR {}))",
            dialect.is_one_of("v.value", "$3"),
            is_pair_of("$4", dialect),
            is_pair_of("$5", dialect),
        );
        let values: [Value; 5] = [
            field.row.encoded_key.as_str().into(),
            parent.as_str().into(),
            json(&for_all)?,
            json(&pairs(field))?,
            json(&lost)?,
        ];
        self.clients(&keys, values).await
    }
}

/// The pairs of an option that isn't available for all values of the parent, and one of those that it is for.
fn pairs(field: &PlannedField) -> Vec<[String; 2]> {
    let pairs = field.options.iter().flat_map(|option| {
        let values = for_values(option).into_iter();
        values.map(|value| [option.value.clone(), value])
    });
    pairs.collect()
}

/// The condition that the value and that of its parent are one of the pairs in the JSON array bound to `placeholder`.
fn is_pair_of(placeholder: &str, dialect: Dialect) -> String {
    let pairs = match dialect {
        Dialect::Postgres => format!("json_array_elements({placeholder}::json) k(value)"),
        Dialect::Sqlite => format!("json_each({placeholder}) k"),
    };
    format!("(v.value, p.value) IN (SELECT k.value ->> 0, k.value ->> 1 FROM {pairs})")
}

fn json(texts: &impl Serialize) -> Result<Value> {
    Ok(serde_json::to_string(texts).map_err(Error::internal)?.into())
}
