//! What clients are owed when something happens to them: the messages that the templates of an event ask for.

use chrono::{DateTime, Utc};
use entity::message;

use super::{Event, MessageState, Template};
use crate::{
    client::{Aggregate, Wanted},
    custom_field::Definitions,
    error::{Error, Result},
    scalar::new_key,
};

/// The collections of a client that the templates of an event look at.
pub fn wanted(event: Event, definitions: &Definitions) -> Wanted {
    let templates = active(event, definitions);
    templates.fold(Wanted::default(), |wanted, template| wanted.or(template.wanted()))
}

/// The messages that `event` has brought about: one for each active template that fits the client and whose channel
/// reaches it. The client must have its [`wanted`] collections.
pub fn messages(
    event: Event,
    client: &Aggregate,
    definitions: &Definitions,
    now: DateTime<Utc>,
) -> Result<Vec<message::Model>> {
    active(event, definitions)
        .filter(|template| template.matches(client))
        .filter_map(|template| {
            Some(message(
                template,
                template.recipient(&client.client)?,
                client,
                definitions,
                now,
            ))
        })
        .collect()
}

fn active(event: Event, definitions: &Definitions) -> impl Iterator<Item = &Template> {
    let templates = definitions.templates.iter().map(|template| &**template);
    templates.filter(move |template| template.row.active && template.event == event)
}

fn message(
    template: &Template,
    recipient: &str,
    client: &Aggregate,
    definitions: &Definitions,
    now: DateTime<Utc>,
) -> Result<message::Model> {
    let variant = template.variant_for(&client.client.preferred_language);
    let values = template.values(variant, client, definitions, now);
    Ok(message::Model {
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
        created_at: now,
        queued_at: now,
        first_attempt_at: None,
        due_at: Some(now),
        lease: None,
        sent_at: None,
        failed_at: None,
        provider_id: None,
        reason: None,
        detail: None,
    })
}
