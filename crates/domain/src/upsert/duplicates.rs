//! Looks for clients that have the same document, phone number, address or name as the submitted one.
//!
//! All checks of a client take one statement, which uses an index for each value. On PostgreSQL, values whose check is
//! an error are locked first, so that of two clients with one value at the same time, one is refused.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use entity::{client_search, id_document_search};
use ring::digest::{Context, SHA256};
use serde_json::json;

use super::{Answer, Upsert};
use crate::{
    caller::{Caller, Permission, Rights},
    client::{Aggregate, CheckLevel, DuplicateChecks, search::SearchRows},
    definitions::Field,
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{ConcernedClients, Problem, ProblemCode, Step as PathStep},
};
use clientele_storage::db::{Dialect, Step, Transaction};

/// Limit of the matching clients that are counted for one value.
const MOST_MATCHES: usize = 100;
/// Limit of the matching clients that a problem names.
const MOST_NAMED: usize = 3;
/// Limit of the clients with one value among which those that exist for a limited caller are found.
const MOST_EXAMINED: usize = 10_000;
/// Stands for matching clients that don't exist for the caller. No client has this id.
const HIDDEN: &str = "";
/// Limit of the values that clients lock in one transaction: PostgreSQL keeps these locks in shared memory. A client
/// has fewer.
const MOST_LOCKS: usize = 256;
/// The lock of all values, which imports take. Clients that lock some values share it.
const ALL_VALUES: i64 = 0x636c_6965_6475_706c;

/// The kinds of values that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Check {
    Document,
    HomePhone,
    MobilePhone,
    EmailAddress,
    Names,
    LastNameAndBirthDate,
}

impl Check {
    const fn name(self) -> &'static str {
        match self {
            Self::Document => "identification document",
            Self::HomePhone => "home phone number",
            Self::MobilePhone => "mobile phone number",
            Self::EmailAddress => "e-mail address",
            Self::Names => "first and last name",
            Self::LastNameAndBirthDate => "last name and date of birth",
        }
    }

    const fn level(self, checks: &DuplicateChecks) -> CheckLevel {
        match self {
            Self::Document => checks.document,
            Self::HomePhone => checks.home_phone,
            Self::MobilePhone => checks.mobile_phone,
            Self::EmailAddress => checks.email_address,
            Self::Names => checks.names,
            Self::LastNameAndBirthDate => checks.last_name_and_birth_date,
        }
    }

    /// The table of the values, and the conditions that one of them equals `a` (and `b`). Each condition has an index.
    fn places(self, a: &str, b: &str, dialect: Dialect) -> (&'static str, Vec<String>) {
        let equal = |column: &str| format!("s.{column} = {a}");
        let conditions = match self {
            Self::Document => vec![format!("s.document_id = {a} AND s.document_type = {b}")],
            Self::HomePhone => vec![equal("home_phone")],
            Self::MobilePhone => vec![equal("mobile_phone1"), equal("mobile_phone2")],
            Self::EmailAddress => vec![equal("email")],
            Self::Names => vec![format!("s.last_name = {a} AND s.first_name = {b}")],
            Self::LastNameAndBirthDate => {
                let date = dialect.cast(b, "date");
                vec![format!("s.last_name = {a} AND s.birth_date = {date}")]
            }
        };
        let table = match self {
            Self::Document => "id_document_search",
            _ => "client_search",
        };
        (table, conditions)
    }
}

/// Returns a column of the folded texts.
type Column = fn(&client_search::Model) -> &Option<String>;

/// A value of a client that no other client should have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Compared {
    check: Check,
    level: CheckLevel,
    /// The folded values. The second is empty for a check of one value.
    values: [String; 2],
    path: Vec<PathStep>,
}

