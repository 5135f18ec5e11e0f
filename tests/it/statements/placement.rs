//! The column that decides on the node of a table's rows in a cluster of Citus.

use migration::distribution::{DISTRIBUTED, LOCAL, REFERENCE};

/// The place of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the shard of a client, whose key is in this column.
    Client(&'static str),
    /// On the shard of the unique value in this column.
    Value(&'static str),
    /// On every node, or only on the coordinator.
    Anywhere,
}

/// The place of a table's rows; None for tables of the database's own catalog.
pub fn of(table: &str) -> Option<Place> {
    let [of_clients, of_values @ ..] = DISTRIBUTED;
    let column = |tables: &[(&str, &'static str)]| {
        let found = tables.iter().find(|(name, _)| *name == table);
        found.map(|(_, column)| *column)
    };
    if let Some(column) = column(of_clients) {
        return Some(Place::Client(column));
    }
    if let Some(column) = of_values.into_iter().find_map(column) {
        return Some(Place::Value(column));
    }
    (REFERENCE.contains(&table) || LOCAL.contains(&table)).then_some(Place::Anywhere)
}
