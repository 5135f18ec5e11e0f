//! PostgreSQL: prepared statements on a pool of connections. Statements that don't need each other's answers are sent
//! together.

use std::{collections::HashMap, sync::Mutex};

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use tokio::{sync::Semaphore, try_join};
use tokio_postgres::{Client as Connection, Error, NoTls, Row as PgRow, Statement, types::ToSql};

use crate::{
    answer::{Client, Definitions, Row, three},
    sql,
    upsert::{SearchTexts, Upsert, digest_of, new_key},
};

const CONNECTIONS: usize = 8;

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];
type ClientRows = (PgRow, Vec<PgRow>, Vec<PgRow>, Vec<PgRow>);

impl Row for PgRow {
    fn text(&self, column: usize) -> Option<&str> {
        self.get(column)
    }

    fn integer(&self, column: usize) -> i32 {
        self.get(column)
    }

    fn date(&self, column: usize, out: &mut Vec<u8>) -> bool {
        let date: Option<NaiveDate> = self.get(column);
        date.is_some_and(|date| {
            out.extend_from_slice(date.to_string().as_bytes());
            true
        })
    }

    fn instant(&self, column: usize, out: &mut Vec<u8>) -> bool {
        let instant: Option<DateTime<Utc>> = self.get(column);
        instant.is_some_and(|instant| {
            out.extend_from_slice(instant.to_rfc3339_opts(SecondsFormat::AutoSi, true).as_bytes());
            true
        })
    }

    fn double(&self, column: usize) -> Option<f64> {
        self.get(column)
    }
}

pub struct Postgres {
    definitions: Definitions,
    permits: Semaphore,
    idle: Mutex<Vec<Session>>,
}

/// A connection with its statements.
struct Session {
    connection: Connection,
    three: Statement,
    client: Statement,
    addresses: Statement,
    documents: Statement,
    values: Statement,
    page: Statement,
    addresses_of_all: Statement,
    documents_of_all: Statement,
    values_of_all: Statement,
    lock: Statement,
    update: Statement,
    delete_address: Statement,
    insert_address: Statement,
    delete_documents: Statement,
    insert_documents: Statement,
    delete_values: Statement,
    upsert_values: Statement,
    update_searched: Statement,
    delete_searched_documents: Statement,
    insert_searched_documents: Statement,
    insert_record: Statement,
}

impl Session {
    async fn open(url: &str) -> Result<Self, Error> {
        let (connection, io) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(io);
        let of_id = format!("= {}", sql::KEY);
        let all = "= ANY ($1::text[])";
        let prepare = async |text: &str| connection.prepare(text).await;
        Ok(Self {
            three: prepare(&sql::three()).await?,
            client: prepare(&sql::client(&of_id)).await?,
            addresses: prepare(&sql::addresses(&of_id)).await?,
            documents: prepare(&sql::documents(&of_id)).await?,
            values: prepare(&sql::values(&of_id)).await?,
            page: prepare(&sql::page()).await?,
            addresses_of_all: prepare(&sql::addresses(all)).await?,
            documents_of_all: prepare(&sql::documents(all)).await?,
            values_of_all: prepare(&sql::values(all)).await?,
            lock: prepare(&sql::lock()).await?,
            update: prepare(&sql::update()).await?,
            delete_address: prepare(sql::DELETE_ADDRESS).await?,
            insert_address: prepare(&sql::insert_address()).await?,
            delete_documents: prepare(sql::DELETE_DOCUMENTS).await?,
            insert_documents: prepare(&sql::insert_documents(
                "SELECT $1, * FROM unnest($2::text[], $3::int[], $4::text[], $5::text[])",
            ))
            .await?,
            delete_values: prepare(&sql::delete_values("<> ALL ($2::text[])")).await?,
            upsert_values: prepare(&sql::upsert_values(
                "SELECT $1, field, -1, key, position, value \
                 FROM unnest($2::text[], $3::text[], $4::int[], $5::text[]) AS input(field, key, position, value)",
            ))
            .await?,
            update_searched: prepare(sql::UPDATE_SEARCHED).await?,
            delete_searched_documents: prepare(sql::DELETE_SEARCHED_DOCUMENTS).await?,
            insert_searched_documents: prepare(&sql::insert_searched_documents(
                "SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[])",
            ))
            .await?,
            insert_record: prepare(sql::INSERT_RECORD).await?,
            connection,
        })
    }
}

