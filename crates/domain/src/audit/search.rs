//! Lists records: those that pass a filter, those of many clients at once, and single ones by their keys. Each list
//! takes one statement, whatever the data.
//!
//! A condition of a filter with an index leads the search, the other conditions are checked on its rows. A filter is
//! refused when the check could cover all records.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use entity::{Table, audit_record};
use sea_orm::{QueryResult, Value};

use super::{
    Action, AuditLog, BY_POSITION, Chain, HistoryPage, Member, NEWEST_FIRST, RecordKey, Subject,
    read::{Rows, Stored},
};
use crate::{
    caller::{Api, Caller, CallerKind, Permission, Rights, Share, Unchecked},
    client_by::ClientBy,
};
use clientele_core::{
    budget::Reading,
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::{
    db::Dialect,
    paging::{Conditions, DateTimeRange, Requested, Total, Window, counting, decode_row},
};

/// Limit of the contents that are read at once, in bytes. A record has what a request sent, and a page has 500.
pub const LARGEST_CONTENTS: i64 = 8 << 20;

/// Limit of the time range that is scanned without an index.
const LONGEST_SCAN: TimeDelta = TimeDelta::days(31);

/// The bytes of a record's contents.
pub(crate) const CONTENTS_SIZE: &str = "CAST(coalesce(octet_length(a.contents), 0) AS BIGINT)";

/// The bytes if contents aren't read.
const NOTHING: &str = "CAST(0 AS BIGINT)";

impl AuditLog {
    /// Returns a page of the records that pass `filter`, newest first. Rows and total take one statement each, if
    /// requested.
    ///
    /// # Errors
    /// The inner error is a filter that could scan the whole audit log without a match.
    pub async fn page(
        &self,
        caller: &Caller,
        filter: &AuditFilter,
        window: &Window,
        asked: Requested,
    ) -> Result<Result<HistoryPage, Problem>> {
        caller.require(Permission::Audit)?;
        if let Some(ClientBy::ClientId(_) | ClientBy::Either(_)) = filter.client {
            // The existence of records would reveal whether there is a client with this id.
            caller.require(Permission::ViewClient)?;
        }
        if let Some(problem) = filter.too_wide() {
            return Ok(Err(problem));
        }
        let connection = self.db.read();
        let share = caller.rights.share(connection).await?;
        let (rows, bytes) = if asked.rows {
            let mut conditions = filter.conditions(connection.dialect, &caller.rights, share);
            let clauses = window.clauses(&NEWEST_FIRST, "a", &mut conditions);
            self.read(&clauses, conditions.values, asked.contents).await?
        } else {
            (Vec::new(), 0)
        };
        let total = match asked.total {
            true => {
                let conditions = filter.conditions(connection.dialect, &caller.rights, share);
                let rows = format!("audit_record a {}", conditions.clause());
                Some(Total::count(connection, &rows, conditions.values).await?)
            }
            false => None,
        };
        let page = window.page(rows);
        HistoryPage::of(&Rows { page, total, bytes }, &NEWEST_FIRST, &caller.rights).map(Ok)
    }

    /// Returns the same page of the records of each of these clients, by their keys. The caller must have read the
    /// clients: this checks no limit to branches or centres.
    pub async fn pages_of_clients(
        &self,
        client_keys: &[&str],
        window: &Window,
        asked: Requested,
    ) -> Result<HashMap<String, Unchecked<Rows>>> {
        let connection = self.db.read();
        let dialect = connection.dialect;
        let mut conditions = Conditions::new(dialect);
        let keys = conditions.bind(serde_json::to_string(client_keys).map_err(Error::internal)?);
        conditions.push("a.chain = c.encoded_key".to_owned());
        // The records of a client are on its node.
        let clients = format!("client c WHERE {}", dialect.is_one_of("c.encoded_key", &keys));
        let total = match asked.total {
            true => format!("({})", counting(&format!("audit_record a {}", conditions.clause()))),
            false => "NULL".to_owned(),
        };
        let mut bytes = NOTHING.to_owned();
        let rows = if asked.rows {
            let clauses = window.clauses(&BY_POSITION, "a", &mut conditions);
            if asked.contents {
                bytes = format!(
                    "(SELECT CAST(sum({}) AS BIGINT) FROM {clients})",
                    contents_size(&clauses)
                );
            }
            let row = row(dialect, asked.contents.then_some("s.bytes"));
            let collected = dialect.json_collect(&row, Some(&window.order_by(&BY_POSITION, "a")));
            let collected = dialect.cast_to_text(&collected);
            format!("(SELECT {collected} FROM (SELECT a.* FROM audit_record a {clauses}) a)")
        } else {
            "NULL".to_owned()
        };
        let sql = format!(
            "SELECT c.encoded_key, {rows}, {total}, s.bytes FROM (SELECT {bytes} AS bytes) s CROSS JOIN {clients}"
        );
        let page = |row: &QueryResult| {
            let (page, bytes) = of_client(row, window, asked)?;
            Ok(((row.try_get_by_index(0)?, Unchecked::new(page)), bytes))
        };
        let found = connection.each(sql, conditions.values, page).await?;
        Ok(found.into_iter().collect())
    }

    /// Returns the records of these keys; those that don't exist for a caller with these rights are left out.
    pub async fn by_key(&self, rights: &Rights, keys: &[RecordKey]) -> Result<HashMap<RecordKey, Unchecked<Stored>>> {
        let dialect = self.db.read().dialect;
        let named = dialect.rows_of_json(
            audit_record::Entity::table(),
            &audit_record::Entity::key_columns(),
            "$1",
        );
        let mut conditions = Conditions::new(dialect);
        conditions.bind(serde_json::to_string(keys).map_err(Error::internal)?);
        conditions.push(format!("(a.chain, a.position) IN ({named})"));
        limit(&mut conditions, rights, Share::Many);
        let (rows, bytes) = self.read(&conditions.clause(), conditions.values, true).await?;
        let keyed = |row: audit_record::Model| {
            let key = RecordKey {
                chain: row.chain.clone(),
                position: row.position,
            };
            (key, Unchecked::new((row, bytes)))
        };
        Ok(rows.into_iter().map(keyed).collect())
    }

    /// Reads contents only if requested, and the bytes of all contents read.
    pub(super) async fn read(
        &self,
        clauses: &str,
        values: Vec<Value>,
        contents: bool,
    ) -> Result<(Vec<audit_record::Model>, i64)> {
        let (records, bytes, reading) = self.read_for_now(clauses, values, contents).await?;
        reading.keep();
        Ok((records, bytes))
    }

    /// As [`read`](Self::read), but the memory stays reserved only until the returned [`Reading`] is dropped.
    pub(super) async fn read_for_now(
        &self,
        clauses: &str,
        values: Vec<Value>,
        contents: bool,
    ) -> Result<(Vec<audit_record::Model>, i64, Reading)> {
        let connection = self.db.read();
        let bytes = match contents {
            true => contents_size(clauses),
            false => NOTHING.to_owned(),
        };
        let row = row(connection.dialect, contents.then_some(&bytes));
        let row = connection.dialect.cast_to_text(&row);
        let sql = format!("SELECT {row}, {bytes} FROM audit_record a {clauses}");
        let rows = connection.each_for_now(sql, values, |row| {
            let (record, size) = decode_row(row)?;
            let bytes: Option<i64> = row.try_get_by_index(1)?;
            Ok(((record, bytes), size))
        });
        let (rows, reading) = rows.await?;
        let (records, bytes): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        Ok((records, bytes.first().copied().flatten().unwrap_or_default(), reading))
    }

    /// Returns when a user of this name was last removed. None if the audit log has no such removal.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without MANAGE_USERS.
    pub async fn user_removed_at(&self, caller: &Caller, name: &str) -> Result<Option<DateTime<Utc>>> {
        caller.require(Permission::ManageUsers)?;
        let read = self.db.read();
        let row = read.dialect.row::<audit_record::Entity>("a");
        let row = read.dialect.cast_to_text(&row);
        let (user, deleted) = (Subject::User.as_str(), Action::Deleted.as_str());
        let sql = format!(
            "SELECT {row} FROM audit_record a WHERE a.chain = $1 AND a.subject = '{user}' AND a.action = '{deleted}' \
             ORDER BY a.position DESC"
        );
        for row in read.all(sql, [Chain::Users.name().into()]).await? {
            let record = decode(&row)?;
            let contents = record.contents.as_deref().unwrap_or_default();
            // `audit verify` reports contents that can't be read.
            let members: Vec<Member> = serde_json::from_str(contents).unwrap_or_default();
            let mut names = members.iter().filter(|member| member.path == ["name"]);
            if names.any(|member| {
                member
                    .before
                    .as_ref()
                    .is_some_and(|before| before.eq_ignore_ascii_case(name))
            }) {
                return Ok(Some(record.recorded_at));
            }
        }
        Ok(None)
    }
}

/// Limits records to those about clients of a caller with these rights, and to those about no client. A deleted client
/// has no branch and no centre any more. Genesis records are left out, because they count all clients.
fn limit(conditions: &mut Conditions, rights: &Rights, share: Share) {
    if rights.are_limited() {
        rights.limit_owners(conditions, "a.chain", &Chain::SHARED.map(Chain::name), share);
        let subject = conditions.dialect.unindexed("a.subject");
        conditions.push(format!("{subject} <> '{}'", Subject::History.as_str()));
    }
}

/// The bytes of contents of the records that a statement reads, found without reading the contents.
fn contents_size(clauses: &str) -> String {
    format!("(SELECT CAST(sum({CONTENTS_SIZE}) AS BIGINT) FROM (SELECT a.contents FROM audit_record a {clauses}) a)")
}

/// A record as JSON. Contents are included only if the bytes of all contents are known and below the limit.
fn row(dialect: Dialect, bytes: Option<&str>) -> String {
    let contents = match bytes {
        Some(bytes) => format!("CASE WHEN {bytes} <= {LARGEST_CONTENTS} THEN a.contents END"),
        None => "NULL".to_owned(),
    };
    let columns = audit_record::Entity::columns().into_iter().map(|column| match column {
        "contents" => contents.clone(),
        column => format!("a.{column}"),
    });
    dialect.json_array(&columns.collect::<Vec<_>>().join(", "))
}

/// Decodes the page of one client's records, and its size in memory.
fn of_client(row: &QueryResult, window: &Window, asked: Requested) -> Result<(Rows, usize)> {
    let (page, size) = window.decode_page(row, 1)?;
    let total = Total::decode(row, 2, asked)?;
    let bytes: Option<i64> = row.try_get_by_index(3)?;
    let bytes = bytes.unwrap_or_default();
    Ok((Rows { page, total, bytes }, size_of::<Rows>() + size))
}

/// Decodes a record from the first column.
pub(super) fn decode(row: &QueryResult) -> Result<audit_record::Model> {
    Ok(decode_row(row)?.0)
}

/// Narrows a list of records. All members that are given must match.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    pub client: Option<ClientBy>,
    pub subject: Option<Subject>,
    pub subject_key: Option<String>,
    pub caller_kind: Option<CallerKind>,
    pub caller_id: Option<String>,
    pub action: Option<Action>,
    pub api: Option<Api>,
    pub at: Option<DateTimeRange>,
}

