//! All stored rows, as text.

use clientele::db::{Database, Dialect};

/// Every row of every table. Two of them are equal when nothing has been written in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(pub Vec<String>);

impl Snapshot {
    pub async fn take(database: &Database) -> Self {
        let connection = database.read();
        // The catalog lists the tables, so that new ones are included. The full-text index repeats `client_search`,
        // to whose rows it refers by number.
        let catalog = match connection.dialect {
            Dialect::Sqlite => {
                "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c \
                 WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE 'client_search_index%' \
                 AND NOT (m.name = 'client_search' AND c.name = 'number') ORDER BY m.name, c.cid"
            }
            Dialect::Postgres => {
                "SELECT table_name::text, column_name::text FROM information_schema.columns \
                 WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position"
            }
        };
        let mut tables: Vec<(String, Vec<String>)> = Vec::new();
        for row in connection.all(catalog, []).await.expect("the catalog can be read") {
            let (table, column) = row.try_get_many_by_index().expect("two names");
            match tables.last_mut() {
                Some((last, columns)) if *last == table => columns.push(column),
                _ => tables.push((table, vec![column])),
            }
        }
        // One statement sees one point in time: a background commit may happen at any time.
        let rows: Vec<String> = tables
            .iter()
            .map(|(table, columns)| {
                let row = connection.dialect.json_array(&columns.join(", "));
                let row = connection.dialect.cast_to_text(&row);
                format!("SELECT '{table}', {row} FROM {table}")
            })
            .collect();
        let sql = format!("{} ORDER BY 1, 2", rows.join(" UNION ALL "));
        let rows = connection.all(sql, []).await.expect("the tables can be read");
        let lines = rows.iter().map(|row| {
            let (table, row): (String, String) = row.try_get_many_by_index().expect("two texts");
            format!("{table} {row}")
        });
        Self(lines.collect())
    }

    /// The rows of one table.
    pub fn rows(&self, table: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter_map(|line| line.strip_prefix(table)?.strip_prefix(' '))
            .collect()
    }
}
