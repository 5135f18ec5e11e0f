//! Requests that can be sent again. The outcome of the first is stored under its caller's key, in the transaction of
//! the change, and returned to every repetition.
//!
//! Compares requests by their fingerprints, and treats outcomes as opaque texts.

use std::{collections::HashSet, fmt};

use chrono::{DateTime, TimeDelta, Utc};
use entity::{Table, idempotency_record, instant};
use ring::digest::{Context, Digest, SHA256};
use sea_orm::Value;
use serde::{Deserialize, Serialize};

use crate::caller::Caller;
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::{Batch, Database, Dialect, Transaction};

/// Settings of idempotent requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdempotencySettings {
    /// The time that an outcome is kept, in hours.
    pub hours: u32,
}

impl Default for IdempotencySettings {
    fn default() -> Self {
        Self { hours: 24 }
    }
}

impl IdempotencySettings {
    /// Returns the expiry of an outcome of `now`.
    pub fn expiry(self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::hours(self.hours.into())
    }
}

/// The name that a caller gives a request to recognise it when it is sent again: 1 to 255 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// The limit of a key, in characters.
    pub const LONGEST: usize = 255;

    /// # Errors
    /// A problem with the key, at `idempotencyKey`.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let refuse = |code, message: String| Err(Problem::new(code, path!["idempotencyKey"], message));
        if text.is_empty() || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            let message = "An idempotency key is made of printable ASCII characters, at least one: a UUID for example.";
            return refuse(ProblemCode::Malformed, message.to_owned());
        }
        if text.len() > Self::LONGEST {
            let message = format!("An idempotency key has at most {} characters.", Self::LONGEST);
            return refuse(ProblemCode::TooLong, message);
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of one part of a request, which no caller can send.
    pub fn of_part(&self, index: usize) -> Self {
        Self(format!("{}{PART}{index}", self.0))
    }
}

/// The SHA-256 of an operation and its input: distinguishes two requests under one key without storing their contents.
#[derive(Clone, Copy, Debug)]
pub struct Fingerprint(Digest);

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref() == other.0.as_ref()
    }
}

/// 64 hex digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .as_ref()
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl Fingerprint {
    /// Returns the fingerprint of these parts. Each is hashed with its length, so that no two lists of parts are the
    /// same.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        Self(context.finish())
    }
}

/// The stored outcome of one request: acquired before any other work, filled in the transaction of
/// the change.
#[derive(Clone, Debug)]
pub struct IdempotencyEntry {
    record: idempotency_record::Model,
}

/// The result of acquiring an entry.
#[derive(Debug)]
pub enum Acquired {
    /// This is the first request: it owns the entry until the transaction ends.
    First,
    /// The request has been carried out already.
    Stored(StoredOutcome),
    /// The key belongs to another request, or to one whose outcome was erased.
    Refused(Problem),
    /// The owner of the entry has just given it up: start over.
    Again,
}

/// The outcome of the first request.
#[derive(Debug)]
pub struct StoredOutcome {
    pub outcome: String,
    /// The present version of the definitions.
    pub definition_version: i64,
    pub expires_at: DateTime<Utc>,
}

/// Separates the key of a request from the index of its part.
const PART: char = '\n';

/// The outcome of a request whose parts have outcomes of their own.
const IN_PARTS: &str = "{}";

impl IdempotencyEntry {
    /// Creates an entry whose outcome is kept until `expires_at`.
    pub fn new(caller: &Caller, key: &Key, request: Fingerprint, expires_at: DateTime<Utc>) -> Self {
        Self {
            record: idempotency_record::Model {
                caller: format!("{}:{}", caller.kind.as_str(), caller.id),
                key: key.as_str().to_owned(),
                fingerprint: request.to_string(),
                expires_at,
                client_key: None,
                outcome: None,
            },
        }
    }

    /// Creates the entry of a request that is carried out in parts. It only recognises the request: each part has an
    /// entry of its own.
    pub fn of_parts(caller: &Caller, key: &Key, request: Fingerprint, expires_at: DateTime<Utc>) -> Self {
        let mut entry = Self::new(caller, key, request, expires_at);
        entry.record.outcome = Some(IN_PARTS.to_owned());
        entry
    }

    /// The idempotency key.
    pub fn key(&self) -> &str {
        &self.record.key
    }

    pub fn expire_at(&mut self, expires_at: DateTime<Utc>) {
        self.record.expires_at = expires_at;
    }

    /// Acquires the entry for this transaction. Must be its first statement: it waits for the present owner, and no
    /// other transaction may wait for this one meanwhile.
    pub async fn acquire(&self, now: DateTime<Utc>, transaction: &Transaction) -> Result<Acquired> {
        let sql = format!(
            "INSERT INTO idempotency_record (caller, key, fingerprint, expires_at) VALUES ($1, $2, $3, {}) \
             ON CONFLICT DO NOTHING",
            transaction.dialect.cast("$4", "timestamptz")
        );
        match transaction.run(sql, self.values()).await? {
            1 => Ok(Acquired::First),
            _ => self.read(now, transaction).await,
        }
    }

