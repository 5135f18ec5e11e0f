//! The SQL expressions in which the two databases differ.

use entity::Table;
use sea_orm::DbBackend;

/// The SQL dialect of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    /// The dialect of the database at `url`.
    pub fn of(url: &str) -> Self {
        if url.starts_with("sqlite:") {
            Self::Sqlite
        } else {
            Self::Postgres
        }
    }

    /// The name for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::Sqlite => "sqlite",
        }
    }

    pub(super) fn backend(self) -> DbBackend {
        match self {
            Self::Postgres => DbBackend::Postgres,
            Self::Sqlite => DbBackend::Sqlite,
        }
    }

    /// The expression for a JSON array of the given expressions.
    pub fn json_array(self, items: &str) -> String {
        match self {
            Self::Postgres => format!("json_build_array({items})"),
            Self::Sqlite => format!("json_array({items})"),
        }
    }

    /// The expression for a JSON array of a row's columns, in the order of its model's fields.
    pub fn row<T: Table>(self, alias: &str) -> String {
        self.json_array(&columns::<T>(alias))
    }

    /// The aggregate of JSON values as one JSON array, in the given order if there is one; `[]` without rows.
    pub fn json_collect(self, item: &str, order: Option<&str>) -> String {
        let order = order.map_or_else(String::new, |order| format!(" ORDER BY {order}"));
        match self {
            Self::Postgres => format!("coalesce(json_agg({item}{order}), '[]')"),
            Self::Sqlite => format!("json_group_array({item}{order})"),
        }
    }

    /// A condition that holds when `column` is one of the texts in the JSON array bound to `placeholder`.
    pub fn is_one_of(self, column: &str, placeholder: &str) -> String {
        match self {
            Self::Postgres => format!("{column} = ANY(ARRAY(SELECT json_array_elements_text({placeholder}::json)))"),
            Self::Sqlite => format!("{column} IN (SELECT value FROM json_each({placeholder}))"),
        }
    }

    /// A table with the texts of the JSON array bound to `placeholder` in its column `value`.
    pub fn texts(self, placeholder: &str, alias: &str) -> String {
        match self {
            Self::Postgres => format!("json_array_elements_text({placeholder}::json) {alias}(value)"),
            Self::Sqlite => format!("json_each({placeholder}) {alias}"),
        }
    }

    /// A column in a condition for which no index should be used. SQLite keeps no statistics and might choose a bad
    /// one.
    pub fn unindexed(self, column: &str) -> String {
        match self {
            Self::Postgres => column.to_owned(),
            Self::Sqlite => format!("+{column}"),
        }
    }

    /// A JSON expression cast to text, the form in which it is read.
    pub fn cast_to_text(self, json: &str) -> String {
        match self {
            Self::Postgres => format!("({json})::text"),
            Self::Sqlite => json.to_owned(),
        }
    }

    /// The type annotation that turns a bound text into a value of `sql_type`.
    pub fn cast(self, placeholder: &str, sql_type: &str) -> String {
        match self {
            Self::Postgres => format!("{placeholder}::{sql_type}"),
            Self::Sqlite => placeholder.to_owned(),
        }
    }

    /// A query for one row per object of the JSON array bound to `placeholder`, with the types of the table's columns.
    pub fn rows_of_json(self, table: &str, columns: &[&str], placeholder: &str) -> String {
        match self {
            Self::Postgres => {
                let columns = columns.join(", ");
                format!("SELECT {columns} FROM json_populate_recordset(NULL::{table}, {placeholder}::json)")
            }
            Self::Sqlite => {
                let columns: Vec<String> = columns
                    .iter()
                    .map(|column| format!("value ->> '$.{column}' AS {column}"))
                    .collect();
                // Without WHERE, the parser takes a following ON CONFLICT for a join's ON.
                format!("SELECT {} FROM json_each({placeholder}) WHERE TRUE", columns.join(", "))
            }
        }
    }
}

/// The form in which whole rows are selected that [`record`](super::record) and [`records`](super::records) read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordForm {
    /// Records of PostgreSQL.
    Record,
    /// SQLite has no records, and the nodes of a distributed database can't send them to each other.
    Json(Dialect),
}

impl RecordForm {
    pub const ALL: [Self; 3] = [Self::Record, Self::Json(Dialect::Postgres), Self::Json(Dialect::Sqlite)];

    /// The expression for a row.
    pub fn row<T: Table>(self, alias: &str) -> String {
        match self {
            Self::Record => format!("ROW({})", columns::<T>(alias)),
            Self::Json(dialect) => dialect.cast_to_text(&dialect.row::<T>(alias)),
        }
    }

    /// The expression for all rows of a table with the alias `m` for which a condition holds, in any order.
    pub fn rows<T: Table>(self, condition: &str) -> String {
        let table = T::table();
        match self {
            Self::Record => format!("ARRAY(SELECT {} FROM {table} m WHERE {condition})", self.row::<T>("m")),
            Self::Json(dialect) => {
                let rows = dialect.cast_to_text(&dialect.json_collect(&dialect.row::<T>("m"), None));
                format!("(SELECT {rows} FROM {table} m WHERE {condition})")
            }
        }
    }
}

/// The columns of a table, in the order of its model's fields.
fn columns<T: Table>(alias: &str) -> String {
    let columns: Vec<String> = T::columns().iter().map(|column| format!("{alias}.{column}")).collect();
    columns.join(", ")
}