/// The condition that an index serves; the other conditions are checked on the rows found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lead {
    Chain,
    /// A few kinds of actions that are rare.
    Action,
    Caller,
    Time,
}

impl AuditFilter {
    pub(super) fn conditions(&self, dialect: Dialect, rights: &Rights, share: Share) -> Conditions {
        let Self {
            client,
            subject,
            subject_key,
            caller_kind,
            caller_id,
            action,
            api,
            at,
        } = self;
        let lead = self.lead();
        let mut conditions = Conditions::new(dialect);
        if let Some(by) = client {
            conditions.text(Some(by.name()), |name| format!("a.chain = {}", by.key(name)));
        }
        self.chain_of_subject(&mut conditions);
        let mut equal = |column: &str, text: Option<&str>| {
            if let Some(text) = text {
                let text = conditions.bind(text);
                conditions.push(format!("{} = {text}", dialect.unindexed(column)));
            }
        };
        equal("a.subject", subject.map(Subject::as_str));
        equal("a.caller_kind", caller_kind.map(CallerKind::as_str));
        equal("a.action", action.filter(|_| lead != Lead::Action).map(Action::as_str));
        equal("a.door", api.map(Api::as_str));
        conditions.text(subject_key.as_ref(), |key| {
            format!("{} = {key}", dialect.unindexed("a.subject_key"))
        });
        if let (Lead::Action, Some(action)) = (lead, action) {
            // Literal, not bound: the index has some values only, and the database must know that it applies.
            conditions.push(format!("a.action = '{}'", action.as_str()));
        }
        let column = |is_indexed: bool, column: &str| match is_indexed {
            true => column.to_owned(),
            false => dialect.unindexed(column),
        };
        let caller = column(lead == Lead::Caller, "a.caller_id");
        conditions.text(caller_id.as_ref(), |id| format!("{caller} = {id}"));
        conditions.range(&column(lead != Lead::Chain, "a.recorded_at"), *at);
        limit(&mut conditions, rights, share);
        conditions
    }

