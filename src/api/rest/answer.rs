//! Writes stored clients as legacy JSON: with its member names and their order, without nulls.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use chrono::{DateTime, NaiveDate, Utc};
use entity::{address, client, custom_field_value, id_document};
use serde::{Serialize, Serializer, ser::SerializeMap};

use clientele_core::{budget::Text, error};
use clientele_domain::{
    client::{Aggregate, ClientParts},
    definitions::{Definitions, Field, Kind},
};

/// A response with a JSON body.
pub fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// The answer to a change without other contents.
pub fn success() -> Body {
    Body::from(success_bytes())
}

/// The same, to be counted against a request's memory.
pub fn success_bytes() -> Vec<u8> {
    br#"{"returnCode":0,"returnStatus":"SUCCESS"}"#.to_vec()
}

/// The parts of a client in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The client alone.
    Bare,
    /// With its collections.
    Expanded,
    /// With its collections and groups, as reads answer. There are no groups.
    WithGroups,
}

impl Detail {
    pub fn parts(self) -> ClientParts {
        match self {
            Self::Bare => ClientParts::default(),
            Self::Expanded | Self::WithGroups => ClientParts::ALL,
        }
    }

    fn write(self, client: &Aggregate, definitions: &Definitions, text: &mut Text) {
        match self {
            Self::Bare => text.value(&Bare(&client.client)),
            Self::Expanded | Self::WithGroups => text.value(&Expanded {
                client,
                definitions,
                with_groups: self == Self::WithGroups,
            }),
        }
    }
}

/// # Errors
/// As [`Text::finish`].
pub fn client(client: &Aggregate, definitions: &Definitions, detail: Detail) -> error::Result<Vec<u8>> {
    let mut text = Text::begin();
    detail.write(client, definitions, &mut text);
    text.finish()
}

/// A list of clients.
///
/// # Errors
/// As [`Text::finish`].
pub fn clients(clients: &[Aggregate], definitions: &Definitions, detail: Detail) -> error::Result<Vec<u8>> {
    let mut text = Text::begin();
    text.push("[");
    for (at, client) in clients.iter().enumerate() {
        if at > 0 {
            text.push(",");
        }
        detail.write(client, definitions, &mut text);
    }
    text.push("]");
    text.finish()
}

/// A client without its collections.
struct Bare<'a>(&'a client::Model);

/// The members of one JSON object.
pub struct Members<M>(M);

impl<M: SerializeMap> Members<M> {
    pub fn of<S: Serializer<SerializeMap = M>>(serializer: S) -> Result<Self, S::Error> {
        serializer.serialize_map(None).map(Self)
    }

    pub fn put(&mut self, name: &'static str, value: impl Serialize) -> Result<(), M::Error> {
        self.0.serialize_entry(name, &value)
    }

    pub fn put_some(&mut self, name: &'static str, value: Option<impl Serialize>) -> Result<(), M::Error> {
        value.map_or(Ok(()), |value| self.put(name, value))
    }

    pub fn end(self) -> Result<M::Ok, M::Error> {
        self.0.end()
    }
}

/// A time as the legacy service writes it.
pub struct Timestamp<'a>(pub &'a DateTime<Utc>);

impl Serialize for Timestamp<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.format("%Y-%m-%dT%H:%M:%S+0000"))
    }
}

/// A date as the timestamp of its start.
struct Midnight<'a>(&'a NaiveDate);

impl Serialize for Midnight<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}T00:00:00+0000", self.0))
    }
}

impl Serialize for Bare<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(row) = self;
        let mut members = Members::of(serializer)?;
        members.put("encodedKey", &row.encoded_key)?;
        members.put("state", &row.state)?;
        members.put("id", &row.client_id)?;
        members.put("creationDate", Timestamp(&row.created_at))?;
        members.put("lastModifiedDate", Timestamp(&row.updated_at))?;
        members.put_some("approvedDate", row.approved_at.as_ref().map(Timestamp))?;
        members.put_some("activationDate", row.activated_at.as_ref().map(Timestamp))?;
        members.put_some("closedDate", row.closed_at.as_ref().map(Timestamp))?;
        members.put("firstName", &row.first_name)?;
        members.put("lastName", &row.last_name)?;
        members.put_some("middleName", row.middle_name.as_ref())?;
        members.put_some("homePhone", row.home_phone.as_ref())?;
        members.put_some("emailAddress", row.email_address.as_ref())?;
        members.put_some("mobilePhone1", row.mobile_phone1.as_ref())?;
        members.put_some("mobilePhone2", row.mobile_phone2.as_ref())?;
        members.put_some("birthDate", row.birth_date.as_ref().map(Midnight))?;
        members.put_some("gender", row.gender.as_ref())?;
        members.put_some("notes", row.notes.as_ref())?;
        members.put_some("assignedUserKey", row.assigned_user_key.as_ref())?;
        members.put_some("assignedBranchKey", row.assigned_branch_key.as_ref())?;
        members.put_some("assignedCentreKey", row.assigned_centre_key.as_ref())?;
        // Loans are stored elsewhere.
        members.put("loanCycle", 0)?;
        members.put("groupLoanCycle", 0)?;
        let encoded_key = &row.client_role_key;
        members.put("clientRole", Role { encoded_key })?;
        members.put("preferredLanguage", &row.preferred_language)?;
        members.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Role<'a> {
    encoded_key: &'a str,
}

