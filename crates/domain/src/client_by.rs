//! The ways to name a client and a role.

use async_graphql::OneofObject;
use serde::Serialize;

/// The name of one client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientBy {
    EncodedKey(String),
    ClientId(String),
    /// As in the legacy routes: a short id, else a key.
    Either(String),
}

impl ClientBy {
    /// The text that names it.
    pub fn name(&self) -> &String {
        match self {
            Self::EncodedKey(name) | Self::ClientId(name) | Self::Either(name) => name,
        }
    }

    /// The expression of the client's key, where `placeholder` stands for the name.
    pub fn key(&self, placeholder: &str) -> String {
        let of_id = format!("(SELECT client_key FROM client_id_claim WHERE client_id = {placeholder})");
        match self {
            Self::EncodedKey(_) => placeholder.to_owned(),
            Self::ClientId(_) => of_id,
            Self::Either(_) => format!("coalesce({of_id}, {placeholder})"),
        }
    }

    /// The condition on `c`, with the text to bind to `$1`.
    pub fn condition(&self) -> (String, &str) {
        (format!("c.encoded_key = {}", self.key("$1")), self.name())
    }
}

/// Names a client role, in one of these ways.
#[derive(OneofObject, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum ClientRoleBy {
    /// By its key.
    EncodedKey(String),
    /// By the id it was given.
    RoleId(String),
}
