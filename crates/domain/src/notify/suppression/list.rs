//! Lists the suppression list, newest first, and looks recipients up in it.

use std::collections::HashSet;

use async_graphql::InputObject;
use entity::{Table, instant, suppression};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use super::{Suppressions, require_all_clients};
use crate::{
    access::Listing,
    caller::{Caller, Permission},
    enums::{Channel, SuppressionReason},
    message_guard::Recipient,
};
use clientele_core::error::{Error, Result};
use clientele_storage::{
    db::Connection,
    paging::{Conditions, Cursor, Order, Requested, Total, Window},
};

/// The order of the list.
pub const NEWEST_FIRST: Order = Order {
    name: "suppression",
    columns: &["created_at", "encoded_key"],
    descending: true,
};

/// Limits the suppression list: all given fields must match.
#[derive(InputObject, Clone, Debug, Default)]
pub struct SuppressionFilter {
    /// Recipients on this channel.
    pub channel: Option<Channel>,
    /// This recipient, in any notation.
    pub recipient: Option<String>,
    /// Recipients that were added for this reason.
    pub reason: Option<SuppressionReason>,
}

impl Suppressions {
    /// Returns a page of the list. Rows and total take one statement each, if requested.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without VIEW_MESSAGES, [`Error::LimitedRights`] for a caller who is limited to branches or
    /// centres.
    pub async fn page(
        &self,
        caller: &Caller,
        filter: &SuppressionFilter,
        window: &Window,
        asked: Requested,
    ) -> Result<Listing<suppression::Model>> {
        caller.require(Permission::ViewMessages)?;
        require_all_clients(caller)?;
        let connection = self.db.read();
        let mut conditions = self.conditions(filter, Conditions::new(connection.dialect))?;
        let total = match asked.total {
            true => {
                let rows = format!("suppression s {}", conditions.clause());
                Some(Total::count(connection, &rows, conditions.values.clone()).await?)
            }
            false => None,
        };
        let rows = match asked.rows {
            true => {
                let clauses = window.clauses(&NEWEST_FIRST, "s", &mut conditions);
                self.rows(&clauses, conditions.values).await?
            }
            false => Vec::new(),
        };
        Ok(Listing {
            page: window.page(rows),
            total,
        })
    }

    /// Returns the entries with these keys, in no particular order; none for a caller who can't read the list.
    pub async fn by_keys(&self, caller: &Caller, keys: &[String]) -> Result<Vec<suppression::Model>> {
        if !caller.can(Permission::ViewMessages) || require_all_clients(caller).is_err() {
            return Ok(Vec::new());
        }
        let mut conditions = Conditions::new(self.db.read().dialect);
        let keys = conditions.bind(serde_json::to_string(keys).map_err(Error::internal)?);
        conditions.push(conditions.dialect.is_one_of("s.encoded_key", &keys));
        self.rows(&conditions.clause(), conditions.values).await
    }

    async fn rows(&self, clauses: &str, values: Vec<Value>) -> Result<Vec<suppression::Model>> {
        let columns = suppression::Entity::columns().join(", s.");
        let sql = format!("SELECT s.{columns} FROM suppression s {clauses}");
        let found = self.db.read().all(sql, values).await?;
        let rows = found.iter().map(|row| suppression::Model::from_query_result(row, ""));
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn conditions(&self, filter: &SuppressionFilter, mut conditions: Conditions) -> Result<Conditions> {
        let SuppressionFilter {
            channel,
            recipient,
            reason,
        } = filter;
        let dialect = conditions.dialect;
        if let Some(recipient) = recipient {
            let forms = match channel {
                Some(channel) => vec![*channel],
                None => Channel::ALL.to_vec(),
            };
            let forms = forms
                .into_iter()
                .map(|channel| self.recipients.normalise(channel, recipient));
            let forms: Vec<String> = forms.filter(|form| !form.contains('\0')).collect();
            let forms = conditions.bind(serde_json::to_string(&forms).map_err(Error::internal)?);
            // The index begins with the channel.
            conditions.push(dialect.is_one_of("s.recipient", &forms));
            if channel.is_none() {
                let all = Channel::ALL.map(|channel| format!("'{}'", channel.as_str())).join(", ");
                conditions.push(format!("s.channel IN ({all})"));
            }
        }
        if let Some(channel) = channel {
            let bound = conditions.bind(channel.as_str());
            let column = match recipient {
                Some(_) => "s.channel".to_owned(),
                None => dialect.unindexed("s.channel"),
            };
            conditions.push(format!("{column} = {bound}"));
        }
        if let Some(reason) = reason {
            let bound = conditions.bind(reason.as_str());
            conditions.push(format!("s.reason = {bound}"));
        }
        Ok(conditions)
    }
}

/// The cursor of an entry.
pub fn cursor(row: &suppression::Model) -> String {
    Cursor::of(vec![instant::to_text(&row.created_at), row.encoded_key.clone()]).encode(&NEWEST_FIRST)
}

/// Returns those of these recipients that are on the list. Takes one statement.
pub async fn listed<C: ConnectionTrait>(
    connection: &Connection<C>,
    recipients: &[Recipient],
) -> Result<HashSet<Recipient>> {
    let table = suppression::Entity::table();
    let rows = connection.dialect.rows_of_json(table, &["channel", "recipient"], "$1");
    let sql = format!(
        "SELECT s.channel, s.recipient FROM ({rows}) r JOIN {table} s \
         ON s.channel = r.channel AND s.recipient = r.recipient"
    );
    let recipients = serde_json::to_string(recipients).map_err(Error::internal)?;
    let mut listed = HashSet::new();
    for row in connection.all(sql, [recipients.into()]).await? {
        let (channel, recipient): (String, String) = row.try_get_many_by_index()?;
        if let Some(channel) = Channel::parse(&channel) {
            listed.insert(Recipient { channel, recipient });
        }
    }
    Ok(listed)
}
