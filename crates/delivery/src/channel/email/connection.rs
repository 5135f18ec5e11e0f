//! Connections to the mail server: opens them and keeps idle ones. Knows no message.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, Certificate, Tls, TlsParameters};
use lettre::transport::smtp::commands::Rset;
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::super::super::settings::{EmailProviderSettings, Encryption};
use super::super::{Outcome, SettingsError, read_certificates, root_cause};
use super::reply::{self, Stage};
use clientele_domain::enums::Reason;

/// Servers close idle connections after minutes; a shorter limit avoids using a closed one.
const LONGEST_IDLE: Duration = Duration::from_secs(60);
/// The part of an attempt's time for connecting to one of the server's addresses, or for checking a kept connection.
const TIME_SHARE: u32 = 3;
/// The maximum length of a reply in bytes, including the overhead of encryption: a hundred times that of usual replies.
const LONGEST_REPLY: usize = 32 * 1024;

/// The mail server and the settings to reach it.
pub(super) struct Server {
    host: String,
    port: u16,
    tls: Tls,
    hello: ClientId,
    credentials: Option<Credentials>,
}

impl Server {
    /// `section` is the settings' name.
    pub(super) fn new(settings: &EmailProviderSettings, section: &str) -> Result<Self, SettingsError> {
        let hello = match settings.hello_name.as_str() {
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
        };
        let credentials = (!settings.username.is_empty())
            .then(|| Credentials::new(settings.username.clone(), settings.password.reveal().to_owned()));
        Ok(Self {
            host: settings.host.clone(),
            port: settings.port(),
            tls: match settings.encryption {
                Encryption::Starttls => Tls::Required(parameters(settings, section)?),
                Encryption::Tls => Tls::Wrapper(parameters(settings, section)?),
                Encryption::None => Tls::None,
            },
            hello,
            credentials,
        })
    }

    /// Opens a new connection, encrypted and authenticated according to the settings.
    pub(super) async fn connect(&self, limit: Duration) -> Result<AsyncSmtpConnection, Outcome> {
        let greeted = match &self.tls {
            // The library supports implicit TLS only on connections that it opened itself.
            Tls::Wrapper(parameters) => {
                let (address, tls) = ((self.host.as_str(), self.port), Some(parameters.clone()));
                AsyncSmtpConnection::connect_tokio1(address, Some(limit / TIME_SHARE), &self.hello, tls, None).await
            }
            _ => {
                let stream = Box::new(GuardedStream::new(self.connect_tcp(limit / TIME_SHARE).await?));
                AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await
            }
        };
        let mut connection = greeted.map_err(|error| reply::outcome(Stage::Greeting, &error))?;
        if let Tls::Required(parameters) = &self.tls {
            if !connection.can_starttls() {
                let detail = "the mail server doesn't offer STARTTLS".to_owned();
                return Err(reply::provider_down(Reason::Tls, Some(detail)));
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
    async fn connect_tcp(&self, limit: Duration) -> Result<TcpStream, Outcome> {
        let failed = |error: io::Error| reply::provider_down(Reason::Connection, root_cause(&error));
        let addresses = lookup_host((self.host.as_str(), self.port)).await.map_err(failed)?;
        let mut outcome = reply::provider_down(Reason::Connection, Some("the host has no address".to_owned()));
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

fn parameters(settings: &EmailProviderSettings, section: &str) -> Result<TlsParameters, SettingsError> {
    let key = &format!("{section}.ca_file");
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        let certificate = Certificate::from_pem(&read_certificates(path, key)?)
            .map_err(|error| SettingsError(format!("{key}: {error}")))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder
        .build_rustls()
        .map_err(|error| SettingsError(format!("{section}: no encryption is possible: {error}")))
}

/// Connections without a message. A connection is added only after every command on it has been answered.
pub(super) struct IdleConnections {
    connections: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
    most: usize,
}

impl IdleConnections {
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
        let answer = timeout(limit / TIME_SHARE, connection.command(Rset)).await;
        if matches!(answer, Ok(Ok(response)) if response.has_code(250)) {
            return Some(connection);
        }
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).clear();
        None
    }
}

/// Wraps the stream to a mail server and limits what the library reads from it.
///
/// Lines are passed on one at a time: bytes after the reply to STARTTLS stay here, where TLS refuses them. The library
/// would buffer them and treat them as encrypted replies. The number of bytes received between two commands is limited:
/// the library collects a reply of any length, and parses it from the start after every line.
#[derive(Debug)]
struct GuardedStream {
    tcp: TcpStream,
    /// Bytes received but not yet read.
    pending: Vec<u8>,
    /// Bytes received since the last command.
    received: usize,
}

impl GuardedStream {
    fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            pending: Vec::new(),
            received: 0,
        }
    }

    fn receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; 4096];
        let mut buffer = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.tcp).poll_read(context, &mut buffer))?;
        self.received += buffer.filled().len();
        if self.received > LONGEST_REPLY {
            return Poll::Ready(Err(io::Error::other("the answer is too long")));
        }
        self.pending.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.pending.is_empty() {
            ready!(self.receive(context))?;
        }
        let line = self.pending.iter().position(|byte| *byte == b'\n');
        let length = line.map_or(self.pending.len(), |end| end + 1).min(buffer.remaining());
        buffer.put_slice(&self.pending[..length]);
        self.pending.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.received = 0;
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

impl AsyncTokioStream for GuardedStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }
}
