//! `clientele init`: writes a configuration file that explains every setting.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::Output;
use super::{Failure, print};
use crate::config::{self, Flags};
use clientele_core::text::escaped;

/// The file that is written by default.
pub(super) const FILE: &str = "clientele.toml";
const EXAMPLE: &str = include_str!("../../config.example.toml");

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The file to write; - is standard output.
    #[arg(long, value_name = "FILE|-", default_value = FILE)]
    output: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(
    Target { output: file, force }: &Target,
    config: Option<&Path>,
    flags: &Flags,
) -> Result<(), Failure> {
    // In the environment, it names the file of other commands.
    if config.is_some_and(|config| std::env::var_os("CLIENTELE_CONFIG").as_deref() != Some(config.as_os_str())) {
        return Err(Failure::misconfigured(
            "init doesn't read --config: leave it out, and name the file to write with --output",
        ));
    }
    let text = content(flags)?;
    let mut output = Output::open(file, *force)?;
    output.text(&text)?;
    output.finish()?;
    let values = match text == EXAMPLE {
        true => "default",
        false => "default or the given value",
    };
    match file == Path::new("-") {
        true => Ok(()),
        false => print(&next_steps(&escaped(&file.display().to_string()), values)),
    }
}

/// The example with the values of the flags.
fn content(flags: &Flags) -> Result<String, Failure> {
    if !flags.set.is_empty() {
        return Err(Failure::misconfigured(
            "init doesn't write --set: leave it out, and change the setting in the written file",
        ));
    }
    config::load(None, [], flags)?;
    let given = [
        ("listen", flags.listen.as_ref().map(ToString::to_string)),
        ("database_url", flags.database_url.clone()),
    ];
    let given: Vec<_> = given
        .into_iter()
        .filter_map(|(key, value)| Some((format!("{key} = "), toml::Value::from(value?))))
        .collect();
    let line = |line: &str| match given.iter().find(|(start, _)| line.starts_with(start)) {
        Some((start, value)) => format!("{start}{value}\n"),
        None => format!("{line}\n"),
    };
    Ok(EXAMPLE.lines().map(line).collect())
}

fn next_steps(file: &str, values: &str) -> String {
    format!(
        "{file} has every setting with its {values}; only its owner can read it.\n\n\
         next:\n\
         1. edit {file}: listen, database_url, and audit.key (openssl rand -base64 32)\n\
         2. check it:  clientele --config {file} doctor\n\
         3. start:     clientele --config {file}\n"
    )
}
