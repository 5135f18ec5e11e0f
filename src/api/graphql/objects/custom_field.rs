//! Custom field values.

use entity::custom_field_value;

use super::{
    client::Client,
    definition::{CustomField, CustomFieldOption},
};
use crate::api::graphql::{global_id, loaded::LoadedData};
use clientele_core::scalar::{Date, Decimal};
use clientele_domain::{
    definitions,
    definitions::{Definitions, Kind, NO_GROUP},
    version::PastValue,
};

/// A value with its field, and the data around it.
#[derive(Clone, Copy)]
pub struct ValueRow<'a> {
    pub value: &'a custom_field_value::Model,
    pub field: &'a definitions::Field,
    pub loaded: &'a LoadedData,
}

impl<'a> ValueRow<'a> {
    /// None when the caller may not view the value, or when its field, and with it the value, has been removed in the
    /// meantime.
    pub fn of(value: &'a custom_field_value::Model, loaded: &'a LoadedData) -> Option<Self> {
        let field = loaded.definitions.field_of_key(&value.field_key)?;
        field.is_shown(&loaded.rights).then_some(Self { value, field, loaded })
    }

    /// The text of a value of this type.
    fn text(self, kind: Kind) -> Option<&'a str> {
        self.value.value.as_deref().filter(|_| self.field.kind == kind)
    }
}

object! {
    node CustomFieldValue = ValueRow<'a>, "A client's value for a custom field: as text, and typed by the type of the \
        field.";

    id id "The global ID." => |row| global_id::encode(Self::NAME, &[&row.value.client_key, &row.value.encoded_key]);
    text encodedKey "The key of the value. Inputs name values by their field instead." => |row| &row.value.encoded_key;
    one<CustomField> field "The definition of the field." => |row| (row.field, &*row.loaded.definitions);
    maybe_int groupIndex "The index of the group in a GROUPED set; null in a SINGLE set."
        => |row| (row.value.group_index != NO_GROUP).then_some(row.value.group_index.into());
    maybe_text value "The value as text, for any type of field; null for links." => |row| row.value.value.as_deref();
    maybe_text linkedKey "The key of the linked object; null unless the field is a link."
        => |row| row.value.linked_key.as_deref();
    maybe_decimal number "The value of a NUMBER field; null for other types." => |row| row.text(Kind::Number);
    maybe_date date "The value of a DATE field; null for other types."
        => |row| row.text(Kind::Date).and_then(Date::parse).map(|Date(date)| date);
    maybe_boolean checked "The value of a CHECKBOX field; null for other types."
        => |row| row.text(Kind::Checkbox).map(|text| text == "TRUE");
    maybe<CustomFieldOption> option "The value of a SELECTION field; null for other types, and for a value that the \
        field no longer has." => |row| {
            row.text(Kind::Selection).and_then(|value| row.field.option(value))
        };
    maybe<Client> linkedClient "The client that a CLIENT_LINK field links to; null for other types. Requires \
        VIEW_CLIENT." needs ViewClient => |row| {
            let key = row.value.linked_key.as_deref().filter(|_| row.field.links_clients());
            key.and_then(|key| row.loaded.client(key))
        };
}

/// A value as of a version, and the present definitions.
#[derive(Clone, Copy)]
pub struct PastValueRow<'a> {
    pub value: &'a PastValue,
    /// None if it has been deleted since.
    pub field: Option<&'a definitions::Field>,
    definitions: &'a Definitions,
}

impl<'a> PastValueRow<'a> {
    pub fn of(value: &'a PastValue, definitions: &'a Definitions) -> Self {
        Self {
            value,
            field: definitions.field(&value.field_id),
            definitions,
        }
    }

    /// The text of a value of this type. The field can have been deleted and defined again with another type.
    fn text(self, kind: Kind) -> Option<&'a str> {
        let is_of_kind = self.field.is_some_and(|field| field.kind == kind);
        self.value.value.as_deref().filter(|_| is_of_kind)
    }
}

object! {
    type CustomFieldValueVersion = PastValueRow<'a>, "A client's value for a custom field as of a version: as text, \
        and typed by the present type of the field.";

    text fieldId "The ID of the field." => |row| &row.value.field_id;
    maybe<CustomField> field "The present definition of the field; null if it has been deleted since."
        => |row| row.field.map(|field| (field, row.definitions));
    maybe_int groupIndex "The index of the group in a GROUPED set; null in a SINGLE set."
        => |row| row.value.group_index.map(i64::from);
    maybe_text value "The value as text, for any type of field; null for links." => |row| row.value.value.as_deref();
    maybe_text linkedKey "The key of the linked object; null unless the field is a link."
        => |row| row.value.linked_key.as_deref();
    maybe_decimal number "The value of a NUMBER field; null for other types, and for a text that isn't \
        a number."
        => |row| row.text(Kind::Number).filter(|text| Decimal::parse(text).is_some());
    maybe_date date "The value of a DATE field; null for other types, and for a text that isn't a date."
        => |row| row.text(Kind::Date).and_then(Date::parse).map(|Date(date)| date);
    maybe_boolean checked "The value of a CHECKBOX field; null for other types, and for a text that isn't TRUE or \
        FALSE." => |row| {
            row.text(Kind::Checkbox).and_then(|text| match text {
                "TRUE" => Some(true),
                "FALSE" => Some(false),
                _ => None,
            })
        };
    maybe<CustomFieldOption> option "The present option of a SELECTION field with this value; null for other types, \
        and if the field has no such option any more." => |row| {
            row.text(Kind::Selection).and_then(|value| row.field?.option(value))
        };
}
