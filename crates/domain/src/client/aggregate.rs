//! Reads a client and the requested collections in one statement.
//!
//! The row and each collection come as one column, and are decoded straight into the typed rows.

use std::{
    collections::HashMap,
    fmt::Write,
    sync::{Arc, LazyLock},
};

use entity::{Collection, Member, address, client, custom_field_value, id_document};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use serde::{Deserialize, Serialize};

use super::Clients;
use crate::{
    audit::Head,
    caller::{Caller, Permission, Restricted, Rights, Unchecked},
    client_by::ClientBy,
    definitions::{self, Definitions},
};
use clientele_core::error::{Error, Result};
use clientele_storage::db::{Connection, Dialect, RecordForm, Transaction, record, records};

/// The parts of a client to read with its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientParts {
    pub addresses: bool,
    pub id_documents: bool,
    pub custom_values: bool,
}

impl ClientParts {
    pub const ALL: Self = Self {
        addresses: true,
        id_documents: true,
        custom_values: true,
    };

    pub fn or(self, other: Self) -> Self {
        Self {
            addresses: self.addresses || other.addresses,
            id_documents: self.id_documents || other.id_documents,
            custom_values: self.custom_values || other.custom_values,
        }
    }
}

/// A client and its collections; one that wasn't requested is none, never empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    pub client: client::Model,
    pub addresses: Option<Vec<address::Model>>,
    pub id_documents: Option<Vec<id_document::Model>>,
    pub custom_values: Option<Vec<custom_field_value::Model>>,
}

impl Aggregate {
    /// Returns true if it was read with these parts.
    pub fn has(&self, parts: ClientParts) -> bool {
        (!parts.addresses || self.addresses.is_some())
            && (!parts.id_documents || self.id_documents.is_some())
            && (!parts.custom_values || self.custom_values.is_some())
    }

    /// Drops the collections that aren't among these parts.
    pub(crate) fn keep(&mut self, parts: ClientParts) {
        self.addresses.take_if(|_| !parts.addresses);
        self.id_documents.take_if(|_| !parts.id_documents);
        self.custom_values.take_if(|_| !parts.custom_values);
    }

    /// Takes the collections that it lacks from `other`, and returns the other's row.
    pub(crate) fn complete_from(&mut self, other: Self) -> client::Model {
        self.addresses = self.addresses.take().or(other.addresses);
        self.id_documents = self.id_documents.take().or(other.id_documents);
        self.custom_values = self.custom_values.take().or(other.custom_values);
        other.client
    }

    /// Removes the custom field values that a reader with these rights may not see, and those of fields that no longer
    /// exist.
    pub fn hide_values(&mut self, rights: &Rights, definitions: &Definitions) {
        if rights.views_all() {
            return;
        }
        let shown = |key: &str| {
            definitions
                .field_of_key(key)
                .is_some_and(|field| field.is_shown(rights))
        };
        if let Some(values) = &mut self.custom_values {
            values.retain(|value| shown(&value.field_key));
        }
    }

    /// The approximate bytes in memory.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + crate::upsert::size_as_json(self)
    }

    /// First, middle and last name, with a space between.
    pub fn full_name(&self) -> String {
        let client = &self.client;
        let names = [
            Some(client.first_name.as_str()),
            client.middle_name.as_deref(),
            Some(client.last_name.as_str()),
        ];
        names.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// A client with all its values, and the definitions when it was read.
#[derive(Clone, Debug)]
pub struct Found {
    pub client: Arc<Aggregate>,
    pub definitions: Arc<Definitions>,
}

/// APIs hide the values that the caller may not see when they show them: otherwise each caller would need a copy of the
/// client.
impl Restricted for Found {
    const PERMISSION: Permission = Permission::ViewClient;
    type View = Self;

    fn view(&self, _: &Rights) -> Result<Self> {
        Ok(self.clone())
    }
}

/// The beginning of a statement that reads clients: `SELECT … FROM client c`.
pub(super) fn select(form: RecordForm, parts: ClientParts) -> &'static str {
    &selects(form, parts).plain
}

/// The end of a statement that reads the clients of the table `page`, with their ranks.
pub(super) fn select_ranked(form: RecordForm, parts: ClientParts) -> &'static str {
    &selects(form, parts).ranked
}

/// The same for a client to change, or to show as of a version: also reads the end of its audit chain.
pub(crate) fn select_for_change(form: RecordForm, parts: ClientParts) -> &'static str {
    &selects(form, parts).for_change
}

struct Selects {
    plain: String,
    for_change: String,
    ranked: String,
}

fn selects(form: RecordForm, parts: ClientParts) -> &'static Selects {
    static SELECTS: LazyLock<HashMap<(RecordForm, ClientParts), Selects>> = LazyLock::new(|| {
        let mut selects = HashMap::new();
        for (form, bits) in RecordForm::ALL
            .into_iter()
            .flat_map(|form| (0..8).map(move |bits| (form, bits)))
        {
            let parts = ClientParts {
                addresses: bits & 1 != 0,
                id_documents: bits & 2 != 0,
                custom_values: bits & 4 != 0,
            };
            let columns = write_columns(form, parts);
            let plain = format!("{columns} FROM client c");
            let for_change = format!("{columns}, c.history_head, c.history_count FROM client c");
            let ranked = format!("{columns}, f.rank FROM page f JOIN client c ON c.encoded_key = f.client_key");
            let of_parts = Selects {
                plain,
                for_change,
                ranked,
            };
            selects.insert((form, parts), of_parts);
        }
        selects
    });
    &SELECTS[&(form, parts)]
}

