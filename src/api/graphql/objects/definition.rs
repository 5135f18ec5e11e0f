//! The definitions that clients follow: custom fields, their options and sets; and client roles.

use std::borrow::Cow;

use async_graphql::OutputType;
use entity::{client_role, custom_field_option, custom_field_set};

use crate::api::graphql::global_id::GlobalId;
use clientele_domain::{
    definitions,
    definitions::{Definitions, FieldState, Kind, SetUsage},
};
use graphql_server::object::{Field, Is, Object, Plan, list, list_of, object, one_of};

/// A definition with all the others around it.
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
        Field {
            name: "id",
            description: "The global id.",
            is: Is::Id(|row| GlobalId::CustomField(row.field.row.encoded_key.clone()).encode()),
        },
        Field {
            name: "encodedKey",
            description: "The key of the field.",
            is: Is::Text(|row| Cow::Borrowed(&row.field.row.encoded_key)),
        },
        Field {
            name: "fieldId",
            description: "The id that submissions name the field by.",
            is: Is::Text(|row| Cow::Borrowed(&row.field.row.field_id)),
        },
        Field {
            name: "name",
            description: "The name people see.",
            is: Is::Text(|row| Cow::Borrowed(&row.field.row.name)),
        },
        Field {
            name: "description",
            description: "What the field is for.",
            is: Is::MaybeText(|row| row.field.row.description.as_deref()),
        },
        Field {
            name: "type",
            description: "What kind of value it holds.",
            is: Is::Enum(<Kind as OutputType>::create_type_info, |row| {
                Some(row.field.kind.as_str())
            }),
        },
        Field {
            name: "state",
            description: "Whether it takes values.",
            is: Is::Enum(<FieldState as OutputType>::create_type_info, |row| {
                Some(&row.field.row.state)
            }),
        },
        Field {
            name: "required",
            description: "Whether every client needs a value for it.",
            is: Is::Boolean(|row| row.field.row.required),
        },
        Field {
            name: "pattern",
            description: "The form of its text, where `#` is a digit, `@` a letter, `$` either, all else itself.",
            is: Is::MaybeText(|row| row.field.row.pattern.as_deref()),
        },
        Field {
            name: "maxLength",
            description: "The longest text it takes, in characters; null where the type isn't text.",
            is: Is::MaybeInt(|row| row.field.longest().map(|length| length as i64)),
        },
        Field {
            name: "options",
            description: "The values on offer, for a SELECTION field; empty for other types.",
            is: Is::Objects {
                ty: list_of::<CustomFieldOption>,
                plan: Plan::of::<CustomFieldOption>,
                arguments: &[],
                write: |row, step, out| list::<CustomFieldOption>(&row.field.options, &step.plan, out),
            },
        },
        Field {
            name: "set",
            description: "The set it belongs to.",
            is: Is::Objects {
                ty: one_of::<CustomFieldSet>,
                plan: Plan::of::<CustomFieldSet>,
                arguments: &[],
                write: |row, step, out| {
                    let set = SetRow {
                        set: &row.field.set,
                        definitions: row.definitions,
                    };
                    object::<CustomFieldSet>(set, &step.plan, out);
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
        Field {
            name: "encodedKey",
            description: "The key of the option.",
            is: Is::Text(|row| Cow::Borrowed(&row.encoded_key)),
        },
        Field {
            name: "value",
            description: "The value itself.",
            is: Is::Text(|row| Cow::Borrowed(&row.value)),
        },
    ];
}

pub struct CustomFieldSet;

impl Object for CustomFieldSet {
    const NAME: &'static str = "CustomFieldSet";
    const DESCRIPTION: &'static str = "A set of custom fields.";
    const IS_NODE: bool = true;
    type Row<'a> = SetRow<'a>;
    const FIELDS: &'static [Field<Self>] = &[
        Field {
            name: "id",
            description: "The global id.",
            is: Is::Id(|row| GlobalId::CustomFieldSet(row.set.encoded_key.clone()).encode()),
        },
        Field {
            name: "encodedKey",
            description: "The key of the set.",
            is: Is::Text(|row| Cow::Borrowed(&row.set.encoded_key)),
        },
        Field {
            name: "setId",
            description: "The id that submissions name the set by.",
            is: Is::Text(|row| Cow::Borrowed(&row.set.set_id)),
        },
        Field {
            name: "name",
            description: "The name people see.",
            is: Is::Text(|row| Cow::Borrowed(&row.set.name)),
        },
        Field {
            name: "usage",
            description: "How many values a client can have for each field.",
            is: Is::Enum(<SetUsage as OutputType>::create_type_info, |row| Some(&row.set.usage)),
        },
        Field {
            name: "fields",
            description: "The fields of the set, in their order; deactivated ones, too.",
            is: Is::Objects {
                ty: list_of::<CustomField>,
                plan: Plan::of::<CustomField>,
                arguments: &[],
                write: |row, step, out| {
                    let fields = row.definitions.fields_of(&row.set.encoded_key);
                    let rows = fields.into_iter().map(|field| FieldRow {
                        field,
                        definitions: row.definitions,
                    });
                    list::<CustomField>(rows, &step.plan, out);
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
        Field {
            name: "id",
            description: "The global id.",
            is: Is::Id(|row| GlobalId::ClientRole(row.encoded_key.clone()).encode()),
        },
        Field {
            name: "encodedKey",
            description: "The key of the role.",
            is: Is::Text(|row| Cow::Borrowed(&row.encoded_key)),
        },
        Field {
            name: "roleId",
            description: "The id of the role.",
            is: Is::Text(|row| Cow::Borrowed(&row.role_id)),
        },
        Field {
            name: "name",
            description: "The name people see.",
            is: Is::Text(|row| Cow::Borrowed(&row.name)),
        },
        Field {
            name: "description",
            description: "What the role is for.",
            is: Is::MaybeText(|row| row.description.as_deref()),
        },
        Field {
            name: "isDefault",
            description: "Whether clients that are given no role have this one.",
            is: Is::Boolean(|row| row.is_default),
        },
    ];
}
