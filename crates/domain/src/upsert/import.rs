//! Stores clients of a file as they are: with their keys, dates and versions.
//!
//! They are checked by the rules of upserts, and written with a few statements for all of them, each with the audit
//! record of its creation. No message is queued, and a stored client is never changed.

mod check;
mod history;
mod merged;
mod own;
mod values;

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, HashSet},
};

use entity::client;
use sea_orm::ConnectionTrait;
use serde_json::{Map, Value};

use self::{check::CheckedClient, history::is_unrecorded, merged::MergedClients};
pub use self::{
    check::CheckedClients,
    history::{CheckedHistories, ImportedHistory, ONLY_STORED},
};
use super::{
    ID_ATTEMPTS, UpsertClient,
    check::{id_taken, ids_used_up},
    claims::{Claim, claimed, value_taken},
    duplicates, id_pattern,
};
use crate::{
    audit::ChainPart,
    caller::{Caller, Permission},
    client::{Aggregate, Clients},
    definitions::{self, Definitions},
    id_pattern::IdPattern,
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::{Connection, Dialect, NewRows, Step, Transaction, Work};

/// The version of a new client.
const FIRST_VERSION: i64 = 1;

/// The number is arbitrary but must not change.
const IMPORTS_LOCK: i64 = 0x696d_706f_7274;

/// Returns the expression that keeps imports out until a transaction on PostgreSQL ends. What claims a chosen client id
/// needs this lock first, because the keys of imported clients are chosen, too, and no text may be both. As in imports,
/// the definitions must be locked before.
pub(super) fn shared_lock() -> String {
    format!("pg_advisory_xact_lock_shared({IMPORTS_LOCK})")
}

/// Keeps other imports out until a transaction on PostgreSQL ends, and first locks the definitions if an expression for
/// it is given. The other statements are planned for their values: a plan that was made while the tables were empty can
/// read all of a table or index, and the import would take time by the square of its clients.
async fn imports_lock(transaction: &Transaction, definitions: Option<String>) -> Result<()> {
    // Another import holds the lock as long as it stores clients, which can take longer than requests may wait.
    let settings = [
        ("plan_cache_mode", "force_custom_plan"),
        ("lock_timeout", "0"),
        ("statement_timeout", "0"),
    ];
    let settings = settings.map(|(name, value)| format!("set_config('{name}', '{value}', TRUE)"));
    transaction.one(format!("SELECT {}", settings.join(", ")), []).await?;
    let imports = format!("pg_advisory_xact_lock({IMPORTS_LOCK})");
    let locks: Vec<String> = definitions.into_iter().chain([imports]).collect();
    transaction.one(format!("SELECT {}", locks.join(", ")), []).await?;
    for waits in ["lock_timeout", "statement_timeout"] {
        transaction.run(format!("SET LOCAL {waits} TO DEFAULT"), []).await?;
    }
    Ok(())
}

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
    /// The first records of its audit chain; none to begin one with a record of the import.
    pub history: Option<ChainPart>,
}

impl ImportedClient {
    /// The key that the file gives it.
    pub fn key(&self) -> Option<&str> {
        self.row.get("encoded_key")?.as_str()
    }

    /// The version that the file gives it, or that of a new client.
    pub fn version(&self) -> i64 {
        let version = self.row.get("version").and_then(Value::as_i64);
        version.unwrap_or(FIRST_VERSION)
    }

    fn merged_into(&self) -> Option<&str> {
        self.row.get("merged_into_key")?.as_str()
    }
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
    pub async fn import(&self, caller: &Caller, clients: &CheckedClients) -> Result<Vec<Imported>> {
        caller.require(Permission::CreateClient)?;
        if clients.list.is_empty() {
            return Ok(Vec::new());
        }
        let import = Import {
            clients: self,
            caller,
            checked: clients,
        };
        self.db.write(&import).await
    }

    /// Returns which of these keys are those of stored clients.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without CREATE_CLIENT.
    pub async fn stored_keys(&self, caller: &Caller, keys: Vec<&str>) -> Result<HashSet<String>> {
        caller.require(Permission::CreateClient)?;
        found("client", "encoded_key", keys, self.db.read()).await
    }
}

struct Import<'a> {
    clients: &'a Clients,
    caller: &'a Caller,
    checked: &'a CheckedClients,
}

/// The keys, ids and unique values of stored clients, and of clients earlier in the list.
struct Used {
    /// The keys, with the id of each client.
    keys: HashMap<String, String>,
    /// The keys of clients that were deleted or erased. No other client can get them.
    removed_keys: HashSet<String>,
    ids: HashSet<String>,
    values: BTreeSet<Claim>,
    merged: MergedClients,
}

