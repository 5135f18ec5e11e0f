//! `clientele config`: prints the configuration as TOML, without secrets, and with the source of each value.

use toml::{Table, Value};

use super::Failure;
use crate::config::{Config, Origins};

const HIDDEN: &str = "***";

/// The printed configuration is a valid configuration file: sources are comments.
pub(super) fn printed(config: &Config, origins: &Origins) -> Result<String, Failure> {
    let text = toml::to_string(config).map_err(Failure::internal)?;
    let mut printed = String::new();
    let (mut section, mut unfinished) = (Vec::new(), String::new());
    for line in text.lines() {
        unfinished.push_str(line);
        // A text can span several lines.
        let Ok(read) = unfinished.parse::<Table>() else {
            unfinished.push('\n');
            continue;
        };
        match read.into_iter().next() {
            None => {}
            Some((key, value)) if unfinished.starts_with('[') => section = path(key, value),
            Some((key, value)) => {
                let mut path = section.clone();
                path.push(key.clone());
                unfinished = entry(&key, value, &unfinished);
                let origin = origins.of(&path);
                // A source's name must not end the comment.
                let origin: String = origin
                    .chars()
                    .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                    .collect();
                unfinished.push_str(&format!("  # {origin}"));
            }
        }
        printed.push_str(&unfinished);
        printed.push('\n');
        unfinished.clear();
    }
    Ok(printed)
}

/// The keys in the header of a section.
fn path(key: String, value: Value) -> Vec<String> {
    let mut path = vec![key];
    let mut inner = Some(value);
    while let Some(value) = inner {
        inner = match value {
            Value::Array(items) => items.into_iter().next(),
            Value::Table(table) => table.into_iter().next().map(|(key, value)| {
                path.push(key);
                value
            }),
            _ => None,
        };
    }
    path
}

/// The line of a value, with secrets hidden.
fn entry(key: &str, value: Value, line: &str) -> String {
    // The value hides its own secrets.
    if key == "database_url" {
        return line.to_owned();
    }
    let shown = without_secrets(&value, key.ends_with("url"));
    match shown == value {
        true => line.to_owned(),
        false => Table::from_iter([(key.to_owned(), shown)])
            .to_string()
            .trim_end()
            .to_owned(),
    }
}

fn without_secrets(value: &Value, is_url: bool) -> Value {
    match value {
        Value::String(text) if is_url || text.contains("://") => Value::String(hide(text)),
        Value::Array(items) => Value::Array(items.iter().map(|item| without_secrets(item, is_url)).collect()),
        Value::Table(table) => {
            let inner = table
                .iter()
                .map(|(key, value)| (key.clone(), without_secrets(value, is_url)));
            Value::Table(inner.collect())
        }
        other => other.clone(),
    }
}

/// A URL without its user, the values of its parameters and its fragment. Accepts any text, because a mistyped URL may
/// hold the same secret. Everything up to the last `@` counts as the user.
fn hide(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => (format!("{HIDDEN}@"), rest),
        None => (String::new(), rest),
    };
    let (rest, fragment) = match rest.split_once('#') {
        Some((rest, _)) => (rest, format!("#{HIDDEN}")),
        None => (rest, String::new()),
    };
    let (place, parameters) = match rest.split_once('?') {
        Some((place, parameters)) => {
            let shown = |parameter: &str| match parameter.split_once('=') {
                Some((name, _)) => format!("{name}={HIDDEN}"),
                None if parameter.is_empty() => String::new(),
                None => HIDDEN.to_owned(),
            };
            let parameters: Vec<_> = parameters.split('&').map(shown).collect();
            (place, format!("?{}", parameters.join("&")))
        }
        None => (rest, String::new()),
    };
    format!("{scheme}{user}{place}{parameters}{fragment}")
}

#[cfg(test)]
mod tests {
    use super::hide;

    #[test]
    fn printed_url_holds_no_secret() {
        for (given, shown) in [
            ("", ""),
            ("https://sms.test/send", "https://sms.test/send"),
            ("https://ana:secret@sms.test:80/send", "https://***@sms.test:80/send"),
            ("https://secret@sms.test", "https://***@sms.test"),
            ("https://ana:se/c?r@e#t@sms.test/send", "https://***@sms.test/send"),
            ("ana:secret@sms.test", "***@sms.test"),
            (
                "https://sms.test?token=secret&p%77d=a&b",
                "https://sms.test?token=***&p%77d=***&***",
            ),
            ("https://sms.test/?token=sec@ret", "https://***@ret"),
            ("https://sms.test/#token=secret", "https://sms.test/#***"),
            ("https://sms.test/?a=b?c=secret", "https://sms.test/?a=***"),
        ] {
            assert_eq!(hide(given), shown);
        }
    }
}
