//! Reads settings from environment variables: `CLIENTELE_LOG__FORMAT` is `log.format`.

use std::net::IpAddr;

use figment::value::Dict;

use super::layer::{ENVIRONMENT, Layer, PREFIX, insert};
use super::redact::is_path;
use super::{ConfigError, known};

/// Names the file to read, so it can't be a setting itself.
const FILE_VARIABLE: &str = "CLIENTELE_CONFIG";
/// The name that hosting platforms use. `CLIENTELE_DATABASE_URL` wins when both are set.
const COMMON_DATABASE_VARIABLE: &str = "DATABASE_URL";
/// The suffix of a variable that names the file with a secret.
const IN_FILE: &str = "_FILE";
/// Read by the database driver, which ignores an unknown value.
const SSL_MODE_VARIABLE: &str = "PGSSLMODE";

/// The layers of the environment, in rising order of precedence.
pub(super) fn read(variables: impl IntoIterator<Item = (String, String)>) -> Result<Vec<Layer>, ConfigError> {
    let (mut own, mut common) = (Variables::default(), Variables::default());
    for (name, value) in variables {
        if name.strip_suffix(IN_FILE).unwrap_or(&name) == COMMON_DATABASE_VARIABLE {
            common.add(&name, &name, &value)?;
        } else if name == SSL_MODE_VARIABLE {
            check_ssl_mode(&value)?;
        } else if name != FILE_VARIABLE
            && let Some(key) = name.strip_prefix(PREFIX)
            && (!is_service_link(&name, &value) || known::is_setting(&path(key)))
        {
            own.add(&name, key, &value)?;
        }
    }
    Ok(common.layers.into_iter().chain(own.layers).collect())
}

fn path(key: &str) -> known::Path {
    key.split("__").map(str::to_ascii_lowercase).collect()
}

/// Variables that must not set the same setting.
#[derive(Default)]
struct Variables {
    layers: Vec<Layer>,
    settings: Dict,
}

impl Variables {
    fn add(&mut self, name: &str, key: &str, value: &str) -> Result<(), ConfigError> {
        let given = path(key);
        let (path, value) = match known::secret_in_file(&given) {
            Some(secret) => (secret, from_file(name, value)?),
            None => (given, value.to_owned()),
        };
        if insert(&mut self.settings, &path, &value) {
            let origin = format!("environment variable {name}");
            self.layers.push(Layer::text(ENVIRONMENT, origin, &path, &value));
            return Ok(());
        }
        Err(ConfigError(match known::is_secret(&path) {
            true => {
                let secret = name.strip_suffix(IN_FILE).unwrap_or(name);
                format!("{secret} and {secret}{IN_FILE} are both set in the environment: remove one")
            }
            false => format!("{name} contradicts another environment variable"),
        }))
    }
}

/// Editors and `echo` end a file with a newline, which isn't part of the secret.
fn from_file(name: &str, file: &str) -> Result<String, ConfigError> {
    let shown = match is_path(file) {
        true => format!("{file:?}, which {name} names,"),
        false => format!("that {name} names"),
    };
    let text = std::fs::read_to_string(file)
        .map_err(|error| ConfigError(format!("the file {shown} can't be read: {error}")))?;
    let secret = text
        .strip_suffix('\n')
        .map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
    if secret.is_empty() {
        return Err(ConfigError(format!("the file {shown} is empty")));
    }
    Ok(secret.to_owned())
}

/// Returns true for a variable that Kubernetes sets for each service, here for those named `clientele…`.
/// <https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables>
fn is_service_link(name: &str, value: &str) -> bool {
    const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
    let is_port = || value.parse::<u16>().is_ok();
    let is_ip = || value.parse::<IpAddr>().is_ok();
    let is_protocol = |text: &str| PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(text));
    let is_url = || {
        value
            .split_once("://")
            .is_some_and(|(protocol, _)| is_protocol(protocol))
    };
    // CLIENTELE_PORT_8080_TCP, and the same with a suffix.
    let is_of_port = |name: &str| {
        let mut parts = name.rsplitn(3, '_');
        let (protocol, port, rest) = (parts.next(), parts.next(), parts.next());
        protocol.is_some_and(|protocol| PROTOCOLS.contains(&protocol))
            && port.is_some_and(|port| port.parse::<u16>().is_ok())
            && rest.is_some_and(|rest| rest.ends_with("_PORT"))
    };
    if name.ends_with("_SERVICE_HOST") {
        is_ip()
    } else if name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        is_port()
    } else if let Some(name) = name.strip_suffix("_PROTO") {
        is_of_port(name) && is_protocol(value)
    } else if let Some(name) = name.strip_suffix("_ADDR") {
        is_of_port(name) && is_ip()
    } else if let Some(port) = name.strip_suffix("_PORT") {
        is_url() || is_of_port(port) && is_port()
    } else {
        is_of_port(name) && is_url()
    }
}

fn check_ssl_mode(mode: &str) -> Result<(), ConfigError> {
    match clientele_storage::db::is_ssl_mode(mode) {
        true => Ok(()),
        false => Err(ConfigError(format!(
            "{SSL_MODE_VARIABLE} in the environment must be disable, allow, prefer, require, verify-ca or verify-full"
        ))),
    }
}
