//! Checks a message template. A pure function: submission + present definitions → the resulting template, or every
//! problem.

use entity::message_template;

use super::{
    Plan, UpsertMessageTemplate,
    conditions::conditions,
    hidden::{Aim, guard},
    variants::variants,
};
use crate::member::{Problems, Scalars};
use crate::{
    caller::Rights,
    definitions::Definitions,
    enums::{Channel, Event, Language},
    notify::template::Template,
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
};

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
        variants: sent_variants,
        conditions: sent_conditions,
        client_mutation_id: _,
    } = input;
    let mut problems = Problems::default();
    let mut member = Scalars {
        scope: Vec::new(),
        problems: &mut problems,
    };
    let stored = known.template(template_id).map(|template| &**template);
    member.definition_id("templateId", template_id, stored.is_some());
    let before = stored.map(|template| &template.row);
    let encoded_key = member.definition_key(encoded_key, before.map(|row| row.encoded_key.as_str()), |key| {
        known.template_of_key(key).is_some()
    });
    let name = member.required("name", name, before.map_or("", |row| &row.name));
    let event = demanded("event", *event, stored.map(|template| template.event), &mut member);
    let channel = demanded(
        "channel",
        *channel,
        stored.map(|template| template.channel),
        &mut member,
    );
    let variants = variants(
        sent_variants,
        channel,
        &encoded_key,
        stored,
        known,
        rights,
        &mut problems,
    );
    let languages: Vec<&str> = variants.iter().map(|variant| variant.language.as_str()).collect();
    let default_language = self::default_language(*default_language, stored, &languages, &mut problems);
    let active = active.unwrap_or(before.is_none_or(|row| row.active));
    let found = problems.0.len();
    let conditions = conditions(sent_conditions, stored, known, rights, &mut problems);
    if let Some(stored) = stored {
        let sound = problems.0.len() == found;
        let aim = Aim {
            event,
            channel,
            active,
            conditions: sound.then_some(&conditions),
        };
        guard(stored, &aim, known, rights, &mut problems);
    }
    if let (Some(event), Some(channel), true) = (event, channel, active) {
        room_for_one_more(event, channel, stored, known, &mut problems);
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
        position: before.map_or_else(|| next_position(known), |row| row.position),
    };
    Ok(Ok(Plan { row, variants }))
}

/// Refuses a template beyond the limit of its event and channel. The transaction that changes a client writes all their
/// messages, so that their number bounds its duration.
///
/// A template that is already active for the event and channel can be changed, even if there are more than the limit.
fn room_for_one_more(
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
fn demanded<T>(name: &'static str, sent: Option<T>, stored: Option<T>, member: &mut Scalars<'_>) -> Option<T> {
    let value = sent.or(stored);
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
        let message = format!("The default language {chosen} needs a variant, or another language be the default.");
        problems.add(ProblemCode::Invalid, ["defaultLanguage".into()], message);
    }
    chosen.unwrap_or_default().to_owned()
}

fn next_position(known: &Definitions) -> i32 {
    known.templates.last().map_or(0, |last| last.row.position + 1)
}
