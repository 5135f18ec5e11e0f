//! Checks of a PostgreSQL server: its version, the role, the encryption, and a pooler in between.

use tokio::time::timeout;

use super::super::open_error;
use super::limit::{PATIENCE, too_late, within};
use super::{finding::Finding, link};
use crate::config::Config;
use clientele_storage::db::{
    Database, Encryption, Layout, OLDEST_POSTGRES, Pooling, PostgresSession, pooling, postgres_options,
    required_encryption,
};

pub(super) async fn all(database: &Database, config: &Config) -> Vec<Finding> {
    let session = within("server", database.postgres_session(&config.database)).await;
    // A statement that runs meanwhile can hold the session that the check of the pooler looks for.
    let sharing = sharing(config).await;
    let mut findings = match &session {
        Ok(session) => vec![
            server(session),
            role(session),
            encryption(required(config), session.is_encrypted),
        ],
        Err(finding) => vec![finding.clone()],
    };
    findings.push(sharing.map_or_else(|finding| finding, |sharing| sessions(sharing, session.as_ref().ok())));
    let (replicas, distribution) = tokio::join!(replicas(database), distribution(database, config));
    findings.extend(replicas);
    if session.is_ok() {
        findings.extend(distribution);
    }
    findings
}

/// None if the tables aren't distributed and needn't be.
async fn distribution(database: &Database, config: &Config) -> Option<Finding> {
    let (check, link) = ("distribution", link::CITUS);
    let looking = async {
        match database.layout().await {
            Ok(layout) => Ok(Ok(layout)),
            Err(error) => open_error::migration_text(&error).map(Err).ok_or(error),
        }
    };
    let found = match within(check, looking).await {
        Ok(found) => found,
        Err(finding) => return Some(finding),
    };
    match found {
        Ok(Layout::AsSet) if !config.database.distributed => None,
        Ok(Layout::AsSet) => Some(Finding::ok(check, link, "the tables are distributed with Citus.")),
        Ok(Layout::Undistributed) => Some(Finding::warning(
            check,
            link,
            "database.distributed is on, and not all tables are distributed.",
            "Stop the servers, make a backup, and run `clientele migrate`; `clientele migrate --dry-run` prints the \
             statements.",
        )),
        Ok(Layout::Distributed) => Some(Finding::problem(
            check,
            link,
            "the tables are distributed with Citus, and database.distributed is off.",
            "Set database.distributed = true for all servers, workers and commands.",
        )),
        Err(reason) => Some(Finding::problem(check, link, reason, "")),
    }
}

async fn replicas(database: &Database) -> Vec<Finding> {
    let (check, link) = ("replicas", link::REPLICAS);
    let checked = match timeout(PATIENCE, database.check_replicas()).await {
        Ok(Some(checked)) => checked,
        Ok(None) => {
            let found = "the primary doesn't answer, with which replicas are compared.";
            return vec![Finding::skipped(check, link, found)];
        }
        Err(_) => return vec![too_late(check)],
    };
    let finding = |(host, problem)| match problem {
        None => Finding::ok(check, link, format!("the replica {host} can serve reads.")),
        Some(problem) => Finding::warning(
            check,
            link,
            format!("the replica {host} can't serve reads: {problem}."),
            "Correct database.replica_urls or the replica. Meanwhile, the primary serves its reads.",
        ),
    };
    checked.into_iter().map(finding).collect()
}

/// The finding about a pooler by which a database can't be opened, if it is the reason.
pub(super) async fn pooler(config: &Config) -> Option<Finding> {
    let sharing = sharing(config).await.ok()?;
    (sharing == Pooling::UnpreparedTransactions).then(|| sessions(sharing, None))
}

async fn sharing(config: &Config) -> Result<Pooling, Finding> {
    let (check, link) = ("sessions", link::POSTGRESQL);
    match timeout(PATIENCE, pooling(config.database_url.reveal(), &config.database)).await {
        Ok(Ok(sharing)) => Ok(sharing),
        Ok(Err(error)) => {
            let reason = open_error::explain_postgres(&error);
            let found = format!("two more connections can't be opened: {reason}.");
            let to_do = "Raise max_connections of the database, or the pool size of the pooler.";
            Err(Finding::problem(check, link, found, to_do))
        }
        Err(_) => {
            let found = format!(
                "two connections at the same time got no answer within {} s.",
                PATIENCE.as_secs()
            );
            let to_do = "Give a pooler at least database.max_connections server connections.";
            Err(Finding::problem(check, link, found, to_do))
        }
    }
}

fn required(config: &Config) -> Encryption {
    let options = postgres_options(config.database_url.reveal(), &config.database);
    options.map_or(Encryption::Unverified, |options| required_encryption(&options))
}

fn server(session: &PostgresSession) -> Finding {
    let (check, link) = ("server", link::POSTGRESQL);
    let version = &session.version;
    if session.major_version < OLDEST_POSTGRES {
        let found = format!("PostgreSQL {version} lacks functions that clientele uses.");
        return Finding::problem(
            check,
            link,
            found,
            format!("Use PostgreSQL {OLDEST_POSTGRES} or later."),
        );
    }
    match session.is_in_recovery {
        true => Finding::warning(
            check,
            link,
            "it is a standby, which accepts no changes.",
            "Name the primary in database_url, except for commands that only read.",
        ),
        false => Finding::ok(check, link, format!("PostgreSQL {version} answers.")),
    }
}