    /// Adds the chain of the subject's records.
    fn chain_of_subject(&self, conditions: &mut Conditions) {
        let [definitions, users] = Chain::SHARED.map(Chain::name);
        let shared = match self.subject {
            Some(Subject::Client) => {
                return conditions.text(self.subject_key.as_ref(), |key| format!("a.chain = {key}"));
            }
            Some(
                Subject::CustomFieldSet
                | Subject::ClientRole
                | Subject::IdDocumentTemplate
                | Subject::MessageTemplate
                | Subject::Suppression,
            ) => Chain::Definitions,
            Some(Subject::User | Subject::Token | Subject::Session) => Chain::Users,
            Some(Subject::History) => {
                return conditions.push(format!("a.chain IN ('{definitions}', '{users}')"));
            }
            None => {
                return conditions.text(self.subject_key.as_ref(), |key| {
                    format!("a.chain IN ({key}, '{definitions}', '{users}')")
                });
            }
        };
        conditions.push(format!("a.chain = '{}'", shared.name()));
    }

    fn lead(&self) -> Lead {
        let of_shared = self.subject.is_some_and(|subject| subject != Subject::Client);
        if self.client.is_some() || self.subject_key.is_some() || of_shared {
            Lead::Chain
        } else if self.action.is_some_and(is_rare) {
            Lead::Action
        } else if self.caller_id.is_some() {
            Lead::Caller
        } else {
            Lead::Time
        }
    }

    /// Returns a problem for a filter that could scan the whole audit log without a match. Most records are of clients;
    /// the shares of callers and APIs differ from bank to bank.
    pub(super) fn too_wide(&self) -> Option<Problem> {
        let is_scan = matches!(self.lead(), Lead::Caller | Lead::Time);
        let unindexed = self.action.is_some() || self.api.is_some() || self.caller_kind.is_some();
        let duration = |DateTimeRange { from, until }| Some(until?.0 - from?.0);
        let duration = self.at.and_then(duration);
        if !is_scan || !unindexed || duration.is_some_and(|duration| duration <= LONGEST_SCAN) {
            return None;
        }
        let message = format!(
            "action, door and callerKind have no index: also send `at` with `from` and `until`, at most {} days apart, \
             or a client, a subjectKey or a subject other than CLIENT. The actions DELETED and ERASED need nothing \
             else.",
            LONGEST_SCAN.num_days()
        );
        Some(Problem::new(ProblemCode::Invalid, path!["filter"], message))
    }
}

/// Must match the condition of the index.
fn is_rare(action: Action) -> bool {
    match action {
        Action::Deleted | Action::Erased => true,
        Action::Created | Action::Changed => false,
    }
}
