//! `clientele completions` and `clientele man`: generated from the description of the commands.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Failure, print};

#[derive(Debug, Args)]
pub(super) struct Target {
    /// Write the pages of all commands to this directory, which is created if it is missing.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn completions(mut command: Command, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "clientele", &mut script);
    print(&String::from_utf8_lossy(&script))
}

pub(super) fn man(command: Command, Target { output }: &Target) -> Result<(), Failure> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let Some(directory) = output else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).map_err(Failure::internal)?;
        return print(&String::from_utf8_lossy(&page));
    };
    write(command, directory)
        .map_err(|error| Failure::new(format!("can't write the pages to {}: {error}", directory.display())))
}

fn write(command: Command, directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    clap_mangen::generate_to(command, directory)
}
