//! One source of settings: a file, the environment or the command line.

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

pub(super) const ENVIRONMENT: &str = "the environment";
pub(super) const COMMAND_LINE: &str = "the command line";
/// The prefix of environment variables.
pub(super) const PREFIX: &str = "CLIENTELE_";

/// One source of settings. Error messages include its name.
pub(super) struct Layer {
    name: String,
    pub(super) settings: Dict,
}

impl Layer {
    pub(super) fn new(name: impl Into<String>, settings: Dict) -> Self {
        Self {
            name: name.into(),
            settings,
        }
    }
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
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
