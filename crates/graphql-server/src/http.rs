//! GraphQL over HTTP: reads requests, and gives answers the status and headers that the protocol requires. Written by
//! hand, because status, media type, limits and errors that repeat no value of the caller depend on each other.
//!
//! All 61 audits of the npm package `graphql-http` pass; for the differences of the two media types see [`status`].

mod call;
mod event_stream;
mod headers;
pub(crate) mod params;
#[cfg(test)]
mod tests;
pub(crate) mod websocket;

use std::{panic::AssertUnwindSafe, sync::Arc};

use async_graphql::{ObjectType, SubscriptionType, parser::types::OperationType};
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::{FutureExt, StreamExt};

use self::{
    call::{Call, CostMode},
    params::Requests,
};
pub use self::{
    event_stream::is_accepted as takes_events,
    headers::Media,
    websocket::{is_websocket, open as open_websocket},
};
use crate::{
    answer::{Answer, Outcome},
    context::RequestContext,
    error::{Code, GraphqlError, RequestError, internal},
    server::{GraphqlServer, not_admitted},
    subscription,
};
use clientele_core::budget::BudgetPool;

const NO_STREAM: &str = "A subscription is answered as a stream of events: accept text/event-stream, or open a \
                         WebSocket with the subprotocol graphql-transport-ws.";

/// Answers a request within a budget from `budgets`. The [`Report`](crate::Report) of its errors is in the response's
/// extensions.
pub async fn handle<Q, M, S, C>(
    server: Arc<GraphqlServer<Q, M, S>>,
    budgets: &BudgetPool,
    context: C,
    request: Request,
) -> Response
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
    C: RequestContext,
{
    let (parts, body) = request.into_parts();
    let media = headers::negotiate(&parts.headers);
    let takes_events = event_stream::is_accepted(&parts.headers);
    let cost_mode = CostMode::of(&parts.headers);
    let call = Call {
        server,
        context: Arc::new(context),
        method: &parts.method,
        cost_mode: cost_mode.unwrap_or(CostMode::Off),
        budgets,
    };
    let answer = async {
        if media.is_none() && !takes_events {
            let message = "This address answers application/graphql-response+json, application/json and, for \
                           subscriptions, text/event-stream.";
            return Err(RequestError::http(StatusCode::NOT_ACCEPTABLE, message));
        }
        if cost_mode.is_none() {
            let message = "The header GraphQL-Cost must be report or validate.";
            return Err(RequestError::http(StatusCode::BAD_REQUEST, message));
        }
        match read(&parts, body, &call).await? {
            Requests::Single(params) => {
                let prepared = call.prepare(params).await?;
                if prepared.operation_type() == OperationType::Subscription {
                    if !takes_events {
                        return Err(RequestError::http(StatusCode::NOT_ACCEPTABLE, NO_STREAM));
                    }
                    let events = subscription::begin(&call.server, &*call.context, prepared, call.context.ended())?;
                    return Ok(event_stream::respond(events, &*call.context));
                }
                let budget = call.start(prepared.operation_type(), prepared.name())?;
                let answer = call.run(prepared, &budget).await?.charged_to(&budget);
                match media {
                    Some(media) => Ok(respond(answer, media)),
                    None => Ok(event_stream::once(answer, &*call.context)),
                }
            }
            Requests::Batch(_) if call.context.restriction().is_some() => Err(not_admitted().into()),
            Requests::Batch(all) => Ok(respond(call.batch(all).await?, media.unwrap_or(Media::Response))),
        }
    };
    // A panic is a defect, but the caller still gets an answer with the request id.
    let answer = AssertUnwindSafe(answer).catch_unwind().await;
    let answer = answer.unwrap_or_else(|_| Err(internal().into()));
    // Errors before the first event are answered as JSON, with a status.
    let unmet = if takes_events { Media::Response } else { Media::Json };
    let mut response = answer.unwrap_or_else(|error| respond(call.refused(&error), media.unwrap_or(unmet)));
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        // Only a mutation is refused by GET.
        let methods = if parts.method == Method::GET {
            "POST"
        } else {
            "GET, POST"
        };
        let methods = HeaderValue::from_static(methods);
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}

