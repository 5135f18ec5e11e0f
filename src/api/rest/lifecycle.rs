//! The routes that change some members of a client, such as its state, and that delete it.

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use tracing::Instrument;

use super::{
    Api, ClientId, MaybeRequestId, answer, client_id, errors::RestError, parameters::Parameters, read, respond, submit,
};
use crate::api::Place;
use clientele_core::{budget::Priority, error::Error};
use clientele_domain::{
    caller::{Caller, Permission},
    client_by::ClientBy,
    removal::RemoveClient,
    upsert::Scope,
};

pub async fn change(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    id: ClientId,
    request: Request,
) -> Response {
    respond(api.patch(&caller, request, id).await, request_id)
}

pub async fn remove(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    id: ClientId,
    request: Request,
) -> Response {
    respond(api.delete(&caller, request, id).await, request_id)
}

impl Api {
    async fn patch(&self, caller: &Caller, request: Request, id: ClientId) -> Result<Body, RestError> {
        Scope::Patch.require(caller)?;
        let read = |received: &submit::Received| read::patch(self.json_without_parameters(received)?);
        self.change_members(caller, request, client_id(id)?, read).await
    }

    /// A body is ignored.
    async fn delete(&self, caller: &Caller, request: Request, id: ClientId) -> Result<Body, RestError> {
        caller.require(Permission::DeleteClient)?;
        let place = request.extensions().get::<Place>().cloned();
        let received = self.receive(request).await?;
        Parameters::parse(received.query())?.refuse_with("a client's id")?;
        let by = ClientBy::Either(client_id(id)?);
        let (idempotency_key, request) = received.idempotency();
        let input = RemoveClient {
            idempotency_key,
            request,
            ..by.into()
        };
        let budget = self.budgets.start(Priority::Change, caller.flow())?;
        let (clients, caller, now) = (self.clients.clone(), caller.clone(), submit::now());
        // Continues when the caller disconnects.
        let work = async move {
            let removed = clients.delete(&caller, &input, now).await;
            drop(place);
            removed
        };
        let removed = tokio::spawn(budget.scope(work.in_current_span())).await;
        removed.map_err(Error::internal)???;
        Ok(answer::success())
    }
}