    /// Reads an existing entry. A separate statement, so that it sees what was committed while this one waited.
    pub async fn read(&self, now: DateTime<Utc>, transaction: &Transaction) -> Result<Acquired> {
        let sql = "SELECT (SELECT version FROM definition_version), fingerprint, expires_at, outcome \
                   FROM idempotency_record WHERE caller = $1 AND key = $2";
        let [caller, key, ..] = self.values();
        let Some(row) = transaction.one(sql, [caller, key]).await? else {
            return Ok(Acquired::Again);
        };
        let (definition_version, fingerprint, expires_at, outcome): (i64, String, DateTime<Utc>, Option<String>) =
            row.try_get_many_by_index()?;
        if expires_at <= now {
            return self.take_over(now, transaction).await;
        }
        let Some(outcome) = outcome else {
            return Ok(Acquired::Refused(outcome_unavailable()));
        };
        // A list without fingerprint had a client that was erased since: the fingerprints of its parts recognise it.
        if fingerprint != self.record.fingerprint && !(fingerprint.is_empty() && outcome == IN_PARTS) {
            let message = "This idempotency key has been used for another request: give each request a key of its own.";
            return Ok(refused(ProblemCode::IdempotencyKeyReused, message));
        }
        Ok(Acquired::Stored(StoredOutcome {
            outcome,
            definition_version,
            expires_at,
        }))
    }

    /// Acquires an expired entry, unless another request was faster.
    async fn take_over(&self, now: DateTime<Utc>, transaction: &Transaction) -> Result<Acquired> {
        let instant = |placeholder| transaction.dialect.cast(placeholder, "timestamptz");
        let sql = format!(
            "UPDATE idempotency_record SET fingerprint = $3, expires_at = {}, client_key = NULL, outcome = $6 \
             WHERE caller = $1 AND key = $2 AND expires_at <= {}",
            instant("$4"),
            instant("$5")
        );
        let others = [instant::to_text(&now).into(), self.record.outcome.clone().into()];
        let is_acquired = transaction.run(sql, self.values().into_iter().chain(others)).await? == 1;
        Ok(if is_acquired { Acquired::First } else { Acquired::Again })
    }

    /// Caller, key, fingerprint and expiry, in the order of the parameters.
    fn values(&self) -> [Value; 4] {
        let record = &self.record;
        [
            (&record.caller).into(),
            (&record.key).into(),
            (&record.fingerprint).into(),
            instant::to_text(&record.expires_at).into(),
        ]
    }

    /// Adds to the batch the entry of a request whose outcome can't be kept: a repetition is refused. It has no
    /// fingerprint, so the entry doesn't show what the request was.
    pub fn fill_erased(&self, batch: &mut Batch) -> Result<()> {
        batch.put::<idempotency_record::Entity>(&[&idempotency_record::Model {
            fingerprint: String::new(),
            ..self.record.clone()
        }])
    }

    /// Adds the entry of a part of the request to the batch, which has no outcome of its own: with the data of its
    /// client, the outcome of the request is erased.
    pub fn fill_part(&self, index: usize, client_key: &str, batch: &mut Batch) -> Result<()> {
        batch.put::<idempotency_record::Entity>(&[&idempotency_record::Model {
            key: Key(self.record.key.clone()).of_part(index).0,
            fingerprint: String::new(),
            client_key: Some(client_key.to_owned()),
            outcome: None,
            ..self.record.clone()
        }])
    }

    /// Adds the outcome to the batch. With `client_key`, it is erased with that client's data.
    pub fn fill(&self, client_key: Option<&str>, outcome: String, batch: &mut Batch) -> Result<()> {
        batch.put::<idempotency_record::Entity>(&[&idempotency_record::Model {
            client_key: client_key.map(str::to_owned),
            outcome: Some(outcome),
            ..self.record.clone()
        }])
    }
}

/// Erases the outcomes and the fingerprints of requests about a client, and of requests that have a part about it.
pub(crate) async fn erase(client_key: &str, transaction: &Transaction) -> Result<()> {
    let whole = match transaction.dialect {
        Dialect::Postgres => "split_part(key, chr(10), 1)",
        Dialect::Sqlite => "substr(key, 1, instr(key, char(10)) - 1)",
    };
    // After the whole has expired, its key may belong to another request.
    let of_wholes = format!(
        "UPDATE idempotency_record SET outcome = CASE outcome WHEN '{IN_PARTS}' THEN outcome END, fingerprint = '' \
         WHERE (caller, key, expires_at) IN \
         (SELECT caller, {whole}, expires_at FROM idempotency_record WHERE client_key = $1)"
    );
    transaction.run(of_wholes, [client_key.into()]).await?;
    let sql = "UPDATE idempotency_record SET outcome = NULL, client_key = NULL, fingerprint = '' WHERE client_key = $1";
    transaction.run(sql, [client_key.into()]).await.map(|_| ())
}