impl Work for Import<'_> {
    type Output = Vec<Imported>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Vec<Imported>>> {
        if transaction.dialect == Dialect::Postgres {
            // One import at a time: each must see the keys and references of the others.
            imports_lock(transaction, Some(definitions::shared_lock())).await?;
        }
        let version = definitions::version(transaction).await?;
        let definitions = self.clients.definitions.at(version, transaction).await?;
        let anew;
        let checks = if version == self.checked.definitions.version {
            &self.checked.checks
        } else {
            anew = self.check_all(&definitions, transaction).await?;
            &anew
        };
        let mut used = self.used(&definitions, transaction).await?;
        let generated = self.generated_ids(&definitions, &mut used, transaction).await?;
        let mut results = Vec::with_capacity(generated.len());
        let mut clients: Vec<(usize, Cow<'_, CheckedClient>)> = Vec::with_capacity(generated.len());
        let all = self.checked.list.iter().zip(&checks.results).zip(generated);
        for (index, ((client, checked), id)) in all.enumerate() {
            results.push(match self.accept(client, checked, id, &definitions, &mut used) {
                Ok(Some(checked)) => {
                    clients.push((index, checked));
                    Imported::Stored
                }
                Ok(None) => Imported::Known,
                Err(problems) => Imported::Refused(problems),
            });
        }
        if self.checked.rules == ImportRules::New {
            let new: Vec<&Aggregate> = clients.iter().map(|(_, checked)| &checked.client).collect();
            let settings = &self.clients.settings.duplicates;
            let found = duplicates::of_new(&new, settings, self.caller, transaction).await?;
            let stored = results.iter_mut().filter(|result| **result == Imported::Stored);
            for (result, problems) in stored.zip(&found).filter(|(_, problems)| !problems.is_empty()) {
                *result = Imported::Refused(problems.clone());
            }
            let mut found = found.iter();
            clients.retain(|_| found.next().is_none_or(Vec::is_empty));
        }
        if clients.is_empty() {
            return Ok(Step::Discard(results));
        }
        if transaction.dialect == Dialect::Postgres {
            // With it, each reference to another table would be planned again for each row.
            transaction.run("SET LOCAL plan_cache_mode TO DEFAULT", []).await?;
        }
        // Those of clients that had no id before.
        let mut more = NewRows::new(transaction.dialect);
        for (index, client) in &clients {
            if let Cow::Owned(client) = client {
                self.add_rows(&mut more, *index, client, &definitions, transaction)
                    .await?;
                more.end_part();
            }
        }
        let is_stored = |index: usize| results[index] == Imported::Stored;
        transaction.load(&checks.rows, is_stored).await?;
        transaction.load(&more, |_| true).await?;
        let parts = clients.iter().filter_map(|(index, _)| self.checked.history(*index));
        let unrecorded = parts.filter(|(part, _)| is_unrecorded(&part.rows)).count();
        let (audit, now) = (&self.clients.audit, self.checked.now);
        audit.allow_unrecorded(transaction, unrecorded, now).await?;
        Ok(Step::Commit(results))
    }
}

