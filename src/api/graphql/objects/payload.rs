//! The payloads of mutations: the stored object, or the problems of the input.

use std::iter::once;

use super::{
    client::{Client, ClientRow},
    definition::{ClientRole, CustomFieldSet, SetRow},
    template::{MessageTemplate, TemplateRow},
    user::{Token, User},
};
use crate::api::graphql::global_id::GlobalId;
use clientele_core::problem::{Problem, ProblemCode};
use clientele_domain::access;
use graphql_server::object::{Field, FieldKind, Object, Selection, list, list_of, maybe, maybe_of};

/// The outcome of a mutation: the stored object, or the problems of the input.
#[derive(Clone, Copy)]
pub struct PayloadRow<'a, T> {
    pub outcome: Result<T, &'a [Problem]>,
    pub client_mutation_id: Option<&'a str>,
    /// The client as it is stored, when its version is not the expected one and the caller may view it.
    pub conflicting: Option<ClientRow<'a>>,
}

impl<'a, T: Copy> PayloadRow<'a, T> {
    pub fn stored(&self) -> Option<T> {
        self.outcome.ok()
    }

    pub fn problems(&self) -> &'a [Problem] {
        self.outcome.err().unwrap_or_default()
    }
}

pub struct UserError;

impl Object for UserError {
    const NAME: &'static str = "UserError";
    const DESCRIPTION: &'static str = "Something in the input that has to be mended. Nothing has been stored.";
    type Row<'a> = &'a Problem;
    const FIELDS: &'static [Field<Self>] = &[
        Field::one_of::<ProblemCode>("code", "What kind of problem it is.", |row| Some(row.code.as_str())),
        Field::text("message", "One sentence a person can act on.", |row| {
            row.message.to_string().into()
        }),
        Field::texts(
            "path",
            "Where in the arguments the problem is, from `input` on; places in lists count from 0.",
            |row| {
                once("input".to_owned())
                    .chain(row.path.iter().map(ToString::to_string))
                    .collect()
            },
        ),
    ];
}

/// Adds the fields that every payload has.
macro_rules! payload_fields {
    ($($field:expr),+ $(,)?) => {
        &[
            $($field,)+
            Field {
                name: "userErrors",
                description: "Every problem of the input at once, in the order of its parts; empty when all went well.",
                kind: FieldKind::Objects {
                    ty: list_of::<UserError>,
                    select: Selection::of::<UserError>,
                    arguments: &[],
                    write: |row, field, json| list::<UserError>(row.problems(), &field.selection, json),
                },
            },
            Field::maybe_text("clientMutationId", "What the input had.", |row| row.client_mutation_id),
        ]
    };
}

pub(super) use payload_fields;

/// The field with the stored object, which `$of` takes from the outcome.
macro_rules! stored {
    ($name:literal, $description:literal, $object:ty) => {
        stored!($name, $description, $object, |stored| stored)
    };
    ($name:literal, $description:literal, $object:ty, $of:expr) => {
        Field {
            name: $name,
            description: concat!($description, "; null when there are userErrors."),
            kind: FieldKind::Objects {
                ty: maybe_of::<$object>,
                select: Selection::of::<$object>,
                arguments: &[],
                write: |row, field, json| maybe::<$object>(row.stored().map($of), &field.selection, json),
            },
        }
    };
}

pub struct UpsertClientPayload;

impl Object for UpsertClientPayload {
    const NAME: &'static str = "UpsertClientPayload";
    const DESCRIPTION: &'static str = "What `upsertClient` did.";
    type Row<'a> = PayloadRow<'a, (ClientRow<'a>, bool)>;
    const FIELDS: &'static [Field<Self>] = payload_fields![
        stored!("client", "The client as it is stored now", Client, |(client, _)| client),
        Field::boolean("created", "Whether the client has been created by this.", |row| row
            .stored()
            .is_some_and(|(_, created)| created)),
        Field {
            name: "conflictingClient",
            description: "With the user error VERSION_CONFLICT, the client as it is stored now, if you may view \
                          clients; null otherwise. A later change can have made its `version` greater than \
                          `conflictingVersion`.",
            kind: FieldKind::Objects {
                ty: maybe_of::<Client>,
                select: Selection::of::<Client>,
                arguments: &[],
                write: |row, field, json| maybe::<Client>(row.conflicting, &field.selection, json),
            },
        },
        Field::maybe_int(
            "conflictingVersion",
            "With the user error VERSION_CONFLICT, the version that was stored then, 0 when there was no \
                          such client; null otherwise. `conflictingClient` is read later.",
            |row| row.problems().iter().find_map(|problem| problem.stored_version)
        ),
    ];
}

pub struct UpsertCustomFieldSetPayload;

impl Object for UpsertCustomFieldSetPayload {
    const NAME: &'static str = "UpsertCustomFieldSetPayload";
    const DESCRIPTION: &'static str = "What `upsertCustomFieldSet` did.";
    type Row<'a> = PayloadRow<'a, SetRow<'a>>;
    const FIELDS: &'static [Field<Self>] =
        payload_fields![stored!("customFieldSet", "The set as it is stored now", CustomFieldSet)];
}

