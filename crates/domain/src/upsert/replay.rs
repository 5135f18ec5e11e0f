//! Upserts under an idempotency key. The outcome of the first request is stored with its change. A repetition gets that
//! outcome, writes nothing and sends no messages again.

use std::{borrow::Cow, sync::Arc};

use chrono::{DateTime, Utc};
use entity::client;
use serde::{Deserialize, Serialize};

use super::{Answer, Outcome, Upsert, UpsertClient, Upserted};
use crate::{
    caller::{Caller, Rights},
    client::Aggregate,
    definitions::{Definitions, Excerpt},
    idempotency::{Acquired, IdempotencyEntry, IdempotencySettings, Key, StoredOutcome, outcome_unavailable},
    message_guard::Raised,
};
use clientele_core::{
    error::{Error, Result},
    problem::Problem,
};
use clientele_storage::db::{Step, Transaction};

/// The stored outcome of an upsert: all that any API can show of it. It has the rows themselves, so that a new column
/// is replayed without code.
///
/// Servers read the records of earlier versions, and treating one as absent would create a client twice. So a new
/// column is an `Option` or has `#[serde(default)]`, and nothing is renamed.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    outcome: Outcome,
    /// With all collections: a repetition can request others than the first request.
    client: Cow<'a, Aggregate>,
    definitions: Excerpt,
}

/// Returns the text to store as the outcome.
pub(super) fn record(outcome: Outcome, client: &Aggregate, definitions: &Definitions) -> Result<String> {
    let values = client.custom_values.iter().flatten();
    let fields = values.map(|value| &*value.field_key);
    let record = Record {
        outcome,
        client: Cow::Borrowed(client),
        definitions: Excerpt::of(definitions, &client.client.client_role_key, fields),
    };
    serde_json::to_string(&record).map_err(Error::internal)
}

/// Returns the entry for the outcome; none without a key, or if nothing will be stored.
///
/// # Errors
/// A problem with the key.
pub(super) fn entry(
    input: &UpsertClient,
    caller: &Caller,
    settings: IdempotencySettings,
    now: DateTime<Utc>,
) -> Result<Option<IdempotencyEntry>, Problem> {
    let Some(key) = &input.idempotency_key else {
        return Ok(None);
    };
    let key = Key::parse(key)?;
    if input.validate_only {
        return Ok(None);
    }
    let request = input.request.unwrap_or_else(|| input.fingerprint());
    let entry = IdempotencyEntry::new(caller, &key, request, settings.expiry(now));
    Ok(Some(entry))
}

/// A stored outcome, with the definitions to show it with.
#[derive(Debug)]
pub(super) struct Replayed {
    pub outcome: Outcome,
    pub client: Aggregate,
    pub excerpt: Excerpt,
    pub present: Arc<Definitions>,
}

impl Replayed {
    /// Reads the text that [`record`] returned.
    pub(super) fn of(outcome: &str, present: Arc<Definitions>) -> Result<Self> {
        let Record {
            outcome,
            client,
            definitions,
        } = serde_json::from_str(outcome).map_err(Error::internal)?;
        Ok(Self {
            outcome,
            client: client.into_owned(),
            excerpt: definitions,
            present,
        })
    }

    pub(super) fn upserted(self) -> Result<Upserted> {
        Ok(Upserted {
            client: self.client,
            definitions: self.excerpt.over(&self.present)?,
            outcome: self.outcome,
            raised: Raised::default(),
            warnings: Vec::new(),
        })
    }
}

impl Upsert<'_> {
    /// Ends an upsert that was carried out before; none if this is the first request. A caller who no longer has the
    /// permission gets the usual problem instead of the outcome. A caller for whom the client is gone doesn't get
    /// the outcome either.
    pub(super) async fn replay(
        &self,
        entry: &IdempotencyEntry,
        transaction: &Transaction,
    ) -> Result<Option<Step<Answer>>> {
        let stored = match entry.acquire(self.now, transaction).await? {
            Acquired::First => return Ok(None),
            Acquired::Stored(stored) => stored,
            Acquired::Refused(problem) => return Ok(Some(Step::Discard(Err(vec![problem])))),
            Acquired::Again => return Ok(Some(Step::Again)),
        };
        Ok(Some(Step::Discard(match self.replayed(&stored, transaction).await? {
            Ok(replayed) => Ok(replayed.upserted()?),
            Err(problem) => Err(vec![problem]),
        })))
    }

    /// # Errors
    /// The inner error is that of a caller who no longer has the permission.
    pub(super) async fn replayed(
        &self,
        stored: &StoredOutcome,
        transaction: &Transaction,
    ) -> Result<Result<Replayed, Problem>> {
        let known = &self.clients.definitions;
        let present = known.at(stored.definition_version, transaction).await?;
        let replayed = Replayed::of(&stored.outcome, present)?;
        if let Some(problem) = self
            .input
            .forbidden(self.caller, replayed.outcome != Outcome::Created, None)
        {
            return Ok(Err(problem));
        }
        Ok(match is_hidden(&replayed, &self.caller.rights, transaction).await? {
            true => Err(outcome_unavailable()),
            false => Ok(replayed),
        })
    }
}

