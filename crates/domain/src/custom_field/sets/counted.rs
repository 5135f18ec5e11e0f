//! Changes a set after its effects on clients were counted.
//!
//! Counting takes time by the number of clients. While definitions are locked, no client can be written, so the effects
//! are counted before. They are counted again under the lock only if the definitions, or the fields and options in use,
//! have changed meanwhile. A client that is written between can be missing in a count.

use chrono::{DateTime, Utc};

use super::{InUse, UpsertCustomFieldSet, check, effects::Effects, members, moved, unique, write};
use crate::{
    audit::{Action, Subject},
    caller::Caller,
    definitions::{Applied, DefinitionChange, DefinitionInput, Definitions},
};
use clientele_core::{
    error::Result,
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::{Database, Transaction};

/// A change of a set with its effects.
pub(in crate::custom_field) struct CountedSet<'a> {
    input: &'a UpsertCustomFieldSet,
    /// None if the caller may not change the set.
    counted: Option<Counted>,
}

/// The effects of a change as they were counted.
struct Counted {
    /// The version of the definitions.
    version: i64,
    used: InUse,
    /// The warnings of a change that is allowed, and the problems of one that isn't.
    effects: Result<Vec<Problem>, Vec<Problem>>,
}

impl UpsertCustomFieldSet {
    /// Counts the effects of the change.
    pub(in crate::custom_field) async fn counted(&self, caller: &Caller, db: &Database) -> Result<CountedSet<'_>> {
        let (input, connection) = (self, db.read());
        let present = Definitions::load(connection).await?;
        if caller.rights.are_limited() || self.forbidden(caller, &present).is_some() {
            return Ok(CountedSet { input, counted: None });
        }
        let used = InUse::read(&self.set.set_id, connection).await?;
        let effects = Effects {
            present: &present,
            used: &used,
            caller,
            connection,
        };
        let effects = match check::check(self, &present, &used) {
            Ok(plan) => Ok(effects.of(&plan).await?),
            Err(problems) => Err(effects.of_refused(self, problems).await?),
        };
        let counted = Some(Counted {
            version: present.version,
            used,
            effects,
        });
        Ok(CountedSet { input, counted })
    }

    /// Returns a problem if the caller may not change the values of the set. Then they may not change the rules for the
    /// values, nor find out by trying which fields have any.
    fn forbidden(&self, caller: &Caller, present: &Definitions) -> Option<Problem> {
        let id = &self.set.set_id;
        let is_forbidden = present.sets.iter().any(|set| set.set_id == *id) && !caller.rights.edits(id);
        is_forbidden.then(|| {
            let message = "You may not change values of this set, nor its definition.";
            Problem::new(ProblemCode::Forbidden, path!["set", "setId"], message)
        })
    }
}

impl DefinitionInput for CountedSet<'_> {
    async fn apply(
        &self,
        caller: &Caller,
        present: &Definitions,
        transaction: &Transaction,
        _: DateTime<Utc>,
    ) -> Result<Result<Applied, Vec<Problem>>> {
        let input = self.input;
        if let Some(problem) = input.forbidden(caller, present) {
            return Ok(Err(vec![problem]));
        }
        let used = InUse::read(&input.set.set_id, transaction).await?;
        let counted = self.counted.as_ref();
        let counted = counted.filter(|counted| counted.version == present.version && counted.used == used);
        let effects = Effects {
            present,
            used: &used,
            caller,
            connection: transaction,
        };
        let plan = match (
            check::check(input, present, &used),
            counted.map(|counted| &counted.effects),
        ) {
            (Ok(plan), _) => plan,
            (Err(_), Some(Err(problems))) => return Ok(Err(problems.clone())),
            (Err(problems), _) => return Ok(Err(effects.of_refused(input, problems).await?)),
        };
        let duplicates = unique::duplicates(&plan, present, caller, transaction).await?;
        if !duplicates.is_empty() {
            return Ok(Err(duplicates));
        }
        let warnings = match counted.map(|counted| &counted.effects) {
            Some(Ok(warnings)) => warnings.clone(),
            _ => effects.of(&plan).await?,
        };
        let key = plan.set.encoded_key.clone();
        let mut changes = Vec::new();
        if write(&plan, present, transaction).await? {
            unique::claim(&plan, present, transaction).await?;
            changes.push(DefinitionChange {
                subject: Subject::CustomFieldSet,
                key: key.clone(),
                action: Action::of(present.set_of_key(&key)),
                members: members(&plan, present),
            });
            changes.extend(plan.moved.iter().map(|set| moved(set, present)));
        }
        Ok(Ok(Applied { key, changes, warnings }))
    }
}
