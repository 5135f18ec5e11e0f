//! The client that an upsert is about: its names in the submission, the permissions, and the expected version.

use async_graphql::MaybeUndefined;
use sea_orm::Value;

use super::{ClientInput, ClientMatch, Scope, Upsert, UpsertClient};
use crate::{
    caller::{Caller, Permission},
    client::{Aggregate, LAST_VERSION},
    client_by::ClientBy,
    definitions::Field,
};
use clientele_core::{
    error::Result,
    path,
    problem::{Message, Problem, ProblemCode, VersionConflict},
    text::is_blank,
};
use clientele_storage::db::Transaction;

/// The path of problems with the client in an API's path.
pub const NAMED: &str = "id";

impl Scope {
    /// # Errors
    /// [`clientele_core::error::Error::Forbidden`] without any of the permissions that a submission can need.
    pub fn require(self, caller: &Caller) -> Result<()> {
        let (one, other) = match self {
            Self::Upsert => (Permission::CreateClient, Permission::EditClient),
            Self::Patch => (Permission::ChangeState, Permission::EditClient),
            Self::State => (Permission::ChangeState, Permission::ChangeState),
            Self::Merge => (Permission::MergeClients, Permission::MergeClients),
        };
        match caller.can(one) {
            true => Ok(()),
            false => caller.require(other),
        }
    }
}

impl UpsertClient {
    /// Returns a problem without a permission that the submission needs: to create a client, or to change one in this
    /// state. Which it needs is known only after the client was looked for.
    ///
    /// Together with other members, the state that the client already has needs no permission of its own.
    pub(super) fn forbidden(&self, caller: &Caller, is_change: bool, stored_state: Option<&str>) -> Option<Problem> {
        let state = self.client.state.value().filter(|_| self.scope != Scope::Upsert);
        let others = || ClientInput {
            state: MaybeUndefined::Undefined,
            ..self.client.clone()
        };
        let edits = state.is_none() || others() != ClientInput::default();
        let moves = state.is_some_and(|state| !edits || stored_state.is_some_and(|stored| stored != state));
        let needed = match is_change {
            _ if self.scope == Scope::Merge => [(true, Permission::MergeClients, "merge clients"); 2],
            false => [(true, Permission::CreateClient, "create a client"); 2],
            true => [
                (edits, Permission::EditClient, "change a client"),
                (moves, Permission::ChangeState, "change the state of a client"),
            ],
        };
        let mut lacking = needed
            .into_iter()
            .filter(|(is_needed, permission, _)| *is_needed && !caller.can(*permission));
        lacking.next().map(|(_, permission, act)| {
            let message = format!("To {act} you need the permission {}.", permission.as_str());
            Problem::new(ProblemCode::Forbidden, path![], message)
        })
    }

    /// The client that the submission changes if it exists; none if the submission always creates one.
    pub fn target(&self) -> Option<ClientBy> {
        let ClientInput {
            encoded_key, client_id, ..
        } = &self.client;
        match (&self.named, encoded_key, client_id, self.match_on) {
            (Some(named), ..) => Some(named.clone()),
            (None, MaybeUndefined::Value(key), ..) => Some(ClientBy::EncodedKey(key.clone())),
            (None, _, MaybeUndefined::Value(id), ClientMatch::ClientId) => Some(ClientBy::ClientId(id.clone())),
            _ => None,
        }
    }

    /// Returns a problem if `matchOn` comes without the name that it needs, or with another name.
    pub(super) fn unclear_target(&self) -> Option<Problem> {
        let is_named = self.match_custom_field.is_some();
        if is_named != (self.match_on == ClientMatch::CustomField) {
            let (code, message) = match is_named {
                true => (ProblemCode::Invalid, "matchCustomField needs matchOn: CUSTOM_FIELD."),
                false => (ProblemCode::Blank, "matchOn: CUSTOM_FIELD needs matchCustomField."),
            };
            return Some(Problem::new(code, path!["matchCustomField"], message));
        }
        let match_on = match self.match_on {
            ClientMatch::EncodedKey => return None,
            ClientMatch::ClientId => "CLIENT_ID",
            ClientMatch::CustomField => "CUSTOM_FIELD",
        };
        if matches!(self.client.encoded_key, MaybeUndefined::Value(_)) {
            let message = format!("encodedKey and matchOn: {match_on} exclude each other: leave one of them out.");
            return Some(Problem::new(
                ProblemCode::Invalid,
                path!["client", "encodedKey"],
                message,
            ));
        }
        if self.match_on == ClientMatch::CustomField {
            return None;
        }
        match &self.client.client_id {
            MaybeUndefined::Value(id) if !is_blank(id) => None,
            _ => {
                let message = Message::from("matchOn: CLIENT_ID needs the ")
                    .member("clientId")
                    .text(" to look for.");
                Some(Problem::new(ProblemCode::Blank, path!["client", "clientId"], message))
            }
        }
    }
}

