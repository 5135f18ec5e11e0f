//! Explains why a PostgreSQL database can't be opened.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use sea_orm::sqlx::{self, ConnectOptions, Connection, Row, postgres::PgConnectOptions};
use tokio::time::timeout;

use super::super::listening::resolve_host;
use crate::config::is_path;
use clientele_core::error::LOST_STATEMENT;
use clientele_storage::db::{DatabaseSettings, Pooling, caches_statements, parameter, pooling, postgres_options};

const CERTIFICATE_FILES: &[&str] = &["sslrootcert", "sslcert", "sslkey"];
const ENCODING: &str = "UTF8";

/// The socket of a server, if it has one, and its address for messages.
fn address(options: &PgConnectOptions) -> (Option<PathBuf>, String) {
    let (host, port) = (options.get_host(), options.get_port());
    let directory = options.get_socket().map(PathBuf::as_path);
    match directory.or_else(|| host.starts_with('/').then(|| Path::new(host))) {
        Some(directory) => {
            let socket = directory.join(format!(".s.PGSQL.{port}"));
            let shown = format!("the socket {}", socket.display());
            (Some(socket), shown)
        }
        None if host.contains(':') => (None, format!("[{host}]:{port}")),
        None => (None, format!("{host}:{port}")),
    }
}

/// Connects, and checks the database's encoding and that no pooler loses prepared statements.
pub(super) async fn check(url: &str, settings: &DatabaseSettings) -> Result<(), String> {
    let options = postgres_options(url, settings).map_err(|_| "its address can't be read".to_owned())?;
    check_certificate_files(url)?;
    let (socket, address) = address(&options);
    match socket {
        Some(socket) if !socket.exists() => {
            return Err(format!(
                "{address} doesn't exist: start the server, or name its directory as host"
            ));
        }
        Some(_) => {}
        None => drop(resolve_host(options.get_host(), options.get_port()).await?),
    }
    let seconds = settings.acquire_timeout_seconds;
    match timeout(Duration::from_secs(seconds), connect(&options, &address)).await {
        Ok(connected) => connected?,
        Err(_) => {
            return Err(format!(
                "{address} doesn't answer within {seconds} s: check the host, the port and firewalls in between"
            ));
        }
    }
    refuse_lost_statements(url, settings).await
}

/// Fails if a pooler loses prepared statements: a connection could then run the statement that another one has prepared
/// under the same name.
async fn refuse_lost_statements(url: &str, settings: &DatabaseSettings) -> Result<(), String> {
    if !caches_statements(url) {
        return Ok(());
    }
    let limit = Duration::from_secs(settings.acquire_timeout_seconds);
    match timeout(limit, pooling(url, settings)).await {
        Ok(Ok(Pooling::UnpreparedTransactions)) => Err(LOST_STATEMENT.to_owned()),
        Ok(Ok(Pooling::Sessions | Pooling::Transactions)) => Ok(()),
        Ok(Err(_)) | Err(_) => {
            tracing::warn!(
                "two more connections got no answer: a pooler that loses prepared statements goes unnoticed"
            );
            Ok(())
        }
    }
}

/// The parameters of an address that name files, with the files.
pub(in crate::cli) fn certificate_files(url: &str) -> Result<Vec<(String, String)>, String> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let parameters = Url::parse(&format!("query:?{query}")).map_err(|_| "its address can't be read".to_owned())?;
    let named = parameters.query_pairs().into_owned();
    Ok(named
        .filter(|(name, _)| CERTIFICATE_FILES.contains(&parameter(name)))
        .collect())
}

fn check_certificate_files(url: &str) -> Result<(), String> {
    for (name, file) in certificate_files(url)? {
        if let Err(error) = File::open(&file) {
            return Err(match is_path(&file) {
                true => format!("{name} names the file {file}, which can't be read: {error}"),
                false => format!("the file that {name} names can't be read: {error}"),
            });
        }
    }
    Ok(())
}