/// Returns true if the client doesn't exist for a caller with these rights. A deleted client counts as it was.
pub(super) async fn is_hidden(replayed: &Replayed, rights: &Rights, transaction: &Transaction) -> Result<bool> {
    if !rights.are_limited() {
        return Ok(false);
    }
    let row = &replayed.client.client;
    let sql = "SELECT assigned_branch_key, assigned_centre_key FROM client WHERE encoded_key = $1";
    let Some(present) = transaction.one(sql, [(&row.encoded_key).into()]).await? else {
        return Ok(!rights.shows(row));
    };
    let (assigned_branch_key, assigned_centre_key) = present.try_get_many_by_index()?;
    Ok(!rights.shows(&client::Model {
        assigned_branch_key,
        assigned_centre_key,
        ..client::Model::default()
    }))
}

#[cfg(test)]
mod tests {
    use entity::{Table, address, client, custom_field_value, id_document};
    use serde_json::Value;

    use super::{Outcome, Record};

    /// A record of the first version. It must never change: such records are still read after later migrations.
    const FIRST: &str = r#"{"outcome":"Created","client":{"client":{"encoded_key":"k1","client_id":"ANA",
        "state":"ACTIVE","first_name":"Ana","middle_name":null,"last_name":"Cruz","birth_date":"1990-02-01",
        "gender":null,"email_address":null,"home_phone":null,"mobile_phone1":null,"mobile_phone2":null,
        "preferred_language":"ENGLISH","notes":null,"client_role_key":"r1","assigned_branch_key":null,
        "assigned_centre_key":null,"assigned_user_key":null,"created_at":"2026-11-23T10:00:00.000000Z",
        "updated_at":"2026-11-23T10:00:00.000000Z","approved_at":null,"activated_at":null,"closed_at":null,
        "version":1},
        "addresses":[{"client_key":"k1","encoded_key":"a1","position":0,"line1":"L","line2":null,"city":null,
        "region":null,"postcode":null,"country":null,"latitude":null,"longitude":null}],
        "id_documents":[{"client_key":"k1","encoded_key":"d1","position":0,"document_type":"PASSPORT",
        "document_id":"1","issuing_authority":null,"valid_until":null}],
        "custom_values":[{"client_key":"k1","field_key":"f1","group_index":-1,"encoded_key":"v1","position":0,
        "value":"x","linked_key":null}]},
        "definitions":{"version":7,"role":{"encoded_key":"r1","role_id":"CLIENT","name":"Client","description":null,
        "is_default":true,"position":0},"sets":[{"encoded_key":"s1","set_id":"S","name":"S","usage":"SINGLE",
        "position":0}],"fields":[{"field":{"encoded_key":"f1","field_id":"F","set_key":"s1","position":0,"name":"F",
        "description":null,"kind":"SELECTION","state":"ACTIVE","required":false,"pattern":null,"max_length":null},
        "options":[{"field_key":"f1","encoded_key":"o1","position":0,"value":"x"}]}]}}"#;

    fn first() -> Record<'static> {
        serde_json::from_str(FIRST).expect("no member that it lacks is required")
    }

    #[test]
    fn record_of_the_first_version_can_be_read() {
        let record = first();
        assert_eq!(
            (record.outcome, &*record.client.client.client_id),
            (Outcome::Created, "ANA")
        );
        let values = record.client.custom_values.as_deref().expect("it has values");
        assert_eq!(values[0].value.as_deref(), Some("x"));
    }

    #[test]
    fn record_has_every_column_of_the_client() {
        let record = serde_json::to_value(first()).expect("JSON");
        for (place, mut columns) in [
            ("/client/client", client::Entity::columns()),
            ("/client/addresses/0", address::Entity::columns()),
            ("/client/id_documents/0", id_document::Entity::columns()),
            ("/client/custom_values/0", custom_field_value::Entity::columns()),
        ] {
            let row = record.pointer(place).and_then(Value::as_object).expect("a row");
            let mut stored: Vec<&str> = row.keys().map(String::as_str).collect();
            stored.sort_unstable();
            columns.sort_unstable();
            assert_eq!(stored, columns, "{place}");
        }
    }
}
