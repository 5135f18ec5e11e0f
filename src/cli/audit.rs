//! `clientele audit`: verifies the audit log, or writes it as lines of JSON. A verification prints no personal data:
//! chains are named by client keys, records by their positions.

use std::io::Write;

use clap::{Args, Subcommand};

use serde_json::json;

use super::output::Output;
use super::store::{self, OpenMode};
use super::{BY_KEY, Failure, print, transfer};
use crate::config::Config;
use clientele_core::{error::Error, scalar::DateTime, text::escaped};
use clientele_domain::audit::{AuditLine, AuditLog, Counts, Finding, FindingKind};
use clientele_domain::caller::Caller;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Look for records that were removed, altered, moved, cut off or added, while servers may run.
    ///
    /// Prints one line for each finding, then the totals. Needs the keys that sealed the records: audit.key as the
    /// servers have it, and audit.previous_keys for the keys before it. Records of any other key can't be verified;
    /// they are counted in one line for each key.
    ///
    /// Exit codes: 0 if the history is intact; 1 if there are findings, or records that can't be verified; 2 if the
    /// command or the configuration is wrong.
    Verify(Scope),
    /// Write all records as lines of JSON, as they are when the command begins, also while servers run.
    ///
    /// The lines have the personal data of all clients whose contents weren't erased. A file that exists isn't replaced
    /// without --force, and is complete or absent.
    ///
    /// Exit codes: 0 if the output is complete; 1 if it can't be written or the database can't be read.
    Export {
        #[command(flatten)]
        scope: Scope,
        #[command(flatten)]
        target: transfer::Target,
    },
}

#[derive(Debug, Args)]
pub(super) struct Scope {
    /// Only the history of the client with this key.
    #[arg(long, value_name = "KEY")]
    client: Option<String>,
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), Failure> {
    match command {
        Command::Verify(scope) => {
            store::with_services(config, OpenMode::Look, async |services| {
                verify(&services.audit, config, scope).await
            })
            .await
        }
        Command::Export { scope, target } => {
            let mut output = target.open(config)?;
            store::with_services(config, OpenMode::Look, async |services| {
                export(&services.audit, scope.client.as_deref(), &mut output).await
            })
            .await?;
            output.finish()
        }
    }
}

/// The name and the version of the format.
const FORMAT: &str = "clientele-audit";
const VERSION: u64 = 1;

async fn export(audit: &AuditLog, client: Option<&str>, output: &mut Output) -> Result<(), Failure> {
    let failed = |error: Error| Failure::new(format!("can't read the history: {}", error.kind()));
    let mut snapshot = audit.snapshot(&Caller::operator(), client).await.map_err(failed)?;
    let at = DateTime::text(&store::now());
    output.line(&json!({ "format": FORMAT, "version": VERSION, "exportedAt": at }).to_string())?;
    let (mut records, mut chains) = (0_u64, 0_u64);
    while let Some(line) = snapshot.next().await.map_err(failed)? {
        match line {
            AuditLine::Record { .. } => records += 1,
            AuditLine::End { .. } => chains += 1,
        }
        output.line(&serde_json::to_string(&line).map_err(Failure::internal)?)?;
    }
    snapshot.end().await.map_err(failed)?;
    if client.is_some() && chains == 0 {
        return Err(Failure::new("there are no records of a client with this key"));
    }
    output.line(&json!({ "end": { "records": records, "chains": chains } }).to_string())
}

async fn verify(audit: &AuditLog, config: &Config, Scope { client }: Scope) -> Result<(), Failure> {
    let (mut findings, mut unverifiable) = (0_u64, 0_u64);
    let mut printed = Ok(());
    let report = |finding: &Finding| {
        match finding.kind {
            FindingKind::UnknownKey { records, .. } => unverifiable += records,
            _ => findings += 1,
        }
        if printed.is_ok() {
            printed = Failure::check_output(writeln!(std::io::stdout().lock(), "{}", escaped(&finding.to_string())));
        }
    };
    let counts = audit
        .verify(&Caller::operator(), client.as_deref(), report)
        .await
        .map_err(Failure::internal)?;
    printed?;
    print(&summary(&counts))?;
    let found = match findings {
        0 => None,
        1 => Some("the history is not intact: 1 finding".to_owned()),
        _ => Some(format!("the history is not intact: {findings} findings")),
    };
    let unverifiable = (unverifiable > 0).then(|| missing_key(unverifiable, config));
    match (found, unverifiable) {
        (None, None) if client.is_some() && counts == Counts::default() => {
            Err(Failure::new(format!("there is no client with this key: {BY_KEY}")))
        }
        (None, None) => print("the history is intact\n"),
        (None, Some(sentence)) => Err(Failure::new(format!("the history can't be verified: {sentence}"))),
        (Some(found), None) => Err(Failure::new(found)),
        (Some(found), Some(sentence)) => Err(Failure::new(format!("{found}; and {sentence}"))),
    }
}

/// Names the setting that is needed to verify the records.
fn missing_key(records: u64, config: &Config) -> String {
    let remedy = match config.audit.key.is_empty() {
        true => {
            "audit.key isn't set. Set it to the key that the servers use, and audit.previous_keys to the keys before it"
        }
        false => {
            "Set audit.key to the key that the servers use now, and audit.previous_keys to the keys before it, or \
             check that they are the right ones"
        }
    };
    format!(
        "records sealed by keys that aren't configured: {records}. {remedy}. If none of your keys has sealed them, \
         they are forged."
    )
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
        weak => format!("; {weak} sealed by the database's own key, known to everyone who can read the database"),
    };
    let since = since.map_or_else(String::new, |since| {
        format!("; under this key since {}", since.format("%Y-%m-%d %H:%M UTC"))
    });
    format!(
        "{records} records in {chains} chains, {erased} of them erased{weak}; {empty} clients without records{since}\n"
    )
}

/// Warns at the start of a command that writes clients.
pub(super) fn warn_of_missing_key(config: &Config) {
    if config.audit.key.is_empty() {
        tracing::warn!(
            "audit.key isn't configured: the key of the history is kept in the database, so that everyone who can \
             write the database could forge the history, too"
        );
    }
}
