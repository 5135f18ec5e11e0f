//! Checks a template's variants and their texts.

use std::collections::{BTreeMap, HashSet};

use async_graphql::MaybeUndefined;
use entity::message_variant;

use super::{Braces, MessageTemplateVariantInput, check::Check};
use crate::{
    caller::Rights,
    definitions::{Definitions, Field},
    enums::Channel,
    member::{Scalars, TEXT_LIMIT, keep},
    notify::{
        placeholder::{Part, Placeholder, Position, braced, parts},
        template::Variant,
    },
};
use clientele_core::{
    path,
    problem::ProblemCode,
    scalar::new_key,
    text::{forbidden_in_line, forbidden_in_lines, is_blank},
};

const MOST_VARIANTS: usize = 100;
const LONGEST_EMAIL: usize = 100_000;
/// The limit of providers, for a message of several parts.
const LONGEST_SMS: usize = 1_600;
/// Limit of the placeholders in a text: each can become a long text. Other texts in braces count if they are compared
/// with all placeholders, which takes time.
const MOST_PLACEHOLDERS: usize = 500;

impl Check<'_> {
    /// Returns the resulting variants. One that equals the stored variant is that one, with its key.
    pub(super) fn variants(
        &mut self,
        sent: &MaybeUndefined<Vec<MessageTemplateVariantInput>>,
        channel: Option<Channel>,
        template_key: &str,
    ) -> Vec<message_variant::Model> {
        let Some(list) = self.problems.list("variants", sent, MOST_VARIANTS) else {
            return self.kept_variants(sent.is_undefined(), channel);
        };
        if list.is_empty() {
            let message = "A template needs at least one variant.";
            self.problems.add(ProblemCode::Blank, path!["variants"], message);
        }
        let mut languages = HashSet::new();
        let mut variants = Vec::with_capacity(list.len());
        for (index, sent) in list.iter().enumerate() {
            let language = sent.language.as_str();
            if !languages.insert(language) {
                let message = "A language is listed twice: a template has one variant for each language.";
                let path = path!["variants", index, "language"];
                self.problems.add(ProblemCode::Duplicate, path, message);
                continue;
            }
            let before = self.stored.and_then(|template| template.variant_in(language));
            let variant = merged(sent, template_key, before.map(|variant| &variant.row));
            let mut check = VariantCheck {
                member: Scalars {
                    scope: path!["variants", index].to_vec(),
                    problems: &mut self.problems,
                },
                known: self.known,
                rights: self.rights,
                braces: self.braces,
                before,
            };
            check.variant(&variant, channel);
            variants.push(variant);
        }
        variants
    }

    /// Checks the stored variants that are kept: another channel may not accept them.
    fn kept_variants(&mut self, is_absent: bool, channel: Option<Channel>) -> Vec<message_variant::Model> {
        let Some(stored) = self.stored else {
            if is_absent {
                let message = "A new template needs at least one variant.";
                self.problems.add(ProblemCode::Blank, path!["variants"], message);
            }
            return Vec::new();
        };
        if is_absent && channel.is_some_and(|channel| channel != stored.channel) {
            let message = "The variants are written for another channel: send new ones with it.";
            self.problems.add(ProblemCode::Invalid, path!["channel"], message);
        }
        stored.variants.iter().map(|variant| variant.row.clone()).collect()
    }
}

/// The variant as it will be stored: the submitted texts, and the stored ones for those that are absent.
fn merged(
    sent: &MessageTemplateVariantInput,
    template_key: &str,
    stored: Option<&message_variant::Model>,
) -> message_variant::Model {
    let MessageTemplateVariantInput {
        language,
        subject,
        text,
        html,
    } = sent;
    let kept = |sent: &MaybeUndefined<String>, stored: Option<&String>| {
        keep(sent, stored.cloned(), |text| text).filter(|text| !text.is_empty())
    };
    let mut variant = message_variant::Model {
        encoded_key: stored.map(|row| row.encoded_key.clone()).unwrap_or_default(),
        template_key: template_key.to_owned(),
        language: language.as_str().to_owned(),
        subject: kept(subject, stored.and_then(|row| row.subject.as_ref())),
        text: text.clone(),
        html: kept(html, stored.and_then(|row| row.html.as_ref())),
        current: true,
    };
    if stored != Some(&variant) {
        variant.encoded_key = new_key();
    }
    variant
}

