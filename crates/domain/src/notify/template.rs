//! Templates of messages: their conditions on clients, their texts by language, and their recipients. Independent of
//! how a message is stored or sent.

mod upsert;
mod values;

use chrono::{DateTime, Utc};
use entity::client;

use self::upsert::ExportedTemplate;
pub use self::{
    upsert::{
        DeleteMessageTemplate, MessageConditionsInput, MessageFieldConditionInput, MessageTemplateVariantInput,
        UpsertMessageTemplate,
    },
    values::{ValueSource, mobile_phone},
};
use super::render::{Compiled, Content, HIDDEN};
pub use crate::definitions::{Conditions, FieldCondition, Template, Variant};
use crate::{
    audit::AuditLog,
    caller::{Caller, Permission, Rights},
    client::{Aggregate, ClientParts, Clients},
    client_by::ClientBy,
    definitions::{self, ChangedDefinitions, Definitions},
    enums::{Channel, Language},
};
use clientele_core::{error::Result, problem::Problem, text::is_blank};
use clientele_storage::db::Database;

/// A template rendered for a client.
#[derive(Clone, Debug)]
pub struct Preview {
    /// True if the client meets the template's conditions. One on a value that the caller may not see isn't met.
    pub matches: bool,
    pub language: Language,
    /// None if the template's channel doesn't reach the client.
    pub recipient: Option<String>,
    pub content: Content,
    /// True if the channel has subjects.
    pub has_subject: bool,
}

/// Changes message templates, and previews their messages.
#[derive(Clone, Debug)]
pub struct Templates {
    db: Database,
    audit: AuditLog,
    clients: Clients,
}

impl Templates {
    pub fn new(db: Database, audit: AuditLog, clients: Clients) -> Self {
        Self { db, audit, clients }
    }

    /// Creates the template that `input` describes, or changes the one it names.
    ///
    /// # Errors
    /// Every problem as the inner error, internal errors as the outer one. Nothing is written with either.
    pub async fn upsert(
        &self,
        caller: &Caller,
        input: &UpsertMessageTemplate,
        now: DateTime<Utc>,
    ) -> Result<Result<ChangedDefinitions, Vec<Problem>>> {
        caller.require(Permission::ManageTemplates)?;
        definitions::change(&self.db, &self.audit, caller, input, now).await
    }

    /// Stores a template of an export, whose texts may have braces that are refused now.
    ///
    /// # Errors
    /// Those of [`Self::upsert`].
    pub async fn import(
        &self,
        caller: &Caller,
        exported: &UpsertMessageTemplate,
        now: DateTime<Utc>,
    ) -> Result<Result<ChangedDefinitions, Vec<Problem>>> {
        caller.require(Permission::ManageTemplates)?;
        definitions::change(&self.db, &self.audit, caller, &ExportedTemplate(exported), now).await
    }

    /// Deletes a template and returns its key.
    ///
    /// # Errors
    /// Those of [`Self::upsert`].
    pub async fn delete(
        &self,
        caller: &Caller,
        input: &DeleteMessageTemplate,
        now: DateTime<Utc>,
    ) -> Result<Result<String, Vec<Problem>>> {
        caller.require(Permission::ManageTemplates)?;
        let deleted = definitions::change(&self.db, &self.audit, caller, input, now).await?;
        Ok(deleted.map(|deleted| deleted.key))
    }

    /// Renders a template for a client, in the client's language unless another is given; none if one of the two
    /// doesn't exist.
    pub async fn preview(
        &self,
        caller: &Caller,
        template_id: &str,
        client: &ClientBy,
        language: Option<Language>,
        now: DateTime<Utc>,
    ) -> Result<Option<Preview>> {
        caller.require(Permission::ViewMessages)?;
        // The template is known only with the definitions that come with the client.
        let parts = ClientParts {
            addresses: false,
            ..ClientParts::ALL
        };
        // The client comes without the values that the caller may not see, so that no condition reveals them.
        let Some((aggregate, definitions)) = self.clients.get(caller, client, parts).await? else {
            return Ok(None);
        };
        let Some(template) = definitions.template(template_id) else {
            return Ok(None);
        };
        let language = match language {
            Some(language) => language.as_str(),
            None => aggregate.client.preferred_language.as_str(),
        };
        let variant = template.variant_for(language);
        let values = ValueSource::new(&aggregate, &definitions, now).values(variant);
        Ok(Some(Preview {
            matches: template.matches(&aggregate),
            language: variant.language,
            recipient: template.recipient(&aggregate.client).map(str::to_owned),
            content: Compiled::of(&variant.row)?.render_visible(values, &caller.rights),
            has_subject: variant.row.subject.is_some(),
        }))
    }
}

impl Template {
    /// Returns true if all conditions hold for a client that was loaded with the collections of
    /// [`parts`](Self::parts).
    pub fn matches(&self, aggregate: &Aggregate) -> bool {
        let Conditions { roles, states, fields } = &self.conditions;
        let client = &aggregate.client;
        let role = roles.is_empty() || roles.contains(&client.client_role_key);
        let state = states.is_empty() || states.iter().any(|state| state.as_str() == client.state);
        role && state && fields.iter().all(|field| field.holds(aggregate))
    }

    /// Returns the collections that its conditions and placeholders need.
    pub fn parts(&self) -> ClientParts {
        let keys = self.variants.iter().flat_map(|variant| &variant.keys);
        let uses = |begin: &str| keys.clone().any(|key| key.starts_with(begin));
        ClientParts {
            addresses: false,
            id_documents: uses("ID_DOCUMENT_"),
            custom_values: uses("CF:") || !self.conditions.fields.is_empty(),
        }
    }

    /// Returns the recipient of its messages to this client; none if the channel doesn't reach the client.
    pub fn recipient<'a>(&self, client: &'a client::Model) -> Option<&'a str> {
        match self.channel {
            Channel::Email => client.email_address.as_deref().filter(|address| !is_blank(address)),
            Channel::Sms => mobile_phone(client),
        }
    }
}

impl Conditions {
    /// Returns true if one of them is on a value that a caller with these rights may not see.
    pub fn depend_on_hidden(&self, definitions: &Definitions, rights: &Rights) -> bool {
        self.fields.iter().any(|field| !field.is_shown(definitions, rights))
    }
}

impl FieldCondition {
    /// Returns the value, masked if a reader with these rights may not see it: with it and the recipients of messages,
    /// they would know the clients' values.
    pub fn shown(&self, definitions: &Definitions, rights: &Rights) -> &str {
        match self.is_shown(definitions, rights) {
            true => &self.value,
            false => HIDDEN,
        }
    }

    /// The value of a field that no longer exists can be of any set.
    fn is_shown(&self, definitions: &Definitions, rights: &Rights) -> bool {
        let field = definitions.field_of_key(&self.field_key);
        rights.views_all() || field.is_some_and(|field| field.is_shown(rights))
    }

    fn holds(&self, aggregate: &Aggregate) -> bool {
        let mut values = aggregate.custom_values.iter().flatten();
        values.any(|value| {
            value.field_key == self.field_key && value.value.as_ref().or(value.linked_key.as_ref()) == Some(&self.value)
        })
    }
}
