//! Stores clients of a file as they are: with their keys, dates and versions.
//!
//! They are checked by the rules of upserts, and written with a few statements for all of them, each with the audit
//! record of its creation. No message is queued, and a stored client is never changed.

use std::collections::{BTreeSet, HashSet};

use async_graphql::MaybeUndefined;
use chrono::{DateTime, SubsecRound, Utc};
use entity::{
    address, audit_record, client, client_id_claim, client_search, custom_field_claim, custom_field_value, id_document,
    id_document_search,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    UpsertClient,
    check::{ValidationContext, check, id_taken},
    claims::{Claim, claimed, claims, value_taken},
    diff::ClientDiff,
    duplicates,
    id_pattern, put_rows,
};
use crate::{
    audit::{Action, Chain, Change, Head, Subject},
    caller::{Caller, Permission},
    client::{Aggregate, Clients, search::SearchRows},
    definitions::{self, Definitions, NO_GROUP},
    enums::ClientState,
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Message, Problem, ProblemCode},
    scalar::{is_key, new_key},
};
use clientele_storage::db::{Batch, Dialect, Step, Transaction, Work};

/// A client of a file.
#[derive(Debug, Default)]
pub struct ImportedClient {
    /// Everything that an upsert can set, without the keys of the client and its members.
    pub input: UpsertClient,
    /// The columns of the client's row that an upsert can't set. Without its key, one is generated.
    pub row: Map<String, Value>,
    /// The keys of its members, in the order of the lists. Without a key, one is generated.
    pub addresses: Vec<Option<String>>,
    pub id_documents: Vec<Option<String>>,
    pub custom_values: Vec<Option<String>>,
}

/// The rules of definitions for imported clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportRules {
    /// Those of a new client.
    New,
    /// None but uniqueness: the clients were stored before, and the definitions may have changed since.
    Stored,
}

/// The result for one imported client.
#[derive(Clone, Debug, PartialEq)]
pub enum Imported {
    Stored,
    /// A client with its key is stored, and stays as it is.
    Known,
    Refused(Vec<Problem>),
}

impl Clients {
    /// Stores these clients in one transaction, and returns the result for each.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without CREATE_CLIENT. Nothing is stored with any error.
    pub async fn import(
        &self,
        caller: &Caller,
        clients: &[ImportedClient],
        rules: ImportRules,
        now: DateTime<Utc>,
    ) -> Result<Vec<Imported>> {
        caller.require(Permission::CreateClient)?;
        let import = Import {
            clients: self,
            caller,
            list: clients,
            rules,
            now: now.trunc_subsecs(6),
        };
        self.db.write(&import).await
    }
}

struct Import<'a> {
    clients: &'a Clients,
    caller: &'a Caller,
    list: &'a [ImportedClient],
    rules: ImportRules,
    now: DateTime<Utc>,
}

/// The keys, ids and unique values of stored clients, and of clients earlier in the list.
struct Used {
    keys: HashSet<String>,
    /// The keys of clients that were deleted or erased. No other client can get them.
    removed_keys: HashSet<String>,
    ids: HashSet<String>,
    values: BTreeSet<Claim>,
}

impl Work for Import<'_> {
    type Output = Vec<Imported>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Vec<Imported>>> {
        if transaction.dialect == Dialect::Postgres {
            let lock = format!("SELECT {}", definitions::shared_lock());
            transaction.one(lock, []).await?;
        }
        let version = definitions::version(transaction).await?;
        let definitions = self.clients.definitions.at(version, transaction).await?;
        let mut used = self.used(&definitions, transaction).await?;
        let mut results = Vec::with_capacity(self.list.len());
        let mut rows = Vec::with_capacity(self.list.len());
        for client in self.list {
            results.push(match self.rows(client, &definitions, &mut used) {
                Ok(Some(aggregate)) => {
                    rows.push(aggregate);
                    Imported::Stored
                }
                Ok(None) => Imported::Known,
                Err(problems) => Imported::Refused(problems),
            });
        }
        if self.rules == ImportRules::New {
            let checks = &self.clients.settings.duplicates;
            let found = duplicates::of_new(&rows, checks, self.caller, transaction).await?;
            let stored = results.iter_mut().filter(|result| **result == Imported::Stored);
            for (result, problems) in stored.zip(&found).filter(|(_, problems)| !problems.is_empty()) {
                *result = Imported::Refused(problems.clone());
            }
            let mut found = found.iter();
            rows.retain(|_| found.next().is_none_or(Vec::is_empty));
        }
        if rows.is_empty() {
            return Ok(Step::Discard(results));
        }
        self.write(&rows, &definitions, transaction).await?;
        Ok(Step::Commit(results))
    }
}

