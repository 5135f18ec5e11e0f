//! Custom field values.

use std::borrow::Cow;

use chrono::NaiveDate;
use entity::custom_field_value;

use super::{
    client::{Client, ClientRow},
    definition::{CustomField, CustomFieldOption, FieldRow},
};
use crate::api::graphql::{global_id::GlobalId, loaded::LoadedData};
use clientele_core::scalar::Date;
use clientele_domain::{
    caller::Permission,
    definitions,
    definitions::{Kind, NO_GROUP},
};
use graphql_server::object::{Field, FieldKind, Object, Selection, maybe, maybe_of, object, one_of};

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
        if !field.is_shown(&loaded.rights) {
            return None;
        }
        Some(Self { value, field, loaded })
    }

    /// The text of a value of this type.
    fn text(self, kind: Kind) -> Option<&'a str> {
        (self.field.kind == kind)
            .then_some(self.value.value.as_deref())
            .flatten()
    }
}

pub struct CustomFieldValue;

impl Object for CustomFieldValue {
    const NAME: &'static str = "CustomFieldValue";
    const DESCRIPTION: &'static str =
        "The value a client has for a custom field: as text, and typed by the field's type.";
    const IS_NODE: bool = true;
    type Row<'a> = ValueRow<'a>;
    const FIELDS: &'static [Field<Self>] = &[
        Field::id("id", "The global id.", |row| {
            let (client_key, key) = (row.value.client_key.clone(), row.value.encoded_key.clone());
            GlobalId::CustomFieldValue { client_key, key }.encode()
        }),
        Field::text(
            "encodedKey",
            "The key of the value. Values are matched by their field, not by this key.",
            |row| Cow::Borrowed(&row.value.encoded_key),
        ),
        Field {
            name: "field",
            description: "The definition of the field.",
            kind: FieldKind::Objects {
                ty: one_of::<CustomField>,
                select: Selection::of::<CustomField>,
                arguments: &[],
                write: |row, field, json| {
                    let definition = FieldRow {
                        field: row.field,
                        definitions: &row.loaded.definitions,
                    };
                    object::<CustomField>(definition, &field.selection, json);
                },
            },
        },
        Field::maybe_int(
            "groupIndex",
            "The place in a grouped set; null in a SINGLE set.",
            |row| (row.value.group_index != NO_GROUP).then_some(row.value.group_index.into()),
        ),
        Field::maybe_text(
            "value",
            "The value as text, whatever the type; null for links.",
            |row| row.value.value.as_deref(),
        ),
        Field::maybe_text(
            "linkedKey",
            "The key of what is linked; null for all types but links.",
            |row| row.value.linked_key.as_deref(),
        ),
        Field::maybe_decimal("number", "The value of a NUMBER field; null for other types.", |row| {
            row.text(Kind::Number)
        }),
        Field::maybe_date("date", "The value of a DATE field; null for other types.", |row| {
            row.text(Kind::Date)
                .and_then(Date::parse)
                .map(|Date(date)| -> NaiveDate { date })
        }),
        Field::maybe_boolean(
            "checked",
            "The value of a CHECKBOX field; null for other types.",
            |row| row.text(Kind::Checkbox).map(|text| text == "TRUE"),
        ),
        Field {
            name: "option",
            description: "The value of a SELECTION field, while it is on offer; null for other types.",
            kind: FieldKind::Objects {
                ty: maybe_of::<CustomFieldOption>,
                select: Selection::of::<CustomFieldOption>,
                arguments: &[],
                write: |row, field, json| {
                    let chosen = row.text(Kind::Selection);
                    let option = row
                        .field
                        .options
                        .iter()
                        .find(|option| Some(option.value.as_str()) == chosen);
                    maybe::<CustomFieldOption>(option, &field.selection, json);
                },
            },
        },
        Field {
            name: "linkedClient",
            description: "The client that a CLIENT_LINK field leads to; null for other types. Needs VIEW_CLIENT.",
            kind: FieldKind::Guarded {
                requires: Permission::ViewClient.as_str(),
                ty: maybe_of::<Client>,
                select: Selection::of::<Client>,
                arguments: &[],
                write: |row, field, json| {
                    let key = row.value.linked_key.as_deref().filter(|_| row.field.links_clients());
                    let linked = key.and_then(|key| row.loaded.clients.get(key));
                    let linked = linked.map(|aggregate| ClientRow {
                        aggregate,
                        loaded: row.loaded,
                    });
                    maybe::<Client>(linked, &field.selection, json);
                },
            },
        },
    ];
}
