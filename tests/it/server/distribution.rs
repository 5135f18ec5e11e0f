//! The layout of the tables on the nodes of a distributed database, as far as the schema alone shows it.

use std::collections::{BTreeMap, BTreeSet};

use migration::distribution::{DISTRIBUTED, LOCAL, REFERENCE, UNSUPPORTED_KEYS};

use crate::harness::{Backend, TestServer};

on_both!(every_table_is_in_one_list);
on_postgres!(
    unique_keys_contain_the_column_of_the_node,
    foreign_keys_lead_to_rows_of_the_same_node,
);

pub async fn texts<const N: usize>(server: &TestServer, sql: &str) -> Vec<[String; N]> {
    let rows = server
        .services
        .db
        .read()
        .all(sql, [])
        .await
        .expect("the catalog can be read");
    let text = |row: &sea_orm::QueryResult| std::array::from_fn(|at| row.try_get_by_index(at).expect("a text"));
    rows.iter().map(text).collect()
}

/// The distributed tables, with the number of their list and the column.
fn distributed() -> BTreeMap<&'static str, (usize, &'static str)> {
    let lists = DISTRIBUTED.iter().enumerate();
    lists
        .flat_map(|(list, tables)| tables.iter().map(move |(table, column)| (*table, (list, *column))))
        .collect()
}

async fn every_table_is_in_one_list(server: &TestServer) {
    // The full-text index consists of tables, which SQLite maintains.
    let tables = match server.backend {
        Backend::Sqlite => {
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
             AND name NOT LIKE 'client_search_index%' ORDER BY name"
        }
        Backend::Postgres => {
            "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') \
             AND relnamespace = current_schema()::regnamespace ORDER BY relname"
        }
    };
    let tables: Vec<String> = texts::<1>(server, tables).await.into_iter().flatten().collect();
    let mut listed: Vec<&str> = DISTRIBUTED.into_iter().flatten().map(|(table, _)| *table).collect();
    listed.extend(REFERENCE.into_iter().chain(LOCAL));
    listed.sort_unstable();
    assert_eq!(tables, listed);
}

async fn unique_keys_contain_the_column_of_the_node(server: &TestServer) {
    let sql = "SELECT c.relname::text, i.indexrelid::regclass::text, a.attname::text FROM pg_index i \
               JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = current_schema()::regnamespace \
               JOIN pg_attribute a ON a.attrelid = i.indexrelid WHERE i.indisunique AND c.relkind = 'r'";
    let mut keys: BTreeMap<[String; 2], BTreeSet<String>> = BTreeMap::new();
    for [table, index, column] in texts(server, sql).await {
        keys.entry([table, index]).or_default().insert(column);
    }
    for (table, (_, column)) in distributed() {
        let mut of_table = keys.iter().filter(|([of, _], _)| of == table).peekable();
        assert!(of_table.peek().is_some(), "{table} has no unique key");
        for ([_, index], columns) in of_table {
            assert!(columns.contains(column), "{index} lacks {column}");
        }
    }
}

async fn foreign_keys_lead_to_rows_of_the_same_node(server: &TestServer) {
    let sql = "SELECT k.conname::text, c.relname::text, r.relname::text, pg_get_constraintdef(k.oid) \
               FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid \
               WHERE k.contype = 'f' AND k.connamespace = current_schema()::regnamespace ORDER BY k.conname";
    let distributed = distributed();
    let mut unsupported = Vec::new();
    for [name, from, to, definition] in texts(server, sql).await {
        let is_supported = match (distributed.get(&*from), distributed.get(&*to)) {
            (Some((list, column)), Some((other, referred))) => {
                let starts = |columns: &str, first: &str| {
                    columns
                        .strip_prefix('(')
                        .is_some_and(|list| list.split([',', ')']).next() == Some(first))
                };
                let (own, rest) = definition
                    .strip_prefix("FOREIGN KEY ")
                    .and_then(|rest| rest.split_once(" REFERENCES "))
                    .expect("a foreign key");
                list == other && starts(own, column) && starts(&rest[to.len()..], referred)
            }
            (_, None) if REFERENCE.contains(&&*to) => !LOCAL.contains(&&*from),
            (None, None) => LOCAL.contains(&&*from),
            _ => false,
        };
        if !is_supported {
            unsupported.push(name);
        }
    }
    assert_eq!(unsupported, UNSUPPORTED_KEYS);
}

/// The table of docs/operations.md names each table once, with those of its list.
#[test]
fn page_names_the_place_of_every_table() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).expect("the page");
    let (_, section) = page.split_once("\n### Several machines: Citus\n").expect("the section");
    let rows = section
        .lines()
        .skip_while(|line| *line != "| tables | where their rows are |")
        .skip(2);
    let named = rows.map_while(|line| line.strip_prefix("| ")).map(|line| {
        let (tables, _) = line.split_once(" | ").expect("two cells");
        let tables: BTreeSet<&str> = tables.split(", ").map(|table| table.trim_matches('`')).collect();
        tables
    });
    let distributed = DISTRIBUTED
        .into_iter()
        .map(|list| list.iter().map(|(table, _)| *table).collect());
    let lists = distributed.chain([REFERENCE.into(), LOCAL.into()]);
    assert_eq!(named.collect::<Vec<_>>(), lists.collect::<Vec<BTreeSet<&str>>>());
}
