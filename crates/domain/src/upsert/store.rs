//! Writes the result of an upsert: the client, its collections and its messages, in one batch.

use std::sync::Arc;

use entity::{Table, client, message};
use serde::Serialize;

use super::{Answer, Outcome, Upsert, Upserted, changes::Changes, recorded::members};
use crate::{
    audit::{Action, Chain, Change, Head, Member, Subject},
    client::Aggregate,
    definitions::Definitions,
    enums::{Channel, Event},
    notify::event,
    upsert::ClientMatch,
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::{Batch, Step, Transaction};

/// Limit of the generated ids that are tried before a pattern counts as used up.
const ID_ATTEMPTS: usize = 20;

impl Upsert<'_> {
    pub(super) async fn create(
        &self,
        mut after: Aggregate,
        definitions: Arc<Definitions>,
        transaction: &Transaction,
    ) -> Result<Step<Answer>> {
        let chosen = !after.client.client_id.is_empty();
        if !self.claim_id(&mut after.client, transaction).await? {
            return match (chosen, self.input.match_on) {
                // Another request has just created it: change it instead.
                (true, ClientMatch::ClientId) => Ok(Step::Again),
                (true, ClientMatch::EncodedKey) => Ok(Step::Discard(Err(vec![taken()]))),
                (false, _) => Err(Error::defect(
                    "the pattern of client ids is used up: configure a longer one",
                )),
            };
        }
        after.addresses.get_or_insert_default();
        after.id_documents.get_or_insert_default();
        after.custom_values.get_or_insert_default();
        let members = members(None, &after, &definitions);
        let mut batch = self
            .recorded(&after.client, &Head::default(), Action::Created, members, transaction)
            .await?;
        Changes::between(None, &after).write(&after.client.encoded_key, &mut batch)?;
        self.store(batch, None, after, definitions, transaction).await
    }

    /// Claims the client's id across all clients. Generates the id if none was chosen.
    async fn claim_id(&self, client: &mut client::Model, transaction: &Transaction) -> Result<bool> {
        let generate = client.client_id.is_empty();
        for _ in 0..if generate { ID_ATTEMPTS } else { 1 } {
            if generate {
                client.client_id = self.clients.settings.id_pattern.generate(&mut rand::rng());
            }
            let claim = "INSERT INTO client_id_claim (client_id, client_key) \
                         SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM client WHERE encoded_key = $1) \
                         ON CONFLICT DO NOTHING";
            let values = [client.client_id.clone().into(), client.encoded_key.clone().into()];
            if transaction.run(claim, values).await? == 1 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) async fn change(
        &self,
        (before, head): (Aggregate, Head),
        after: Aggregate,
        definitions: Arc<Definitions>,
        transaction: &Transaction,
    ) -> Result<Step<Answer>> {
        let changes = Changes::between(Some(&before), &after);
        if before.client == after.client && changes.is_empty() {
            return self.unchanged(before, definitions, transaction).await;
        }
        let client = client::Model {
            version: before.client.version + 1,
            // The clocks of servers differ; a client's own time must not run backwards.
            updated_at: self.now.max(before.client.updated_at),
            ..after.client.clone()
        };
        let members = members(Some(&before), &after, &definitions);
        let mut batch = self
            .recorded(&client, &head, Action::Changed, members, transaction)
            .await?;
        changes.write(&client.encoded_key, &mut batch)?;
        let client = Aggregate {
            client,
            addresses: after.addresses.or(before.addresses),
            id_documents: after.id_documents.or(before.id_documents),
            custom_values: after.custom_values.or(before.custom_values),
        };
        self.store(batch, Some(&before.client), client, definitions, transaction)
            .await
    }

    /// Returns a batch with the client's own row and the audit record of the change.
    async fn recorded(
        &self,
        client: &client::Model,
        head: &Head,
        action: Action,
        members: Vec<Member>,
        transaction: &Transaction,
    ) -> Result<Batch> {
        let change = Change {
            chain: Chain::Client(&client.encoded_key),
            subject: Subject::Client,
            subject_key: &client.encoded_key,
            action,
            members,
        };
        let mut batch = Batch::new(transaction.dialect);
        let history = &self.clients.audit;
        let head = history
            .append(transaction, &mut batch, self.caller, &change, head, self.now)
            .await?;
        let row = Row {
            client,
            history_head: head.seal.as_deref(),
            history_count: head.count,
        };
        let columns = [client::Entity::columns(), vec!["history_head", "history_count"]].concat();
        batch.put_columns::<client::Entity>(&columns, &[row])?;
        Ok(batch)
    }

    /// Writes the batch that makes `client` its present state, and the messages that the change causes. `before` is the
    /// client's former row; none if the client is created.
    async fn store(
        &self,
        mut batch: Batch,
        before: Option<&client::Model>,
        client: Aggregate,
        definitions: Arc<Definitions>,
        transaction: &Transaction,
    ) -> Result<Step<Answer>> {
        let (outcome, event) = match before {
            None => (Outcome::Created, Event::ClientCreated),
            Some(_) => (Outcome::Changed, Event::ClientUpdated),
        };
        let change = event::Change {
            event,
            before,
            rights: &self.caller.rights,
            now: self.now,
        };
        let messages = event::messages(&change, &client, &definitions)?;
        batch.put::<message::Entity>(&Vec::from_iter(&messages))?;
        self.keep(outcome, &client, &definitions, &mut batch)?;
        transaction.write(batch).await?;
        Ok(Step::Commit(Ok(Upserted {
            client,
            definitions,
            outcome,
            queued: messages
                .iter()
                .filter_map(|message| Channel::parse(&message.channel))
                .collect(),
        })))
    }
}

/// A client's row with the end of its audit chain, which readers of clients don't need.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    client: &'a client::Model,
    history_head: Option<&'a str>,
    history_count: i64,
}

pub(super) fn taken() -> Problem {
    let message = "Another client has this clientId: choose another, or leave it out to have one generated.";
    Problem::new(ProblemCode::Taken, path!["client", "clientId"], message)
}
