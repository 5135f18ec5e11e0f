//! Creates or changes a message template, by the replace rules of all definitions.

mod check;
mod conditions;
mod hidden;
mod variants;

use std::collections::HashSet;

use async_graphql::{InputObject, MaybeUndefined};
use entity::{message_template, message_variant};

use super::recorded;
use crate::{
    audit::{Action, Subject},
    caller::Caller,
    client_by::ClientRoleBy,
    definitions::{Applied, DefinitionChange, DefinitionInput, Definitions},
    enums::{Channel, ClientState, Event, Language},
};
use clientele_core::{
    error::{Error, Result},
    problem::Problem,
};
use clientele_storage::db::Transaction;

/// Creates a message template, or changes the existing template with this `templateId`. Omitted values stay as they
/// are. If a condition or placeholder uses custom field values that you may not view, you can change the texts and
/// deactivate the template; changing its event, channel or conditions, or activating it, is FORBIDDEN.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "UpsertMessageTemplateInput")]
pub struct UpsertMessageTemplate {
    /// The ID of the template, up to 32 characters.
    pub template_id: String,
    /// The key of a new template: 1 to 32 letters and digits. Omit it to have one generated.
    pub encoded_key: MaybeUndefined<String>,
    /// The display name, up to 255 characters. Required on creation.
    pub name: MaybeUndefined<String>,
    /// The event that messages are sent for. Required on creation.
    pub event: Option<Event>,
    /// The channel of the messages. Required on creation.
    pub channel: Option<Channel>,
    /// True if new messages are written from the template. True by default. At most 20 templates of one event and
    /// channel can be active.
    pub active: Option<bool>,
    /// The language of the variant for clients without a variant in their own language. On creation, the language of
    /// the first variant by default.
    pub default_language: Option<Language>,
    /// Replaces the variants: at least one, and at most one for each language. A variant whose language exists is
    /// changed, another one is added, and a stored one that isn't listed is deleted. Omit it to keep the variants; null
    /// is refused.
    pub variants: MaybeUndefined<Vec<MessageTemplateVariantInput>>,
    /// Replaces all conditions. Omit it to keep them; null removes them.
    pub conditions: MaybeUndefined<MessageConditionsInput>,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

/// The texts of a template in one language. A placeholder is `{NAME}`, or `{CF:field_id}` for the value of a custom
/// field. A placeholder without a value becomes empty text. A placeholder for values that you may not view is refused,
/// unless the stored variant already has it. Other braces are plain text. The names are CLIENT_NAME, CLIENT_ID,
/// CLIENT_FIRST_NAMES, CLIENT_MIDDLE_NAMES, CLIENT_LAST_NAME, RECIPIENT_NAME, RECIPIENT_EMAIL_ADDRESS and
/// RECIPIENT_MOBILE_PHONE; for the first identification document, ID_DOCUMENT_TYPE, ID_DOCUMENT_NUMBER,
/// ID_DOCUMENT_ISSUING_AUTHORITY and ID_DOCUMENT_EXPIRY_DATE; and, in UTC, CURRENT_DATE and CURRENT_DATE_TIME.
#[derive(InputObject, Clone, Debug)]
pub struct MessageTemplateVariantInput {
    /// The language, unique in the list.
    pub language: Language,
    /// The subject, one line of up to 255 characters. Required for e-mails; text messages have none. Omit it to keep
    /// the stored subject; null clears it.
    pub subject: MaybeUndefined<String>,
    /// The text: up to 100,000 characters in an e-mail, up to 1,600 in a text message.
    pub text: String,
    /// The text as HTML, for e-mails only: up to 100,000 characters. Inserted values are escaped. Omit it to keep the
    /// stored HTML; null clears it.
    pub html: MaybeUndefined<String>,
}

/// The conditions that a client must meet to get a message. A condition that is omitted, null or empty is always met.
#[derive(InputObject, Clone, Debug, Default)]
pub struct MessageConditionsInput {
    /// The client has one of these roles.
    pub client_roles: Option<Vec<ClientRoleBy>>,
    /// The client is in one of these states.
    pub states: Option<Vec<ClientState>>,
    /// Each of these custom fields has the given value: at most 100 fields, each listed once. You must be allowed to
    /// view their values. To keep a stored condition whose value you may not view, send it back with the value `***`.
    pub custom_fields: Option<Vec<MessageFieldConditionInput>>,
}

/// A value that a custom field must have.
#[derive(InputObject, Clone, Debug)]
pub struct MessageFieldConditionInput {
    /// The ID of the custom field.
    pub field_id: String,
    /// The value as text, as clients have it; for a link, the key of the linked object.
    pub value: String,
}

/// A template with its variants as they will be stored.
#[derive(Debug)]
struct Plan {
    row: message_template::Model,
    variants: Vec<message_variant::Model>,
}

impl DefinitionInput for UpsertMessageTemplate {
    async fn apply(
        &self,
        caller: &Caller,
        present: &Definitions,
        transaction: &Transaction,
    ) -> Result<Result<Applied, Vec<Problem>>> {
        let plan = match check::check(self, present, &caller.rights)? {
            Ok(plan) => plan,
            Err(problems) => return Ok(Err(problems)),
        };
        let key = plan.row.encoded_key.clone();
        let mut changes = Vec::new();
        if write(&plan, present, transaction).await? {
            let before = present.template_of_key(&key).map(|template| recorded::state(template));
            let after = (&plan.row, plan.variants.iter().collect());
            changes.push(DefinitionChange {
                subject: Subject::MessageTemplate,
                key: key.clone(),
                action: Action::of(before.as_ref()),
                members: recorded::members(before.as_ref(), Some(&after), present),
            });
        }
        Ok(Ok(Applied { key, changes }))
    }
}

/// Writes the differences, and returns true if there were any. A variant's texts are never overwritten: messages refer
/// to them.
async fn write(plan: &Plan, before: &Definitions, transaction: &Transaction) -> Result<bool> {
    let before = before.template_of_key(&plan.row.encoded_key);
    let stored = before.map(|template| template.variants.as_slice()).unwrap_or_default();
    let stored: HashSet<&str> = stored.iter().map(|variant| variant.row.encoded_key.as_str()).collect();
    let wanted: HashSet<&str> = plan
        .variants
        .iter()
        .map(|variant| variant.encoded_key.as_str())
        .collect();
    let retired: Vec<&&str> = stored.difference(&wanted).collect();
    let new = plan
        .variants
        .iter()
        .filter(|variant| !stored.contains(variant.encoded_key.as_str()));
    let new: Vec<&message_variant::Model> = new.collect();
    let changed = before.map(|template| &template.row) != Some(&plan.row);
    if !changed && retired.is_empty() && new.is_empty() {
        return Ok(false);
    }
    if changed {
        transaction.put::<message_template::Entity>(&[&plan.row]).await?;
    }
    if !retired.is_empty() {
        // Before the new ones, as only one variant of a language can be current.
        let which = transaction.dialect.is_one_of("encoded_key", "$1");
        let keys = serde_json::to_string(&retired).map_err(Error::internal)?;
        transaction
            .run(
                format!("UPDATE message_variant SET current = FALSE WHERE {which}"),
                [keys.into()],
            )
            .await?;
    }
    transaction.put::<message_variant::Entity>(&new).await?;
    Ok(true)
}
