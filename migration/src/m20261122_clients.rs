//! Clients with their collections, and the definitions of their contents.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::portable(manager, DEFINITIONS).await?;
        crate::portable(manager, CLIENTS).await?;
        crate::portable(manager, INDEXES).await
    }
}

/// The default role has the key of the legacy document's example, so that the example works on a fresh server.
const DEFINITIONS: &str = "
CREATE TABLE definition_version (id INTEGER PRIMARY KEY, version BIGINT NOT NULL);
INSERT INTO definition_version (id, version) VALUES (1, 1);

CREATE TABLE client_role (
    encoded_key {text} PRIMARY KEY, role_id {text} NOT NULL UNIQUE, name {text} NOT NULL, description {text},
    is_default BOOLEAN NOT NULL, position INTEGER NOT NULL
);
CREATE UNIQUE INDEX client_role_one_default ON client_role (is_default) WHERE is_default;
INSERT INTO client_role (encoded_key, role_id, name, is_default, position)
    VALUES ('d9df8bc78a0234ccc934a845c', 'client', 'Client', TRUE, 0);

CREATE TABLE custom_field_set (
    encoded_key {text} PRIMARY KEY, set_id {text} NOT NULL UNIQUE, name {text} NOT NULL, usage {text} NOT NULL,
    position INTEGER NOT NULL
);
CREATE TABLE custom_field (
    encoded_key {text} PRIMARY KEY, field_id {text} NOT NULL UNIQUE,
    set_key {text} NOT NULL REFERENCES custom_field_set (encoded_key),
    position INTEGER NOT NULL, name {text} NOT NULL, description {text}, kind {text} NOT NULL, state {text} NOT NULL,
    required BOOLEAN NOT NULL, pattern {text}, max_length INTEGER
);
CREATE TABLE custom_field_option (
    field_key {text} NOT NULL REFERENCES custom_field (encoded_key) ON DELETE CASCADE,
    encoded_key {text} NOT NULL, position INTEGER NOT NULL, value {text} NOT NULL,
    PRIMARY KEY (field_key, encoded_key), UNIQUE (field_key, value)
);
";

/// `client_key` is the first column of every key, so that the tables can be distributed by it. Only references to the
/// small definition tables lead outside a client.
const CLIENTS: &str = "
CREATE TABLE client (
    encoded_key {text} PRIMARY KEY, client_id {text} NOT NULL, state {text} NOT NULL,
    first_name {text} NOT NULL, middle_name {text}, last_name {text} NOT NULL, birth_date DATE, gender {text},
    email_address {text}, home_phone {text}, mobile_phone1 {text}, mobile_phone2 {text},
    preferred_language {text} NOT NULL, notes {text},
    client_role_key {text} NOT NULL REFERENCES client_role (encoded_key),
    assigned_branch_key {text}, assigned_centre_key {text}, assigned_user_key {text},
    created_at {instant} NOT NULL, updated_at {instant} NOT NULL,
    approved_at {instant}, activated_at {instant}, closed_at {instant}, version INTEGER NOT NULL
);
CREATE TABLE client_id_claim (client_id {text} PRIMARY KEY, client_key {text} NOT NULL);
CREATE TABLE address (
    client_key {text} NOT NULL REFERENCES client (encoded_key), encoded_key {text} NOT NULL, position INTEGER NOT NULL,
    line1 {text}, line2 {text}, city {text}, region {text}, postcode {text}, country {text},
    latitude {double}, longitude {double},
    PRIMARY KEY (client_key, encoded_key)
);
CREATE TABLE id_document (
    client_key {text} NOT NULL REFERENCES client (encoded_key), encoded_key {text} NOT NULL, position INTEGER NOT NULL,
    document_type {text} NOT NULL, document_id {text} NOT NULL, issuing_authority {text}, valid_until DATE,
    PRIMARY KEY (client_key, encoded_key)
);
CREATE TABLE custom_field_value (
    client_key {text} NOT NULL REFERENCES client (encoded_key),
    field_key {text} NOT NULL REFERENCES custom_field (encoded_key), group_index INTEGER NOT NULL,
    encoded_key {text} NOT NULL, position INTEGER NOT NULL, value {text}, linked_key {text},
    PRIMARY KEY (client_key, field_key, group_index)
);
";

/// One for each order and filter of the lists. A custom value may exceed the size of an index entry, so only its
/// beginning is indexed.
const INDEXES: &str = "
CREATE INDEX client_by_creation ON client (created_at, encoded_key);
CREATE INDEX client_by_state ON client (state, created_at, encoded_key);
CREATE INDEX client_by_branch ON client (assigned_branch_key) WHERE assigned_branch_key IS NOT NULL;
CREATE INDEX client_by_centre ON client (assigned_centre_key) WHERE assigned_centre_key IS NOT NULL;
CREATE INDEX client_by_user ON client (assigned_user_key) WHERE assigned_user_key IS NOT NULL;
CREATE INDEX client_by_update ON client (updated_at, encoded_key);
CREATE INDEX client_by_name ON client (last_name, first_name, encoded_key);
CREATE INDEX client_by_first_name ON client (first_name);
CREATE INDEX client_by_birth_date ON client (birth_date);
CREATE INDEX client_by_email ON client (email_address);
CREATE INDEX client_by_home_phone ON client (home_phone);
CREATE INDEX client_by_mobile_phone1 ON client (mobile_phone1);
CREATE INDEX client_by_mobile_phone2 ON client (mobile_phone2);
CREATE INDEX id_document_by_number ON id_document (document_id);
CREATE INDEX custom_field_value_by_value
    ON custom_field_value (field_key, substr(coalesce(value, linked_key), 1, 100));
";
