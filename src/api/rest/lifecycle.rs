//! The routes that change some members of a client, such as its state, and that delete it.

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    response::Response,
};

use super::{
    Api, ClientId, MaybeRequestId, answer, client_id, errors::RestError, parameters::Parameters, read, respond,
    search_id, submit,
};
use crate::api::RequestPermit;
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

/// Changes a client with the id `search`.
pub async fn change_search(
    api: State<Api>,
    request_id: MaybeRequestId,
    caller: Extension<Caller>,
    request: Request,
) -> Response {
    change(api, request_id, caller, search_id(), request).await
}

/// Deletes a client with the id `search`.
pub async fn remove_search(
    api: State<Api>,
    request_id: MaybeRequestId,
    caller: Extension<Caller>,
    request: Request,
) -> Response {
    remove(api, request_id, caller, search_id(), request).await
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
        let permit = request.extensions().get::<RequestPermit>().cloned();
        let received = self.receive(request).await?;
        Parameters::parse(received.query())?.refuse_with("a client's id")?;
        let by = ClientBy::Either(client_id(id)?);
        let (idempotency_key, request) = received.idempotency();
        let input = RemoveClient {
            idempotency_key,
            request,
            ..by.into()
        };
        let (clients, of_caller, now) = (self.clients.clone(), caller.clone(), submit::now());
        let removal = async move { clients.delete(&of_caller, &input, now).await };
        self.carry_out(caller, removal, permit).await?;
        Ok(answer::success())
    }
}
