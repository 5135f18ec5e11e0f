//! Lists messages, newest first: all of them, those of many clients at once, and single ones by their keys.
//!
//! Each list takes one statement, whatever the data.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use entity::{Table, instant, message};
use sea_orm::{FromQueryResult, QueryResult, Value};
use serde::Serialize;

use super::Messages;
use crate::{
    caller::{Caller, Permission, Restricted, Rights, Share, Unchecked},
    client_by::ClientBy,
    enums::{Channel, MessageState, Reason},
};
use clientele_core::error::{Error, Result};
use clientele_storage::{
    db::{Dialect, Transaction},
    paging::{Conditions, Cursor, DateTimeRange, Order, Page, Requested, Total, Window, counting, decode_row},
};

/// The order of every list of messages.
pub const NEWEST_FIRST: Order = Order {
    name: "message",
    columns: &["created_at", "encoded_key"],
    descending: true,
};

/// Identifies a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct MessageKey {
    pub client_key: String,
    pub encoded_key: String,
}

impl MessageKey {
    pub fn of(message: &message::Model) -> Self {
        Self {
            client_key: message.client_key.clone(),
            encoded_key: message.encoded_key.clone(),
        }
    }
}

/// A page of a list of messages. Rows or total are absent if not requested.
#[derive(Clone, Debug, PartialEq)]
pub struct MessagePage {
    pub messages: Page<message::Model>,
    pub total: Option<Total>,
}

impl Restricted for Arc<MessagePage> {
    const PERMISSION: Permission = Permission::ViewMessages;
    type View = Self;

    fn view(&self, _: &Rights) -> Result<Self> {
        Ok(self.clone())
    }
}

impl Restricted for Arc<message::Model> {
    const PERMISSION: Permission = Permission::ViewMessages;
    type View = Self;

    fn view(&self, _: &Rights) -> Result<Self> {
        Ok(self.clone())
    }
}

impl MessagePage {
    /// The cursor of a message in any list.
    pub fn cursor(message: &message::Model) -> String {
        Cursor::of(vec![instant::to_text(&message.created_at), message.encoded_key.clone()]).encode(&NEWEST_FIRST)
    }
}

impl Messages {
    /// Returns a page of the messages that pass `filter`. Rows and total take one statement each, if requested.
    pub async fn page(
        &self,
        caller: &Caller,
        filter: &MessageFilter,
        window: &Window,
        asked: Requested,
    ) -> Result<MessagePage> {
        caller.require(Permission::ViewMessages)?;
        let connection = self.db.read();
        let share = caller.rights.share(connection).await?;
        let rows = if asked.rows {
            let mut conditions = filter.conditions(connection.dialect, &caller.rights, share);
            let clauses = window.clauses(&NEWEST_FIRST, "m", &mut conditions);
            self.read(&clauses, conditions.values).await?
        } else {
            Vec::new()
        };
        let total = match asked.total {
            true => {
                let conditions = filter.conditions(connection.dialect, &caller.rights, share);
                let rows = format!("message m {}", conditions.clause());
                Some(Total::count(connection, &rows, conditions.values).await?)
            }
            false => None,
        };
        let messages = window.page(rows);
        Ok(MessagePage { messages, total })
    }

