//! Converts an error of the configuration library into one sentence. Never repeats a value: it may be a misplaced
//! password.

use figment::Figment;
use figment::error::{Actual, Kind};
use figment::value::Value;

use super::layer::{ENVIRONMENT, PREFIX};
use super::{check, known};

/// The library's description of a list.
pub(super) const LIST: &str = "a sequence";

/// `all` is the complete input.
pub(super) fn about(error: &figment::Error, all: &Figment) -> String {
    let source = error
        .metadata
        .as_ref()
        .map_or("the configuration", |metadata| metadata.name.as_ref());
    let in_environment = source == ENVIRONMENT;
    let variable = |path: &[String]| format!("{PREFIX}{}", path.join("__").to_ascii_uppercase());
    let spelled = |path: &[String]| match in_environment {
        true => variable(path),
        false => {
            let keys: Vec<&str> = path.iter().map(|key| shown(key)).collect();
            format!("`{}`", keys.join("."))
        }
    };
    let named = format!("{} in {source}", spelled(&error.path));
    match &error.kind {
        Kind::UnknownField(key, known) => {
            let path = given(error, key, all);
            let unknown = format!("unknown setting {} in {source}", spelled(&path));
            match known::nearest(&path, in_environment) {
                _ if known::secret_in_file(&path).is_some() => {
                    format!(
                        "{unknown}: only a variable names the file of a secret: {}",
                        variable(&path)
                    )
                }
                Some(nearest) => format!("{unknown}: did you mean {}?", spelled(&nearest)),
                None => format!("{unknown}; known there: {}", known.join(", ")),
            }
        }
        Kind::UnknownVariant(_, known) => format!("{named} must be one of {}", known.join(", ")),
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            let key = error.path.join(".");
            let limits = limits(actual, expected, &key);
            format!("{named} must be {}", limits.unwrap_or_else(|| plain(expected, &key)))
        }
        // Errors of this program's own types say which values they accept.
        Kind::Message(reason) if reason.starts_with("must be ") => format!("{named} {reason}"),
        Kind::Message(reason) => format!("{named}: {reason}"),
        _ => format!("{named} has a value that can't be used"),
    }
}

/// The full path of an unknown setting: the library names only its first unknown key.
fn given(error: &figment::Error, key: &str, all: &Figment) -> Vec<String> {
    let mut path = error.path.clone();
    // The library may or may not include the unknown key in the path.
    if path.last().is_none_or(|last| last != key) {
        path.push(key.to_owned());
    }
    let mut value = all.find_value(&path.join(".")).ok();
    while let Some(Value::Dict(_, section)) = value {
        value = section.into_iter().next().map(|(key, value)| {
            path.push(key);
            value
        });
    }
    path
}

/// A key that isn't a word may be a misplaced value.
fn shown(key: &str) -> &str {
    match key
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    {
        true => key,
        false => "***",
    }
}

/// The values of a whole number that is outside of its type's range.
fn limits(actual: &Actual, expected: &str, key: &str) -> Option<String> {
    let most: u64 = match expected {
        "u16" => u16::MAX.into(),
        "u32" => u32::MAX.into(),
        "u64" | "usize" => u64::MAX,
        _ => return None,
    };
    let is_negative = match actual {
        Actual::Signed(number) => *number < 0,
        Actual::Unsigned(_) => false,
        _ => return None,
    };
    match (check::allowed(key), is_negative) {
        // An upper limit alone doesn't exclude negative numbers.
        (Some(allowed), true) => Some(allowed).filter(|allowed| !allowed.starts_with("at most ")),
        (Some(allowed), false) => Some(allowed),
        (None, false) => Some(format!("at most {most}")),
        (None, true) => None,
    }
}

/// The library names Rust types; operators know other names.
fn plain(expected: &str, key: &str) -> String {
    match expected {
        // Without quotes, TOML has times.
        "a string" if key.contains("quiet_hours") => r#"a text in quotes, as in "21:00""#.to_owned(),
        "a string" => "a text in quotes".to_owned(),
        "a boolean" => "true or false".to_owned(),
        LIST => r#"a list of texts, as in ["one", "another"]"#.to_owned(),
        "u16" => "a whole number, 0 to 65535".to_owned(),
        "f64" => "a number, as in 0.25".to_owned(),
        "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        section if section.starts_with("struct ") => "a section with settings of its own".to_owned(),
        other => other.to_owned(),
    }
}

pub(super) fn about_syntax(name: &str, text: &str, error: &toml::de::Error) -> String {
    let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    // The library's own text quotes the invalid line, which may contain a password.
    format!(
        "{name} is not TOML at line {line}, column {column}: {}",
        error.message().replace('\n', " ")
    )
}
