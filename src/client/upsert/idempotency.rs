//! An upsert under an idempotency key: the first is carried out and its outcome kept beside what it wrote; whoever sends it
//! again is answered from there, and nothing is written, nor anybody told of it, a second time.

use std::{borrow::Cow, sync::Arc};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Answer, Outcome, Upsert, Upserted, forbidden};
use crate::{
    access::Caller,
    client::{Aggregate, UpsertClient},
    custom_field::{Definitions, Excerpt},
    db::{Batch, Step, Transaction},
    error::{Error, Result},
    idempotency::{Claim, IdempotencySettings, Kept, Key, Slot},
    problem::Problem,
};

/// What is kept of an upsert: all that any door could be asked to show of it.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    outcome: Outcome,
    /// With all collections, whichever the first answer had: the next may be asked for others.
    client: Cow<'a, Aggregate>,
    definitions: Excerpt,
}

/// Where the outcome is to be kept; none without a key.
///
/// # Errors
/// What is wrong with the key.
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
    /// The end of an upsert that isn't to be carried out; none when it is.
    pub(super) async fn carried_out_already(&self, transaction: &Transaction) -> Result<Option<Step<Answer>>> {
        let Some(slot) = &self.slot else { return Ok(None) };
        Ok(match slot.claim(self.now, transaction).await? {
            Claim::First => None,
            Claim::Kept(kept) => Some(Step::Discard(self.once_more(kept, transaction).await?)),
            Claim::Reused(problem) => Some(Step::Discard(Err(vec![problem]))),
            Claim::Again => Some(Step::Again),
        })
    }

    /// What the first one came to, for a caller who may still do that. Who may not is told so as anybody is: as a problem.
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
            .clientele
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

    /// Adds the outcome to what is to be written, if it is to be kept.
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

    /// The end of an upsert that finds everything as it is to be: only its outcome is to be written, if that is to be kept.
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
