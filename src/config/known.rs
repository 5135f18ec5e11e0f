//! Lists the existing settings, and finds the one that a misspelt name means.

use std::sync::LazyLock;

use figment::Figment;
use figment::error::Kind;

use super::Config;
use super::layer::Layer;
use clientele_core::spelling::distance;

/// The keys of a setting, from its section to its own key.
pub(super) type Path = Vec<String>;

/// The secret settings. In the environment, each can also be given as a file name: `CLIENTELE_AUDIT__KEY_FILE`.
const SECRETS: &[&str] = &[
    "database_url",
    "database.replica_urls",
    "authentication.jwt.key",
    "notifications.email.password",
    "notifications.email.fallback.password",
    "notifications.sms.password",
    "notifications.sms.fallback.password",
    "notifications.sms.status_callback_url",
    "notifications.sms.fallback.status_callback_url",
    "audit.key",
    "audit.previous_keys",
    "telemetry.otlp_headers",
];
/// No setting has this name.
const NONE: &str = "?";

static SETTINGS: LazyLock<Vec<Path>> = LazyLock::new(|| {
    let mut found = Vec::new();
    explore(&Path::new(), &mut found);
    found
});

/// Discovers the settings from errors: a section refuses an unknown key with a list of its own keys, and a setting
/// refuses a section.
fn explore(path: &[String], found: &mut Vec<Path>) {
    let unknown: Path = path.iter().cloned().chain([NONE.to_owned()]).collect();
    let layer = Layer::text("", String::new(), &unknown, "");
    match Figment::from(&layer).extract::<Config>().map_err(|error| error.kind) {
        Err(Kind::UnknownField(key, known)) if key == NONE => {
            for key in known {
                let inner: Path = path.iter().cloned().chain([(*key).to_owned()]).collect();
                explore(&inner, found);
            }
        }
        _ => found.push(path.to_vec()),
    }
}

pub(super) fn is_setting(path: &[String]) -> bool {
    SETTINGS.iter().any(|setting| setting == path)
}

/// The secret setting that this file variable sets.
pub(super) fn secret_in_file(path: &[String]) -> Option<Path> {
    SECRETS
        .iter()
        .map(|secret| split(secret))
        .find(|secret| with_file(secret) == path)
}

/// The paths of the secret settings.
pub(super) fn secrets() -> impl Iterator<Item = Path> {
    SECRETS.iter().map(|secret| split(secret))
}

pub(super) fn is_secret(path: &[String]) -> bool {
    SECRETS.iter().any(|secret| split(secret) == path)
}

/// The setting that was probably meant: one that differs only in separators, or in a few letters.
pub(super) fn nearest(path: &[String], in_environment: bool) -> Option<Path> {
    let files = SECRETS.iter().map(|secret| with_file(&split(secret)));
    let all: Vec<Path> = SETTINGS
        .iter()
        .cloned()
        .chain(files.filter(|_| in_environment))
        .collect();
    if let Some(setting) = in_outer_section(path) {
        return Some(setting.clone());
    }
    let given = flat(path);
    let near = all
        .iter()
        .filter_map(|setting| Some((distance(&given, &flat(setting), given.len() / 4)?, setting)))
        .min_by_key(|(distance, _)| *distance);
    if let Some((_, setting)) = near {
        return Some(setting.clone());
    }
    let without_section = all
        .iter()
        .filter(|setting| setting.len() > 1 && setting.ends_with(path));
    only(without_section).cloned()
}

/// The setting of the same name in the outer section: a fallback has no rate of its own.
fn in_outer_section(path: &[String]) -> Option<&'static Path> {
    let (key, section) = path.split_last()?;
    let (_, outer) = section.split_last().filter(|(_, outer)| !outer.is_empty())?;
    let meant = [outer, std::slice::from_ref(key)].concat();
    let is_section = |setting: &Path| setting.split_last().is_some_and(|(_, keys)| keys.ends_with(section));
    match SETTINGS.iter().any(is_section) {
        true => only(SETTINGS.iter().filter(|setting| setting.ends_with(&meant))),
        false => None,
    }
}

/// The item of an iterator that has no other.
fn only<'a>(mut found: impl Iterator<Item = &'a Path>) -> Option<&'a Path> {
    let first = found.next();
    first.filter(|_| found.next().is_none())
}

fn split(setting: &str) -> Path {
    setting.split('.').map(str::to_owned).collect()
}

fn with_file(secret: &[String]) -> Path {
    let mut path = secret.to_vec();
    if let Some(last) = path.last_mut() {
        last.push_str("_file");
    }
    path
}

/// A path without separators, which are the most frequent mistake.
fn flat(path: &[String]) -> String {
    let parts = path.iter().flat_map(|key| key.split(['_', '-', '.']));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("_")
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::{SECRETS, SETTINGS, split};

    #[test]
    fn list_has_every_setting() {
        fn leaves(table: &toml::Table, path: &[String], found: &mut Vec<Vec<String>>) {
            for (key, value) in table {
                let path: Vec<String> = path.iter().cloned().chain([key.clone()]).collect();
                match value {
                    toml::Value::Table(inner) if !inner.is_empty() => leaves(inner, &path, found),
                    _ => found.push(path),
                }
            }
        }
        let mut found = Vec::new();
        leaves(
            &toml::Table::try_from(Config::default()).expect("TOML"),
            &[],
            &mut found,
        );
        for path in found {
            // A section whose settings have no defaults is empty.
            assert!(SETTINGS.iter().any(|setting| setting.starts_with(&path)), "{path:?}");
        }
        // Settings without a default.
        for path in [
            "http.key_file",
            "notifications.worker_listen",
            "notifications.email.port",
            "notifications.email.rate_per_minute",
            "notifications.email.fallback.port",
            "notifications.sms.rate_per_minute",
            "graphql.roles",
            "playground.directory",
        ] {
            assert!(SETTINGS.contains(&split(path)), "{path}");
        }
    }

    #[test]
    fn list_has_every_secret() {
        let text = toml::Value::from("postgres://ana:hunter2@db/bank");
        for path in SETTINGS.iter() {
            let read = |value: toml::Value| {
                let value = path.iter().rev().fold(value, |value, key| {
                    toml::Value::Table(toml::Table::from_iter([(key.clone(), value)]))
                });
                value.try_into::<Config>().ok()
            };
            let config = read(text.clone()).or_else(|| read(vec![text.clone()].into()));
            let printed = config.map(|config| toml::to_string(&config).expect("TOML"));
            // Only texts can hold a secret.
            if let Some(printed) = printed.filter(|printed| printed.contains("***")) {
                assert!(
                    SECRETS.iter().any(|secret| split(secret) == *path),
                    "{path:?}: {printed}"
                );
            }
        }
        for secret in SECRETS {
            assert!(SETTINGS.contains(&split(secret)), "{secret}");
        }
    }
}
