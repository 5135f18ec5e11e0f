//! Lists clients: filters, stable orders, and pages by cursor (or by offset, for the legacy route).

pub mod constraint;
mod fill;
mod filter;
pub(crate) mod folding;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod rows;

use std::sync::Arc;

use async_graphql::{Enum, InputObject};
use chrono::{DateTime, Utc};
use entity::instant;

pub use fill::fill_search_rows;
pub use filter::{ClientFilter, CustomFieldFilter, Exactly};
pub(crate) use rows::{SEARCHED, SearchRows};

use self::constraint::{Compared, Constraint};
use super::{
    Clients,
    aggregate::{self, Aggregate, ClientParts},
};
use crate::{
    caller::{Caller, Permission},
    definitions::Definitions,
};
use clientele_core::{error::Result, flow::Flow, problem::Problem};
use clientele_storage::{
    db::Dialect,
    paging::{Conditions, CountPrecision, Cursor, Order, Page, Range, Total, Window},
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

/// A page of clients.
#[derive(Clone, Debug)]
pub struct ClientPage {
    pub clients: Page<Aggregate>,
    /// The number of clients in the list, if requested.
    pub total: Option<Total>,
    pub definitions: Arc<Definitions>,
    order: ClientOrder,
}

impl ClientPage {
    /// The cursor of a row of this page.
    pub fn cursor(&self, row: &Aggregate) -> String {
        let client = &row.client;
        let key = client.encoded_key.clone();
        let values = match self.order.field {
            ClientOrderField::CreatedAt => vec![instant::to_text(&client.created_at), key],
            ClientOrderField::UpdatedAt => vec![instant::to_text(&client.updated_at), key],
            ClientOrderField::Name => vec![client.last_name.clone(), client.first_name.clone(), key],
        };
        Cursor::of(values).encode(&self.order.into())
    }
}

impl Clients {
    /// Returns a page of the clients that pass `filter`: their rows, if `parts` is given, and their number, if `total`
    /// is true. Rows and total take one statement each, a condition on a custom field at most one more.
    ///
    /// # Errors
    /// The inner error is a cursor of another order, or a custom field that doesn't exist or whose values the caller
    /// may not see.
    pub async fn page(
        &self,
        caller: &Caller,
        filter: &ClientFilter,
        order: ClientOrder,
        range: &Range,
        parts: Option<ClientParts>,
        total: bool,
    ) -> Result<Result<ClientPage, Problem>> {
        caller.require(Permission::ViewClient)?;
        let window = match Window::of(range, &order.into()) {
            Ok(window) => window,
            Err(problem) => return Ok(Err(problem)),
        };
        let (conditions, same_value) = match self.conditions(caller, filter, total).await? {
            Ok(found) => found,
            Err(problem) => return Ok(Err(problem)),
        };
        let (rows, definitions) = match parts {
            Some(parts) => self.rows(caller, conditions.clone(), &window, order, parts).await?,
            None => (Vec::new(), self.definitions.latest_known().await?),
        };
        let total = match (total, same_value) {
            (false, _) => None,
            // A client has one value for a field.
            (true, Some(counted)) if conditions.is_single() => Some(counted),
            (true, _) => {
                let rows = format!("client c {}", conditions.clause());
                Some(Total::count(self.db.read(), &rows, conditions.values).await?)
            }
        };
        Ok(Ok(ClientPage {
            clients: window.page(rows),
            total,
            definitions,
            order,
        }))
    }

    /// Returns a page of the clients for which all constraints hold, in the order of creation. At most one search at a
    /// time examines clients one by one.
    ///
    /// # Errors
    /// The inner error is every problem of the constraints.
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
        let dialect = self.db.read().dialect;
        let search = constraint::search(constraints, dialect, &known, &caller.rights, now.date_naive());
        let mut search = match search {
            Ok(search) => search,
            Err(problems) => return Ok(Err(problems)),
        };
        let share = caller.rights.share(self.db.read()).await?;
        caller.rights.limit(&mut search.conditions, share);
        let _permit = match search.is_scan {
            true => {
                let flow = Flow::Caller(caller.kind.as_str(), caller.id.clone());
                self.scans.acquire(flow).await.ok()
            }
            false => None,
        };
        let (rows, definitions) = self.rows(caller, search.conditions, &window, order, parts).await?;
        Ok(Ok(ClientPage {
            clients: window.page(rows),
            total: None,
            definitions,
            order,
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
        let sql = format!("{} {clauses}", aggregate::select(conditions.dialect, parts));
        let (mut rows, definitions) = self.read(sql, conditions.values).await?;
        for row in &mut rows {
            row.hide_values(&caller.rights, &definitions);
        }
        Ok((rows, definitions))
    }

    /// Returns the conditions of a filter, with the number of clients that have the value of its custom field. They are
    /// counted only if the number decides the search or is the `total` itself.
    async fn conditions(
        &self,
        caller: &Caller,
        filter: &ClientFilter,
        total: bool,
    ) -> Result<Result<(Conditions, Option<Total>), Problem>> {
        let connection = self.db.read();
        // Only a filter by a custom field needs the definitions before the clients are read.
        let definitions = match filter.custom_field {
            Some(_) => Some(self.definitions.current().await?),
            None => None,
        };
        let definitions = definitions.as_deref();
        let problem = definitions.and_then(|definitions| filter.forbidden(&caller.rights, definitions));
        if let Some(problem) = problem {
            return Ok(Err(problem));
        }
        let dialect = connection.dialect;
        let share = caller.rights.share(connection).await?;
        let limited = |is_common| {
            let mut conditions = filter.conditions(dialect, definitions, is_common)?;
            caller.rights.limit(&mut conditions, share);
            Ok(conditions)
        };
        let conditions = match limited(false) {
            Ok(conditions) => conditions,
            Err(problem) => return Ok(Err(problem)),
        };
        let values = definitions.and_then(|definitions| filter.custom_values(dialect, definitions));
        let same_value = match values {
            Some((rows, values)) if dialect == Dialect::Sqlite || (total && conditions.is_single()) => {
                Some(Total::count(connection, &rows, values).await?)
            }
            _ => None,
        };
        if same_value.is_some_and(|counted| counted.precision == CountPrecision::AtLeast) {
            return Ok(limited(true).map(|conditions| (conditions, same_value)));
        }
        Ok(Ok((conditions, same_value)))
    }
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