impl Import<'_> {
    /// Reads which of the list's keys, ids and unique values are used.
    async fn used(&self, definitions: &Definitions, transaction: &Transaction) -> Result<Used> {
        let keys = self
            .list
            .iter()
            .filter_map(|client| client.row.get("encoded_key")?.as_str());
        let ids = self
            .list
            .iter()
            .filter_map(|client| client.input.client.client_id.value());
        let (keys, ids): (Vec<&str>, Vec<&str>) = (keys.collect(), ids.map(String::as_str).collect());
        // An id must not be the key of another client either, also of a removed one.
        let both: Vec<&str> = [&*keys, &*ids].concat();
        let inputs = self.list.iter().map(|client| &client.input);
        Ok(Used {
            keys: found("client", "encoded_key", both.clone(), transaction).await?,
            // A removal moves the key from one table to the other, so this one is read later.
            removed_keys: found("audit_chain", "chain", both, transaction).await?,
            ids: found("client_id_claim", "client_id", ids, transaction).await?,
            values: claimed(inputs, definitions, transaction).await?,
        })
    }

    /// Returns the client to store; none if it is stored already.
    fn rows(
        &self,
        client: &ImportedClient,
        definitions: &Definitions,
        used: &mut Used,
    ) -> Result<Option<Aggregate>, Vec<Problem>> {
        let key = client.row.get("encoded_key").and_then(Value::as_str);
        if key.is_some_and(|key| used.keys.contains(key)) {
            return Ok(None);
        }
        if key.is_some_and(|key| used.removed_keys.contains(key)) {
            let message = "A client with this key was deleted or erased: give this one another key.";
            let place = path!["client", "encodedKey"];
            return Err(vec![Problem::new(ProblemCode::Taken, place, message)]);
        }
        let id = client.input.client.client_id.value();
        let is_used = |id| {
            [&used.ids, &used.keys, &used.removed_keys]
                .iter()
                .any(|used| used.contains(id))
        };
        let links = client.input.custom_information.value().into_iter().flatten();
        let exported = match self.rules {
            ImportRules::New => None,
            ImportRules::Stored => Some(stored_values(client, definitions)?),
        };
        let context = ValidationContext {
            caller: self.caller,
            stored: None,
            is_change: false,
            definitions,
            // The linked clients may come later in the file.
            linked: links.filter_map(|value| value.linked_key.value().cloned()).collect(),
            is_id_taken: id.is_some_and(is_used),
            exported: exported.as_deref(),
            settings: &self.clients.settings,
            now: self.now,
        };
        let checked = check(&client.input, &context)?;
        let mut rows = client.with_own(checked).map_err(|problem| vec![problem])?;
        let claims = claims(rows.custom_values.as_ref(), definitions);
        let taken = claims.intersection(&used.values);
        let taken: Vec<Problem> = taken
            .map(|claim| value_taken(&client.input, claim, definitions).1)
            .collect();
        if !taken.is_empty() {
            return Err(taken);
        }
        let row = &mut rows.client;
        if row.client_id.is_empty() {
            let pattern = id_pattern(row, definitions, &self.clients.settings);
            row.client_id = pattern.generate(&mut rand::rng());
        }
        if !used.ids.insert(row.client_id.clone()) {
            return Err(vec![id_taken(true)]);
        }
        used.values.extend(claims);
        used.keys.insert(row.encoded_key.clone());
        Ok(Some(rows))
    }

    async fn write(&self, clients: &[Aggregate], definitions: &Definitions, transaction: &Transaction) -> Result<()> {
        let mut records: Vec<audit_record::Model> = Vec::with_capacity(clients.len());
        let mut rows: Vec<(&client::Model, Head)> = Vec::with_capacity(clients.len());
        for client in clients {
            let change = Change {
                chain: Chain::Client(&client.client.encoded_key),
                subject: Subject::Client,
                subject_key: &client.client.encoded_key,
                action: Action::Created,
                members: ClientDiff::between(None, client).members(definitions),
            };
            let audit = &self.clients.audit;
            let (record, head) = audit
                .seal(transaction, self.caller, &change, &Head::default(), self.now)
                .await?;
            records.push(record);
            rows.push((&client.client, head));
        }
        let ids: Vec<client_id_claim::Model> = clients
            .iter()
            .map(|client| client_id_claim::Model {
                client_id: client.client.client_id.clone(),
                client_key: client.client.encoded_key.clone(),
            })
            .collect();
        let of_values = clients.iter().flat_map(|client| {
            let claims = claims(client.custom_values.as_ref(), definitions);
            claims.into_iter().map(|claim| claim.row(&client.client.encoded_key))
        });
        let of_values: Vec<custom_field_claim::Model> = of_values.collect();
        let mut batch = Batch::new(transaction.dialect);
        put_rows(&rows, true, &mut batch)?;
        batch.insert::<client_id_claim::Entity>(&Vec::from_iter(&ids))?;
        batch.insert::<custom_field_claim::Entity>(&Vec::from_iter(&of_values))?;
        let addresses = clients.iter().flat_map(|client| client.addresses.iter().flatten());
        batch.insert::<address::Entity>(&addresses.collect::<Vec<_>>())?;
        let documents = clients.iter().flat_map(|client| client.id_documents.iter().flatten());
        batch.insert::<id_document::Entity>(&documents.collect::<Vec<_>>())?;
        let values = clients.iter().flat_map(|client| client.custom_values.iter().flatten());
        batch.insert::<custom_field_value::Entity>(&values.collect::<Vec<_>>())?;
        let (searched, numbers) = SearchRows::split(clients.iter().map(SearchRows::of));
        batch.insert::<client_search::Entity>(&Vec::from_iter(&searched))?;
        batch.insert::<id_document_search::Entity>(&Vec::from_iter(&numbers))?;
        batch.insert::<audit_record::Entity>(&Vec::from_iter(&records))?;
        transaction.write(batch).await
    }
}

