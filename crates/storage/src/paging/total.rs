//! Numbers of rows in lists. A count ends early, so that its cost does not grow with the table.

use sea_orm::{ConnectionTrait, Value};

use crate::db::Connection;
use clientele_core::{error::Result, text_enum};

/// The largest exact total. A count stops after one more row.
pub const COUNT_LIMIT: i64 = 10_000;

text_enum! {
    /// The precision of a total.
    CountPrecision {
        /// The list has exactly this number of entries.
        Exact = "EXACT",
        /// The list has more entries: the count ended at its limit of 10,000.
        AtLeast = "AT_LEAST",
    }
}

/// The number of rows in a list, exact up to [`COUNT_LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    pub count: i64,
    pub precision: CountPrecision,
}

impl Total {
    /// Converts the number that a [`counting`] statement returns.
    pub fn of(counted: i64) -> Self {
        Self {
            count: counted.min(COUNT_LIMIT),
            precision: match counted > COUNT_LIMIT {
                true => CountPrecision::AtLeast,
                false => CountPrecision::Exact,
            },
        }
    }

    /// Counts rows; `rows` is a statement from its table on, such as `client c WHERE …`.
    pub async fn count<C: ConnectionTrait>(
        connection: &Connection<C>,
        rows: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Self> {
        let row = connection.one(counting(rows), values).await?;
        Ok(Self::of(row.map_or(Ok(0), |row| row.try_get_by_index(0))?))
    }
}

/// The statement that counts rows up to the limit plus one.
pub fn counting(rows: &str) -> String {
    format!(
        "SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT {}) counted",
        COUNT_LIMIT + 1
    )
}
