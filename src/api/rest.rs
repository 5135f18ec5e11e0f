//! The legacy REST API: accepts and returns the JSON of another service's API v1.
//!
//! Converts requests to the domain's types, calls one domain function and writes the response. Contains no rules about
//! clients. To add an endpoint, add a line to [`ROUTES`] with its description, and a handler that calls an existing
//! domain function.

mod answer;
mod custom_values;
mod definitions;
mod errors;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod lifecycle;
pub mod openapi;
mod parameters;
mod read;
mod receipts;
mod request;
mod search;
mod submit;
#[cfg(test)]
mod tests;
mod unsupported;

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Body,
    extract::{MatchedPath, Path, Request, State, rejection::PathRejection},
    http::{Method, StatusCode, Uri},
    response::Response,
    routing::{MethodRouter, any, delete, get, patch, post},
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout_at;

use super::RequestId;
use crate::services::Services;
use clientele_core::{
    budget::{BudgetPool, Priority, RequestBudget, Size},
    error::Error,
};
use clientele_domain::{
    access::SignInError,
    caller::Caller,
    client::{ClientOrder, Clients},
    client_by::ClientBy,
    definitions::DefinitionsCache,
    notify::Messages,
};
use errors::{RestError, codes};
use openapi::{Operation, operations};
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
struct Api {
    clients: Arc<Clients>,
    definitions: DefinitionsCache,
    messages: Messages,
    settings: RestSettings,
    budgets: BudgetPool,
}

type MaybeRequestId = Option<Extension<RequestId>>;
type ClientId = Result<Path<String>, PathRejection>;

/// A route below `/api`.
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    handler: fn() -> MethodRouter<Api>,
    operation: &'static Operation,
}

const fn route(
    method: Method,
    path: &'static str,
    handler: fn() -> MethodRouter<Api>,
    operation: &'static Operation,
) -> Route {
    Route {
        method,
        path,
        handler,
        operation,
    }
}

/// All routes. Each path is also accepted with a trailing slash.
pub static ROUTES: &[Route] = &[
    route(Method::GET, "/api/clients", || get(list), &operations::LIST),
    route(Method::POST, "/api/clients", || post(create), &operations::CREATE),
    route(
        Method::POST,
        "/api/clients/search",
        || {
            // A client that got this id before it was reserved can still be read, changed and deleted by it.
            post(search::search)
                .get(show_search)
                .patch(lifecycle::change_search)
                .delete(lifecycle::remove_search)
        },
        &operations::SEARCH_CLIENTS,
    ),
    route(Method::GET, "/api/clients/{id}", || get(show), &operations::SHOW),
    route(
        Method::POST,
        "/api/clients/{id}",
        || post(change),
        &operations::CHANGE_CLIENT,
    ),
    route(
        Method::PATCH,
        "/api/clients/{id}",
        || patch(lifecycle::change),
        &operations::PATCH_CLIENT,
    ),
    route(
        Method::DELETE,
        "/api/clients/{id}",
        || delete(lifecycle::remove),
        &operations::DELETE,
    ),
    route(
        Method::PATCH,
        custom_values::LIST,
        || patch(custom_values::change_list),
        &operations::CHANGE_VALUES,
    ),
    route(
        Method::PATCH,
        custom_values::ONE,
        || patch(custom_values::change),
        &operations::CHANGE_VALUE,
    ),
    route(
        Method::DELETE,
        custom_values::ONE,
        || delete(custom_values::remove),
        &operations::REMOVE_VALUE,
    ),
    route(
        Method::PATCH,
        custom_values::GROUPED,
        || patch(custom_values::change_grouped),
        &operations::CHANGE_GROUPED_VALUE,
    ),
    route(
        Method::DELETE,
        custom_values::GROUPED,
        || delete(custom_values::remove_grouped),
        &operations::REMOVE_GROUPED_VALUE,
    ),
    route(
        Method::POST,
        "/api/notifications/receipts",
        || post(receipts::record),
        &operations::RECORD_RECEIPTS,
    ),
    route(
        Method::GET,
        "/api/customfieldsets",
        || get(definitions::sets),
        &operations::SETS,
    ),
    route(
        Method::GET,
        "/api/customfields/{field}",
        || get(definitions::field),
        &operations::FIELD,
    ),
    route(
        Method::GET,
        "/api/clienttypes",
        || get(definitions::roles),
        &operations::ROLES,
    ),
    route(
        Method::GET,
        "/api/settings/iddocumenttemplates",
        || get(definitions::document_templates),
        &operations::DOCUMENT_TEMPLATES,
    ),
];

/// The router for everything below `/api`.
pub fn router(services: &Services, settings: RestSettings, budgets: BudgetPool) -> Router {
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
        .with_state(Api {
            clients: Arc::new(services.clients.clone()),
            definitions: services.definitions.clone(),
            messages: services.messages.clone(),
            settings,
            budgets,
        })
}

/// The response to a request that the server refused before it reached this API.
pub(in crate::api) fn refused(refusal: http_server::Refusal, sentence: &'static str, id: &RequestId) -> Response {
    use http_server::Refusal as Reason;
    let code = match refusal {
        Reason::BodyTimeout => codes::TOO_SLOW,
        Reason::RateLimit { .. } => codes::RATE_LIMITED,
        Reason::Overload => codes::UNAVAILABLE,
        Reason::Panic => return RestError::from(codes::INTERNAL_ERROR).into_response(Some(id)),
    };
    RestError::new(code, sentence).into_response(Some(id))
}