pub struct UpsertClientRolePayload;

impl Object for UpsertClientRolePayload {
    const NAME: &'static str = "UpsertClientRolePayload";
    const DESCRIPTION: &'static str = "What `upsertClientRole` did.";
    type Row<'a> = PayloadRow<'a, &'a entity::client_role::Model>;
    const FIELDS: &'static [Field<Self>] =
        payload_fields![stored!("clientRole", "The role as it is stored now", ClientRole)];
}

pub struct UpsertMessageTemplatePayload;

impl Object for UpsertMessageTemplatePayload {
    const NAME: &'static str = "UpsertMessageTemplatePayload";
    const DESCRIPTION: &'static str = "What `upsertMessageTemplate` did.";
    type Row<'a> = PayloadRow<'a, TemplateRow<'a>>;
    const FIELDS: &'static [Field<Self>] = payload_fields![stored!(
        "messageTemplate",
        "The template as it is stored now",
        MessageTemplate
    )];
}

pub struct DeleteMessageTemplatePayload;

impl Object for DeleteMessageTemplatePayload {
    const NAME: &'static str = "DeleteMessageTemplatePayload";
    const DESCRIPTION: &'static str = "What `deleteMessageTemplate` did.";
    /// The key that the template had.
    type Row<'a> = PayloadRow<'a, &'a str>;
    const FIELDS: &'static [Field<Self>] = payload_fields![Field::maybe_id(
        "deletedMessageTemplateId",
        "The global id that the template had; null when there are userErrors.",
        |row| Some(GlobalId::MessageTemplate(row.stored()?.to_owned()).encode())
    )];
}

pub struct UpsertUserPayload;

impl Object for UpsertUserPayload {
    const NAME: &'static str = "UpsertUserPayload";
    const DESCRIPTION: &'static str = "What `upsertUser` did.";
    type Row<'a> = PayloadRow<'a, (&'a access::User, bool)>;
    const FIELDS: &'static [Field<Self>] = payload_fields![
        stored!("user", "The user as it is stored now", User, |(user, _)| user),
        Field::boolean("created", "Whether the user has been created by this.", |row| row
            .stored()
            .is_some_and(|(_, created)| created)),
    ];
}

pub struct DeleteUserPayload;

impl Object for DeleteUserPayload {
    const NAME: &'static str = "DeleteUserPayload";
    const DESCRIPTION: &'static str = "What `deleteUser` did.";
    /// The key that the user had.
    type Row<'a> = PayloadRow<'a, &'a str>;
    const FIELDS: &'static [Field<Self>] = payload_fields![
        Field::maybe_id(
            "deletedUserId",
            "The global id that the user had; null when there are userErrors.",
            |row| Some(GlobalId::User(row.stored()?.to_owned()).encode())
        ),
        Field::maybe_text(
            "deletedUserKey",
            "The key that the user had; null when there are userErrors.",
            |row| row.stored()
        ),
    ];
}

pub struct ChangePasswordPayload;

impl Object for ChangePasswordPayload {
    const NAME: &'static str = "ChangePasswordPayload";
    const DESCRIPTION: &'static str = "What `changePassword` did.";
    type Row<'a> = PayloadRow<'a, ()>;
    const FIELDS: &'static [Field<Self>] = payload_fields![Field::boolean(
        "changed",
        "Whether the new password holds from now on.",
        |row| row.stored().is_some()
    )];
}

pub struct CreateTokenPayload;

impl Object for CreateTokenPayload {
    const NAME: &'static str = "CreateTokenPayload";
    const DESCRIPTION: &'static str = "What `createToken` did.";
    /// The token with its text.
    type Row<'a> = PayloadRow<'a, (&'a access::Token, &'a str)>;
    const FIELDS: &'static [Field<Self>] = payload_fields![
        stored!("token", "The token as it is stored now", Token, |(token, _)| token),
        Field::maybe_text(
            "secret",
            "What its bearer sends, as `Authorization: Bearer …` or `apiKey: …`. It is shown this once.",
            |row| row.stored().map(|(_, text)| text)
        ),
    ];
}

pub struct RevokeTokenPayload;

impl Object for RevokeTokenPayload {
    const NAME: &'static str = "RevokeTokenPayload";
    const DESCRIPTION: &'static str = "What `revokeToken` did.";
    type Row<'a> = PayloadRow<'a, &'a access::Token>;
    const FIELDS: &'static [Field<Self>] = payload_fields![
        stored!("token", "The token as it is stored now", Token),
        Field::maybe_id(
            "revokedTokenId",
            "The global id of the token, which stays in the list; null when there are userErrors.",
            |row| Some(GlobalId::Token(row.stored()?.row.encoded_key.clone()).encode())
        ),
    ];
}
