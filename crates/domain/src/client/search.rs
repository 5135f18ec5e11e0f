//! Lists clients: filters, stable orders, and pages by cursor (or by offset, for the legacy route).

pub mod constraint;
mod fill;
mod filter;
pub(crate) mod folding;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod other_table;
mod prefix;
mod ranked;
mod rows;
mod text;

use std::{collections::HashMap, sync::Arc};

use async_graphql::{Enum, InputObject};
use chrono::{DateTime, Utc};
use entity::instant;
use sea_orm::{ConnectionTrait, Value};

pub use fill::fill_search_rows;
pub use filter::{
    ClientFilter, CustomFieldCondition, CustomFieldFilter, DateRange, Exactly, MOST_FILTERS, MOST_LEVELS, NameFilter,
    NumberRange, ValueFilter,
};
pub use ranked::MOST_RANKED;
pub(crate) use rows::{SEARCHED, SearchRows};
pub use text::{LONGEST_SEARCH, MOST_WORDS};

use self::{
    constraint::{Compared, Constraint},
    other_table::IsCommon,
    ranked::BY_RANK,
    text::SearchText,
};
use super::{
    Clients,
    aggregate::{self, Aggregate, ClientParts},
};
use crate::{
    caller::{Caller, Permission},
    definitions::Definitions,
};
use clientele_core::{
    error::{Error, Result},
    fair_queue::QueueFull,
    flow::Flow,
    problem::Problem,
};
use clientele_storage::{
    db::{Connection, Dialect},
    paging::{Conditions, CountPrecision, Cursor, Order, Page, Range, Total, Window, counting},
};

/// The value that clients are sorted by. Clients with equal values are sorted by their keys.
#[derive(Enum, Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum ClientOrderField {
    /// The time at which the client was created.
    #[default]
    CreatedAt,
    /// The time at which the client was last changed.
    UpdatedAt,
    /// The last name, then the first name, by code point.
    Name,
}

/// The direction of an order.
#[derive(Enum, Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum OrderDirection {
    /// Smallest or earliest first.
    #[default]
    Asc,
    /// Largest or latest first.
    Desc,
}

/// The order of a list of clients.
#[derive(InputObject, Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientOrder {
    /// The value to sort by.
    #[graphql(default)]
    pub field: ClientOrderField,
    /// The direction of the order.
    #[graphql(default)]
    pub direction: OrderDirection,
}

/// The clients of a list and their order.
#[derive(Clone, Debug)]
pub enum Listing {
    /// All clients that pass the filter.
    All(ClientOrder),
    /// The clients among them that a search for this text finds, by rank.
    Found(String),
}

impl From<ClientOrder> for Listing {
    fn from(order: ClientOrder) -> Self {
        Self::All(order)
    }
}

/// The order of a page.
#[derive(Clone, Debug)]
enum PageOrder {
    By(ClientOrder),
    /// By rank in a search, with the rank of each client by its key.
    Ranked {
        search: String,
        ranks: HashMap<String, i32>,
    },
}

/// A page of clients.
#[derive(Clone, Debug)]
pub struct ClientPage {
    pub clients: Page<Aggregate>,
    /// The number of clients in the list, if requested.
    pub total: Option<Total>,
    pub definitions: Arc<Definitions>,
    order: PageOrder,
}

impl ClientPage {
    /// The cursor of a row of this page.
    pub fn cursor(&self, row: &Aggregate) -> String {
        let client = &row.client;
        let key = client.encoded_key.clone();
        let order = match &self.order {
            PageOrder::By(order) => *order,
            PageOrder::Ranked { search, ranks } => {
                let rank = ranks.get(&key).copied().unwrap_or_default();
                return Cursor::of(vec![rank.to_string(), key]).encode_of(&BY_RANK, search);
            }
        };
        let values = match order.field {
            ClientOrderField::CreatedAt => vec![instant::to_text(&client.created_at), key],
            ClientOrderField::UpdatedAt => vec![instant::to_text(&client.updated_at), key],
            ClientOrderField::Name => vec![client.last_name.clone(), client.first_name.clone(), key],
        };
        Cursor::of(values).encode(&order.into())
    }
}

