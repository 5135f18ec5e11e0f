//! Definitions as inputs of the mutations that would create them, with their keys.

use async_graphql::MaybeUndefined::{self, Undefined, Value};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::super::Failure;
use clientele_core::scalar::Decimal;
use clientele_domain::{
    client_by::ClientRoleBy,
    custom_field::{
        CustomFieldInput, CustomFieldOptionInput, CustomFieldRoleInput, CustomFieldSetInput, UpsertClientRole,
        UpsertCustomFieldSet, UpsertIdDocumentTemplate,
    },
    definitions::{Definitions, Field, FieldState, Kind, SetUsage, Template, for_values},
    notify::template::{
        MessageConditionsInput, MessageFieldConditionInput, MessageTemplateVariantInput, UpsertMessageTemplate,
    },
};
use entity::{client_role, custom_field_option, custom_field_set, id_document_template};

/// One line for each definition, in an order in which they can be created.
pub(super) fn lines(all: &Definitions) -> Result<Vec<Json>, Failure> {
    let roles = all.roles.iter().map(|row| line("clientRole", &role(row)));
    let documents = all.document_templates.iter();
    let documents = documents.map(|row| line("idDocumentTemplate", &document_template(row)));
    let sets = all.sets.iter().map(|row| line("customFieldSet", &set(row, all)));
    let templates = all
        .templates
        .iter()
        .map(|row| line("messageTemplate", &template(row, all)));
    roles.chain(documents).chain(sets).chain(templates).collect()
}

fn line(name: &str, input: &impl Serialize) -> Result<Json, Failure> {
    let input = serde_json::to_value(input).map_err(Failure::internal)?;
    Ok(json!({ name: input }))
}

/// A list that a creation leaves out if it is empty.
fn listed<T>(list: Vec<T>) -> MaybeUndefined<Vec<T>> {
    if list.is_empty() { Undefined } else { Value(list) }
}

/// A value that a creation leaves out if there is none.
fn given<T: Clone>(value: &Option<T>) -> MaybeUndefined<T> {
    value.clone().map_or(Undefined, Value)
}

fn role(row: &client_role::Model) -> UpsertClientRole {
    UpsertClientRole {
        role_id: row.role_id.clone(),
        encoded_key: Value(row.encoded_key.clone()),
        name: Value(row.name.clone()),
        description: given(&row.description),
        // The role that becomes the default takes the place of the present one.
        is_default: row.is_default.then_some(true),
        id_pattern: given(&row.id_pattern),
        allows_addresses: Some(row.allows_addresses),
        requires_id_document: Some(row.requires_id_document),
        created_at: row.created_at,
        client_mutation_id: None,
    }
}

fn role_by(key: &str, all: &Definitions) -> ClientRoleBy {
    match all.role_of_key(key) {
        Some(role) => ClientRoleBy::RoleId(role.role_id.clone()),
        None => ClientRoleBy::EncodedKey(key.to_owned()),
    }
}

fn document_template(row: &id_document_template::Model) -> UpsertIdDocumentTemplate {
    UpsertIdDocumentTemplate {
        template_id: row.template_id.clone(),
        encoded_key: Value(row.encoded_key.clone()),
        document_type: Value(row.document_type.clone()),
        issuing_authority: given(&row.issuing_authority),
        pattern: given(&row.pattern),
        mandatory: Some(row.is_mandatory),
        active: Some(row.active),
        client_mutation_id: None,
    }
}

fn set(row: &custom_field_set::Model, all: &Definitions) -> UpsertCustomFieldSet {
    let fields = all.fields_of(&row.encoded_key).into_iter();
    UpsertCustomFieldSet {
        set: CustomFieldSetInput {
            set_id: row.set_id.clone(),
            encoded_key: Value(row.encoded_key.clone()),
            name: Value(row.name.clone()),
            usage: SetUsage::parse(&row.usage),
            position: Some(row.position),
        },
        fields: Value(fields.map(|it| field(it, all)).collect()),
        client_mutation_id: None,
    }
}

fn field(field: &Field, all: &Definitions) -> CustomFieldInput {
    let Field {
        row,
        kind,
        options,
        roles,
        set: _,
    } = field;
    let parent = row.parent_key.as_deref().and_then(|key| all.field_of_key(key));
    let roles = roles.iter().map(|role| CustomFieldRoleInput {
        client_role: role_by(&role.role_key, all),
        required: Some(role.is_required),
    });
    CustomFieldInput {
        field_id: row.field_id.clone(),
        encoded_key: Value(row.encoded_key.clone()),
        name: Value(row.name.clone()),
        description: given(&row.description),
        kind: Some(*kind),
        state: FieldState::parse(&row.state),
        required: Some(row.required),
        unique: Some(row.is_unique),
        parent_field_id: given(&parent.map(|parent| parent.row.field_id.clone())),
        pattern: given(&row.pattern),
        max_length: given(&row.max_length),
        client_roles: listed(roles.collect()),
        options: match kind {
            Kind::Selection => Value(options.iter().map(option).collect()),
            _ => Undefined,
        },
    }
}

fn option(row: &custom_field_option::Model) -> CustomFieldOptionInput {
    CustomFieldOptionInput {
        value: row.value.clone(),
        state: FieldState::parse(&row.state),
        score: given(&row.score.clone().map(Decimal)),
        for_values: listed(for_values(row)),
    }
}

fn template(template: &Template, all: &Definitions) -> UpsertMessageTemplate {
    let Template {
        row,
        event,
        channel,
        variants,
        conditions,
        ..
    } = template;
    let variants = variants.iter().map(|variant| MessageTemplateVariantInput {
        language: variant.language,
        subject: given(&variant.row.subject),
        text: variant.row.text.clone(),
        html: given(&variant.row.html),
    });
    let roles = conditions.roles.iter().map(|key| role_by(key, all));
    let fields = conditions.fields.iter().filter_map(|condition| {
        Some(MessageFieldConditionInput {
            field_id: all.field_of_key(&condition.field_key)?.row.field_id.clone(),
            value: condition.value.clone(),
        })
    });
    UpsertMessageTemplate {
        template_id: row.template_id.clone(),
        encoded_key: Value(row.encoded_key.clone()),
        name: Value(row.name.clone()),
        event: Some(*event),
        channel: Some(*channel),
        active: Some(row.active),
        default_language: clientele_domain::enums::Language::parse(&row.default_language),
        variants: Value(variants.collect()),
        conditions: Value(MessageConditionsInput {
            client_roles: Some(roles.collect()),
            states: Some(conditions.states.clone()),
            custom_fields: Some(fields.collect()),
        }),
        client_mutation_id: None,
    }
}
