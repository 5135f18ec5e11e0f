//! Where settings come from, in rising order: defaults, TOML file, environment, flags.
//!
//! The environment is an argument, so that tests need not touch the process's own.

use std::net::SocketAddr;
use std::path::Path;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::{Config, ConfigError, check, sentence};

const PREFIX: &str = "CLIENTELE_";
/// Says which file to read, so it can't be a setting itself.
const FILE_VARIABLE: &str = "CLIENTELE_CONFIG";
/// The name hosting platforms use. Our own name wins when both are set.
const COMMON_DATABASE_VARIABLE: &str = "DATABASE_URL";

/// The settings that have a flag. Flags win over everything.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub listen: Option<SocketAddr>,
    pub database_url: Option<String>,
}

/// Reads and checks the configuration. A `file` that was named must exist: starting without it would start another server.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &Flags,
) -> Result<Config, ConfigError> {
    let mut figment = Figment::new();
    if let Some(path) = file {
        figment = figment.merge(from_file(path)?);
    }
    let config: Config = figment
        .merge(from_environment(environment)?)
        .merge(from_flags(flags))
        .extract()
        .map_err(|error| ConfigError(sentence::about(&error)))?;
    check::check(&config)?;
    Ok(config)
}

/// One source of settings. Its name tells the sentence about a bad setting where that came from.
struct Layer {
    name: String,
    settings: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.settings.clone()))
    }
}

fn from_file(path: &Path) -> Result<Layer, ConfigError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("can't read the configuration file {name}: {error}")))?;
    let settings = toml::from_str(&text).map_err(|error| ConfigError(sentence::about_syntax(&name, &text, &error)))?;
    Ok(Layer { name, settings })
}

fn from_environment(variables: impl IntoIterator<Item = (String, String)>) -> Result<Layer, ConfigError> {
    let mut settings = Dict::new();
    let mut common_database_url = None;
    for (name, value) in variables {
        if name == COMMON_DATABASE_VARIABLE {
            common_database_url = Some(value);
        } else if name != FILE_VARIABLE
            && let Some(key) = name.strip_prefix(PREFIX)
        {
            let path: Vec<String> = key.split("__").map(str::to_ascii_lowercase).collect();
            if !insert(&mut settings, &path, &value) {
                return Err(ConfigError(format!("{name} contradicts another environment variable")));
            }
        }
    }
    if let Some(url) = common_database_url {
        settings
            .entry("database_url".to_owned())
            .or_insert_with(|| Value::from(url));
    }
    Ok(Layer {
        name: sentence::ENVIRONMENT.to_owned(),
        settings,
    })
}

/// Puts a variable where its name says. False when the same name is given once as a section and once as a value.
fn insert(section: &mut Dict, path: &[String], text: &str) -> bool {
    match path {
        [] => false,
        [key] => section.insert(key.clone(), typed(text)).is_none(),
        [key, rest @ ..] => match section.entry(key.clone()).or_insert_with(|| Value::from(Dict::new())) {
            Value::Dict(_, inner) => insert(inner, rest, text),
            _ => false,
        },
    }
}

/// Variables are text, settings have types: what reads as a number or a truth value is one. No text setting can.
fn typed(text: &str) -> Value {
    if let Ok(flag) = text.parse::<bool>() {
        Value::from(flag)
    } else if let Ok(number) = text.parse::<i64>() {
        Value::from(number)
    } else {
        Value::from(text)
    }
}

fn from_flags(flags: &Flags) -> Layer {
    let Flags { listen, database_url } = flags;
    let mut settings = Dict::new();
    if let Some(listen) = listen {
        settings.insert("listen".to_owned(), Value::from(listen.to_string()));
    }
    if let Some(url) = database_url {
        settings.insert("database_url".to_owned(), Value::from(url.clone()));
    }
    Layer {
        name: "the command line".to_owned(),
        settings,
    }
}
