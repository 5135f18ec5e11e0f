//! Checks of the database: its migrations, its clock, its disk, the history's key and the waiting messages.

use std::future::Future;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use tokio::time::timeout;

use super::super::store::{self, OpenMode};
use super::limit::{PATIENCE, SHORT_PATIENCE, too_late, within};
use super::link::{self, Link};
use super::{Checked, finding::Finding, postgres};
use crate::config::Config;
use crate::services::{ServiceSettings, Services};
use clientele_domain::audit::KeyInUse;
use clientele_domain::caller::Caller;
use clientele_domain::enums::Channel;
use clientele_storage::db::{
    Database, Dialect, Version, check_creation, file_access, is_read_only, missing_file, sqlite_path,
};

/// The time limit of opening and closing the database with all checks in between, of which some wait for others.
const LONGEST: Duration = PATIENCE.saturating_mul(5);
const CONNECTIONS: u32 = 4;
/// The clocks of the machines must agree within some seconds, see docs/notifications.md.
const CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(5);
/// A record can be of another server, whose clock may differ.
const RECORD_DIFFERENCE: TimeDelta = TimeDelta::seconds(60);
/// Messages that are due for longer are overdue, as for the alert in docs/metrics.md.
const OVERDUE: TimeDelta = TimeDelta::minutes(15);
const LITTLE_SPACE: u64 = 1 << 30;
const NO_SPACE: u64 = 64 << 20;

pub(super) async fn all(checked: Arc<Checked>) -> Vec<Finding> {
    let disk = disk(&checked.config);
    let checking = tokio::spawn(async move { opened(&checked.config).await });
    let mut findings = match timeout(LONGEST, checking).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(_)) => vec![Finding::defect("database")],
        Err(_) => vec![too_late("database")],
    };
    findings.push(disk);
    findings
}

/// Opens the database for reading, in whatever version it is.
async fn opened(config: &Config) -> Vec<Finding> {
    let mut config = config.clone();
    let settings = &mut config.database;
    settings.acquire_timeout_seconds = settings.acquire_timeout_seconds.min(SHORT_PATIENCE.as_secs());
    settings.max_connections = settings.max_connections.min(CONNECTIONS);
    let url = config.database_url.reveal();
    let link = match Dialect::of(url) {
        Dialect::Sqlite => link::SQLITE,
        Dialect::Postgres => link::POSTGRESQL,
    };
    if let Some(path) = missing_file(url) {
        let path = std::path::absolute(&path).unwrap_or(path);
        return without_database(&config, missing(&path, link));
    }
    let inspected = store::with_database(&config, OpenMode::Inspect, async |database| {
        Ok(inspect(database, &config, link).await)
    });
    match inspected.await {
        Ok(findings) => findings,
        Err(failure) => {
            let to_do = "Correct database_url, or repair the database.";
            let finding = Finding::problem("database", link, failure.to_string(), to_do);
            let mut findings = without_database(&config, finding);
            if !config.database_url.is_sqlite() {
                findings.extend(postgres::pooler(&config).await);
            }
            findings
        }
    }
}

/// A SQLite file that doesn't exist. The start creates it, but not its directory.
fn missing(path: &Path, link: Link) -> Finding {
    let check = "database";
    let directory = path.parent().unwrap_or(path);
    let Err(error) = check_creation(directory) else {
        let found = format!("there is no database at {}.", path.display());
        let to_do = "`clientele serve` creates it; if there should be one, correct database_url.";
        return Finding::warning(check, link, found, to_do);
    };
    let found = format!("this user can't create a file in {}: {error}.", directory.display());
    let to_do = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => "Create the directory, or correct database_url.",
        _ => "Run this command as the user that runs the server, give that user the rights, or correct database_url.",
    };
    Finding::problem(check, link, found, to_do)
}

/// The findings if the database can't be opened.
fn without_database(config: &Config, finding: Finding) -> Vec<Finding> {
    let skipped = |check, link| Finding::skipped(check, link, "the database can't be read.");
    let audit_key = match config.audit.key.is_empty() {
        true => missing_audit_key(),
        false => skipped("audit_key", link::AUDIT_KEY),
    };
    vec![
        finding,
        skipped("migrations", link::MIGRATIONS),
        skipped("clock", link::DELIVERY),
        audit_key,
        skipped("outbox", link::DELIVERY),
    ]
}

async fn inspect(database: Database, config: &Config, link: Link) -> Vec<Finding> {
    let settings = ServiceSettings {
        audit: config.audit.clone(),
        ..ServiceSettings::default()
    };
    let services = Services::new(database, settings);
    let mut findings = match Dialect::of(config.database_url.reveal()) {
        Dialect::Sqlite => vec![file(config)],
        Dialect::Postgres => postgres::all(&services.db, config).await,
    };
    let version = match within("migrations", services.db.version()).await {
        Ok(version) => version,
        Err(finding) => {
            findings.push(finding);
            return findings;
        }
    };
    let is_ours = version == Version::Ours;
    let checks: [std::pin::Pin<Box<dyn Future<Output = Finding> + Send + '_>>; 4] = [
        Box::pin(migrations(&services.db, version)),
        Box::pin(clock(&services, is_ours)),
        Box::pin(audit_key(&services, config, is_ours)),
        Box::pin(outbox(&services, is_ours)),
    ];
    findings.extend(join_all(checks).await);
    findings.insert(
        0,
        Finding::ok("database", link, format!("{} can be read.", config.database_url)),
    );
    findings
}