/// Returns which of these texts are in a column.
async fn found(table: &str, column: &str, mut texts: Vec<&str>, transaction: &Transaction) -> Result<HashSet<String>> {
    texts.retain(|text| !text.contains('\0'));
    let which = transaction.dialect.is_one_of(column, "$1");
    let sql = format!("SELECT {column} FROM {table} WHERE {which}");
    let texts = serde_json::to_string(&texts).map_err(Error::internal)?;
    let rows = transaction.all(sql, [texts.into()]).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}

/// The custom field values of a client as the file has them.
fn stored_values(
    client: &ImportedClient,
    definitions: &Definitions,
) -> Result<Vec<custom_field_value::Model>, Vec<Problem>> {
    let (mut values, mut problems, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (index, value) in client
        .input
        .custom_information
        .value()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let place = path!["customInformation", index, "fieldId"];
        let Some(field) = definitions.field(&value.field_id) else {
            let message = Message::from("There is no custom field with this id").listed_by("customFieldSets");
            problems.push(Problem::new(ProblemCode::NotFound, place, message));
            continue;
        };
        let group_index = value.group_index.unwrap_or(NO_GROUP);
        if !seen.insert((&*field.row.encoded_key, group_index)) {
            let message = format!("The field {} is named twice.", value.field_id);
            problems.push(Problem::new(ProblemCode::Duplicate, place, message));
            continue;
        }
        values.push(custom_field_value::Model {
            client_key: String::new(), // set with the client's own key
            field_key: field.row.encoded_key.clone(),
            group_index,
            encoded_key: new_key(),
            position: index as i32,
            value: text(&value.value),
            linked_key: text(&value.linked_key),
        });
    }
    match problems.is_empty() {
        true => Ok(values),
        false => Err(problems),
    }
}

