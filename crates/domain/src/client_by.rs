//! Names of clients and roles.

use async_graphql::OneofObject;
use serde::Serialize;

/// The name of one client.
#[derive(Serialize, Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientBy {
    EncodedKey(String),
    ClientId(String),
    /// A short id, else a key, as in the legacy routes.
    Either(String),
}

impl ClientBy {
    pub fn name(&self) -> &String {
        match self {
            Self::EncodedKey(name) | Self::ClientId(name) | Self::Either(name) => name,
        }
    }

    /// The SQL expression of the client's key, where `placeholder` stands for the name.
    pub fn key(&self, placeholder: &str) -> String {
        let of_id = format!("(SELECT client_key FROM client_id_claim WHERE client_id = {placeholder})");
        match self {
            Self::EncodedKey(_) => placeholder.to_owned(),
            Self::ClientId(_) => of_id,
            Self::Either(_) => format!("coalesce({of_id}, {placeholder})"),
        }
    }

    /// The SQL condition on `c`, with the text to bind to `$1`.
    pub fn condition(&self) -> (String, &str) {
        (format!("c.encoded_key = {}", self.key("$1")), self.name())
    }
}

/// Names a client role by exactly one of these fields.
#[derive(OneofObject, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum ClientRoleBy {
    /// The key.
    EncodedKey(String),
    /// The ID.
    RoleId(String),
}
