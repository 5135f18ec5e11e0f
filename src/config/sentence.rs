//! Turns what the configuration library found into one sentence. Never repeats a value: it might be a password that stands
//! in the wrong place.

use figment::error::Kind;

pub(super) const ENVIRONMENT: &str = "the environment";
/// What the library says of a setting that is a list.
pub(super) const LIST: &str = "a sequence";

pub(super) fn about(error: &figment::Error) -> String {
    let source = error
        .metadata
        .as_ref()
        .map_or("the configuration", |metadata| metadata.name.as_ref());
    let named = |key: Option<&str>| {
        let path: Vec<&str> = error.path.iter().map(String::as_str).chain(key).collect();
        if source == ENVIRONMENT {
            format!("CLIENTELE_{} in the environment", path.join("__").to_ascii_uppercase())
        } else {
            format!("`{}` in {source}", path.join("."))
        }
    };
    match &error.kind {
        Kind::UnknownField(key, known) => {
            // The library may or may not count the unknown key among the path.
            let key = (error.path.last() != Some(key)).then_some(key.as_str());
            format!("unknown setting {}; known there: {}", named(key), known.join(", "))
        }
        Kind::UnknownVariant(_, known) => format!("{} must be one of {}", named(None), known.join(", ")),
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            format!("{} must be {}", named(None), plain(expected))
        }
        Kind::Message(_) if error.path.last().is_some_and(|key| key.ends_with("listen")) => {
            format!("{} must be an address and a port, as in 127.0.0.1:8080", named(None))
        }
        // From our own types, which know what they refuse.
        Kind::Message(reason) => format!("{}: {reason}", named(None)),
        _ => format!("{} has a value that can't be used", named(None)),
    }
}

/// The library names Rust types; a person knows them by other names.
fn plain(expected: &str) -> String {
    match expected {
        "a string" => "a text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        LIST => r#"a list of texts, as in ["one", "another"]"#.to_owned(),
        "u16" => "a whole number, 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        section if section.starts_with("struct ") => "a section with settings of its own".to_owned(),
        other => other.to_owned(),
    }
}

pub(super) fn about_syntax(name: &str, text: &str, error: &toml::de::Error) -> String {
    let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    // The library's own text quotes the line at fault, which may be the one with the password.
    format!(
        "{name} is not TOML at line {line}, column {column}: {}",
        error.message().replace('\n', " ")
    )
}
