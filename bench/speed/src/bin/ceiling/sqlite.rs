//! SQLite: each thread of the runtime reads over a connection of its own, without handing work to another thread. One
//! connection writes.

use std::{cell::RefCell, sync::Mutex};

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::{Connection, Error, Row as SqliteRow, params, types::ValueRef};

use crate::{
    answer::{Client, Definitions, Row, three},
    sql,
    upsert::{SearchTexts, Upsert, digest_of, new_key},
};

thread_local! {
    static READER: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

impl Row for SqliteRow<'_> {
    fn text(&self, column: usize) -> Option<&str> {
        self.get_ref(column).ok()?.as_str_or_null().ok()?
    }

    fn integer(&self, column: usize) -> i32 {
        self.get(column).unwrap_or_default()
    }

    fn date(&self, column: usize, out: &mut Vec<u8>) -> bool {
        self.text(column).is_some_and(|date| {
            out.extend_from_slice(date.as_bytes());
            true
        })
    }

    /// The stored text always has six fraction digits.
    fn instant(&self, column: usize, out: &mut Vec<u8>) -> bool {
        self.text(column).is_some_and(|instant| {
            let seconds = instant.trim_end_matches('Z');
            let short = seconds.strip_suffix("000").unwrap_or(seconds);
            let short = short.strip_suffix(".000").unwrap_or(short);
            out.extend_from_slice(short.as_bytes());
            out.push(b'Z');
            true
        })
    }

    /// Numbers are stored as text, too.
    fn double(&self, column: usize) -> Option<f64> {
        match self.get_ref(column).ok()? {
            ValueRef::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }
}

/// The texts by which prepared statements are found.
struct Statements {
    three: String,
    client: String,
    client_of_key: String,
    page: String,
    addresses: String,
    documents: String,
    values: String,
    update: String,
    delete_address: String,
    insert_address: String,
    delete_documents: String,
    insert_document: String,
    delete_values: String,
    upsert_value: String,
    update_searched: String,
    delete_searched_documents: String,
    insert_searched_document: String,
    insert_record: String,
}

impl Statements {
    fn new() -> Self {
        const OF_KEY: &str = "= $1 ORDER BY position";
        // SQLite numbers `$2` by its place in the text, and `?2` by its number.
        let numbered = |sql: &str| sql.replace('$', "?");
        Self {
            three: numbered(&sql::three()),
            client: numbered(&sql::client(&format!("= {}", sql::KEY))),
            client_of_key: numbered(&sql::client("= $1")),
            page: sql::page(),
            addresses: numbered(&sql::addresses(OF_KEY)),
            documents: numbered(&sql::documents(OF_KEY)),
            values: numbered(&sql::values(OF_KEY)),
            update: numbered(&sql::update()),
            delete_address: numbered(sql::DELETE_ADDRESS),
            insert_address: numbered(&sql::insert_address()),
            delete_documents: numbered(sql::DELETE_DOCUMENTS),
            insert_document: numbered(&sql::insert_documents("VALUES ($1, $2, $3, $4, $5)")),
            delete_values: numbered(&sql::delete_values("NOT IN (SELECT value FROM json_each($2))")),
            upsert_value: numbered(&sql::upsert_values("VALUES ($1, $2, -1, $3, $4, $5)")),
            update_searched: numbered(sql::UPDATE_SEARCHED),
            delete_searched_documents: numbered(sql::DELETE_SEARCHED_DOCUMENTS),
            insert_searched_document: numbered(&sql::insert_searched_documents("VALUES ($1, $2, $3, $4)")),
            insert_record: numbered(sql::INSERT_RECORD),
        }
    }
}

pub struct Sqlite {
    file: String,
    definitions: Definitions,
    statements: Statements,
    writer: Mutex<Connection>,
}

fn open(file: &str, cache: i32) -> Result<Connection, Error> {
    let connection = Connection::open(file)?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000; \
         PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA cache_size = {cache}; PRAGMA wal_autocheckpoint = 4000"
    ))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn definitions(connection: &Connection) -> Result<Definitions, Error> {
    let mut definitions = Definitions::default();
    let mut roles = connection.prepare(sql::ROLES)?;
    for role in roles.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        definitions.roles.extend([role?]);
    }
    let mut fields = connection.prepare(sql::FIELDS)?;
    for field in fields.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))? {
        let (key, id, name) = field?;
        definitions.insert_field(key, id, name);
    }
    Ok(definitions)
}

impl Sqlite {
    pub fn open(file: &str) -> Result<Self, Error> {
        let writer = open(file, -65536)?;
        let definitions = definitions(&writer)?;
        Ok(Self {
            file: file.to_owned(),
            definitions,
            statements: Statements::new(),
            writer: Mutex::new(writer),
        })
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        READER.with_borrow_mut(|reader| {
            if reader.is_none() {
                *reader = Some(open(&self.file, -8192)?);
            }
            work(reader.as_ref().expect("it was opened"))
        })
    }

    pub fn three(&self, id: &str) -> Result<Vec<u8>, Error> {
        self.read(|connection| {
            connection
                .prepare_cached(&self.statements.three)?
                .query_row([id], |row| Ok(three(row, &self.definitions)))
        })
    }