/// Checks that this user can write a SQLite file.
fn file(config: &Config) -> Finding {
    let url = config.database_url.reveal();
    let (check, link) = ("rights", link::SQLITE);
    if is_read_only(url) {
        let found = "the address has mode=ro or immutable: a server can't use it.";
        return Finding::warning(check, link, found, "Remove that from database_url.");
    }
    match sqlite_path(url).map(|path| file_access(&path)) {
        Some(Ok(access)) if access.is_writable => Finding::ok(check, link, "this user can write the file."),
        Some(Ok(_)) => Finding::problem(
            check,
            link,
            "this user can't write the file, or create files in its directory.",
            "Run this command as the user that runs the server, or give that user the rights.",
        ),
        Some(Err(error)) => Finding::problem(
            check,
            link,
            format!("the file can't be looked at: {error}."),
            "Check its rights.",
        ),
        None => Finding::skipped(check, link, "the database isn't a file."),
    }
}

async fn migrations(database: &Database, version: Version) -> Finding {
    let (check, link) = ("migrations", link::MIGRATIONS);
    let looking = async { Ok((database.migration_steps().await?, database.has_other_tables().await?)) };
    let (steps, has_other_tables) = match within(check, looking).await {
        Ok(found) => found,
        Err(finding) => return finding,
    };
    let pending = steps.iter().filter(|step| step.applied_at.is_none()).count();
    let unknown = steps.iter().filter(|step| !step.is_known).count();
    match version {
        Version::Ours => Finding::ok(check, link, format!("all {} steps are applied.", steps.len())),
        Version::Empty if has_other_tables => Finding::problem(
            check,
            link,
            "the database has tables of another program.",
            "Name another file in database_url.",
        ),
        Version::Empty => Finding::warning(
            check,
            link,
            "the database has no tables of clientele.",
            "`clientele serve` creates them; if there should be some, correct database_url.",
        ),
        Version::Earlier => Finding::warning(
            check,
            link,
            format!("{pending} of {} steps are pending.", steps.len()),
            "Make a backup, and run `clientele migrate`, or start the server, which does it; \
             `clientele migrate --dry-run` prints the statements.",
        ),
        Version::Later => Finding::problem(
            check,
            link,
            format!("the database was migrated by a later version of this program, which has {unknown} more steps."),
            "Use that version.",
        ),
    }
}

/// Compares the clock of this machine with the database's and with the newest record.
async fn clock(services: &Services, is_ours: bool) -> Finding {
    let looking = async {
        let before = store::now();
        let of_database = services.db.clock().await?;
        let middle = before + (store::now() - before) / 2;
        let newest = match is_ours {
            true => services.audit.newest(&Caller::operator()).await?.1,
            false => None,
        };
        Ok((of_database.map(|clock| clock - middle), newest))
    };
    match within("clock", looking).await {
        Ok((difference, newest)) => compared(difference, newest, store::now()),
        Err(finding) => finding,
    }
}