async fn connect(options: &PgConnectOptions, address: &str) -> Result<(), String> {
    let mut connection = options
        .connect()
        .await
        .map_err(|error| explain(&error, options, address))?;
    // Not prepared: a pooler may lose it.
    let encoding = sqlx::raw_sql("SHOW server_encoding").fetch_one(&mut connection);
    let encoding = encoding.await.and_then(|row| row.try_get::<String, _>(0));
    let _ = connection.close().await;
    match encoding.map_err(|error| explain(&error, options, address))? {
        encoding if encoding == ENCODING => Ok(()),
        encoding => Err(format!(
            "its encoding is {encoding}, and must be {ENCODING}: create one with CREATE DATABASE … ENCODING 'UTF8' \
             TEMPLATE template0"
        )),
    }
}

/// SQLSTATEs are at <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn explain(error: &sqlx::Error, options: &PgConnectOptions, address: &str) -> String {
    match error {
        sqlx::Error::Database(error) => {
            let (message, role) = (error.message(), options.get_username());
            match error.code().as_deref() {
                Some("28P01") => format!("the server refuses the password of the role {role}: correct it"),
                Some("28000") => {
                    format!("the server refuses the role {role} ({message}): check the role and pg_hba.conf")
                }
                Some("3D000") => format!("{message}: create it, or name another"),
                Some("53300") => format!(
                    "the server has no connection free ({message}): raise its max_connections, or lower \
                     database.max_connections"
                ),
                Some("08P01") => explain_pooler(message, role),
                Some("57P03") => format!("the server isn't ready ({message}): try again"),
                _ => message.to_owned(),
            }
        }
        sqlx::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
            format!("{address} refuses connections: start the server, or correct the host and the port")
        }
        // The driver verifies certificates while it reads.
        sqlx::Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            format!("TLS with {address} fails ({error}): check sslmode and sslrootcert")
        }
        sqlx::Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            format!("{address} closes the connection: it isn't a PostgreSQL server, or doesn't accept this address")
        }
        sqlx::Error::Io(error) => format!("the connection to {address} fails: {error}"),
        sqlx::Error::Tls(error) if error.to_string() == "server does not support TLS" => format!(
            "{address} has no TLS, which sslmode={} needs: turn it on there (ssl = on), or choose another sslmode",
            mode(options)
        ),
        sqlx::Error::Tls(error) => format!("TLS with {address} fails: {error}"),
        sqlx::Error::Configuration(error) => format!("its certificate or key can't be used: {error}"),
        sqlx::Error::Protocol(_) => format!("{address} isn't a PostgreSQL server: correct the host and the port"),
        _ => format!("the connection to {address} fails"),
    }
}

/// PgBouncer has one code for all its errors.
fn explain_pooler(message: &str, role: &str) -> String {
    let advice = [
        (
            "SASL authentication failed",
            "correct the password, or add the role to auth_file of the pooler",
        ),
        ("no such user", "add the role to auth_file of the pooler"),
        (
            "unsupported startup parameter",
            "set ignore_startup_parameters = options,extra_float_digits in the pooler",
        ),
        ("max_client_conn", "raise max_client_conn of the pooler"),
        (
            "server_login_retry",
            "the pooler can't log in at the database; its log has the reason",
        ),
    ];
    match advice.iter().find(|(part, _)| message.contains(part)) {
        Some((_, advice)) => format!("a pooler refuses the role {role} ({message}): {advice}"),
        None => message.to_owned(),
    }
}

fn mode(options: &PgConnectOptions) -> &'static str {
    use sqlx::postgres::PgSslMode;
    match options.get_ssl_mode() {
        PgSslMode::VerifyCa => "verify-ca",
        PgSslMode::VerifyFull => "verify-full",
        _ => "require",
    }
}

/// The reason why a statement failed during the start.
pub(in crate::cli) fn explain_statement(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(error) if error.code().as_deref() == Some("42501") => {
            format!(
                "{}: grant the right to the role, or run `clientele migrate` as another",
                error.message()
            )
        }
        Some(error) => error.message().to_owned(),
        None => "the server's answer can't be read: look at its log".to_owned(),
    }
}
