//! The difference between two versions of a client, from its audit records.
//!
//! Each record of a change is one version. The versions count back from the stored one, because a client that was
//! imported or seeded doesn't begin with version 1.

use std::collections::BTreeMap;

use entity::audit_record;

use super::{Action, AuditLog, Record, Shown};
use crate::{
    caller::{Caller, Permission},
    client_by::ClientBy,
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::paging::decode_row;

/// Limit of the versions that are read.
const MOST: i64 = 1_000;

/// The values that differ between two versions of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub from: i64,
    pub to: i64,
    /// Sorted by their paths.
    pub changes: Vec<Shown>,
}

impl AuditLog {
    /// Returns the difference between two versions of a client; none if there is no such client. Version 0 is before
    /// the client was created, so the difference from it has all values of the other one. Values are masked as in the
    /// records.
    ///
    /// # Errors
    /// The inner error is a problem with the versions.
    pub async fn difference(
        &self,
        caller: &Caller,
        by: &ClientBy,
        from: i64,
        to: i64,
    ) -> Result<Result<Option<Difference>, Problem>> {
        caller.require(Permission::Audit)?;
        caller.require(Permission::ViewClient)?;
        let invalid = |name: &'static str, message: &'static str| {
            Ok(Err(Problem::new(ProblemCode::Invalid, path![name], message)))
        };
        if from < 0 || from > to {
            return invalid("from", "It must be from 0 to the other version.");
        }
        let (connection, (condition, named)) = (self.db.read(), by.condition());
        if named.contains('\0') {
            return Ok(Ok(None));
        }
        let sql = format!("SELECT c.encoded_key, c.version, c.history_count FROM client c WHERE {condition}");
        let Some(row) = connection.one(sql, [named.into()]).await? else {
            return Ok(Ok(None));
        };
        let (key, version, count): (String, i32, i64) = row.try_get_many_by_index()?;
        let version = i64::from(version);
        if to > version {
            return invalid("to", "The client has no such version yet.");
        }
        if version - from > MOST && from > 0 {
            return invalid("from", "It must be at most 1000 versions before the present one.");
        }
        let record = connection.dialect.row::<audit_record::Entity>("a");
        let record = connection.dialect.cast_to_text(&record);
        let sql = format!(
            "SELECT {record} FROM audit_record a WHERE a.chain = $1 AND a.position <= $2 AND a.action IN \
             ('{}', '{}') ORDER BY a.position DESC LIMIT {}",
            Action::Created.as_str(),
            Action::Changed.as_str(),
            (version - from).min(MOST)
        );
        let records = connection.each(sql, [key.into(), count.into()], decode_row);
        let records: Vec<audit_record::Model> = records.await?;
        let is_from_creation = records
            .last()
            .is_some_and(|record| record.action == Action::Created.as_str());
        let is_complete = records.len() as i64 == version - from || from == 0 && is_from_creation;
        let oldest = version - records.len() as i64 + 1;
        if !is_complete || from < to && to < oldest {
            return invalid("from", "The client's history doesn't reach back to it.");
        }
        let mut changes: BTreeMap<Vec<String>, Shown> = BTreeMap::new();
        let newest = usize::try_from(version - to).map_err(Error::internal)?;
        for record in records.iter().skip(newest).rev() {
            let Some(members) = Record::of(record, &caller.rights)?.changes else {
                return invalid("from", "The contents of the history since then have been erased.");
            };
            // The reason of a change, and the client of a merge, belong to its record, not to the client.
            let of_record = |member: &Shown| member.path == ["reason"] || member.path == ["mergedFrom"];
            for member in members.into_iter().filter(|member| !of_record(member)) {
                match changes.get_mut(&member.path) {
                    Some(known) => {
                        known.masked |= member.masked;
                        known.after = member.after;
                    }
                    None => drop(changes.insert(member.path.clone(), member)),
                }
            }
        }
        let changes = changes.into_values().map(Shown::hidden_if_masked);
        let changes = changes.filter(|change| change.masked || change.before != change.after);
        Ok(Ok(Some(Difference {
            from,
            to,
            changes: changes.collect(),
        })))
    }
}
