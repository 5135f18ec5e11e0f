//! The latest changes of users, tokens and sessions. One statement tells all open subscriptions whether their callers
//! must be checked again.

use std::collections::HashMap;

use crate::audit::Chain;
use clientele_core::error::Result;
use clientele_storage::db::Database;

/// The changes that are read at once, and the keys that are remembered.
const MOST: usize = 10_000;
/// The latest changes that stay when there are more keys.
const KEPT: i64 = 5_000;

/// The changes until a time, by their positions in the audit log.
#[derive(Clone, Debug, Default)]
pub struct AccountChanges {
    end: i64,
    /// The last change of each user, token or session, by its key.
    by_key: HashMap<String, i64>,
    /// Before this, any of them may have changed.
    complete_after: i64,
}

impl AccountChanges {
    /// The position of the last change.
    pub const fn end(&self) -> i64 {
        self.end
    }

    /// Returns true if one of these keys has, or may have, changed after a position.
    pub fn include(&self, keys: &[&str], after: i64) -> bool {
        let has_changed = |key: &&str| self.by_key.get(*key).is_some_and(|position| *position > after);
        after < self.complete_after || keys.iter().any(has_changed)
    }

    fn add(&mut self, changes: Vec<(i64, String)>) {
        let is_complete = changes.len() <= MOST;
        if let Some((last, _)) = changes.last() {
            self.end = *last;
        }
        self.by_key
            .extend(changes.into_iter().map(|(position, key)| (key, position)));
        if !is_complete {
            self.complete_after = self.end;
        } else if self.by_key.len() > MOST {
            // Subscriptions that are checked as they should know the older half.
            self.complete_after = self.complete_after.max(self.end - KEPT);
        }
        let complete_after = self.complete_after;
        self.by_key.retain(|_, position| *position > complete_after);
    }

    /// Reads the changes after the known ones. Without any, it begins with the changes after now.
    pub(super) async fn read(db: &Database, known: Option<&Self>) -> Result<Self> {
        match known {
            Some(known) => known.clone().read_on(db).await,
            None => Self::first(db).await,
        }
    }

    async fn first(db: &Database) -> Result<Self> {
        let sql = "SELECT count FROM audit_chain WHERE chain = $1";
        let row = db.read().one(sql, [Chain::Users.name().into()]).await?;
        let end = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        Ok(Self {
            end,
            complete_after: end,
            ..Self::default()
        })
    }

    async fn read_on(mut self, db: &Database) -> Result<Self> {
        let limit = i64::try_from(MOST + 1).unwrap_or(i64::MAX);
        let sql = "SELECT position, subject_key FROM audit_record WHERE chain = $1 AND position > $2 ORDER BY position \
                   LIMIT $3";
        let values = [Chain::Users.name().into(), self.end.into(), limit.into()];
        let rows = db.read().all(sql, values).await?;
        let changes = rows.iter().map(|row| row.try_get_many_by_index());
        self.add(changes.collect::<Result<_, _>>()?);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{AccountChanges, KEPT, MOST};

    #[test]
    fn changes_after_a_position_are_known_by_key() {
        let mut changes = AccountChanges::default();
        changes.add(vec![(1, "ana".into()), (2, "bo".into()), (3, "ana".into())]);
        assert_eq!(changes.end(), 3);
        for (keys, after, include) in [
            (&["ana"][..], 0, true),
            (&["ana"], 2, true),
            (&["ana"], 3, false),
            (&["bo"], 1, true),
            (&["bo"], 2, false),
            (&["bo", "ana"], 2, true),
            (&["cy"], 0, false),
            (&[], 0, false),
        ] {
            assert_eq!(changes.include(keys, after), include, "{keys:?} after {after}");
        }
    }

    #[test]
    fn forgotten_changes_count_as_changes_of_every_key() {
        let mut changes = AccountChanges::default();
        let most = i64::try_from(MOST).expect("small");
        let many =
            |range: std::ops::RangeInclusive<i64>| range.map(|position| (position, position.to_string())).collect();
        changes.add(many(1..=most));
        assert!(!changes.include(&["cy"], 0));
        changes.add(many(most + 1..=most + 1));
        let kept = most + 1 - KEPT;
        assert_eq!(
            [kept - 1, kept].map(|after| changes.include(&["cy"], after)),
            [true, false]
        );
        assert!(changes.include(&[&*(kept + 1).to_string()], kept));
        // More than can be read at once.
        let end = changes.end();
        changes.add(many(end + 1..=end + most + 1));
        let end = changes.end();
        assert_eq!(
            [end - 1, end].map(|after| changes.include(&["cy"], after)),
            [true, false]
        );
    }
}