fn role(session: &PostgresSession) -> Finding {
    let (check, link) = ("rights", link::POSTGRESQL);
    let PostgresSession {
        role,
        tables_without_rights: tables,
        ..
    } = session;
    if !tables.is_empty() {
        return Finding::problem(
            check,
            link,
            format!("the role {role} lacks rights on tables: {}.", tables.join(", ")),
            format!("Run as their owner: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA … TO {role}"),
        );
    }
    if session.is_superuser {
        return Finding::warning(
            check,
            link,
            format!("the role {role} is a superuser, who can change everything on the server."),
            "Use a role that owns only this database.",
        );
    }
    match session.can_create_tables {
        true => Finding::ok(check, link, format!("the role {role} can use and migrate the tables.")),
        false => Finding::ok(
            check,
            link,
            format!("the role {role} can use the tables; another one must run `clientele migrate`."),
        ),
    }
}

fn encryption(required: Encryption, is_encrypted: bool) -> Finding {
    let (check, link) = ("encryption", link::POSTGRESQL);
    let to_do = "Add sslmode=verify-full and sslrootcert=/FILE to database_url.";
    match (required, is_encrypted) {
        (Encryption::Local, _) => Finding::ok(check, link, "the connection doesn't leave this machine."),
        (Encryption::Verified, true) => Finding::ok(
            check,
            link,
            "the connection is encrypted, and the server's certificate is verified.",
        ),
        (Encryption::Unverified, true) => Finding::warning(
            check,
            link,
            "the connection is encrypted, but the server's certificate isn't verified.",
            to_do,
        ),
        (Encryption::Verified | Encryption::Unverified, false) => {
            Finding::warning(check, link, "the connection to another machine isn't encrypted.", to_do)
        }
    }
}

fn sessions(sharing: Pooling, session: Option<&PostgresSession>) -> Finding {
    let (check, link) = ("sessions", link::POSTGRESQL);
    if sharing == Pooling::UnpreparedTransactions {
        return Finding::problem(
            check,
            link,
            "a pooler gives sessions to other connections after each transaction, and loses prepared statements.",
            "Add statement-cache-capacity=0 to database_url, or set max_prepared_statements in PgBouncer 1.21 or later.",
        );
    }
    match session.filter(|session| !session.changed_options.is_empty()) {
        None if sharing == Pooling::Transactions => Finding::ok(
            check,
            link,
            "connections share sessions through a pooler, with the options that the server sets.",
        ),
        None => Finding::ok(
            check,
            link,
            "each connection has its own session, with the options that the server sets.",
        ),
        Some(session) => Finding::warning(
            check,
            link,
            format!(
                "sessions lack options that the server sets: {}.",
                session.changed_options.join(", ")
            ),
            format!(
                "Let the pooler pass them on, or set them with ALTER ROLE {} SET ….",
                session.role
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{Finding, PostgresSession, encryption, server};
    use clientele_storage::db::{DatabaseSettings, postgres_options, required_encryption};

    fn line(url: &str, is_encrypted: bool) -> String {
        let options = postgres_options(url, &DatabaseSettings::default()).expect("an address");
        encryption(required_encryption(&options), is_encrypted).line()
    }

    #[test]
    fn connection_to_another_machine_must_be_encrypted_and_verified() {
        let end = "Add sslmode=verify-full and sslrootcert=/FILE to database_url. See docs/operations.md#postgresql\n";
        let local =
            "OK       encryption: the connection doesn't leave this machine. See docs/operations.md#postgresql\n";
        for url in [
            "postgres://ana@localhost/bank",
            "postgres://ana@127.0.0.2/bank",
            "postgres://ana@[::1]/bank",
            "postgres://ana@/bank?host=/run/postgresql",
        ] {
            assert_eq!(line(url, false), local, "{url}");
        }
        assert_eq!(
            line("postgres://ana@db.bank.test/bank", false),
            format!("WARNING  encryption: the connection to another machine isn't encrypted. {end}")
        );
        assert_eq!(
            line("postgres://ana@db.bank.test/bank?sslmode=require", true),
            format!(
                "WARNING  encryption: the connection is encrypted, but the server's certificate isn't verified. {end}"
            )
        );
        assert_eq!(
            line(
                "postgres://ana@db.bank.test/bank?sslmode=verify-full&sslrootcert=/ca.pem",
                true
            ),
            "OK       encryption: the connection is encrypted, and the server's certificate is verified. See \
             docs/operations.md#postgresql\n"
        );
    }

    #[test]
    fn old_server_and_standby_are_reported() {
        let session = |major_version, is_in_recovery| PostgresSession {
            version: format!("{major_version}.1"),
            major_version,
            role: "ana".to_owned(),
            is_superuser: false,
            is_in_recovery,
            is_encrypted: true,
            tables_without_rights: Vec::new(),
            can_create_tables: true,
            changed_options: Vec::new(),
        };
        let lines = [session(12, false), session(13, true)].map(|session| Finding::line(&server(&session)));
        assert_eq!(
            lines,
            [
                "PROBLEM  server: PostgreSQL 12.1 lacks functions that clientele uses. Use PostgreSQL 13 or later. See \
                 docs/operations.md#postgresql\n",
                "WARNING  server: it is a standby, which accepts no changes. Name the primary in database_url, except \
                 for commands that only read. See docs/operations.md#postgresql\n",
            ]
        );
    }
}
