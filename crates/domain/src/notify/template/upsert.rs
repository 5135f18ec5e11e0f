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

/// Creates a message template, or changes the one with this `templateId` if there is one. An omitted member stays as it
/// is. If a condition or a placeholder depends on custom field values that you may not see, you can change the texts
/// and deactivate the template. To change its event, channel or conditions, or to activate it, is then FORBIDDEN.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "UpsertMessageTemplateInput")]
pub struct UpsertMessageTemplate {
    /// The id of the template, up to 32 characters.
    pub template_id: String,
    /// The key of a new template: 1 to 32 letters and digits. Omit it to have one generated.
    pub encoded_key: MaybeUndefined<String>,
    /// The display name, up to 255 characters. Required on creation.
    pub name: MaybeUndefined<String>,
    /// The event that its messages are sent for. Required on creation.
    pub event: Option<Event>,
    /// The channel of its messages. Required on creation.
    pub channel: Option<Channel>,
    /// Whether messages are written from it. True by default. At most 20 templates of one event and channel are active.
    pub active: Option<bool>,
    /// The language of the variant for clients without one in their own language. On creation, that of the first
    /// variant by default.
    pub default_language: Option<Language>,
    /// Replaces the variants: one whose language is known is changed, another is new, and a stored one that isn't
    /// listed is removed. Omit to keep them; null is refused. At least one, and at most one for each language.
    pub variants: MaybeUndefined<Vec<MessageTemplateVariantInput>>,
    /// Replaces the conditions as a whole. Omit to keep them; null removes all.
    pub conditions: MaybeUndefined<MessageConditionsInput>,
    /// Returned unchanged in the payload.
    pub client_mutation_id: Option<String>,
}

/// The texts of a template in one language. A placeholder is `{NAME}` or, for a custom field's value, `{CF:field_id}`;
/// without a value it becomes an empty text. A placeholder whose values you may not see is refused, unless the stored
/// variant has it already. Any other brace is text. The names are CLIENT_NAME, CLIENT_ID, CLIENT_FIRST_NAMES,
/// CLIENT_MIDDLE_NAMES, CLIENT_LAST_NAME, RECIPIENT_NAME, RECIPIENT_EMAIL_ADDRESS, RECIPIENT_MOBILE_PHONE; of the first
/// identification document ID_DOCUMENT_TYPE, ID_DOCUMENT_NUMBER, ID_DOCUMENT_ISSUING_AUTHORITY,
/// ID_DOCUMENT_EXPIRY_DATE; and, in UTC, CURRENT_DATE and CURRENT_DATE_TIME.
#[derive(InputObject, Clone, Debug)]
pub struct MessageTemplateVariantInput {
    /// The language, unique in the list.
    pub language: Language,
    /// The subject of an e-mail, one line of up to 255 characters; required there. Text messages have none. Omit it to
    /// keep that of the stored variant; null clears it.
    pub subject: MaybeUndefined<String>,
    /// The text: up to 100,000 characters in an e-mail, up to 1,600 in a text message.
    pub text: String,
    /// The same as HTML, for e-mails only: up to 100,000 characters. Values are escaped where they are inserted. Omit
    /// it to keep that of the stored variant; null clears it.
    pub html: MaybeUndefined<String>,
}

/// The conditions on the clients that get a message. All of them must hold. A member that is omitted, null or empty
/// always holds.
#[derive(InputObject, Clone, Debug, Default)]
pub struct MessageConditionsInput {
    /// The client has one of these roles.
    pub client_roles: Option<Vec<ClientRoleBy>>,
    /// The client is in one of these states.
    pub states: Option<Vec<ClientState>>,
    /// Each of these custom fields, whose values you can see, has this value. At most 100, and each field once. To keep
    /// a stored condition that you may not see, send it as it is shown, with the value `***`.
    pub custom_fields: Option<Vec<MessageFieldConditionInput>>,
}

/// A value that a custom field must have.
#[derive(InputObject, Clone, Debug)]
pub struct MessageFieldConditionInput {
    /// The id of the custom field.
    pub field_id: String,
    /// The value as text, as in a client's custom fields; for a link, the linked key.
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
