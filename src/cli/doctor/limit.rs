//! The time limits of checks.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::finding::Finding;
use super::link;
use clientele_core::error::Result;

/// The time limit of a check.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// The time limit of what a check does, so that it can report it.
pub(super) const SHORT_PATIENCE: Duration = Duration::from_secs(4);

/// Runs a check on a task of its own: one that blocks its thread doesn't hold up the others.
pub(super) fn start(
    name: &'static str,
    check: impl Future<Output = Vec<Finding>> + Send + 'static,
) -> JoinHandle<Vec<Finding>> {
    let check = tokio::spawn(check);
    tokio::spawn(async move {
        match timeout(PATIENCE, check).await {
            Ok(Ok(findings)) => findings,
            Ok(Err(_)) => vec![Finding::defect(name)],
            Err(_) => vec![too_late(name)],
        }
    })
}

/// Runs a part of a check within the time limit. The error is the finding.
pub(super) async fn within<T>(
    check: &'static str,
    looking: impl Future<Output = Result<T>>,
) -> std::result::Result<T, Finding> {
    match timeout(PATIENCE, looking).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            let found = format!("the database doesn't answer the check: {}.", error.kind());
            Err(Finding::problem(
                check,
                link::DOCTOR,
                found,
                "Look at the log of the database.",
            ))
        }
        Err(_) => Err(too_late(check)),
    }
}

pub(super) fn too_late(check: &'static str) -> Finding {
    let found = format!("there was no result within {} s.", PATIENCE.as_secs());
    let to_do = "Look for a disk, a network or a name service that doesn't answer.";
    Finding::problem(check, link::DOCTOR, found, to_do)
}
