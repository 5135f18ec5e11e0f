//! `clientele doctor`: checks the settings and everything that they name, and says what to do. Changes nothing, sends
//! nothing, and prints no secret or personal data.
//!
//! Checks run at the same time, each with a time limit, so that none holds up the others.

mod database;
mod files;
mod finding;
mod limit;
mod link;
mod network;
mod postgres;

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use self::finding::{Finding, Status};
use self::limit::start;
use super::{Failure, init, print, serve};
use crate::config::{Config, Flags, Origins};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Print the findings as one JSON object.
    #[arg(long)]
    json: bool,
}

/// The configuration as the checks use it.
#[derive(Debug)]
struct Checked {
    config: Config,
    origins: Origins,
}

pub(super) async fn run(file: Option<&Path>, flags: &Flags, options: &Options) -> Result<(), Failure> {
    let mut findings = match super::load(file, flags) {
        Ok((config, origins)) => {
            crate::telemetry::start(&config.log);
            all(Checked { config, origins }).await
        }
        Err(failure) => vec![
            Finding::problem("settings", link::SETTINGS, failure.to_string(), "Correct the setting."),
            Finding::skipped("others", link::SETTINGS, "all other checks need valid settings."),
        ],
    };
    if file.is_none()
        && let Some(finding) = unread_file()
    {
        // After the finding about the settings.
        findings.insert(1, finding);
    }
    print(&match options.json {
        true => finding::json(&findings)?,
        false => findings.iter().map(Finding::line).collect(),
    })?;
    match findings
        .iter()
        .filter(|finding| finding.status == Status::Problem)
        .count()
    {
        0 => Ok(()),
        1 => Err(Failure::new("1 problem was found")),
        count => Err(Failure::new(format!("{count} problems were found"))),
    }
}

/// A file that `init` has written and that no option names.
fn unread_file() -> Option<Finding> {
    let file = init::FILE;
    let found = format!("{file} in this directory isn't read: no file is named.");
    let to_do = format!("Name it with --config {file} or CLIENTELE_CONFIG={file}.");
    Path::new(file)
        .exists()
        .then(|| Finding::warning("config", link::SETTINGS, found, to_do))
}

async fn all(checked: Checked) -> Vec<Finding> {
    let checked = Arc::new(checked);
    let mut running = vec![
        start("settings", settings(checked.clone())),
        start("files", files::secrets(checked.clone())),
        tokio::spawn(database::all(checked.clone())),
        start("tls", files::certificate(checked.clone())),
        start("issuer", network::issuer(checked.clone())),
        start("email", network::email(checked.clone())),
        start("email_fallback", network::email_fallback(checked.clone())),
        start("sms", network::sms(checked.clone())),
        start("sms_fallback", network::sms_fallback(checked.clone())),
        start("telemetry", network::collector(checked.clone())),
        start(
            "listen",
            network::port(checked.clone(), "listen", checked.config.listen.clone().into()),
        ),
    ];
    let worker = checked.config.notifications.worker_listen.clone();
    running.push(start("worker_listen", network::port(checked, "worker_listen", worker)));
    let mut findings = Vec::new();
    for check in running {
        findings.extend(check.await.unwrap_or_else(|_| vec![Finding::defect("doctor")]));
    }
    findings
}

/// The settings are valid by now; the files that they name as a part of them are read here.
async fn settings(checked: Arc<Checked>) -> Vec<Finding> {
    vec![match serve::persisted(&checked.config.graphql) {
        Ok(_) => Finding::ok("settings", link::SETTINGS, "the settings are valid."),
        Err(failure) => Finding::problem(
            "settings",
            link::SETTINGS,
            failure.to_string(),
            "Correct graphql.trusted_documents_file.",
        ),
    }]
}
