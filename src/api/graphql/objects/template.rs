//! Message templates, and the preview of a message.

use super::definition::{ClientRole, CustomField};
use crate::api::graphql::global_id;
use clientele_domain::{
    caller::Rights,
    definitions::{Definitions, FieldCondition, Template, Variant},
    enums::{Channel, ClientState, Event, Language},
    notify::template::Preview,
};

/// A template, all definitions, and the rights of the caller.
pub type TemplateRow<'a> = (&'a Template, &'a Definitions, &'a Rights);

object! {
    node MessageTemplate = TemplateRow<'a>, "A template for the messages that clients get after an event.";

    id id "The global ID." => |(template, ..)| global_id::encode(Self::NAME, &[&template.row.encoded_key]);
    text encodedKey "The key of the template." => |(template, ..)| &template.row.encoded_key;
    text templateId "The ID of the template, which inputs use to name it."
        => |(template, ..)| &template.row.template_id;
    text name "The display name." => |(template, ..)| &template.row.name;
    enum<Event> event "The event that messages are sent for." => |(template, ..)| template.event.as_str();
    enum<Channel> channel "The channel of the messages." => |(template, ..)| template.channel.as_str();
    boolean active "True if new messages are written from the template." => |(template, ..)| template.row.active;
    enum<Language> defaultLanguage "The language of the variant for clients without a variant in their own language."
        => |(template, ..)| &template.row.default_language;
    list<MessageTemplateVariant> variants "The texts of the template, one variant for each language, ordered by the \
        name of the language. A client gets one of them." => |(template, ..)| template.variants.iter().map(|variant| {
            (variant, variant.row.language == template.row.default_language)
        });
    one<MessageConditions> conditions "The conditions that a client must meet to get a message." => |row| row;
}

object! {
    type MessageTemplateVariant = (&'a Variant, bool), "The texts of a message template in one language.";

    enum<Language> language "The language." => |(variant, _)| variant.language.as_str();
    maybe_text subject "The subject with its placeholders; null for text messages."
        => |(variant, _)| variant.row.subject.as_deref();
    text text "The text with its placeholders." => |(variant, _)| &variant.row.text;
    maybe_text html "The text as HTML, with its placeholders; null if there is none."
        => |(variant, _)| variant.row.html.as_deref();
    boolean isDefault "True if clients without a variant in their own language get this one."
        => |(_, is_default)| is_default;
}

object! {
    type MessageConditions = TemplateRow<'a>, "The conditions that a client must meet to get a message. An empty list \
        is always met.";

    list<ClientRole> clientRoles "The client has one of these roles." => |(template, definitions, _)|
        template.conditions.roles.iter().filter_map(move |key| Some((definitions.role_of_key(key)?, definitions)));
    enums<ClientState> states "The client is in one of these states."
        => |(template, ..)| template.conditions.states.iter().map(|state| state.as_str()).collect();
    list<MessageFieldCondition> customFields "Each of these custom fields has the given value."
        => |row| row.0.conditions.fields.iter().map(|condition| (condition, row));
}

object! {
    type MessageFieldCondition = (&'a FieldCondition, TemplateRow<'a>), "A value that a custom field must have.";

    maybe<CustomField> field "The custom field; null if it has been deleted: then no client meets the condition."
        => |(condition, (_, definitions, _))| {
            definitions.field_of_key(&condition.field_key).map(|field| (field, definitions))
        };
    text value "The value as text; for a link, the key of the linked object. `***` if you may not view values of the \
        field." => |(condition, (_, definitions, rights))| condition.shown(definitions, rights);
}

object! {
    type MessagePreview = &'a Preview, "A message as a client would get it now. It isn't sent.";

    boolean matches "True if the client meets the conditions of the template. A condition on a custom field whose \
        values you may not view counts as not met. The preview ignores `active`." => |row| row.matches;
    enum<Language> language "The language of the message: the default language of the template if it has no variant in \
        the requested one." => |row| row.language.as_str();
    maybe_text recipient "The e-mail address or phone number of the recipient; null if the client has none for the \
        channel of the template." => |row| row.recipient.as_deref();
    maybe_text subject "The subject; null for text messages."
        => |row| row.has_subject.then_some(row.content.subject.as_str());
    text text "The text." => |row| &row.content.text;
    maybe_text html "The text as HTML; null if the template has none." => |row| row.content.html.as_deref();
}
