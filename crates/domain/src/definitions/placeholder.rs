//! Parses the placeholders in a template's texts: `{NAME}` in capitals and underscores, or `{CF:field_id}`. Any other
//! brace is text, but a template with a misspelt placeholder is refused.
//!
//! Templates provide the values. To add a name: a variant of [`Name`], its value where the compiler asks, and a word in
//! `MessageTemplateVariantInput`.

use std::ops::RangeInclusive;

use async_graphql::resolver_utils::EnumType;
use clientele_core::{spelling::distance, text_enum};

text_enum! {
    /// The named placeholders. One without a value becomes an empty text.
    Name {
        /// First, middle and last name, with a space between.
        ClientName = "CLIENT_NAME",
        /// The id people use.
        ClientId = "CLIENT_ID",
        ClientFirstNames = "CLIENT_FIRST_NAMES",
        ClientMiddleNames = "CLIENT_MIDDLE_NAMES",
        ClientLastName = "CLIENT_LAST_NAME",
        /// The same as CLIENT_NAME: the client is the recipient.
        RecipientName = "RECIPIENT_NAME",
        RecipientEmailAddress = "RECIPIENT_EMAIL_ADDRESS",
        /// The first mobile phone number, else the second.
        RecipientMobilePhone = "RECIPIENT_MOBILE_PHONE",
        /// Of the first document, as are the following three.
        IdDocumentType = "ID_DOCUMENT_TYPE",
        IdDocumentNumber = "ID_DOCUMENT_NUMBER",
        IdDocumentIssuingAuthority = "ID_DOCUMENT_ISSUING_AUTHORITY",
        IdDocumentExpiryDate = "ID_DOCUMENT_EXPIRY_DATE",
        /// The day of the event in UTC, `2026-11-22`.
        CurrentDate = "CURRENT_DATE",
        /// The time of the event, `2026-11-22 15:06:00 UTC`.
        CurrentDateTime = "CURRENT_DATE_TIME",
    }
}

/// The prefix of a placeholder for a custom field's value.
const CUSTOM_FIELD: &str = "CF:";
/// The limit of a custom field's id, in characters.
const LONGEST_ID: usize = 32;

/// The limit of a text in braces that can be a misspelt placeholder, in bytes.
const LONGEST_BRACED: usize = 64;

/// The letters that can be wrong in a misspelt name.
const MOST_WRONG: usize = 1;
/// The numbers of letters that a misspelt name can have.
const COMPARED: RangeInclusive<usize> = 7..=27;

/// A known placeholder for a client's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placeholder {
    Named(Name),
    /// The value of the custom field with this id.
    CustomField(String),
}

impl Placeholder {
    /// The text between the braces.
    pub fn key(&self) -> String {
        match self {
            Self::Named(name) => name.as_str().to_owned(),
            Self::CustomField(id) => format!("{CUSTOM_FIELD}{id}"),
        }
    }

    /// Returns the placeholder that a text in braces probably means: that of a key in other letters, with other signs
    /// between its words, or with one wrong, missing or additional letter. The field may not exist.
    pub fn meant(text: &str) -> Option<Self> {
        if let Some((prefix, id)) = text.split_once(':') {
            return is_field(prefix).then(|| Self::CustomField(id.trim().to_owned()));
        }
        let flat: String = letters(text).collect();
        let mut names = Name::items().iter().map(|item| item.value);
        let is_near = |name: &Name| distance(&flat, &letters(name.as_str()).collect::<String>(), MOST_WRONG).is_some();
        names.find(is_near).map(Self::Named)
    }

    /// Returns true if a text in braces can mean a placeholder: [`Self::meant`] compares it with all of them.
    pub fn is_comparable(text: &str) -> bool {
        match text.split_once(':') {
            Some((prefix, _)) => is_field(prefix),
            None => COMPARED.contains(&letters(text).count()),
        }
    }

    /// Returns the placeholder with this key; none if the name is unknown.
    pub fn of_key(key: &str) -> Option<Self> {
        match key.strip_prefix(CUSTOM_FIELD) {
            Some(id) => Some(Self::CustomField(id.to_owned())),
            None => Name::parse(key).map(Self::Named),
        }
    }
}

