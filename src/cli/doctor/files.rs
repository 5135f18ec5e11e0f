//! Checks of files: who can read those with secrets, and the TLS certificate.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};

use super::super::open_error::certificate_files;
use super::super::{listening, store};
use super::{Checked, finding::Finding, link};
use crate::api::metrics::ApiMetrics;
use clientele_core::secret::Secret;
use clientele_storage::db::{Dialect, parameter, sqlite_path};

const OTHERS: u32 = 0o007;
const GROUP: u32 = 0o070;
/// A certificate that expires sooner is reported.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Checks who can use the files that hold secrets or clients.
pub(super) async fn secrets(checked: Arc<Checked>) -> Vec<Finding> {
    let files = secret_files(&checked);
    let findings: Vec<Finding> = files.iter().filter_map(|file| exposure(file)).collect();
    let (check, link) = ("files", link::SECRET_FILES);
    match (files.len(), findings.is_empty()) {
        (0, _) => vec![Finding::skipped(
            check,
            link,
            "there is no file with secrets or clients.",
        )],
        (count, true) => {
            let found = format!("no other user can use the files with secrets or clients ({count}).");
            vec![Finding::ok(check, link, found)]
        }
        (_, false) => findings,
    }
}

/// The existing files that hold a secret or the clients.
fn secret_files(Checked { config, origins }: &Checked) -> Vec<PathBuf> {
    let of_settings = origins.of_secrets().into_iter().filter_map(|source| {
        if let Some(variable) = source.strip_prefix("environment variable ") {
            return variable
                .ends_with("_FILE")
                .then(|| std::env::var_os(variable))
                .flatten();
        }
        source.strip_prefix("file ").map(Into::into)
    });
    let url = config.database_url.reveal();
    let mut files: Vec<PathBuf> = of_settings.map(PathBuf::from).collect();
    files.extend(config.http.key_file.clone());
    files.extend(sqlite_path(url));
    let replicas = config.database.replica_urls.iter().map(Secret::reveal);
    for url in replicas
        .chain([url])
        .filter(|url| Dialect::of(url) == Dialect::Postgres)
    {
        let named = certificate_files(url).unwrap_or_default();
        files.extend(
            named
                .into_iter()
                .filter_map(|(name, file)| (parameter(&name) == "sslkey").then(|| file.into())),
        );
    }
    files.retain(|file| file.is_file());
    files
}

/// A file that others can use. A file of root with a group of its own is meant for the members of that group, as
/// packages install configurations.
fn exposure(file: &Path) -> Option<Finding> {
    let found = std::fs::metadata(file).ok()?;
    let (mode, is_for_group) = (found.mode(), found.uid() == 0 && found.gid() != 0);
    let users = match (mode & OTHERS, mode & GROUP) {
        (0, 0) => return None,
        (0, _) if is_for_group => return None,
        (0, _) => "its group",
        _ => "every user of this machine",
    };
    let file = file.display();
    Some(Finding::warning(
        "files",
        link::SECRET_FILES,
        format!(
            "{users} can use {file}, which holds secrets or clients (mode {:04o}).",
            mode & 0o7777
        ),
        format!("Run: chmod go= {file}"),
    ))
}

/// Checks that the certificate can be used as the server uses it, and for how long.
pub(super) async fn certificate(checked: Arc<Checked>) -> Vec<Finding> {
    let (check, link) = ("tls", link::TLS);
    if !checked.config.http.is_secure() {
        let found = "http.certificate_file isn't set: the port doesn't speak TLS.";
        return vec![Finding::skipped(check, link, found)];
    }
    let server = match listening::server(&checked.config, &ApiMetrics::default()) {
        Ok(server) => server,
        Err(failure) => {
            let to_do = "Set http.certificate_file and http.key_file to a certificate chain and its key in PEM.";
            return vec![Finding::problem(check, link, failure.to_string(), to_do)];
        }
    };
    let renew = "Replace the files by a renewed certificate and its key: a running server loads them.";
    let Some(validity) = server.certificate_validity() else {
        let found = "the certificate and its key match, and when they expire can't be read.";
        return vec![Finding::warning(check, link, found, renew)];
    };
    let now = SystemTime::from(store::now());
    let day = |at: SystemTime| DateTime::<Utc>::from(at).format("%Y-%m-%d %H:%M UTC").to_string();
    vec![if now < validity.from {
        let found = format!("the certificate is valid only from {} on.", day(validity.from));
        Finding::problem(
            check,
            link,
            found,
            "Check this machine's clock, or use another certificate.",
        )
    } else if now > validity.until {
        Finding::problem(
            check,
            link,
            format!("the certificate has expired: {}.", day(validity.until)),
            renew,
        )
    } else if now + SOON > validity.until {
        Finding::warning(
            check,
            link,
            format!("the certificate expires soon: {}.", day(validity.until)),
            renew,
        )
    } else {
        let found = format!(
            "the certificate and its key match, and are valid until {}.",
            day(validity.until)
        );
        Finding::ok(check, link, found)
    }]
}
