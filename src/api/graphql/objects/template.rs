//! Message templates, and the preview of a message.

use std::borrow::Cow;

use super::definition::{ClientRole, CustomField, FieldRow};
use crate::api::graphql::global_id::GlobalId;
use clientele_domain::{
    caller::Rights,
    definitions::{Definitions, FieldCondition, Template, Variant},
    enums::{Channel, ClientState, Event, Language},
    notify::template::Preview,
};
use graphql_server::object::{Field, FieldKind, Object, Selection, list, list_of, maybe, maybe_of, object, one_of};

/// A template, all definitions, and the rights of the caller.
#[derive(Clone, Copy)]
pub struct TemplateRow<'a> {
    pub template: &'a Template,
    pub definitions: &'a Definitions,
    pub rights: &'a Rights,
}

#[derive(Clone, Copy)]
pub struct VariantRow<'a> {
    variant: &'a Variant,
    is_default: bool,
}

#[derive(Clone, Copy)]
pub struct ConditionRow<'a> {
    condition: &'a FieldCondition,
    definitions: &'a Definitions,
    rights: &'a Rights,
}

pub struct MessageTemplate;

impl Object for MessageTemplate {
    const NAME: &'static str = "MessageTemplate";
    const DESCRIPTION: &'static str = "What clients are written when something happens to them.";
    const IS_NODE: bool = true;
    type Row<'a> = TemplateRow<'a>;
    const FIELDS: &'static [Field<Self>] = &[
        Field::id("id", "The global id.", |row| {
            GlobalId::MessageTemplate(row.template.row.encoded_key.clone()).encode()
        }),
        Field::text("encodedKey", "The key of the template.", |row| {
            Cow::Borrowed(&row.template.row.encoded_key)
        }),
        Field::text("templateId", "The id that submissions name the template by.", |row| {
            Cow::Borrowed(&row.template.row.template_id)
        }),
        Field::text("name", "The name people see.", |row| {
            Cow::Borrowed(&row.template.row.name)
        }),
        Field::one_of::<Event>("event", "What a message is sent for.", |row| {
            Some(row.template.event.as_str())
        }),
        Field::one_of::<Channel>("channel", "The way its messages take.", |row| {
            Some(row.template.channel.as_str())
        }),
        Field::boolean("active", "Whether messages are written from it.", |row| {
            row.template.row.active
        }),
        Field::one_of::<Language>(
            "defaultLanguage",
            "The language of the variant for clients in whose language there is none.",
            |row| Some(&row.template.row.default_language),
        ),
        Field {
            name: "variants",
            description: "What it says in each language, by the names of the languages. A client gets one of them.",
            kind: FieldKind::Objects {
                ty: list_of::<MessageTemplateVariant>,
                select: Selection::of::<MessageTemplateVariant>,
                arguments: &[],
                write: |row, field, json| {
                    let variants = row.template.variants.iter().map(|variant| VariantRow {
                        variant,
                        is_default: variant.row.language == row.template.row.default_language,
                    });
                    list::<MessageTemplateVariant>(variants, &field.selection, json);
                },
            },
        },
        Field {
            name: "conditions",
            description: "Which clients get a message: those for whom all of these hold.",
            kind: FieldKind::Objects {
                ty: one_of::<MessageConditions>,
                select: Selection::of::<MessageConditions>,
                arguments: &[],
                write: |row, field, json| object::<MessageConditions>(row, &field.selection, json),
            },
        },
    ];
}

pub struct MessageTemplateVariant;

impl Object for MessageTemplateVariant {
    const NAME: &'static str = "MessageTemplateVariant";
    const DESCRIPTION: &'static str = "What a message template says in one language.";
    type Row<'a> = VariantRow<'a>;
    const FIELDS: &'static [Field<Self>] = &[
        Field::one_of::<Language>("language", "The language.", |row| Some(row.variant.language.as_str())),
        Field::maybe_text(
            "subject",
            "The subject, with its placeholders; null for text messages.",
            |row| row.variant.row.subject.as_deref(),
        ),
        Field::text("text", "The text, with its placeholders.", |row| {
            Cow::Borrowed(&row.variant.row.text)
        }),
        Field::maybe_text("html", "The same as HTML, if there is any.", |row| {
            row.variant.row.html.as_deref()
        }),
        Field::boolean(
            "isDefault",
            "Whether clients in whose language there is no variant get this one.",
            |row| row.is_default,
        ),
    ];
}

