//! The two formats of an upsert: JSON, or parameters of a URL or a form.

use axum::{
    body::Body,
    extract::Request,
    http::{header::CONTENT_TYPE, request::Parts},
};
use chrono::{DateTime, Utc};

use super::{
    Api,
    answer::{self, Detail},
    errors::{RestError, codes},
    kept,
    parameters::Parameters,
    read,
    request::{self, Declared, Media},
};
use crate::api::{RequestPermit, origin};
use clientele_core::{
    budget::{Priority, RequestBudget},
    error::Error,
    problem::Problem,
    trace,
};
use clientele_domain::{
    caller::{Caller, Permission},
    client::ClientParts,
    client_by::ClientBy,
    idempotency::Fingerprint,
    upsert::{ClientInput, Scope, UpsertClient, Upserted},
};

/// The parsed input, and the format of the answer.
type Submission = (UpsertClient, Detail);

/// A request that changes a client, with its body.
pub struct Received {
    head: Parts,
    pub bytes: Vec<u8>,
    idempotency_key: Option<String>,
}

impl Received {
    pub fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    /// The declared media type with its parameters.
    pub fn content_type(&self) -> Option<&str> {
        self.head.headers.get(CONTENT_TYPE)?.to_str().ok()
    }

    pub fn declared(&self) -> Option<Declared> {
        Declared::of(&self.head.headers)
    }

    /// The input with the request's idempotency key, if it has one.
    pub fn repeatable(self, input: UpsertClient) -> UpsertClient {
        let (idempotency_key, request) = self.idempotency();
        UpsertClient {
            request,
            idempotency_key,
            ..input
        }
    }

    /// The request's idempotency key, and the fingerprint of a request that has one.
    pub fn idempotency(self) -> (Option<String>, Option<Fingerprint>) {
        let Self {
            head,
            bytes,
            idempotency_key,
        } = self;
        let fingerprint = idempotency_key.as_ref().map(|_| request::fingerprint(&head, &bytes));
        (idempotency_key, fingerprint)
    }
}

impl Api {
    /// Creates or changes a client. `named` is the id in the path.
    pub async fn submit(&self, caller: &Caller, request: Request, named: Option<String>) -> Result<Body, RestError> {
        // The permission is checked before the body is read.
        match named {
            // The parameters of a URL can only create a client, and most bodies without an id in the path do.
            None if !caller.can(Permission::EditClient) => caller.require(Permission::CreateClient)?,
            _ => Scope::Upsert.require(caller)?,
        }
        let permit = request.extensions().get::<RequestPermit>().cloned();
        let (input, detail) = self.read(request, named).await?;
        let is_empty = detail == Detail::Expanded && input.named.is_none() && input.client == ClientInput::default();
        let stored = self.store(caller, input, detail.parts(), permit).await;
        let (stored, budget) = stored.map_err(|error| match is_empty {
            true => without_client(error),
            false => error,
        })?;
        // The change is stored, so the memory limit doesn't apply to its answer: it holds only the data sent and its
        // definitions.
        let answer = answer::client(&stored.client, &stored.definitions, detail)?;
        Ok(kept(answer, &budget))
    }

    /// Changes some members of the client in the path. Answers without it. The caller's permission must be checked
    /// before, so that no body is read in vain.
    pub async fn change_members(
        &self,
        caller: &Caller,
        request: Request,
        client: String,
        read: impl FnOnce(&Received) -> Result<UpsertClient, RestError>,
    ) -> Result<Body, RestError> {
        let permit = request.extensions().get::<RequestPermit>().cloned();
        let received = self.receive(request).await?;
        let input = UpsertClient {
            named: Some(ClientBy::Either(client)),
            ..read(&received)?
        };
        let input = received.repeatable(input);
        self.store(caller, input, ClientParts::default(), permit).await?;
        Ok(answer::success())
    }

    async fn read(&self, request: Request, named: Option<String>) -> Result<Submission, RestError> {
        let received = self.receive(request).await?;
        let (input, detail) = self.submission(received.query(), received.declared(), &received.bytes, named)?;
        Ok((received.repeatable(input), detail))
    }

    pub async fn receive(&self, request: Request) -> Result<Received, RestError> {
        let (head, body) = request.into_parts();
        // A browser sends forms and bare URLs without a preflight: a foreign page could send one on behalf of its
        // visitor.
        if origin::is_foreign(&head.headers, &head.extensions) {
            let source =
                "A page of another site can't submit clients unless its origin is in the setting cors.allowed_origins.";
            return Err(RestError::new(codes::INVALID_PERMISSIONS, source));
        }
        request::require_identity(&head.headers)?;
        let bytes = request::read(body, self.settings.body_bytes).await?;
        let idempotency_key = request::idempotency_key(&head.headers)?;
        Ok(Received {
            head,
            bytes,
            idempotency_key,
        })
    }