impl Postgres {
    pub async fn open(url: &str) -> Result<Self, Error> {
        let mut sessions = Vec::new();
        for _ in 0..CONNECTIONS {
            sessions.push(Session::open(url).await?);
        }
        let mut definitions = Definitions::default();
        for row in sessions[0].connection.query(sql::ROLES, &[]).await? {
            definitions.roles.insert(row.get(0), row.get(1));
        }
        for row in sessions[0].connection.query(sql::FIELDS, &[]).await? {
            definitions.insert_field(row.get(0), row.get(1), row.get(2));
        }
        Ok(Self {
            definitions,
            permits: Semaphore::new(CONNECTIONS),
            idle: Mutex::new(sessions),
        })
    }

    async fn with_session<T>(&self, work: impl AsyncFnOnce(&Session) -> Result<T, Error>) -> Result<T, Error> {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let session = self
            .idle
            .lock()
            .expect("no holder panics")
            .pop()
            .expect("there is one for each permit");
        let outcome = work(&session).await;
        self.idle.lock().expect("no holder panics").push(session);
        outcome
    }

    pub async fn three(&self, id: &str) -> Result<Vec<u8>, Error> {
        let row = self
            .with_session(async |session| session.connection.query_one(&session.three, &[&id]).await)
            .await?;
        Ok(three(&row, &self.definitions))
    }

    pub async fn client(&self, id: &str) -> Result<Vec<u8>, Error> {
        let query = async |session: &Session| {
            let (connection, id): (_, Parameters) = (&session.connection, &[&id]);
            try_join!(
                connection.query_one(&session.client, id),
                connection.query(&session.addresses, id),
                connection.query(&session.documents, id),
                connection.query(&session.values, id),
            )
        };
        let (client, addresses, documents, values) = self.with_session(query).await?;
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(b"{\"data\":{\"client\":");
        self.write(&mut out, &client, addresses, documents, values);
        out.extend_from_slice(b"}}");
        Ok(out)
    }