    /// Returns the same page of the messages of each of these clients, by their keys. The caller must have read the
    /// clients: this checks no limit to branches or centres.
    pub async fn pages_of_clients(
        &self,
        client_keys: &[&str],
        window: &Window,
        asked: Requested,
    ) -> Result<HashMap<String, Unchecked<Arc<MessagePage>>>> {
        let connection = self.db.read();
        let dialect = connection.dialect;
        let mut conditions = Conditions::new(dialect);
        let keys = conditions.bind(serde_json::to_string(client_keys).map_err(Error::internal)?);
        conditions.push("m.client_key = c.encoded_key".to_owned());
        let total = match asked.total {
            true => format!("({})", counting(&format!("message m {}", conditions.clause()))),
            false => "NULL".to_owned(),
        };
        let rows = if asked.rows {
            let clauses = window.clauses(&NEWEST_FIRST, "m", &mut conditions);
            let collected = dialect.json_collect(
                &dialect.row::<message::Entity>("m"),
                Some(&window.order_by(&NEWEST_FIRST, "m")),
            );
            let collected = dialect.cast_to_text(&collected);
            format!("(SELECT {collected} FROM (SELECT m.* FROM message m {clauses}) m)")
        } else {
            "NULL".to_owned()
        };
        // The rows of a client are on its node.
        let which = dialect.is_one_of("c.encoded_key", &keys);
        let sql = format!("SELECT c.encoded_key, {rows}, {total} FROM client c WHERE {which}");
        let found = connection.each(sql, conditions.values, |row| of_client(row, window, asked));
        let unchecked = |(key, page)| (key, Unchecked::new(Arc::new(page)));
        Ok(found.await?.into_iter().map(unchecked).collect())
    }

    /// Returns the messages of these keys; those that don't exist for a caller with these rights are left out.
    pub async fn by_key(
        &self,
        rights: &Rights,
        keys: &[MessageKey],
    ) -> Result<HashMap<MessageKey, Unchecked<Arc<message::Model>>>> {
        let mut conditions = Conditions::new(self.db.read().dialect);
        conditions.bind(serde_json::to_string(keys).map_err(Error::internal)?);
        conditions.push(format!(
            "(m.client_key, m.encoded_key) IN ({})",
            keys_in_json(conditions.dialect)
        ));
        limit(&mut conditions, rights, Share::Many);
        let found = self.read(&conditions.clause(), conditions.values).await?;
        let unchecked = |message| (MessageKey::of(&message), Unchecked::new(Arc::new(message)));
        Ok(found.into_iter().map(unchecked).collect())
    }

    async fn read(&self, clauses: &str, values: Vec<Value>) -> Result<Vec<message::Model>> {
        let connection = self.db.read();
        let row = connection.dialect.row::<message::Entity>("m");
        let row = connection.dialect.cast_to_text(&row);
        let sql = format!("SELECT {row} FROM message m {clauses}");
        connection.each(sql, values, decode_row).await
    }
}

/// Limits messages to those of the clients of a caller with these rights.
pub(super) fn limit(conditions: &mut Conditions, rights: &Rights, share: Share) {
    rights.limit_owners(conditions, "m.client_key", &[], share);
}

/// Locks the messages with these keys until the transaction ends, and returns those of the clients of these rights.
pub(super) async fn lock(
    keys: &str,
    rights: &Rights,
    transaction: &Transaction,
) -> Result<HashMap<MessageKey, message::Model>> {
    let dialect = transaction.dialect;
    let mut conditions = Conditions::new(dialect);
    conditions.bind(keys);
    conditions.push(format!("(m.client_key, m.encoded_key) IN ({})", keys_in_json(dialect)));
    limit(&mut conditions, rights, Share::Many);
    let which = conditions.clause();
    let keys = format!("SELECT m.client_key, m.encoded_key FROM message m {which}");
    let locked = transaction.lock_each::<message::Entity>(keys, conditions.values.clone(), "UPDATE");
    locked.await?;
    let sql = format!(
        "SELECT {} FROM message m {which} {}",
        row("m", dialect),
        transaction.locking("ORDER BY m.client_key, m.encoded_key FOR UPDATE OF m")
    );
    by_message_key(&transaction.all(sql, conditions.values).await?)
}

/// A message as a column, for [`decode`].
pub(super) fn row(alias: &str, dialect: Dialect) -> String {
    dialect.cast_to_text(&dialect.row::<message::Entity>(alias))
}

pub(super) fn by_message_key(rows: &[QueryResult]) -> Result<HashMap<MessageKey, message::Model>> {
    let message = |row| decode(row).map(|message| (MessageKey::of(&message), message));
    rows.iter().map(message).collect()
}

/// The keys as a JSON array to bind, for [`keys_in_json`].
pub(super) fn key_pairs<'a>(keys: impl Iterator<Item = &'a MessageKey>) -> Result<String> {
    serde_json::to_string(&keys.collect::<Vec<_>>()).map_err(Error::internal)
}

