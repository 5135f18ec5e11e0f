//! The reason why the program stops: one line in the format of the log, and an exit code.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write, stderr};
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use tokio::signal::unix::SignalKind;

use crate::config::{ConfigError, LogFormat};
use clientele_core::text::escaped;

/// Printed as one line of printable characters.
#[derive(Debug)]
pub(super) struct Failure {
    sentence: String,
    code: u8,
}

/// The command or the configuration is wrong: a retry won't help.
const MISUSED: u8 = 2;
/// A resource that the server needs is missing.
const STOPPED: u8 = 1;
/// `migrate status` has found pending steps.
const PENDING: u8 = 3;
/// EX_TEMPFAIL of sysexits.h: a mail server keeps the mail and runs the command again later.
const TEMPORARY: u8 = 75;

impl Failure {
    pub(super) fn new(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            code: STOPPED,
        }
    }

    pub(super) fn pending(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            code: PENDING,
        }
    }

    /// The same reason, for a mail server that must run the command again.
    pub(super) fn temporary(self) -> Self {
        Self {
            code: TEMPORARY,
            ..self
        }
    }

    pub(super) fn misconfigured(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            code: MISUSED,
        }
    }

    /// A signal ended the command early. The exit code is the one that shells use.
    pub(super) fn stopped(name: &str, signal: SignalKind) -> Self {
        let number = u8::try_from(signal.as_raw_value()).unwrap_or_default();
        Self {
            sentence: format!("stopped by {name}"),
            code: 128 + number,
        }
    }

    pub(super) fn internal(error: impl Error) -> Self {
        Self::new(error.to_string())
    }

    /// A reader that closes the pipe early is no failure.
    pub(super) fn check_output(result: io::Result<()>) -> Result<(), Self> {
        match result {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Self::new(format!("can't write to standard output: {error}")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn code(&self) -> u8 {
        self.code
    }

    /// Writes one line to standard error, regardless of the log filter: `clientele: REASON`, or one JSON object like
    /// those of the log.
    pub(super) fn report(&self, format: LogFormat) {
        let line = match format {
            LogFormat::Text => format!("clientele: {self}"),
            LogFormat::Json => json!({
                "timestamp": DateTime::<Utc>::from(SystemTime::now()).to_rfc3339_opts(SecondsFormat::Micros, true),
                "level": "ERROR",
                "message": self.to_string(),
                "target": "clientele::cli",
                "exit_code": self.code,
            })
            .to_string(),
        };
        // Without a reader, only the exit code remains.
        let _ = writeln!(stderr().lock(), "{line}");
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.sentence.split_whitespace().enumerate() {
            f.write_str(if index == 0 { "" } else { " " })?;
            f.write_str(&escaped(word))?;
        }
        Ok(())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::misconfigured(error.to_string())
    }
}

/// The log format for reports about invalid arguments and settings: `log.format` from the arguments, the environment or
/// the configuration file.
pub(super) fn requested_format(arguments: &[OsString]) -> LogFormat {
    let variable = |name: &str| std::env::var(name).ok();
    let set = values(arguments, "--set").filter_map(|setting| setting.strip_prefix("log.format="));
    let file = || {
        let path = values(arguments, "--config").last().map(str::to_owned);
        let path = path.or_else(|| variable("CLIENTELE_CONFIG"))?;
        // A pipe could be read only once.
        std::fs::metadata(&path).ok().filter(|file| file.is_file())?;
        let table: toml::Table = std::fs::read_to_string(path).ok()?.parse().ok()?;
        Some(table.get("log")?.get("format")?.as_str()?.to_owned())
    };
    let format = set.last().map(str::to_owned);
    let format = format.or_else(|| variable("CLIENTELE_LOG__FORMAT")).or_else(file);
    match format.as_deref() {
        Some("json") => LogFormat::Json,
        _ => LogFormat::Text,
    }
}

/// The values of an option, even if the arguments are invalid.
fn values<'a>(arguments: &'a [OsString], option: &'a str) -> impl Iterator<Item = &'a str> {
    let next = arguments.iter().skip(1).map(Some).chain([None]);
    arguments.iter().zip(next).filter_map(move |(argument, next)| {
        let rest = argument.to_str()?.strip_prefix(option)?;
        match rest.is_empty() {
            true => next?.to_str(),
            false => rest.strip_prefix('='),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::Failure;

    #[test]
    fn failure_is_one_printable_line() {
        let failure = Failure::new("a\n b \u{1b}[31mred\u{7} \u{202e}left\u{9b}é");
        assert_eq!(failure.to_string(), r"a b \u{1b}[31mred\u{7} \u{202e}left\u{9b}é");
    }
}
