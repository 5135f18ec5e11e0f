//! GraphQL over HTTP: reads requests, and gives answers the status and headers that the protocol requires.
//!
//! All 61 audits of the npm package `graphql-http` pass; for the differences of the two media types see [`status`].

mod accept;
mod call;
mod csrf;
mod params;
#[cfg(test)]
mod tests;

use std::{panic::AssertUnwindSafe, sync::Arc};

use async_graphql::ObjectType;
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::{FutureExt, StreamExt};

pub use self::accept::Media;
use self::{
    call::{Call, CostMode},
    params::Params,
};
use crate::{
    answer::{Answer, Outcome},
    context::RequestContext,
    error::{Code, GraphqlError, internal},
    server::GraphqlServer,
    settings::GraphqlSettings,
};
use clientele_core::budget::BudgetPool;

/// Answers a request within a budget from `budgets`. The [`Report`](crate::Report) of its errors is in the response's
/// extensions.
pub async fn handle<Q, M, C>(
    server: Arc<GraphqlServer<Q, M>>,
    budgets: &BudgetPool,
    context: C,
    request: Request,
) -> Response
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    C: RequestContext,
{
    let context = Arc::new(context);
    let (parts, body) = request.into_parts();
    let media = accept::negotiate(&parts.headers);
    let answer = async {
        let Some(media) = media else {
            let message = "This address answers application/graphql-response+json and application/json only.";
            return Err(HttpError::new(StatusCode::NOT_ACCEPTABLE, message));
        };
        let cost_mode = CostMode::of(&parts.headers)?;
        let allows_batches = server.largest_batch() > 1;
        let is_trusted = context.is_trusted_origin();
        let requests = read(&parts, body, server.settings(), allows_batches, is_trusted).await?;
        let call = Call {
            server,
            context: context.clone(),
            method: &parts.method,
            cost_mode,
            budgets,
        };
        // A panic is a defect, but the caller still gets an answer with the request id.
        let run = AssertUnwindSafe(call.answer(requests)).catch_unwind();
        let answer = run
            .await
            .unwrap_or_else(|_| Ok(Answer::refused(&internal().into(), context.request_id())))?;
        Ok(respond(status(answer.outcome, media), media, answer))
    };
    answer
        .await
        .unwrap_or_else(|rejection| rejection.respond(media.unwrap_or(Media::Json), context.request_id()))
}

/// The refusal of a request that breaks the rules of HTTP, or of GraphQL over it: its status doesn't depend on the
/// media type.
struct HttpError {
    status: StatusCode,
    error: Box<GraphqlError>,
    allow: Option<&'static str>,
}

impl HttpError {
    fn new(status: StatusCode, message: &'static str) -> Self {
        let code = if status == StatusCode::FORBIDDEN {
            Code::Forbidden
        } else {
            Code::BadRequest
        };
        Self {
            status,
            error: GraphqlError::new(code, message).into(),
            allow: None,
        }
    }

    fn bad_request(error: GraphqlError) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: error.into(),
            allow: None,
        }
    }

    fn respond(self, media: Media, request_id: &str) -> Response {
        let status = match self.error.code {
            // A well-formed request: the client reads the answer like any other refusal, and then sends the document.
            code @ (Code::PersistedQueryNotSupported | Code::PersistedQueryNotFound) => {
                status(Outcome::Refused(code), media)
            }
            _ => self.status,
        };
        let mut response = respond(status, media, Answer::refused(&(*self.error).into(), request_id));
        if let Some(methods) = self.allow {
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        response
    }
}

impl From<GraphqlError> for HttpError {
    fn from(error: GraphqlError) -> Self {
        Self::bad_request(error)
    }
}

/// The content of a request.
enum Requests {
    Single(Params),
    /// A batch, in which each request can be unreadable for itself.
    Batch(Vec<Result<Params, GraphqlError>>),
}

async fn read(
    parts: &Parts,
    body: Body,
    settings: &GraphqlSettings,
    allows_batches: bool,
    is_trusted: bool,
) -> Result<Requests, HttpError> {
    let get = match parts.method {
        Method::GET => true,
        Method::POST => false,
        _ => {
            let message = "Send a GraphQL request by POST, or a query by GET.";
            return Err(HttpError {
                allow: Some("GET, POST"),
                ..HttpError::new(StatusCode::METHOD_NOT_ALLOWED, message)
            });
        }
    };
    if !is_trusted && csrf::is_cross_site(&parts.headers) && !csrf::is_preflighted(&parts.headers) {
        return Err(HttpError::new(
            StatusCode::FORBIDDEN,
            "A request from another site must carry the header GraphQL-Require-Preflight.",
        ));
    }
    if (!get || parts.headers.contains_key(header::CONTENT_TYPE)) && !accept::is_json(&parts.headers) {
        return Err(HttpError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The content type must be application/json, in UTF-8.",
        ));
    }
    if !accept::is_identity(&parts.headers) {
        return Err(HttpError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send the body without compression: drop the Content-Encoding header.",
        ));
    }
    if get {
        return Ok(Requests::Single(params::from_query(&parts.uri, settings.body_values)?));
    }
    let bytes = bytes(&parts.headers, body, settings.body_bytes).await?;
    let body = params::checked(&bytes, settings.body_values)?;
    if allows_batches && params::is_batch(body) {
        let all = params::of_batch(body)?;
        let all = all.into_iter().map(|one| params::from_body(one.get()));
        return Ok(Requests::Batch(all.collect()));
    }
    Ok(Requests::Single(params::from_body(body)?))
}

async fn bytes(headers: &HeaderMap, body: Body, most: usize) -> Result<Vec<u8>, HttpError> {
    let too_large = || {
        HttpError::new(
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
        let chunk = chunk.map_err(|_| HttpError::new(StatusCode::BAD_REQUEST, "The body ended early."))?;
        if bytes.len() + chunk.len() > most {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The media type of answers to a caller who sends these headers.
pub fn media(headers: &HeaderMap) -> Media {
    accept::negotiate(headers).unwrap_or(Media::Json)
}

/// The answer to a request that is refused before it is read. Without a `status`, the error decides.
pub fn refuse(error: GraphqlError, status: Option<StatusCode>, media: Media, request_id: &str) -> Response {
    let status = status.unwrap_or_else(|| self::status(Outcome::Refused(error.code), media));
    respond(status, media, Answer::refused(&error.into(), request_id))
}

/// The status of an answer. Older clients (`application/json`) expect 200 for every request that was understood as
/// GraphQL, unless trying again or signing in would help.
fn status(outcome: Outcome, media: Media) -> StatusCode {
    let code = match outcome {
        Outcome::Data | Outcome::Nothing(None) => return StatusCode::OK,
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

fn respond(status: StatusCode, media: Media, answer: Answer) -> Response {
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

/// Reads a body as a request, and looks up the document that it names.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_for_fuzzing(body: &[u8], persisted: &crate::persisted::Persisted) {
    let Ok(body) = params::checked(body, 1_000) else { return };
    let all = if params::is_batch(body) {
        let all = params::of_batch(body).unwrap_or_default();
        all.into_iter().map(|one| params::from_body(one.get())).collect()
    } else {
        vec![params::from_body(body)]
    };
    for params in all.into_iter().flatten() {
        let _ = persisted.text(params.document);
    }
}
