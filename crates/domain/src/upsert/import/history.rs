//! Takes over the audit chains of imported clients, and of clients that were deleted or erased where the file was
//! written.
//!
//! A client's line has the first records of its chain, which are stored with the client. Further records are appended
//! in the order of the lines, and the end of the chain moves in the same transaction: wherever an import stops, every
//! chain is one that verifies, and another run appends the rest.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use entity::{Table, audit_chain, audit_record, client};
use serde_json::{Value, json};

use super::{ImportRules, Imported, found, imports_lock};
use crate::{
    audit::{Action, AuditLog, ChainPart, CheckedPart, Head, Keys, PartEnd},
    caller::{Caller, Permission},
    client::Clients,
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode, Step as PathStep},
    scalar::is_key,
};
use clientele_storage::db::{Dialect, NewRows, Step, Transaction, Work};

/// Audit records of a file that aren't on the line of a client.
#[derive(Debug)]
pub struct ImportedHistory {
    pub client_key: String,
    /// The version of the client on its line; none if the client was deleted or erased.
    pub version: Option<i64>,
    /// The record before these; none for the first ones of a removed client.
    pub after: Option<PartEnd>,
    pub part: ChainPart,
}

impl ImportedHistory {
    /// Returns true if these are the first records of a client that was deleted or erased.
    pub fn is_removed(&self) -> bool {
        self.after.is_none()
    }

    /// The path of the part on its line.
    fn place(&self) -> Vec<PathStep> {
        match self.is_removed() {
            true => path!["removedClient", "history"].to_vec(),
            false => path!["history"].to_vec(),
        }
    }

    fn problem(&self, code: ProblemCode, member: &'static str, message: &'static str) -> Vec<Problem> {
        let scope = if self.is_removed() { "removedClient" } else { "history" };
        vec![Problem::new(code, path![scope, member], message)]
    }
}

/// Audit records of a file that were checked before their transaction begins.
#[derive(Debug)]
pub struct CheckedHistories {
    list: Vec<ImportedHistory>,
    results: Vec<Result<CheckedPart, Vec<Problem>>>,
    now: DateTime<Utc>,
}

impl CheckedHistories {
    /// The lines, in their order, each with the number of its records that couldn't be verified.
    pub fn list(&self) -> impl Iterator<Item = (&ImportedHistory, u64)> {
        let unverified = |result: &Result<CheckedPart, _>| result.as_ref().map_or(0, |part| part.unverified);
        self.list.iter().zip(self.results.iter().map(unverified))
    }
}

/// Verifies the records of a client's line, and seals them anew.
pub(super) fn sealed(
    part: ChainPart,
    client_key: Option<&str>,
    rules: ImportRules,
    (audit, keys): (&AuditLog, &Keys),
) -> Result<(CheckedPart, Head), Problem> {
    if rules == ImportRules::New {
        return Err(Problem::new(ProblemCode::Invalid, path!["history"], ONLY_STORED));
    }
    let Some(client_key) = client_key else {
        let message = "A client with a history must have its key.";
        return Err(Problem::new(ProblemCode::Blank, path!["client", "encodedKey"], message));
    };
    let checked = keys.check_part(client_key, None, part);
    let mut checked = checked.map_err(|problem| problem.below(path!["history"]))?;
    let head = audit.seal_anew(keys, &mut checked.rows, &Head::default());
    Ok((checked, head))
}

/// The sentence about a history in a file of new clients.
pub const ONLY_STORED: &str = "Only a file whose first line has \"stored\":true can have histories: leave it out.";

/// Returns true if a chain doesn't begin with the creation of its client.
pub(super) fn is_unrecorded(rows: &[audit_record::Model]) -> bool {
    rows.first()
        .is_none_or(|first| first.action != Action::Created.as_str())
}

impl Clients {
    /// Verifies audit records of a file, without what only their transaction can know.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without CREATE_CLIENT.
    pub async fn check_histories(
        &self,
        caller: &Caller,
        list: Vec<ImportedHistory>,
        now: DateTime<Utc>,
    ) -> Result<CheckedHistories> {
        caller.require(Permission::CreateClient)?;
        let keys = self.audit.keys(self.db.read()).await?;
        let results = list.iter().map(|line| {
            if !is_key(&line.client_key) {
                let (member, message) = match line.is_removed() {
                    true => ("encodedKey", "encodedKey must have 1 to 32 letters and digits."),
                    false => ("client", "client must have 1 to 32 letters and digits."),
                };
                return Err(line.problem(ProblemCode::Malformed, member, message));
            }
            let checked = keys.check_part(&line.client_key, line.after.as_ref(), line.part.clone());
            checked.map_err(|problem| vec![problem.below(line.place())])
        });
        Ok(CheckedHistories {
            results: results.collect(),
            list,
            now,
        })
    }

