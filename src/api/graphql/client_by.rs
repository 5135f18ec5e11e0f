//! The input that names a client.

use async_graphql::{ID, OneofObject};

use super::global_id::GlobalId;
use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
};
use clientele_domain::client_by::ClientBy as Named;

/// Names a client by exactly one of these fields.
#[derive(OneofObject)]
pub enum ClientBy {
    /// The global ID.
    Id(ID),
    /// The key.
    EncodedKey(String),
    /// The ID that people use.
    ClientId(String),
}

impl ClientBy {
    /// The named client; none when the global id isn't one of a client.
    pub fn named(self) -> Option<Named> {
        match self {
            Self::EncodedKey(key) => Some(Named::EncodedKey(key)),
            Self::ClientId(id) => Some(Named::ClientId(id)),
            Self::Id(id) => match GlobalId::decode(&id) {
                Some(GlobalId::Client(key)) => Some(Named::EncodedKey(key)),
                _ => None,
            },
        }
    }

    /// The client that a filter names.
    ///
    /// # Errors
    /// The global id isn't one of a client.
    pub fn in_filter(by: Option<Self>) -> Result<Option<Named>, Problem> {
        let Some(by) = by else { return Ok(None) };
        by.named().map(Some).ok_or_else(|| {
            let message = "This isn't the global id of a client.";
            Problem::new(ProblemCode::Invalid, path!["filter", "client", "id"], message)
        })
    }
}