/// Returns the values of a client that are new or changed, as far as they are checked. All values of a client whose
/// merge is undone are new: other clients may have got them meanwhile.
fn compared(before: Option<&Aggregate>, after: &Aggregate, checks: &DuplicateChecks) -> Vec<Compared> {
    if *checks == DuplicateChecks::default() {
        return Vec::new();
    }
    let is_merged = |client: &Aggregate| client.client.merged_into_key.is_some();
    let (before, kept) = match before {
        Some(before) if is_merged(before) && !is_merged(after) => (None, before.id_documents.as_deref()),
        before => (before, None),
    };
    let id_documents = after.id_documents.as_deref().or(kept).unwrap_or_default();
    let new = SearchRows::of_parts(&after.client, None, id_documents);
    let (old, old_documents) = match before.map(SearchRows::of) {
        Some(rows) => (Some(rows.client), rows.id_documents),
        None => (None, Vec::new()),
    };
    let (old, client) = (old.as_ref(), &new.client);
    let mut found = Vec::new();
    let mut add = |check: Check, values: [Option<&str>; 2], path: Vec<PathStep>| {
        let level = check.level(checks);
        if let [Some(a), Some(b)] = values
            && level != CheckLevel::None
            && !a.is_empty()
        {
            let values = [a, b].map(str::to_owned);
            found.push(Compared {
                check,
                level,
                values,
                path,
            });
        }
    };
    let single: [(Check, &'static str, Column); 4] = [
        (Check::HomePhone, "homePhone", |row| &row.home_phone),
        (Check::MobilePhone, "mobilePhone1", |row| &row.mobile_phone1),
        (Check::MobilePhone, "mobilePhone2", |row| &row.mobile_phone2),
        (Check::EmailAddress, "emailAddress", |row| &row.email),
    ];
    for (check, name, column) in single {
        if old.map(column) != Some(column(client)) {
            add(
                check,
                [column(client).as_deref(), Some("")],
                path!["client", name].to_vec(),
            );
        }
    }
    let last_name = Some(client.last_name.as_str());
    let is_same = |old: &client_search::Model| old.last_name == client.last_name;
    if !old.is_some_and(|old| is_same(old) && old.first_name == client.first_name) {
        let values = [last_name, Some(&*client.first_name)];
        add(Check::Names, values, path!["client", "lastName"].to_vec());
    }
    if !old.is_some_and(|old| is_same(old) && old.birth_date == client.birth_date) {
        let date = client.birth_date.map(|date| date.to_string());
        let place = path!["client", "birthDate"].to_vec();
        add(Check::LastNameAndBirthDate, [last_name, date.as_deref()], place);
    }
    let number = |row: &id_document_search::Model| (row.document_id.clone(), row.document_type.clone());
    let known: BTreeSet<_> = old_documents.iter().map(number).collect();
    for (index, document) in new.id_documents.iter().enumerate() {
        if !known.contains(&number(document)) {
            let values = [Some(&*document.document_id), Some(&*document.document_type)];
            let place = path!["idDocuments", index, "documentId"].to_vec();
            add(Check::Document, values, place);
        }
    }
    found
}

/// The locks of a transaction in which several clients are stored.
#[derive(Debug, Default)]
pub(super) struct ValueLocks {
    /// The number of locked values.
    count: AtomicUsize,
    /// True once a client is written.
    is_written: AtomicBool,
}

impl ValueLocks {
    /// Others may wait for this transaction from now on, so it must not wait for their locks.
    pub fn set_written(&self) {
        self.is_written.store(true, Relaxed);
    }

    /// Returns true if the transaction must not store further clients.
    pub fn are_used_up(&self) -> bool {
        self.count.load(Relaxed) >= MOST_LOCKS
    }
}

/// Locks those values whose checks are errors until the end of the transaction: no other client gets one of them
/// meanwhile.
async fn lock(compared: &[Compared], transaction: &Transaction) -> Result<()> {
    let keys = lock_keys(compared);
    // SQLite has one writer.
    if transaction.dialect == Dialect::Sqlite || keys.is_empty() {
        return Ok(());
    }
    let shared = format!("SELECT pg_advisory_xact_lock_shared({ALL_VALUES})");
    transaction.one(shared, []).await?;
    // In order, so that two clients with the same values don't wait for each other.
    let sql = "SELECT pg_advisory_xact_lock(value::bigint) FROM json_array_elements_text($1::json)";
    transaction.all(sql, [json_of(&keys)?.into()]).await?;
    Ok(())
}

/// Does the same for a client that shares its transaction. Returns false if the transaction must end before this
/// client: it has written others, and another transaction has locked a value, or it would have too many locks. If it
/// waited, each of two transactions could wait for the other.
async fn lock_shared(compared: &[Compared], locks: &ValueLocks, transaction: &Transaction) -> Result<bool> {
    let keys = lock_keys(compared);
    if transaction.dialect == Dialect::Sqlite || keys.is_empty() {
        return Ok(true);
    }
    if !locks.is_written.load(Relaxed) {
        locks.count.store(keys.len(), Relaxed);
        lock(compared, transaction).await?;
        return Ok(true);
    }
    if locks.count.fetch_add(keys.len(), Relaxed) + keys.len() > MOST_LOCKS {
        return Ok(false);
    }
    let sql = format!(
        "SELECT pg_try_advisory_xact_lock_shared({ALL_VALUES}) AND \
         (SELECT bool_and(pg_try_advisory_xact_lock(value::bigint)) FROM json_array_elements_text($1::json))"
    );
    let row = transaction.one(sql, [json_of(&keys)?.into()]).await?;
    Ok(row.map_or(Ok(false), |row| row.try_get_by_index(0))?)
}

fn lock_keys(compared: &[Compared]) -> BTreeSet<i64> {
    let errors = compared.iter().filter(|value| value.level == CheckLevel::Error);
    errors.map(Compared::lock).collect()
}

fn json_of(keys: &BTreeSet<i64>) -> Result<String> {
    let keys: Vec<String> = keys.iter().map(i64::to_string).collect();
    serde_json::to_string(&keys).map_err(Error::internal)
}

/// Returns the ids of the clients with each of these values, without the one with this key and merged clients: at most
/// one more than [`MOST_MATCHES`] of each place of a value, among the first [`MOST_EXAMINED`] for a limited caller. If
/// the check of a value is an error, [`HIDDEN`] stands for those that don't exist for the caller, and can stand there
/// without them.
async fn matches(
    compared: &[Compared],
    client_key: &str,
    rights: &Rights,
    transaction: &Transaction,
) -> Result<Vec<BTreeSet<String>>> {
    let mut by_check: BTreeMap<Check, (CheckLevel, Vec<serde_json::Value>)> = BTreeMap::new();
    for (index, value) in compared.iter().enumerate() {
        let [a, b] = &value.values;
        let (_, rows) = by_check.entry(value.check).or_insert((value.level, Vec::new()));
        rows.push(json!([index.to_string(), a, b]));
    }
    let mut found = vec![BTreeSet::new(); compared.len()];
    if compared.is_empty() {
        return Ok(found);
    }
    let dialect = transaction.dialect;
    let (mut parts, mut values) = (Vec::new(), vec![client_key.into()]);
    let limit = rights.and_limit(dialect, "c", &mut values);
    let shared = values.len();
    let mut rows = Vec::new();
    // A distributed database can't look for each of several values in one statement.
    let lists: Vec<_> = match transaction.distributed {
        true => by_check
            .into_iter()
            .flat_map(|(check, (level, rows))| rows.into_iter().map(move |row| (check, level, row)))
            .collect(),
        false => by_check
            .into_iter()
            .map(|(check, (level, rows))| (check, level, rows.into()))
            .collect(),
    };
    for (check, level, list) in lists {
        if transaction.distributed {
            values.truncate(shared);
        }
        values.push(list.to_string().into());
        let placeholder = values.len();
        let (value, from) = match dialect {
            Dialect::Postgres if transaction.distributed => (format!("${placeholder}::json"), String::new()),
            Dialect::Postgres => (
                "k.value".to_owned(),
                format!("FROM json_array_elements(${placeholder}::json) k(value)"),
            ),
            Dialect::Sqlite => ("k.value".to_owned(), format!("FROM json_each(${placeholder}) k")),
        };
        let ids = dialect.cast_to_text(&dialect.json_collect("m.client_id", Some("m.client_id")));
        let (table, conditions) = check.places(&format!("({value} ->> 1)"), &format!("({value} ->> 2)"), dialect);
        for condition in conditions {
            let others = format!("{condition} AND s.client_key <> $1");
            let clients = |of: &str| {
                format!("{of} JOIN client c ON c.encoded_key = {of}.client_key WHERE c.merged_into_key IS NULL")
            };
            let all = format!("{table} {} AND {others}", clients("s"));
            let examined = match limit.is_empty() {
                true => all.clone(),
                false => {
                    let first = format!("(SELECT s.client_key FROM {table} s WHERE {others} LIMIT {MOST_EXAMINED})");
                    format!("{first} {}{limit}", clients("e"))
                }
            };
            parts.push(format!(
                "SELECT {value} ->> 0, (SELECT {ids} FROM (SELECT c.client_id FROM {examined} LIMIT {}) m) {from}",
                MOST_MATCHES + 1
            ));
            if !limit.is_empty() && level == CheckLevel::Error {
                parts.push(format!(
                    "SELECT {value} ->> 0, '[\"{HIDDEN}\"]' {from} WHERE EXISTS (SELECT 1 FROM {all})"
                ));
            }
        }
        if transaction.distributed {
            let sql = std::mem::take(&mut parts).join(" UNION ALL ");
            rows.extend(transaction.all(sql, values.clone()).await?);
        }
    }
    if !parts.is_empty() {
        rows.extend(transaction.all(parts.join(" UNION ALL "), values).await?);
    }
    for row in rows {
        let (index, ids): (String, String) = row.try_get_many_by_index()?;
        let ids: Vec<String> = serde_json::from_str(&ids).map_err(Error::internal)?;
        let index: usize = index.parse().map_err(Error::internal)?;
        found[index].extend(ids);
    }
    Ok(found)
}

/// Returns the problems of errors, and those of warnings. [`HIDDEN`] is neither counted nor named.
fn problems(compared: &[Compared], matches: &[BTreeSet<String>], caller: &Caller) -> (Vec<Problem>, Vec<Problem>) {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for (value, found) in compared.iter().zip(matches).filter(|(_, found)| !found.is_empty()) {
        let ids: Vec<&String> = found.iter().filter(|id| *id != HIDDEN).collect();
        match value.level {
            CheckLevel::Error => errors.push(value.problem(&ids, caller)),
            CheckLevel::Warning | CheckLevel::None => warnings.push(value.problem(&ids, caller)),
        }
    }
    (errors, warnings)
}

impl Compared {
    /// The key of the value's lock.
    fn lock(&self) -> i64 {
        let mut context = Context::new(&SHA256);
        for part in [self.check.name(), &self.values[0], &self.values[1]] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let digest = context.finish();
        let first = digest.as_ref().first_chunk().copied();
        i64::from_be_bytes(first.unwrap_or_default())
    }

    fn problem(&self, ids: &[&String], caller: &Caller) -> Problem {
        let named: Vec<String> = match caller.can(Permission::ViewClient) {
            true => ids.iter().take(MOST_NAMED).copied().cloned().collect(),
            false => Vec::new(),
        };
        let others = match ids.len() {
            0 | 1 => "Another client has",
            _ => "Other clients have",
        };
        let examples = match (named.is_empty(), ids.len() > named.len()) {
            (true, _) => String::new(),
            (false, false) => format!(": {}", named.join(", ")),
            (false, true) => format!(", such as {}", named.join(", ")),
        };
        let clients = ConcernedClients {
            count: ids.len().min(MOST_MATCHES) as i64,
            ids: named,
        };
        let message = format!("{others} this {}{examples}.", self.check.name());
        Problem {
            clients: Some(Box::new(clients)),
            ..Problem::new(ProblemCode::DuplicateClient, self.path.clone(), message)
        }
    }
}

impl Upsert<'_> {
    /// Checks the new and changed values of a client. Returns none to start over: the transaction must end before this
    /// client, or another request has just created the client that the submission names.
    ///
    /// # Errors
    /// The inner error has the problems of values that other clients must not have. Otherwise returns the warnings.
    pub(super) async fn duplicates(
        &self,
        before: Option<&Aggregate>,
        after: &Aggregate,
        matched: Option<(&Field, &str)>,
        transaction: &Transaction,
    ) -> Result<Option<Result<Vec<Problem>, Vec<Problem>>>> {
        let compared = compared(before, after, &self.clients.settings.duplicates);
        if compared.is_empty() {
            return Ok(Some(Ok(Vec::new())));
        }
        match self.shared {
            None => lock(&compared, transaction).await?,
            Some(locks) if lock_shared(&compared, locks, transaction).await? => {}
            Some(_) => return Ok(None),
        }
        let matches = matches(&compared, &after.client.encoded_key, &self.caller.rights, transaction).await?;
        let (errors, warnings) = problems(&compared, &matches, self.caller);
        if errors.is_empty() {
            return Ok(Some(Ok(warnings)));
        }
        // The client that was locked with the value may be the one that the submission names.
        let is_created = before.is_none() && self.target_exists(matched, transaction).await?;
        Ok((!is_created).then_some(Err(errors)))
    }
}