    /// Stores audit records of a file in one transaction, and returns the result for each line. Their clients must have
    /// been imported before; those with `refused` keys weren't.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without CREATE_CLIENT. Nothing is stored with any error.
    pub async fn import_histories(
        &self,
        caller: &Caller,
        histories: &CheckedHistories,
        refused: &HashSet<String>,
    ) -> Result<Vec<Imported>> {
        caller.require(Permission::CreateClient)?;
        if histories.list.is_empty() {
            return Ok(Vec::new());
        }
        let import = ImportHistories {
            clients: self,
            histories,
            refused,
        };
        self.db.write(&import).await
    }
}

struct ImportHistories<'a> {
    clients: &'a Clients,
    histories: &'a CheckedHistories,
    refused: &'a HashSet<String>,
}

/// A chain that lines continue.
struct StoredChain {
    head: Head,
    /// The number of records before the transaction.
    count: i64,
    /// The version of the client that the chain belongs to; none if it was deleted or erased.
    version: Option<i64>,
    is_new: bool,
    /// The digest of the last record that the transaction has added.
    added: Option<String>,
}

/// Stored records by their chains and positions, without contents; the text is empty if there are any.
type StoredRecords = HashMap<(String, i64), audit_record::Model>;

impl Work for ImportHistories<'_> {
    type Output = Vec<Imported>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Vec<Imported>>> {
        let keys = self.clients.audit.keys(transaction).await?;
        let mut chains = self.lock(transaction).await?;
        let stored = self.stored(&chains, transaction).await?;
        let removed = self.histories.list.iter().filter(|line| line.is_removed());
        let removed = removed.map(|line| line.client_key.as_str()).collect();
        let ids = found("client_id_claim", "client_id", removed, transaction).await?;
        let (mut results, mut rows, mut unrecorded) = (Vec::new(), Vec::new(), 0);
        for (line, checked) in self.histories.list.iter().zip(&self.histories.results) {
            let added = match checked {
                Ok(part) => self.accept(line, part, &mut chains, &stored, &ids),
                Err(problems) => Err(problems.clone()),
            };
            let mut added = match added {
                Ok(Some(added)) => added,
                Ok(None) => {
                    results.push(Imported::Known);
                    continue;
                }
                Err(problems) => {
                    results.push(Imported::Refused(problems));
                    continue;
                }
            };
            if let Some(chain) = chains.get_mut(&line.client_key) {
                // Otherwise it was counted when its first records were stored.
                unrecorded += usize::from(chain.is_new && line.is_removed() && is_unrecorded(&added));
                chain.head = self.clients.audit.seal_anew(keys, &mut added, &chain.head);
                chain.added = added.last().map(|last| last.digest.clone());
            }
            rows.append(&mut added);
            results.push(Imported::Stored);
        }
        if results.iter().all(|result| *result != Imported::Stored) {
            return Ok(Step::Discard(results));
        }
        let mut new = NewRows::new(transaction.dialect);
        new.add::<audit_record::Entity>(&rows);
        new.end_part();
        transaction.load(&new, |_| true).await?;
        write_ends(&chains, transaction).await?;
        let allowing = self
            .clients
            .audit
            .allow_unrecorded(transaction, unrecorded, self.histories.now);
        allowing.await?;
        Ok(Step::Commit(results))
    }
}

