//! Checks a message template. A pure function: submission + present definitions → the resulting template, or every
//! problem.

use std::collections::HashSet;

use async_graphql::MaybeUndefined;
use entity::message_template;

use super::{
    MessageConditionsInput, MessageFieldConditionInput, Plan, UpsertMessageTemplate, variants::checked_variants,
};
use crate::{
    caller::Rights,
    client_by::ClientRoleBy,
    definitions::Definitions,
    enums::{Channel, ClientState, Event, Language},
    member::{Problems, Scalars},
    notify::{
        placeholder::Placeholder,
        render::HIDDEN,
        template::{Conditions, FieldCondition, Template},
    },
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Message, Problem, ProblemCode},
};

/// Limit of the conditions of each kind.
const MOST_CONDITIONS: usize = 100;
/// Limit of the active templates of one event and channel.
const MOST_ACTIVE: usize = 20;

/// `known` are the definitions to check the submission by, `rights` those of its caller.
pub(super) fn check(
    input: &UpsertMessageTemplate,
    known: &Definitions,
    rights: &Rights,
) -> Result<Result<Plan, Vec<Problem>>> {
    let UpsertMessageTemplate {
        template_id,
        encoded_key,
        name,
        event,
        channel,
        active,
        default_language,
        variants,
        conditions,
        client_mutation_id: _,
    } = input;
    let mut problems = Problems::default();
    let mut member = Scalars {
        scope: Vec::new(),
        problems: &mut problems,
    };
    let stored = known.template(template_id).map(|template| &**template);
    let before = stored.map(|template| &template.row);
    member.definition_id("templateId", template_id, stored.is_some());
    let encoded_key = member.definition_key(encoded_key, before.map(|row| row.encoded_key.as_str()), |key| {
        known.template_of_key(key).is_some()
    });
    let name = member.required("name", name, before.map_or("", |row| &row.name));
    let event = required("event", event.or(stored.map(|template| template.event)), &mut member);
    let channel = required(
        "channel",
        channel.or(stored.map(|template| template.channel)),
        &mut member,
    );
    let variants = checked_variants(variants, channel, &encoded_key, stored, known, rights, &mut problems);
    let languages: Vec<&str> = variants.iter().map(|variant| variant.language.as_str()).collect();
    let default_language = self::default_language(*default_language, stored, &languages, &mut problems);
    let active = active.unwrap_or(before.is_none_or(|row| row.active));
    let found = problems.0.len();
    let conditions = checked_conditions(conditions, stored, known, rights, &mut problems);
    let are_valid = problems.0.len() == found;
    if let Some(stored) = stored.filter(|stored| depends_on_hidden(stored, known, rights)) {
        // Its recipients and the times of its messages would reveal the values. Its texts can be changed, and it can be
        // deactivated and deleted.
        let changes = [
            ("event", event.is_some_and(|event| event != stored.event)),
            ("channel", channel.is_some_and(|channel| channel != stored.channel)),
            ("active", active && !stored.row.active),
            ("conditions", are_valid && conditions != stored.conditions),
        ];
        for (name, _) in changes.into_iter().filter(|(_, changed)| *changed) {
            let message = "This template depends on values of custom fields that you may not see: you may change its \
                           texts, deactivate it or delete it.";
            problems.add(ProblemCode::Forbidden, path![name], message);
        }
    }
    if let (Some(event), Some(channel), true) = (event, channel, active) {
        check_active_limit(event, channel, stored, known, &mut problems);
    }
    let (Some(event), Some(channel), true) = (event, channel, problems.0.is_empty()) else {
        return Ok(Err(problems.0));
    };
    let row = message_template::Model {
        encoded_key,
        template_id: template_id.clone(),
        name,
        event: event.as_str().to_owned(),
        channel: channel.as_str().to_owned(),
        active,
        default_language,
        conditions: serde_json::to_string(&conditions).map_err(Error::internal)?,
        position: match before {
            Some(row) => row.position,
            None => known.templates.last().map_or(0, |last| last.row.position + 1),
        },
    };
    Ok(Ok(Plan { row, variants }))
}

/// Returns true if a template selects clients by, or sends, values that the caller may not see.
fn depends_on_hidden(template: &Template, known: &Definitions, rights: &Rights) -> bool {
    let mut keys = template.variants.iter().flat_map(|variant| &variant.keys);
    template.conditions.depend_on_hidden(known, rights)
        || keys.any(|key| match Placeholder::of_key(key) {
            Some(Placeholder::CustomField(id)) => known.field(&id).is_some_and(|field| !field.is_shown(rights)),
            _ => false,
        })
}

/// Refuses a template beyond the limit of its event and channel. The transaction that changes a client writes all their
/// messages, so that their number bounds its duration.
///
/// A template that is already active for the event and channel can be changed, even if there are more than the limit.
fn check_active_limit(
    event: Event,
    channel: Channel,
    stored: Option<&Template>,
    known: &Definitions,
    problems: &mut Problems,
) {
    let counts = |template: &Template| template.row.active && template.event == event && template.channel == channel;
    let others = known.templates.iter().filter(|template| counts(template)).count();
    if others < MOST_ACTIVE || stored.is_some_and(counts) {
        return;
    }
    let message = format!(
        "{others} templates of the event {} and the channel {} are active, and at most {MOST_ACTIVE} can be: \
         deactivate or delete one, or store this one with active: false.",
        event.as_str(),
        channel.as_str()
    );
    problems.add(ProblemCode::TooMany, path!["active"], message);
}

