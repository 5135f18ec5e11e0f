//! Connections to the mail server: opens them and keeps idle ones. Knows no message.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::Rset;
use lettre::transport::smtp::extension::ClientId;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::super::super::settings::{EmailSettings, Encryption};
use super::super::{Outcome, SettingsError, trust, words};
use super::reply::{self, Stage};
use super::stream::Guarded;
use clientele_domain::enums::Reason;

/// Servers close idle connections after minutes; a shorter limit avoids using a closed one.
const LONGEST_IDLE: Duration = Duration::from_secs(60);
/// The part of an attempt's time for connecting to one of the server's addresses, or for checking a kept connection.
const SHARE: u32 = 3;

/// The mail server and the settings to reach it.
pub(super) struct Server {
    host: String,
    port: u16,
    security: Security,
    hello: ClientId,
    credentials: Option<Credentials>,
}

enum Security {
    Starttls(TlsParameters),
    Tls(TlsParameters),
    None,
}

impl Server {
    pub(super) fn new(settings: &EmailSettings) -> Result<Self, SettingsError> {
        let hello = match settings.hello_name.as_str() {
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
        };
        let credentials = (!settings.username.is_empty())
            .then(|| Credentials::new(settings.username.clone(), settings.password.reveal().to_owned()));
        Ok(Self {
            host: settings.host.clone(),
            port: settings.port(),
            security: match settings.encryption {
                Encryption::Starttls => Security::Starttls(parameters(settings)?),
                Encryption::Tls => Security::Tls(parameters(settings)?),
                Encryption::None => Security::None,
            },
            hello,
            credentials,
        })
    }

    /// Opens a new connection, encrypted and authenticated according to the settings.
    pub(super) async fn connect(&self, limit: Duration) -> Result<AsyncSmtpConnection, Outcome> {
        let greeted = match &self.security {
            // The library supports implicit TLS only on connections that it opened itself.
            Security::Tls(parameters) => {
                let (address, tls) = ((self.host.as_str(), self.port), Some(parameters.clone()));
                AsyncSmtpConnection::connect_tokio1(address, Some(limit / SHARE), &self.hello, tls, None).await
            }
            Security::Starttls(_) | Security::None => {
                let stream = Box::new(Guarded::new(self.reach(limit / SHARE).await?));
                AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await
            }
        };
        let mut connection = greeted.map_err(|error| reply::outcome(Stage::Greeting, &error))?;
        if let Security::Starttls(parameters) = &self.security {
            if !connection.can_starttls() {
                let detail = "the mail server doesn't offer STARTTLS".to_owned();
                return Err(reply::down(Reason::Tls, Some(detail)));
            }
            connection
                .starttls(parameters.clone(), &self.hello)
                .await
                .map_err(|error| reply::outcome(Stage::Encryption, &error))?;
        }
        if let Some(credentials) = &self.credentials {
            connection
                .auth(DEFAULT_MECHANISMS, credentials)
                .await
                .map_err(|error| reply::outcome(Stage::Authentication, &error))?;
        }
        Ok(connection)
    }

    /// Connects to the first of the server's addresses that answers, each within `limit`.
    async fn reach(&self, limit: Duration) -> Result<TcpStream, Outcome> {
        let failed = |error: io::Error| reply::down(Reason::Connection, words::cause(&error));
        let addresses = lookup_host((self.host.as_str(), self.port)).await.map_err(failed)?;
        let mut outcome = reply::down(Reason::Connection, Some("the host has no address".to_owned()));
        for address in addresses {
            outcome = match timeout(limit, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // SMTP commands are small, so Nagle's algorithm would only delay them.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => failed(error),
                Err(_) => reply::timeout(limit),
            };
        }
        Err(outcome)
    }
}

fn parameters(settings: &EmailSettings) -> Result<TlsParameters, SettingsError> {
    let key = "notifications.email.ca_file";
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        let certificate =
            Certificate::from_pem(&trust::pem(path, key)?).map_err(|error| SettingsError(format!("{key}: {error}")))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder
        .build_rustls()
        .map_err(|error| SettingsError(format!("notifications.email: no encryption is possible: {error}")))
}

/// Connections without a message. A connection is added only after every command on it has been answered.
pub(super) struct Idle {
    connections: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
    most: usize,
}

impl Idle {
    pub(super) fn new(most: usize) -> Self {
        Self {
            connections: Mutex::default(),
            most,
        }
    }

    pub(super) fn keep(&self, connection: AsyncSmtpConnection) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|(_, since)| since.elapsed() < LONGEST_IDLE);
        if connections.len() < self.most {
            connections.push((connection, Instant::now()));
        }
    }

    /// Returns the most recently used connection, if it still answers. If not, the others are stale as well.
    pub(super) async fn take(&self, limit: Duration) -> Option<AsyncSmtpConnection> {
        let kept = {
            let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.retain(|(_, since)| since.elapsed() < LONGEST_IDLE);
            connections.pop()
        };
        let (mut connection, _) = kept?;
        let answer = timeout(limit / SHARE, connection.command(Rset)).await;
        if matches!(answer, Ok(Ok(response)) if response.has_code(250)) {
            return Some(connection);
        }
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).clear();
        None
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({}:{})", self.host, self.port)
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idle").field("most", &self.most).finish_non_exhaustive()
    }
}