impl ImportHistories<'_> {
    /// Locks and reads the ends of the chains.
    async fn lock(&self, transaction: &Transaction) -> Result<HashMap<String, StoredChain>> {
        // Others are refused: they can be the names of shared chains, or no texts of the database.
        let keys = self.histories.list.iter().map(|line| &*line.client_key);
        let keys: HashSet<&str> = keys.filter(|key| is_key(key)).collect();
        let keys = serde_json::to_string(&keys).map_err(Error::internal)?;
        let dialect = transaction.dialect;
        if dialect == Dialect::Postgres {
            imports_lock(transaction, None).await?;
        }
        let which = format!("WHERE {} ORDER BY encoded_key", dialect.is_one_of("encoded_key", "$1"));
        let names = format!("SELECT encoded_key FROM client {which}");
        let clients = format!(
            "SELECT encoded_key, history_head, history_count, version FROM client {which}{}",
            transaction.locking(" FOR NO KEY UPDATE")
        );
        transaction
            .lock_each::<client::Entity>(names, [keys.as_str().into()], "NO KEY UPDATE")
            .await?;
        // A removal moves the end from one table to the other, so this one is read later.
        let which = format!("WHERE {} ORDER BY chain", dialect.is_one_of("chain", "$1"));
        let names = format!("SELECT chain FROM audit_chain {which}");
        let removed = format!(
            "SELECT chain, head, count FROM audit_chain {which}{}",
            transaction.locking(" FOR UPDATE")
        );
        let mut chains = HashMap::new();
        for (sql, has_client) in [(clients, true), (removed, false)] {
            if !has_client {
                let names =
                    transaction.lock_each::<audit_chain::Entity>(names.as_str(), [keys.as_str().into()], "UPDATE");
                names.await?;
            }
            for row in transaction.all(sql, [keys.as_str().into()]).await? {
                let key = row.try_get_by_index(0)?;
                let version: Option<i32> = has_client.then(|| row.try_get_by_index(3)).transpose()?;
                let (seal, count) = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
                let chain = StoredChain {
                    head: Head { seal, count },
                    count,
                    version: version.map(i64::from),
                    is_new: false,
                    added: None,
                };
                chains.insert(key, chain);
            }
        }
        Ok(chains)
    }

    /// Reads the records at positions that lines have as well, and those before them.
    async fn stored(&self, chains: &HashMap<String, StoredChain>, transaction: &Transaction) -> Result<StoredRecords> {
        let mut places: Vec<Value> = Vec::new();
        for line in &self.histories.list {
            let after = line.after.as_ref().map(|after| after.position);
            let count = chains.get(&line.client_key).map(|chain| chain.count);
            if let Some(position) = after.filter(|position| count.is_some_and(|count| *position <= count)) {
                places.push(json!({ "chain": line.client_key, "position": position }));
            }
        }
        for row in self.histories.results.iter().flatten().flat_map(|part| &part.rows) {
            if chains.get(&row.chain).is_some_and(|chain| row.position <= chain.count) {
                places.push(json!({ "chain": row.chain, "position": row.position }));
            }
        }
        if places.is_empty() {
            return Ok(HashMap::new());
        }
        let dialect = transaction.dialect;
        let columns = audit_record::Entity::columns().into_iter().map(|column| match column {
            "contents" => "CASE WHEN a.contents IS NOT NULL THEN '' END".to_owned(),
            column => format!("a.{column}"),
        });
        let row = dialect.json_array(&columns.collect::<Vec<_>>().join(", "));
        let row = dialect.cast_to_text(&row);
        let table = audit_record::Entity::table();
        let these = dialect.rows_of_json(table, &["chain", "position"], "$1");
        let sql = format!("SELECT {row} FROM {table} a WHERE (a.chain, a.position) IN ({these})");
        let places = serde_json::to_string(&places).map_err(Error::internal)?;
        let mut stored = HashMap::new();
        for row in transaction.all(sql, [places.into()]).await? {
            let text: String = row.try_get_by_index(0)?;
            let row: audit_record::Model = serde_json::from_str(&text).map_err(Error::internal)?;
            stored.insert((row.chain.clone(), row.position), row);
        }
        Ok(stored)
    }

    /// Returns the records of a line to append; none if all are stored.
    fn accept(
        &self,
        line: &ImportedHistory,
        part: &CheckedPart,
        chains: &mut HashMap<String, StoredChain>,
        stored: &StoredRecords,
        ids: &HashSet<String>,
    ) -> Result<Option<Vec<audit_record::Model>>, Vec<Problem>> {
        let refused = |code, member, message| Err(line.problem(code, member, message));
        if !line.is_removed() && self.refused.contains(&line.client_key) {
            let message = "The line of the client, which comes before, was refused: correct it first.";
            return refused(ProblemCode::Invalid, "client", message);
        }
        let Some(chain) = chains.get(&line.client_key) else {
            if !line.is_removed() {
                let message = "No client with this key is stored: import its line, which comes before, too.";
                return refused(ProblemCode::NotFound, "client", message);
            }
            if ids.contains(&line.client_key) {
                let message = "The key is the clientId of another client: leave this line out.";
                return refused(ProblemCode::Taken, "encodedKey", message);
            }
            let chain = StoredChain {
                head: Head::default(),
                count: 0,
                version: None,
                is_new: true,
                added: None,
            };
            chains.insert(line.client_key.clone(), chain);
            return Ok(Some(part.rows.clone()));
        };
        if line.is_removed() && chain.version.is_some() {
            let message = "A client with this key is stored: delete or erase it, or leave this line out.";
            return refused(ProblemCode::Taken, "encodedKey", message);
        }
        let (member, key) = match line.is_removed() {
            true => ("history", "encodedKey"),
            false => ("records", "client"),
        };
        let is_added = |row: &audit_record::Model| (chain.count + 1..=chain.head.count).contains(&row.position);
        if line.is_removed() && chain.is_new || part.rows.iter().any(is_added) {
            let message = "The file has the client twice: leave one of its lines out.";
            return refused(ProblemCode::Duplicate, key, message);
        }
        if let Some(after) = &line.after {
            let known = stored.get(&(line.client_key.clone(), after.position));
            let digest = known.map(|known| &known.digest);
            let added = chain.added.as_ref().filter(|_| after.position == chain.head.count);
            if added.or(digest).is_some_and(|digest| *digest != after.digest) {
                return refused(ProblemCode::Invalid, member, OTHER_RECORDS);
            }
        }
        for row in &part.rows {
            if row.position > chain.count {
                break;
            }
            let known = stored.get(&(row.chain.clone(), row.position));
            if !known.is_some_and(|known| is_same(known, row)) {
                return refused(ProblemCode::Invalid, member, OTHER_RECORDS);
            }
            if row.contents.is_none() && known.is_some_and(|known| known.contents.is_some()) {
                let message = "The client was erased where the file was written: erase it here, too, with `clientele \
                    client erase`.";
                return refused(ProblemCode::Invalid, member, message);
            }
        }
        let rest: Vec<_> = part
            .rows
            .iter()
            .filter(|row| row.position > chain.head.count)
            .cloned()
            .collect();
        match rest.first() {
            None => Ok(None),
            Some(first) if first.position == chain.head.count + 1 && line.version == chain.version => Ok(Some(rest)),
            Some(first) if first.position == chain.head.count + 1 => {
                let message = "The client is stored with another version than that of its line: it stays as it is.";
                refused(ProblemCode::Invalid, member, message)
            }
            Some(_) => {
                let message = "The records before these aren't stored: import the lines before, too.";
                refused(ProblemCode::Invalid, member, message)
            }
        }
    }
}