/// A position in a text: both numbers count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// A part of a template's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Kept byte for byte.
    Text(&'a str),
    /// Has the form of a placeholder; its name may be unknown.
    Placeholder { key: &'a str, at: Position },
}

/// Splits a text into its parts: joined, they are the text.
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut begin, mut from) = (Vec::new(), 0, 0);
    let mut counted = (0, Position { line: 1, column: 1 });
    while let Some(brace) = text[from..].find('{').map(|found| from + found) {
        from = brace + 1;
        let Some(key) = key_at(&text[from..]) else { continue };
        if begin < brace {
            parts.push(Part::Text(&text[begin..brace]));
        }
        counted = (brace, counted.1.after(&text[counted.0..brace]));
        parts.push(Part::Placeholder { key, at: counted.1 });
        from += key.len() + 1;
        begin = from;
    }
    if begin < text.len() {
        parts.push(Part::Text(&text[begin..]));
    }
    parts
}

/// Returns the texts in braces that don't have the form of a placeholder. Long ones are left out.
pub fn braced(text: &str) -> impl Iterator<Item = (&str, Position)> {
    let mut counted = (0, Position { line: 1, column: 1 });
    text.match_indices('{').filter_map(move |(brace, _)| {
        let rest = &text[brace + 1..];
        let end = rest.find(['{', '}']).filter(|end| *end <= LONGEST_BRACED)?;
        if !rest[end..].starts_with('}') || key_at(rest).is_some() {
            return None;
        }
        counted = (brace, counted.1.after(&text[counted.0..brace]));
        Some((&rest[..end], counted.1))
    })
}

/// Returns true if a text is the prefix of a custom field's placeholder, also in other letters.
fn is_field(prefix: &str) -> bool {
    prefix.trim().eq_ignore_ascii_case(&CUSTOM_FIELD[..2])
}

/// A name without the signs between its words.
fn letters(name: &str) -> impl Iterator<Item = char> {
    name.trim()
        .chars()
        .filter(|letter| !matches!(letter, '_' | '-' | '.' | ' '))
}

/// Returns the key before the next brace, if that is a closing brace and the key has a valid form.
fn key_at(text: &str) -> Option<&str> {
    let end = text.find(['{', '}'])?;
    let key = &text[..end];
    let formed = match key.strip_prefix(CUSTOM_FIELD) {
        Some(id) => (1..=LONGEST_ID).contains(&id.chars().count()) && !id.contains(char::is_control),
        None => !key.is_empty() && key.bytes().all(|byte| byte == b'_' || byte.is_ascii_uppercase()),
    };
    (formed && text[end..].starts_with('}')).then_some(key)
}

