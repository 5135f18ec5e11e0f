//! A message to a client.

use entity::message;

use super::{client::Client, connection::listed, template::MessageTemplate};
use crate::api::graphql::{global_id, loaded::LoadedData};
use clientele_domain::{
    enums::{Channel, Event, Language, MessageState, Provider, Reason},
    notify::MessagePage,
};

/// A message, and the data around it.
pub type MessageRow<'a> = (&'a message::Model, &'a LoadedData);

object! {
    node Message = MessageRow<'a>, "A message to a client, written from a template because of an event.";

    id id "The global ID." => |(row, _)| global_id::encode(Self::NAME, &[&row.client_key, &row.encoded_key]);
    text encodedKey "The key of the message. Every attempt to send it carries this key, so that receivers can drop \
        repeats." => |(row, _)| &row.encoded_key;
    enum<Event> event "The event that caused the message." => |(row, _)| &row.event;
    enum<Channel> channel "The channel through which the message is sent." => |(row, _)| &row.channel;
    enum<MessageState> state "The state of delivery." => |(row, _)| &row.state;
    text templateId "The ID of the template, which may have been deleted since." => |(row, _)| &row.template_id;
    maybe<MessageTemplate> template "The template as it is now: its text may have changed since. Null if it has been \
        deleted." => |(row, loaded)| {
            let template = loaded.definitions.template_of_key(&row.template_key);
            template.map(|template| (&**template, &*loaded.definitions, &*loaded.rights))
        };
    enum<Language> language "The language of the message." => |(row, _)| &row.language;
    text recipient "The e-mail address or phone number of the recipient, as the client had it when the message was \
        first queued." => |(row, _)| &row.recipient;
    maybe_text subject "The subject of an e-mail. Null on other channels, and after the text has been removed."
        => |(row, loaded)| {
            let content = loaded.content(row)?;
            (row.channel == Channel::Email.as_str()).then_some(&content.subject)
        };
    maybe_text text "The text, with `***` for custom field values that you may not view. Null after the text has been \
        removed, some time after sending." => |(row, loaded)| loaded.content(row).map(|content| &*content.text);
    maybe_text html "The text as HTML. Null if the message has no HTML, and after it has been removed."
        => |(row, loaded)| loaded.content(row)?.html.as_deref();
    int attempts "The number of attempts to send the message since it was last queued."
        => |(row, _)| row.attempts.into();
    maybe_instant deliveredAt "The time at which the recipient got the message, as a delivery receipt says; null \
        without one." => |(row, _)| row.delivered_at;
    maybe_instant receiptAt "The time at which the delivery receipt came that decided the state; null without one."
        => |(row, _)| row.receipt_at;
    instant createdAt "The time at which the message was created." => |(row, _)| row.created_at;
    instant queuedAt "The time at which the message was last queued: later than `createdAt` if it was resent."
        => |(row, _)| row.queued_at;
    maybe_instant nextAttemptAt "The earliest time of the next attempt, or the end of the quiet hours; null unless \
        the state is QUEUED."
        => |(row, _)| row.due_at.filter(|_| row.state == MessageState::Queued.as_str());
    maybe_instant sentAt "The time at which the provider accepted the message; null before it."
        => |(row, _)| row.sent_at;
    maybe_instant failedAt "The time of the final failure or of the bounce; null if there is none."
        => |(row, _)| row.failed_at;
    maybe_enum<Reason> reason "The reason why the last attempt failed, why the message bounced or was suppressed, or \
        COMPLAINT; null if none of these happened, or if a later attempt succeeded."
        => |(row, _)| row.reason.as_deref();
    maybe_text detail "The provider's description of the failure or the bounce." => |(row, _)| row.detail.as_deref();
    maybe_enum<Provider> provider "The provider that accepted the message; null before it, and if a server of an \
        earlier version has sent it." => |(row, _)| row.provider.as_deref();
    maybe_text providerId "The ID that the provider gave the message on acceptance."
        => |(row, _)| row.provider_id.as_deref();
    maybe<Client> client "The client who receives the message. Requires VIEW_CLIENT: without it, null and an error."
        needs ViewClient => |(row, loaded)| loaded.client(&row.client_key);
}

listed! {
    Message, "A page of messages, newest first.", MessagePage => messages: message::Model;
    cursor |_, message| MessagePage::cursor(message);
    row |message, loaded| (message, loaded)
}
