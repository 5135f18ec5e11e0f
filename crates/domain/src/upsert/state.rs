//! Changes the state of a client: an upsert of the state alone, with a reason for the audit log.

use async_graphql::MaybeUndefined;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{ClientInput, Scope, UpsertClient, Upserted};
use crate::{
    caller::{Caller, Permission},
    client::{ClientParts, Clients},
    client_by::ClientBy,
    enums::ClientState,
    idempotency::Fingerprint,
    member::{Problems, Scalars},
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Problem, ProblemCode},
    text::is_blank,
};

/// The limit of a reason, in characters.
pub const LONGEST_REASON: usize = 2_000;

/// A change of a client's state.
#[derive(Serialize, Clone, Debug)]
pub struct ChangeClientState {
    pub by: ClientBy,
    pub state: ClientState,
    pub reason: Option<String>,
    pub expected_version: Option<i32>,
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

impl Clients {
    /// Changes the state of a client by the table of transitions. The state that it already has changes nothing. Under
    /// an idempotency key the change is made once. Returns at least these parts of the client; none of it if the caller
    /// may not view clients.
    ///
    /// # Errors
    /// Every problem as the inner error, internal errors as the outer one. Nothing is written with either.
    pub async fn change_state(
        &self,
        caller: &Caller,
        input: &ChangeClientState,
        parts: ClientParts,
        now: DateTime<Utc>,
    ) -> Result<Result<Option<Upserted>, Vec<Problem>>> {
        Scope::State.require(caller)?;
        let mut problems = Problems::default();
        let reason = reason(input.reason.as_deref(), &mut problems);
        if !problems.0.is_empty() {
            return Ok(Err(problems.0));
        }
        let members = serde_json::to_vec(input).map_err(Error::internal)?;
        let upsert = UpsertClient {
            client: ClientInput {
                state: MaybeUndefined::Value(input.state.as_str().to_owned()),
                ..ClientInput::default()
            },
            named: Some(input.by.clone()),
            scope: Scope::State,
            reason,
            expected_version: input.expected_version,
            idempotency_key: input.idempotency_key.clone(),
            request: Some(Fingerprint::of(["changeClientState".as_bytes(), &members])),
            ..UpsertClient::default()
        };
        let is_shown = caller.can(Permission::ViewClient);
        let parts = if is_shown { parts } else { ClientParts::default() };
        let answer = self.upsert(caller, &upsert, parts, now).await?;
        Ok(match answer {
            Ok(upserted) => Ok(Some(upserted).filter(|_| is_shown)),
            Err(problems) => Err(problems.into_iter().map(in_own_input).collect()),
        })
    }
}

/// Checks the member `reason` of a request. A blank one counts as none.
pub(super) fn reason(sent: Option<&str>, problems: &mut Problems) -> Option<String> {
    let sent = sent.filter(|reason| !is_blank(reason));
    let sent = sent.map_or(MaybeUndefined::Undefined, |reason| {
        MaybeUndefined::Value(reason.to_owned())
    });
    let scope = Vec::new();
    Scalars { scope, problems }.lines("reason", &sent, None, LONGEST_REASON)
}

/// The state isn't in an object of the client's members here. It also brings back the values of a merged client, which
/// the input doesn't have.
fn in_own_input(problem: Problem) -> Problem {
    match problem.path == path!["client", "state"] || problem.code == ProblemCode::DuplicateClient {
        true => Problem {
            path: path!["state"].to_vec(),
            ..problem
        },
        false => problem,
    }
}
