//! Creates, changes and deletes message templates, by the replace rules of all definitions.

mod check;
mod variants;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use async_graphql::{InputObject, MaybeUndefined};
use chrono::{DateTime, Utc};
use entity::{message_template, message_variant};
use serde::Serialize;

use super::{Conditions, Template};
use crate::{
    audit::{Action, Member, Members, Subject},
    caller::Caller,
    client_by::ClientRoleBy,
    definitions::{Applied, DefinitionChange, DefinitionInput, Definitions},
    enums::{Channel, ClientState, Event, Language},
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Message, Problem, ProblemCode},
};
use clientele_storage::db::Transaction;

/// Creates a message template, or changes the existing template with this `templateId`. Omitted values stay as they
/// are. If a condition or placeholder uses custom field values that you may not view, you can change the texts and
/// deactivate the template; changing its event, channel or conditions, or activating it, is FORBIDDEN.
#[derive(InputObject, Serialize, Clone, Debug)]
#[graphql(name = "UpsertMessageTemplateInput")]
#[serde(rename_all = "camelCase")]
pub struct UpsertMessageTemplate {
    /// The ID of the template, up to 32 characters.
    pub template_id: String,
    /// The key of a new template: 1 to 32 letters and digits. Omit it to have one generated.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub encoded_key: MaybeUndefined<String>,
    /// The display name, up to 255 characters. Required on creation.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub name: MaybeUndefined<String>,
    /// The event that messages are sent for. Required on creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
    /// The channel of the messages. Required on creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// True if new messages are written from the template. True by default. At most 20 templates of one event and
    /// channel can be active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// The language of the variant for clients without a variant in their own language. On creation, the language of
    /// the first variant by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_language: Option<Language>,
    /// Replaces the variants: at least one, and at most one for each language. A variant whose language exists is
    /// changed, another one is added, and a stored one that isn't listed is deleted. Omit it to keep the variants; null
    /// is refused.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub variants: MaybeUndefined<Vec<MessageTemplateVariantInput>>,
    /// Replaces all conditions. Omit it to keep them; null removes them.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub conditions: MaybeUndefined<MessageConditionsInput>,
    /// An ID of your choice, which the payload returns unchanged.
    #[serde(skip)]
    pub client_mutation_id: Option<String>,
}

/// The texts of a template in one language. A placeholder is `{NAME}`, or `{CF:field_id}` for the value of a custom
/// field. A placeholder without a value becomes empty text. A placeholder for values that you may not view is refused,
/// unless the stored variant already has it. Other braces are plain text, but a misspelt placeholder, such as
/// `{client_name}`, is refused. The names are CLIENT_NAME, CLIENT_ID, CLIENT_FIRST_NAMES, CLIENT_MIDDLE_NAMES,
/// CLIENT_LAST_NAME, RECIPIENT_NAME, RECIPIENT_EMAIL_ADDRESS and RECIPIENT_MOBILE_PHONE; for the first identification
/// document, ID_DOCUMENT_TYPE, ID_DOCUMENT_NUMBER, ID_DOCUMENT_ISSUING_AUTHORITY and ID_DOCUMENT_EXPIRY_DATE; and, in
/// UTC, CURRENT_DATE and CURRENT_DATE_TIME.
#[derive(InputObject, Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct MessageTemplateVariantInput {
    /// The language, unique in the list.
    pub language: Language,
    /// The subject, one line of up to 255 characters. Required for e-mails; text messages have none. Omit it to keep
    /// the stored subject; null clears it.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub subject: MaybeUndefined<String>,
    /// The text: up to 100,000 characters in an e-mail, up to 1,600 in a text message.
    pub text: String,
    /// The text as HTML, for e-mails only: up to 100,000 characters. Inserted values are escaped. Omit it to keep the
    /// stored HTML; null clears it.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub html: MaybeUndefined<String>,
}