/// Checks the texts of one variant.
struct VariantCheck<'a> {
    member: Scalars<'a>,
    known: &'a Definitions,
    rights: &'a Rights,
    braces: Braces,
    before: Option<&'a Variant>,
}

impl VariantCheck<'_> {
    fn variant(&mut self, variant: &message_variant::Model, channel: Option<Channel>) {
        let before = self.before.map(|variant| &variant.row);
        let (subject, html) = (variant.subject.as_deref(), variant.html.as_deref());
        let longest = match channel {
            Some(Channel::Sms) => {
                for (name, text) in [("subject", subject), ("html", html)] {
                    if text.is_some() {
                        let message = format!("A text message has no {name}: send null.");
                        self.member.refuse(ProblemCode::Invalid, name, message);
                    }
                }
                LONGEST_SMS
            }
            Some(Channel::Email) => {
                self.subject(subject, before.and_then(|row| row.subject.as_deref()));
                if let Some(html) = html {
                    self.text("html", html, LONGEST_EMAIL, before.and_then(|row| row.html.as_deref()));
                }
                LONGEST_EMAIL
            }
            // Without a channel, only problems on any channel are reported.
            None => LONGEST_EMAIL,
        };
        self.text("text", &variant.text, longest, before.map(|row| row.text.as_str()));
    }

    fn subject(&mut self, subject: Option<&str>, stored: Option<&str>) {
        let subject = subject.unwrap_or_default();
        if forbidden_in_line(subject).is_some() && stored != Some(subject) {
            let message = "subject must be one line without tabs or other control characters.";
            self.member.refuse(ProblemCode::InvalidCharacter, "subject", message);
        } else {
            self.text("subject", subject, TEXT_LIMIT, stored);
        }
    }

    fn text(&mut self, name: &'static str, text: &str, longest: usize, stored: Option<&str>) {
        // A stored text is accepted, even if the rules have changed or a custom field was removed. Its length is
        // checked: another channel can have a lower limit.
        let is_stored = !text.is_empty() && stored == Some(text);
        if is_blank(text) && !is_stored {
            let message = format!("{name} is required and must not be blank.");
            self.member.refuse(ProblemCode::Blank, name, message);
        } else if forbidden_in_lines(text).is_some() && !is_stored {
            let message = format!("{name} must not contain control characters other than line ends and tabs.");
            self.member.refuse(ProblemCode::InvalidCharacter, name, message);
        } else if self.member.is_short(name, text, longest) && !is_stored {
            self.placeholders(name, text);
        }
    }

    fn placeholders(&mut self, name: &'static str, text: &str) {
        let found = match Found::within_limit(text, self.braces) {
            Ok(found) => found,
            Err(count) => {
                let message = format!(
                    "{name} has {count} placeholders, including texts in braces that look like one: at most \
                     {MOST_PLACEHOLDERS} are allowed."
                );
                return self.member.refuse(ProblemCode::TooMany, name, message);
            }
        };
        let mut wrong: BTreeMap<&str, (Position, ProblemCode)> = BTreeMap::new();
        for (key, at) in found.keys {
            if let Some(code) = self.problem_of(key) {
                wrong.entry(key).or_insert((at, code));
            }
        }
        for (text, at) in found.compared {
            if self.meant(text).is_some() {
                wrong.entry(text).or_insert((at, ProblemCode::UnknownPlaceholder));
            }
        }
        let mut wrong = Vec::from_iter(wrong);
        wrong.sort_by_key(|(_, (Position { line, column }, _))| (*line, *column));
        for (key, (Position { line, column }, code)) in wrong {
            let (meant, key) = (self.meant(key), shortened(key));
            let message = match (code, meant) {
                (ProblemCode::Forbidden, _) => format!(
                    "The placeholder {{{key}}} in line {line}, column {column} needs the right to view values of its \
                     field."
                ),
                (_, Some(meant)) => format!(
                    "The placeholder {{{key}}} in line {line}, column {column} doesn't exist. Did you mean {{{meant}}}?"
                ),
                (_, None) => format!("The placeholder {{{key}}} in line {line}, column {column} doesn't exist."),
            };
            self.member.refuse(code, name, message);
        }
    }

    /// The key of the existing placeholder that a text in braces probably means.
    fn meant(&self, text: &str) -> Option<String> {
        match Placeholder::meant(text)? {
            Placeholder::CustomField(id) => {
                let is_it = |field: &&std::sync::Arc<Field>| field.row.field_id.eq_ignore_ascii_case(&id);
                let field = self.known.fields.iter().find(is_it)?;
                Some(Placeholder::CustomField(field.row.field_id.clone()).key())
            }
            named @ Placeholder::Named(_) => Some(named.key()),
        }
    }

    fn problem_of(&self, key: &str) -> Option<ProblemCode> {
        let is_stored = self.before.is_some_and(|variant| variant.keys.contains(key));
        match Placeholder::of_key(key) {
            Some(Placeholder::Named(_)) => None,
            Some(Placeholder::CustomField(id)) => match self.known.field(&id) {
                None => Some(ProblemCode::UnknownPlaceholder),
                // The message would reveal the value to its recipient; a placeholder that is stored already reveals no
                // further value.
                Some(field) if field.is_shown(self.rights) || is_stored => None,
                Some(_) => Some(ProblemCode::Forbidden),
            },
            None => Some(ProblemCode::UnknownPlaceholder),
        }
    }
}

