//! The stored objects that global ids name: their keys, their owners, and the permission to read them.

use crate::api::graphql::{global_id::GlobalId, load::ClientKey};
use clientele_domain::{audit::RecordKey, caller::Permission, client::Wanted, notify::MessageKey};

/// The permission to view an object. Definitions require none.
pub fn needs(id: &GlobalId) -> Option<Permission> {
    match id {
        GlobalId::Client(_)
        | GlobalId::Address { .. }
        | GlobalId::IdDocument { .. }
        | GlobalId::CustomFieldValue { .. } => Some(Permission::ViewClient),
        GlobalId::Message { .. } => Some(Permission::ViewMessages),
        GlobalId::AuditRecord { .. } => Some(Permission::Audit),
        GlobalId::User(_) | GlobalId::Token(_) => Some(Permission::ManageUsers),
        GlobalId::CustomFieldSet(_)
        | GlobalId::CustomField(_)
        | GlobalId::ClientRole(_)
        | GlobalId::MessageTemplate(_) => None,
    }
}

/// The client that an object is, or belongs to, and the collections to read of it.
pub fn owner(id: &GlobalId, own: Wanted) -> Option<ClientKey> {
    let none = Wanted::default();
    let (key, wanted) = match id {
        GlobalId::Client(key) => (key, own),
        GlobalId::Address { client_key, .. } => (
            client_key,
            Wanted {
                addresses: true,
                ..none
            },
        ),
        GlobalId::IdDocument { client_key, .. } => (
            client_key,
            Wanted {
                id_documents: true,
                ..none
            },
        ),
        GlobalId::CustomFieldValue { client_key, .. } => (
            client_key,
            Wanted {
                custom_values: true,
                ..none
            },
        ),
        _ => return None,
    };
    let key = key.clone();
    Some(ClientKey { key, wanted })
}

/// The message that an id names, if it names one.
pub fn message_key(id: &GlobalId) -> Option<MessageKey> {
    match id {
        GlobalId::Message { client_key, key } => Some(MessageKey {
            client_key: client_key.clone(),
            encoded_key: key.clone(),
        }),
        _ => None,
    }
}

/// The audit record that an id names, if it names one.
pub fn record_key(id: &GlobalId) -> Option<RecordKey> {
    match id {
        GlobalId::AuditRecord { chain, position } => Some(RecordKey {
            chain: chain.clone(),
            position: position.parse().ok()?,
        }),
        _ => None,
    }
}

pub fn is_definition(id: &GlobalId) -> bool {
    matches!(
        id,
        GlobalId::CustomFieldSet(_) | GlobalId::CustomField(_) | GlobalId::ClientRole(_) | GlobalId::MessageTemplate(_)
    )
}