/// The conditions that a client must meet to get a message. A condition that is omitted, null or empty is always met.
#[derive(InputObject, Serialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct MessageConditionsInput {
    /// The client has one of these roles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_roles: Option<Vec<ClientRoleBy>>,
    /// The client is in one of these states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub states: Option<Vec<ClientState>>,
    /// Each of these custom fields has the given value: at most 100 fields, each listed once. You must be allowed to
    /// view their values. To keep a stored condition whose value you may not view, send it back with the value `***`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_fields: Option<Vec<MessageFieldConditionInput>>,
}

/// A value that a custom field must have.
#[derive(InputObject, Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct MessageFieldConditionInput {
    /// The ID of the custom field.
    pub field_id: String,
    /// The value as text, as clients have it; for a link, the key of the linked object.
    pub value: String,
}

/// Deletes a message template.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "DeleteMessageTemplateInput")]
pub struct DeleteMessageTemplate {
    /// The ID of the template.
    pub template_id: String,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
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
        _: DateTime<Utc>,
    ) -> Result<Result<Applied, Vec<Problem>>> {
        apply(self, Braces::Checked, caller, present, transaction).await
    }
}

/// A template of an export: its texts were stored before, perhaps under earlier rules.
pub(super) struct ExportedTemplate<'a>(pub &'a UpsertMessageTemplate);

impl DefinitionInput for ExportedTemplate<'_> {
    async fn apply(
        &self,
        caller: &Caller,
        present: &Definitions,
        transaction: &Transaction,
        _: DateTime<Utc>,
    ) -> Result<Result<Applied, Vec<Problem>>> {
        apply(self.0, Braces::Text, caller, present, transaction).await
    }
}

/// The meaning of a text in braces that resembles a placeholder.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Braces {
    /// A misspelt placeholder, which is refused.
    Checked,
    Text,
}

async fn apply(
    input: &UpsertMessageTemplate,
    braces: Braces,
    caller: &Caller,
    present: &Definitions,
    transaction: &Transaction,
) -> Result<Result<Applied, Vec<Problem>>> {
    let plan = match check::check(input, braces, present, &caller.rights)? {
        Ok(plan) => plan,
        Err(problems) => return Ok(Err(problems)),
    };
    let key = plan.row.encoded_key.clone();
    let before = present.template_of_key(&key).map(|template| &**template);
    let mut changes = Vec::new();
    if write(&plan, before, transaction).await? {
        let before = before.map(state);
        let after = (&plan.row, plan.variants.iter().collect());
        changes.push(DefinitionChange {
            subject: Subject::MessageTemplate,
            key: key.clone(),
            action: Action::of(before.as_ref()),
            members: members(before.as_ref(), Some(&after), present),
        });
    }
    Ok(Ok(Applied {
        key,
        changes,
        warnings: Vec::new(),
    }))
}

/// Writes the differences, and returns true if there were any. A variant's texts are never overwritten: messages refer
/// to them.
async fn write(plan: &Plan, before: Option<&Template>, transaction: &Transaction) -> Result<bool> {
    let stored = before.iter().flat_map(|template| &template.variants);
    let stored: HashSet<&str> = stored.map(|variant| variant.row.encoded_key.as_str()).collect();
    let wanted = plan.variants.iter().map(|variant| variant.encoded_key.as_str());
    let wanted: HashSet<&str> = wanted.collect();
    let retired: Vec<&&str> = stored.difference(&wanted).collect();
    let new = plan
        .variants
        .iter()
        .filter(|variant| !stored.contains(&*variant.encoded_key));
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
        let sql = format!("UPDATE message_variant SET current = FALSE WHERE {which}");
        transaction.run(sql, [keys.into()]).await?;
    }
    transaction.put::<message_variant::Entity>(&new).await?;
    Ok(true)
}

