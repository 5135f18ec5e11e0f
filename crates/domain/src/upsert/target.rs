//! The client that an upsert is about: its names in the submission, the permission, and the expected version.

use async_graphql::MaybeUndefined;

use super::{ClientInput, ClientMatch, Upsert, UpsertClient};
use crate::{
    caller::{Caller, Permission},
    client::Aggregate,
    client_by::ClientBy,
};
use clientele_core::{
    error::Result,
    path,
    problem::{Message, Problem, ProblemCode},
    text::is_blank,
};
use clientele_storage::db::Transaction;

/// The path of problems with the client in an API's path.
pub const NAMED: &str = "id";

/// Returns the permission to change an existing client, or to create one.
fn permission(present: bool) -> Permission {
    match present {
        true => Permission::EditClient,
        false => Permission::CreateClient,
    }
}

/// Returns a problem without the permission. Which one is needed is known only after the client was looked for.
pub(super) fn forbidden(caller: &Caller, present: bool) -> Option<Problem> {
    let permission = permission(present);
    let act = if present { "change" } else { "create" };
    let message = || format!("To {act} a client you need the permission {}.", permission.as_str());
    (!caller.can(permission)).then(|| Problem::new(ProblemCode::Forbidden, path![], message()))
}

impl UpsertClient {
    /// The client that the submission changes if it exists; none if the submission always creates one.
    pub fn target(&self) -> Option<ClientBy> {
        let ClientInput {
            encoded_key, client_id, ..
        } = &self.client;
        match (&self.named, encoded_key, client_id, self.match_on) {
            (Some(named), ..) => Some(ClientBy::Either(named.clone())),
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
        if self.input.named.is_some() && stored.is_none() {
            let message = "There is no client with this id or key.";
            return Ok(Some(Problem::new(ProblemCode::NotFound, path![NAMED], message)));
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
            Some(_) if !key.contains('\0') && client_exists(key, transaction).await? => {
                let message = "The path and the encodedKey name two different clients.";
                Ok(Some(Problem::new(
                    ProblemCode::Mismatch,
                    path!["client", "encodedKey"],
                    message,
                )))
            }
            _ => unknown("There is no client with this key: leave encodedKey out to create one."),
        }
    }

    pub(super) fn wrong_version(&self, stored: Option<&Aggregate>) -> Option<Problem> {
        let expected = self.input.expected_version?;
        // A caller who may not change the client gets that error, and not its version.
        if !self.caller.can(permission(stored.is_some())) {
            return None;
        }
        let version = stored.map_or(0, |stored| stored.client.version);
        (expected != version).then(|| {
            let message = match version {
                0 => "There is no such client, so there is no version to expect: leave expectedVersion out to create \
                      one."
                    .to_owned(),
                _ => format!("The stored version is {version}, not {expected}: read the client again and decide anew."),
            };
            Problem {
                stored_version: Some(version.into()),
                ..Problem::new(ProblemCode::VersionConflict, path!["expectedVersion"], message)
            }
        })
    }
}

async fn client_exists(key: &str, transaction: &Transaction) -> Result<bool> {
    Ok(transaction
        .one("SELECT 1 FROM client WHERE encoded_key = $1", [key.into()])
        .await?
        .is_some())
}