impl Clients {
    /// Returns a page of the clients that pass `filter`: their rows, if `parts` is given, and their number, if `total`
    /// is true. Rows and total take one statement each, conditions on custom fields and roles at most one more, and
    /// those on values in other tables another one.
    ///
    /// # Errors
    /// The inner error is a cursor of another order or search, a filter or a search that is too large, a definition
    /// that doesn't exist, or a custom field whose values the caller may not see.
    pub async fn page(
        &self,
        caller: &Caller,
        filter: &ClientFilter,
        listing: impl Into<Listing>,
        range: &Range,
        parts: Option<ClientParts>,
        total: bool,
    ) -> Result<Result<ClientPage, Problem>> {
        caller.require(Permission::ViewClient)?;
        let (order, search) = match listing.into() {
            Listing::All(order) => (Order::from(order), Ok(order)),
            Listing::Found(text) => match SearchText::parse(&text) {
                Ok(search) => (BY_RANK, Err(search)),
                Err(problem) => return Ok(Err(problem)),
            },
        };
        // A rank means nothing in another search.
        let list = search.as_ref().err().map(SearchText::fingerprint);
        let window = match Window::of_list(range, &order, list.as_deref().unwrap_or_default()) {
            Ok(window) => window,
            Err(problem) => return Ok(Err(problem)),
        };
        let counts_rows = total && search.is_ok();
        let (conditions, counted) = match self.conditions(caller, filter, counts_rows).await? {
            Ok(found) => found,
            Err(problem) => return Ok(Err(problem)),
        };
        let order = match search {
            Ok(order) => order,
            Err(search) => {
                return self
                    .found(caller, &search, conditions, &window, parts, total)
                    .await
                    .map(Ok);
            }
        };
        let (rows, definitions) = match parts {
            Some(parts) => self.rows(caller, conditions.clone(), &window, order, parts).await?,
            None => (Vec::new(), self.definitions.latest_known().await?),
        };
        let total = match (total, counted) {
            (false, _) => None,
            (true, Some(counted)) => Some(counted),
            (true, None) => {
                let rows = format!("client c {}", conditions.clause());
                Some(Total::count(self.db.read(), &rows, conditions.values).await?)
            }
        };
        Ok(Ok(ClientPage {
            clients: window.page(rows),
            total,
            definitions,
            order: PageOrder::By(order),
        }))
    }

    /// Returns a page of the clients that a search finds and for which the conditions hold.
    async fn found(
        &self,
        caller: &Caller,
        search: &SearchText,
        conditions: Conditions,
        window: &Window,
        parts: Option<ClientParts>,
        total: bool,
    ) -> Result<ClientPage> {
        let (mut rows, definitions) = match parts {
            Some(parts) => {
                let mut conditions = conditions.clone();
                let select = aggregate::select_ranked(self.db.read().record_form(), parts);
                let sql = ranked::page(search, window, select, &mut conditions);
                self.read_ranked(sql, conditions.values).await?
            }
            None => (Vec::new(), self.definitions.latest_known().await?),
        };
        for (row, _) in &mut rows {
            row.hide_values(&caller.rights, &definitions);
        }
        let total = match total {
            false => None,
            true => {
                let mut conditions = conditions;
                let sql = ranked::count(search, &mut conditions);
                let row = self.db.read().one(sql, conditions.values).await?;
                let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
                Some(Total {
                    count: count.min(MOST_RANKED),
                    precision: match count > MOST_RANKED {
                        true => CountPrecision::AtLeast,
                        false => CountPrecision::Exact,
                    },
                })
            }
        };
        let ranks = rows
            .iter()
            .map(|(row, rank)| (row.client.encoded_key.clone(), *rank))
            .collect();
        Ok(ClientPage {
            clients: window.page(rows.into_iter().map(|(row, _)| row).collect()),
            total,
            definitions,
            order: PageOrder::Ranked {
                search: search.fingerprint(),
                ranks,
            },
        })
    }

    /// Returns a page of the clients for which all constraints hold, in the order of creation. At most one search at a
    /// time examines clients one by one.
    ///
    /// # Errors
    /// [`Error::Busy`] if too many searches wait to do so. The inner error is every problem of the constraints.
    pub async fn search(
        &self,
        caller: &Caller,
        constraints: &[Constraint],
        range: &Range,
        parts: ClientParts,
        now: DateTime<Utc>,
    ) -> Result<Result<ClientPage, Vec<Problem>>> {
        caller.require(Permission::ViewClient)?;
        let order = ClientOrder::default();
        let window = match Window::of(range, &order.into()) {
            Ok(window) => window,
            Err(problem) => return Ok(Err(vec![problem])),
        };
        // Only a custom field needs the definitions before the clients are read.
        let is_custom = |constraint: &Constraint| matches!(constraint.compared, Compared::CustomField(_));
        let known = match constraints.iter().any(is_custom) {
            true => self.definitions.current().await?,
            false => self.definitions.latest_known().await?,
        };
        let connection = self.db.read();
        let search = match constraint::search(constraints, &known, &caller.rights, now.date_naive()) {
            Ok(search) => search,
            Err(problems) => return Ok(Err(problems)),
        };
        let mut others = Vec::new();
        let mut conditions = search.conditions(connection.dialect, &mut |rows| {
            others.push(rows.rows());
            false
        });
        let mut is_common = false;
        if connection.dialect == Dialect::Sqlite && !search.is_decided && !others.is_empty() {
            let counted = count_each(connection, &others, conditions.values).await?;
            is_common = counted.iter().any(is_beyond_counting);
            let mut counted = counted.iter();
            conditions = search.conditions(connection.dialect, &mut |_| {
                counted.next().is_some_and(is_beyond_counting)
            });
        }
        let _permit = match search.is_scan || is_common {
            true => {
                let permit = self.scans.acquire(caller.flow().unwrap_or(Flow::Internal)).await;
                Some(permit.map_err(|QueueFull| Error::Busy)?)
            }
            false => None,
        };
        let share = caller.rights.share(connection).await?;
        caller.rights.limit(&mut conditions, share);
        let (rows, definitions) = self.rows(caller, conditions, &window, order, parts).await?;
        Ok(Ok(ClientPage {
            clients: window.page(rows),
            total: None,
            definitions,
            order: PageOrder::By(order),
        }))
    }

