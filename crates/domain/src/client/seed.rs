//! Creates invented clients for trials and measurements, the same ones every time. Only the audit log says when they
//! were stored.
//!
//! Writes rows in batches by the statements of upserts, but without their rules, which would take one transaction per
//! client, and without notifications. The audit records of these clients begin with their first change. The audit log
//! states how many such clients there are.

use std::collections::HashMap;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use entity::{address, client, client_id_claim, client_search, custom_field_value, id_document, id_document_search};

use super::{Clients, search::SearchRows};
use crate::enums::ClientState;
use crate::{
    caller::Caller,
    custom_field::{CustomFieldInput, CustomFieldOptionInput, CustomFieldSetInput, CustomFields, UpsertCustomFieldSet},
    definitions::{Definitions, Kind, NO_GROUP},
};
use async_graphql::MaybeUndefined::Value;
use clientele_core::error::{Error, Result};
use clientele_storage::db::{Step, Transaction, Work};

const BATCH: u32 = 1_000;
/// The stated creation time of the first client.
const BEGINNING: DateTime<Utc> = DateTime::from_timestamp(1_700_000_000, 0).expect("a number of this size is a time");
const FIRST_NAMES: [&str; 12] = [
    "Ada", "Bela", "Chidi", "Dana", "Elif", "Femi", "Goran", "Hana", "Ines", "Jonas", "Kaya", "Luis",
];
const LAST_NAMES: [&str; 12] = [
    "Adeyemi", "Bakker", "Costa", "Dvorak", "Eriksen", "Fofana", "Garcia", "Haddad", "Ivanova", "Jansen", "Kim",
    "Lindt",
];
const CITIES: [&str; 5] = ["Exampleton", "Samplebury", "Testford", "Mockville", "Fixtureham"];
const OPTIONS: [&str; 3] = ["LOW", "MEDIUM", "HIGH"];

impl Clients {
    /// Returns true if the database has clients that [`Self::seed`] didn't create. For the operator.
    pub async fn has_others(&self) -> Result<bool> {
        // The key of a seeded client holds its number twice, see `key`.
        let sql = "SELECT 1 FROM client_id_claim WHERE \
            client_key <> '0190' || substr(client_key, 5, 8) || '700080000000' || substr(client_key, 5, 8) LIMIT 1";
        Ok(self.db.read().one(sql, []).await?.is_some())
    }

    /// Stores the invented clients 0 to `count` that are missing, and a set of custom fields for them. Calls `progress`
    /// with the number of those that exist.
    pub async fn seed(&self, count: u32, now: DateTime<Utc>, progress: impl Fn(u32)) -> Result<()> {
        let seeded = CustomFields::new(self.db.clone(), self.audit.clone())
            .upsert_set(&Caller::operator(), &custom_fields(), now)
            .await?
            .map_err(|_| Error::defect("other custom fields have the ids of those of the invented clients"))?;
        let mut done = 0;
        while done < count {
            let until = count.min(done.saturating_add(BATCH));
            let batch = Batch {
                clients: self,
                definitions: &seeded.definitions,
                from: done,
                until,
                now,
            };
            self.db.write(&batch).await?;
            done = until;
            progress(done);
        }
        Ok(())
    }
}

struct Batch<'a> {
    clients: &'a Clients,
    definitions: &'a Definitions,
    from: u32,
    until: u32,
    now: DateTime<Utc>,
}

impl Work for Batch<'_> {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        let Some(numbers) = self.missing(transaction).await? else {
            return Ok(Step::Discard(()));
        };
        let clients: Vec<_> = numbers.iter().map(|&number| client(number, self.definitions)).collect();
        let claims: Vec<_> = clients
            .iter()
            .map(|client| client_id_claim::Model {
                client_id: client.client_id.clone(),
                client_key: client.encoded_key.clone(),
            })
            .collect();
        let addresses: Vec<_> = numbers.iter().copied().map(address).collect();
        let documents: Vec<_> = numbers.iter().copied().map(documents).collect();
        let rows = clients.iter().zip(&addresses).zip(&documents);
        let rows = rows.map(|((client, address), documents)| SearchRows::of_parts(client, Some(address), documents));
        let (searched, numbers_of_documents) = SearchRows::split(rows);
        let values: Vec<_> = numbers
            .iter()
            .flat_map(|&number| values(number, self.definitions))
            .collect();
        transaction.put::<client::Entity>(&Vec::from_iter(&clients)).await?;
        transaction
            .put::<client_id_claim::Entity>(&Vec::from_iter(&claims))
            .await?;
        transaction.put::<address::Entity>(&Vec::from_iter(&addresses)).await?;
        transaction
            .put::<id_document::Entity>(&Vec::from_iter(documents.iter().flatten()))
            .await?;
        transaction
            .put::<client_search::Entity>(&Vec::from_iter(&searched))
            .await?;
        transaction
            .put::<id_document_search::Entity>(&Vec::from_iter(&numbers_of_documents))
            .await?;
        transaction
            .put::<custom_field_value::Entity>(&Vec::from_iter(&values))
            .await?;
        let allowing = self
            .clients
            .audit
            .allow_unrecorded(transaction, clients.len(), self.now);
        allowing.await?;
        Ok(Step::Commit(()))
    }
}

