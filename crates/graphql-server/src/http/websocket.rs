//! Subscriptions over a WebSocket, by the protocol `graphql-transport-ws`.
//!
//! The WebSocket of async-graphql doesn't fit: it closes with other codes than the protocol's, lets a subscription
//! replace another one with the same id, and can't carry answers that are JSON already.

pub(crate) mod message;

use std::{collections::HashMap, future::pending, sync::Arc, time::Duration};

use async_graphql::{ObjectType, SubscriptionType, parser::types::OperationType};
use axum::{
    extract::{
        FromRequest, Request,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    http::{Method, StatusCode, header},
    response::Response,
};
use futures_util::{
    StreamExt,
    future::{AbortHandle, Abortable},
    stream::{BoxStream, SelectAll},
};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use self::message::{Close, Received};
use super::{headers, media, params, refuse};
use crate::{
    answer::errors,
    context::{RequestContext, SocketContext},
    error::{Code, GraphqlError, RequestError},
    http::params::Requests,
    server::GraphqlServer,
    subscription::{self, Event},
};

const PROTOCOL: &str = "graphql-transport-ws";
/// The time in which `connection_init` must arrive, and its caller be accepted.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval of pings. A caller that sends nothing for two of them is gone.
const HEARTBEAT: Duration = Duration::from_secs(12);
/// The time in which the caller must take a message.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// The time for the exchange of close frames.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of a message. It also bounds the memory of sockets whose callers are unknown.
const LARGEST_MESSAGE: usize = 64 * 1024;
/// Bytes read at once, which each socket keeps.
const READ_BUFFER: usize = 2 * 1024;
/// The shortest interval between the subscriptions of one socket, after a burst at this interval for this time.
const SUBSCRIPTION_INTERVAL: Duration = Duration::from_millis(10);
const SUBSCRIPTION_BURST: Duration = Duration::from_secs(1);
/// Open subscriptions of one socket.
const MOST_SUBSCRIPTIONS: usize = 100;

/// Returns true for a request to open a WebSocket.
pub fn is_websocket(request: &Request) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    request.method() == Method::GET && upgrade.is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Opens a WebSocket, and serves it in a task of its own.
pub async fn open<Q, M, S, C>(server: Arc<GraphqlServer<Q, M, S>>, context: C, request: Request) -> Response
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
    C: SocketContext,
{
    let request_headers = request.headers().clone();
    let refused = |status, code, message: &'static str| {
        let error = GraphqlError::new(code, message);
        refuse(error, Some(status), media(&request_headers), context.request_id())
    };
    if !context.is_trusted_origin() && headers::is_cross_site(&request_headers) {
        let message = "A page of another site can't open a WebSocket unless its origin is in the setting \
                       cors.allowed_origins.";
        return refused(StatusCode::FORBIDDEN, Code::Forbidden, message);
    }
    let Ok(upgrade) = WebSocketUpgrade::from_request(request, &()).await else {
        let message = "This isn't a valid request to open a WebSocket.";
        return refused(StatusCode::BAD_REQUEST, Code::BadRequest, message);
    };
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(LARGEST_MESSAGE)
        .max_frame_size(LARGEST_MESSAGE)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .on_upgrade(async move |mut socket| {
            let stopping = context.stopping();
            let served = tokio::select! {
                served = serve(&mut socket, server, context) => served,
                () = stopping => Err(Close::new(1001, "The server stops: connect again")),
            };
            end(socket, served.err()).await;
        })
}

/// Serves a socket. An error closes it; without one, the caller has closed it or is gone.
async fn serve<Q, M, S, C>(socket: &mut WebSocket, server: Arc<GraphqlServer<Q, M, S>>, context: C) -> Result<(), Close>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
    C: SocketContext,
{
    if socket.protocol().is_none() {
        return Err(Close::new(4406, "Subprotocol not acceptable: use graphql-transport-ws"));
    }
    // Boxed, here and below, so that an idle socket doesn't keep the memory of what runs rarely.
    let connected = timeout(INIT_TIMEOUT, Box::pin(connect(socket, context))).await;
    let Some(context) = connected.map_err(|_| Close::new(4408, "Connection initialisation timeout"))?? else {
        return Ok(());
    };
    send(socket, "{\"type\":\"connection_ack\"}".into()).await?;
    let ended = context.ended();
    let subscriptions = Subscriptions {
        server,
        context,
        events: SelectAll::new(),
        open: HashMap::new(),
        next_due: Instant::now(),
    };
    tokio::select! {
        served = subscriptions.serve(socket) => served,
        error = ended => Err(Close::of(&error)),
    }
}

/// Waits for `connection_init` and accepts its caller. None if the caller goes away.
async fn connect<C: SocketContext>(socket: &mut WebSocket, context: C) -> Result<Option<Arc<C::Context>>, Close> {
    loop {
        match receive(socket).await? {
            None => return Ok(None),
            Some(Received::Other) => {}
            Some(Received::Ping(pong)) => send(socket, pong).await?,
            Some(Received::Init(payload)) => {
                let connected = context.connect(payload).await.map_err(|error| Close::of(&error))?;
                return Ok(Some(Arc::new(connected)));
            }
            Some(Received::Subscribe { .. } | Received::Complete(_)) => return Err(Close::new(4401, "Unauthorized")),
        }
    }
}

/// The subscriptions of one socket.
struct Subscriptions<Q, M, S, C> {
    server: Arc<GraphqlServer<Q, M, S>>,
    context: Arc<C>,
    events: SelectAll<BoxStream<'static, (Arc<str>, Event)>>,
    open: HashMap<Arc<str>, AbortHandle>,
    /// The time at which another subscription is due, if they come at the highest rate.
    next_due: Instant,
}

