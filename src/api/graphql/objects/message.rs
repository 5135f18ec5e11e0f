//! A message to a client, and what resending some of them did.

use std::borrow::Cow;

use async_graphql::OutputType;
use entity::message;

use super::{
    client::{Client, ClientRow},
    connection::{Listed, Words},
    payload::{PayloadRow, UserError, payload_fields},
    template::{MessageTemplate, TemplateRow},
};
use crate::api::graphql::{global_id::GlobalId, world::World};
use clientele_domain::{
    caller::Permission,
    enums::{Channel, Event, Language, MessageState, Reason},
    notify::{MessagePage, Resent},
};
use graphql_server::object::{Field, Is, Object, Plan, list, list_of, maybe, maybe_list, maybe_of};

/// A message, and what was loaded beside it.
#[derive(Clone, Copy)]
pub struct MessageRow<'a> {
    pub message: &'a message::Model,
    pub world: &'a World,
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
        Field {
            name: "id",
            description: "The global id.",
            is: Is::Id(|row| {
                let (client_key, key) = (row.message.client_key.clone(), row.message.encoded_key.clone());
                GlobalId::Message { client_key, key }.encode()
            }),
        },
        Field {
            name: "encodedKey",
            description: "The key of the message. Every attempt at sending carries it, so that receivers can drop repeats.",
            is: Is::Text(|row| Cow::Borrowed(&row.message.encoded_key)),
        },
        Field {
            name: "event",
            description: "What had happened to the client.",
            is: Is::Enum(<Event as OutputType>::create_type_info, |row| Some(&row.message.event)),
        },
        Field {
            name: "channel",
            description: "The way it takes.",
            is: Is::Enum(<Channel as OutputType>::create_type_info, |row| {
                Some(&row.message.channel)
            }),
        },
        Field {
            name: "state",
            description: "Where it is on its way.",
            is: Is::Enum(<MessageState as OutputType>::create_type_info, |row| {
                Some(&row.message.state)
            }),
        },
        Field {
            name: "templateId",
            description: "The id of the template that it is written from, which may have been deleted since.",
            is: Is::Text(|row| Cow::Borrowed(&row.message.template_id)),
        },
        Field {
            name: "template",
            description: "The template as it is now, whose text may be another by now; null once it has been deleted.",
            is: Is::Objects {
                ty: maybe_of::<MessageTemplate>,
                plan: Plan::of::<MessageTemplate>,
                arguments: &[],
                write: |row, step, out| {
                    let definitions = &*row.world.definitions;
                    let template = definitions.template_of_key(&row.message.template_key);
                    let rights = &*row.world.rights;
                    let template = template.map(|template| TemplateRow {
                        template,
                        definitions,
                        rights,
                    });
                    maybe::<MessageTemplate>(template, &step.plan, out);
                },
            },
        },
        Field {
            name: "language",
            description: "The language it is written in.",
            is: Is::Enum(<Language as OutputType>::create_type_info, |row| {
                Some(&row.message.language)
            }),
        },
        Field {
            name: "recipient",
            description: "The e-mail address or phone number it goes to: the client's, when the message was queued first.",
            is: Is::Text(|row| Cow::Borrowed(&row.message.recipient)),
        },
        Field {
            name: "subject",
            description: "The subject. Null where the channel has none, and once the text has been removed.",
            is: Is::MaybeText(|row| {
                let content = row.world.content(row.message)?;
                (row.message.channel == Channel::Email.as_str()).then_some(&content.subject)
            }),
        },
        Field {
            name: "text",
            description: "What it says, with `***` for custom field values that you may not see. Null once the text has been removed, some time after it was sent.",
            is: Is::MaybeText(|row| row.world.content(row.message).map(|content| &*content.text)),
        },
        Field {
            name: "html",
            description: "What it says, as HTML. Null where there is only text, and once that has been removed.",
            is: Is::MaybeText(|row| row.world.content(row.message)?.html.as_deref()),
        },
        Field {
            name: "attempts",
            description: "How often sending it was tried, since it was queued last.",
            is: Is::Int(|row| row.message.attempts.into()),
        },
        Field {
            name: "createdAt",
            description: "When it was written.",
            is: Is::Instant(|row| row.message.created_at),
        },
        Field {
            name: "queuedAt",
            description: "When it was queued last: later than `createdAt` when it has been resent.",
            is: Is::Instant(|row| row.message.queued_at),
        },
        Field {
            name: "nextAttemptAt",
            description: "The earliest that it will be tried; null unless it is QUEUED.",
            is: Is::MaybeInstant(|row| row.message.due_at.filter(|_| row.is(MessageState::Queued))),
        },
        Field {
            name: "sentAt",
            description: "When the provider accepted it.",
            is: Is::MaybeInstant(|row| row.message.sent_at),
        },
        Field {
            name: "failedAt",
            description: "When it was given up.",
            is: Is::MaybeInstant(|row| row.message.failed_at),
        },
        Field {
            name: "reason",
            description: "Why the last attempt failed; null when none has, and when it was sent after all.",
            is: Is::Enum(<Option<Reason> as OutputType>::create_type_info, |row| {
                row.message.reason.as_deref()
            }),
        },
        Field {
            name: "detail",
            description: "The provider's own words on that.",
            is: Is::MaybeText(|row| row.message.detail.as_deref()),
        },
        Field {
            name: "providerId",
            description: "The name that the provider gave the message when it accepted it.",
            is: Is::MaybeText(|row| row.message.provider_id.as_deref()),
        },
        Field {
            name: "client",
            description: "The client whom it is for. Null when you may not see clients.",
            is: Is::Guarded {
                requires: Permission::ViewClient.as_str(),
                ty: maybe_of::<Client>,
                plan: Plan::of::<Client>,
                arguments: &[],
                write: |row, step, out| {
                    let client = row.world.clients.get(&row.message.client_key);
                    let client = client.map(|aggregate| ClientRow {
                        aggregate,
                        world: row.world,
                    });
                    maybe::<Client>(client, &step.plan, out);
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

    fn row<'a>(page: &'a MessagePage, at: usize, world: &'a World) -> MessageRow<'a> {
        let message = &page.messages.rows[at];
        MessageRow { message, world }
    }
}

/// What was resent, and what was loaded beside it.
#[derive(Clone, Copy)]
pub struct ResentRow<'a> {
    pub resent: &'a Resent,
    pub world: &'a World,
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
            is: Is::Guarded {
                requires: Permission::ViewMessages.as_str(),
                ty: |registry| list_of::<Message>(registry).trim_end_matches('!').to_owned(),
                plan: Plan::of::<Message>,
                arguments: &[],
                write: |row, step, out| {
                    let stored = row
                        .stored()
                        .and_then(|stored| Some((stored.resent.messages.as_ref()?, stored.world)));
                    let rows = stored
                        .map(|(messages, world)| messages.iter().map(move |message| MessageRow { message, world }));
                    maybe_list::<Message>(rows, &step.plan, out);
                },
            },
        },
        Field {
            name: "resent",
            description: "How many messages were queued anew.",
            is: Is::Int(|row| row.stored().map_or(0, |stored| stored.resent.count as i64)),
        },
        Field {
            name: "more",
            description: "Whether there are failed messages left that pass the `filter`: then send it once more.",
            is: Is::Boolean(|row| row.stored().is_some_and(|stored| stored.resent.more)),
        },
    ];
}
