//! A client.

mod listed;

use std::borrow::Cow;

use async_graphql::Value;

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
        Field::id("id", "The global id.", |row| {
            GlobalId::Client(row.aggregate.client.encoded_key.clone()).encode()
        }),
        Field::text(
            "encodedKey",
            "The key of up to 32 letters and digits that never changes.",
            |row| Cow::Borrowed(&row.aggregate.client.encoded_key),
        ),
        Field::text("clientId", "The id people use; `id` on the legacy route.", |row| {
            Cow::Borrowed(&row.aggregate.client.client_id)
        }),
        Field::one_of::<ClientState>("state", "Where the client is in its life at the bank.", |row| {
            Some(&row.aggregate.client.state)
        }),
        Field::text("firstName", "The first name, or names.", |row| {
            Cow::Borrowed(&row.aggregate.client.first_name)
        }),
        Field::maybe_text("middleName", "The middle name.", |row| {
            row.aggregate.client.middle_name.as_deref()
        }),
        Field::text("lastName", "The last name.", |row| {
            Cow::Borrowed(&row.aggregate.client.last_name)
        }),
        Field::text(
            "fullName",
            "First, middle and last name, with a space between.",
            |row| Cow::Owned(row.aggregate.full_name()),
        ),
        Field::maybe_date("birthDate", "The day of birth.", |row| row.aggregate.client.birth_date),
        Field::one_of::<Option<Gender>>("gender", "The client's gender.", |row| {
            row.aggregate.client.gender.as_deref()
        }),
        Field::maybe_text("emailAddress", "The e-mail address.", |row| {
            row.aggregate.client.email_address.as_deref()
        }),
        Field::maybe_text("homePhone", "The phone number at home.", |row| {
            row.aggregate.client.home_phone.as_deref()
        }),
        Field::maybe_text(
            "mobilePhone1",
            "The mobile phone number that text messages go to first.",
            |row| row.aggregate.client.mobile_phone1.as_deref(),
        ),
        Field::maybe_text("mobilePhone2", "Another mobile phone number.", |row| {
            row.aggregate.client.mobile_phone2.as_deref()
        }),
        Field::one_of::<Language>(
            "preferredLanguage",
            "The language the client is written to in.",
            |row| Some(&row.aggregate.client.preferred_language),
        ),
        Field::maybe_text("notes", "What the bank noted about the client.", |row| {
            row.aggregate.client.notes.as_deref()
        }),
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
        Field::maybe_text("assignedBranchKey", "The key of the branch in charge.", |row| {
            row.aggregate.client.assigned_branch_key.as_deref()
        }),
        Field::maybe_text("assignedCentreKey", "The key of the centre in charge.", |row| {
            row.aggregate.client.assigned_centre_key.as_deref()
        }),
        Field::maybe_text("assignedUserKey", "The key of the user in charge.", |row| {
            row.aggregate.client.assigned_user_key.as_deref()
        }),
        Field::instant("createdAt", "When the client was created.", |row| {
            row.aggregate.client.created_at
        }),
        Field::instant(
            "updatedAt",
            "When the client, or anything that belongs to it, was last changed.",
            |row| row.aggregate.client.updated_at,
        ),
        Field::maybe_instant("approvedAt", "When the client was approved.", |row| {
            row.aggregate.client.approved_at
        }),
        Field::maybe_instant("activatedAt", "When the client became active.", |row| {
            row.aggregate.client.activated_at
        }),
        Field::maybe_instant("closedAt", "When the client left the bank.", |row| {
            row.aggregate.client.closed_at
        }),
        Field::int(
            "version",
            "Grows by one with every change: send it back as `expectedVersion` to refuse a lost update.",
            |row| row.aggregate.client.version.into(),
        ),
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

/// True if a value matches the field's arguments.
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
