//! Parses a JSON body into the input of an upsert. Ignores unknown members and checks only whether values can be
//! parsed; the domain validates them.

mod constraints;
mod date;
mod members;

use std::{collections::HashMap, sync::LazyLock};

use async_graphql::{MaybeUndefined, resolver_utils::EnumType};
use serde_json::{error::Category, value::RawValue};

use super::errors::{RestError, codes};
use clientele_core::{path, problem::ProblemCode};
use clientele_domain::{
    client_by::ClientRoleBy,
    definitions::NO_GROUP,
    enums::{Gender, Language},
    upsert::{AddressInput, ClientInput, CustomFieldValueInput, IdDocumentInput, LONGEST_LIST, Scope, UpsertClient},
};
pub use constraints::{constraints, listed};
pub use date::date;
use members::Members;

/// Reads `{client, idDocuments, addresses, customInformation}`.
///
/// # Errors
/// When the body isn't a JSON object. An unreadable member is a problem of the input instead.
pub fn submission(body: &str) -> Result<UpsertClient, RestError> {
    let mut unreadable = Vec::new();
    let mut root = Members::root(members(body)?, &mut unreadable);
    // Without it, only the collections change.
    let client = |members: Members<'_, '_>| client(members, EmptyRole::Refused);
    let client = root.object("client").map_value(client).take().unwrap_or_default();
    let id_documents = root.list("idDocuments", (LONGEST_LIST + 1, LONGEST_LIST + 1), id_document);
    // Only the first address counts. The others are counted without being parsed.
    let addresses = root.list("addresses", (1, LONGEST_LIST + 1), address);
    let custom_information = root.list("customInformation", (LONGEST_LIST + 1, LONGEST_LIST + 1), custom_value);
    Ok(UpsertClient {
        client,
        id_documents,
        addresses,
        custom_information,
        unreadable,
        ..UpsertClient::default()
    })
}

/// Reads `{client}` with the members to change. Members that are null count as absent, and a blank text clears.
///
/// # Errors
/// When the body isn't a JSON object.
pub fn patch(body: &str) -> Result<UpsertClient, RestError> {
    let mut unreadable = Vec::new();
    let mut root = Members::root(members(body)?, &mut unreadable);
    let patched = root.object("client").map_value(|members| patched(members.patch()));
    let client = match patched {
        MaybeUndefined::Value(client) => client,
        MaybeUndefined::Undefined | MaybeUndefined::Null => {
            root.refuse("client", (ProblemCode::Blank, "must have the members to change."));
            ClientInput::default()
        }
    };
    Ok(UpsertClient {
        client,
        scope: Scope::Patch,
        unreadable,
        ..UpsertClient::default()
    })
}

/// The path names the client. The role can also be named by its id.
fn patched(mut members: Members<'_, '_>) -> ClientInput {
    let role = members.text("clientRoleId").map_value(ClientRoleBy::RoleId);
    let client = client(members, EmptyRole::Absent);
    ClientInput {
        encoded_key: MaybeUndefined::Undefined,
        client_role: match client.client_role {
            MaybeUndefined::Undefined => role,
            sent => sent,
        },
        ..client
    }
}

/// Reads the value of one custom field: `{"value"}` or `{"linkedEntityKeyValue"}`.
///
/// # Errors
/// When the body isn't a JSON object.
pub fn custom_field_value(body: &str, field_id: String, group_index: Option<i32>) -> Result<UpsertClient, RestError> {
    let mut unreadable = Vec::new();
    let value = custom_value(Members::root(members(body)?, &mut unreadable));
    for problem in &mut unreadable {
        problem.path.splice(0..0, path!["customInformation", 0]);
    }
    Ok(UpsertClient {
        unreadable,
        ..partial(CustomFieldValueInput {
            field_id,
            group_index,
            ..value
        })
    })
}

/// Reads `{customInformation}`: the values to change. A `client` next to it must be empty.
///
/// # Errors
/// When the body isn't a JSON object with the list, or has members of the client.
pub fn custom_field_values(body: &str) -> Result<UpsertClient, RestError> {
    let mut unreadable = Vec::new();
    let mut root = Members::root(members(body)?, &mut unreadable);
    let has_members = |client: Members<'_, '_>| !client.is_empty();
    if root.object("client").map_value(has_members).take().unwrap_or_default() {
        let source = "This route changes custom values only: leave client out, or send it empty.";
        return Err(RestError::new(codes::INVALID_PARAMETERS, source));
    }
    let value = |members: Members<'_, '_>| {
        let value = custom_value(members);
        CustomFieldValueInput {
            in_new_group: value.group_index.is_none(),
            ..value
        }
    };
    let custom_information = root.list("customInformation", (LONGEST_LIST + 1, LONGEST_LIST + 1), value);
    if custom_information.is_undefined() && unreadable.is_empty() {
        let source = "customInformation is required: the values to change.";
        return Err(RestError::new(codes::INVALID_PARAMETERS, source));
    }
    Ok(UpsertClient {
        custom_information,
        is_partial: true,
        unreadable,
        ..UpsertClient::default()
    })
}

/// Changes one custom value and leaves the others as they are.
pub fn partial(value: CustomFieldValueInput) -> UpsertClient {
    UpsertClient {
        custom_information: MaybeUndefined::Value(vec![value]),
        is_partial: true,
        ..UpsertClient::default()
    }
}

