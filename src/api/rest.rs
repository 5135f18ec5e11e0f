//! The legacy REST API: accepts and returns the JSON of another service's API v1.
//!
//! Converts requests to the domain's types, calls one domain function and writes the response. Contains no rules about
//! clients. To add an endpoint, add a line to [`ROUTES`] and a handler that calls an existing domain function.

mod answer;
mod body;
mod errors;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod idempotency;
mod names;
mod parameters;
mod read;
mod submit;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{Method, StatusCode, Uri},
    response::Response,
    routing::{MethodRouter, any, get, post},
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout_at;

use super::RequestId;
use answer::{Bare, Expanded};
use clientele_core::{
    budget::{BudgetPool, Priority, RequestBudget, Size, Text},
    error::Error,
};
use clientele_domain::{
    caller::Caller,
    client::{ClientOrder, Clients, Wanted},
    client_by::ClientBy,
};
use errors::{Failure, Refusal, codes};
use parameters::{List, Parameters};

/// The settings of the REST API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestSettings {
    /// Refuses an update whose body lacks `client.encodedKey`, as the old documentation requires.
    pub require_encoded_key: bool,
    /// The maximum length of a body in bytes; a longer one is answered 413.
    pub body_bytes: usize,
    /// The maximum number of JSON values in a body: objects, lists, texts, numbers, booleans and nulls.
    pub body_values: usize,
}

impl Default for RestSettings {
    fn default() -> Self {
        Self {
            require_encoded_key: false,
            body_bytes: 1024 * 1024,
            // Callers send back complete answers, including the definition of each custom field.
            body_values: 100_000,
        }
    }
}

#[derive(Clone)]
struct Door {
    clients: Arc<Clients>,
    settings: RestSettings,
    budgets: BudgetPool,
}

type Asking = Option<Extension<RequestId>>;
type By = Extension<Caller>;
type ClientId = Result<Path<String>, PathRejection>;

/// A route below `/api`.
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    handler: fn() -> MethodRouter<Door>,
}

/// All routes. Each path is also accepted with a trailing slash.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/clients",
        handler: || get(list),
    },
    Route {
        method: Method::POST,
        path: "/api/clients",
        handler: || post(create),
    },
    Route {
        method: Method::GET,
        path: "/api/clients/{id}",
        handler: || get(show),
    },
    Route {
        method: Method::POST,
        path: "/api/clients/{id}",
        handler: || post(change),
    },
];

/// The router for everything below `/api`.
pub fn router(clients: Clients, settings: RestSettings, budgets: BudgetPool) -> Router {
    let routes = ROUTES.iter().fold(Router::new(), |router, route| {
        router
            .route(route.path, (route.handler)())
            .route(&format!("{}/", route.path), (route.handler)())
    });
    routes
        .method_not_allowed_fallback(wrong_method)
        .route("/api", any(unknown_path))
        .route("/api/", any(unknown_path))
        .route("/api/{*path}", any(unknown_path))
        .with_state(Door {
            clients: Arc::new(clients),
            settings,
            budgets,
        })
}

/// The response to a request that the server refused before it reached this API.
pub(in crate::api) fn refused(refusal: http_server::Refusal, sentence: &'static str, id: &RequestId) -> Response {
    use http_server::Refusal as Reason;
    let (code, source) = match refusal {
        Reason::BodyTimeout => (codes::TOO_SLOW, Some(sentence.to_owned())),
        Reason::RateLimit { .. } => (codes::RATE_LIMITED, Some(sentence.to_owned())),
        Reason::Overload => (codes::UNAVAILABLE, Some(sentence.to_owned())),
        Reason::Panic => (codes::INTERNAL_ERROR, Some(id.0.to_string())),
    };
    Failure::from(Refusal { code, source }).into_response(Some(id))
}

async fn create(State(door): State<Door>, asking: Asking, Extension(caller): By, request: Request) -> Response {
    respond(door.submit(&caller, request, None).await, asking)
}

async fn change(
    State(door): State<Door>,
    asking: Asking,
    Extension(caller): By,
    id: ClientId,
    request: Request,
) -> Response {
    let answer = match named(id) {
        Ok(id) => door.submit(&caller, request, Some(id)).await,
        Err(refusal) => Err(refusal.into()),
    };
    respond(answer, asking)
}

async fn show(State(door): State<Door>, asking: Asking, Extension(caller): By, id: ClientId, uri: Uri) -> Response {
    respond(door.within(&caller, door.client(&caller, id, &uri)).await, asking)
}

async fn list(State(door): State<Door>, asking: Asking, Extension(caller): By, uri: Uri) -> Response {
    respond(door.within(&caller, door.clients(&caller, &uri)).await, asking)
}

async fn unknown_path(asking: Asking, method: Method, uri: Uri) -> Response {
    let path = uri.path();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'.');
    let source = match path.len() <= 128 && path.bytes().all(plain) {
        true => format!("There is no route {method} {path}."),
        false => "There is no route of this method and path.".to_owned(),
    };
    respond(Err(Refusal::new(codes::INVALID_API_OPERATION, source).into()), asking)
}

