//! Reports the problems of a submission for a client that does not exist.

use async_graphql::MaybeUndefined;

use super::Upsert;
use crate::upsert::check::{Facts, check};
use clientele_core::{
    error::Result,
    problem::{Problem, ProblemCode, Step},
};
use clientele_storage::db::Transaction;

impl Upsert<'_> {
    /// Returns the problem with the client's key, followed by those of other members that don't depend on the stored
    /// client. So the caller can correct all of them at once.
    pub(super) async fn with_other_problems(
        &self,
        unknown: Problem,
        version: i64,
        transaction: &Transaction,
    ) -> Result<Vec<Problem>> {
        let definitions = self.clients.definitions.at(version, transaction).await?;
        let facts = Facts {
            caller: self.caller,
            present: None,
            is_change: true,
            definitions: &definitions,
            linked: &self.linked(&definitions, transaction).await?,
            taken: false,
            settings: &self.clients.settings,
            now: self.now,
        };
        let others = check(self.input, &facts).err().unwrap_or_default();
        let others = others.into_iter().filter(|problem| !self.depends_on_stored(problem));
        Ok(std::iter::once(unknown).chain(others).collect())
    }

    /// Returns true if the problem might not exist for an existing client. An omitted member can be stored. Keys, the
    /// id and values that the caller can't set can be sent back.
    ///
    /// A value that breaks another rule is reported. A stored value from before that rule is accepted if it is sent
    /// back unchanged.
    fn depends_on_stored(&self, problem: &Problem) -> bool {
        match problem.code {
            ProblemCode::NotOwned | ProblemCode::NotEditable | ProblemCode::Forbidden | ProblemCode::Deactivated => {
                true
            }
            ProblemCode::Blank | ProblemCode::Required => self.leaves_out(&problem.path),
            _ => false,
        }
    }

    fn leaves_out(&self, path: &[Step]) -> bool {
        let (client, values) = (&self.input.client, &self.input.custom_information);
        match (path, values) {
            ([Step::Name("client"), Step::Name("firstName")], _) => client.first_name.is_undefined(),
            ([Step::Name("client"), Step::Name("lastName")], _) => client.last_name.is_undefined(),
            ([Step::Name("customInformation")], values) => values.is_undefined(),
            ([Step::Name("customInformation"), Step::Index(at), Step::Name(name)], MaybeUndefined::Value(values)) => {
                values.get(*at).is_some_and(|value| match *name {
                    "value" => value.value.is_undefined(),
                    "linkedKey" => value.linked_key.is_undefined(),
                    _ => false,
                })
            }
            _ => false,
        }
    }
}
