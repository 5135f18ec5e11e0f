//! Reports why the program stops, in the format of the log.

use std::ffi::OsString;
use std::io::{Write, stderr};

use chrono::SecondsFormat;
use serde_json::json;

use super::{Failure, store};
use crate::config::LogFormat;

/// Writes one line to standard error, regardless of the log filter: `clientele: REASON`, or one JSON object like those
/// of the log.
pub(super) fn report(failure: &Failure, format: LogFormat) {
    let line = match format {
        LogFormat::Text => format!("clientele: {failure}"),
        LogFormat::Json => json!({
            "timestamp": store::now().to_rfc3339_opts(SecondsFormat::Micros, true),
            "level": "ERROR",
            "message": failure.to_string(),
            "target": "clientele::cli",
            "exit_code": failure.code(),
        })
        .to_string(),
    };
    // Without a reader, only the exit code remains.
    let _ = writeln!(stderr().lock(), "{line}");
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
