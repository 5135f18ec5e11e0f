//! The route that searches clients by constraints in its body.

use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use clientele_storage::paging::Range;

use super::{
    Api, MaybeRequestId,
    answer::{self, Detail},
    errors::RestError,
    page_error,
    parameters::{self, Parameters},
    read, respond,
    submit::now,
};
use clientele_domain::{
    caller::{Caller, Permission},
    client::constraint::Constraint,
};

pub async fn search(
    State(api): State<Api>,
    request_id: MaybeRequestId,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let found = async {
        // The permission is checked before the body is read.
        caller.require(Permission::ViewClient)?;
        let received = api.receive(request).await?;
        let json = api.json_of(&received)?;
        let page = Parameters::parse(received.query()).and_then(|parameters| parameters::page(&parameters));
        let (range, detail) = read::before(json, page)?;
        let constraints = read::constraints(json)?;
        api.within_budget(&caller, api.found(&caller, &constraints, &range, detail))
            .await
    };
    respond(found.await, request_id)
}

impl Api {
    async fn found(
        &self,
        caller: &Caller,
        constraints: &[Constraint],
        range: &Range,
        detail: Detail,
    ) -> Result<Vec<u8>, RestError> {
        let found = self.clients.search(caller, constraints, range, detail.parts(), now());
        let page = found.await.map_err(page_error)??;
        answer::clients(&page.clients.rows, &page.definitions, detail).map_err(page_error)
    }
}
