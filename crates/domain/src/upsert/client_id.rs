//! The id of a client: chosen or generated, and claimed across all clients.

use std::borrow::Cow;

use async_graphql::MaybeUndefined;
use entity::client;

use super::{
    Answer, ClientMatch, Scope, Upsert,
    check::{id_taken, ids_used_up},
};
use crate::{
    caller::Permission,
    client::{Aggregate, ClientSettings},
    client_by::ClientBy,
    definitions::Definitions,
    id_pattern::IdPattern,
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::{Step, Transaction};

/// Limit of the generated ids that are tried before a pattern counts as used up.
pub(super) const ID_ATTEMPTS: usize = 20;

impl Upsert<'_> {
    /// Returns true if the submission has a client id, which a new client gets.
    pub(super) fn chooses_id(&self) -> bool {
        self.input.client.client_id.value().is_some()
    }

    /// Returns true if the submission could give this client an id that it doesn't have; none is a new client.
    pub(super) fn claims_id(&self, stored: Option<&Aggregate>) -> bool {
        match (stored, &self.input.client.client_id) {
            (None, _) => true,
            (Some(stored), MaybeUndefined::Value(id)) => {
                self.input.scope == Scope::Patch && *id != stored.client.client_id
            }
            (Some(_), _) => false,
        }
    }

    /// Returns true if a chosen id belongs to another client, or equals another client's key, also that of a removed
    /// one: links and audit records still name it.
    pub(super) async fn is_id_taken(&self, transaction: &Transaction) -> Result<bool> {
        let MaybeUndefined::Value(id) = &self.input.client.client_id else {
            return Ok(false);
        };
        if id.contains('\0') {
            return Ok(false);
        }
        let sql = match self.input.match_on {
            ClientMatch::EncodedKey | ClientMatch::CustomField => {
                "SELECT 1 FROM client_id_claim WHERE client_id = $1 \
                 UNION ALL SELECT 1 FROM client WHERE encoded_key = $1 \
                 UNION ALL SELECT 1 FROM audit_chain WHERE chain = $1"
            }
            // If another request has claimed the id meanwhile, its client must be changed: claiming the id finds that
            // out.
            ClientMatch::ClientId => {
                "SELECT 1 FROM client WHERE encoded_key = $1 UNION ALL SELECT 1 FROM audit_chain WHERE chain = $1"
            }
        };
        Ok(transaction.one(sql, [id.into()]).await?.is_some())
    }

    /// Claims the new id of a client across all clients. Generates the id if none was chosen. Returns the end of the
    /// upsert if the id belongs to another client.
    pub(super) async fn claim_id(
        &self,
        client: &mut client::Model,
        is_new: bool,
        definitions: &Definitions,
        transaction: &Transaction,
    ) -> Result<Option<Step<Answer>>> {
        let is_chosen = !client.client_id.is_empty();
        let pattern = id_pattern(client, definitions, &self.clients.settings);
        for _ in 0..if is_chosen { 1 } else { ID_ATTEMPTS } {
            if !is_chosen {
                client.client_id = pattern.generate(&mut rand::rng());
            }
            let claim = "INSERT INTO client_id_claim (client_id, client_key) \
                         SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM client WHERE encoded_key = $1) \
                         AND NOT EXISTS (SELECT 1 FROM audit_chain WHERE chain = $1) \
                         ON CONFLICT DO NOTHING RETURNING 1";
            let values = [client.client_id.clone().into(), client.encoded_key.clone().into()];
            // Not the number of affected rows: Citus counts those that exist already, too.
            if transaction.one(claim, values).await?.is_some() {
                return Ok(None);
            }
        }
        match (is_chosen, self.input.match_on) {
            // Another request has just created it: change it instead, unless it doesn't exist for the caller.
            (true, ClientMatch::ClientId) => {
                let holder = "SELECT client_key FROM client_id_claim WHERE client_id = $1";
                let values = [(&client.client_id).into()];
                Ok(Some(match self.is_hidden(holder, values, transaction).await? {
                    true => Step::Discard(Err(vec![id_taken(is_new)])),
                    false => Step::Again,
                }))
            }
            (true, ClientMatch::EncodedKey | ClientMatch::CustomField) => {
                let problems = self.with_hint(vec![id_taken(is_new)], is_new, transaction).await?;
                Ok(Some(Step::Discard(Err(problems))))
            }
            (false, _) => match pattern {
                // The role's own.
                Cow::Owned(pattern) => Ok(Some(Step::Discard(Err(vec![ids_used_up(&pattern)])))),
                Cow::Borrowed(_) => Err(Error::defect(
                    "the pattern of client ids is used up: configure a longer one",
                )),
            },
        }
    }

    /// Adds a hint to the problem of a new client whose id is taken: how to change the client that has the id. There is
    /// no hint if the caller can't change that client, or if the id is the key of a client.
    pub(super) async fn with_hint(
        &self,
        mut problems: Vec<Problem>,
        is_new: bool,
        transaction: &Transaction,
    ) -> Result<Vec<Problem>> {
        let place = path!["client", "clientId"];
        let is_taken = |problem: &&mut Problem| problem.code == ProblemCode::Taken && problem.path == place;
        if is_new
            && self.input.match_on != ClientMatch::ClientId
            && self.caller.can(Permission::EditClient)
            && let MaybeUndefined::Value(id) = &self.input.client.client_id
            && let Some(taken) = problems.iter_mut().find(is_taken)
            && self.exists(&ClientBy::ClientId(id.clone()), transaction).await?
        {
            taken.message = taken
                .message
                .clone()
                .hint("To change that client, send matchOn: CLIENT_ID.");
        }
        Ok(problems)
    }
}

/// The form of an id that is generated for this client.
pub(super) fn id_pattern<'a>(
    client: &client::Model,
    definitions: &Definitions,
    settings: &'a ClientSettings,
) -> Cow<'a, IdPattern> {
    let role = definitions.role_of_key(&client.client_role_key);
    let of_role = role.and_then(|role| IdPattern::try_from(role.id_pattern.clone()?).ok());
    of_role.map_or(Cow::Borrowed(&settings.id_pattern), Cow::Owned)
}