/// Checks the new and changed values of a client that another one is merged into. What that one has is no new
/// duplicate, but a pair of members can be one that neither client had.
///
/// # Errors
/// As [`Upsert::duplicates`].
pub(super) async fn of_merge(
    merged: &Aggregate,
    before: &Aggregate,
    after: &Aggregate,
    checks: &DuplicateChecks,
    caller: &Caller,
    transaction: &Transaction,
) -> Result<Result<Vec<Problem>, Vec<Problem>>> {
    let (mut new, known) = (compared(Some(before), after, checks), compared(None, merged, checks));
    let is_equal = |a: &Compared, b: &Compared| (a.check, &a.values) == (b.check, &b.values);
    new.retain(|value| !known.iter().any(|known| is_equal(known, value)));
    lock(&new, transaction).await?;
    let matches = matches(&new, &after.client.encoded_key, &caller.rights, transaction).await?;
    let (errors, warnings) = problems(&new, &matches, caller);
    Ok(match errors.is_empty() {
        true => Ok(warnings),
        false => Err(errors),
    })
}

/// Adds warnings to the answer of an upsert.
pub(super) fn with_warnings(step: Step<Answer>, warnings: Vec<Problem>) -> Step<Answer> {
    let add = |mut answer: Answer| {
        if let Ok(upserted) = &mut answer {
            upserted.warnings = warnings;
        }
        answer
    };
    match step {
        Step::Commit(answer) => Step::Commit(add(answer)),
        Step::Discard(answer) => Step::Discard(add(answer)),
        Step::Again => Step::Again,
    }
}

