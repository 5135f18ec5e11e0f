//! A message to a client, and the payload of resending messages.

use std::borrow::Cow;

use entity::message;

use super::{
    client::{Client, ClientRow},
    connection::{Listed, Words},
    payload::{PayloadRow, UserError, payload_fields},
    template::{MessageTemplate, TemplateRow},
};
use crate::api::graphql::{global_id::GlobalId, loaded::LoadedData};
use clientele_domain::{
    caller::Permission,
    enums::{Channel, Event, Language, MessageState, Reason},
    notify::{MessagePage, Resent},
};
use graphql_server::object::{Field, FieldKind, Object, Selection, list, list_of, maybe, maybe_list, maybe_of};

/// A message, and the data around it.
#[derive(Clone, Copy)]
pub struct MessageRow<'a> {
    pub message: &'a message::Model,
    pub loaded: &'a LoadedData,
}

impl MessageRow<'_> {
    fn is(self, state: MessageState) -> bool {
        self.message.state == state.as_str()
    }
}

pub struct Message;

impl Object for Message {
    const NAME: &'static str = "Message";
    const DESCRIPTION: &'static str =
        "What a client was written, or will be, because something happened to it: one message of one template.";
    const IS_NODE: bool = true;
    type Row<'a> = MessageRow<'a>;
    const FIELDS: &'static [Field<Self>] = &[
        Field::id("id", "The global id.", |row| {
            let (client_key, key) = (row.message.client_key.clone(), row.message.encoded_key.clone());
            GlobalId::Message { client_key, key }.encode()
        }),
        Field::text(
            "encodedKey",
            "The key of the message. Every attempt at sending carries it, so that receivers can drop repeats.",
            |row| Cow::Borrowed(&row.message.encoded_key),
        ),
        Field::one_of::<Event>("event", "What had happened to the client.", |row| {
            Some(&row.message.event)
        }),
        Field::one_of::<Channel>("channel", "The way it takes.", |row| Some(&row.message.channel)),
        Field::one_of::<MessageState>("state", "Where it is on its way.", |row| Some(&row.message.state)),
        Field::text(
            "templateId",
            "The id of the template that it is written from, which may have been deleted since.",
            |row| Cow::Borrowed(&row.message.template_id),
        ),
        Field {
            name: "template",
            description: "The template as it is now, whose text may be another by now; null once it has been deleted.",
            kind: FieldKind::Objects {
                ty: maybe_of::<MessageTemplate>,
                select: Selection::of::<MessageTemplate>,
                arguments: &[],
                write: |row, field, json| {
                    let definitions = &*row.loaded.definitions;
                    let template = definitions.template_of_key(&row.message.template_key);
                    let rights = &*row.loaded.rights;
                    let template = template.map(|template| TemplateRow {
                        template,
                        definitions,
                        rights,
                    });
                    maybe::<MessageTemplate>(template, &field.selection, json);
                },
            },
        },
        Field::one_of::<Language>("language", "The language it is written in.", |row| {
            Some(&row.message.language)
        }),
        Field::text(
            "recipient",
            "The e-mail address or phone number it goes to: the client's, when the message was queued first.",
            |row| Cow::Borrowed(&row.message.recipient),
        ),
        Field::maybe_text(
            "subject",
            "The subject. Null where the channel has none, and once the text has been removed.",
            |row| {
                let content = row.loaded.content(row.message)?;
                (row.message.channel == Channel::Email.as_str()).then_some(&content.subject)
            },
        ),
        Field::maybe_text(
            "text",
            "What it says, with `***` for custom field values that you may not see. Null once the text has been removed, some time after it was sent.",
            |row| row.loaded.content(row.message).map(|content| &*content.text),
        ),
        Field::maybe_text(
            "html",
            "What it says, as HTML. Null where there is only text, and once that has been removed.",
            |row| row.loaded.content(row.message)?.html.as_deref(),
        ),
        Field::int(
            "attempts",
            "How often sending it was tried, since it was queued last.",
            |row| row.message.attempts.into(),
        ),
        Field::instant("createdAt", "When it was written.", |row| row.message.created_at),
        Field::instant(
            "queuedAt",
            "When it was queued last: later than `createdAt` when it has been resent.",
            |row| row.message.queued_at,
        ),
        Field::maybe_instant(
            "nextAttemptAt",
            "The earliest that it will be tried; null unless it is QUEUED.",
            |row| row.message.due_at.filter(|_| row.is(MessageState::Queued)),
        ),
        Field::maybe_instant("sentAt", "When the provider accepted it.", |row| row.message.sent_at),
        Field::maybe_instant("failedAt", "When it was given up.", |row| row.message.failed_at),
        Field::one_of::<Option<Reason>>(
            "reason",
            "Why the last attempt failed; null when none has, and when it was sent after all.",
            |row| row.message.reason.as_deref(),
        ),
        Field::maybe_text("detail", "The provider's own words on that.", |row| {
            row.message.detail.as_deref()
        }),
        Field::maybe_text(
            "providerId",
            "The name that the provider gave the message when it accepted it.",
            |row| row.message.provider_id.as_deref(),
        ),
        Field {
            name: "client",
            description: "The client whom it is for. Null when you may not see clients.",
            kind: FieldKind::Guarded {
                requires: Permission::ViewClient.as_str(),
                ty: maybe_of::<Client>,
                select: Selection::of::<Client>,
                arguments: &[],
                write: |row, field, json| {
                    let client = row.loaded.clients.get(&row.message.client_key);
                    let client = client.map(|aggregate| ClientRow {
                        aggregate,
                        loaded: row.loaded,
                    });
                    maybe::<Client>(client, &field.selection, json);
                },
            },
        },
    ];
}

