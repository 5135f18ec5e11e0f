//! A client.

mod listed;

use std::borrow::Cow;

use async_graphql::{OutputType, Value};

use super::{
    audit::AuditRecord,
    connection::{Connection, PAGE_ARGUMENTS, PageRow},
    custom_field::{CustomFieldValue, ValueRow},
    definition::ClientRole,
    member::{Address, IdDocument},
    message::Message,
};
use crate::api::graphql::{
    global_id::GlobalId,
    load_plan::{history_window, window},
    loaded::LoadedData,
};
use clientele_domain::{
    caller::Permission,
    client::Aggregate,
    enums::{ClientState, Gender, Language},
};
use graphql_server::object::{
    Argument, Field, FieldKind, Object, SelectedField, Selection, list, list_of, maybe, maybe_of, one_of,
};

/// A client, and the data around it.
#[derive(Clone, Copy)]
pub struct ClientRow<'a> {
    pub aggregate: &'a Aggregate,
    pub loaded: &'a LoadedData,
}

pub struct Client;

impl Object for Client {
    const NAME: &'static str = "Client";
    const DESCRIPTION: &'static str = "A client of the bank, with all that belongs to it.";
    const IS_NODE: bool = true;
    type Row<'a> = ClientRow<'a>;
    const FIELDS: &'static [Field<Self>] = &[
        Field {
            name: "id",
            description: "The global id.",
            kind: FieldKind::Id(|row| GlobalId::Client(row.aggregate.client.encoded_key.clone()).encode()),
        },
        Field {
            name: "encodedKey",
            description: "The key of up to 32 letters and digits that never changes.",
            kind: FieldKind::Text(|row| Cow::Borrowed(&row.aggregate.client.encoded_key)),
        },
        Field {
            name: "clientId",
            description: "The id people use; `id` on the legacy route.",
            kind: FieldKind::Text(|row| Cow::Borrowed(&row.aggregate.client.client_id)),
        },
        Field {
            name: "state",
            description: "Where the client is in its life at the bank.",
            kind: FieldKind::Enum(<ClientState as OutputType>::create_type_info, |row| {
                Some(&row.aggregate.client.state)
            }),
        },
        Field {
            name: "firstName",
            description: "The first name, or names.",
            kind: FieldKind::Text(|row| Cow::Borrowed(&row.aggregate.client.first_name)),
        },
        Field {
            name: "middleName",
            description: "The middle name.",
            kind: FieldKind::MaybeText(|row| row.aggregate.client.middle_name.as_deref()),
        },
        Field {
            name: "lastName",
            description: "The last name.",
            kind: FieldKind::Text(|row| Cow::Borrowed(&row.aggregate.client.last_name)),
        },
        Field {
            name: "fullName",
            description: "First, middle and last name, with a space between.",
            kind: FieldKind::Text(|row| Cow::Owned(row.aggregate.full_name())),
        },
        Field {
            name: "birthDate",
            description: "The day of birth.",
            kind: FieldKind::MaybeDate(|row| row.aggregate.client.birth_date),
        },
        Field {
            name: "gender",
            description: "The client's gender.",
            kind: FieldKind::Enum(<Option<Gender> as OutputType>::create_type_info, |row| {
                row.aggregate.client.gender.as_deref()
            }),
        },
        Field {
            name: "emailAddress",
            description: "The e-mail address.",
            kind: FieldKind::MaybeText(|row| row.aggregate.client.email_address.as_deref()),
        },
        Field {
            name: "homePhone",
            description: "The phone number at home.",
            kind: FieldKind::MaybeText(|row| row.aggregate.client.home_phone.as_deref()),
        },
        Field {
            name: "mobilePhone1",
            description: "The mobile phone number that text messages go to first.",
            kind: FieldKind::MaybeText(|row| row.aggregate.client.mobile_phone1.as_deref()),
        },
        Field {
            name: "mobilePhone2",
            description: "Another mobile phone number.",
            kind: FieldKind::MaybeText(|row| row.aggregate.client.mobile_phone2.as_deref()),
        },
        Field {
            name: "preferredLanguage",
            description: "The language the client is written to in.",
            kind: FieldKind::Enum(<Language as OutputType>::create_type_info, |row| {
                Some(&row.aggregate.client.preferred_language)
            }),
        },
        Field {
            name: "notes",
            description: "What the bank noted about the client.",
            kind: FieldKind::MaybeText(|row| row.aggregate.client.notes.as_deref()),
        },
        Field {
            name: "clientRole",
            description: "The client's role in the bank.",
            kind: FieldKind::Objects {
                ty: one_of::<ClientRole>,
                select: Selection::of::<ClientRole>,
                arguments: &[],
                write: |row, field, json| {
                    let role = row
                        .loaded
                        .definitions
                        .role_of_key(&row.aggregate.client.client_role_key);
                    maybe::<ClientRole>(role, &field.selection, json);
                },
            },
        },
        Field {
            name: "assignedBranchKey",
            description: "The key of the branch in charge.",
            kind: FieldKind::MaybeText(|row| row.aggregate.client.assigned_branch_key.as_deref()),
        },
        Field {
            name: "assignedCentreKey",
            description: "The key of the centre in charge.",
            kind: FieldKind::MaybeText(|row| row.aggregate.client.assigned_centre_key.as_deref()),
        },
        Field {
            name: "assignedUserKey",
            description: "The key of the user in charge.",
            kind: FieldKind::MaybeText(|row| row.aggregate.client.assigned_user_key.as_deref()),
        },
        Field {
            name: "createdAt",
            description: "When the client was created.",
            kind: FieldKind::Instant(|row| row.aggregate.client.created_at),
        },
        Field {
            name: "updatedAt",
            description: "When the client, or anything that belongs to it, was last changed.",
            kind: FieldKind::Instant(|row| row.aggregate.client.updated_at),
        },
        Field {
            name: "approvedAt",
            description: "When the client was approved.",
            kind: FieldKind::MaybeInstant(|row| row.aggregate.client.approved_at),
        },
        Field {
            name: "activatedAt",
            description: "When the client became active.",
            kind: FieldKind::MaybeInstant(|row| row.aggregate.client.activated_at),
        },
        Field {
            name: "closedAt",
            description: "When the client left the bank.",
            kind: FieldKind::MaybeInstant(|row| row.aggregate.client.closed_at),
        },
        Field {
            name: "version",
            description: "Grows by one with every change: send it back as `expectedVersion` to refuse a lost update.",
            kind: FieldKind::Int(|row| row.aggregate.client.version.into()),
        },
        Field {
            name: "addresses",
            description: "The client's address: a list of one, or empty.",
            kind: FieldKind::Objects {
                ty: list_of::<Address>,
                select: Selection::of::<Address>,
                arguments: &[],
                write: |row, field, json| {
                    list::<Address>(row.aggregate.addresses.iter().flatten(), &field.selection, json)
                },
            },
        },
        Field {
            name: "idDocuments",
            description: "The client's identification documents, in their order.",
            kind: FieldKind::Objects {
                ty: list_of::<IdDocument>,
                select: Selection::of::<IdDocument>,
                arguments: &[],
                write: |row, field, json| {
                    list::<IdDocument>(row.aggregate.id_documents.iter().flatten(), &field.selection, json)
                },
            },
        },
        Field {
            name: "customInformation",
            description: "The client's custom field values, in their order. Those of sets that you may not see are left out.",
            kind: FieldKind::Objects {
                ty: list_of::<CustomFieldValue>,
                select: Selection::of::<CustomFieldValue>,
                arguments: &[
                    Argument {
                        name: "fields",
                        description: "Only values of the fields with these ids.",
                        ty: "[String!]",
                    },
                    Argument {
                        name: "set",
                        description: "Only values of fields of the set with this id.",
                        ty: "String",
                    },
                ],
                write: |row, field, json| {
                    let values = row.aggregate.custom_values.iter().flatten();
                    let rows = values
                        .filter_map(|value| ValueRow::of(value, row.loaded))
                        .filter(|row| asked(row, field));
                    list::<CustomFieldValue>(rows, &field.selection, json);
                },
            },
        },
        Field {
            name: "messages",
            description: "What the client was written, or will be: newest first. Null when you may not see messages.",
            kind: FieldKind::Guarded {
                requires: Permission::ViewMessages.as_str(),
                ty: maybe_of::<Connection<Message>>,
                select: Selection::of::<Connection<Message>>,
                arguments: PAGE_ARGUMENTS,
                write: |row, field, json| {
                    let window = window(field).ok();
                    let key = &row.aggregate.client.encoded_key;
                    let page = window.and_then(|window| row.loaded.page(&window, key));
                    let page = page.map(|page| PageRow {
                        page,
                        loaded: row.loaded,
                        total: page.total,
                    });
                    maybe::<Connection<Message>>(page, &field.selection, json);
                },
            },
        },
        Field {
            name: "history",
            description: "Who changed what of the client: newest first. Null when you may not see the history.",
            kind: FieldKind::Guarded {
                requires: Permission::Audit.as_str(),
                ty: maybe_of::<Connection<AuditRecord>>,
                select: Selection::of::<Connection<AuditRecord>>,
                arguments: PAGE_ARGUMENTS,
                write: |row, field, json| {
                    let window = history_window(field).ok();
                    let key = &row.aggregate.client.encoded_key;
                    let page = window.and_then(|window| row.loaded.history(&window, key));
                    let page = page.map(|page| PageRow {
                        page,
                        loaded: row.loaded,
                        total: page.total,
                    });
                    maybe::<Connection<AuditRecord>>(page, &field.selection, json);
                },
            },
        },
    ];
}

/// Whether a value matches the field's arguments.
fn asked(row: &ValueRow<'_>, field: &SelectedField) -> bool {
    let fields = match field.argument("fields") {
        Some(Value::List(ids)) => ids.iter().any(|id| is_text(id, &row.field.row.field_id)),
        Some(id) => is_text(id, &row.field.row.field_id),
        None => true,
    };
    fields
        && field
            .argument("set")
            .is_none_or(|id| is_text(id, &row.field.set.set_id))
}

fn is_text(value: &Value, text: &str) -> bool {
    matches!(value, Value::String(found) if found == text)
}
