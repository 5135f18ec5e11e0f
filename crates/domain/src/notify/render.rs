//! Renders messages from the texts of a template's variant and the values of its placeholders.

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod model;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use entity::{message, message_variant};

use super::{
    Messages,
    placeholder::{Part, Placeholder, parts},
};
use crate::caller::Rights;
use clientele_core::error::{Error, Result};
use clientele_core::text::forbidden_in_lines;

/// The values of the placeholders, by their keys.
pub type Values = BTreeMap<String, String>;

/// The text shown instead of a hidden value.
pub(in crate::notify) const HIDDEN: &str = "***";

/// The texts of a message, as they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Empty if the channel has no subjects.
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
}

/// The parsed texts of a variant, which can be rendered any number of times.
#[derive(Debug)]
pub struct Compiled {
    subject: Vec<Segment>,
    text: Vec<Segment>,
    html: Option<Vec<Segment>>,
}

#[derive(Debug)]
enum Segment {
    Text(String),
    /// The key of a placeholder.
    Value(String),
}

impl Compiled {
    /// Parses the texts, of which only `html` escapes values.
    ///
    /// # Errors
    /// A text has an unknown placeholder or a control character: neither is ever stored.
    pub fn new(subject: &str, text: &str, html: Option<&str>) -> Result<Self> {
        Ok(Self {
            subject: parse(subject)?,
            text: parse(text)?,
            html: html.map(parse).transpose()?,
        })
    }

    /// Compiles the texts of a variant, of the present version or of an earlier one.
    pub fn of(row: &message_variant::Model) -> Result<Self> {
        let subject = row.subject.as_deref().unwrap_or_default();
        Self::new(subject, &row.text, row.html.as_deref())
    }

    /// The keys of the placeholders in the texts.
    pub fn placeholders(&self) -> BTreeSet<&str> {
        let texts = [Some(&self.subject), Some(&self.text), self.html.as_ref()];
        let segments = texts.into_iter().flatten().flatten();
        let keys = segments.filter_map(|segment| match segment {
            Segment::Value(key) => Some(key.as_str()),
            Segment::Text(_) => None,
        });
        keys.collect()
    }

    /// Renders the message. A placeholder without a value becomes an empty text; a subject is one line.
    pub fn render(&self, values: &Values) -> Content {
        Content {
            subject: join(&self.subject, values, str::to_owned).replace(char::is_control, " "),
            text: join(&self.text, values, str::to_owned),
            html: self.html.as_ref().map(|html| join(html, values, escape_html)),
        }
    }

    /// Renders the message for a reader with these rights: values that they may not see are masked, even if there is
    /// no value.
    pub fn render_visible(&self, mut values: Values, rights: &Rights) -> Content {
        for key in self.placeholders() {
            if is_hidden(key, &values, rights) {
                values.insert(key.to_owned(), HIDDEN.to_owned());
            }
        }
        self.render(&values)
    }
}

/// Empties the values of sets that a caller with these rights may not view, and those of unknown sets.
pub fn withhold(values: &mut Values, rights: &Rights) {
    let hidden = values.keys().filter(|key| is_hidden(key, values, rights));
    for key in hidden.cloned().collect::<Vec<_>>() {
        values.insert(key, String::new());
    }
}

/// Returns true if a reader with these rights may not see the value of the placeholder. The set of a value is the one
/// when the message was written: its field may have been created anew in another set. If the set is unknown, the reader
/// needs the rights to all sets.
fn is_hidden(key: &str, values: &Values, rights: &Rights) -> bool {
    matches!(Placeholder::of_key(key), Some(Placeholder::CustomField(_)))
        && !rights.views_all()
        && !values.get(&set_key(key)).is_some_and(|set_id| rights.views(set_id))
}

/// The key under which the values hold the id of a value's set. No placeholder has braces in its key.
pub(in crate::notify) fn set_key(key: &str) -> String {
    format!("{{{key}}}")
}

