//! Upserts under an idempotency key. The outcome of the first request is stored with its change. A repetition gets that
//! outcome, writes nothing and sends no messages again.

use std::{borrow::Cow, sync::Arc};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Answer, Outcome, Upsert, Upserted, forbidden};
use crate::{
    caller::Caller,
    client::Aggregate,
    definitions::{Definitions, Excerpt},
    idempotency::{Claim, IdempotencySettings, Kept, Key, Slot},
    upsert::UpsertClient,
};
use clientele_core::{
    error::{Error, Result},
    problem::Problem,
};
use clientele_storage::db::{Batch, Step, Transaction};

/// The stored outcome of an upsert: all that any API can show of it.
///
/// Servers read the records of earlier versions, and treating one as absent would create a client twice. So every
/// addition, to the rows of tables above all, takes `#[serde(default)]`, and nothing is renamed.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    outcome: Outcome,
    /// With all collections: a repetition can request others than the first request.
    client: Cow<'a, Aggregate>,
    definitions: Excerpt,
}

/// Returns the slot for the outcome; none without a key.
///
/// # Errors
/// A problem with the key.
pub(super) fn slot(
    input: &UpsertClient,
    caller: &Caller,
    settings: IdempotencySettings,
    now: DateTime<Utc>,
) -> Result<Option<Slot>, Problem> {
    let Some(key) = &input.idempotency_key else {
        return Ok(None);
    };
    let request = input.request.unwrap_or_else(|| input.fingerprint());
    Ok(Some(Slot::new(
        caller,
        &Key::parse(key)?,
        request,
        settings.expiry(now),
    )))
}

impl Upsert<'_> {
    /// Ends an upsert that must not be carried out; none if it must.
    pub(super) async fn carried_out_already(&self, transaction: &Transaction) -> Result<Option<Step<Answer>>> {
        let Some(slot) = &self.slot else { return Ok(None) };
        Ok(match slot.claim(self.now, transaction).await? {
            Claim::First => None,
            Claim::Kept(kept) => Some(Step::Discard(self.once_more(kept, transaction).await?)),
            Claim::Refused(problem) => Some(Step::Discard(Err(vec![problem]))),
            Claim::Again => Some(Step::Again),
        })
    }

    /// Returns the first outcome to a caller who still has the permission. Otherwise the answer is the usual problem.
    async fn once_more(&self, kept: Kept, transaction: &Transaction) -> Result<Answer> {
        let Record {
            outcome,
            client,
            definitions,
        } = serde_json::from_str(&kept.outcome).map_err(Error::internal)?;
        if let Some(problem) = forbidden(self.caller, outcome != Outcome::Created) {
            return Ok(Err(vec![problem]));
        }
        let present = self
            .clients
            .definitions
            .at(kept.definition_version, transaction)
            .await?;
        Ok(Ok(Upserted {
            client: client.into_owned(),
            definitions: definitions.over(&present)?,
            outcome,
            queued: Vec::new(),
        }))
    }

    /// Adds the outcome to the batch, if there is a key.
    pub(super) fn keep(
        &self,
        outcome: Outcome,
        client: &Aggregate,
        definitions: &Definitions,
        batch: &mut Batch,
    ) -> Result<()> {
        let Some(slot) = &self.slot else { return Ok(()) };
        let values = client.custom_values.iter().flatten();
        let record = Record {
            outcome,
            client: Cow::Borrowed(client),
            definitions: Excerpt::of(
                definitions,
                &client.client.client_role_key,
                values.map(|value| &*value.field_key),
            ),
        };
        let record = serde_json::to_string(&record).map_err(Error::internal)?;
        slot.fill(&client.client.encoded_key, record, batch)
    }

    /// Ends an upsert that changes nothing: writes only its outcome, if there is a key.
    pub(super) async fn unchanged(
        &self,
        client: Aggregate,
        definitions: Arc<Definitions>,
        transaction: &Transaction,
    ) -> Result<Step<Answer>> {
        let mut batch = Batch::new(transaction.dialect);
        self.keep(Outcome::Unchanged, &client, &definitions, &mut batch)?;
        let answer = Ok(Upserted {
            client,
            definitions,
            outcome: Outcome::Unchanged,
            queued: Vec::new(),
        });
        if batch.is_empty() {
            return Ok(Step::Discard(answer));
        }
        transaction.write(batch).await?;
        Ok(Step::Commit(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Record};

    /// A record of the first version. It must never change: such records are still read after later migrations.
    const FIRST: &str = r#"{"outcome":"Created","client":{"client":{"encoded_key":"k1","client_id":"ANA","state":"ACTIVE",
        "first_name":"Ana","middle_name":null,"last_name":"Cruz","birth_date":"1990-02-01","gender":null,"email_address":null,
        "home_phone":null,"mobile_phone1":null,"mobile_phone2":null,"preferred_language":"ENGLISH","notes":null,
        "client_role_key":"r1","assigned_branch_key":null,"assigned_centre_key":null,"assigned_user_key":null,
        "created_at":"2026-11-23T10:00:00.000000Z","updated_at":"2026-11-23T10:00:00.000000Z","approved_at":null,
        "activated_at":null,"closed_at":null,"version":1},
        "addresses":[{"client_key":"k1","encoded_key":"a1","position":0,"line1":"L","line2":null,"city":null,"region":null,
        "postcode":null,"country":null,"latitude":null,"longitude":null}],
        "id_documents":[{"client_key":"k1","encoded_key":"d1","position":0,"document_type":"PASSPORT","document_id":"1",
        "issuing_authority":null,"valid_until":null}],
        "custom_values":[{"client_key":"k1","field_key":"f1","group_index":-1,"encoded_key":"v1","position":0,"value":"x",
        "linked_key":null}]},
        "definitions":{"version":7,"role":{"encoded_key":"r1","role_id":"CLIENT","name":"Client","description":null,
        "is_default":true,"position":0},"sets":[{"encoded_key":"s1","set_id":"S","name":"S","usage":"SINGLE","position":0}],
        "fields":[{"field":{"encoded_key":"f1","field_id":"F","set_key":"s1","position":0,"name":"F","description":null,
        "kind":"SELECTION","state":"ACTIVE","required":false,"pattern":null,"max_length":null},
        "options":[{"field_key":"f1","encoded_key":"o1","position":0,"value":"x"}]}]}}"#;

    #[test]
    fn what_an_earlier_version_kept_can_be_read() {
        let record: Record<'_> = serde_json::from_str(FIRST).expect("no member that it lacks may be demanded");
        assert_eq!(
            (record.outcome, &*record.client.client.client_id),
            (Outcome::Created, "ANA")
        );
        let values = record.client.custom_values.as_deref().expect("it has values");
        assert_eq!(values[0].value.as_deref(), Some("x"));
    }
}
