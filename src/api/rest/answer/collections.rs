//! Writes the members of a client's collections, with a custom field's definition next to each of its values.

use entity::{address, custom_field_value, id_document};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

use super::{Members, Midnight};
use clientele_domain::definitions::{Definitions, Field, Kind};

pub struct Document<'a>(pub &'a id_document::Model);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let id_document::Model {
            client_key,
            encoded_key,
            position,
            document_type,
            document_id,
            issuing_authority,
            valid_until,
        } = self.0;
        let mut members = Members::of(serializer)?;
        members.put("encodedKey", encoded_key)?;
        members.put("clientKey", client_key)?;
        members.put("documentType", document_type)?;
        members.put("documentId", document_id)?;
        members.put_some("issuingAuthority", issuing_authority.as_ref())?;
        members.put_some("validUntil", valid_until.as_ref().map(Midnight))?;
        members.put("indexInList", position)?;
        members.0.end()
    }
}

pub struct Address<'a>(pub &'a address::Model);

impl Serialize for Address<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let address::Model {
            client_key,
            encoded_key,
            position,
            line1,
            line2,
            city,
            region,
            postcode,
            country,
            latitude,
            longitude,
        } = self.0;
        let mut members = Members::of(serializer)?;
        members.put("encodedKey", encoded_key)?;
        members.put("parentKey", client_key)?;
        members.put_some("line1", line1.as_ref())?;
        members.put_some("line2", line2.as_ref())?;
        members.put_some("city", city.as_ref())?;
        members.put_some("region", region.as_ref())?;
        members.put_some("postcode", postcode.as_ref())?;
        members.put_some("country", country.as_ref())?;
        members.put_some("latitude", *latitude)?;
        members.put_some("longitude", *longitude)?;
        members.put("indexInList", position)?;
        members.0.end()
    }
}

pub struct Values<'a> {
    pub values: &'a [custom_field_value::Model],
    pub definitions: &'a Definitions,
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let mut index = 0;
        for value in self.values {
            // A field is deleted only when it has no values, so a value without a field was deleted after it was read.
            if let Some(field) = self.definitions.field_of_key(&value.field_key) {
                list.serialize_element(&CustomValue { value, field, index })?;
                index += 1;
            }
        }
        list.end()
    }
}

struct CustomValue<'a> {
    value: &'a custom_field_value::Model,
    field: &'a Field,
    /// Its index in this list, which must not reveal omitted values.
    index: usize,
}

impl Serialize for CustomValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let custom_field_value::Model {
            client_key,
            field_key,
            group_index,
            encoded_key,
            position: _, // among all values, including omitted ones
            value,
            linked_key,
        } = self.value;
        let mut members = Members::of(serializer)?;
        members.put("encodedKey", encoded_key)?;
        members.put("parentKey", client_key)?;
        members.put("customFieldKey", field_key)?;
        members.put("customField", Definition(self.field))?;
        members.put_some("value", value.as_ref())?;
        members.put_some("linkedEntityKeyValue", linked_key.as_ref())?;
        members.put("indexInList", self.index)?;
        members.put("customFieldID", &self.field.row.field_id)?;
        members.put("customFieldSetGroupIndex", group_index)?;
        members.0.end()
    }
}

/// A custom field as shown next to each of its values.
struct Definition<'a>(&'a Field);

impl Serialize for Definition<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Field { row, kind, .. } = self.0;
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
        let mut members = Members::of(serializer)?;
        members.put("encodedKey", &row.encoded_key)?;
        members.put("id", &row.field_id)?;
        members.put("name", &row.name)?;
        members.put("type", "CLIENT_INFO")?;
        members.put("dataType", data_type)?;
        members.put("isRequired", row.required)?;
        members.put("state", if self.0.is_active() { "NORMAL" } else { "DEACTIVATED" })?;
        members.put("unique", false)?;
        members.put_some("valueLength", length)?;
        members.put_some("description", row.description.as_ref())?;
        members.put_some("validationPattern", row.pattern.as_ref())?;
        members.0.end()
    }
}