/// Checks the headers and reads the requests.
async fn read<Q, M, S, C>(parts: &Parts, body: Body, call: &Call<'_, Q, M, S, C>) -> Result<Requests, RequestError>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
    C: RequestContext,
{
    let settings = call.server.settings();
    let get = match parts.method {
        Method::GET => true,
        Method::POST => false,
        _ => {
            let message = "Send a GraphQL request by POST, or a query by GET.";
            return Err(RequestError::http(StatusCode::METHOD_NOT_ALLOWED, message));
        }
    };
    if !call.context.is_trusted_origin()
        && headers::is_cross_site(&parts.headers)
        && !headers::is_preflighted(&parts.headers)
    {
        let message = call.context.untrusted_origin_message();
        return Err(RequestError::http(StatusCode::FORBIDDEN, message));
    }
    if (!get || parts.headers.contains_key(header::CONTENT_TYPE)) && !headers::is_json(&parts.headers) {
        return Err(RequestError::http(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The content type must be application/json, in UTF-8.",
        ));
    }
    if !headers::is_identity(&parts.headers) {
        return Err(RequestError::http(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send the body without compression: drop the Content-Encoding header.",
        ));
    }
    let requests = match get {
        true => params::from_query(&parts.uri, settings.body_values).map(Requests::Single),
        false => {
            let restricted = call.context.restriction().map(|restriction| restriction.body_bytes);
            let most = restricted.map_or(settings.body_bytes, |most| most.min(settings.body_bytes));
            let bytes = bytes(&parts.headers, body, most).await?;
            params::from_body(&bytes, settings.body_values, call.server.largest_batch() > 1)
        }
    };
    requests.map_err(RequestError::bad_request)
}

async fn bytes(headers: &HeaderMap, body: Body, most: usize) -> Result<Vec<u8>, RequestError> {
    let too_large = || {
        RequestError::http(
            StatusCode::PAYLOAD_TOO_LARGE,
            "The body is larger than this server accepts.",
        )
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0));
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| RequestError::http(StatusCode::BAD_REQUEST, "The body ended early."))?;
        if bytes.len() + chunk.len() > most {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The media type of answers to a caller who sends these headers.
pub fn media(headers: &HeaderMap) -> Media {
    headers::negotiate(headers).unwrap_or(Media::Json)
}

/// The answer to a request that is refused before it is read. Without a `status`, the error decides.
pub fn refuse(error: GraphqlError, status: Option<StatusCode>, media: Media, request_id: &str) -> Response {
    let error = RequestError { status, ..error.into() };
    respond(Answer::refused(&error, request_id), media)
}

/// The status of an answer. Older clients (`application/json`) expect 200 for every request that was understood as
/// GraphQL, unless trying again or signing in would help.
fn status(outcome: Outcome, media: Media) -> StatusCode {
    let code = match outcome {
        Outcome::Data | Outcome::Nothing(None) => return StatusCode::OK,
        Outcome::Rejected(status) => return status,
        Outcome::Nothing(Some(code)) | Outcome::Refused(code) => code,
    };
    match (code, outcome) {
        (Code::Unauthenticated, _) => StatusCode::UNAUTHORIZED,
        (Code::Conflict, _) => StatusCode::CONFLICT,
        (Code::RateLimited, _) => StatusCode::TOO_MANY_REQUESTS,
        (Code::Unavailable, _) => StatusCode::SERVICE_UNAVAILABLE,
        (Code::Timeout, _) => StatusCode::GATEWAY_TIMEOUT,
        (_, Outcome::Nothing(_)) => StatusCode::OK,
        (Code::Internal, _) => StatusCode::INTERNAL_SERVER_ERROR,
        (_, _) if media == Media::Json => StatusCode::OK,
        (Code::Forbidden, _) => StatusCode::FORBIDDEN,
        (_, _) => StatusCode::BAD_REQUEST,
    }
}

fn respond(answer: Answer, media: Media) -> Response {
    let status = status(answer.outcome, media);
    let mut response = (status, answer.body).into_response();
    if let Some(report) = answer.errors {
        response.extensions_mut().insert(report);
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
    // Answers can contain personal data, so browsers and proxies must not keep the answer to a GET request.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
