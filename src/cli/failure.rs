//! Why the program stops: one line for the person at the terminal, and a code for the script that started it.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use tokio::signal::unix::SignalKind;

use super::quoted;
use crate::config::ConfigError;

/// Shown as one line, whatever it is made from.
#[derive(Debug)]
pub struct Failure {
    sentence: String,
    code: u8,
}

/// The command or the configuration is wrong: trying again won't help.
const MISUSED: u8 = 2;
/// Something the server needs isn't there.
const STOPPED: u8 = 1;

impl Failure {
    pub(super) fn new(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            code: STOPPED,
        }
    }

    pub(super) fn misconfigured(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            code: MISUSED,
        }
    }

    /// A signal ended the command before it was done. The code is the one that shells use.
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

    /// The parser answers with a paragraph, a usage line and a hint; the paragraph is the reason.
    pub(super) fn usage(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let reason = text.split("\n\n").next().unwrap_or_default();
        let reason = reason.strip_prefix("error: ").unwrap_or(reason);
        let reason = quoted::redact(error, reason);
        Self::misconfigured(format!("{reason} (clientele --help lists what there is)"))
    }

    /// A reader that has seen enough is no failure.
    pub(super) fn check_output(result: io::Result<()>) -> Result<(), Self> {
        match result {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Self::new(format!("can't write to standard output: {error}")))
            }
            _ => Ok(()),
        }
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.sentence.split_whitespace().enumerate() {
            f.write_str(if index == 0 { "" } else { " " })?;
            f.write_str(word)?;
        }
        Ok(())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::misconfigured(error.to_string())
    }
}
