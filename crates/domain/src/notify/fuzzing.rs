//! Checks properties of templates that hold for any text. The fuzz target calls these.

use super::render::{Values, model};

/// Checks that a template is refused, or rendered by the rules, for any texts and values. `input` holds the texts and
/// the values, separated by U+001F: subject, text, HTML, then the values of CLIENT_NAME, CLIENT_ID and the field `a`.
///
/// # Panics
/// If the property doesn't hold.
pub fn message_template(input: &str) {
    let mut texts = input.split('\u{1f}');
    let mut next = || texts.next().unwrap_or_default();
    let (subject, text, html) = (next(), next(), next());
    let values: Values = ["CLIENT_NAME", "CLIENT_ID", "CF:a"]
        .map(|key| (key.to_owned(), next().to_owned()))
        .into();
    model::compare(subject, text, Some(html), &values);
    model::compare(subject, text, None, &values);
}
