//! The difference between two versions of a client, from its audit records.
//!
//! Each record of an existing client is one version. Versions count down from the stored one, because a client that
//! was imported or seeded doesn't begin with version 1.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{
    Action, AuditLog, Member, Shown,
    read::{DefinedFields, is_hidden_now},
    replay::{Allowance, Direction, Records, Unreadable},
};
use crate::{
    caller::{Caller, Permission},
    client_by::ClientBy,
};
use clientele_core::{
    budget,
    error::Result,
    path,
    problem::{Problem, ProblemCode},
};

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
    /// records, and if the caller can't view the set that the field is in now.
    ///
    /// # Errors
    /// The inner error is a problem with the versions.
    pub async fn difference(
        &self,
        caller: &Caller,
        by: &ClientBy,
        from: i64,
        to: i64,
        fields: &impl DefinedFields,
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
        let version = i64::from(version);
        if to > version {
            return Ok(Err(invalid("to", "The client has no such version yet.")));
        }
        let changes = match between(from, to, version, count) {
            Ok(records) => {
                let shown = |member: Member| {
                    let hidden = is_hidden_now(&member.path, fields, &caller.rights);
                    Shown::to(&caller.rights, member, hidden)
                };
                self.changes(&key, records, from == 0, shown).await
            }
            Err(unreadable) => Err(unreadable),
        };
        match changes {
            Ok(changes) => Ok(Ok(Some(Difference { from, to, changes }))),
            Err(unreadable) => {
                let advice = "Choose versions closer together.";
                unreadable.problem("from", "these versions", advice).map(Err)
            }
        }
    }

    /// Returns the joined changes of these records. The first one must be that of the creation, or none of them.
    async fn changes(
        &self,
        key: &str,
        records: Records,
        from_creation: bool,
        shown: impl Fn(Member) -> Shown,
    ) -> Result<Vec<Shown>, Unreadable> {
        let mut changes: BTreeMap<Vec<String>, Shown> = BTreeMap::new();
        let mut allowance = Allowance::default();
        let replay = self.replay(key, records, Direction::Forward, &mut allowance, |row, members| {
            let is_first = from_creation && row.position == 1;
            if is_first != (row.action == Action::Created.as_str()) {
                return Err(Unreadable::Missing);
            }
            // The reason of a change, and the client of a merge, belong to its record, not to the client.
            let members = members.ok_or(Unreadable::Erased)?.into_iter();
            let members = members.filter(|member| member.path != ["reason"] && member.path != ["mergedFrom"]);
            for member in members.map(&shown) {
                join(&mut changes, member);
            }
            Ok(())
        });
        replay.await?;
        let bytes = changes.values().map(|change| {
            let texts = change.path.iter().chain(&change.before).chain(&change.after);
            size_of::<(Vec<String>, Shown)>() + texts.map(String::len).sum::<usize>()
        });
        budget::hold(bytes.sum())?;
        Ok(changes.into_values().map(Shown::hidden_if_masked).collect())
    }
}

/// Joins a later change of a member to the earlier ones. Members that are as before are left out, so that those of
/// entries that came and went take no memory.
fn join(changes: &mut BTreeMap<Vec<String>, Shown>, later: Shown) {
    match changes.entry(later.path.clone()) {
        Entry::Vacant(entry) => drop(entry.insert(later)),
        Entry::Occupied(mut entry) => {
            let joined = entry.get_mut();
            joined.masked |= later.masked;
            joined.after = later.after;
            if !joined.masked && joined.before == joined.after {
                entry.remove();
            }
        }
    }
}

/// Finds the records between two versions by the stored version of the client and the number of its records.
fn between(from: i64, to: i64, version: i64, count: i64) -> Result<Records, Unreadable> {
    let position = |of: i64| count - (version - of);
    let records = Records {
        after: if from == 0 { 0 } else { position(from) },
        until: position(to),
    };
    let is_missing = records.after < 0 || records.until <= records.after;
    match from != to && is_missing {
        true => Err(Unreadable::Missing),
        false => Ok(records),
    }
}

fn invalid(argument: &'static str, message: &'static str) -> Problem {
    Problem::new(ProblemCode::Invalid, path![argument], message)
}

#[cfg(test)]
mod tests {
    use super::between;

    #[test]
    fn records_are_counted_from_the_stored_version() {
        for (from, to, version, count, expected) in [
            (5, 6, 2_500, 2_500, Some((5, 6))),
            (0, 2, 2_500, 2_500, Some((0, 2))),
            (4, 4, 2_500, 2_500, Some((4, 4))),
            // Imported at version 5, and changed three times.
            (0, 5, 8, 4, Some((0, 1))),
            (0, 8, 8, 4, Some((0, 4))),
            (0, 4, 8, 4, None),
            (3, 6, 8, 4, None),
            (5, 7, 8, 4, Some((1, 3))),
            // Seeded without a record, and changed once.
            (0, 1, 2, 1, None),
            (1, 2, 2, 1, Some((0, 1))),
        ] {
            let found = between(from, to, version, count).ok();
            let found = found.map(|records| (records.after, records.until));
            assert_eq!(found, expected, "{from} to {to} of {version}");
        }
    }
}