/// The response to a request that failed in another part of the server, in this API's format.
pub(in crate::api) fn failed(error: Error, id: Option<&RequestId>) -> Response {
    RestError::from(error).into_response(id)
}

/// The response to a caller whose authentication failed.
pub(super) fn refuse_caller(error: &SignInError, id: &RequestId) -> Response {
    let code = match error {
        SignInError::Missing(_) => codes::INVALID_BASIC_AUTHORIZATION,
        SignInError::Wrong => codes::INVALID_CREDENTIALS,
        SignInError::TooMany(_) => codes::RATE_LIMITED,
        SignInError::Busy | SignInError::IssuerUnreachable(_) => codes::UNAVAILABLE,
        SignInError::Failed(error) => return failed(error.clone(), Some(id)),
    };
    RestError::new(code, error.to_string()).into_response(Some(id))
}

async fn create(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    respond(api.submit(&caller, request, None).await, request_id)
}

async fn change(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    id: ClientId,
    request: Request,
) -> Response {
    let answer = match client_id(id) {
        Ok(id) => api.submit(&caller, request, Some(id)).await,
        Err(error) => Err(error),
    };
    respond(answer, request_id)
}

async fn show(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    id: ClientId,
    uri: Uri,
) -> Response {
    respond(
        api.within_budget(&caller, api.client(&caller, id, &uri)).await,
        request_id,
    )
}

/// A client with the id `search`.
async fn show_search(state: State<Api>, request_id: MaybeRequestId, caller: Extension<Caller>, uri: Uri) -> Response {
    let Extension(caller) = caller;
    let State(api) = state;
    let found = api.within_budget(&caller, api.client(&caller, search_id(), &uri)).await;
    let found = found.map_err(|error| match error.code == codes::INVALID_CLIENT_ID {
        true => {
            let source = "There is no client with this id or key. A search is POST /api/clients/search.";
            RestError::new(error.code, source)
        }
        false => error,
    });
    respond(found, request_id)
}

/// The id in the path of the route that searches clients.
fn search_id() -> ClientId {
    Ok(Path("search".to_owned()))
}

async fn list(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Response {
    respond(api.within_budget(&caller, api.clients(&caller, &uri)).await, request_id)
}

async fn unknown_path(request_id: MaybeRequestId, method: Method, uri: Uri) -> Response {
    let source = unsupported::sentence(&method, uri.path());
    respond(Err(RestError::new(codes::INVALID_API_OPERATION, source)), request_id)
}

async fn wrong_method(request_id: MaybeRequestId, path: Option<MatchedPath>) -> Response {
    let path = path.as_ref().map_or("", |path| path.as_str().trim_end_matches('/'));
    let routes = ROUTES.iter().filter(|route| route.path == path);
    let methods: Vec<&str> = routes.map(|route| route.method.as_str()).collect();
    let source = format!("This route takes {}.", methods.join(", "));
    respond(Err(RestError::new(codes::METHOD_NOT_IMPLEMENTED, source)), request_id)
}

impl Api {
    /// Ends a read that exceeds the time or memory limit of a request.
    async fn within_budget(
        &self,
        caller: &Caller,
        reading: impl Future<Output = Result<Vec<u8>, RestError>>,
    ) -> Result<Body, RestError> {
        let budget = self.budgets.start(Priority::Read, caller.flow())?;
        let deadline = budget.deadline();
        match timeout_at(deadline.at(), budget.clone().scope(reading)).await {
            Ok(answer) if !deadline.is_over() => Ok(kept(answer?, &budget)),
            Ok(_) | Err(_) => Err(Error::TimedOut.into()),
        }
    }

    async fn client(&self, caller: &Caller, id: ClientId, uri: &Uri) -> Result<Vec<u8>, RestError> {
        let parameters = Parameters::parse(uri.query().unwrap_or_default())?;
        parameters.refuse_with("a client's id")?;
        let detail = parameters.detail()?;
        let by = ClientBy::Either(client_id(id)?);
        let found = self.clients.get(caller, &by, detail.parts()).await?;
        let (client, definitions) = found.ok_or_else(unknown_client)?;
        Ok(answer::client(&client, &definitions, detail)?)
    }

    async fn clients(&self, caller: &Caller, uri: &Uri) -> Result<Vec<u8>, RestError> {
        let List { filter, range, detail } = parameters::list(&Parameters::parse(uri.query().unwrap_or_default())?)?;
        let page = self
            .clients
            .page(
                caller,
                &filter,
                ClientOrder::default(),
                &range,
                Some(detail.parts()),
                false,
            )
            .await
            .map_err(page_error)??;
        answer::clients(&page.clients.rows, &page.definitions, detail).map_err(page_error)
    }
}

/// Callers that read lists handle the code of a limit out of bounds, and a smaller page is sufficient.
fn page_error(error: Error) -> RestError {
    match error {
        Error::TooLarge { most } => {
            let source = format!(
                "limit: these clients take more than {}: ask for fewer by a lower limit.",
                Size(most)
            );
            RestError::new(codes::OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE, source)
        }
        error => error.into(),
    }
}

/// The id in a path. One that isn't UTF-8 belongs to no client.
fn client_id(id: ClientId) -> Result<String, RestError> {
    id.map(|Path(id)| id).map_err(|_| unknown_client())
}

fn unknown_client() -> RestError {
    RestError::new(codes::INVALID_CLIENT_ID, "There is no client with this id or key.")
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

fn respond(answer: Result<Body, RestError>, request_id: MaybeRequestId) -> Response {
    match answer {
        Ok(body) => answer::json(StatusCode::OK, body),
        Err(error) => error.into_response(request_id.as_deref()),
    }
}