    /// Reads the clients of a window, without values that the caller may not see.
    async fn rows(
        &self,
        caller: &Caller,
        mut conditions: Conditions,
        window: &Window,
        order: ClientOrder,
        parts: ClientParts,
    ) -> Result<(Vec<Aggregate>, Arc<Definitions>)> {
        let clauses = window.clauses(&order.into(), "c", &mut conditions);
        let sql = format!("{} {clauses}", aggregate::select(self.db.read().record_form(), parts));
        let (mut rows, definitions) = self.read(sql, conditions.values).await?;
        for row in &mut rows {
            row.hide_values(&caller.rights, &definitions);
        }
        Ok((rows, definitions))
    }

    /// Returns the conditions of a filter, and the number of clients for which they hold if it is already known. Rows
    /// of other tables are counted only if their number decides the search or is the `total` itself.
    async fn conditions(
        &self,
        caller: &Caller,
        filter: &ClientFilter,
        total: bool,
    ) -> Result<Result<(Conditions, Option<Total>), Problem>> {
        let connection = self.db.read();
        if let Some(problem) = filter.too_large() {
            return Ok(Err(problem));
        }
        // Only custom fields and roles need the definitions before the clients are read.
        let definitions = match filter.needs_definitions() {
            true => Some(self.definitions.current().await?),
            false => None,
        };
        let definitions = definitions.as_deref();
        let problem = definitions.and_then(|definitions| filter.problem(&caller.rights, definitions));
        if let Some(problem) = problem {
            return Ok(Err(problem));
        }
        let dialect = connection.dialect;
        let share = caller.rights.share(connection).await?;
        let limited = |is_common: &mut IsCommon<'_>| {
            let mut conditions = filter.conditions(dialect, definitions, is_common);
            caller.rights.limit(&mut conditions, share);
            conditions
        };
        let (mut others, mut is_one_each) = (Vec::new(), true);
        let conditions = limited(&mut |rows| {
            others.push(rows.rows());
            is_one_each &= rows.is_one_each;
            false
        });
        let is_total = total && conditions.is_single() && is_one_each;
        if others.is_empty() || !(is_total || dialect == Dialect::Sqlite) {
            return Ok(Ok((conditions, None)));
        }
        let counted = count_each(connection, &others, conditions.values).await?;
        let total = counted.first().copied().filter(|_| is_total);
        let mut counted = counted.iter();
        let conditions = limited(&mut |_| counted.next().is_some_and(is_beyond_counting));
        Ok(Ok((conditions, total)))
    }
}

/// Counts several kinds of rows by one statement; each is one from its table on.
async fn count_each<C: ConnectionTrait>(
    connection: &Connection<C>,
    rows: &[String],
    values: Vec<Value>,
) -> Result<Vec<Total>> {
    let counts: Vec<String> = rows.iter().map(|rows| format!("({})", counting(rows))).collect();
    let row = connection.one(format!("SELECT {}", counts.join(", ")), values).await?;
    let row = row.ok_or_else(|| Error::defect("a statement of counts has no row"))?;
    let counts = (0..rows.len()).map(|column| Ok(Total::of(row.try_get_by_index(column)?)));
    counts.collect()
}

fn is_beyond_counting(total: &Total) -> bool {
    total.precision == CountPrecision::AtLeast
}

impl From<ClientOrder> for Order {
    fn from(order: ClientOrder) -> Self {
        let (name, columns): (_, &[_]) = match order.field {
            ClientOrderField::CreatedAt => ("created", &["created_at", "encoded_key"]),
            ClientOrderField::UpdatedAt => ("updated", &["updated_at", "encoded_key"]),
            ClientOrderField::Name => ("name", &["last_name", "first_name", "encoded_key"]),
        };
        Self {
            name,
            columns,
            descending: order.direction == OrderDirection::Desc,
        }
    }
}
