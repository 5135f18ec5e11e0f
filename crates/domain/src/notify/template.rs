//! Templates of messages: their conditions on clients, their texts by language, and their recipients.
//!
//! Independent of how a message is stored or sent.

mod conditions;
mod delete;
mod preview;
mod recorded;
mod upsert;
mod values;

use entity::{client, message_variant};

pub use self::{
    delete::{DeleteMessageTemplate, delete_message_template},
    preview::Preview,
    upsert::{
        MessageConditionsInput, MessageFieldConditionInput, MessageTemplateVariantInput, UpsertMessageTemplate,
        upsert_message_template,
    },
    values::{Source, mobile_phone},
};
use super::render::Compiled;
pub use crate::definitions::{Conditions, FieldCondition, Template, Variant};
use crate::{
    client::{Aggregate, Wanted},
    enums::Channel,
};
use clientele_core::{error::Result, text::is_blank};

impl Template {
    /// Returns true if all conditions hold for a client that was loaded with the collections of
    /// [`wanted`](Self::wanted).
    pub fn matches(&self, aggregate: &Aggregate) -> bool {
        self.conditions.hold(aggregate)
    }

    /// Returns the collections that its conditions and placeholders need.
    pub fn wanted(&self) -> Wanted {
        let uses = |begin: &str| self.variants.iter().any(|variant| variant.uses(begin));
        Wanted {
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
