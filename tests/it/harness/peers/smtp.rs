//! A mail server that fails on request and records every accepted message.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use clientele::delivery::settings::{EmailSettings, EmailTransport, Encryption};
use clientele::secret::Secret;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::{Book, Certificate, PATIENCE, Stream, locked};

mod conversation;

use conversation::Conversation;

/// The server's behaviour for the next connection or message.
#[derive(Clone, Debug)]
pub enum Mailing {
    Accept,
    /// Greets with this line and hangs up: `421 too busy`, `554 go away`.
    Greet(&'static str),
    /// Sends nothing more at this stage and keeps the connection open.
    Hang(Stage),
    /// Says this instead of yes: `451 later`, `550 no such mailbox`. After a 421 it hangs up.
    Answer(Stage, &'static str),
    /// Hangs up where the last answer would be. The message is recorded or not.
    Drop {
        stored: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Greeting,
    Sender,
    Recipient,
    /// The DATA command, before the message.
    Data,
    /// The end of the message.
    Message,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    #[default]
    None,
    /// Offers STARTTLS.
    Starttls,
    /// Encrypted from the first byte.
    Tls,
}

/// The server's configuration.
#[derive(Clone, Debug, Default)]
pub struct SmtpOptions {
    pub security: Security,
    /// The accepted user and password; None: AUTH is not offered.
    pub credentials: Option<(&'static str, &'static str)>,
    /// Offers AUTH LOGIN only, instead of PLAIN and LOGIN.
    pub login_only: bool,
    /// Accepts addresses beyond ASCII.
    pub utf8: bool,
}

/// A message that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailed {
    pub from: String,
    pub to: Vec<String>,
    /// As sent, without the dots of the transport.
    pub data: String,
    pub encrypted: bool,
    /// The authenticated user.
    pub user: Option<String>,
}

/// A mail server on a port of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct SmtpPeer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    book: Book<Mailing, Mailed>,
    options: SmtpOptions,
    certificate: Certificate,
}

impl SmtpPeer {
    /// A server without encryption and credentials.
    pub async fn start(behaviour: Mailing) -> Self {
        Self::with(SmtpOptions::default(), behaviour).await
    }

    pub async fn with(options: SmtpOptions, behaviour: Mailing) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            book: Book::new(behaviour),
            options,
            certificate: Certificate::new(),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// The settings of a client of this server, with a timeout of 5 s.
    pub fn settings(&self) -> EmailSettings {
        let options = &self.shared.options;
        let (username, password) = options.credentials.unwrap_or_default();
        EmailSettings {
            transport: EmailTransport::Smtp,
            from: "Bank <service@bank.test>".into(),
            host: "localhost".into(),
            port: Some(self.address.port()),
            encryption: match options.security {
                Security::None => Encryption::None,
                Security::Starttls => Encryption::Starttls,
                Security::Tls => Encryption::Tls,
            },
            username: username.into(),
            password: Secret::new(password),
            ca_file: Some(self.shared.certificate.authority().to_owned()),
            hello_name: "clientele.test".into(),
            timeout_seconds: 5,
            ..EmailSettings::default()
        }
    }

    /// From now on, for every connection and message.
    pub fn set(&self, behaviour: Mailing) {
        self.shared.book.set(behaviour);
    }

    /// Each once, in this order, before what was set.
    pub fn once(&self, behaviours: impl IntoIterator<Item = Mailing>) {
        self.shared.book.once(behaviours);
    }

    /// Every message accepted so far.
    pub fn messages(&self) -> Vec<Mailed> {
        self.shared.book.all()
    }

    /// The message of this number, from 0, as soon as it is there.
    pub async fn message(&self, index: usize) -> Mailed {
        self.shared.book.nth(index).await
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        *self.shared.book.connections.borrow()
    }

    /// Returns when there have been `count` connections.
    pub async fn connected(&self, count: usize) {
        let mut connections = self.shared.book.connections.subscribe();
        let waiting = connections.wait_for(|&found| found >= count);
        let arrived = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(arrived, "no connection arrives");
    }

    /// Ends every open connection, as servers do with idle ones.
    pub fn hang_up(&self) {
        self.shared.book.hang_ups.send_modify(|count| *count += 1);
    }
}

impl Drop for SmtpPeer {
    fn drop(&mut self) {
        self.accepting.abort();
        self.hang_up();
        locked(&self.shared.book.script).once.clear();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        shared.book.connections.send_modify(|count| *count += 1);
        let shared = shared.clone();
        tokio::spawn(async move {
            let mut hang_ups = shared.book.hang_ups.subscribe();
            let talking = pin!(talk(stream, &shared));
            tokio::select! {
                _ = talking => {}
                _ = hang_ups.changed() => {}
            }
        });
    }
}

/// None when either side closes the connection.
async fn talk(stream: TcpStream, shared: &Shared) -> Option<()> {
    let acceptor = TlsAcceptor::from(shared.certificate.config());
    let mut conversation = match shared.options.security {
        Security::Tls => Conversation::new(Box::new(acceptor.accept(stream).await.ok()?), true, shared),
        Security::None | Security::Starttls => Conversation::new(Box::new(stream), false, shared),
    };
    conversation.greet().await?;
    while conversation.run().await? == conversation::Next::Encrypt {
        let stream = conversation.into_stream();
        conversation = Conversation::new(Box::new(acceptor.accept(stream).await.ok()?), true, shared);
    }
    Some(())
}
