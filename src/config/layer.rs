//! One source of settings: a file, a variable or a flag.

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider, Source};

pub(super) const ENVIRONMENT: &str = "the environment";
pub(super) const COMMAND_LINE: &str = "the command line";
/// The prefix of environment variables.
pub(super) const PREFIX: &str = "CLIENTELE_";

/// One source of settings.
pub(super) struct Layer {
    /// The name in error messages.
    pub(super) name: String,
    /// The origin in the printed configuration.
    pub(super) origin: String,
    pub(super) settings: Dict,
}

impl Layer {
    /// A layer with one text.
    pub(super) fn text(name: &str, origin: String, path: &[String], text: &str) -> Self {
        let mut settings = Dict::new();
        insert(&mut settings, path, text);
        Self {
            name: name.to_owned(),
            origin,
            settings,
        }
    }

    pub(super) fn flag(path: &[String], text: &str) -> Self {
        Self::text(COMMAND_LINE, COMMAND_LINE.to_owned(), path, text)
    }
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::from(self.name.clone(), Source::Custom(self.origin.clone()))
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.settings.clone()))
    }
}

/// Inserts a text at its path. Returns false when the same name is used both as a section and as a value.
pub(super) fn insert(section: &mut Dict, path: &[String], text: &str) -> bool {
    match path {
        [] => false,
        [key] => section.insert(key.clone(), Value::from(text)).is_none(),
        [key, rest @ ..] => match section.entry(key.clone()).or_insert_with(|| Value::from(Dict::new())) {
            Value::Dict(_, inner) => insert(inner, rest, text),
            _ => false,
        },
    }
}