    pub fn client(&self, id: &str) -> Result<Vec<u8>, Error> {
        self.read(|connection| {
            let mut out = Vec::with_capacity(4096);
            out.extend_from_slice(b"{\"data\":{\"client\":");
            // One snapshot for all statements, and one lock instead of four.
            let transaction = connection.unchecked_transaction()?;
            let mut client = transaction.prepare_cached(&self.statements.client)?;
            client.query_row([id], |row| self.write(&mut out, &transaction, row))?;
            out.extend_from_slice(b"}}");
            Ok(out)
        })
    }

    pub fn page(&self) -> Result<Vec<u8>, Error> {
        self.read(|connection| {
            let mut out = Vec::with_capacity(128 * 1024);
            out.extend_from_slice(b"{\"data\":{\"clients\":{\"nodes\":[");
            let transaction = connection.unchecked_transaction()?;
            let mut page = transaction.prepare_cached(&self.statements.page)?;
            let mut rows = page.query([])?;
            let mut at = 0;
            while let Some(row) = rows.next()? {
                if at > 0 {
                    out.push(b',');
                }
                at += 1;
                self.write(&mut out, &transaction, row)?;
            }
            out.extend_from_slice(b"]}}}");
            Ok(out)
        })
    }

    pub fn upsert(&self, input: &Upsert<'_>, text: &str, now: DateTime<Utc>) -> Result<Vec<u8>, Error> {
        let statements = &self.statements;
        let mut writer = self.writer.lock().expect("no holder panics");
        let transaction = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let now = now.to_rfc3339_opts(SecondsFormat::Micros, true);
        let execute = |sql: &str, values: &[&dyn rusqlite::ToSql]| transaction.prepare_cached(sql)?.execute(values);
        let (key, searched) = {
            let mut client = transaction.prepare_cached(&statements.client)?;
            client.query_row([input.client.client_id], |row| {
                Ok((row.get::<_, String>(0)?, SearchTexts::of(input, row)))
            })?
        };
        let mut update = transaction.prepare_cached(&statements.update)?;
        let names = &input.client;
        let position: i64 =
            update.query_row(params![key, names.first_name, names.last_name, now], |row| row.get(25))?;
        execute(&statements.delete_address, &[&key])?;
        for address in input.addresses.iter().take(1) {
            let mut insert = transaction.prepare_cached(&statements.insert_address)?;
            insert.query_row(params![key, new_key(), address.line1, address.city], |_| Ok(()))?;
        }
        execute(&statements.delete_documents, &[&key])?;
        execute(&statements.delete_searched_documents, &[&key])?;
        let mut insert = transaction.prepare_cached(&statements.insert_document)?;
        for (at, (document, (kind, number))) in (0..).zip(input.id_documents.iter().zip(&searched.documents)) {
            let document_key = new_key();
            let row = params![key, document_key, at, document.document_type, document.document_id];
            insert.query_row(row, |_| Ok(()))?;
            execute(
                &statements.insert_searched_document,
                &[&key, &document_key, kind, number],
            )?;
        }
        let fields = input.custom_information.iter();
        let fields: Vec<_> = fields
            .map(|value| self.definitions.field_keys.get(value.field_id))
            .collect();
        let listed = serde_json::to_string(&fields).expect("texts can be written");
        execute(&statements.delete_values, &[&key, &listed])?;
        let mut upsert = transaction.prepare_cached(&statements.upsert_value)?;
        for (at, (value, field)) in (0..).zip(input.custom_information.iter().zip(fields)) {
            upsert.query_row(params![key, field, new_key(), at, value.value], |_| Ok(()))?;
        }
        let SearchTexts {
            first_name,
            last_name,
            city,
            words,
            text: texts,
            ..
        } = &searched;
        execute(
            &statements.update_searched,
            &[&key, first_name, last_name, city, words, texts],
        )?;
        execute(
            &statements.insert_record,
            &[&key, &position, &now, &text, &digest_of(text)],
        )?;
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(b"{\"data\":{\"upsertClient\":{\"client\":");
        transaction
            .prepare_cached(&statements.client_of_key)?
            .query_row([&key], |row| self.write(&mut out, &transaction, row))?;
        out.extend_from_slice(b",\"userErrors\":[]}}}");
        drop((update, insert, upsert));
        transaction.commit()?;
        Ok(out)
    }

    /// Reads the collections of a client, and writes it.
    fn write(&self, out: &mut Vec<u8>, connection: &Connection, client: &SqliteRow) -> Result<(), Error> {
        let key = client.get_ref(0)?.as_str()?;
        let mut writer = Client {
            out,
            definitions: &self.definitions,
        };
        writer.begin(client);
        each(connection, &self.statements.addresses, key, |at, row| {
            writer.address(at, row)
        })?;
        writer.begin_documents();
        each(connection, &self.statements.documents, key, |at, row| {
            writer.document(at, row)
        })?;
        writer.begin_values();
        each(connection, &self.statements.values, key, |at, row| {
            writer.value(at, row)
        })?;
        writer.end();
        Ok(())
    }
}

fn each(connection: &Connection, sql: &str, key: &str, mut write: impl FnMut(usize, &SqliteRow)) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([key])?;
    let mut at = 0;
    while let Some(row) = rows.next()? {
        write(at, row);
        at += 1;
    }
    Ok(())
}
