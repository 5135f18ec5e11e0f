//! Renders messages by the rules without an engine: the model for tests and fuzzing.

use super::{Compiled, Values};
use crate::definitions::placeholder::Name;
use clientele_core::text::forbidden_in_lines;

/// Checks that a template is refused, or rendered by the rules, for any texts and values: the property of the fuzz
/// target. `input` holds the texts and the values, separated by U+001F: subject, text, HTML, then the values of
/// CLIENT_NAME, CLIENT_ID and the field `a`.
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
    compare(subject, text, Some(html), &values);
    compare(subject, text, None, &values);
}

/// Renders both ways.
///
/// # Panics
/// If the results differ.
pub fn compare(subject: &str, text: &str, html: Option<&str>, values: &Values) {
    let naive = || {
        let subject = naive(subject, values, str::to_owned)?.replace(char::is_control, " ");
        let text = naive(text, values, str::to_owned)?;
        let html = match html {
            Some(html) => Some(naive(html, values, escaped)?),
            None => None,
        };
        Some((subject, text, html))
    };
    let rendered = Compiled::new(subject, text, html).ok().map(|compiled| {
        let content = compiled.render(values);
        (content.subject, content.text, content.html)
    });
    assert_eq!(rendered, naive());
}

/// None if the text must be refused.
fn naive(text: &str, values: &Values, insert: fn(&str) -> String) -> Option<String> {
    if forbidden_in_lines(text).is_some() {
        return None;
    }
    let mut rest: Vec<char> = text.chars().collect();
    let mut written = String::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|character| *character == '}').unwrap_or(0);
        let key: String = rest[..end].iter().skip(1).collect();
        let field = key.strip_prefix("CF:").filter(|id| {
            let allowed = |character: char| character != '{' && !character.is_control();
            (1..=32).contains(&id.chars().count()) && id.chars().all(allowed)
        });
        let named = !key.is_empty() && key.chars().all(|character| matches!(character, 'A'..='Z' | '_'));
        if rest[0] == '{' && (field.is_some() || named) {
            if named {
                Name::parse(&key)?;
            }
            written += &insert(values.get(&key).map(String::as_str).unwrap_or_default());
            rest.drain(..=end);
        } else {
            written.push(rest.remove(0));
        }
    }
    Some(written)
}

fn escaped(value: &str) -> String {
    let escape = |character: char| match character {
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '&' => "&amp;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#x27;".to_owned(),
        '/' => "&#x2f;".to_owned(),
        other => other.to_string(),
    };
    value.chars().map(escape).collect()
}