    /// The text of a body that must be JSON.
    pub fn json_of<'a>(&self, received: &'a Received) -> Result<&'a str, RestError> {
        if received.bytes.is_empty() {
            return Err(missing("There is no body: send JSON."));
        }
        // A body without a media type can only be JSON.
        let Declared { media, utf8 } = received.declared().unwrap_or(Declared::JSON);
        if media != Media::Json {
            return Err(missing("Send the body as application/json."));
        }
        if !utf8 {
            return Err(request::not_utf8());
        }
        request::json(&received.bytes, self.settings.body_values)
    }

    /// The text of a body that must be JSON, of a request without parameters of a client.
    pub fn json_without_parameters<'a>(&self, received: &'a Received) -> Result<&'a str, RestError> {
        let text = self.json_of(received)?;
        let parameters = Parameters::parse(received.query());
        read::before(
            text,
            parameters.and_then(|parameters| parameters.refuse_with("a JSON body")),
        )?;
        Ok(text)
    }

    fn submission(
        &self,
        query: &str,
        declared: Option<Declared>,
        bytes: &[u8],
        named: Option<String>,
    ) -> Result<Submission, RestError> {
        if bytes.is_empty() {
            return match declared {
                None => parameters(Parameters::parse(query)?, named),
                Some(_) => Err(missing("There is no body: drop the Content-Type header, or send JSON.")),
            };
        }
        // A body without a media type can only be JSON.
        let Declared { media, utf8 } = declared.unwrap_or(Declared::JSON);
        match media {
            Media::Other => Err(missing("Send the body as application/json.")),
            Media::Json | Media::Form if !utf8 => Err(request::not_utf8()),
            Media::Form => {
                let form = Parameters::parse(request::utf8(bytes)?)?;
                parameters(Parameters::parse(query)?.and(form), named)
            }
            Media::Json => {
                let mut input = read::submission(request::json(bytes, self.settings.body_values)?)?;
                Parameters::parse(query)?.refuse_with("a JSON body")?;
                input.named = named.map(ClientBy::Either);
                input.demand_key = self.settings.require_encoded_key;
                Ok((input, Detail::Expanded))
            }
        }
    }

    async fn store(
        &self,
        caller: &Caller,
        input: UpsertClient,
        parts: ClientParts,
        permit: Option<RequestPermit>,
    ) -> Result<(Upserted, RequestBudget), RestError> {
        let (clients, of_caller, now) = (self.clients.clone(), caller.clone(), now());
        let upsert = async move { clients.upsert(&of_caller, &input, parts, now).await };
        self.carry_out(caller, upsert, permit).await
    }

    /// Carries out a change, even if the caller disconnects meanwhile. Returns its result and the request's budget: a
    /// request that can't be answered is refused before anything is stored.
    pub async fn carry_out<T: Send + 'static>(
        &self,
        caller: &Caller,
        change: impl Future<Output = Result<Result<T, Vec<Problem>>, Error>> + Send + 'static,
        permit: Option<RequestPermit>,
    ) -> Result<(T, RequestBudget), RestError> {
        let budget = self.budgets.start(Priority::Change, caller.flow())?;
        let work = async move {
            let changed = change.await;
            drop(permit);
            changed
        };
        let work = trace::within(trace::current(), budget.clone().scope(work));
        let changed = tokio::spawn(work).await.map_err(Error::internal)?;
        Ok((changed??, budget))
    }
}

/// Parameters can only create clients: a change needs JSON.
fn parameters(parameters: Parameters, named: Option<String>) -> Result<Submission, RestError> {
    if named.is_some() {
        return Err(missing("A client is changed by a JSON body, not by parameters."));
    }
    Ok((parameters.client()?, Detail::Bare))
}

/// The error of a body without `client`, whose first problem would name a member of it.
fn without_client(error: RestError) -> RestError {
    match &error.source {
        Some(source) if source.starts_with("client.firstName: ") => {
            let source = "client is missing or empty: put the members of the client into it, such as \
                {\"client\":{\"firstName\":…,\"lastName\":…}}.";
            RestError::new(error.code, source)
        }
        _ => error,
    }
}

fn missing(source: &str) -> RestError {
    RestError::new(codes::MISSING_ENTITY_JSON, source)
}

/// The API reads the clock; the domain takes the time as a parameter.
#[expect(clippy::disallowed_methods, reason = "time enters here")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
