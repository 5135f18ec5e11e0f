//! Writes the clients to a file or to standard output, page by page.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::super::output::{self, Output};
use super::super::{Failure, store};
use super::progress::Progress;
use super::{FORMAT, VERSION, definitions, history, line};
use crate::config::Config;
use crate::services::Services;
use clientele_core::error::Error;
use clientele_core::scalar::DateTime;
use clientele_domain::caller::Caller;
use clientele_domain::client::ExportLine;

#[derive(Debug, Args)]
pub(in crate::cli) struct Target {
    /// The file to write; - or nothing is standard output.
    #[arg(value_name = "FILE|-", default_value = "-")]
    file: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

impl Target {
    /// # Errors
    /// Among others if the file is one of the database itself.
    pub fn open(&self, config: &Config) -> Result<Output, Failure> {
        store::refuse_own_file(config, &self.file)?;
        // If it exists, the message asks to remove it.
        store::refuse_own_file(config, &output::partial(&self.file))?;
        Output::open(&self.file, self.force)
    }

    /// Reports the number of clients in a file. A closed standard error doesn't make the export fail.
    pub fn report(&self, clients: u64) {
        if self.file != Path::new("-") {
            let _ = writeln!(
                io::stderr().lock(),
                "clients written to {}: {clients}",
                self.file.display()
            );
        }
    }
}

/// Returns the number of clients.
pub(super) async fn write(services: &Services, output: &mut Output) -> Result<u64, Failure> {
    let failed = |error: Error| Failure::new(format!("can't read the clients: {}", error.kind()));
    let snapshot = services.clients.snapshot(&Caller::operator()).await;
    let mut snapshot = snapshot.map_err(failed)?;
    let definitions = snapshot.definitions().clone();
    let at = DateTime::text(&store::now());
    let mut header = json!({ "format": FORMAT, "version": VERSION, "stored": true, "exportedAt": at });
    if let Some(position) = snapshot.position() {
        header["position"] = position.to_string().into();
    }
    output.line(&header.to_string())?;
    for definition in definitions::lines(&definitions)? {
        output.line(&definition.to_string())?;
    }
    let (mut clients, mut removed, mut progress) = (0_u64, 0_u64, Progress::new());
    while let Some(next) = snapshot.next().await.map_err(failed)? {
        let line = match &next {
            ExportLine::Client(client, part) => {
                clients += 1;
                line::of_client(client, part, &definitions)?
            }
            ExportLine::Removed(key, part) => {
                removed += 1;
                history::of_removed(key, part)?
            }
            ExportLine::History {
                client_key,
                position,
                part,
            } => history::of_part(client_key, *position, part)?,
        };
        output.line(&line)?;
        progress.show(clients, None);
    }
    snapshot.end().await.map_err(failed)?;
    output.line(&json!({ "end": { "clients": clients, "removedClients": removed } }).to_string())?;
    Ok(clients)
}