/// Returns what the parameters say, unless the body isn't a JSON object: that comes before any fault of theirs.
pub fn before<T>(body: &str, parameters: Result<T, RestError>) -> Result<T, RestError> {
    parameters.or_else(|refused| members(body).and(Err(refused)))
}

/// The members of the body as raw JSON.
fn members(body: &str) -> Result<HashMap<String, &RawValue>, RestError> {
    serde_json::from_str(body).map_err(|error| {
        let source = match error.classify() {
            Category::Data => "The body must be a JSON object.".to_owned(),
            Category::Syntax | Category::Eof | Category::Io => {
                let (line, column) = (error.line(), error.column());
                format!("The body isn't JSON: see line {line}, column {column}.")
            }
        };
        RestError::new(codes::INVALID_JSON_SYNTAX, source)
    })
}

/// A `clientRole` without a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EmptyRole {
    Refused,
    /// Callers serialise members without a value as null, or leave them out.
    Absent,
}

static LANGUAGES: LazyLock<String> = LazyLock::new(|| format!("must be {}.", listed(Language::items())));

fn client(mut members: Members<'_, '_>, empty_role: EmptyRole) -> ClientInput {
    let gender = |raw| members::choice(raw, gender_of, "must be MALE or FEMALE.");
    let language = |raw| members::choice(raw, Language::parse, &LANGUAGES);
    ClientInput {
        encoded_key: members.text("encodedKey"),
        client_id: client_id(&mut members),
        state: members.text("state"),
        first_name: members.text("firstName"),
        middle_name: members.text("middleName"),
        last_name: members.text("lastName"),
        birth_date: members.clearable("birthDate", members::date),
        gender: members.clearable("gender", gender),
        email_address: members.text("emailAddress"),
        home_phone: members.text("homePhone"),
        mobile_phone1: members.text("mobilePhone1"),
        mobile_phone2: members.text("mobilePhone2"),
        preferred_language: members.clearable("preferredLanguage", language),
        notes: members.text("notes"),
        client_role: client_role(&mut members, empty_role),
        assigned_branch_key: members.text("assignedBranchKey"),
        assigned_centre_key: members.text("assignedCentreKey"),
        assigned_user_key: members.text("assignedUserKey"),
        ..ClientInput::default()
    }
}

/// An empty id counts as absent: the public Java SDK sends one with every client.
fn client_id(client: &mut Members<'_, '_>) -> MaybeUndefined<String> {
    match client.text("clientId") {
        MaybeUndefined::Value(id) if id.is_empty() => MaybeUndefined::Undefined,
        sent => sent,
    }
}

fn gender_of(text: &str) -> Option<Gender> {
    match text {
        "male" => Some(Gender::Male),
        "female" => Some(Gender::Female),
        text => Gender::parse(text),
    }
}

/// An object of which only the key is used.
fn client_role(client: &mut Members<'_, '_>, empty: EmptyRole) -> MaybeUndefined<ClientRoleBy> {
    let mut role = match client.object("clientRole") {
        MaybeUndefined::Value(role) => role,
        MaybeUndefined::Null => return MaybeUndefined::Null,
        MaybeUndefined::Undefined => return MaybeUndefined::Undefined,
    };
    match role.text("encodedKey") {
        MaybeUndefined::Value(key) => MaybeUndefined::Value(ClientRoleBy::EncodedKey(key)),
        MaybeUndefined::Undefined | MaybeUndefined::Null => {
            if empty == EmptyRole::Refused {
                role.refuse("encodedKey", (ProblemCode::Blank, "must name the client role."));
            }
            MaybeUndefined::Undefined
        }
    }
}

fn id_document(mut members: Members<'_, '_>) -> IdDocumentInput {
    IdDocumentInput {
        encoded_key: members.text("encodedKey"),
        document_type: members.text("documentType"),
        document_id: members.text("documentId"),
        issuing_authority: members.text("issuingAuthority"),
        valid_until: members.clearable("validUntil", members::date),
        template_key: members.text("templateKey"),
    }
}

fn address(mut members: Members<'_, '_>) -> AddressInput {
    AddressInput {
        encoded_key: members.text("encodedKey"),
        line1: members.text("line1"),
        line2: members.text("line2"),
        city: members.text("city"),
        region: members.text("region"),
        postcode: members.text("postcode"),
        country: members.text("country"),
        latitude: members.clearable("latitude", members::degrees),
        longitude: members.clearable("longitude", members::degrees),
    }
}

fn custom_value(mut members: Members<'_, '_>) -> CustomFieldValueInput {
    let mut is_boolean = false;
    let value = members.value("value", |raw| {
        is_boolean = raw.get().starts_with(['t', 'f']);
        members::custom(raw)
    });
    CustomFieldValueInput {
        // A missing id becomes the empty id, which no field has.
        field_id: members.text("fieldId").take().unwrap_or_default(),
        group_index: members
            .value("groupIndex", members::integer)
            .take()
            .filter(|index| *index != NO_GROUP),
        value,
        linked_key: members.text("linkedKey"),
        is_boolean,
        in_new_group: false,
        is_removed: false,
    }
}