impl Batch<'_> {
    /// Returns the numbers of the batch whose clients are missing; none if all exist. Existing ones may have been
    /// changed since, and stay as they are.
    async fn missing(&self, transaction: &Transaction) -> Result<Option<Vec<u32>>> {
        let ids: Vec<String> = (self.from..self.until).map(client_id).collect();
        let which = transaction.dialect.is_one_of("client_id", "$1");
        let sql = format!("SELECT client_id, client_key FROM client_id_claim WHERE {which}");
        let rows = transaction
            .all(sql, [serde_json::to_string(&ids).map_err(Error::internal)?.into()])
            .await?;
        let mut known = HashMap::with_capacity(rows.len());
        for row in rows {
            known.insert(row.try_get_by_index::<String>(0)?, row.try_get_by_index::<String>(1)?);
        }
        let mut missing = Vec::new();
        for number in self.from..self.until {
            match known.get(&client_id(number)) {
                None => missing.push(number),
                Some(client_key) if *client_key == key(number, 0) => {}
                Some(_) => return Err(Error::defect("a client has the id of an invented one")),
            }
        }
        Ok((!missing.is_empty()).then_some(missing))
    }
}

fn client_id(number: u32) -> String {
    format!("SEED{number:08}")
}

fn custom_fields() -> UpsertCustomFieldSet {
    let field = |id: &str, name: &str, kind| CustomFieldInput {
        field_id: id.to_owned(),
        name: Value(name.to_owned()),
        kind: Some(kind),
        ..CustomFieldInput::default()
    };
    let option = |value: &str| CustomFieldOptionInput {
        value: value.to_owned(),
        ..CustomFieldOptionInput::default()
    };
    let risk = CustomFieldInput {
        options: Value(OPTIONS.map(option).to_vec()),
        ..field("seed_risk", "Risk band", Kind::Selection)
    };
    UpsertCustomFieldSet {
        set: CustomFieldSetInput {
            set_id: "seed".to_owned(),
            name: Value("Invented clients".to_owned()),
            ..CustomFieldSetInput::default()
        },
        fields: Value(vec![
            risk,
            field("seed_income", "Monthly income", Kind::Number),
            field("seed_checked", "Papers checked", Kind::Checkbox),
            field("seed_since", "Customer since", Kind::Date),
            field("seed_remark", "Remark", Kind::Text),
        ]),
        client_mutation_id: None,
    }
}

/// The key of an object that belongs to the client with this number.
fn key(number: u32, thing: u8) -> String {
    format!(
        "{:012x}7{thing:03x}8{number:015x}",
        u64::from(number) + 0x0190_0000_0000
    )
}

fn pick<T: Copy>(from: &[T], number: u32) -> T {
    from[number as usize % from.len()]
}

fn client(number: u32, definitions: &Definitions) -> client::Model {
    let created_at: DateTime<Utc> = BEGINNING + TimeDelta::seconds(i64::from(number));
    client::Model {
        encoded_key: key(number, 0),
        client_id: client_id(number),
        state: pick(&[ClientState::Active, ClientState::Inactive], number / 3)
            .as_str()
            .to_owned(),
        first_name: pick(&FIRST_NAMES, number).to_owned(),
        middle_name: number
            .is_multiple_of(4)
            .then(|| pick(&FIRST_NAMES, number / 7).to_owned()),
        last_name: format!("{}{}", pick(&LAST_NAMES, number / 12), number / 144),
        birth_date: NaiveDate::from_ymd_opt(1950, 1, 1).map(|date| date + Days::new(u64::from(number) % 18_000)),
        gender: Some(pick(&["FEMALE", "MALE"], number).to_owned()),
        email_address: Some(format!("client{number}@example.test")),
        home_phone: Some(format!("+1555{number:07}")),
        mobile_phone1: Some(format!("+1556{number:07}")),
        preferred_language: "ENGLISH".to_owned(),
        notes: number
            .is_multiple_of(10)
            .then(|| "Prefers to be called in the morning.".to_owned()),
        client_role_key: definitions.default_role().encoded_key.clone(),
        assigned_branch_key: Some(format!("branch{}", number % 20)),
        created_at,
        updated_at: created_at,
        approved_at: Some(created_at),
        version: 1,
        ..client::Model::default()
    }
}

fn address(number: u32) -> address::Model {
    address::Model {
        client_key: key(number, 0),
        encoded_key: key(number, 1),
        line1: Some(format!("{} Test Lane", number % 200 + 1)),
        city: Some(pick(&CITIES, number).to_owned()),
        postcode: Some(format!("{:05}", number % 99_999)),
        country: Some("Nowhere".to_owned()),
        latitude: Some(f64::from(number % 180) - 90.0),
        longitude: Some(f64::from(number % 360) - 180.0),
        ..address::Model::default()
    }
}

fn documents(number: u32) -> [id_document::Model; 2] {
    let document = |position: u8, document_type: &str| id_document::Model {
        client_key: key(number, 0),
        encoded_key: key(number, 2 + position),
        position: position.into(),
        document_type: document_type.to_owned(),
        document_id: format!("{}{number:08}", &document_type[..1]),
        issuing_authority: Some("Test Office".to_owned()),
        valid_until: NaiveDate::from_ymd_opt(2035, 1, 31),
        template_key: None,
    };
    [document(0, "Passport"), document(1, "Licence")]
}

fn values(number: u32, definitions: &Definitions) -> impl Iterator<Item = custom_field_value::Model> {
    let values = [
        ("seed_risk", pick(&OPTIONS, number).to_owned()),
        ("seed_income", format!("{}.5", number % 9_000 + 1_000)),
        ("seed_checked", pick(&["TRUE", "FALSE"], number).to_owned()),
        (
            "seed_since",
            format!("20{:02}-0{}-1{}", number % 24, number % 9 + 1, number % 10),
        ),
        ("seed_remark", format!("Remark {number}")),
    ];
    values.into_iter().zip(0..).filter_map(move |((id, value), position)| {
        Some(custom_field_value::Model {
            client_key: key(number, 0),
            field_key: definitions.field(id)?.row.encoded_key.clone(),
            group_index: NO_GROUP,
            encoded_key: key(number, 16 + position),
            position: position.into(),
            value: Some(value),
            linked_key: None,
        })
    })
}
