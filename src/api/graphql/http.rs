//! GraphQL over HTTP: reads the request, asks the [`Door`], and gives its answer the status and headers the protocol wants.
//!
//! It decides nothing about documents. All 61 audits of the npm package `graphql-http` hold; where its two media types
//! differ, see [`status`].

mod accept;
mod call;
mod params;
#[cfg(test)]
mod tests;

use std::{panic::AssertUnwindSafe, sync::Arc};

use async_graphql::{Data, ObjectType};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::any,
};
use futures_util::{FutureExt, StreamExt};

pub use self::accept::Media;
use self::{
    call::{Call, Pricing},
    params::Params,
};
use super::{
    answer::{Answer, Outcome},
    door::Door,
    error::{Code, Fault, Refused, internal},
    prepare::Prepared,
    settings::GraphqlSettings,
};
use crate::api::{RequestId, content_encoding, origin};
use clientele_core::budget::Means;

/// `/graphql`. `context` puts into `Data` what resolvers need of a request, after it has been found executable: the caller,
/// loaders, and so on; or it says why this caller may not run the operation. It runs once for each request, which has its part
/// of the `means`.
pub fn router<Q, M, C>(door: Arc<Door<Q, M>>, means: Means, context: C) -> Router
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    C: Fn(&mut Data, &Parts, &Prepared) -> Result<(), Refused> + Clone + Send + Sync + 'static,
{
    let answer = any(move |request: Request| answer(door.clone(), context.clone(), means.clone(), request));
    Router::new()
        .route("/graphql", answer.clone())
        .route("/graphql/", answer)
}

async fn answer<Q, M, C>(door: Arc<Door<Q, M>>, context: C, means: Means, request: Request) -> Response
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    C: Fn(&mut Data, &Parts, &Prepared) -> Result<(), Refused> + Send + Sync + 'static,
{
    let id = RequestId::of(&request);
    let (parts, body) = request.into_parts();
    let media = accept::negotiate(&parts.headers);
    let asked = async {
        let Some(media) = media else {
            let message = "This address answers application/graphql-response+json and application/json only.";
            return Err(Rejection::new(StatusCode::NOT_ACCEPTABLE, message));
        };
        let pricing = Pricing::of(&parts.headers)?;
        let several = door.largest_batch() > 1;
        let asked = read(&parts, body, door.settings(), several).await?;
        let call = Call {
            door,
            context,
            parts: &parts,
            id: &id,
            pricing,
            means: &means,
        };
        // A panic is a defect, but the caller still gets an answer with a request id to name.
        let run = AssertUnwindSafe(call.answer(asked)).catch_unwind();
        let answer = run
            .await
            .unwrap_or_else(|_| Ok(Answer::refused(&internal().into(), &id.0)))?;
        Ok(respond(status(answer.outcome, media), media, answer))
    };
    asked
        .await
        .unwrap_or_else(|rejection| rejection.respond(media.unwrap_or(Media::Json), &id))
}

/// A request that breaks the rules of HTTP, or of GraphQL over it, so that its status doesn't depend on the media type.
struct Rejection {
    status: StatusCode,
    fault: Box<Fault>,
    allow: Option<&'static str>,
}

impl Rejection {
    fn new(status: StatusCode, message: &'static str) -> Self {
        let code = if status == StatusCode::FORBIDDEN {
            Code::Forbidden
        } else {
            Code::BadRequest
        };
        Self {
            status,
            fault: Fault::new(code, message).into(),
            allow: None,
        }
    }

    fn bad(fault: Fault) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            fault: fault.into(),
            allow: None,
        }
    }

    fn respond(self, media: Media, id: &RequestId) -> Response {
        let status = match self.fault.code {
            // A well-formed request: its clients take the answer like any other refusal, and then send the document.
            code @ (Code::PersistedQueryNotSupported | Code::PersistedQueryNotFound) => {
                status(Outcome::Refused(code), media)
            }
            _ => self.status,
        };
        let mut response = respond(status, media, Answer::refused(&(*self.fault).into(), &id.0));
        if let Some(methods) = self.allow {
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        response
    }
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        Self::bad(fault)
    }
}

