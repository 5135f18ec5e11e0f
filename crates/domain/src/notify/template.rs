//! Templates of messages: their conditions on clients, their texts by language, and their recipients.
//!
//! Independent of how a message is stored or sent.

mod conditions;
mod delete;
mod preview;
mod recorded;
mod upsert;
mod values;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use entity::{client, message_variant};

pub use self::{
    delete::DeleteMessageTemplate,
    preview::Preview,
    upsert::{MessageConditionsInput, MessageFieldConditionInput, MessageTemplateVariantInput, UpsertMessageTemplate},
    values::{Source, mobile_phone},
};
use super::render::Compiled;
pub use crate::definitions::{Conditions, FieldCondition, Template, Variant};
use crate::{
    audit::AuditLog,
    caller::{Caller, Permission},
    client::{Aggregate, ClientParts, Clients},
    definitions::{self, Definitions},
    enums::Channel,
};
use clientele_core::{error::Result, problem::Problem, text::is_blank};
use clientele_storage::db::Database;

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

    /// Creates the template that `input` describes, or changes the one it names. Returns all definitions and the
    /// template's key.
    ///
    /// # Errors
    /// Every problem as the inner error, internal errors as the outer one. Nothing is written with either.
    pub async fn upsert(
        &self,
        caller: &Caller,
        input: &UpsertMessageTemplate,
        now: DateTime<Utc>,
    ) -> Result<Result<(Arc<Definitions>, String), Vec<Problem>>> {
        caller.require(Permission::ManageTemplates)?;
        definitions::change(&self.db, &self.audit, caller, input, now).await
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
        Ok(deleted.map(|(_, key)| key))
    }
}

impl Template {
    /// Returns true if all conditions hold for a client that was loaded with the collections of
    /// [`parts`](Self::parts).
    pub fn matches(&self, aggregate: &Aggregate) -> bool {
        self.conditions.hold(aggregate)
    }

    /// Returns the collections that its conditions and placeholders need.
    pub fn parts(&self) -> ClientParts {
        let uses = |begin: &str| self.variants.iter().any(|variant| variant.uses(begin));
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

impl Variant {
    fn uses(&self, begin: &str) -> bool {
        self.keys.iter().any(|key| key.starts_with(begin))
    }
}

impl Compiled {
    /// Compiles the texts of a variant, of the present version or of an earlier one.
    pub fn of(row: &message_variant::Model) -> Result<Self> {
        Self::new(
            row.subject.as_deref().unwrap_or_default(),
            &row.text,
            row.html.as_deref(),
        )
    }
}