fn text(sent: &MaybeUndefined<String>) -> Option<String> {
    sent.value().cloned()
}

impl ImportedClient {
    /// Puts the client's own keys, dates, state and version into the rows of a new client.
    fn with_own(&self, rows: Aggregate) -> Result<Aggregate, Problem> {
        let Aggregate {
            mut client,
            addresses,
            id_documents,
            custom_values,
        } = rows;
        if self.row.contains_key("state") {
            // The dates of its states are those of the file, not those of a new client.
            (client.approved_at, client.activated_at) = (None, None);
        }
        let client: client::Model = overlaid(&client, &self.row).ok_or_else(|| {
            let message = "The client has a date, a version or another member of the wrong form.";
            Problem::new(ProblemCode::Malformed, path!["client"], message)
        })?;
        let refuse = |name: &'static str, message: &'static str| {
            Err(Problem::new(ProblemCode::Malformed, path!["client", name], message))
        };
        if !is_key(&client.encoded_key) {
            return refuse("encodedKey", "encodedKey must have 1 to 32 letters and digits.");
        }
        if ClientState::parse(&client.state).is_none() {
            return refuse("state", "There is no client state of this name.");
        }
        if client.version < 1 {
            return refuse("version", "A version is 1 or more.");
        }
        if let Some(into) = &client.merged_into_key
            && (!is_key(into) || client.state != ClientState::Exited.as_str())
        {
            return refuse(
                "mergedIntoKey",
                "Only an EXITED client has the key of the client it was merged into.",
            );
        }
        let key = &client.encoded_key;
        let mut addresses = addresses.unwrap_or_default();
        for (member, own) in addresses.iter_mut().zip(own_keys("addresses", &self.addresses)?) {
            member.client_key.clone_from(key);
            own.into_iter().for_each(|own| member.encoded_key.clone_from(own));
        }
        let mut id_documents = id_documents.unwrap_or_default();
        for (member, own) in id_documents
            .iter_mut()
            .zip(own_keys("idDocuments", &self.id_documents)?)
        {
            member.client_key.clone_from(key);
            own.into_iter().for_each(|own| member.encoded_key.clone_from(own));
        }
        let mut custom_values = custom_values.unwrap_or_default();
        for (member, own) in custom_values
            .iter_mut()
            .zip(own_keys("customInformation", &self.custom_values)?)
        {
            member.client_key.clone_from(key);
            own.into_iter().for_each(|own| member.encoded_key.clone_from(own));
        }
        Ok(Aggregate {
            client,
            addresses: Some(addresses),
            id_documents: Some(id_documents),
            custom_values: Some(custom_values),
        })
    }
}

/// The keys of a list's members, checked.
fn own_keys<'a>(
    list: &'static str,
    keys: &'a [Option<String>],
) -> Result<impl Iterator<Item = Option<&'a String>>, Problem> {
    let mut seen = HashSet::new();
    for (index, key) in keys.iter().enumerate() {
        let Some(key) = key else { continue };
        let (code, message) = match (is_key(key), seen.insert(key)) {
            (true, true) => continue,
            (false, _) => (
                ProblemCode::Malformed,
                "encodedKey must have 1 to 32 letters and digits.",
            ),
            (true, false) => (ProblemCode::Duplicate, "Two members of a list have the same key."),
        };
        return Err(Problem::new(code, path![list, index, "encodedKey"], message));
    }
    Ok(keys.iter().map(Option::as_ref))
}

/// The row with these columns; none if a value doesn't fit its column.
fn overlaid<M: Serialize + DeserializeOwned>(row: &M, columns: &Map<String, Value>) -> Option<M> {
    let Ok(Value::Object(mut all)) = serde_json::to_value(row) else {
        return None;
    };
    all.extend(columns.iter().map(|(name, value)| (name.clone(), value.clone())));
    serde_json::from_value(Value::Object(all)).ok()
}