const OTHER_RECORDS: &str = "The stored client has other records, because it was changed here or comes from elsewhere: \
    it stays as it is.";

/// Returns true if two records are the same, whichever keys have sealed them and whether their contents are still
/// stored.
fn is_same(one: &audit_record::Model, other: &audit_record::Model) -> bool {
    let bare = |row: &audit_record::Model| audit_record::Model {
        contents: None,
        salt: None,
        hmac: String::new(),
        key_id: String::new(),
        ..row.clone()
    };
    bare(one) == bare(other)
}

/// Writes the ends of the chains that have grown.
async fn write_ends(chains: &HashMap<String, StoredChain>, transaction: &Transaction) -> Result<()> {
    let (mut new, mut of_clients, mut of_removed) = (Vec::new(), Vec::new(), Vec::new());
    for (key, chain) in chains {
        let Head { seal, count } = &chain.head;
        if chain.is_new {
            new.push(audit_chain::Model {
                chain: key.clone(),
                head: seal.clone(),
                count: *count,
            });
        } else if *count > chain.count && chain.version.is_some() {
            of_clients.push(json!({ "encoded_key": key, "history_head": seal, "history_count": count }));
        } else if *count > chain.count {
            of_removed.push(json!({ "chain": key, "head": seal, "count": count }));
        }
    }
    let mut rows = NewRows::new(transaction.dialect);
    rows.add::<audit_chain::Entity>(&new);
    rows.end_part();
    transaction.load(&rows, |_| true).await?;
    let tables = [
        (
            client::Entity::table(),
            ["encoded_key", "history_head", "history_count"],
            of_clients,
        ),
        (audit_chain::Entity::table(), ["chain", "head", "count"], of_removed),
    ];
    for (table, columns, ends) in tables {
        if ends.is_empty() {
            continue;
        }
        let [key, head, count] = columns;
        let rows = transaction.dialect.rows_of_json(table, &columns, "$1");
        let sql = format!(
            "UPDATE {table} SET {head} = r.{head}, {count} = r.{count} FROM ({rows}) r WHERE {table}.{key} = r.{key}"
        );
        let ends = serde_json::to_string(&ends).map_err(Error::internal)?;
        transaction.run(sql, [ends.into()]).await?;
    }
    Ok(())
}
