//! Settings of clients.

use serde::{Deserialize, Serialize};

use crate::{enums::ClientState, id_pattern::IdPattern};
use clientele_core::text_enum;

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
    pub duplicates: DuplicateChecks,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            id_pattern: IdPattern::default(),
            first_state: ClientState::Inactive,
            other_id_documents: true,
            duplicates: DuplicateChecks::default(),
        }
    }
}

/// Checks for clients that are already stored under another id. Texts are compared without regard to case, accents and
/// the format of phone numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DuplicateChecks {
    /// The type and number of an identification document.
    pub document: CheckLevel,
    pub home_phone: CheckLevel,
    /// Either mobile phone number, compared with both numbers of other clients.
    pub mobile_phone: CheckLevel,
    pub email_address: CheckLevel,
    /// The first and the last name together.
    pub names: CheckLevel,
    pub last_name_and_birth_date: CheckLevel,
}

text_enum! {
    /// The effect of a check.
    #[derive(Default)]
    CheckLevel {
        /// The check isn't made.
        #[default]
        None = "NONE",
        /// The client is stored, and GraphQL warns.
        Warning = "WARNING",
        /// The client is refused.
        Error = "ERROR",
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