async fn wrong_method(asking: Asking) -> Response {
    respond(
        Err(Refusal {
            code: codes::METHOD_NOT_IMPLEMENTED,
            source: None,
        }
        .into()),
        asking,
    )
}

/// The response to a request that failed in another part of the server, in this API's format.
pub(in crate::api) fn failed(error: Error, id: Option<&RequestId>) -> Response {
    Failure::from(error).into_response(id)
}

/// The response to a caller whose authentication failed.
pub(super) fn refuse_caller(refusal: &super::authentication::Refusal, id: &RequestId) -> Response {
    use super::authentication::Refusal as Kept;
    let code = match refusal {
        Kept::Missing(_) => codes::INVALID_BASIC_AUTHORIZATION,
        Kept::Wrong => codes::INVALID_CREDENTIALS,
        Kept::TooMany(_) => codes::TOO_MANY_ATTEMPTS,
        Kept::Busy | Kept::IssuerAway(_) => codes::UNAVAILABLE,
        Kept::Surprise(error) => return Failure::from(error.clone()).into_response(Some(id)),
    };
    Failure::from(Refusal::new(code, refusal.sentence())).into_response(Some(id))
}

impl Door {
    /// Ends a read that exceeds the time or memory limit of a request.
    async fn within(
        &self,
        caller: &Caller,
        reading: impl Future<Output = Result<Vec<u8>, Failure>>,
    ) -> Result<Body, Failure> {
        let budget = self.budgets.start(Priority::Read, caller.flow())?;
        let deadline = budget.deadline();
        match timeout_at(deadline.at(), budget.clone().scope(reading)).await {
            Ok(answer) if !deadline.is_over() => Ok(kept(answer?, &budget)),
            Ok(_) | Err(_) => Err(Error::TimedOut.into()),
        }
    }

    async fn client(&self, caller: &Caller, id: ClientId, uri: &Uri) -> Result<Vec<u8>, Failure> {
        let parameters = Parameters::parse(uri.query().unwrap_or_default())?;
        parameters.refuse_beside("a client's id")?;
        let full_details = parameters.full_details()?;
        let wanted = if full_details { Wanted::ALL } else { Wanted::default() };
        let by = ClientBy::Either(named(id)?);
        let Some((client, definitions)) = self.clients.get(caller, &by, wanted).await? else {
            return Err(unknown_client().into());
        };
        if full_details {
            json(&Expanded {
                client: &client,
                definitions: &definitions,
                with_groups: true,
            })
        } else {
            json(&Bare(&client.client))
        }
    }

    async fn clients(&self, caller: &Caller, uri: &Uri) -> Result<Vec<u8>, Failure> {
        let list = parameters::list(&Parameters::parse(uri.query().unwrap_or_default())?)?;
        self.page(caller, &list).await.map_err(|failure| match failure {
            // Callers that read lists handle this code, and a smaller page is sufficient.
            Failure::Surprise(Error::TooLarge { most }) => {
                let source = format!(
                    "limit: these clients take more than {}: ask for fewer by a lower limit.",
                    Size(most)
                );
                Refusal::new(codes::OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE, source).into()
            }
            failure => failure,
        })
    }

    async fn page(&self, caller: &Caller, List { filter, range }: &List) -> Result<Vec<u8>, Failure> {
        let page = self
            .clients
            .page(
                caller,
                filter,
                ClientOrder::default(),
                range,
                Some(Wanted::default()),
                false,
            )
            .await?;
        let page = page.map_err(|problem| Refusal::from(&problem))?;
        let mut text = Text::begin();
        text.push("[");
        for (at, row) in page.clients.rows.iter().enumerate() {
            if at > 0 {
                text.push(",");
            }
            text.value(&Bare(&row.client));
        }
        text.push("]");
        Ok(text.finish()?)
    }
}

/// The id in a path. One that isn't UTF-8 belongs to no client.
fn named(id: ClientId) -> Result<String, Refusal> {
    id.map(|Path(id)| id).map_err(|_| unknown_client())
}

fn unknown_client() -> Refusal {
    Refusal::new(codes::INVALID_CLIENT_ID, "There is no client with this id or key.")
}

/// # Errors
/// As [`Text::finish`].
fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut text = Text::begin();
    text.value(value);
    Ok(text.finish()?)
}

/// A response that counts against its request's memory until it has been sent.
fn kept(answer: Vec<u8>, budget: &RequestBudget) -> Body {
    budget
        .keep([answer.into()])
        .into_iter()
        .map(Body::from)
        .next()
        .unwrap_or_default()
}

fn respond(answer: Result<Body, Failure>, asking: Asking) -> Response {
    match answer {
        Ok(body) => answer::json(StatusCode::OK, body),
        Err(failure) => failure.into_response(asking.as_deref()),
    }
}