fn compared(difference: Option<TimeDelta>, newest: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Finding {
    let (check, link) = ("clock", link::DELIVERY);
    let to_do = "Synchronise the clocks of all machines (NTP).";
    if let Some(difference) = difference.filter(|difference| difference.abs() > CLOCK_DIFFERENCE) {
        let seconds = difference.abs().num_seconds();
        let direction = if difference > TimeDelta::zero() {
            "behind"
        } else {
            "ahead of"
        };
        let found = format!("this machine's clock is {seconds} s {direction} the database's.");
        return Finding::warning(check, link, found, to_do);
    }
    if let Some(ahead) = newest.map(|at| at - now).filter(|ahead| *ahead > RECORD_DIFFERENCE) {
        let found = format!(
            "the newest record of the history is {} s in the future.",
            ahead.num_seconds()
        );
        return Finding::warning(check, link, found, to_do);
    }
    let found = match difference {
        Some(_) => "this machine's clock agrees with the database's, and no record is in the future.",
        None => "no record is in the future of this machine's clock.",
    };
    Finding::ok(check, link, found)
}

fn missing_audit_key() -> Finding {
    Finding::warning(
        "audit_key",
        link::AUDIT_KEY,
        "audit.key isn't set: the key of the history is kept in the database, so that everyone who can write the \
         database can forge the history.",
        "Make a key with `openssl rand -base64 32`, and set it for all servers.",
    )
}

/// Compares audit.key with the key of the newest records.
async fn audit_key(services: &Services, config: &Config, is_ours: bool) -> Finding {
    let (check, link) = ("audit_key", link::AUDIT_KEY);
    let is_set = !config.audit.key.is_empty();
    if !is_ours {
        return match is_set {
            true => Finding::skipped(check, link, "the database isn't of this version."),
            false => missing_audit_key(),
        };
    }
    match within(check, services.audit.newest(&Caller::operator())).await {
        Err(finding) => finding,
        Ok((KeyInUse::Unknown, _)) => Finding::problem(
            check,
            link,
            "the newest records of the history are sealed by a key that isn't configured.",
            "Set audit.key to the key of the servers, or add that key to audit.previous_keys if audit.key has \
             replaced it.",
        ),
        Ok(_) if !is_set => missing_audit_key(),
        Ok((KeyInUse::Earlier, _)) => Finding::warning(
            check,
            link,
            "the newest records of the history are sealed by an earlier key.",
            "Stop the servers that use it: the next start goes on with audit.key.",
        ),
        Ok((KeyInUse::Current, _)) => Finding::ok(check, link, "audit.key has sealed the newest records."),
        Ok((KeyInUse::None, _)) => Finding::ok(check, link, "audit.key is set, and there are no records yet."),
    }
}

/// Looks for messages that no worker sends, and for failed ones.
async fn outbox(services: &Services, is_ours: bool) -> Finding {
    let (check, link) = ("outbox", link::DELIVERY);
    if !is_ours {
        return Finding::skipped(check, link, "the database isn't of this version.");
    }
    let counting = async {
        let (mut overdue, mut failed) = (0, 0);
        for channel in Channel::ALL {
            let due_before = store::now() - OVERDUE;
            let backlog = services
                .messages
                .backlog(&Caller::operator(), channel, due_before)
                .await?;
            overdue += backlog.overdue;
            failed += backlog.failed;
        }
        Ok((overdue, failed))
    };
    match within(check, counting).await {
        Err(finding) => finding,
        Ok((0, 0)) => Finding::ok(check, link, "no message is overdue or has failed."),
        Ok((0, failed)) => Finding::warning(
            check,
            link,
            format!("messages that failed: {failed}."),
            "Read their reasons with the query `messages`, and send them again with `resendMessages`.",
        ),
        Ok((overdue, failed)) => Finding::warning(
            check,
            link,
            format!("messages that are overdue by more than 15 minutes: {overdue}; that failed: {failed}."),
            "Start a server with notifications.worker = true, or `clientele worker`, and check the channels above.",
        ),
    }
}

/// Checks the space on the disk of a SQLite file, which may not exist yet.
fn disk(config: &Config) -> Finding {
    let (check, link) = ("disk", link::SQLITE);
    let Some(path) = sqlite_path(config.database_url.reveal()) else {
        return Finding::skipped(check, link, "the database is on a server: watch the disk there.");
    };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let existing = if path.exists() {
        path.as_path()
    } else {
        directory.unwrap_or(Path::new("."))
    };
    let access = match file_access(existing) {
        Ok(access) => access,
        Err(error) => {
            let found = format!("the disk of the database can't be looked at: {error}.");
            return Finding::problem(check, link, found, "Check that the directory exists, and its rights.");
        }
    };
    space(access.free_bytes, if path.exists() { access.bytes } else { 0 })
}

/// The finding about the space on the disk of a database of this size.
fn space(free_bytes: u64, database: u64) -> Finding {
    let (check, link) = ("disk", link::SQLITE);
    let to_do = "Make room, or move the database to a larger disk.";
    let free = free_bytes >> 20;
    match free_bytes {
        bytes if bytes < NO_SPACE => Finding::problem(
            check,
            link,
            format!("the disk of the database has {free} MiB left."),
            to_do,
        ),
        bytes if bytes < LITTLE_SPACE.max(database) => Finding::warning(
            check,
            link,
            format!(
                "the disk of the database has {free} MiB left, for a database of {} MiB.",
                database >> 20
            ),
            to_do,
        ),
        _ => Finding::ok(check, link, format!("the disk of the database has {free} MiB left.")),
    }
}

#[cfg(test)]
mod tests {
    use super::space;

    #[test]
    fn little_space_is_reported_by_the_size_of_the_database() {
        const MIB: u64 = 1 << 20;
        let warning = |free: u64, database: u64| {
            format!(
                "WARNING  disk: the disk of the database has {free} MiB left, for a database of {database} MiB. Make \
                 room, or move the database to a larger disk. See docs/operations.md#sqlite\n"
            )
        };
        let ok = |free: u64| {
            format!("OK       disk: the disk of the database has {free} MiB left. See docs/operations.md#sqlite\n")
        };
        let none = "PROBLEM  disk: the disk of the database has 63 MiB left. Make room, or move the database to a \
            larger disk. See docs/operations.md#sqlite\n";
        for (free, database, line) in [
            (64 * MIB - 1, 0, none.to_owned()),
            (64 * MIB, 0, warning(64, 0)),
            (1_024 * MIB - 1, 10 * MIB, warning(1_023, 10)),
            (1_024 * MIB, 1_024 * MIB, ok(1_024)),
            (1_024 * MIB, 1_025 * MIB, warning(1_024, 1_025)),
        ] {
            assert_eq!(space(free, database).line(), line);
        }
    }
}
