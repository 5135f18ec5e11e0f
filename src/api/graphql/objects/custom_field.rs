//! Custom field values, and the definitions they follow: fields, options, sets; and client roles.

use std::borrow::Cow;

use async_graphql::OutputType;
use chrono::NaiveDate;
use entity::{client_role, custom_field_option, custom_field_value};

use super::client::{Client, ClientRow};
use crate::{
    api::graphql::{
        load::World,
        node::GlobalId,
        object::{Field, Is, Object, Plan, list, list_of, maybe, maybe_of, object, one_of},
    },
    custom_field::{self as domain, Definitions, FieldState, Kind, NO_GROUP, SetUsage},
    scalar::Date,
};

/// A value with its field, and what was loaded beside it.
#[derive(Clone, Copy)]
pub struct ValueRow<'a> {
    pub value: &'a custom_field_value::Model,
    pub field: &'a domain::Field,
    pub world: &'a World,
}

impl<'a> ValueRow<'a> {
    /// None when the field has been removed since the value was read; then the value is gone, too.
    pub fn of(value: &'a custom_field_value::Model, world: &'a World) -> Option<Self> {
        let field = world.definitions.field_of_key(&value.field_key)?;
        Some(Self { value, field, world })
    }

    /// The text of a value of this type.
    fn text(self, kind: Kind) -> Option<&'a str> {
        (self.field.kind == kind)
            .then_some(self.value.value.as_deref())
            .flatten()
    }
}

/// A definition with all the others around it.
#[derive(Clone, Copy)]
pub struct FieldRow<'a> {
    pub field: &'a domain::Field,
    pub definitions: &'a Definitions,
}

#[derive(Clone, Copy)]
pub struct SetRow<'a> {
    pub set: &'a entity::custom_field_set::Model,
    pub definitions: &'a Definitions,
}

pub struct CustomFieldValue;

impl Object for CustomFieldValue {
    const NAME: &'static str = "CustomFieldValue";
    const DESCRIPTION: &'static str =
        "The value a client has for a custom field: as text, and typed by the field's type.";
    const IS_NODE: bool = true;
    type Row<'a> = ValueRow<'a>;
    const FIELDS: &'static [Field<Self>] = &[
        Field {
            name: "id",
            description: "The global id.",
            is: Is::Id(|row| {
                let (client_key, key) = (row.value.client_key.clone(), row.value.encoded_key.clone());
                GlobalId::CustomFieldValue { client_key, key }.encode()
            }),
        },
        Field {
            name: "encodedKey",
            description: "The key of the value. Values are matched by their field, not by this key.",
            is: Is::Text(|row| Cow::Borrowed(&row.value.encoded_key)),
        },
        Field {
            name: "field",
            description: "The definition of the field.",
            is: Is::Objects {
                ty: one_of::<CustomField>,
                plan: Plan::of::<CustomField>,
                arguments: &[],
                write: |row, step, out| {
                    let field = FieldRow {
                        field: row.field,
                        definitions: &row.world.definitions,
                    };
                    object::<CustomField>(field, &step.plan, out);
                },
            },
        },
        Field {
            name: "groupIndex",
            description: "The place in a grouped set; null in a SINGLE set.",
            is: Is::MaybeInt(|row| (row.value.group_index != NO_GROUP).then_some(row.value.group_index.into())),
        },
        Field {
            name: "value",
            description: "The value as text, whatever the type; null for links.",
            is: Is::MaybeText(|row| row.value.value.as_deref()),
        },
        Field {
            name: "linkedKey",
            description: "The key of what is linked; null for all types but links.",
            is: Is::MaybeText(|row| row.value.linked_key.as_deref()),
        },
        Field {
            name: "number",
            description: "The value of a NUMBER field; null for other types.",
            is: Is::MaybeDecimal(|row| row.text(Kind::Number)),
        },
        Field {
            name: "date",
            description: "The value of a DATE field; null for other types.",
            is: Is::MaybeDate(|row| {
                row.text(Kind::Date)
                    .and_then(Date::parse)
                    .map(|Date(date)| -> NaiveDate { date })
            }),
        },
        Field {
            name: "checked",
            description: "The value of a CHECKBOX field; null for other types.",
            is: Is::MaybeBoolean(|row| row.text(Kind::Checkbox).map(|text| text == "TRUE")),
        },
        Field {
            name: "option",
            description: "The value of a SELECTION field, while it is on offer; null for other types.",
            is: Is::Objects {
                ty: maybe_of::<CustomFieldOption>,
                plan: Plan::of::<CustomFieldOption>,
                arguments: &[],
                write: |row, step, out| {
                    let chosen = row.text(Kind::Selection);
                    let option = row
                        .field
                        .options
                        .iter()
                        .find(|option| Some(option.value.as_str()) == chosen);
                    maybe::<CustomFieldOption>(option, &step.plan, out);
                },
            },
        },
        Field {
            name: "linkedClient",
            description: "The client that a CLIENT_LINK field leads to; null for other types.",
            is: Is::Objects {
                ty: maybe_of::<Client>,
                plan: Plan::of::<Client>,
                arguments: &[],
                write: |row, step, out| {
                    let key = row.value.linked_key.as_deref().filter(|_| row.field.links_clients());
                    let linked = key.and_then(|key| row.world.linked.get(key));
                    let linked = linked.map(|aggregate| ClientRow {
                        aggregate,
                        world: row.world,
                    });
                    maybe::<Client>(linked, &step.plan, out);
                },
            },
        },
    ];
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
