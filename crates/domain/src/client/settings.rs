//! Settings of clients.

use serde::{Deserialize, Serialize};

use crate::{enums::ClientState, id_pattern::IdPattern};

/// Settings for creating clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientSettings {
    /// The form of generated client ids: `#` is a digit, `@` a capital letter, `$` either, any other character itself.
    pub id_pattern: IdPattern,
    /// The state of a new client: INACTIVE, PENDING_APPROVAL or ACTIVE.
    #[serde(deserialize_with = "first_state")]
    pub first_state: ClientState,
    /// Accepts identification documents that name no template.
    pub other_id_documents: bool,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            id_pattern: IdPattern::default(),
            first_state: ClientState::Inactive,
            other_id_documents: true,
        }
    }
}

fn first_state<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ClientState, D::Error> {
    let state = ClientState::deserialize(deserializer)?;
    match state {
        ClientState::PendingApproval | ClientState::Inactive | ClientState::Active => Ok(state),
        ClientState::Exited | ClientState::Blacklisted | ClientState::Rejected => Err(serde::de::Error::custom(
            "a new client can be PENDING_APPROVAL, INACTIVE or ACTIVE, and nothing else",
        )),
    }
}
