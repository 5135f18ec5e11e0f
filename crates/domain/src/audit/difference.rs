//! The difference between two versions of a client, from its audit records.
//!
//! Each record of an existing client is one version. Versions count down from the stored one, because a client that
//! was imported or seeded doesn't begin with version 1.

use std::collections::BTreeMap;

use super::{Action, AuditLog, LARGEST_CONTENTS, Record, Shown};
use crate::{
    caller::{Caller, Permission},
    client_by::ClientBy,
};
use clientele_core::{
    error::Result,
    path,
    problem::{Message, Problem, ProblemCode},
};

/// Limit of the records that are read.
pub const MOST_VERSIONS: i64 = 1_000;

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
        if from < 0 || from > to {
            return Ok(Err(invalid("from", "It must be from 0 to the other version.")));
        }
        let (connection, (condition, named)) = (self.db.read(), by.condition());
        if named.contains('\0') {
            return Ok(Ok(None));
        }
        let mut values = vec![named.into()];
        let limit = caller.rights.and_limit(connection.dialect, "c", &mut values);
        let sql = format!("SELECT c.encoded_key, c.version, c.history_count FROM client c WHERE {condition}{limit}");
        let Some(row) = connection.one(sql, values).await? else {
            return Ok(Ok(None));
        };
        let (key, version, count): (String, i32, i64) = row.try_get_many_by_index()?;
        let records = match Records::between(from, to, version.into(), count) {
            Ok(records) => records,
            Err(problem) => return Ok(Err(problem)),
        };
        let mut changes: BTreeMap<Vec<String>, Shown> = BTreeMap::new();
        for member in match self.members(caller, &key, &records).await? {
            Ok(members) => members,
            Err(problem) => return Ok(Err(problem)),
        } {
            match changes.get_mut(&member.path) {
                Some(known) => {
                    known.masked |= member.masked;
                    known.after = member.after;
                }
                None => drop(changes.insert(member.path.clone(), member)),
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

    /// Returns the changed members of these records, in their order.
    async fn members(&self, caller: &Caller, key: &str, records: &Records) -> Result<Result<Vec<Shown>, Problem>> {
        let Records { after, until, .. } = *records;
        if until <= after {
            return Ok(Ok(Vec::new()));
        }
        let clauses = "WHERE a.chain = $1 AND a.position > $2 AND a.position <= $3 ORDER BY a.position";
        let (rows, bytes) = self
            .read(clauses, vec![key.into(), after.into(), until.into()], true)
            .await?;
        if bytes > LARGEST_CONTENTS {
            let most = LARGEST_CONTENTS >> 20;
            let message = format!("The changes since then have more than {most} MiB: choose versions closer together.");
            return Ok(Err(invalid("from", message)));
        }
        let created = Action::Created.as_str();
        let is_from_creation = rows.first().is_some_and(|row| row.action == created);
        if is_from_creation != records.from_creation || rows.len() as i64 != until - after {
            return Ok(Err(out_of_reach()));
        }
        let mut all = Vec::new();
        for row in &rows {
            let Some(members) = Record::of(row, &caller.rights)?.changes else {
                let message = "The contents of the history since then have been erased.";
                return Ok(Err(invalid("from", message)));
            };
            // The reason of a change, and the client of a merge, belong to its record, not to the client.
            let of_record = |member: &Shown| member.path == ["reason"] || member.path == ["mergedFrom"];
            all.extend(members.into_iter().filter(|member| !of_record(member)));
        }
        Ok(Ok(all))
    }
}

/// The records between two versions of a client.
#[derive(Debug, PartialEq)]
struct Records {
    /// The positions of the last record before the range, and of the last record in it.
    after: i64,
    until: i64,
    /// True if the first record must be that of the creation.
    from_creation: bool,
}

impl Records {
    /// Finds the records by the stored version of the client and the number of its records.
    fn between(from: i64, to: i64, version: i64, count: i64) -> Result<Self, Problem> {
        if to > version {
            return Err(invalid("to", "The client has no such version yet."));
        }
        let position = |of: i64| count - (version - of);
        let records = Self {
            after: if from == 0 { 0 } else { position(from) },
            until: position(to),
            from_creation: from == 0,
        };
        if from == to {
            return Ok(records);
        }
        if records.after < 0 || records.until <= records.after {
            return Err(out_of_reach());
        }
        if records.until - records.after > MOST_VERSIONS {
            let message =
                format!("At most {MOST_VERSIONS} versions can be compared at once: choose versions closer together.");
            return Err(invalid("from", message));
        }
        Ok(records)
    }
}

fn invalid(name: &'static str, message: impl Into<Message>) -> Problem {
    Problem::new(ProblemCode::Invalid, path![name], message)
}

fn out_of_reach() -> Problem {
    invalid("from", "The client's history doesn't reach back to it.")
}

#[cfg(test)]
mod tests {
    use super::{MOST_VERSIONS, Records};

    fn between(from: i64, to: i64, version: i64, count: i64) -> Result<(i64, i64), String> {
        let records = Records::between(from, to, version, count);
        let positions = records.map(|records| (records.after, records.until));
        positions.map_err(|problem| problem.message.to_string())
    }

    #[test]
    fn records_are_counted_from_the_stored_version() {
        let out_of_reach = Err("The client's history doesn't reach back to it.".to_owned());
        let too_many =
            format!("At most {MOST_VERSIONS} versions can be compared at once: choose versions closer together.");
        for (from, to, version, count, expected) in [
            (5, 6, 2_500, 2_500, Ok((5, 6))),
            (0, 2, 2_500, 2_500, Ok((0, 2))),
            (0, 1_000, 2_500, 2_500, Ok((0, 1_000))),
            (0, 1_001, 2_500, 2_500, Err(too_many.clone())),
            (1_500, 2_500, 2_500, 2_500, Ok((1_500, 2_500))),
            (1_499, 2_500, 2_500, 2_500, Err(too_many)),
            // Imported at version 5, and changed three times.
            (0, 5, 8, 4, Ok((0, 1))),
            (0, 8, 8, 4, Ok((0, 4))),
            (0, 4, 8, 4, out_of_reach.clone()),
            (3, 6, 8, 4, out_of_reach.clone()),
            (5, 7, 8, 4, Ok((1, 3))),
            // Seeded without a record, and changed once.
            (0, 1, 2, 1, out_of_reach),
            (1, 2, 2, 1, Ok((0, 1))),
            (2, 3, 2, 1, Err("The client has no such version yet.".to_owned())),
        ] {
            assert_eq!(
                between(from, to, version, count),
                expected,
                "{from} to {to} of {version}"
            );
        }
    }
}
