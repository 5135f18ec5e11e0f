//! The definitions that clients follow: custom fields, their options and sets; and client roles.

use std::borrow::Cow;

use entity::{client_role, custom_field_option, custom_field_set};

use crate::api::graphql::global_id::GlobalId;
use clientele_domain::definitions::{self, Definitions, FieldState, Kind, SetUsage};
use graphql_server::object::{Field, FieldKind, Object, Selection, list, list_of, object, one_of};

/// A definition, and all other definitions.
#[derive(Clone, Copy)]
pub struct FieldRow<'a> {
    pub field: &'a definitions::Field,
    pub definitions: &'a Definitions,
}

#[derive(Clone, Copy)]
pub struct SetRow<'a> {
    pub set: &'a custom_field_set::Model,
    pub definitions: &'a Definitions,
}

pub struct CustomField;

impl Object for CustomField {
    const NAME: &'static str = "CustomField";
    const DESCRIPTION: &'static str = "The definition of a custom field.";
    const IS_NODE: bool = true;
    type Row<'a> = FieldRow<'a>;
    const FIELDS: &'static [Field<Self>] = &[
        Field::id("id", "The global id.", |row| {
            GlobalId::CustomField(row.field.row.encoded_key.clone()).encode()
        }),
        Field::text("encodedKey", "The key of the field.", |row| {
            Cow::Borrowed(&row.field.row.encoded_key)
        }),
        Field::text("fieldId", "The id that submissions name the field by.", |row| {
            Cow::Borrowed(&row.field.row.field_id)
        }),
        Field::text("name", "The name people see.", |row| Cow::Borrowed(&row.field.row.name)),
        Field::maybe_text("description", "What the field is for.", |row| {
            row.field.row.description.as_deref()
        }),
        Field::one_of::<Kind>("type", "What kind of value it holds.", |row| {
            Some(row.field.kind.as_str())
        }),
        Field::one_of::<FieldState>("state", "Whether it takes values.", |row| Some(&row.field.row.state)),
        Field::boolean("required", "Whether every client needs a value for it.", |row| {
            row.field.row.required
        }),
        Field::maybe_text(
            "pattern",
            "The form of its text, where `#` is a digit, `@` a letter, `$` either, all else itself.",
            |row| row.field.row.pattern.as_deref(),
        ),
        Field::maybe_int(
            "maxLength",
            "The longest text it takes, in characters; null where the type isn't text.",
            |row| row.field.longest().map(|length| length as i64),
        ),
        Field {
            name: "options",
            description: "The values on offer, for a SELECTION field; empty for other types.",
            kind: FieldKind::Objects {
                ty: list_of::<CustomFieldOption>,
                select: Selection::of::<CustomFieldOption>,
                arguments: &[],
                write: |row, field, json| list::<CustomFieldOption>(&row.field.options, &field.selection, json),
            },
        },
        Field {
            name: "set",
            description: "The set it belongs to.",
            kind: FieldKind::Objects {
                ty: one_of::<CustomFieldSet>,
                select: Selection::of::<CustomFieldSet>,
                arguments: &[],
                write: |row, field, json| {
                    let set = SetRow {
                        set: &row.field.set,
                        definitions: row.definitions,
                    };
                    object::<CustomFieldSet>(set, &field.selection, json);
                },
            },
        },
    ];
}

pub struct CustomFieldOption;

impl Object for CustomFieldOption {
    const NAME: &'static str = "CustomFieldOption";
    const DESCRIPTION: &'static str = "A value that a SELECTION field offers.";
    type Row<'a> = &'a custom_field_option::Model;
    const FIELDS: &'static [Field<Self>] = &[
        Field::text("encodedKey", "The key of the option.", |row| {
            Cow::Borrowed(&row.encoded_key)
        }),
        Field::text("value", "The value itself.", |row| Cow::Borrowed(&row.value)),
    ];
}

pub struct CustomFieldSet;

impl Object for CustomFieldSet {
    const NAME: &'static str = "CustomFieldSet";
    const DESCRIPTION: &'static str = "A set of custom fields.";
    const IS_NODE: bool = true;
    type Row<'a> = SetRow<'a>;
    const FIELDS: &'static [Field<Self>] = &[
        Field::id("id", "The global id.", |row| {
            GlobalId::CustomFieldSet(row.set.encoded_key.clone()).encode()
        }),
        Field::text("encodedKey", "The key of the set.", |row| {
            Cow::Borrowed(&row.set.encoded_key)
        }),
        Field::text("setId", "The id that submissions name the set by.", |row| {
            Cow::Borrowed(&row.set.set_id)
        }),
        Field::text("name", "The name people see.", |row| Cow::Borrowed(&row.set.name)),
        Field::one_of::<SetUsage>("usage", "How many values a client can have for each field.", |row| {
            Some(&row.set.usage)
        }),
        Field {
            name: "fields",
            description: "The fields of the set, in their order; deactivated ones, too.",
            kind: FieldKind::Objects {
                ty: list_of::<CustomField>,
                select: Selection::of::<CustomField>,
                arguments: &[],
                write: |row, field, json| {
                    let fields = row.definitions.fields_of(&row.set.encoded_key);
                    let rows = fields.into_iter().map(|field| FieldRow {
                        field,
                        definitions: row.definitions,
                    });
                    list::<CustomField>(rows, &field.selection, json);
                },
            },
        },
    ];
}

pub struct ClientRole;

impl Object for ClientRole {
    const NAME: &'static str = "ClientRole";
    const DESCRIPTION: &'static str = "A role that clients have in the bank.";
    const IS_NODE: bool = true;
    type Row<'a> = &'a client_role::Model;
    const FIELDS: &'static [Field<Self>] = &[
        Field::id("id", "The global id.", |row| {
            GlobalId::ClientRole(row.encoded_key.clone()).encode()
        }),
        Field::text("encodedKey", "The key of the role.", |row| {
            Cow::Borrowed(&row.encoded_key)
        }),
        Field::text("roleId", "The id of the role.", |row| Cow::Borrowed(&row.role_id)),
        Field::text("name", "The name people see.", |row| Cow::Borrowed(&row.name)),
        Field::maybe_text("description", "What the role is for.", |row| row.description.as_deref()),
        Field::boolean(
            "isDefault",
            "Whether clients that are given no role have this one.",
            |row| row.is_default,
        ),
    ];
}
