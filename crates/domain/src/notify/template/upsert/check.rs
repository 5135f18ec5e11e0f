//! Checks a message template. A pure function: submission + present definitions → the resulting template, or every
//! problem.

use std::collections::HashSet;

use async_graphql::MaybeUndefined;
use entity::message_template;

use super::{Braces, MessageConditionsInput, MessageFieldConditionInput, Plan, UpsertMessageTemplate};
use crate::{
    caller::Rights,
    client_by::ClientRoleBy,
    definitions::Definitions,
    enums::{Channel, Event, Language},
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

/// The definitions to check a submission by, and the problems found so far.
pub(super) struct Check<'a> {
    /// The template to change; none if it is created.
    pub stored: Option<&'a Template>,
    pub known: &'a Definitions,
    /// The rights of the caller.
    pub rights: &'a Rights,
    pub braces: Braces,
    pub problems: Problems,
}

/// Returns the template as it will be stored, or every problem.
pub(super) fn check(
    input: &UpsertMessageTemplate,
    braces: Braces,
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
    let stored = known.template(template_id).map(|template| &**template);
    let before = stored.map(|template| &template.row);
    let mut check = Check {
        stored,
        known,
        rights,
        braces,
        problems: Problems::default(),
    };
    let mut member = Scalars {
        scope: Vec::new(),
        problems: &mut check.problems,
    };
    member.definition_id("templateId", template_id, stored.is_some());
    let is_taken = |key: &str| known.template_of_key(key).is_some();
    let encoded_key = member.definition_key(encoded_key, before.map(|row| row.encoded_key.as_str()), is_taken);
    let name = member.required("name", name, before.map_or("", |row| &row.name));
    let event = event.or(stored.map(|template| template.event));
    let channel = channel.or(stored.map(|template| template.channel));
    for (name, is_missing) in [("event", event.is_none()), ("channel", channel.is_none())] {
        if is_missing {
            let message = format!("A new template needs the member {name}.");
            member.refuse(ProblemCode::Blank, name, message);
        }
    }
    let variants = check.variants(variants, channel, &encoded_key);
    let languages: Vec<&str> = variants.iter().map(|variant| variant.language.as_str()).collect();
    let default_language = check.default_language(*default_language, &languages);
    let active = active.unwrap_or(before.is_none_or(|row| row.active));
    let found = check.problems.0.len();
    let conditions = check.conditions(conditions);
    let are_valid = check.problems.0.len() == found;
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
            check.problems.add(ProblemCode::Forbidden, path![name], message);
        }
    }
    if let (Some(event), Some(channel), true) = (event, channel, active) {
        check.active_limit(event, channel);
    }
    let (Some(event), Some(channel), true) = (event, channel, check.problems.0.is_empty()) else {
        return Ok(Err(check.problems.0));
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

impl Check<'_> {
    /// Refuses a template beyond the limit of its event and channel. The transaction that changes a client writes all
    /// their messages, so that their number bounds its duration.
    ///
    /// A template that is already active for the event and channel can be changed, even if there are more than the
    /// limit.
    fn active_limit(&mut self, event: Event, channel: Channel) {
        let counts =
            |template: &Template| template.row.active && template.event == event && template.channel == channel;
        let others = self.known.templates.iter().filter(|template| counts(template)).count();
        if others < MOST_ACTIVE || self.stored.is_some_and(counts) {
            return;
        }
        let (event, channel) = (event.as_str(), channel.as_str());
        let message = format!(
            "{others} templates of the event {event} and the channel {channel} are active, and at most {MOST_ACTIVE} \
             can be: deactivate or delete one, or store this one with active: false."
        );
        self.problems.add(ProblemCode::TooMany, path!["active"], message);
    }

    /// `languages` are those of the variants, in the order of the submission.
    fn default_language(&mut self, sent: Option<Language>, languages: &[&str]) -> String {
        let stored = self.stored.map(|template| template.row.default_language.as_str());
        let chosen = sent.map(Language::as_str).or(stored).or(languages.first().copied());
        let chosen = chosen.unwrap_or_default();
        if !languages.is_empty() && !languages.contains(&chosen) {
            let message = format!("The default language {chosen} has no variant: add one, or choose another default.");
            self.problems
                .add(ProblemCode::Invalid, path!["defaultLanguage"], message);
        }
        chosen.to_owned()
    }

    /// Returns the resulting conditions.
    fn conditions(&mut self, sent: &MaybeUndefined<MessageConditionsInput>) -> Conditions {
        let stored = || self.stored.map(|template| template.conditions.clone());
        let MessageConditionsInput {
            client_roles,
            states,
            custom_fields,
        } = match sent {
            MaybeUndefined::Undefined => return stored().unwrap_or_default(),
            MaybeUndefined::Null => return Conditions::default(),
            MaybeUndefined::Value(input) => input,
        };
        let roles = self.listed("clientRoles", client_roles);
        let roles = self.roles(roles);
        let mut states = self.listed("states", states).to_vec();
        let mut seen = HashSet::new();
        states.retain(|state| seen.insert(state.as_str()));
        let fields = self.listed("customFields", custom_fields);
        let fields = self.fields(fields);
        Conditions { roles, states, fields }
    }

    fn listed<'l, T>(&mut self, name: &'static str, sent: &'l Option<Vec<T>>) -> &'l [T] {
        let list = sent.as_deref().unwrap_or_default();
        if list.len() > MOST_CONDITIONS {
            let message = format!("Send at most {MOST_CONDITIONS} {name}.");
            self.problems
                .add(ProblemCode::TooMany, path!["conditions", name], message);
            return &[];
        }
        list
    }

    /// Returns the keys of the roles; one that is listed twice counts once.
    fn roles(&mut self, sent: &[ClientRoleBy]) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        for (index, by) in sent.iter().enumerate() {
            let (role, name) = match by {
                ClientRoleBy::EncodedKey(key) => (self.known.role_of_key(key), "encodedKey"),
                ClientRoleBy::RoleId(id) => (self.known.roles.iter().find(|role| role.role_id == *id), "roleId"),
            };
            match role {
                Some(role) if keys.contains(&role.encoded_key) => {}
                Some(role) => keys.push(role.encoded_key.clone()),
                None => {
                    let message = Message::from("There is no client role of this name").listed_by("clientRoles");
                    let path = path!["conditions", "clientRoles", index, name];
                    self.problems.add(ProblemCode::NotFound, path, message);
                }
            }
        }
        keys
    }

    fn fields(&mut self, sent: &[MessageFieldConditionInput]) -> Vec<FieldCondition> {
        let stored = self.stored.map(|template| template.conditions.fields.as_slice());
        let stored = stored.unwrap_or_default();
        let (mut conditions, mut seen) = (Vec::new(), HashSet::new());
        for (index, MessageFieldConditionInput { field_id, value }) in sent.iter().enumerate() {
            let mut refuse = |code, name: &'static str, message: Message| {
                self.problems
                    .add(code, path!["conditions", "customFields", index, name], message);
            };
            let Some(field) = self.known.field(field_id) else {
                let message = Message::from("There is no custom field with this id").listed_by("customFieldSets");
                refuse(ProblemCode::NotFound, "fieldId", message);
                continue;
            };
            let field_key = &field.row.encoded_key;
            if !seen.insert(field_id) {
                let message = "A field is listed twice: list each field once, with the one value that it must have.";
                refuse(ProblemCode::Duplicate, "fieldId", message.into());
            }
            if value.is_empty() {
                let message = "A condition needs a value that the field must have.";
                refuse(ProblemCode::Blank, "value", message.into());
            } else if field.is_shown(self.rights) {
                match field.accept(value) {
                    Ok(value) => conditions.push(FieldCondition {
                        field_key: field_key.clone(),
                        value,
                    }),
                    Err((code, message)) => refuse(code, "value", message.into()),
                }
            } else {
                // The recipients of its messages would reveal the values. A stored condition can stay in its masked
                // form: if its value were accepted, the caller could guess it.
                let stored = stored.iter().find(|condition| condition.field_key == *field_key);
                match stored.filter(|_| value == HIDDEN) {
                    Some(stored) => conditions.push(stored.clone()),
                    None => {
                        let message = "You may not see the values of this custom field, nor choose clients by them.";
                        refuse(ProblemCode::Forbidden, "fieldId", message.into());
                    }
                }
            }
        }
        conditions
    }
}
