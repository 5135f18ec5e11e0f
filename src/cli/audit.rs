//! `clientele audit verify`: whether the history is what was written. Prints no personal data: chains are named by the keys
//! of clients, and records by their positions.

use std::io::Write;

use clap::{Args, Subcommand};

use super::store::{self, Access};
use super::{Failure, print};
use crate::Clientele;
use crate::access::Caller;
use crate::config::Config;
use crate::history::Counts;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Look for records that were removed, altered, moved, cut off or added. Servers may go on meanwhile.
    Verify(Which),
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// Only the history of the client with this key.
    #[arg(long, value_name = "KEY")]
    client: Option<String>,
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), Failure> {
    let Command::Verify(which) = command;
    store::with_clientele(config, Access::Look, async |clientele| verify(&clientele, which).await).await
}

async fn verify(clientele: &Clientele, Which { client }: Which) -> Result<(), Failure> {
    let mut findings = 0_u64;
    let mut printed = Ok(());
    let report = |finding: &crate::history::Finding| {
        findings += 1;
        if printed.is_ok() {
            printed = Failure::check_output(writeln!(std::io::stdout().lock(), "{finding}"));
        }
    };
    let counts = clientele
        .verify_history(&Caller::operator(), client.as_deref(), report)
        .await
        .map_err(Failure::internal)?;
    printed?;
    print(&summary(&counts))?;
    match findings {
        0 if client.is_some() && counts == Counts::default() => Err(Failure::new("there is no client with this key")),
        0 => print("the history is intact\n"),
        1 => Err(Failure::new("the history is not intact: 1 finding")),
        _ => Err(Failure::new(format!("the history is not intact: {findings} findings"))),
    }
}

fn summary(counts: &Counts) -> String {
    let Counts {
        chains,
        records,
        erased,
        weak,
        empty,
        since,
    } = counts;
    let weak = match weak {
        0 => String::new(),
        weak => format!("; {weak} made with the database's own key, which whoever could write the database knew"),
    };
    let since = since.map_or_else(String::new, |since| {
        format!("; under this key since {}", since.format("%Y-%m-%d %H:%M UTC"))
    });
    format!(
        "{records} records in {chains} chains, {erased} of them erased{weak}; {empty} clients without records{since}\n"
    )
}

/// Said at the start of whatever writes clients.
pub(super) fn warn_of_missing_key(config: &Config) {
    if config.audit.key.is_empty() {
        tracing::warn!(
            "audit.key isn't configured: the key of the history is kept in the database, so that whoever can write the \
             database could forge the history, too"
        );
    }
}