fn write_columns(form: RecordForm, parts: ClientParts) -> String {
    let mut sql = String::from("SELECT (SELECT version FROM definition_version)");
    let mut column = |expression: String| {
        let _ = write!(sql, ", {expression}");
    };
    column(form.row::<client::Entity>("c"));
    column(select_collection::<address::Entity>(form, parts.addresses));
    column(select_collection::<id_document::Entity>(form, parts.id_documents));
    column(select_collection::<custom_field_value::Entity>(
        form,
        parts.custom_values,
    ));
    sql
}

fn select_collection<T: Collection>(form: RecordForm, is_requested: bool) -> String {
    if !is_requested {
        return "NULL".to_owned();
    }
    form.rows::<T>("m.client_key = c.encoded_key")
}

/// A row lock on PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RowLock {
    /// For a change: other clients can link to the client meanwhile.
    Change,
    /// For a removal: waits for clients that are about to store a link to this one.
    Removal,
}

/// The client that a name leads to, locked.
pub(crate) enum Locked {
    /// With the end of its audit chain, and the definitions' version.
    Client(Box<(Aggregate, Head, i64)>),
    /// The name leads to no client. Nothing is locked.
    Unknown,
    /// The client got another id while this transaction waited for it, so the name may lead to another one now: start
    /// over.
    Renamed,
}

/// Locks and reads a client that exists for a caller with these rights, and locks the definitions, which then can't
/// change before the transaction ends.
///
/// SQLite's one writer has locked everything. On PostgreSQL a lock needs a separate statement: the next one then sees
/// what was committed while this one waited. It reads the client that is locked, by its key.
pub(crate) async fn lock_and_read(
    transaction: &Transaction,
    by: &ClientBy,
    rights: &Rights,
    lock: RowLock,
    parts: ClientParts,
) -> Result<Locked> {
    let (condition, name) = by.condition();
    if name.contains('\0') {
        return Ok(Locked::Unknown);
    }
    let mut values = vec![name.into()];
    let limit = rights.and_limit(transaction.dialect, "c", &mut values);
    let condition = format!("{condition}{limit}");
    let select = select_for_change(transaction.record_form(), parts);
    let found = |row: Option<_>, other| Ok(row.map_or(other, |row| Locked::Client(Box::new(row))));
    if transaction.dialect == Dialect::Sqlite {
        let row = read_for_change(transaction, format!("{select} WHERE {condition}"), values).await?;
        return found(row, Locked::Unknown);
    }
    let definitions = definitions::shared_lock();
    let strength = match lock {
        RowLock::Change => "NO KEY UPDATE",
        RowLock::Removal => "UPDATE",
    };
    let key: String = if transaction.distributed {
        // The expression would lock the definitions on the client's node, where nothing else locks them.
        transaction.one(format!("SELECT {definitions}"), []).await?;
        let keys = format!("SELECT c.encoded_key FROM client c WHERE {condition}");
        let locked = transaction
            .lock_each::<client::Entity>(keys, values.clone(), strength)
            .await?;
        match locked.into_iter().flatten().flatten().next() {
            Some(key) => key,
            None => return Ok(Locked::Unknown),
        }
    } else {
        let sql = format!("SELECT c.encoded_key, {definitions} FROM client c WHERE {condition} FOR {strength} OF c");
        match transaction.one(sql, values.clone()).await? {
            Some(row) => row.try_get_by_index(0)?,
            None => return Ok(Locked::Unknown),
        }
    };
    values.push(key.into());
    let sql = format!("{select} WHERE c.encoded_key = ${} AND {condition}", values.len());
    let row = read_for_change(transaction, sql, values).await?;
    found(row, Locked::Renamed)
}

