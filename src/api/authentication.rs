//! Finds out who is calling, before any door is asked.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::RequestId;
use crate::access::{Caller, Door};

/// Whether callers have to say who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    /// Anybody may do everything: for a server that nobody else can reach.
    #[default]
    Off,
}

/// Puts the [`Caller`] of `door` into the request, unless a layer outside has done so: nothing on the wire can.
pub async fn authenticate(
    State((authentication, door)): State<(Authentication, Door)>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let id = id.unwrap_or_else(RequestId::generate);
    let known = request.extensions().get::<Caller>().cloned();
    let caller = known.unwrap_or_else(|| match authentication {
        Authentication::Off => Caller::anyone(door, id.0.clone()),
    });
    request.extensions_mut().insert(id);
    request.extensions_mut().insert(caller);
    next.run(request).await
}