pub struct MessageConditions;

impl Object for MessageConditions {
    const NAME: &'static str = "MessageConditions";
    const DESCRIPTION: &'static str =
        "What must hold of a client for a message to be written. An empty list asks for nothing.";
    type Row<'a> = TemplateRow<'a>;
    const FIELDS: &'static [Field<Self>] = &[
        Field {
            name: "clientRoles",
            description: "The client has one of these roles.",
            kind: FieldKind::Objects {
                ty: list_of::<ClientRole>,
                select: Selection::of::<ClientRole>,
                arguments: &[],
                write: |row, field, json| {
                    let keys = row.template.conditions.roles.iter();
                    let roles = keys.filter_map(|key| row.definitions.role_of_key(key));
                    list::<ClientRole>(roles, &field.selection, json);
                },
            },
        },
        Field::many_of::<ClientState>("states", "The client is in one of these states.", |row| {
            let states = row.template.conditions.states.iter();
            states.map(|state| state.as_str()).collect()
        }),
        Field {
            name: "customFields",
            description: "Each of these custom fields has this value.",
            kind: FieldKind::Objects {
                ty: list_of::<MessageFieldCondition>,
                select: Selection::of::<MessageFieldCondition>,
                arguments: &[],
                write: |row, field, json| {
                    let conditions = row.template.conditions.fields.iter().map(|condition| ConditionRow {
                        condition,
                        definitions: row.definitions,
                        rights: row.rights,
                    });
                    list::<MessageFieldCondition>(conditions, &field.selection, json);
                },
            },
        },
    ];
}

pub struct MessageFieldCondition;

impl Object for MessageFieldCondition {
    const NAME: &'static str = "MessageFieldCondition";
    const DESCRIPTION: &'static str = "A value that a custom field must have.";
    type Row<'a> = ConditionRow<'a>;
    const FIELDS: &'static [Field<Self>] = &[
        Field {
            name: "field",
            description: "The custom field; null when it has been deleted, so that no client meets the condition.",
            kind: FieldKind::Objects {
                ty: maybe_of::<CustomField>,
                select: Selection::of::<CustomField>,
                arguments: &[],
                write: |row, field, json| {
                    let definition = row.definitions.field_of_key(&row.condition.field_key);
                    let definition = definition.map(|field| FieldRow {
                        field,
                        definitions: row.definitions,
                    });
                    maybe::<CustomField>(definition, &field.selection, json);
                },
            },
        },
        Field::text(
            "value",
            "The value as text, `***` where you may not see the values of the field; for a link, the key of what is linked.",
            |row| Cow::Borrowed(row.condition.shown(row.definitions, row.rights)),
        ),
    ];
}

pub struct MessagePreview;

impl Object for MessagePreview {
    const NAME: &'static str = "MessagePreview";
    const DESCRIPTION: &'static str = "A message as a client would get it now. Nothing is sent.";
    type Row<'a> = &'a Preview;
    const FIELDS: &'static [Field<Self>] = &[
        Field::boolean(
            "matches",
            "Whether the client meets the template's conditions; one on a custom field whose values you may not see counts as not met. Whether the template is active isn't asked.",
            |row| row.matches,
        ),
        Field::one_of::<Language>(
            "language",
            "The language it is written in: the template's default one, if it knows no better.",
            |row| Some(row.language.as_str()),
        ),
        Field::maybe_text(
            "recipient",
            "Where it would go; null when the client can't be reached on the template's channel.",
            |row| row.recipient.as_deref(),
        ),
        Field::maybe_text("subject", "The subject; null for a text message.", |row| {
            row.has_subject.then_some(row.content.subject.as_str())
        }),
        Field::text("text", "The text.", |row| Cow::Borrowed(&row.content.text)),
        Field::maybe_text("html", "The same as HTML, if the template has any.", |row| {
            row.content.html.as_deref()
        }),
    ];
}