impl Import<'_> {
    /// Reads which of the list's keys, ids and unique values are used.
    async fn used(&self, definitions: &Definitions, transaction: &Transaction) -> Result<Used> {
        // No id may be the key of another client, also of a removed one: the legacy API takes either.
        let both = self.names();
        let inputs = self.checked.list.iter().map(|client| &client.input);
        let merged = self.checked.list.iter();
        let merged = merged.filter_map(|client| Some((client.key(), client.merged_into()?)));
        Ok(Used {
            keys: ids_by_key(&both, transaction).await?,
            // A removal moves the key from one table to the other, so this one is read later.
            removed_keys: found("audit_chain", "chain", both.clone(), transaction).await?,
            ids: found("client_id_claim", "client_id", both, transaction).await?,
            values: claimed(inputs, definitions, transaction).await?,
            merged: MergedClients::read(merged, transaction).await?,
        })
    }

    /// The keys and ids of the list.
    fn names(&self) -> Vec<&str> {
        let list = &self.checked.list;
        let keys = list.iter().filter_map(ImportedClient::key);
        let ids = list.iter().filter_map(|client| client.input.client.client_id.value());
        keys.chain(ids.map(String::as_str)).collect()
    }

    /// Returns an id for each client without one, which is used from then on; none if the ids of its form are used up.
    async fn generated_ids(
        &self,
        definitions: &Definitions,
        used: &mut Used,
        transaction: &Transaction,
    ) -> Result<Vec<Option<String>>> {
        let mut ids = vec![None; self.checked.list.len()];
        let names: HashSet<&str> = self.names().into_iter().collect();
        let has_none = |(_, client): &(usize, &ImportedClient)| client.input.client.client_id.value().is_none();
        let mut missing: Vec<usize> = self
            .checked
            .list
            .iter()
            .enumerate()
            .filter(has_none)
            .map(|(at, _)| at)
            .collect();
        for _ in 0..ID_ATTEMPTS {
            if missing.is_empty() {
                break;
            }
            let mut tried = Vec::with_capacity(missing.len());
            for at in &missing {
                let id = self
                    .pattern(&self.checked.list[*at].input, definitions)
                    .generate(&mut rand::rng());
                if !names.contains(&*id) && used.ids.insert(id.clone()) {
                    tried.push((*at, id));
                }
            }
            let texts: Vec<&str> = tried.iter().map(|(_, id)| id.as_str()).collect();
            let mut taken = found("client_id_claim", "client_id", texts.clone(), transaction).await?;
            taken.extend(found("client", "encoded_key", texts.clone(), transaction).await?);
            taken.extend(found("audit_chain", "chain", texts, transaction).await?);
            for (at, id) in tried {
                if !taken.contains(&id) {
                    ids[at] = Some(id);
                }
            }
            missing.retain(|at| ids[*at].is_none());
        }
        Ok(ids)
    }

    /// The form of an id that is generated for a new client.
    fn pattern(&self, input: &UpsertClient, definitions: &Definitions) -> Cow<'_, IdPattern> {
        let named = input.client.client_role.value().and_then(|by| definitions.role(by));
        let client = client::Model {
            client_role_key: named.unwrap_or(definitions.default_role()).encoded_key.clone(),
            ..client::Model::default()
        };
        id_pattern(&client, definitions, &self.clients.settings)
    }

    /// Returns the client to store; none if it is stored already.
    fn accept<'c>(
        &self,
        client: &ImportedClient,
        checked: &'c Result<CheckedClient, Vec<Problem>>,
        generated_id: Option<String>,
        definitions: &Definitions,
        used: &mut Used,
    ) -> Result<Option<Cow<'c, CheckedClient>>, Vec<Problem>> {
        let key = client.key();
        let id = client.input.client.client_id.value();
        let stored_id = key.and_then(|key| used.keys.get(key));
        if stored_id.is_some_and(|stored| id.is_none_or(|id| id == stored)) {
            return Ok(None);
        }
        let message = match key {
            Some(_) if stored_id.is_some() => {
                Some("A client with this key is stored with another clientId: give this one another key.")
            }
            Some(key) if used.removed_keys.contains(key) => Some(
                "The client with this key was deleted or erased here: remove the line. Another key would store \
                     the data again.",
            ),
            Some(key) if used.ids.contains(key) => {
                Some("The key is the clientId of another client: give this one another key.")
            }
            _ => None,
        };
        if let Some(message) = message {
            let place = path!["client", "encodedKey"];
            return Err(vec![Problem::new(ProblemCode::Taken, place, message)]);
        }
        let is_used = |id| used.ids.contains(id) || used.keys.contains_key(id) || used.removed_keys.contains(id);
        let mut problems = checked.as_ref().err().cloned().unwrap_or_default();
        if id.is_some_and(is_used) {
            problems.push(id_taken(true));
        }
        if let Ok(checked) = checked {
            let taken = checked.claims.intersection(&used.values);
            problems.extend(taken.map(|claim| value_taken(&client.input, claim, definitions).1));
        }
        let mut checked = match checked {
            Ok(checked) if problems.is_empty() => Cow::Borrowed(checked),
            _ => {
                problems.sort_by_key(Problem::section);
                return Err(problems);
            }
        };
        let row = &checked.client.client;
        if let Some(problem) = used.merged.problem(row, self.checked.rules) {
            return Err(vec![problem]);
        }
        if row.client_id.is_empty() {
            let used_up = || vec![ids_used_up(&self.pattern(&client.input, definitions))];
            checked.to_mut().client.client.client_id = generated_id.ok_or_else(used_up)?;
        } else {
            used.ids.insert(row.client_id.clone());
        }
        used.values.extend(checked.claims.iter().cloned());
        let row = &checked.client.client;
        used.keys.insert(row.encoded_key.clone(), row.client_id.clone());
        used.merged.add(row);
        Ok(Some(checked))
    }
}

/// The ids of the stored clients with these keys.
async fn ids_by_key(keys: &[&str], transaction: &Transaction) -> Result<HashMap<String, String>> {
    let keys: Vec<&&str> = keys.iter().filter(|key| !key.contains('\0')).collect();
    let which = transaction.dialect.is_one_of("encoded_key", "$1");
    let sql = format!("SELECT encoded_key, client_id FROM client WHERE {which}");
    let keys = serde_json::to_string(&keys).map_err(Error::internal)?;
    let rows = transaction.all(sql, [keys.into()]).await?;
    rows.iter().map(|row| Ok(row.try_get_many_by_index()?)).collect()
}

/// Returns which of these texts are in a column.
async fn found<C: ConnectionTrait>(
    table: &str,
    column: &str,
    mut texts: Vec<&str>,
    connection: &Connection<C>,
) -> Result<HashSet<String>> {
    texts.retain(|text| !text.contains('\0'));
    let which = connection.dialect.is_one_of(column, "$1");
    let sql = format!("SELECT {column} FROM {table} WHERE {which}");
    let texts = serde_json::to_string(&texts).map_err(Error::internal)?;
    let rows = connection.all(sql, [texts.into()]).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}
