//! The routes that read definitions: custom fields with their sets, and client roles. Every caller may read them, as in
//! the GraphQL API.

use axum::{
    Extension,
    extract::{Path, State, rejection::PathRejection},
    http::Uri,
    response::Response,
};
use entity::{client_role, custom_field_option, custom_field_role, custom_field_set, id_document_template};
use serde::{Serialize, Serializer};

use super::{
    Api, MaybeRequestId,
    answer::{Members, Timestamp},
    errors::{RestError, codes},
    parameters::Parameters,
    respond,
};
use clientele_core::budget::Text;
use clientele_domain::{
    caller::Caller,
    definitions::{Definitions, Field, FieldState, for_values},
};

/// The types of custom fields in the legacy service. Only the first has fields here.
pub const FIELD_TYPES: [&str; 12] = [
    CLIENT_INFO,
    "GROUP_INFO",
    "LOAN_ACCOUNT_INFO",
    "GUARANTOR_INFO",
    "ASSET_INFO",
    "DEPOSIT_ACCOUNT_INFO",
    "DEPOSIT_PRODUCT_INFO",
    "TRANSACTION_CHANNEL_INFO",
    "LINE_OF_CREDIT_INFO",
    "BRANCH_INFO",
    "CENTRE_INFO",
    "USER_INFO",
];
pub const CLIENT_INFO: &str = "CLIENT_INFO";

/// The owners of roles in the legacy service. Only the first has roles here.
pub const ROLE_OWNERS: [&str; 2] = [CLIENTS, "GROUPS"];
pub const CLIENTS: &str = "CLIENTS";

pub async fn sets(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Response {
    respond(api.within_budget(&caller, api.sets(&uri)).await, request_id)
}

pub async fn field(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Response {
    // A name that isn't UTF-8 belongs to no field.
    let name = name.map(|Path(name)| name).unwrap_or_default();
    respond(api.within_budget(&caller, api.field(&name, &uri)).await, request_id)
}

pub async fn roles(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Response {
    respond(api.within_budget(&caller, api.roles(&uri)).await, request_id)
}

pub async fn document_templates(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Response {
    respond(
        api.within_budget(&caller, api.document_templates(&uri)).await,
        request_id,
    )
}

impl Api {
    async fn sets(&self, uri: &Uri) -> Result<Vec<u8>, RestError> {
        let parameters = Parameters::parse(uri.query().unwrap_or_default())?;
        let requested = parameters.only("type")?.unwrap_or(CLIENT_INFO);
        if !FIELD_TYPES.contains(&requested) {
            return Err(invalid(&format!("type must be one of {}.", FIELD_TYPES.join(", "))));
        }
        let definitions = self.definitions.current().await?;
        let sets = definitions.sets.iter().filter(|_| requested == CLIENT_INFO);
        list(sets.map(|set| Set(set, &definitions)))
    }

    async fn field(&self, name: &str, uri: &Uri) -> Result<Vec<u8>, RestError> {
        Parameters::parse(uri.query().unwrap_or_default())?.refuse_with("a custom field's id")?;
        let definitions = self.definitions.current().await?;
        let field = definitions.field(name).or_else(|| definitions.field_of_key(name));
        let field = field.ok_or_else(|| {
            let source = "There is no custom field with this id or key.";
            RestError::new(codes::INVALID_CUSTOM_FIELD_ID, source)
        })?;
        let mut text = Text::begin();
        text.value(&FullDefinition::of(field, &definitions));
        Ok(text.finish()?)
    }

    async fn roles(&self, uri: &Uri) -> Result<Vec<u8>, RestError> {
        let parameters = Parameters::parse(uri.query().unwrap_or_default())?;
        let requested = parameters.only("for")?.unwrap_or(CLIENTS);
        if !ROLE_OWNERS.contains(&requested) {
            return Err(invalid("for must be CLIENTS or GROUPS."));
        }
        let definitions = self.definitions.current().await?;
        // There are no groups, so they have no roles.
        let roles = definitions.roles.iter().filter(|_| requested == CLIENTS);
        list(roles.map(Role))
    }

    async fn document_templates(&self, uri: &Uri) -> Result<Vec<u8>, RestError> {
        Parameters::parse(uri.query().unwrap_or_default())?.refuse_with("the templates of documents")?;
        let definitions = self.definitions.current().await?;
        let templates = definitions.document_templates.iter();
        list(templates.filter(|template| template.active).map(Template))
    }
}

fn invalid(source: &str) -> RestError {
    RestError::new(codes::INVALID_PARAMETERS, source)
}

fn list(items: impl Iterator<Item = impl Serialize>) -> Result<Vec<u8>, RestError> {
    let mut text = Text::begin();
    text.push("[");
    for (at, item) in items.enumerate() {
        if at > 0 {
            text.push(",");
        }
        text.value(&item);
    }
    text.push("]");
    Ok(text.finish()?)
}

/// A set with the definitions of its fields.
struct Set<'a>(&'a custom_field_set::Model, &'a Definitions);

impl Serialize for Set<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(set, definitions) = self;
        let fields = definitions.fields_of(&set.encoded_key).into_iter().enumerate();
        let fields: Vec<_> = fields.map(|(index, field)| FullDefinition { field, index }).collect();
        let mut members = Members::of(serializer)?;
        members.put("encodedKey", &set.encoded_key)?;
        members.put("id", &set.set_id)?;
        members.put("name", &set.name)?;
        members.put("type", CLIENT_INFO)?;
        members.put("usage", &set.usage)?;
        members.put("indexInList", set.position)?;
        members.put("customFields", fields)?;
        members.end()
    }
}

/// All that is known of a custom field.
struct FullDefinition<'a> {
    field: &'a Field,
    /// Its index in its set.
    index: usize,
}

impl<'a> FullDefinition<'a> {
    fn of(field: &'a Field, definitions: &Definitions) -> Self {
        let fields = definitions.fields_of(&field.row.set_key);
        let is_it = |other: &&Field| other.row.encoded_key == field.row.encoded_key;
        let index = fields.iter().position(is_it).unwrap_or_default();
        Self { field, index }
    }
}

impl Serialize for FullDefinition<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { field, index } = self;
        let mut members = Members::of(serializer)?;
        members.definition(field)?;
        // Forms show every field to every role.
        members.put("isDefault", true)?;
        members.put("customFieldSet", OwnSet(&field.set))?;
        members.put("indexInList", index)?;
        let is_active = |option: &&custom_field_option::Model| option.state == FieldState::Active.as_str();
        let options = field.options.iter().filter(is_active);
        let options: Vec<_> = options.map(|option| Choice { option, field }).collect();
        members.put("customFieldSelectionOptions", options)?;
        let settings: Vec<_> = field.roles.iter().map(RoleSettings).collect();
        members.put("customFieldProductSettings", settings)?;
        members.end()
    }
}

