//! Renders a message from the texts of a template's variant and the values of its placeholders. Pure.
//!
//! The engine's delimiters are control characters, which no template contains. So the engine never reads a template's
//! text as its own language, nor a value as a placeholder.

#[cfg(any(test, feature = "fuzzing"))]
pub mod model;

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{AutoEscape, Environment, Value, syntax::SyntaxConfig};

use super::placeholder::{Part, Placeholder, parts};
use crate::notify::content::Content;
use clientele_core::error::{Error, Result};
use clientele_core::text::forbidden_in_lines;

/// The values of the placeholders, by their keys.
pub type Values = BTreeMap<String, String>;

const SUBJECT: &str = "subject";
const TEXT: &str = "text";
const HTML: &str = "html";

/// The compiled texts of a variant, which can be rendered any number of times.
#[derive(Debug)]
pub struct Compiled {
    engine: Environment<'static>,
    /// The keys of its placeholders, with the numbers that name them in the engine.
    keys: BTreeMap<String, usize>,
    html: bool,
}

impl Compiled {
    /// Compiles the texts, of which only `html` escapes values.
    ///
    /// # Errors
    /// A text has an unknown placeholder or a control character: neither is ever stored.
    pub fn new(subject: &str, text: &str, html: Option<&str>) -> Result<Self> {
        let mut compiled = Self {
            engine: engine()?,
            keys: BTreeMap::new(),
            html: html.is_some(),
        };
        compiled.add(SUBJECT, subject)?;
        compiled.add(TEXT, text)?;
        if let Some(html) = html {
            compiled.add(HTML, html)?;
        }
        Ok(compiled)
    }

    /// The keys of the placeholders in the texts.
    pub fn placeholders(&self) -> BTreeSet<&str> {
        self.keys.keys().map(String::as_str).collect()
    }

    /// Renders the message. A placeholder without a value becomes an empty text; a subject is one line.
    pub fn render(&self, values: &Values) -> Result<Content> {
        let named = self.keys.iter().map(|(key, at)| {
            let value = values.get(key).map(String::as_str).unwrap_or_default();
            (variable(*at), Value::from(value))
        });
        let named = Value::from_pairs(named);
        let written = |name| {
            let template = self.engine.get_template(name).map_err(Error::internal)?;
            template.render(named.clone()).map_err(Error::internal)
        };
        Ok(Content {
            subject: written(SUBJECT)?.replace(char::is_control, " "),
            text: written(TEXT)?,
            html: self.html.then(|| written(HTML)).transpose()?,
        })
    }

    fn add(&mut self, name: &'static str, text: &str) -> Result<()> {
        if forbidden_in_lines(text).is_some() {
            return Err(Error::defect("a template has a control character"));
        }
        let mut source = String::with_capacity(text.len());
        for part in parts(text) {
            match part {
                Part::Text(text) => source.push_str(text),
                Part::Placeholder { key, .. } => {
                    let at = self.place(key)?;
                    source.extend([VARIABLE.0, &variable(at), VARIABLE.1]);
                }
            }
        }
        self.engine.add_template_owned(name, source).map_err(Error::internal)
    }

    fn place(&mut self, key: &str) -> Result<usize> {
        if Placeholder::of_key(key).is_none() {
            return Err(Error::defect("a template has an unknown placeholder"));
        }
        let next = self.keys.len();
        Ok(*self.keys.entry(key.to_owned()).or_insert(next))
    }
}

const VARIABLE: (&str, &str) = ("\u{1}", "\u{2}");
const BLOCK: (&str, &str) = ("\u{3}", "\u{4}");
const COMMENT: (&str, &str) = ("\u{5}", "\u{6}");

/// The name of a placeholder in the engine. Keys aren't valid names there, as they can have any character.
fn variable(at: usize) -> String {
    format!("p{at}")
}

/// An engine without filters, functions or loaders.
fn engine() -> Result<Environment<'static>> {
    let syntax = SyntaxConfig::builder()
        .variable_delimiters(VARIABLE.0, VARIABLE.1)
        .block_delimiters(BLOCK.0, BLOCK.1)
        .comment_delimiters(COMMENT.0, COMMENT.1)
        .keep_trailing_newline(true)
        .build()
        .map_err(Error::internal)?;
    let mut engine = Environment::empty();
    engine.set_syntax(syntax);
    engine.set_auto_escape_callback(|name| match name {
        HTML => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    Ok(engine)
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
        fn a_message_is_what_a_naive_reading_of_the_rules_gives(subject in text(), text in text(), html in proptest::option::of(text()), values in values()) {
            model::compare(&subject, &text, html.as_deref(), &values);
        }

        #[test]
        fn text_without_placeholders_stays_as_it_is(text in "[^{\\p{Cc}]{0,40}[\n\r\t]?") {
            let content = Compiled::new("", &text, Some(&text)).expect("plain text").render(&Values::new()).expect("plain text");
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
