//! The reason why the program stops, as one line, with an exit code.

use std::error::Error;
use std::fmt;
use std::io;

use tokio::signal::unix::SignalKind;

use crate::config::ConfigError;
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

#[cfg(test)]
mod tests {
    use super::Failure;

    #[test]
    fn failure_is_one_printable_line() {
        let failure = Failure::new("a\n b \u{1b}[31mred\u{7} \u{202e}left\u{9b}é");
        assert_eq!(failure.to_string(), r"a b \u{1b}[31mred\u{7} \u{202e}left\u{9b}é");
    }
}