    pub async fn page(&self) -> Result<Vec<u8>, Error> {
        let query = async |session: &Session| {
            let connection = &session.connection;
            let clients = connection.query(&session.page, &[]).await?;
            let keys: Vec<&str> = clients.iter().map(|row| row.get(0)).collect();
            let keys: Parameters = &[&keys];
            let (addresses, documents, values) = try_join!(
                connection.query(&session.addresses_of_all, keys),
                connection.query(&session.documents_of_all, keys),
                connection.query(&session.values_of_all, keys),
            )?;
            Ok((clients, addresses, documents, values))
        };
        let (clients, addresses, documents, values) = self.with_session(query).await?;
        let [mut addresses, mut documents, mut values] = [addresses, documents, values].map(by_client);
        let mut out = Vec::with_capacity(128 * 1024);
        out.extend_from_slice(b"{\"data\":{\"clients\":{\"nodes\":[");
        for (at, client) in clients.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            let of_client = |rows: &mut HashMap<String, Vec<PgRow>>| rows.remove(client.get::<_, &str>(0));
            let [addresses, documents, values] =
                [&mut addresses, &mut documents, &mut values].map(|rows| of_client(rows).unwrap_or_default());
            self.write(&mut out, client, addresses, documents, values);
        }
        out.extend_from_slice(b"]}}}");
        Ok(out)
    }

    pub async fn upsert(&self, input: &Upsert<'_>, text: &str, now: DateTime<Utc>) -> Result<Vec<u8>, Error> {
        let rows = self.with_session(async |session| {
            let changed = self.change(session, input, text, now).await;
            if changed.is_err() {
                session.connection.batch_execute("ROLLBACK").await?;
            }
            changed
        });
        let (client, addresses, documents, values) = rows.await?;
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(b"{\"data\":{\"upsertClient\":{\"client\":");
        self.write(&mut out, &client, addresses, documents, values);
        out.extend_from_slice(b",\"userErrors\":[]}}}");
        Ok(out)
    }

    async fn change(
        &self,
        session: &Session,
        input: &Upsert<'_>,
        text: &str,
        now: DateTime<Utc>,
    ) -> Result<ClientRows, Error> {
        let connection = &session.connection;
        let id: Parameters = &[&input.client.client_id];
        let ((), stored) = try_join!(
            connection.batch_execute("BEGIN"),
            connection.query_one(&session.lock, id)
        )?;
        let key: &str = stored.get(0);
        let of_key: Parameters = &[&key];
        let names: Parameters = &[&key, &input.client.first_name, &input.client.last_name, &now];

        let address = &input.addresses[0];
        let address: Parameters = &[&key, &new_key(), &address.line1, &address.city];

        let positions: Vec<i32> = (0..).take(input.id_documents.len()).collect();
        let document_keys: Vec<String> = positions.iter().map(|_| new_key()).collect();
        let types: Vec<&str> = input
            .id_documents
            .iter()
            .map(|document| document.document_type)
            .collect();
        let numbers: Vec<&str> = input.id_documents.iter().map(|document| document.document_id).collect();
        let documents: Parameters = &[&key, &document_keys, &positions, &types, &numbers];

        let field = |id: &str| self.definitions.field_keys.get(id).map(String::as_str);
        let fields: Vec<Option<&str>> = input
            .custom_information
            .iter()
            .map(|value| field(value.field_id))
            .collect();
        let positions: Vec<i32> = (0..).take(fields.len()).collect();
        let value_keys: Vec<String> = positions.iter().map(|_| new_key()).collect();
        let texts: Vec<&str> = input.custom_information.iter().map(|value| value.value).collect();
        let kept: Parameters = &[&key, &fields];
        let values: Parameters = &[&key, &fields, &value_keys, &positions, &texts];

        let searched = SearchTexts::of(input, &stored);
        let types: Vec<&str> = searched.documents.iter().map(|(kind, _)| kind.as_str()).collect();
        let numbers: Vec<&str> = searched.documents.iter().map(|(_, number)| number.as_str()).collect();
        let searched_documents: Parameters = &[&key, &document_keys, &types, &numbers];
        let SearchTexts {
            first_name,
            last_name,
            city,
            words,
            text: words_and_numbers,
            ..
        } = &searched;
        let searched: Parameters = &[&key, first_name, last_name, city, words, words_and_numbers];

        // The row is locked, so that its next count is known before it is written.
        let position = stored.get::<_, i64>(25) + 1;
        let record: Parameters = &[&key, &position, &now, &text, &digest_of(text)];

        let (client, _, addresses, _, documents, _, values, _, _, _, _, ()) = try_join!(
            connection.query_one(&session.update, names),
            connection.execute(&session.delete_address, of_key),
            connection.query(&session.insert_address, address),
            connection.execute(&session.delete_documents, of_key),
            connection.query(&session.insert_documents, documents),
            connection.execute(&session.delete_values, kept),
            connection.query(&session.upsert_values, values),
            connection.execute(&session.update_searched, searched),
            connection.execute(&session.delete_searched_documents, of_key),
            connection.execute(&session.insert_searched_documents, searched_documents),
            connection.execute(&session.insert_record, record),
            connection.batch_execute("COMMIT"),
        )?;
        Ok((client, addresses, documents, values))
    }

    /// Writes a client. Sorts its collections by their positions, which are in the third column.
    fn write(
        &self,
        out: &mut Vec<u8>,
        client: &PgRow,
        mut addresses: Vec<PgRow>,
        mut documents: Vec<PgRow>,
        mut values: Vec<PgRow>,
    ) {
        for rows in [&mut addresses, &mut documents, &mut values] {
            rows.sort_by_key(|row| row.get::<_, i32>(2));
        }
        let mut writer = Client {
            out,
            definitions: &self.definitions,
        };
        writer.begin(client);
        for (at, row) in addresses.iter().enumerate() {
            writer.address(at, row);
        }
        writer.begin_documents();
        for (at, row) in documents.iter().enumerate() {
            writer.document(at, row);
        }
        writer.begin_values();
        for (at, row) in values.iter().enumerate() {
            writer.value(at, row);
        }
        writer.end();
    }
}

fn by_client(rows: Vec<PgRow>) -> HashMap<String, Vec<PgRow>> {
    let mut by_client: HashMap<String, Vec<PgRow>> = HashMap::with_capacity(50);
    for row in rows {
        let key: &str = row.get(0);
        match by_client.get_mut(key) {
            Some(rows) => rows.push(row),
            None => drop(by_client.insert(key.to_owned(), vec![row])),
        }
    }
    by_client
}