/// What a request asks for.
enum Asked {
    One(Params),
    /// Each with what is wrong with it.
    Several(Vec<Result<Params, Fault>>),
}

async fn read(parts: &Parts, body: Body, settings: &GraphqlSettings, several: bool) -> Result<Asked, Rejection> {
    let get = match parts.method {
        Method::GET => true,
        Method::POST => false,
        _ => {
            let message = "Send a GraphQL request by POST, or a query by GET.";
            return Err(Rejection {
                allow: Some("GET, POST"),
                ..Rejection::new(StatusCode::METHOD_NOT_ALLOWED, message)
            });
        }
    };
    if origin::is_foreign(&parts.headers, &parts.extensions) && !origin::is_preflighted(&parts.headers) {
        return Err(Rejection::new(
            StatusCode::FORBIDDEN,
            "A request from another site must carry the header GraphQL-Require-Preflight.",
        ));
    }
    if (!get || parts.headers.contains_key(header::CONTENT_TYPE)) && !accept::is_json(&parts.headers) {
        return Err(Rejection::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The content type must be application/json, in UTF-8.",
        ));
    }
    if !content_encoding::is_identity(&parts.headers) {
        return Err(Rejection::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send the body without compression: drop the Content-Encoding header.",
        ));
    }
    if get {
        return Ok(Asked::One(params::from_query(&parts.uri, settings.body_values)?));
    }
    let bytes = bytes(&parts.headers, body, settings.body_bytes).await?;
    let body = params::checked(&bytes, settings.body_values)?;
    if several && params::is_batch(body) {
        let all = params::of_batch(body)?;
        let all = all.into_iter().map(|one| params::from_body(one.get()));
        return Ok(Asked::Several(all.collect()));
    }
    Ok(Asked::One(params::from_body(body)?))
}

async fn bytes(headers: &HeaderMap, body: Body, most: usize) -> Result<Vec<u8>, Rejection> {
    let too_large = || {
        Rejection::new(
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
        let chunk = chunk.map_err(|_| Rejection::new(StatusCode::BAD_REQUEST, "The body ended early."))?;
        if bytes.len() + chunk.len() > most {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// How whoever sends these headers is answered, whatever it is told.
pub(in crate::api) fn media(headers: &HeaderMap) -> Media {
    accept::negotiate(headers).unwrap_or(Media::Json)
}

/// An answer for a request that this door hasn't been asked. Its status doesn't depend on the media type.
pub(in crate::api) fn refused(
    media: Media,
    status: StatusCode,
    code: Code,
    message: &'static str,
    id: &RequestId,
) -> Response {
    respond(status, media, Answer::refused(&Fault::new(code, message).into(), &id.0))
}

/// The status of an answer. Older clients (`application/json`) expect 200 for whatever was understood as GraphQL, except
/// where trying again or signing in would help.
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

/// The answer to a request that isn't looked at, in the form its sender reads.
pub(super) fn refuse(fault: Fault, headers: &HeaderMap, id: &RequestId) -> Response {
    let media = media(headers);
    let status = status(Outcome::Refused(fault.code), media);
    respond(status, media, Answer::refused(&fault.into(), &id.0))
}

fn respond(status: StatusCode, media: Media, answer: Answer) -> Response {
    let mut response = (status, answer.body).into_response();
    if let Some(report) = answer.errors {
        report.add_to(&mut response);
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
    // Answers are about people; what a GET brought must not stay in a browser or a proxy.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Reads a body as a request, and what it names.
#[cfg(feature = "fuzzing")]
pub(super) fn read_for_fuzzing(body: &[u8], persisted: &super::persisted::Persisted) {
    let Ok(body) = params::checked(body, 1_000) else { return };
    let all = if params::is_batch(body) {
        let all = params::of_batch(body).unwrap_or_default();
        all.into_iter().map(|one| params::from_body(one.get())).collect()
    } else {
        vec![params::from_body(body)]
    };
    for params in all.into_iter().flatten() {
        let _ = persisted.text(params.asked);
    }
}