/// The texts in braces of a template's text, each with its position.
struct Found<'a> {
    /// Those with the form of a placeholder.
    keys: Vec<(&'a str, Position)>,
    /// The others that can mean a placeholder.
    compared: Vec<(&'a str, Position)>,
}

impl<'a> Found<'a> {
    /// # Errors
    /// The number of texts in braces, if there are too many to look them up.
    fn within_limit(text: &'a str, braces: Braces) -> Result<Self, usize> {
        let key = |part| match part {
            Part::Placeholder { key, at } => Some((key, at)),
            Part::Text(_) => None,
        };
        let keys: Vec<_> = parts(text).into_iter().filter_map(key).collect();
        let others = braced(text).filter(|(text, _)| braces == Braces::Checked && Placeholder::is_comparable(text));
        let compared: Vec<_> = others.collect();
        match keys.len() + compared.len() {
            0..=MOST_PLACEHOLDERS => Ok(Self { keys, compared }),
            count => Err(count),
        }
    }
}

/// Shortens a key for an error message: it can have any length.
fn shortened(key: &str) -> String {
    const LONGEST: usize = 64;
    match key.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &key[..end]),
        None => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Braces, Found, LONGEST_EMAIL, MOST_PLACEHOLDERS};

    /// The number of texts that are looked up, or of those that are too many.
    fn looked_up(text: &str, braces: Braces) -> Result<usize, usize> {
        Found::within_limit(text, braces).map(|found| found.keys.len() + found.compared.len())
    }

    #[test]
    fn texts_in_braces_are_counted_before_they_are_looked_up() {
        for braced in [
            "{CLIENT_NAME}",
            "{CF:x}",
            "{clientnams}",
            "{ cf: x }",
            "{names of all clients}",
        ] {
            let text = |count: usize| braced.repeat(count);
            assert_eq!(
                looked_up(&text(MOST_PLACEHOLDERS), Braces::Checked),
                Ok(MOST_PLACEHOLDERS),
                "{braced}"
            );
            let more = MOST_PLACEHOLDERS + 1;
            assert_eq!(looked_up(&text(more), Braces::Checked), Err(more), "{braced}");
        }
        // Both kinds share the limit.
        let both = format!("{}{{clientname}}", "{CLIENT_NAME}".repeat(MOST_PLACEHOLDERS));
        assert_eq!(looked_up(&both, Braces::Checked), Err(MOST_PLACEHOLDERS + 1));
        assert_eq!(looked_up(&both, Braces::Text), Ok(MOST_PLACEHOLDERS));
        for hostile in ["{cf:x}", "{client_x}", "{{client_x}"] {
            let count = LONGEST_EMAIL / hostile.len();
            assert_eq!(
                looked_up(&hostile.repeat(count), Braces::Checked),
                Err(count),
                "{hostile}"
            );
        }
        // The rules of a style sheet and empty braces are never looked up.
        for harmless in ["b { color: red }", "{}", "{", "{a}"] {
            let count = LONGEST_EMAIL / harmless.len();
            assert_eq!(looked_up(&harmless.repeat(count), Braces::Checked), Ok(0), "{harmless}");
        }
    }
}
