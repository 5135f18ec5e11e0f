//! Writes the server's GraphQL answers from rows of its tables.

use std::collections::HashMap;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// The columns that [`Client::begin`] reads.
pub const CLIENT: &str = "encoded_key, client_id, state, first_name, middle_name, last_name, birth_date, gender, \
    email_address, home_phone, mobile_phone1, mobile_phone2, preferred_language, notes, assigned_branch_key, \
    assigned_centre_key, assigned_user_key, created_at, approved_at, activated_at, closed_at, merged_into_key, \
    updated_at, version, client_role_key";
/// The columns that [`Client::address`] reads.
pub const ADDRESS: &str =
    "client_key, encoded_key, position, line1, line2, city, region, postcode, country, latitude, longitude";
/// The columns that [`Client::document`] reads.
pub const DOCUMENT: &str =
    "client_key, encoded_key, position, document_type, document_id, issuing_authority, valid_until";
/// The columns that [`Client::value`] reads.
pub const VALUE: &str = "client_key, encoded_key, position, value, field_key";

/// A row of either database, whose columns are read by index.
pub trait Row {
    fn text(&self, column: usize) -> Option<&str>;
    fn integer(&self, column: usize) -> i32;
    /// Writes a date without quotes. False for NULL.
    fn date(&self, column: usize, out: &mut Vec<u8>) -> bool;
    /// Writes an instant with up to six fraction digits, without quotes. False for NULL.
    fn instant(&self, column: usize, out: &mut Vec<u8>) -> bool;
    fn double(&self, column: usize) -> Option<f64>;
}

/// Names that answers contain, read once at the start.
#[derive(Default)]
pub struct Definitions {
    /// The names of client roles by key.
    pub roles: HashMap<String, String>,
    /// The ids and names of custom fields by key.
    pub fields: HashMap<String, (String, String)>,
    /// The keys of custom fields by id.
    pub field_keys: HashMap<String, String>,
}

impl Definitions {
    pub fn insert_field(&mut self, key: String, id: String, name: String) {
        self.field_keys.insert(id.clone(), key.clone());
        self.fields.insert(key, (id, name));
    }
}

/// Writes one client with its collections, part by part in this order.
pub struct Client<'a> {
    pub out: &'a mut Vec<u8>,
    pub definitions: &'a Definitions,
}

impl Client<'_> {
    pub fn begin(&mut self, row: &impl Row) {
        let key = row.text(0).unwrap_or_default();
        let id = BASE64_URL_SAFE_NO_PAD.encode(format!("Client:{key}"));
        self.text("{\"id\":", Some(&id));
        self.text(",\"encodedKey\":", Some(key));
        self.text(",\"clientId\":", row.text(1));
        self.text(",\"state\":", row.text(2));
        self.text(",\"firstName\":", row.text(3));
        self.text(",\"middleName\":", row.text(4));
        self.text(",\"lastName\":", row.text(5));
        let names = [row.text(3), row.text(4), row.text(5)];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        self.text(",\"fullName\":", Some(&names.join(" ")));
        self.quoted(",\"birthDate\":", |out| row.date(6, out));
        self.text(",\"gender\":", row.text(7));
        self.text(",\"emailAddress\":", row.text(8));
        self.text(",\"homePhone\":", row.text(9));
        self.text(",\"mobilePhone1\":", row.text(10));
        self.text(",\"mobilePhone2\":", row.text(11));
        self.text(",\"preferredLanguage\":", row.text(12));
        self.text(",\"notes\":", row.text(13));
        self.text(",\"assignedBranchKey\":", row.text(14));
        self.text(",\"assignedCentreKey\":", row.text(15));
        self.text(",\"assignedUserKey\":", row.text(16));
        self.quoted(",\"createdAt\":", |out| row.instant(17, out));
        self.quoted(",\"approvedAt\":", |out| row.instant(18, out));
        self.quoted(",\"activatedAt\":", |out| row.instant(19, out));
        self.quoted(",\"closedAt\":", |out| row.instant(20, out));
        self.text(",\"mergedIntoKey\":", row.text(21));
        self.quoted(",\"updatedAt\":", |out| row.instant(22, out));
        self.json(",\"version\":", &row.integer(23));
        let role = row.text(24).and_then(|key| self.definitions.roles.get(key));
        self.text(",\"clientRole\":{\"name\":", role.map(String::as_str));
        self.raw("},\"addresses\":[");
    }

    pub fn address(&mut self, at: usize, row: &impl Row) {
        self.member(at, row);
        self.text(",\"line1\":", row.text(3));
        self.text(",\"line2\":", row.text(4));
        self.text(",\"city\":", row.text(5));
        self.text(",\"region\":", row.text(6));
        self.text(",\"postcode\":", row.text(7));
        self.text(",\"country\":", row.text(8));
        self.json(",\"latitude\":", &row.double(9));
        self.json(",\"longitude\":", &row.double(10));
        self.raw("}");
    }

    pub fn begin_documents(&mut self) {
        self.raw("],\"idDocuments\":[");
    }

    pub fn document(&mut self, at: usize, row: &impl Row) {
        self.member(at, row);
        self.text(",\"documentType\":", row.text(3));
        self.text(",\"documentId\":", row.text(4));
        self.text(",\"issuingAuthority\":", row.text(5));
        self.quoted(",\"validUntil\":", |out| row.date(6, out));
        self.raw("}");
    }

    pub fn begin_values(&mut self) {
        self.raw("],\"customInformation\":[");
    }

    pub fn value(&mut self, at: usize, row: &impl Row) {
        self.raw(if at > 0 { ",{" } else { "{" });
        self.text("\"value\":", row.text(3));
        let field = row.text(4).and_then(|key| self.definitions.fields.get(key));
        self.text(",\"field\":{\"fieldId\":", field.map(|(id, _)| id.as_str()));
        self.text(",\"name\":", field.map(|(_, name)| name.as_str()));
        self.raw("}}");
    }

    pub fn end(&mut self) {
        self.raw("]}");
    }

    fn member(&mut self, at: usize, row: &impl Row) {
        self.raw(if at > 0 { ",{" } else { "{" });
        self.text("\"encodedKey\":", row.text(1));
    }

    pub fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    pub fn text(&mut self, name: &str, value: Option<&str>) {
        self.json(name, &value);
    }

    fn json(&mut self, name: &str, value: &impl serde::Serialize) {
        self.raw(name);
        serde_json::to_writer(&mut *self.out, value).expect("memory takes all bytes");
    }

    fn quoted(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        self.raw(name);
        let begin = self.out.len();
        self.raw("\"");
        if write(self.out) {
            self.raw("\"");
        } else {
            self.out.truncate(begin);
            self.raw("null");
        }
    }
}

/// Writes the three columns of a row: first name, last name, e-mail address.
pub fn three(row: &impl Row, definitions: &Definitions) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut writer = Client {
        out: &mut out,
        definitions,
    };
    writer.text("{\"data\":{\"client\":{\"firstName\":", row.text(0));
    writer.text(",\"lastName\":", row.text(1));
    writer.text(",\"emailAddress\":", row.text(2));
    writer.raw("}}}");
    out
}