/// A set as shown in the definitions of its fields.
struct OwnSet<'a>(&'a custom_field_set::Model);

impl Serialize for OwnSet<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(set) = self;
        let mut members = Members::of(serializer)?;
        members.put("encodedKey", &set.encoded_key)?;
        members.put("id", &set.set_id)?;
        members.put("name", &set.name)?;
        members.put("type", CLIENT_INFO)?;
        members.put("usage", &set.usage)?;
        members.put("indexInList", set.position)?;
        members.end()
    }
}

/// An option of a selection.
struct Choice<'a> {
    option: &'a custom_field_option::Model,
    field: &'a Field,
}

impl Serialize for Choice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { option, field } = self;
        let mut members = Members::of(serializer)?;
        members.put("encodedKey", &option.encoded_key)?;
        members.put("value", &option.value)?;
        members.put_some("score", option.score.as_ref())?;
        let values = for_values(option);
        let parent = field.row.parent_key.as_deref().filter(|_| !values.is_empty());
        let constraint = parent.map(|custom_field_key| Constraint {
            custom_field_key,
            values,
        });
        members.put_some("constraint", constraint)?;
        members.end()
    }
}

/// The values of the parent field that an option is available for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Constraint<'a> {
    custom_field_key: &'a str,
    values: Vec<String>,
}

/// The settings of a field for one client role.
struct RoleSettings<'a>(&'a custom_field_role::Model);

impl Serialize for RoleSettings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(settings) = self;
        let mut members = Members::of(serializer)?;
        members.put("linkType", "CLIENT_ROLE")?;
        members.put("productKey", &settings.role_key)?;
        members.put("isDefault", true)?;
        members.put("isRequired", settings.is_required)?;
        members.end()
    }
}

/// A template of identification documents.
struct Template<'a>(&'a id_document_template::Model);

impl Serialize for Template<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(template) = self;
        let mut members = Members::of(serializer)?;
        members.put("encodedKey", &template.encoded_key)?;
        members.put("documentType", &template.document_type)?;
        members.put_some("issuingAuthority", template.issuing_authority.as_ref())?;
        members.put_some("documentIdTemplate", template.pattern.as_ref())?;
        members.put("mandatoryForClients", template.is_mandatory)?;
        // Attachments are stored elsewhere.
        members.put("allowAttachments", false)?;
        members.end()
    }
}

/// A client role.
struct Role<'a>(&'a client_role::Model);

impl Serialize for Role<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(role) = self;
        let mut members = Members::of(serializer)?;
        members.put("encodedKey", &role.encoded_key)?;
        members.put("id", &role.role_id)?;
        members.put("name", &role.name)?;
        members.put_some("description", role.description.as_ref())?;
        members.put("clientType", "CLIENT")?;
        // Accounts are stored elsewhere, so nothing here forbids them.
        members.put("canOpenAccounts", true)?;
        members.put("canGuarantee", true)?;
        members.put("requireID", role.requires_id_document)?;
        members.put("useDefaultAddress", role.allows_addresses)?;
        members.put_some("creationDate", role.created_at.as_ref().map(Timestamp))?;
        members.end()
    }
}