impl Position {
    fn after(self, text: &str) -> Self {
        match text.rsplit_once('\n') {
            Some((before, last)) => Self {
                line: self.line + 1 + before.matches('\n').count(),
                column: 1 + last.chars().count(),
            },
            None => Self {
                column: self.column + text.chars().count(),
                ..self
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::resolver_utils::EnumType;

    use super::{COMPARED, MOST_WRONG, Name, Part, Placeholder, Position, braced, letters, parts};

    fn keys(text: &str) -> Vec<(&str, usize, usize)> {
        let found = |part| match part {
            Part::Placeholder {
                key,
                at: Position { line, column },
            } => Some((key, line, column)),
            Part::Text(_) => None,
        };
        parts(text).into_iter().filter_map(found).collect()
    }

    #[test]
    fn only_what_has_the_form_of_a_placeholder_is_one() {
        let longest = format!("{{CF:{}}}", "é".repeat(32));
        for (text, expected) in [
            ("{CLIENT_NAME}", vec!["CLIENT_NAME"]),
            ("{{CLIENT_NAME}}", vec!["CLIENT_NAME"]),
            ("{NOBODY}{_}{CF}", vec!["NOBODY", "_", "CF"]),
            ("{CF:a b}{CF:{CF:CLIENT_NAME}", vec!["CF:a b", "CF:CLIENT_NAME"]),
            (longest.as_str(), vec![&longest[1..longest.len() - 1]]),
            ("a { b } {} {a} {A1} {A-B} { A} {% A %} {CF:} {cf:a} {A", vec![]),
            ("{CF:a\nb} {CF:123456789012345678901234567890123}", vec![]),
        ] {
            assert_eq!(
                keys(text).iter().map(|found| found.0).collect::<Vec<_>>(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn a_position_counts_lines_and_characters_from_1() {
        let text = "é{A}\n\n  {B}{C}\r\nx{D} {E}";
        assert_eq!(
            keys(text),
            [("A", 1, 2), ("B", 3, 3), ("C", 3, 6), ("D", 4, 2), ("E", 4, 6)]
        );
    }

    #[test]
    fn a_misspelt_placeholder_is_recognised() {
        for (text, expected) in [
            ("{client_name}", Some("CLIENT_NAME")),
            ("{ CLIENT_NAME }", Some("CLIENT_NAME")),
            ("{Client Name}", Some("CLIENT_NAME")),
            ("{client.name}", Some("CLIENT_NAME")),
            ("{clientName}", Some("CLIENT_NAME")),
            ("{CLIENT-ID}", Some("CLIENT_ID")),
            ("{clinet_name}", Some("CLIENT_NAME")),
            ("{current_dates}", Some("CURRENT_DATE")),
            ("{cf:risk}", Some("CF:risk")),
            ("{ CF: risk }", Some("CF:risk")),
            ("{{client_id}}", Some("CLIENT_ID")),
            ("{name}", None),
            ("{}", None),
            ("{ color: red }", None),
            ("{a:b}", None),
            ("{client_names_of}", None),
        ] {
            let found: Vec<_> = braced(text).collect();
            let [(key, _)] = found[..] else {
                panic!("{text}: {found:?}")
            };
            let meant = Placeholder::meant(key).map(|meant| meant.key());
            assert_eq!(meant.as_deref(), expected, "{text}");
            assert!(expected.is_none() || Placeholder::is_comparable(key), "{text}");
        }
        let long = format!("{{{}}} {{{}}}", "a".repeat(64), "a".repeat(65));
        assert_eq!(braced(&long).count(), 1);
        let text = "{CLIENT_NAME}\n {a {b}\n{CF:x}{c";
        assert_eq!(
            braced(text).collect::<Vec<_>>(),
            [("b", Position { line: 2, column: 5 })]
        );
        for item in Name::items() {
            let meant = Placeholder::meant(&item.name.to_lowercase());
            assert_eq!(meant, Some(Placeholder::Named(item.value)), "{}", item.name);
        }
    }

    #[test]
    fn texts_of_every_length_near_a_name_are_compared() {
        let lengths = Name::items().iter().map(|item| letters(item.name).count());
        let (shortest, longest) = (lengths.clone().min(), lengths.max());
        assert_eq!(shortest.map(|length| length - MOST_WRONG), Some(*COMPARED.start()));
        assert_eq!(longest.map(|length| length + MOST_WRONG), Some(*COMPARED.end()));
        for (text, expected) in [
            ("name", false),
            (" client_i", true),
            ("cf:", true),
            ("color: red", false),
        ] {
            assert_eq!(Placeholder::is_comparable(text), expected, "{text}");
        }
    }

    #[test]
    fn a_key_names_its_placeholder() {
        for key in ["CLIENT_NAME", "CURRENT_DATE_TIME", "CF:risk"] {
            assert_eq!(
                Placeholder::of_key(key).map(|placeholder| placeholder.key()).as_deref(),
                Some(key)
            );
        }
        assert_eq!(Placeholder::of_key("NOBODY"), None);
    }

    #[test]
    fn description_lists_every_name() {
        let schema = include_str!("../../../../schema.graphql");
        let description = schema
            .split("input MessageTemplateVariantInput")
            .next()
            .unwrap_or_default();
        let description = description.rsplit("input ").next().unwrap_or_default();
        for item in Name::items() {
            let is_listed = description
                .split([' ', ',', ';', '.', '\n'])
                .any(|word| word == item.name);
            assert!(is_listed, "{}", item.name);
        }
    }
}
