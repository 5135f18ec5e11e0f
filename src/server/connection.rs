//! One connection from its first byte to its last: TLS where there is a certificate, HTTP/1.1 or HTTP/2, and its end.
//!
//! HTTP/2 also comes unencrypted to whoever knows beforehand that it is spoken here (as proxies do): its limits are the
//! same.

use std::{
    error::Error,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, StatusCode, Version, header::CONNECTION},
    response::Response,
};
use hyper::{
    body::{Body, Incoming},
    service::Service,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

use super::{
    HttpSettings,
    activity::{Activity, Ended, Times},
    admission::Admission,
    frames::Flood,
    host,
    http1_framing::UnsoundFraming,
    pieces::{Pieces, Streams},
    proxy,
    tls::Certificates,
    watched::Watched,
};
use crate::api::{metrics::ApiMetrics, report::Reason};

/// What a connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// hyper keeps as many headers on the stack; another number costs an allocation a request.
const HEADERS_FOR_FREE: usize = 100;
/// What an HTTP/2 connection may send before somebody reads it, in all and for each request: what it may make us hold.
const CONNECTION_WINDOW: u32 = 256 * 1024;
const STREAM_WINDOW: u32 = 64 * 1024;
/// What of each answer HTTP/2 may take over before it can be sent.
const BUFFER: usize = 64 * 1024;
/// Requests that are taken back before they are looked at, and answers of ours that say that a frame was wrong.
/// [`frames`] has the rest of what a connection may send that is no request.
///
/// [`frames`]: super::frames
const RESETS_UNSEEN: usize = 20;
const WRONG_FRAMES: usize = 100;

/// How all connections are served.
#[derive(Debug)]
pub struct Connections {
    pub settings: Arc<HttpSettings>,
    certificates: Option<Certificates>,
    builder: Builder<Streams>,
    admission: Admission,
    router: Router,
    pub metrics: ApiMetrics,
}

impl Connections {
    pub fn new(
        settings: Arc<HttpSettings>,
        certificates: Option<Certificates>,
        admission: Admission,
        router: Router,
        metrics: ApiMetrics,
    ) -> Self {
        let builder = builder(&settings);
        Self {
            settings,
            certificates,
            builder,
            admission,
            router,
            metrics,
        }
    }

    /// Serves one connection to its end, which comes soon after `stop` becomes true.
    pub async fn serve(&self, stream: TcpStream, peer: SocketAddr, stop: watch::Receiver<bool>) {
        // Small answers must not wait for the acknowledgement of earlier ones.
        let _ = stream.set_nodelay(true);
        let Some(certificates) = &self.certificates else {
            return self.speak(stream, peer, stop).await;
        };
        let mut stopped = stop.clone();
        let handshake = timeout(self.settings.handshake_timeout, certificates.acceptor().accept(stream));
        let stream = tokio::select! {
            shaken = handshake => match shaken {
                Ok(Ok(stream)) => stream,
                // Whoever can't do it isn't answered, and may be anybody: no reason to write a line.
                _ => return self.metrics.refused(Reason::TlsHandshake),
            },
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        self.speak(stream, peer, stop).await;
    }

    async fn speak<S>(&self, stream: S, peer: SocketAddr, mut stop: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new(self.settings.trusts(peer.ip()));
        let times = Times {
            idle: self.settings.idle_timeout,
            head: self.settings.header_timeout,
            send: self.settings.send_timeout,
        };
        let service = Answering {
            router: TowerToHyperService::new(self.router.clone()),
            admission: self.admission.clone(),
            settings: self.settings.clone(),
            peer,
            activity: activity.clone(),
            metrics: self.metrics.clone(),
        };
        let io = TokioIo::new(Watched::new(stream, activity.clone()));
        let mut connection = pin!(self.builder.serve_connection(io, service));
        // How it ends is its caller's doing, and nothing to be told of.
        let goodbye = tokio::select! {
            ended = connection.as_mut() => {
                if let Some(reason) = ended.err().and_then(|error| refused_by_parser(&*error)) {
                    self.metrics.refused(reason);
                }
                return;
            }
            _ = stop.wait_for(|stop| *stop) => Duration::MAX,
            ended = activity.ended(times) => match ended {
                Ended::AtRest => GOODBYE,
                Ended::SlowHead => return self.metrics.refused(Reason::HeaderTimeout),
                Ended::SlowTaker => return self.metrics.refused(Reason::SendTimeout),
            },
        };
        connection.as_mut().graceful_shutdown();
        let _ = timeout(goodbye, connection).await;
    }
}

pub(super) fn builder(settings: &HttpSettings) -> Builder<Streams> {
    let mut builder = Builder::new(Streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        // What it would count includes the rest before a request: `Activity` tells the two apart.
        .header_read_timeout(None)
        // A head has to fit; bodies pass through in pieces.
        .max_buf_size(settings.header_bytes as usize);
    if settings.headers != HEADERS_FOR_FREE {
        builder.http1().max_headers(settings.headers);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.streams_per_connection)
        .max_pending_accept_reset_streams(RESETS_UNSEEN)
        .max_local_error_reset_streams(WRONG_FRAMES)
        .max_header_list_size(settings.header_bytes)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_send_buf_size(BUFFER);
    builder
}

/// What answers the requests of one connection: the router, unless they are refused before.
struct Answering {
    router: TowerToHyperService<Router>,
    admission: Admission,
    settings: Arc<HttpSettings>,
    peer: SocketAddr,
    activity: Activity,
    metrics: ApiMetrics,
}

impl Service<Request<Incoming>> for Answering {
    type Response = Response<Pieces>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let running = self.activity.request(request.body().size_hint().exact());
        let settled = host::settle(&mut request);
        let Some(running) = running.filter(|_| settled) else {
            self.metrics.refused(Reason::Malformed);
            return Box::pin(std::future::ready(Ok(refused(request.version()))));
        };
        let address = proxy::address(self.peer.ip(), request.headers(), &self.settings);
        if let Some(refused) = self.admission.refuse_at_once(&mut request, address) {
            // In the request's own task: over HTTP/2 an answer that isn't taken ends that one only.
            return Box::pin(async move { Ok(refused.map(|body| Pieces::new(body, running))) });
        }
        request.extensions_mut().insert(address);
        let most = self.settings.unsent_bytes_per_connection;
        let answer = self.router.call(request);
        Box::pin(async move {
            // Whoever doesn't take what it has asked for gets nothing more.
            running.activity().room(most).await;
            let answer = answer.await?;
            running.activity().answered();
            Ok(answer.map(|body| Pieces::new(body, running)))
        })
    }
}

/// Why the parser, or what reads along with it, ended a connection; none when its caller did.
fn refused_by_parser(error: &(dyn Error + 'static)) -> Option<Reason> {
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        if error.is_parse_too_large() {
            return Some(Reason::HeaderSize);
        }
        if error.is_parse() {
            return Some(Reason::Malformed);
        }
    }
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match inner {
        Some(inner) if inner.is::<Flood>() => Some(Reason::Flood),
        Some(inner) if inner.is::<UnsoundFraming>() => Some(Reason::Malformed),
        _ => refused_by_parser(error.source()?),
    }
}

/// What the parser answers to heads that it refuses itself.
fn refused(version: Version) -> Response<Pieces> {
    let mut refused = Response::new(Pieces::default());
    *refused.status_mut() = StatusCode::BAD_REQUEST;
    if version < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        refused.headers_mut().insert(CONNECTION, close);
    }
    refused
}