impl<Q, M, S, C> Subscriptions<Q, M, S, C>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
    C: RequestContext,
{
    async fn serve(mut self, socket: &mut WebSocket) -> Result<(), Close> {
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silent_for = 0;
        loop {
            tokio::select! {
                received = receive(socket) => {
                    silent_for = 0;
                    match received? {
                        None => return Ok(()),
                        Some(Received::Other) => {}
                        Some(Received::Ping(pong)) => send(socket, pong).await?,
                        Some(Received::Init(_)) => return Err(Close::new(4429, "Too many initialisation requests")),
                        Some(Received::Complete(id)) => self.complete(&id),
                        Some(Received::Subscribe { id, payload }) => {
                            let begun = Box::pin(self.subscribe(&id, payload.get().as_bytes()));
                            if let Err(refusal) = begun.await? {
                                send(socket, self.error(&id, &refusal)).await?;
                            }
                        }
                    }
                }
                Some((id, event)) = self.events.next() => self.pass_on(socket, &id, event).await?,
                _ = heartbeat.tick() => {
                    silent_for += 1;
                    if silent_for > 2 {
                        return Ok(());
                    }
                    pass(socket, Message::Ping(Default::default())).await?;
                }
            }
        }
    }

    /// Begins a subscription, later if they come too fast. The outer error closes the socket.
    async fn subscribe(&mut self, id: &str, payload: &[u8]) -> Result<Result<(), RequestError>, Close> {
        if self.open.contains_key(id) {
            return Err(Close::new(4409, &format!("Subscriber for {id} already exists")));
        }
        if self.open.len() >= MOST_SUBSCRIPTIONS {
            let message = format!("A socket can have at most {MOST_SUBSCRIPTIONS} subscriptions.");
            return Ok(Err(GraphqlError::new(Code::RateLimited, message).into()));
        }
        self.next_due = self.next_due.max(Instant::now()) + SUBSCRIPTION_INTERVAL;
        sleep_until(self.next_due - SUBSCRIPTION_BURST).await;
        let (server, context) = (&self.server, &*self.context);
        let begun = async {
            let requests = params::from_body(payload, server.settings().body_values, false);
            let Requests::Single(params) = requests.map_err(RequestError::bad_request)? else {
                let message = "The payload must be one request.";
                return Err(GraphqlError::new(Code::BadRequest, message).into());
            };
            let query = server.persisted.text(params.document, true)?;
            let name = params.operation_name.as_deref();
            let prepared = server.prepare(&query, name, params.variables, context).await?;
            if prepared.operation_type() != OperationType::Subscription {
                let message = "A WebSocket takes subscriptions only: send queries and mutations by POST.";
                return Err(GraphqlError::new(Code::BadRequest, message).into());
            }
            subscription::begin(server, context, prepared, Box::pin(pending()))
        };
        match begun.await {
            Ok(events) => {
                let id: Arc<str> = id.into();
                let (abort, registration) = AbortHandle::new_pair();
                self.open.insert(id.clone(), abort);
                let events = events.map(move |event| (id.clone(), event));
                self.events.push(Abortable::new(events, registration).boxed());
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// The caller has ended a subscription.
    fn complete(&mut self, id: &str) {
        if let Some(abort) = self.open.remove(id) {
            abort.abort();
        }
    }

    async fn pass_on(&mut self, socket: &mut WebSocket, id: &str, event: Event) -> Result<(), Close> {
        if !matches!(event, Event::Next(_)) {
            self.open.remove(id);
        }
        match event {
            Event::Next(answer) => send(socket, message::with_payload("next", id, &answer.body)).await,
            Event::Complete => send(socket, message::complete(id)).await,
            Event::Failed(error) => send(socket, self.error(id, &error)).await,
            Event::Ended(error) => send(socket, self.error(id, &error.into())).await,
        }
    }

    fn error(&self, id: &str, error: &RequestError) -> Utf8Bytes {
        message::with_payload("error", id, &errors(error, self.context.request_id()))
    }
}

/// Waits for a message. None if the caller has closed the socket or is gone.
async fn receive(socket: &mut WebSocket) -> Result<Option<Received>, Close> {
    match socket.recv().await {
        Some(Ok(Message::Text(text))) => Received::read(&text).map(Some),
        Some(Ok(Message::Binary(_))) => Err(Close::new(4400, "Messages must be text")),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Some(Received::Other)),
        Some(Ok(Message::Close(_))) | None => Ok(None),
        Some(Err(error)) => match Close::of_frame(error) {
            Some(close) => Err(close),
            None => Ok(None),
        },
    }
}

async fn send(socket: &mut WebSocket, text: Utf8Bytes) -> Result<(), Close> {
    pass(socket, Message::Text(text)).await
}

/// Sends a message. A caller who doesn't take it in time reads too slowly.
async fn pass(socket: &mut WebSocket, message: Message) -> Result<(), Close> {
    match timeout(SEND_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        // The caller is gone.
        Ok(Err(_)) => Err(Close::new(1001, "")),
        Err(_) => Err(Close::new(
            1013,
            "Messages come faster than you read them: connect again",
        )),
    }
}

/// Closes the socket, or answers that the caller has closed it, and waits briefly for the end.
async fn end(mut socket: WebSocket, close: Option<Close>) {
    let closed = async {
        if let Some(Close { code, reason }) = close {
            let frame = CloseFrame {
                code,
                reason: reason.into(),
            };
            socket.send(Message::Close(Some(frame))).await?;
        }
        while socket.recv().await.transpose()?.is_some() {}
        Ok::<_, axum::Error>(())
    };
    let _ = timeout(CLOSE_TIMEOUT, closed).await;
}
