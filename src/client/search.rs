//! Lists of clients: filters, stable orders, and pages by cursor (or by offset, for the legacy route).

mod filter;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

use std::sync::Arc;

use async_graphql::{Enum, InputObject};
use entity::instant;

pub use filter::{ClientFilter, CustomFieldFilter, Exactly};

use super::aggregate::{self, Aggregate, Wanted};
use crate::{
    Clientele,
    access::{Caller, Permission},
    custom_field::Definitions,
    error::Result,
    list::{COUNT_LIMIT, Conditions, CountPrecision, Cursor, Order, Page, Range, Total, Window},
    problem::Problem,
};

/// What clients are sorted by. Clients that are equal in it come in the order of their keys.
#[derive(Enum, Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum ClientOrderField {
    /// When the client was created.
    #[default]
    CreatedAt,
    /// When the client was last changed.
    UpdatedAt,
    /// The last name, then the first name, by code point.
    Name,
}

/// Which end comes first.
#[derive(Enum, Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum OrderDirection {
    /// Smallest, or earliest, first.
    #[default]
    Asc,
    /// Largest, or latest, first.
    Desc,
}

/// How a list of clients is sorted.
#[derive(InputObject, Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientOrder {
    /// What to sort by.
    #[graphql(default)]
    pub field: ClientOrderField,
    /// Which end comes first.
    #[graphql(default)]
    pub direction: OrderDirection,
}

/// A page of clients.
#[derive(Clone, Debug)]
pub struct ClientPage {
    pub clients: Page<Aggregate>,
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

impl Clientele {
    /// A page of the clients that pass `filter`. One statement, or two with a condition on a custom field.
    ///
    /// # Errors
    /// As the inner error: a cursor that isn't one of this order, or a custom field that doesn't exist or whose values the
    /// caller may not see.
    pub async fn clients(
        &self,
        caller: &Caller,
        filter: &ClientFilter,
        order: ClientOrder,
        range: &Range,
        wanted: Wanted,
    ) -> Result<Result<ClientPage, Problem>> {
        caller.needs(Permission::ViewClient)?;
        let mut conditions = match self.conditions(caller, filter).await? {
            Ok((conditions, _)) => conditions,
            Err(problem) => return Ok(Err(problem)),
        };
        let window = match Window::of(range, &order.into()) {
            Ok(window) => window,
            Err(problem) => return Ok(Err(problem)),
        };
        let clauses = window.clauses(&order.into(), "c", &mut conditions);
        let sql = format!("{} {clauses}", aggregate::select(conditions.dialect, wanted));
        let mut found = self.clients_of(sql, conditions.values).await?;
        for row in &mut found.rows {
            row.hide_values(&caller.rights, &found.definitions);
        }
        Ok(Ok(ClientPage {
            clients: window.page(found.rows),
            definitions: found.definitions,
            order,
        }))
    }

    /// A page of no clients, for a caller that only counts. Its cursors are checked as those of any other page.
    pub async fn no_clients(
        &self,
        caller: &Caller,
        order: ClientOrder,
        range: &Range,
    ) -> Result<Result<ClientPage, Problem>> {
        caller.needs(Permission::ViewClient)?;
        let window = match Window::of(range, &order.into()) {
            Ok(window) => window,
            Err(problem) => return Ok(Err(problem)),
        };
        Ok(Ok(ClientPage {
            clients: window.page(Vec::new()),
            definitions: self.definitions.latest_known(self.db.read()).await?,
            order,
        }))
    }

    /// The number of clients that pass `filter`.
    pub async fn count_clients(&self, caller: &Caller, filter: &ClientFilter) -> Result<Result<Total, Problem>> {
        caller.needs(Permission::ViewClient)?;
        let (conditions, is_common) = match self.conditions(caller, filter).await? {
            Ok(found) => found,
            Err(problem) => return Ok(Err(problem)),
        };
        if is_common && conditions.is_single() {
            // A client has one value for a field.
            return Ok(Ok(Total::of(COUNT_LIMIT + 1)));
        }
        let rows = format!("client c {}", conditions.clause());
        Total::count(self.db.read(), &rows, conditions.values).await.map(Ok)
    }

    /// The conditions of a filter. The flag says that more clients have the value of its custom field than a count
    /// looks at.
    async fn conditions(&self, caller: &Caller, filter: &ClientFilter) -> Result<Result<(Conditions, bool), Problem>> {
        let connection = self.db.read();
        // Only a filter by a custom field needs the definitions before the clients are read.
        let definitions = match filter.custom_field {
            Some(_) => Some(self.definitions.current(connection).await?),
            None => None,
        };
        let problem = definitions
            .as_deref()
            .and_then(|definitions| filter.forbidden(&caller.rights, definitions));
        if let Some(problem) = problem {
            return Ok(Err(problem));
        }
        let values = definitions
            .as_deref()
            .and_then(|definitions| filter.custom_values(connection.dialect, definitions));
        let is_common = match values {
            Some((rows, values)) => Total::count(connection, &rows, values).await?.precision == CountPrecision::AtLeast,
            None => false,
        };
        let conditions = filter.conditions(connection.dialect, definitions.as_deref(), is_common);
        Ok(conditions.map(|conditions| (conditions, is_common)))
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
