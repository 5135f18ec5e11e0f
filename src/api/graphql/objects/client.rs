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
    reach::{history_window, window},
    world::World,
};
use clientele_domain::{
    caller::Permission,
    client::Aggregate,
    enums::{ClientState, Gender, Language},
};
use graphql_server::object::{Argument, Field, Is, Object, Plan, Step, list, list_of, maybe, maybe_of, one_of};

/// A client, and what was loaded beside it.
#[derive(Clone, Copy)]
pub struct ClientRow<'a> {
    pub aggregate: &'a Aggregate,
    pub world: &'a World,
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
            is: Is::Id(|row| GlobalId::Client(row.aggregate.client.encoded_key.clone()).encode()),
        },
        Field {
            name: "encodedKey",
            description: "The key of up to 32 letters and digits that never changes.",
            is: Is::Text(|row| Cow::Borrowed(&row.aggregate.client.encoded_key)),
        },
        Field {
            name: "clientId",
            description: "The id people use; `id` on the legacy route.",
            is: Is::Text(|row| Cow::Borrowed(&row.aggregate.client.client_id)),
        },
        Field {
            name: "state",
            description: "Where the client is in its life at the bank.",
            is: Is::Enum(<ClientState as OutputType>::create_type_info, |row| {
                Some(&row.aggregate.client.state)
            }),
        },
        Field {
            name: "firstName",
            description: "The first name, or names.",
            is: Is::Text(|row| Cow::Borrowed(&row.aggregate.client.first_name)),
        },
        Field {
            name: "middleName",
            description: "The middle name.",
            is: Is::MaybeText(|row| row.aggregate.client.middle_name.as_deref()),
        },
        Field {
            name: "lastName",
            description: "The last name.",
            is: Is::Text(|row| Cow::Borrowed(&row.aggregate.client.last_name)),
        },
        Field {
            name: "fullName",
            description: "First, middle and last name, with a space between.",
            is: Is::Text(|row| Cow::Owned(row.aggregate.full_name())),
        },
        Field {
            name: "birthDate",
            description: "The day of birth.",
            is: Is::MaybeDate(|row| row.aggregate.client.birth_date),
        },
        Field {
            name: "gender",
            description: "The client's gender.",
            is: Is::Enum(<Option<Gender> as OutputType>::create_type_info, |row| {
                row.aggregate.client.gender.as_deref()
            }),
        },
        Field {
            name: "emailAddress",
            description: "The e-mail address.",
            is: Is::MaybeText(|row| row.aggregate.client.email_address.as_deref()),
        },
        Field {
            name: "homePhone",
            description: "The phone number at home.",
            is: Is::MaybeText(|row| row.aggregate.client.home_phone.as_deref()),
        },
        Field {
            name: "mobilePhone1",
            description: "The mobile phone number that text messages go to first.",
            is: Is::MaybeText(|row| row.aggregate.client.mobile_phone1.as_deref()),
        },
        Field {
            name: "mobilePhone2",
            description: "Another mobile phone number.",
            is: Is::MaybeText(|row| row.aggregate.client.mobile_phone2.as_deref()),
        },
        Field {
            name: "preferredLanguage",
            description: "The language the client is written to in.",
            is: Is::Enum(<Language as OutputType>::create_type_info, |row| {
                Some(&row.aggregate.client.preferred_language)
            }),
        },
        Field {
            name: "notes",
            description: "What the bank noted about the client.",
            is: Is::MaybeText(|row| row.aggregate.client.notes.as_deref()),
        },
        Field {
            name: "clientRole",
            description: "The client's role in the bank.",
            is: Is::Objects {
                ty: one_of::<ClientRole>,
                plan: Plan::of::<ClientRole>,
                arguments: &[],
                write: |row, step, out| {
                    let role = row.world.definitions.role_of_key(&row.aggregate.client.client_role_key);
                    maybe::<ClientRole>(role, &step.plan, out);
                },
            },
        },
        Field {
            name: "assignedBranchKey",
            description: "The key of the branch in charge.",
            is: Is::MaybeText(|row| row.aggregate.client.assigned_branch_key.as_deref()),
        },
        Field {
            name: "assignedCentreKey",
            description: "The key of the centre in charge.",
            is: Is::MaybeText(|row| row.aggregate.client.assigned_centre_key.as_deref()),
        },
        Field {
            name: "assignedUserKey",
            description: "The key of the user in charge.",
            is: Is::MaybeText(|row| row.aggregate.client.assigned_user_key.as_deref()),
        },
        Field {
            name: "createdAt",
            description: "When the client was created.",
            is: Is::Instant(|row| row.aggregate.client.created_at),
        },
        Field {
            name: "updatedAt",
            description: "When the client, or anything that belongs to it, was last changed.",
            is: Is::Instant(|row| row.aggregate.client.updated_at),
        },
        Field {
            name: "approvedAt",
            description: "When the client was approved.",
            is: Is::MaybeInstant(|row| row.aggregate.client.approved_at),
        },
        Field {
            name: "activatedAt",
            description: "When the client became active.",
            is: Is::MaybeInstant(|row| row.aggregate.client.activated_at),
        },
        Field {
            name: "closedAt",
            description: "When the client left the bank.",
            is: Is::MaybeInstant(|row| row.aggregate.client.closed_at),
        },
        Field {
            name: "version",
            description: "Grows by one with every change: send it back as `expectedVersion` to refuse a lost update.",
            is: Is::Int(|row| row.aggregate.client.version.into()),
        },
        Field {
            name: "addresses",
            description: "The client's address: a list of one, or empty.",
            is: Is::Objects {
                ty: list_of::<Address>,
                plan: Plan::of::<Address>,
                arguments: &[],
                write: |row, step, out| list::<Address>(row.aggregate.addresses.iter().flatten(), &step.plan, out),
            },
        },
        Field {
            name: "idDocuments",
            description: "The client's identification documents, in their order.",
            is: Is::Objects {
                ty: list_of::<IdDocument>,
                plan: Plan::of::<IdDocument>,
                arguments: &[],
                write: |row, step, out| {
                    list::<IdDocument>(row.aggregate.id_documents.iter().flatten(), &step.plan, out)
                },
            },
        },
        Field {
            name: "customInformation",
            description: "The client's custom field values, in their order. Those of sets that you may not see are left out.",
            is: Is::Objects {
                ty: list_of::<CustomFieldValue>,
                plan: Plan::of::<CustomFieldValue>,
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
                write: |row, step, out| {
                    let values = row.aggregate.custom_values.iter().flatten();
                    let rows = values
                        .filter_map(|value| ValueRow::of(value, row.world))
                        .filter(|row| asked(row, step));
                    list::<CustomFieldValue>(rows, &step.plan, out);
                },
            },
        },
        Field {
            name: "messages",
            description: "What the client was written, or will be: newest first. Null when you may not see messages.",
            is: Is::Guarded {
                requires: Permission::ViewMessages.as_str(),
                ty: maybe_of::<Connection<Message>>,
                plan: Plan::of::<Connection<Message>>,
                arguments: PAGE_ARGUMENTS,
                write: |row, step, out| {
                    let window = window(step).ok();
                    let key = &row.aggregate.client.encoded_key;
                    let page = window.and_then(|window| row.world.page(&window, key));
                    let page = page.map(|page| PageRow {
                        page,
                        world: row.world,
                        total: page.total,
                    });
                    maybe::<Connection<Message>>(page, &step.plan, out);
                },
            },
        },
        Field {
            name: "history",
            description: "Who changed what of the client: newest first. Null when you may not see the history.",
            is: Is::Guarded {
                requires: Permission::Audit.as_str(),
                ty: maybe_of::<Connection<AuditRecord>>,
                plan: Plan::of::<Connection<AuditRecord>>,
                arguments: PAGE_ARGUMENTS,
                write: |row, step, out| {
                    let window = history_window(step).ok();
                    let key = &row.aggregate.client.encoded_key;
                    let page = window.and_then(|window| row.world.history(&window, key));
                    let page = page.map(|page| PageRow {
                        page,
                        world: row.world,
                        total: page.total,
                    });
                    maybe::<Connection<AuditRecord>>(page, &step.plan, out);
                },
            },
        },
    ];
}

/// Whether the field's arguments let a value through.
fn asked(row: &ValueRow<'_>, step: &Step) -> bool {
    let fields = match step.argument("fields") {
        Some(Value::List(ids)) => ids.iter().any(|id| is_text(id, &row.field.row.field_id)),
        Some(id) => is_text(id, &row.field.row.field_id),
        None => true,
    };
    fields && step.argument("set").is_none_or(|id| is_text(id, &row.field.set.set_id))
}

fn is_text(value: &Value, text: &str) -> bool {
    matches!(value, Value::String(found) if found == text)
}
