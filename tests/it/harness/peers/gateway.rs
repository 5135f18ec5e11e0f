//! An SMS gateway that fails on request and records every request. It speaks a minimal HTTP/1.1 so that it can break
//! it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::SystemTime;

use clientele::delivery::settings::{SmsSettings, SmsTransport};
use clientele::secret::Secret;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::{Book, Certificate, Stream, locked};

/// The gateway's behaviour for the next request, which is recorded in any case.
#[derive(Clone, Debug)]
pub enum Answering {
    /// 201 with `{"sid": "SM17", "status": "queued"}`.
    Accept,
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Sends nothing and keeps the connection open.
    Hang,
    /// Hangs up instead of an answer.
    Drop,
}

impl Answering {
    pub fn status(status: u16) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }
}

/// A request that has come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// As in `POST /send HTTP/1.1`.
    pub line: String,
    /// Names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// A gateway on a port of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct GatewayPeer {
    pub address: SocketAddr,
    book: Arc<Book<Answering, Submitted>>,
    accepting: JoinHandle<()>,
    certificate: Option<Arc<Certificate>>,
}

impl GatewayPeer {
    pub async fn start(behaviour: Answering) -> Self {
        Self::with(None, behaviour).await
    }

    /// By https.
    pub async fn encrypted(behaviour: Answering) -> Self {
        Self::with(Some(Arc::new(Certificate::new())), behaviour).await
    }

    async fn with(certificate: Option<Arc<Certificate>>, behaviour: Answering) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let book = Arc::new(Book::new(behaviour));
        let accepting = tokio::spawn(accept(listener, certificate.clone(), book.clone()));
        Self {
            address,
            book,
            accepting,
            certificate,
        }
    }

    /// The settings of a client of this gateway: user ana, password hunter2, US numbers, a timeout of 5 s.
    pub fn settings(&self) -> SmsSettings {
        SmsSettings {
            transport: SmsTransport::Http,
            url: match self.certificate {
                None => format!("http://{}/send", self.address),
                Some(_) => format!("https://localhost:{}/send", self.address.port()),
            },
            username: "ana".into(),
            password: Secret::new("hunter2"),
            from: "+15550001111".into(),
            default_region: "US".into(),
            ca_file: self
                .certificate
                .as_ref()
                .map(|certificate| certificate.authority().to_owned()),
            timeout_seconds: 5,
            ..SmsSettings::default()
        }
    }

    /// From now on, for every request.
    pub fn set(&self, behaviour: Answering) {
        self.book.set(behaviour);
    }

    /// Each once, in this order, before what was set.
    pub fn once(&self, behaviours: impl IntoIterator<Item = Answering>) {
        self.book.once(behaviours);
    }

    /// Every request so far.
    pub fn messages(&self) -> Vec<Submitted> {
        self.book.all()
    }

    /// The time at which each of them arrived.
    pub fn arrivals(&self) -> Vec<SystemTime> {
        locked(&self.book.arrivals).clone()
    }

    /// The request of this number, from 0, as soon as it is there.
    pub async fn message(&self, index: usize) -> Submitted {
        self.book.nth(index).await
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        *self.book.connections.borrow()
    }
}

impl Submitted {
    /// The form's fields in their order.
    pub fn form(&self) -> Vec<(String, String)> {
        let url = reqwest::Url::parse(&format!("http://peer.test/?{}", self.body)).expect("a form");
        url.query_pairs().into_owned().collect()
    }
}

impl Drop for GatewayPeer {
    fn drop(&mut self) {
        self.accepting.abort();
        self.book.hang_ups.send_modify(|count| *count += 1);
    }
}

async fn accept(listener: TcpListener, certificate: Option<Arc<Certificate>>, book: Arc<Book<Answering, Submitted>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        book.connections.send_modify(|count| *count += 1);
        let (book, certificate) = (book.clone(), certificate.clone());
        tokio::spawn(async move {
            let mut hang_ups = book.hang_ups.subscribe();
            let serving = pin!(talk(stream, certificate, &book));
            tokio::select! {
                _ = serving => {}
                _ = hang_ups.changed() => {}
            }
        });
    }
}

async fn talk(
    stream: TcpStream,
    certificate: Option<Arc<Certificate>>,
    book: &Book<Answering, Submitted>,
) -> Option<()> {
    let stream: Box<dyn Stream> = match certificate {
        None => Box::new(stream),
        Some(certificate) => Box::new(TlsAcceptor::from(certificate.config()).accept(stream).await.ok()?),
    };
    serve(BufReader::new(stream), book).await
}

/// Serves one request after the other. None when either side closes the connection.
async fn serve(mut stream: BufReader<Box<dyn Stream>>, book: &Book<Answering, Submitted>) -> Option<()> {
    loop {
        book.record(request(&mut stream).await?);
        let (status, headers, body) = match book.next(|_| true)? {
            Answering::Accept => (201, Vec::new(), r#"{"sid": "SM17", "status": "queued"}"#.to_owned()),
            Answering::Answer { status, headers, body } => (status, headers, body),
            Answering::Hang => std::future::pending().await,
            Answering::Drop => return None,
        };
        let mut head = format!("HTTP/1.1 {status} set\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
    }
}

async fn request(stream: &mut BufReader<Box<dyn Stream>>) -> Option<Submitted> {
    let line = line(stream).await?;
    let mut headers = BTreeMap::new();
    loop {
        let header = self::line(stream).await?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let body = String::from_utf8(body).ok()?;
    Some(Submitted { line, headers, body })
}

async fn line(stream: &mut BufReader<Box<dyn Stream>>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}