impl Upsert<'_> {
    /// Returns a problem if the names in the submission lead to no client, or to two.
    pub(super) async fn wrong_target(
        &self,
        stored: Option<&Aggregate>,
        transaction: &Transaction,
    ) -> Result<Option<Problem>> {
        if let Some(named) = &self.input.named
            && stored.is_none()
        {
            return Ok(Some(unknown_client(named)));
        }
        let unknown = |message: &'static str| {
            Ok(Some(Problem::new(
                ProblemCode::NotFound,
                path!["client", "encodedKey"],
                message,
            )))
        };
        let MaybeUndefined::Value(key) = &self.input.client.encoded_key else {
            let update = self.input.demand_key && stored.is_some();
            return if update {
                unknown("A change must carry the client's encodedKey.")
            } else {
                Ok(None)
            };
        };
        match stored {
            Some(stored) if stored.client.encoded_key == *key => Ok(None),
            Some(_) if !key.contains('\0') && self.client_exists(key, transaction).await? => {
                let message =
                    "The path and the encodedKey name two different clients: correct encodedKey, or leave it out.";
                Ok(Some(Problem::new(
                    ProblemCode::Mismatch,
                    path!["client", "encodedKey"],
                    message,
                )))
            }
            _ if self.input.named.is_some() => {
                unknown("There is no client with this key: correct encodedKey, or leave it out, as the path names one.")
            }
            _ => unknown("There is no client with this key: leave encodedKey out to create one."),
        }
    }

    /// Returns true if there is a client with this key for the caller.
    pub(super) async fn client_exists(&self, key: &str, transaction: &Transaction) -> Result<bool> {
        self.exists(&ClientBy::EncodedKey(key.to_owned()), transaction).await
    }

    /// Returns true if the client that the submission names, by its id or by the value that must be unique, exists for
    /// the caller.
    pub(super) async fn target_exists(
        &self,
        matched: Option<(&Field, &str)>,
        transaction: &Transaction,
    ) -> Result<bool> {
        let Some(by) = self.input.target() else {
            return match matched {
                Some(matched) => Ok(self.holder(matched, transaction).await?.is_some()),
                None => Ok(false),
            };
        };
        self.exists(&by, transaction).await
    }

    /// Returns true if this client exists for the caller.
    pub(super) async fn exists(&self, by: &ClientBy, transaction: &Transaction) -> Result<bool> {
        let (condition, name) = by.condition();
        let mut values = vec![name.into()];
        let limit = self.caller.rights.and_limit(transaction.dialect, "c", &mut values);
        let sql = format!("SELECT 1 FROM client c WHERE {condition}{limit}");
        Ok(transaction.one(sql, values).await?.is_some())
    }

    /// Returns true if the query `holder` selects the key of a client that exists, but not for the caller: it has a
    /// value that must be unique, and the caller can't change it instead.
    pub(super) async fn is_hidden(
        &self,
        holder: &str,
        values: impl IntoIterator<Item = Value>,
        transaction: &Transaction,
    ) -> Result<bool> {
        let mut values: Vec<Value> = values.into_iter().collect();
        let limit = self.caller.rights.and_limit(transaction.dialect, "c", &mut values);
        if limit.is_empty() {
            return Ok(false);
        }
        let sql = format!(
            "SELECT 1 FROM client o WHERE o.encoded_key = ({holder}) \
             AND NOT EXISTS (SELECT 1 FROM client c WHERE c.encoded_key = o.encoded_key{limit})"
        );
        Ok(transaction.one(sql, values).await?.is_some())
    }

    pub(super) fn wrong_version(&self, stored: Option<&Aggregate>) -> Option<Problem> {
        let expected = self.input.expected_version?;
        // A caller who may not change the client gets that error, and not its version.
        let state = stored.map(|stored| stored.client.state.as_str());
        if self.input.forbidden(self.caller, stored.is_some(), state).is_some() {
            return None;
        }
        let mut problem = version_conflict(expected, stored.map_or(0, |stored| stored.client.version))?;
        if let Some(conflict) = &mut problem.conflict {
            conflict.client_key = stored.map(|stored| stored.client.encoded_key.clone());
        }
        Some(problem)
    }
}

/// Returns a problem if the stored version isn't the expected one. 0 is a client that doesn't exist.
pub(crate) fn version_conflict(expected: i32, version: i32) -> Option<Problem> {
    (expected != version).then(|| {
        let message = match version {
            0 => "There is no such client, so there is no version to expect: leave expectedVersion out to create one."
                .to_owned(),
            _ => format!("The stored version is {version}, not {expected}: read the client again and decide anew."),
        };
        Problem {
            conflict: Some(Box::new(VersionConflict {
                version: version.into(),
                client_key: None,
            })),
            ..Problem::new(ProblemCode::VersionConflict, path!["expectedVersion"], message)
        }
    })
}

/// The problem of a client that can't have another version.
pub(super) fn last_version() -> Problem {
    let message = format!("The client has the last version, {LAST_VERSION}: it can't be changed any more.");
    Problem::new(ProblemCode::TooMany, path!["client"], message)
}

/// The problem of a client that must exist, and doesn't.
pub(crate) fn unknown_client(by: &ClientBy) -> Problem {
    let (place, message) = match by {
        ClientBy::Either(_) => (NAMED, "There is no client with this id or key."),
        ClientBy::EncodedKey(_) => ("by", "There is no client with this key."),
        ClientBy::ClientId(_) => ("by", "There is no client with this id."),
    };
    Problem::new(ProblemCode::NotFound, path![place], message)
}
