//! Lists messages, newest first: all of them, those of many clients at once, and single ones by their keys.
//!
//! Each list takes one statement, whatever the data.

mod filter;

use std::{collections::HashMap, sync::Arc};

use entity::{Table, instant, message};
use sea_orm::{QueryResult, Value};
use serde::Serialize;

pub use self::filter::MessageFilter;
use super::Messages;
use crate::caller::{Caller, Permission, Restricted, Rights, Unchecked};
use clientele_core::error::{Error, Result};
use clientele_storage::paging::{Asked, Conditions, Cursor, Order, Page, Total, Window, counting};

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
        asked: Asked,
    ) -> Result<MessagePage> {
        caller.require(Permission::ViewMessages)?;
        let rows = if asked.rows {
            let mut conditions = filter.conditions(self.db.read().dialect);
            let clauses = window.clauses(&NEWEST_FIRST, "m", &mut conditions);
            self.read(&clauses, conditions.values).await?
        } else {
            Vec::new()
        };
        Ok(MessagePage {
            messages: window.page(rows),
            total: match asked.total {
                true => Some(self.count(filter).await?),
                false => None,
            },
        })
    }

    async fn count(&self, filter: &MessageFilter) -> Result<Total> {
        let connection = self.db.read();
        let conditions = filter.conditions(connection.dialect);
        let rows = format!("message m {}", conditions.clause());
        Total::count(connection, &rows, conditions.values).await
    }

    /// Returns the same page of the messages of each of these clients, by their keys.
    pub async fn pages_of_clients(
        &self,
        client_keys: &[&str],
        window: &Window,
        asked: Asked,
    ) -> Result<HashMap<String, Unchecked<Arc<MessagePage>>>> {
        let connection = self.db.read();
        let dialect = connection.dialect;
        let mut conditions = Conditions::new(dialect);
        let keys = conditions.bind(serde_json::to_string(client_keys).map_err(Error::internal)?);
        conditions.push("m.client_key = k.value".to_owned());
        let total = match asked.total {
            true => format!("({})", counting(&format!("message m {}", conditions.clause()))),
            false => "NULL".to_owned(),
        };
        let rows = if asked.rows {
            let clauses = window.clauses(&NEWEST_FIRST, "m", &mut conditions);
            let collected = dialect.json_collect(
                &dialect.row::<message::Entity>("m"),
                &window.order_by(&NEWEST_FIRST, "m"),
            );
            let collected = dialect.cast_to_text(&collected);
            format!("(SELECT {collected} FROM (SELECT m.* FROM message m {clauses}) m)")
        } else {
            "NULL".to_owned()
        };
        let sql = format!("SELECT k.value, {rows}, {total} FROM {}", dialect.texts(&keys, "k"));
        let found = connection.each(sql, conditions.values, |row| of_client(row, window, asked));
        let unchecked = |(key, page)| (key, Unchecked::new(Arc::new(page)));
        Ok(found.await?.into_iter().map(unchecked).collect())
    }

    /// Returns the messages of these keys; those that don't exist are left out.
    pub async fn by_key(&self, keys: &[MessageKey]) -> Result<HashMap<MessageKey, Unchecked<Arc<message::Model>>>> {
        let dialect = self.db.read().dialect;
        let named = dialect.rows_of_json(message::Entity::table(), &message::Entity::key_columns(), "$1");
        let keys = serde_json::to_string(keys).map_err(Error::internal)?;
        let clause = format!("WHERE (m.client_key, m.encoded_key) IN ({named})");
        let found = self.read(&clause, vec![keys.into()]).await?;
        let unchecked = |message| (MessageKey::of(&message), Unchecked::new(Arc::new(message)));
        Ok(found.into_iter().map(unchecked).collect())
    }

    async fn read(&self, clauses: &str, values: Vec<Value>) -> Result<Vec<message::Model>> {
        let connection = self.db.read();
        let row = connection.dialect.row::<message::Entity>("m");
        let row = connection.dialect.cast_to_text(&row);
        let sql = format!("SELECT {row} FROM message m {clauses}");
        connection.each(sql, values, counted).await
    }
}

/// Decodes a client's key with its page, and its size in memory.
fn of_client(row: &QueryResult, window: &Window, asked: Asked) -> Result<((String, MessagePage), usize)> {
    let rows: Option<String> = row.try_get_by_index(1)?;
    let mut bytes = size_of::<MessagePage>();
    let rows: Vec<message::Model> = match rows {
        Some(rows) => {
            bytes += rows.len();
            serde_json::from_str(&rows).map_err(Error::internal)?
        }
        None => Vec::new(),
    };
    bytes += rows.len() * size_of::<message::Model>();
    let page = MessagePage {
        messages: window.page(rows),
        total: match asked.total {
            true => Some(Total::of(row.try_get_by_index(2)?)),
            false => None,
        },
    };
    Ok(((row.try_get_by_index(0)?, page), bytes))
}

/// Decodes a message from the first column.
pub fn decode(row: &QueryResult) -> Result<message::Model> {
    Ok(counted(row)?.0)
}

/// Decodes a message, and its size in memory.
fn counted(row: &QueryResult) -> Result<(message::Model, usize)> {
    let row: String = row.try_get_by_index(0)?;
    let bytes = size_of::<message::Model>() + row.len();
    Ok((serde_json::from_str(&row).map_err(Error::internal)?, bytes))
}