/// A member that a template must have.
fn required<T>(name: &'static str, value: Option<T>, member: &mut Scalars<'_>) -> Option<T> {
    if value.is_none() {
        let message = format!("A new template needs the member {name}.");
        member.refuse(ProblemCode::Blank, name, message);
    }
    value
}

/// `languages` are those of the variants, in the order of the submission.
fn default_language(
    sent: Option<Language>,
    stored: Option<&Template>,
    languages: &[&str],
    problems: &mut Problems,
) -> String {
    let stored = stored.map(|template| template.row.default_language.as_str());
    let chosen = sent.map(Language::as_str).or(stored).or(languages.first().copied());
    if let Some(chosen) = chosen
        && !languages.is_empty()
        && !languages.contains(&chosen)
    {
        let message = format!(
            "There is no variant in the default language {chosen}: add one, or choose another default language."
        );
        problems.add(ProblemCode::Invalid, ["defaultLanguage".into()], message);
    }
    chosen.unwrap_or_default().to_owned()
}

/// Returns the resulting conditions.
fn checked_conditions(
    sent: &MaybeUndefined<MessageConditionsInput>,
    stored: Option<&Template>,
    known: &Definitions,
    rights: &Rights,
    problems: &mut Problems,
) -> Conditions {
    let input = match sent {
        MaybeUndefined::Undefined => return stored.map(|template| template.conditions.clone()).unwrap_or_default(),
        MaybeUndefined::Null => return Conditions::default(),
        MaybeUndefined::Value(input) => input,
    };
    let MessageConditionsInput {
        client_roles,
        states,
        custom_fields,
    } = input;
    Conditions {
        roles: roles(listed("clientRoles", client_roles, problems), known, problems),
        states: self::states(listed("states", states, problems)),
        fields: {
            let before = stored.map(|template| template.conditions.fields.as_slice());
            let sent = listed("customFields", custom_fields, problems);
            fields(sent, before.unwrap_or_default(), known, rights, problems)
        },
    }
}

fn listed<'a, T>(name: &'static str, sent: &'a Option<Vec<T>>, problems: &mut Problems) -> &'a [T] {
    let list = sent.as_deref().unwrap_or_default();
    if list.len() > MOST_CONDITIONS {
        let message = format!("Send at most {MOST_CONDITIONS} {name}.");
        problems.add(ProblemCode::TooMany, path!["conditions", name], message);
        return &[];
    }
    list
}

/// Returns the keys of the roles; one that is named twice counts once.
fn roles(sent: &[ClientRoleBy], known: &Definitions, problems: &mut Problems) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for (index, by) in sent.iter().enumerate() {
        let (role, name) = match by {
            ClientRoleBy::EncodedKey(key) => (known.role_of_key(key), "encodedKey"),
            ClientRoleBy::RoleId(id) => (known.roles.iter().find(|role| role.role_id == *id), "roleId"),
        };
        match role {
            Some(role) if keys.contains(&role.encoded_key) => {}
            Some(role) => keys.push(role.encoded_key.clone()),
            None => {
                let message = Message::from("There is no client role of this name").listed_by("clientRoles");
                let place = path!["conditions", "clientRoles", index, name];
                problems.add(ProblemCode::NotFound, place, message);
            }
        }
    }
    keys
}

fn states(sent: &[ClientState]) -> Vec<ClientState> {
    let mut states = Vec::new();
    for state in sent {
        if !states.contains(state) {
            states.push(*state);
        }
    }
    states
}

fn fields(
    sent: &[MessageFieldConditionInput],
    stored: &[FieldCondition],
    known: &Definitions,
    rights: &Rights,
    problems: &mut Problems,
) -> Vec<FieldCondition> {
    let (mut conditions, mut seen) = (Vec::new(), HashSet::new());
    for (index, MessageFieldConditionInput { field_id, value }) in sent.iter().enumerate() {
        let place = |name: &'static str| path!["conditions", "customFields", index, name];
        let Some(field) = known.field(field_id) else {
            let message = Message::from("There is no custom field with this id").listed_by("customFieldSets");
            problems.add(ProblemCode::NotFound, place("fieldId"), message);
            continue;
        };
        if !seen.insert(field_id) {
            let message = "A field is named twice: it has one value, so that no client would be meant.";
            problems.add(ProblemCode::Duplicate, place("fieldId"), message);
        }
        if value.is_empty() {
            let message = "A condition needs a value that the field must have.";
            problems.add(ProblemCode::Blank, place("value"), message);
            continue;
        }
        // The recipients of its messages would reveal the values. A stored condition can stay in its masked form: if
        // its value were accepted, the caller could guess it.
        if !field.is_shown(rights) {
            let stored = stored
                .iter()
                .find(|condition| condition.field_key == field.row.encoded_key);
            match stored.filter(|_| value == HIDDEN) {
                Some(stored) => conditions.push(stored.clone()),
                None => {
                    let message = "You may not see the values of this custom field, nor choose clients by them.";
                    problems.add(ProblemCode::Forbidden, place("fieldId"), message);
                }
            }
            continue;
        }
        match field.accept(value) {
            Ok(value) => conditions.push(FieldCondition {
                field_key: field.row.encoded_key.clone(),
                value,
            }),
            Err((code, message)) => problems.add(code, place("value"), message),
        }
    }
    conditions
}