impl DefinitionInput for DeleteMessageTemplate {
    async fn apply(
        &self,
        _: &Caller,
        present: &Definitions,
        transaction: &Transaction,
        _: DateTime<Utc>,
    ) -> Result<Result<Applied, Vec<Problem>>> {
        let Some(template) = present.template(&self.template_id) else {
            let message = Message::from("There is no message template with this id").listed_by("messageTemplates");
            let problem = Problem::new(ProblemCode::NotFound, path!["templateId"], message);
            return Ok(Err(vec![problem]));
        };
        let key = template.row.encoded_key.clone();
        let retire = "UPDATE message_variant SET current = FALSE WHERE template_key = $1 AND current";
        for sql in [retire, "DELETE FROM message_template WHERE encoded_key = $1"] {
            transaction.run(sql, [key.as_str().into()]).await?;
        }
        let change = DefinitionChange {
            subject: Subject::MessageTemplate,
            key: key.clone(),
            action: Action::Deleted,
            members: members(Some(&state(template)), None, present),
        };
        Ok(Ok(Applied {
            key,
            changes: vec![change],
            warnings: Vec::new(),
        }))
    }
}

/// A template's row and its current variants.
type State<'a> = (&'a message_template::Model, Vec<&'a message_variant::Model>);

fn state(template: &Template) -> State<'_> {
    let variants = template.variants.iter().map(|variant| &variant.row);
    (&template.row, variants.collect())
}

/// Returns the members in which the states differ, under their GraphQL names; none is a template that doesn't exist.
fn members(before: Option<&State<'_>>, after: Option<&State<'_>>, definitions: &Definitions) -> Vec<Member> {
    let mut found = Vec::new();
    use message_template::Column::{Active, Channel, DefaultLanguage, Event, Name, Position, TemplateId};
    let columns = [TemplateId, Name, Event, Channel, Active, DefaultLanguage, Position];
    let [was, is] = [before, after].map(|state| state.map(|(row, _)| *row));
    Members::new(&mut found).columns(was, is, columns);

    // Stored conditions can always be read: this program wrote them.
    let [was, is] = [was, is].map(|row| row.map(|row| serde_json::from_str(&row.conditions).unwrap_or_default()));
    conditions(was, is, definitions, &mut found);

    let [was, is] = [before, after].map(|state| -> BTreeMap<&str, &message_variant::Model> {
        let variants = state.into_iter().flat_map(|(_, variants)| variants);
        variants.map(|variant| (variant.language.as_str(), *variant)).collect()
    });
    for language in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
        use message_variant::Column::{Html, Subject, Text};
        let [before, after] = [&was, &is].map(|variants| variants.get(language).copied());
        Members::below(&mut found, &["variants", language]).columns(before, after, [Subject, Text, Html]);
    }
    found
}

/// A condition's value is shown only to readers who may see the field's values: with it and the recipients of messages,
/// they know the clients' values.
fn conditions(
    before: Option<Conditions>,
    after: Option<Conditions>,
    definitions: &Definitions,
    found: &mut Vec<Member>,
) {
    let [was, is] = [&before, &after].map(|state| {
        let Conditions { roles, states, .. } = state.as_ref()?;
        Some(serde_json::json!({ "roles": roles, "states": states }).to_string())
    });
    Members::new(found).text("conditions", was.as_deref(), is.as_deref());
    let [was, is] = [&before, &after].map(|state| -> BTreeMap<&str, &str> {
        let fields = state.iter().flat_map(|state| &state.fields);
        fields.map(|field| (&*field.field_key, &*field.value)).collect()
    });
    for key in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
        let field = definitions.field_of_key(key);
        let id = field.map_or(*key, |field| &field.row.field_id);
        let mut members = Members::below(found, &["conditions", "customFields", id]);
        // The set of a field that no longer exists is unknown: without an id, only readers who see all sets see it.
        members.set = Some(field.map_or_else(String::new, |field| field.set.set_id.clone()));
        members.text("value", was.get(key).copied(), is.get(key).copied());
    }
}