/// Returns the problems of new clients with values that stored clients have, or clients earlier in the list without a
/// problem. Only errors are checked.
pub(super) async fn of_new(
    clients: &[&Aggregate],
    checks: &DuplicateChecks,
    caller: &Caller,
    transaction: &Transaction,
) -> Result<Vec<Vec<Problem>>> {
    let errors = |client: &Aggregate| {
        let mut compared = compared(None, client, checks);
        compared.retain(|value| value.level == CheckLevel::Error);
        compared
    };
    let of_clients: Vec<Vec<Compared>> = clients.iter().copied().map(errors).collect();
    let all = of_clients.concat();
    if transaction.dialect == Dialect::Postgres && !all.is_empty() {
        let sql = format!("SELECT pg_advisory_xact_lock({ALL_VALUES})");
        transaction.one(sql, []).await?;
    }
    let mut stored = matches(&all, "", &caller.rights, transaction).await?.into_iter();
    let mut earlier: HashMap<(Check, [String; 2]), BTreeSet<String>> = HashMap::new();
    let mut found = Vec::with_capacity(clients.len());
    for (client, compared) in clients.iter().zip(of_clients) {
        let ids = compared.iter().map(|value| {
            let mut ids = stored.next().unwrap_or_default();
            let of_list = earlier.get(&(value.check, value.values.clone()));
            ids.extend(of_list.into_iter().flatten().cloned());
            ids
        });
        let ids: Vec<BTreeSet<String>> = ids.collect();
        let (errors, _) = problems(&compared, &ids, caller);
        if errors.is_empty() {
            for value in compared {
                let ids = earlier.entry((value.check, value.values)).or_default();
                ids.insert(client.client.client_id.clone());
            }
        }
        found.push(errors);
    }
    Ok(found)
}