/// Runs a statement that begins with [`select_for_change`]. Returns at most one client, the end of its audit chain, and
/// the definitions' version.
pub(crate) async fn read_for_change<C: ConnectionTrait>(
    connection: &Connection<C>,
    sql: String,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<(Aggregate, Head, i64)>> {
    let Some(row) = connection.one(sql, values).await? else {
        return Ok(None);
    };
    let (client, head) = locked(&row)?;
    Ok(Some((client, head, row.try_get_by_index(0)?)))
}

/// As [`read_for_change`], for a statement that reads several clients.
pub(crate) async fn read_all_for_change<C: ConnectionTrait>(
    connection: &Connection<C>,
    sql: String,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<(Aggregate, Head)>> {
    connection.all(sql, values).await?.iter().map(locked).collect()
}

fn locked(row: &QueryResult) -> Result<(Aggregate, Head)> {
    let head = Head {
        seal: row.try_get_by_index(5)?,
        count: row.try_get_by_index(6)?,
    };
    Ok((decode(row)?.0, head))
}

/// Runs a statement that begins with [`select`] in a transaction. Returns the clients.
pub(super) async fn within(
    transaction: &Transaction,
    sql: String,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<Aggregate>> {
    let rows = transaction.all(sql, values).await?;
    rows.iter().map(|row| Ok(decode(row)?.0)).collect()
}

/// Decodes a client, and its size in memory.
fn decode(row: &QueryResult) -> Result<(Aggregate, usize)> {
    let (client, length) = record(row, 1)?;
    let mut bytes = size_of::<Aggregate>() + length;
    let aggregate = Aggregate {
        client,
        addresses: collection(row, 2, &mut bytes)?,
        id_documents: collection(row, 3, &mut bytes)?,
        custom_values: collection(row, 4, &mut bytes)?,
    };
    Ok((aggregate, bytes))
}

/// Decodes the members of a collection, in their order.
fn collection<M: Member>(row: &QueryResult, at: usize, bytes: &mut usize) -> Result<Option<Vec<M>>> {
    let Some((mut members, length)) = records::<M>(row, at)? else {
        return Ok(None);
    };
    // Sorting is cheaper here than in the database.
    members.sort_by_key(M::position);
    *bytes += length + members.len() * size_of::<M>();
    Ok(Some(members))
}

impl Clients {
    /// Returns the client that `by` names with these parts, without values that the caller may not see.
    pub async fn get(
        &self,
        caller: &Caller,
        by: &ClientBy,
        parts: ClientParts,
    ) -> Result<Option<(Aggregate, Arc<Definitions>)>> {
        caller.require(Permission::ViewClient)?;
        let connection = self.db.read();
        let (condition, named) = by.condition();
        if named.contains('\0') {
            return Ok(None);
        }
        let mut values = vec![named.into()];
        let limit = caller.rights.and_limit(connection.dialect, "c", &mut values);
        let sql = format!("{} WHERE {condition}{limit}", select(connection.record_form(), parts));
        let (mut rows, definitions) = self.read(sql, values).await?;
        Ok(rows.pop().map(|mut client| {
            client.hide_values(&caller.rights, &definitions);
            (client, definitions)
        }))
    }

    /// Returns the clients of these keys with all their values: the API must hide those that the caller may not see.
    /// Clients that don't exist for a caller with these rights are left out.
    pub async fn by_key(
        &self,
        rights: &Rights,
        keys: &[String],
        parts: ClientParts,
    ) -> Result<HashMap<String, Unchecked<Found>>> {
        let dialect = self.db.read().dialect;
        let keys: Vec<&String> = keys.iter().filter(|key| !key.contains('\0')).collect();
        let mut values = vec![serde_json::to_string(&keys).map_err(Error::internal)?.into()];
        let limit = rights.and_limit(dialect, "c", &mut values);
        let sql = format!(
            "{} WHERE {}{limit}",
            select(self.db.read().record_form(), parts),
            dialect.is_one_of("c.encoded_key", "$1")
        );
        let (rows, definitions) = self.read(sql, values).await?;
        let unchecked = |client: Aggregate| {
            let key = client.client.encoded_key.clone();
            let (client, definitions) = (Arc::new(client), definitions.clone());
            (key, Unchecked::new(Found { client, definitions }))
        };
        Ok(rows.into_iter().map(unchecked).collect())
    }

    /// Runs a statement that ends with [`select_ranked`]. Returns the clients with their ranks, in the statement's
    /// order, and the definitions at that time.
    pub(super) async fn read_ranked(
        &self,
        sql: String,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<(Vec<(Aggregate, i32)>, Arc<Definitions>)> {
        self.read_with(sql, values, |row| Ok(row.try_get_by_index(5)?)).await
    }

    /// Runs a statement that begins with [`select`]. Returns the clients in the statement's order, and the definitions
    /// at that time.
    pub(super) async fn read(
        &self,
        sql: String,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<(Vec<Aggregate>, Arc<Definitions>)> {
        let (rows, definitions) = self.read_with(sql, values, |_| Ok(())).await?;
        Ok((rows.into_iter().map(|(client, ())| client).collect(), definitions))
    }

    /// Reads clients, each with the value of another column.
    async fn read_with<T: Send>(
        &self,
        sql: String,
        values: impl IntoIterator<Item = Value>,
        other: impl Fn(&QueryResult) -> Result<T> + Send,
    ) -> Result<(Vec<(Aggregate, T)>, Arc<Definitions>)> {
        let connection = self.db.read();
        let rows = connection.each(sql, values, |row| {
            let (client, bytes) = decode(row)?;
            let version: i64 = row.try_get_by_index(0)?;
            Ok(((version, client, other(row)?), bytes))
        });
        let rows = rows.await?;
        let definitions = match rows.first() {
            Some((version, ..)) => self.definitions.at(*version, connection).await?,
            None => self.definitions.latest_known().await?,
        };
        let rows = rows.into_iter().map(|(_, client, other)| (client, other)).collect();
        Ok((rows, definitions))
    }
}
