//! One connection from its first byte to its last: TLS where there is a certificate, HTTP/1.1 or HTTP/2, and its end.
//!
//! Unencrypted HTTP/2 works for callers with prior knowledge, such as proxies, with the same limits.

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
    Application, HttpSettings,
    activity::Activity,
    admission::Admission,
    headers, host, proxy,
    report::Reason,
    tls::Certificates,
    tracked_body::{Streams, TrackedBody},
    unread_body::UnreadBody,
    watched::Watched,
};

const CLOSE: HeaderValue = HeaderValue::from_static("close");
/// The time for the graceful end of an idle connection.
const GOODBYE: Duration = Duration::from_secs(1);
/// hyper keeps as many headers on the stack; another number costs an allocation a request.
const HEADERS_FOR_FREE: usize = 100;
/// The bytes that an HTTP/2 connection may send before they are read, in all and for each request: a bound on memory.
const CONNECTION_WINDOW: u32 = 256 * 1024;
const STREAM_WINDOW: u32 = 64 * 1024;
/// The bytes of each response that hyper buffers over HTTP/2.
const BUFFER: usize = 64 * 1024;
/// Requests that are reset before they are accepted, and responses to wrong frames. [`http2_flood`](super::http2_flood)
/// limits the other frames.
const RESETS_UNSEEN: usize = 20;
const WRONG_FRAMES: usize = 100;

/// Serves connections.
pub struct Connections<A: Application> {
    pub settings: Arc<HttpSettings>,
    pub certificates: Option<Certificates>,
    pub admission: Admission<A>,
    pub builder: Builder<Streams>,
    pub router: TowerToHyperService<Router>,
    /// True once callers should open their next connections elsewhere.
    pub ending: Option<watch::Receiver<bool>>,
    pub application: A,
}

impl<A: Application> Connections<A> {
    /// Serves one connection to its end, which comes soon after `stop` becomes true, or until it is upgraded to another
    /// protocol. Holds `permit` as long as the connection is open.
    pub async fn serve<P: Send + Unpin + 'static>(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        stop: watch::Receiver<bool>,
        permit: P,
    ) {
        // Small answers must not wait for the acknowledgement of earlier ones.
        let _ = stream.set_nodelay(true);
        let Some(certificates) = &self.certificates else {
            return self.speak(stream, peer, stop, permit).await;
        };
        let mut stopped = stop.clone();
        let handshake = timeout(self.settings.handshake_timeout, certificates.acceptor().accept(stream));
        let stream = tokio::select! {
            shaken = handshake => match shaken {
                Ok(Ok(stream)) => stream,
                // Any caller can cause this, so that it is counted and not logged.
                _ => return self.application.refused(Reason::TlsHandshake),
            },
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        self.speak(stream, peer, stop, permit).await;
    }

    /// Ends an HTTP/1.1 connection with this response once callers should open their next connections elsewhere.
    fn ask_to_leave<B>(&self, version: Version, response: &mut Response<B>) {
        if version < Version::HTTP_2 && self.ending.as_ref().is_some_and(|ending| *ending.borrow()) {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
    }

    async fn speak<S, P>(self: &Arc<Self>, stream: S, peer: SocketAddr, mut stop: watch::Receiver<bool>, permit: P)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        P: Send + Unpin + 'static,
    {
        let activity = Activity::new(self.settings.trusts(peer.ip()));
        let service = Answering {
            connections: self.clone(),
            peer,
            activity: activity.clone(),
        };
        let io = TokioIo::new(Watched::new(stream, activity.clone(), permit));
        let mut connection = pin!(self.builder.serve_connection_with_upgrades(io, service));
        let goodbye = tokio::select! {
            ended = connection.as_mut() => {
                if let Some(reason) = ended.err().and_then(|error| refused_by_parser(&*error)) {
                    self.application.refused(reason);
                }
                return;
            }
            _ = stop.wait_for(|stop| *stop) => Duration::MAX,
            reason = activity.ended(&self.settings) => match reason {
                Some(reason) => return self.application.refused(reason),
                None => GOODBYE,
            },
        };
        connection.as_mut().graceful_shutdown();
        let _ = timeout(goodbye, connection).await;
    }
}

pub fn builder(settings: &HttpSettings) -> Builder<Streams> {
    let mut builder = Builder::new(Streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        // hyper would count the idle time before a request as well; `Activity` distinguishes the two.
        .header_read_timeout(None)
        // A head must fit; bodies pass through in pieces.
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

/// Answers the requests of one connection: with the router, unless they are refused before it.
struct Answering<A: Application> {
    connections: Arc<Connections<A>>,
    peer: SocketAddr,
    activity: Activity,
}

impl<A: Application> Service<Request<Incoming>> for Answering<A> {
    type Response = Response<TrackedBody>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let connections = &self.connections;
        let version = request.version();
        let mut request = request.map(|body| UnreadBody::new(body, version));
        let running = self.activity.request(request.body().size_hint().exact());
        let settled = host::settle(&mut request);
        let Some(running) = running.filter(|_| settled) else {
            connections.application.refused(Reason::Malformed);
            return Box::pin(std::future::ready(Ok(refused(version))));
        };
        let address = proxy::address(self.peer.ip(), request.headers(), &connections.settings);
        if let Some(mut refused) = connections.admission.refuse_at_once(&mut request, address) {
            connections.ask_to_leave(version, &mut refused);
            // In the task of the request: over HTTP/2 a response that isn't read aborts that task only.
            return Box::pin(async move { Ok(refused.map(|body| TrackedBody::new(body, running))) });
        }
        request.extensions_mut().insert(address);
        let most = connections.settings.unsent_bytes_per_connection;
        let is_page = A::is_page(request.uri().path());
        let answer = connections.router.call(request);
        let connections = connections.clone();
        Box::pin(async move {
            // A caller that doesn't read its responses gets no others.
            running.activity().room(most).await;
            let mut answer = answer.await?;
            headers::add(answer.headers_mut(), is_page, connections.settings.is_secure());
            connections.ask_to_leave(version, &mut answer);
            running.activity().answered();
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                running.activity().upgraded();
            }
            Ok(answer.map(|body| TrackedBody::new(body, running)))
        })
    }
}

/// The reason why the parser or a check before it ended a connection. None when the caller ended it.
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
    match inner.and_then(|inner| inner.downcast_ref::<Reason>()) {
        Some(reason) => Some(*reason),
        None => refused_by_parser(error.source()?),
    }
}

/// The response that hyper itself sends to malformed heads.
fn refused(version: Version) -> Response<TrackedBody> {
    let mut refused = Response::new(TrackedBody::default());
    *refused.status_mut() = StatusCode::BAD_REQUEST;
    if version < Version::HTTP_2 {
        refused.headers_mut().insert(CONNECTION, CLOSE);
    }
    refused
}
