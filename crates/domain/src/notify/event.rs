//! Creates the messages for an event from its templates.

use chrono::{DateTime, Utc};
use entity::{client, message};

use super::{
    render::withhold,
    template::{Template, ValueSource},
};
use crate::{
    caller::Rights,
    client::{Aggregate, ClientParts},
    definitions::Definitions,
    enums::{Event, MessageState},
};
use clientele_core::{
    error::{Error, Result},
    scalar::new_key,
};

/// Returns the collections of a client that the templates of an event need.
pub fn parts(event: Event, definitions: &Definitions) -> ClientParts {
    let templates = active(event, definitions);
    templates.fold(ClientParts::default(), |parts, template| parts.or(template.parts()))
}

/// The change that causes messages.
pub struct Change<'a> {
    pub event: Event,
    /// The client's row before the change; none if the client was created.
    pub before: Option<&'a client::Model>,
    /// The rights of the caller who made the change.
    pub rights: &'a Rights,
    pub now: DateTime<Utc>,
}

/// Returns the messages for a change: one for each active template that fits the client and whose channel reaches it.
/// The client must have its [`parts`] collections.
///
/// In a message to an address of their own, callers could read values of sets that they may not view. So a message to
/// an address that the change introduced contains none of these values, and none of them causes a message.
pub fn messages(change: &Change<'_>, client: &Aggregate, definitions: &Definitions) -> Result<Vec<message::Model>> {
    let source = ValueSource::new(client, definitions, change.now);
    let mut messages = Vec::new();
    for template in active(change.event, definitions).filter(|template| template.matches(client)) {
        let Some(recipient) = template.recipient(&client.client) else {
            continue;
        };
        // All values of a created client are from its creator, who may therefore view them.
        let is_new = change
            .before
            .is_some_and(|before| template.recipient(before) != Some(recipient));
        if is_new && template.conditions.depend_on_hidden(definitions, change.rights) {
            continue;
        }
        let variant = template.variant_for(&client.client.preferred_language);
        let mut values = source.values(variant);
        if is_new {
            withhold(&mut values, change.rights);
        }
        messages.push(message::Model {
            client_key: client.client.encoded_key.clone(),
            encoded_key: new_key(),
            event: template.event.as_str().to_owned(),
            channel: template.channel.as_str().to_owned(),
            template_key: template.row.encoded_key.clone(),
            template_id: template.row.template_id.clone(),
            variant_key: variant.row.encoded_key.clone(),
            language: variant.row.language.clone(),
            recipient: recipient.to_owned(),
            placeholders: Some(serde_json::to_string(&values).map_err(Error::internal)?),
            state: MessageState::Queued.as_str().to_owned(),
            attempts: 0,
            created_at: change.now,
            queued_at: change.now,
            first_attempt_at: None,
            due_at: Some(change.now),
            lease: None,
            sent_at: None,
            failed_at: None,
            provider: None,
            provider_id: None,
            reason: None,
            detail: None,
            delivered_at: None,
            receipt_at: None,
        });
    }
    Ok(messages)
}

fn active(event: Event, definitions: &Definitions) -> impl Iterator<Item = &Template> {
    let templates = definitions.templates.iter().map(|template| &**template);
    templates.filter(move |template| template.row.active && template.event == event)
}
