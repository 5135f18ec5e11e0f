//! Adds the folded texts of clients, by which they are searched and compared.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{DbBackend, RuntimeErr},
};

use crate::dry_run;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let (key, of_database) = match connection.get_database_backend() {
            DbBackend::Sqlite => ("number INTEGER PRIMARY KEY, client_key {text} NOT NULL UNIQUE", SQLITE),
            _ => {
                create_extension(connection).await?;
                ("client_key {text} PRIMARY KEY", POSTGRES)
            }
        };
        crate::portable(manager, &TABLES.replace("{key}", key)).await?;
        // Triggers contain the separator of statements.
        for statement in of_database {
            dry_run::execute(connection, statement).await?;
        }
        Ok(())
    }
}

/// The rows are filled after the migrations, in short transactions. `form` is the version of the folding that wrote a
/// row. `filled_to` is the last client whose row was filled; NULL if all are.
///
/// The full-text index of SQLite refers to rows by number, which must not change when the file is vacuumed.
const TABLES: &str = "
CREATE TABLE client_search (
    {key} REFERENCES client (encoded_key) ON DELETE CASCADE,
    first_name {text} NOT NULL, last_name {text} NOT NULL, birth_date DATE, email {text},
    home_phone {text}, mobile_phone1 {text}, mobile_phone2 {text}, city {text}, country {text},
    words {text} NOT NULL, text {text} NOT NULL, form INTEGER NOT NULL
);
CREATE TABLE id_document_search (
    client_key {text} NOT NULL REFERENCES client (encoded_key) ON DELETE CASCADE, encoded_key {text} NOT NULL,
    document_type {text} NOT NULL, document_id {text} NOT NULL,
    PRIMARY KEY (client_key, encoded_key)
);
CREATE TABLE client_search_fill (id INTEGER PRIMARY KEY, form INTEGER NOT NULL, filled_to {text});
INSERT INTO client_search_fill (id, form, filled_to) VALUES (1, 0, '');

CREATE INDEX client_search_by_name ON client_search (last_name, first_name, client_key);
CREATE INDEX client_search_by_first_name ON client_search (first_name, client_key);
CREATE INDEX client_search_by_birth_date ON client_search (last_name, birth_date) WHERE birth_date IS NOT NULL;
CREATE INDEX client_search_by_email ON client_search (email) WHERE email IS NOT NULL;
CREATE INDEX client_search_by_home_phone ON client_search (home_phone) WHERE home_phone IS NOT NULL;
CREATE INDEX client_search_by_mobile_phone1 ON client_search (mobile_phone1) WHERE mobile_phone1 IS NOT NULL;
CREATE INDEX client_search_by_mobile_phone2 ON client_search (mobile_phone2) WHERE mobile_phone2 IS NOT NULL;
CREATE INDEX client_search_by_city ON client_search (city) WHERE city IS NOT NULL;
CREATE INDEX client_search_by_country ON client_search (country) WHERE country IS NOT NULL;
CREATE INDEX id_document_search_by_number ON id_document_search (document_id, document_type);
";

/// The pending list is short because each search reads all of it.
const POSTGRES: &[&str] = &[
    "CREATE INDEX client_search_by_text ON client_search USING gin (words gin_trgm_ops, text gin_trgm_ops)
    WITH (gin_pending_list_limit = 512)",
];

/// Without `secure-delete`, the trigrams of a removed row would stay until segments are merged.
const SQLITE: &[&str] = &[
    "CREATE VIRTUAL TABLE client_search_index USING fts5(text, content='client_search', content_rowid='number',
     tokenize='trigram', detail='none')",
    "INSERT INTO client_search_index(client_search_index, rank) VALUES ('secure-delete', 1)",
    "CREATE TRIGGER client_search_inserted AFTER INSERT ON client_search BEGIN
     INSERT INTO client_search_index(rowid, text) VALUES (new.number, new.text); END",
    "CREATE TRIGGER client_search_updated AFTER UPDATE ON client_search WHEN old.text <> new.text BEGIN
     INSERT INTO client_search_index(client_search_index, rowid, text) VALUES ('delete', old.number, old.text);
     INSERT INTO client_search_index(rowid, text) VALUES (new.number, new.text); END",
    "CREATE TRIGGER client_search_deleted AFTER DELETE ON client_search BEGIN
     INSERT INTO client_search_index(client_search_index, rowid, text) VALUES ('delete', old.number, old.text); END",
];

/// The schema of the extension, and true if its names are found without the schema.
const EXTENSION: &str = "SELECT n.nspname::text, n.nspname = ANY (current_schemas(true)) FROM pg_extension e
    JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm'";

/// The message of the database, without the words that its driver adds.
fn reason(error: &DbErr) -> String {
    let of_driver = match error {
        DbErr::Exec(RuntimeErr::SqlxError(error)) => error.as_database_error(),
        _ => None,
    };
    of_driver.map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

async fn create_extension(connection: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    if dry_run::query(connection, EXTENSION).await?.is_empty() {
        let created = dry_run::execute(connection, "CREATE EXTENSION IF NOT EXISTS pg_trgm").await;
        created.map_err(|error| {
            let error = reason(&error);
            DbErr::Migration(format!(
                "the extension pg_trgm, by which clients are searched, can't be created ({error}). Nothing was \
                 changed. Install PostgreSQL's contrib package if the extension isn't available, and run `CREATE \
                 EXTENSION pg_trgm` in this database as its owner or as a superuser, then start again"
            ))
        })?;
    }
    let found = dry_run::query(connection, EXTENSION).await?;
    let Some(row) = found.first() else { return Ok(()) };
    let (schema, is_found): (String, bool) = row.try_get_many_by_index()?;
    match is_found {
        true => Ok(()),
        false => Err(DbErr::Migration(format!(
            "the extension pg_trgm, by which clients are searched, is in the schema {schema}, which isn't in the \
             search_path. Nothing was changed. Add the schema to the search_path of the role, or run `ALTER EXTENSION \
             pg_trgm SET SCHEMA public`, then start again"
        ))),
    }
}