/// Selects the keys in the JSON array that is bound to `$1`.
pub(super) fn keys_in_json(dialect: Dialect) -> String {
    dialect.rows_of_json(message::Entity::table(), &message::Entity::key_columns(), "$1")
}

/// Decodes a client's key with its page, and its size in memory.
fn of_client(row: &QueryResult, window: &Window, asked: Requested) -> Result<((String, MessagePage), usize)> {
    let (messages, bytes) = window.decode_page(row, 1)?;
    let total = Total::decode(row, 2, asked)?;
    let page = MessagePage { messages, total };
    Ok(((row.try_get_by_index(0)?, page), size_of::<MessagePage>() + bytes))
}

/// Decodes a message from its columns. What a change returns can't be JSON on a distributed database.
pub fn decode_columns(row: &QueryResult) -> Result<message::Model> {
    Ok(message::Model::from_query_result(row, "")?)
}

/// Decodes a message from the first column.
pub fn decode(row: &QueryResult) -> Result<message::Model> {
    Ok(decode_row(row)?.0)
}

/// Narrows a list of messages. All members that are given must match.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    pub client: Option<ClientBy>,
    pub states: Option<Vec<MessageState>>,
    pub reasons: Option<Vec<Reason>>,
    pub channel: Option<Channel>,
    /// The id of the template, which may have been deleted since.
    pub template_id: Option<String>,
    pub created_at: Option<DateTimeRange>,
}

impl MessageFilter {
    pub(super) fn conditions(&self, dialect: Dialect, rights: &Rights, share: Share) -> Conditions {
        let Self {
            client,
            states,
            reasons,
            channel,
            template_id,
            created_at,
        } = self;
        // One index serves the first of these conditions; the others are checked on the rows found. Nearly all messages
        // have been sent or delivered, so that the index on states helps only with the other states.
        let by_client = client.is_some();
        let by_state = !by_client
            && states.as_ref().is_some_and(|states| {
                !states.contains(&MessageState::Sent) && !states.contains(&MessageState::Delivered)
            });
        let by_template = !by_client && !by_state;
        let column = |is_indexed: bool, column: &str| match is_indexed {
            true => column.to_owned(),
            false => dialect.unindexed(column),
        };
        let mut conditions = Conditions::new(dialect);
        if let Some(by) = client {
            conditions.text(Some(by.name()), |name| format!("m.client_key = {}", by.key(name)));
        }
        let state = column(by_state, "m.state");
        if let Some(term) = states.as_deref().and_then(|states| one_of(states, &state)) {
            conditions.push(term);
        }
        if let Some(reasons) = reasons {
            let reasons: BTreeSet<&str> = reasons.iter().map(|reason| reason.as_str()).collect();
            let reasons = conditions.bind(serde_json::to_string(&reasons).unwrap_or_default());
            conditions.push(dialect.is_one_of("m.reason", &reasons));
        }
        if let Some(channel) = channel {
            let channel = conditions.bind(channel.as_str());
            conditions.push(format!("{} = {channel}", dialect.unindexed("m.channel")));
        }
        conditions.text(template_id.as_ref(), |id| {
            format!("{} = {id}", column(by_template, "m.template_id"))
        });
        conditions.range("m.created_at", *created_at);
        limit(&mut conditions, rights, share);
        conditions
    }
}

/// Returns the condition of these states; none if it always holds. States are literals: the database plans by their
/// frequency, and there are few different statements.
fn one_of(states: &[MessageState], column: &str) -> Option<String> {
    let requested = MessageState::ALL.into_iter().filter(|state| states.contains(state));
    let requested: Vec<String> = requested.map(|state| format!("'{}'", state.as_str())).collect();
    match requested.as_slice() {
        [] => Some("FALSE".to_owned()),
        [state] => Some(format!("{column} = {state}")),
        all if all.len() == MessageState::ALL.len() => None,
        several => Some(format!("{column} IN ({})", several.join(", "))),
    }
}