impl Listed for Message {
    type Page = MessagePage;
    const WORDS: Words = Words {
        connection: "MessageConnection",
        page: "A page of messages, newest first.",
        edges: "The messages of the page, each with its cursor.",
        nodes: "The messages of the page.",
        total: "The number of messages in the list, exact up to 10,000: see `totalCountPrecision`. Counted only if \
                selected.",
        edge: "MessageEdge",
        entry: "A message in a page.",
        cursor: "Where the message stands in the list: for `after` and `before`.",
        node: "The message.",
    };

    fn more(page: &MessagePage) -> (bool, bool) {
        (page.messages.has_next, page.messages.has_previous)
    }

    fn count(page: &MessagePage) -> usize {
        page.messages.rows.len()
    }

    fn cursor(page: &MessagePage, at: usize) -> String {
        MessagePage::cursor(&page.messages.rows[at])
    }

    fn row<'a>(page: &'a MessagePage, at: usize, loaded: &'a LoadedData) -> MessageRow<'a> {
        let message = &page.messages.rows[at];
        MessageRow { message, loaded }
    }
}

/// The resent messages, and the data around them.
#[derive(Clone, Copy)]
pub struct ResentRow<'a> {
    pub resent: &'a Resent,
    pub loaded: &'a LoadedData,
}

pub struct ResendMessagesPayload;

impl Object for ResendMessagesPayload {
    const NAME: &'static str = "ResendMessagesPayload";
    const DESCRIPTION: &'static str = "What `resendMessages` did.";
    type Row<'a> = PayloadRow<'a, ResentRow<'a>>;
    const FIELDS: &'static [Field<Self>] = payload_fields![
        Field {
            name: "messages",
            description: "The messages that `ids` named, in that order. Null with a `filter`, and when there are userErrors. Needs VIEW_MESSAGES.",
            kind: FieldKind::Guarded {
                requires: Permission::ViewMessages.as_str(),
                ty: |registry| list_of::<Message>(registry).trim_end_matches('!').to_owned(),
                select: Selection::of::<Message>,
                arguments: &[],
                write: |row, field, json| {
                    let stored = row
                        .stored()
                        .and_then(|stored| Some((stored.resent.messages.as_ref()?, stored.loaded)));
                    let rows = stored
                        .map(|(messages, loaded)| messages.iter().map(move |message| MessageRow { message, loaded }));
                    maybe_list::<Message>(rows, &field.selection, json);
                },
            },
        },
        Field::int("resent", "How many messages were queued anew.", |row| row
            .stored()
            .map_or(0, |stored| stored.resent.count as i64)),
        Field::boolean(
            "more",
            "Whether there are failed messages left that pass the `filter`: then send it once more.",
            |row| row.stored().is_some_and(|stored| stored.resent.more)
        ),
    ];
}
