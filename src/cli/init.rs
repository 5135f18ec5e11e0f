//! `clientele init`: writes a configuration file that explains every setting.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::Output;
use super::{Failure, print};
use clientele_core::text::escaped;

const EXAMPLE: &str = include_str!("../../config.example.toml");

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The file to write; - is standard output.
    #[arg(long, value_name = "FILE|-", default_value = "clientele.toml")]
    output: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(Target { output: file, force }: &Target) -> Result<(), Failure> {
    let mut output = Output::open(file, *force)?;
    output.text(EXAMPLE)?;
    output.finish()?;
    match file == Path::new("-") {
        true => Ok(()),
        false => print(&next_steps(&escaped(&file.display().to_string()))),
    }
}

fn next_steps(file: &str) -> String {
    format!(
        "{file} has every setting with its default; only its owner can read it.\n\n\
         next:\n\
         1. edit {file}: listen, database_url, and audit.key (openssl rand -base64 32)\n\
         2. check it:  clientele --config {file} doctor\n\
         3. start:     clientele --config {file}\n"
    )
}