/// A client with its collections.
struct Expanded<'a> {
    client: &'a Aggregate,
    definitions: &'a Definitions,
    with_groups: bool,
}

impl Serialize for Expanded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Aggregate {
            client,
            addresses,
            id_documents,
            custom_values,
        } = self.client;
        let mut members = Members::of(serializer)?;
        members.put("client", Bare(client))?;
        let values = Values(custom_values.as_deref().unwrap_or_default(), self.definitions);
        members.put("customInformation", values)?;
        members.put("idDocuments", each(id_documents, Document))?;
        members.put("addresses", each(addresses, Address))?;
        if self.with_groups {
            members.put("groupKeys", [(); 0])?;
        }
        members.end()
    }
}

fn each<'a, M, W>(rows: &'a Option<Vec<M>>, wire: fn(&'a M) -> W) -> Vec<W> {
    rows.iter().flatten().map(wire).collect()
}

struct Document<'a>(&'a id_document::Model);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(row) = self;
        let mut members = Members::of(serializer)?;
        members.put("encodedKey", &row.encoded_key)?;
        members.put("clientKey", &row.client_key)?;
        members.put("documentType", &row.document_type)?;
        members.put("documentId", &row.document_id)?;
        members.put_some("issuingAuthority", row.issuing_authority.as_ref())?;
        members.put_some("validUntil", row.valid_until.as_ref().map(Midnight))?;
        members.put("indexInList", row.position)?;
        members.put_some("identificationDocumentTemplateKey", row.template_key.as_ref())?;
        members.end()
    }
}

struct Address<'a>(&'a address::Model);

impl Serialize for Address<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(row) = self;
        let mut members = Members::of(serializer)?;
        members.put("encodedKey", &row.encoded_key)?;
        members.put("parentKey", &row.client_key)?;
        members.put_some("line1", row.line1.as_ref())?;
        members.put_some("line2", row.line2.as_ref())?;
        members.put_some("city", row.city.as_ref())?;
        members.put_some("region", row.region.as_ref())?;
        members.put_some("postcode", row.postcode.as_ref())?;
        members.put_some("country", row.country.as_ref())?;
        members.put_some("latitude", row.latitude)?;
        members.put_some("longitude", row.longitude)?;
        members.put("indexInList", row.position)?;
        members.end()
    }
}

struct Values<'a>(&'a [custom_field_value::Model], &'a Definitions);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(rows, definitions) = self;
        // A field is deleted only when it has no values, so a value without a field was deleted after it was read.
        let shown = rows
            .iter()
            .filter_map(|row| Some((row, definitions.field_of_key(&row.field_key)?)));
        serializer.collect_seq(
            shown
                .enumerate()
                .map(|(index, (row, field))| CustomValue { row, field, index }),
        )
    }
}

struct CustomValue<'a> {
    row: &'a custom_field_value::Model,
    field: &'a Field,
    /// Its index in this list, which must not reveal omitted values.
    index: usize,
}

impl Serialize for CustomValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { row, field, index } = self;
        let mut members = Members::of(serializer)?;
        members.put("encodedKey", &row.encoded_key)?;
        members.put("parentKey", &row.client_key)?;
        members.put("customFieldKey", &row.field_key)?;
        members.put("customField", Definition(field))?;
        members.put_some("value", row.value.as_ref())?;
        members.put_some("linkedEntityKeyValue", row.linked_key.as_ref())?;
        members.put("indexInList", index)?;
        members.put("customFieldID", &field.row.field_id)?;
        members.put("customFieldSetGroupIndex", row.group_index)?;
        members.end()
    }
}

/// A custom field as shown next to each of its values.
struct Definition<'a>(&'a Field);

impl Serialize for Definition<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::of(serializer)?;
        members.definition(self.0)?;
        members.end()
    }
}

impl<M: SerializeMap> Members<M> {
    /// The members of a custom field that are shown everywhere.
    pub fn definition(&mut self, field: &Field) -> Result<(), M::Error> {
        let Field { row, kind, .. } = field;
        let (data_type, length) = match kind {
            Kind::Text => ("STRING", Some("SHORT")),
            Kind::LongText => ("STRING", Some("LONG")),
            Kind::Selection
            | Kind::Number
            | Kind::Checkbox
            | Kind::Date
            | Kind::ClientLink
            | Kind::UserLink
            | Kind::GroupLink => (kind.as_str(), None),
        };
        self.put("encodedKey", &row.encoded_key)?;
        self.put("id", &row.field_id)?;
        self.put("name", &row.name)?;
        self.put("type", "CLIENT_INFO")?;
        self.put("dataType", data_type)?;
        self.put("isRequired", row.required)?;
        self.put("state", if field.is_active() { "NORMAL" } else { "DEACTIVATED" })?;
        self.put("unique", row.is_unique)?;
        self.put_some("valueLength", length)?;
        self.put_some("description", row.description.as_ref())?;
        self.put_some("validationPattern", row.pattern.as_ref())
    }
}