/// Acquires entries of one caller, and returns the keys of those that didn't exist: the others must be
/// [read](IdempotencyEntry::read). Must be the first statement of its transaction.
///
/// They are acquired in the order of their keys. So transactions that acquire some of the same entries wait for one
/// another, but never in a circle.
pub async fn acquire_all(entries: &[&IdempotencyEntry], transaction: &Transaction) -> Result<HashSet<String>> {
    if entries.is_empty() {
        return Ok(HashSet::new());
    }
    let (table, columns) = (
        idempotency_record::Entity::table(),
        idempotency_record::Entity::columns(),
    );
    let sql = format!(
        "INSERT INTO {table} ({}) {} ORDER BY key ON CONFLICT DO NOTHING RETURNING key",
        columns.join(", "),
        transaction.dialect.rows_of_json(table, &columns, "$1"),
    );
    let records: Vec<&idempotency_record::Model> = entries.iter().map(|entry| &entry.record).collect();
    let records = serde_json::to_string(&records).map_err(Error::internal)?;
    let rows = transaction.all(sql, [records.into()]).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}

/// Gives up entries that this transaction has acquired and not filled.
pub async fn release(entries: &[&IdempotencyEntry], transaction: &Transaction) -> Result<()> {
    let Some([caller, keys]) = names(entries)? else {
        return Ok(());
    };
    let which = transaction.dialect.is_one_of("key", "$2");
    let sql = format!("DELETE FROM idempotency_record WHERE caller = $1 AND {which}");
    transaction.run(sql, [caller, keys]).await.map(|_| ())
}

/// Returns the keys of those entries of one caller whose requests have been carried out. Waits for no other request.
pub async fn carried_out(
    entries: &[&IdempotencyEntry],
    now: DateTime<Utc>,
    database: &Database,
) -> Result<HashSet<String>> {
    let Some([caller, keys]) = names(entries)? else {
        return Ok(HashSet::new());
    };
    let dialect = database.read().dialect;
    let sql = format!(
        "SELECT key FROM idempotency_record WHERE caller = $1 AND {} AND {} > {}",
        dialect.is_one_of("key", "$2"),
        dialect.unindexed("expires_at"),
        dialect.cast("$3", "timestamptz"),
    );
    let now = instant::to_text(&now).into();
    let rows = database.read().all(sql, [caller, keys, now]).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}

/// The caller of these entries, and their keys as JSON; none without entries.
fn names(entries: &[&IdempotencyEntry]) -> Result<Option<[Value; 2]>> {
    let Some(first) = entries.first() else { return Ok(None) };
    let keys: Vec<&str> = entries.iter().map(|entry| entry.key()).collect();
    let keys = serde_json::to_string(&keys).map_err(Error::internal)?;
    Ok(Some([(&first.record.caller).into(), keys.into()]))
}

/// The statement that removes some of the outcomes that have expired by the time `$1`.
pub(crate) fn removal_of_expired(dialect: Dialect, most: u64) -> String {
    let now = dialect.cast("$1", "timestamptz");
    // Checks the expiry again outside: an outcome that is taken over meanwhile is no longer expired when its lock is
    // free.
    format!(
        "DELETE FROM idempotency_record WHERE {} <= {now} AND (caller, key) IN (\
         SELECT caller, key FROM idempotency_record WHERE expires_at <= {now} ORDER BY expires_at LIMIT {most})",
        dialect.unindexed("expires_at")
    )
}

/// The problem of a repeated request whose outcome was erased, or whose client no longer exists for the caller.
pub(crate) fn outcome_unavailable() -> Problem {
    let message = "The request with this idempotency key was carried out, and its result is no longer available: it is \
                   not carried out again.";
    Problem::new(ProblemCode::OutcomeErased, path!["idempotencyKey"], message)
}

fn refused(code: ProblemCode, message: &'static str) -> Acquired {
    Acquired::Refused(Problem::new(code, path!["idempotencyKey"], message))
}

#[cfg(test)]
mod tests {
    use super::{Fingerprint, Key};
    use clientele_core::problem::ProblemCode::{Malformed, TooLong};

    fn of(parts: &[&str]) -> String {
        Fingerprint::of(parts.iter().map(|part| part.as_bytes())).to_string()
    }

    #[test]
    fn parts_that_run_together_differ() {
        let (one, two, none) = (of(&["ab"]), of(&["a", "b"]), of(&["ab", ""]));
        assert!(one != two && one != none && two != none);
        assert_eq!((one.len(), &one), (64, &of(&["ab"])));
    }

    #[test]
    fn a_key_is_1_to_255_printable_characters() {
        let longest = "k".repeat(255);
        for (text, found) in [
            ("k", Ok("k")),
            (
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
                Ok("8e03978e-40d5-43dd-bc93-6894a57f9324"),
            ),
            (" a b\"\\~", Ok(" a b\"\\~")),
            (&longest, Ok(&*longest)),
            (&"k".repeat(256), Err(TooLong)),
            ("", Err(Malformed)),
            ("a\tb", Err(Malformed)),
            ("a\u{7f}", Err(Malformed)),
            ("\0", Err(Malformed)),
            ("schlüssel", Err(Malformed)),
        ] {
            let key = Key::parse(text);
            assert_eq!(
                key.as_ref().map(Key::as_str).map_err(|problem| problem.code),
                found,
                "{text:?}"
            );
        }
    }
}
