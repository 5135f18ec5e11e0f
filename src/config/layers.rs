//! Merges the sources of settings, in rising order of precedence: defaults, TOML file, environment, flags.
//!
//! The environment is an argument, so that tests need not touch the process's own.

use std::path::Path;

use figment::error::{Actual, Kind};
use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider};

use super::layer::Layer;
use super::{Config, ConfigError, check, environment, known, redacted, sentence};
use clientele_core::network::ListenAddress;

/// The source of each setting's value.
#[derive(Debug)]
pub struct Origins {
    layers: Figment,
    settings: Dict,
}

impl Origins {
    /// The name of the configuration file or of the environment variable, the command line, or `default`.
    pub fn of(&self, path: &[String]) -> String {
        let origin = self
            .value(path)
            .and_then(|value| self.layers.get_metadata(value.tag()))
            .and_then(|layer| layer.source.as_ref());
        origin.map_or_else(|| "default".to_owned(), ToString::to_string)
    }

    /// The sources of the secrets that are set, as [`Self::of`] names them. A database address counts if it has a
    /// password.
    pub fn of_secrets(&self) -> Vec<String> {
        let is_set = |value: &Value| match value {
            Value::String(_, text) => !text.is_empty(),
            Value::Array(_, items) => !items.is_empty(),
            _ => false,
        };
        let is_secret = |path: &known::Path| {
            let value = self.value(path).filter(|value| is_set(value));
            value.is_some_and(|value| {
                path.as_slice() != ["database_url"] || value.as_str().is_none_or(|url| redacted(url) != url)
            })
        };
        let mut sources: Vec<String> = known::secrets().filter(is_secret).map(|path| self.of(&path)).collect();
        sources.sort();
        sources.dedup();
        sources
    }

    /// Unlike [`Figment::find_value`], accepts keys with dots, as names of roles may have.
    fn value(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter()
            .try_fold(self.settings.get(first)?, |value, key| value.as_dict()?.get(key))
    }
}

/// The settings from the command line, which take precedence over all others.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Address to accept connections on; port 0 picks a free one [env: CLIENTELE_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    pub listen: Option<ListenAddress>,
    /// sqlite:FILE or postgres://… [env: DATABASE_URL] [default: sqlite:clientele.db]
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Any setting, as in --set log.format=json or --set 'http.trusted_proxies=["10.0.0.0/8"]'; can be repeated.
    /// A later one overrides an earlier one.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Reads and validates the configuration. A named `file` must exist: without it, the server would run with other
/// settings.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &Flags,
) -> Result<Config, ConfigError> {
    load_with_origins(file, environment, flags).map(|(config, _)| config)
}

/// Like [`load`], with the source of each value.
pub fn load_with_origins(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &Flags,
) -> Result<(Config, Origins), ConfigError> {
    let mut figment = Figment::new();
    if let Some(path) = file {
        figment = figment.merge(&from_file(path)?);
    }
    let mut texts = environment::read(environment)?;
    if let Some(listen) = &flags.listen {
        texts.push(Layer::flag(&["listen".to_owned()], &listen.to_string()));
    }
    if let Some(url) = &flags.database_url {
        texts.push(Layer::flag(&["database_url".to_owned()], url));
    }
    for setting in &flags.set {
        texts.push(from_setting(setting)?);
    }
    let (config, layers) = extract(figment, texts)?;
    check::check(&config)?;
    let settings = layers.data().unwrap_or_default().remove(&Profile::Default);
    let settings = settings.unwrap_or_default();
    Ok((config, Origins { layers, settings }))
}

/// Converts texts to types. Variables and flags are text, and only the setting knows its type: a password of digits is
/// a text, a port isn't. Therefore each value is first tried as a text. If the setting refuses it, it is parsed as a
/// number, boolean or list.
fn extract(file: Figment, mut texts: Vec<Layer>) -> Result<(Config, Figment), ConfigError> {
    loop {
        let all = texts.iter().fold(file.clone(), |below, layer| below.merge(layer));
        let error = match all.extract() {
            Ok(config) => return Ok((config, all)),
            Err(error) => error,
        };
        let read = match &error.kind {
            Kind::InvalidType(Actual::Str(_), expected) if expected == sentence::LIST => list,
            Kind::InvalidType(Actual::Str(_), _) => typed,
            _ => |_: &str| None,
        };
        // Each iteration leaves one text fewer, so this ends.
        let turned = texts
            .iter_mut()
            .map(|layer| turn(&mut layer.settings, &error.path, read));
        if turned.filter(|&turned| turned).count() == 0 {
            return Err(ConfigError(sentence::about(&error, &all)));
        }
    }
}

/// Parses the text at `path`. Returns false when there is none, or when it can't be parsed.
fn turn(section: &mut Dict, path: &[String], read: fn(&str) -> Option<Value>) -> bool {
    let Some((key, rest)) = path.split_first() else {
        return false;
    };
    match section.get_mut(key) {
        Some(Value::Dict(_, inner)) => turn(inner, rest, read),
        Some(value) if rest.is_empty() => {
            let typed = value.as_str().and_then(read);
            let turned = typed.is_some();
            *value = typed.unwrap_or_else(|| value.clone());
            turned
        }
        _ => false,
    }
}

fn typed(text: &str) -> Option<Value> {
    let flag = text.parse::<bool>().map(Value::from);
    let number = || text.parse::<i64>().map(Value::from);
    let fraction = || text.parse::<f64>().map(Value::from);
    flag.or_else(|_| number()).or_else(|_| fraction()).ok()
}

/// A list in the syntax of the file: `["10.0.0.0/8", "192.0.2.7"]`.
fn list(text: &str) -> Option<Value> {
    let mut read: Dict = toml::from_str(&format!("list = {text}")).ok()?;
    let list = read.remove("list").filter(|list| list.as_array().is_some());
    // Text after the list makes it invalid.
    list.filter(|_| read.is_empty())
}

fn from_file(path: &Path) -> Result<Layer, ConfigError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        // A missing file may be a misplaced database address.
        .map_err(|error| {
            ConfigError(format!(
                "can't read the configuration file {}: {error}",
                redacted(&name)
            ))
        })?;
    let settings = toml::from_str(&text).map_err(|error| ConfigError(sentence::about_syntax(&name, &text, &error)))?;
    Ok(Layer {
        origin: format!("file {name}"),
        name,
        settings,
    })
}

/// Errors don't repeat the text: it may contain a password.
fn from_setting(setting: &str) -> Result<Layer, ConfigError> {
    let (key, text) = setting
        .split_once('=')
        .filter(|(key, _)| key.split('.').all(|part| !part.is_empty()))
        .ok_or_else(|| ConfigError("--set takes KEY=VALUE, as in --set log.format=json".to_owned()))?;
    let path: Vec<String> = key.split('.').map(str::to_owned).collect();
    Ok(Layer::flag(&path, text))
}
