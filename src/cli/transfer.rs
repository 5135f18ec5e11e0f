//! `clientele export` and `clientele import`: clients with their definitions as lines of JSON.
//!
//! The first line names the format and its version, the last one has the number of clients. In between, each line is a
//! definition or a client, in the form of the inputs of the GraphQL API. A client has in addition its keys, state,
//! dates, version and audit records. Further lines have the rest of long audit chains, and those of removed clients.

mod definitions;
mod export;
mod history;
mod import;
mod input;
mod line;
mod lines;
mod progress;
mod refusal;
mod report;

pub(super) use export::Target;
pub(super) use import::Source;

use super::Failure;
use super::store::{self, OpenMode};
use crate::config::Config;

/// The name and the version of the format.
const FORMAT: &str = "clientele";
const VERSION: u64 = 1;

pub(super) async fn export(config: &Config, target: &Target) -> Result<(), Failure> {
    let mut output = target.open(config)?;
    let clients = store::with_services(config, OpenMode::Look, async |services| {
        export::write(&services, &mut output).await
    })
    .await?;
    output.finish()?;
    target.report(clients);
    Ok(())
}

pub(super) async fn import(config: &Config, source: &Source) -> Result<(), Failure> {
    let lines = lines::Lines::open(&source.file)?;
    if let Some(report) = &source.report {
        store::refuse_own_file(config, report)?;
    }
    let mut report = report::Report::open(source.report.as_deref(), &source.file, source.force)?;
    store::with_services(config, OpenMode::Create, async |services| {
        import::read(&services, lines, &mut report).await
    })
    .await
}