impl Messages {
    /// Returns the variants of these keys, with at most one statement. One that doesn't exist or can't be read is left
    /// out. A version of a variant never changes, so that the cache is never out of date.
    pub async fn variants<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a str>,
    ) -> Result<HashMap<String, Arc<Compiled>>> {
        let (mut found, mut missing) = (HashMap::new(), BTreeSet::new());
        for key in keys {
            match self.variants.get(key) {
                Some(variant) => _ = found.insert(key.to_owned(), variant),
                None => _ = missing.insert(key),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let connection = self.db.read();
        let which = connection.dialect.is_one_of("encoded_key", "$1");
        let sql = format!("SELECT encoded_key, subject, text, html FROM message_variant WHERE {which}");
        let missing = serde_json::to_string(&missing).map_err(Error::internal)?;
        for row in connection.all(sql, [missing.into()]).await? {
            let (key, subject, text, html): (String, Option<String>, String, Option<String>) =
                row.try_get_many_by_index()?;
            let Ok(compiled) = Compiled::new(subject.as_deref().unwrap_or_default(), &text, html.as_deref()) else {
                continue;
            };
            let compiled = Arc::new(compiled);
            self.variants.insert(key.clone(), compiled.clone());
            found.insert(key, compiled);
        }
        Ok(found)
    }
}

/// Renders the content of a message from its variant. None if its text was removed or can't be rendered.
pub fn content(message: &message::Model, variant: &Compiled) -> Option<Content> {
    Some(variant.render(&values(message)?))
}

/// Renders the [`content`], with the values masked that a reader with these rights may not see.
pub fn shown_content(message: &message::Model, variant: &Compiled, rights: &Rights) -> Option<Content> {
    Some(variant.render_visible(values(message)?, rights))
}

fn values(message: &message::Model) -> Option<Values> {
    serde_json::from_str(message.placeholders.as_deref()?).ok()
}

fn parse(text: &str) -> Result<Vec<Segment>> {
    if forbidden_in_lines(text).is_some() {
        return Err(Error::defect("a template has a control character"));
    }
    let segment = |part| match part {
        Part::Text(text) => Ok(Segment::Text(text.to_owned())),
        Part::Placeholder { key, .. } if Placeholder::of_key(key).is_some() => Ok(Segment::Value(key.to_owned())),
        Part::Placeholder { .. } => Err(Error::defect("a template has an unknown placeholder")),
    };
    parts(text).into_iter().map(segment).collect()
}

fn join(segments: &[Segment], values: &Values, escape: fn(&str) -> String) -> String {
    let texts = segments.iter().map(|segment| match segment {
        Segment::Text(text) => text.clone(),
        Segment::Value(key) => values.get(key).map(|value| escape(value)).unwrap_or_default(),
    });
    texts.collect()
}

/// Escapes a value so that it is text in HTML, between tags and in quoted attributes.
fn escape_html(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#x27;"),
            '/' => escaped.push_str("&#x2f;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Compiled, Values, model};

    /// Parts that are easily misread: the engine's usual language, whitespace control, halves of placeholders.
    fn piece() -> impl Strategy<Value = String> {
        let telling = [
            "{CLIENT_NAME}",
            "{CF:risk}",
            "{CF:a b.c|d}",
            "{CURRENT_DATE}",
            "{",
            "}",
            "{{",
            "}}",
            "{%",
            "%}",
            "{#",
            "#}",
            "-",
            "+",
            "\n",
            "\r\n",
            "\t",
            "p0",
            "{{ p0 }}",
            "{CF:",
            "CLIENT_NAME}",
            "<b>",
            "&amp;",
            "\"",
            "'",
            "/",
            "é\u{2028}",
        ];
        prop_oneof![
            4 => proptest::sample::select(telling.to_vec()).prop_map(str::to_owned),
            1 => "[^\\p{Cc}]{0,8}",
        ]
    }

    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat())
    }

    fn values() -> impl Strategy<Value = Values> {
        let value = prop_oneof![
            Just("{CLIENT_NAME}".to_owned()),
            Just("\u{1}p0\u{2}".to_owned()),
            "\\PC{0,4}",
            ".{0,6}[<>&\"'/\n]?"
        ];
        let keys = ["CLIENT_NAME", "CF:risk", "CF:a b.c|d", "CURRENT_DATE"].map(str::to_owned);
        proptest::collection::btree_map(proptest::sample::select(keys.to_vec()), value, 0..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_message_is_what_a_naive_reading_of_the_rules_gives(
            (subject, text, html, values) in (text(), text(), proptest::option::of(text()), values())
        ) {
            model::compare(&subject, &text, html.as_deref(), &values);
        }

        #[test]
        fn text_without_placeholders_stays_as_it_is(text in "[^{\\p{Cc}]{0,40}[\n\r\t]?") {
            let content = Compiled::new("", &text, Some(&text)).expect("plain text").render(&Values::new());
            prop_assert_eq!((&content.text, content.html.as_ref()), (&text, Some(&text)));
        }
    }

    #[test]
    fn a_variant_knows_the_placeholders_it_has() {
        let compiled =
            Compiled::new("{CLIENT_ID}", "{CF:b} {CLIENT_ID}", Some("{CF:a} {x}")).expect("it is well-formed");
        assert_eq!(
            compiled.placeholders().into_iter().collect::<Vec<_>>(),
            ["CF:a", "CF:b", "CLIENT_ID"]
        );
    }

    #[test]
    fn what_is_never_stored_is_not_rendered() {
        for text in ["{NOBODY}", "\u{1}p0\u{2}", "\u{7f}"] {
            assert!(Compiled::new("", text, None).is_err(), "{text:?}");
        }
    }
}
