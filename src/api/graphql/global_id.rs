//! Global ids, which name an object of any type. Opaque to callers.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use clientele_core::text::has_control_characters;

/// The object that a global id names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GlobalId {
    Client(String),
    Address { client_key: String, key: String },
    IdDocument { client_key: String, key: String },
    CustomFieldValue { client_key: String, key: String },
    Message { client_key: String, key: String },
    CustomFieldSet(String),
    CustomField(String),
    ClientRole(String),
    MessageTemplate(String),
    AuditRecord { chain: String, position: String },
    User(String),
    Token(String),
}

/// The longest id, longer than any that this API returns.
const LONGEST: usize = 256;

impl GlobalId {
    pub fn encode(&self) -> String {
        let (name, first, second) = match self {
            Self::Client(key) => ("Client", key, None),
            Self::Address { client_key, key } => ("Address", client_key, Some(key)),
            Self::IdDocument { client_key, key } => ("IdDocument", client_key, Some(key)),
            Self::CustomFieldValue { client_key, key } => ("CustomFieldValue", client_key, Some(key)),
            Self::Message { client_key, key } => ("Message", client_key, Some(key)),
            Self::CustomFieldSet(key) => ("CustomFieldSet", key, None),
            Self::CustomField(key) => ("CustomField", key, None),
            Self::ClientRole(key) => ("ClientRole", key, None),
            Self::MessageTemplate(key) => ("MessageTemplate", key, None),
            Self::AuditRecord { chain, position } => ("AuditRecord", chain, Some(position)),
            Self::User(key) => ("User", key, None),
            Self::Token(key) => ("Token", key, None),
        };
        let text = match second {
            Some(second) => format!("{name}:{first}:{second}"),
            None => format!("{name}:{first}"),
        };
        BASE64_URL_SAFE_NO_PAD.encode(text)
    }

    /// Reads an id; none when this API returns no such id.
    pub fn decode(id: &str) -> Option<Self> {
        if id.len() > LONGEST {
            return None;
        }
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
        if has_control_characters(&text) {
            return None;
        }
        let mut parts = text.split(':').map(str::to_owned);
        let (name, first, second) = (parts.next()?, parts.next()?, parts.next());
        match (name.as_str(), second, parts.next()) {
            ("Client", None, None) => Some(Self::Client(first)),
            ("Address", Some(key), None) => Some(Self::Address { client_key: first, key }),
            ("IdDocument", Some(key), None) => Some(Self::IdDocument { client_key: first, key }),
            ("CustomFieldValue", Some(key), None) => Some(Self::CustomFieldValue { client_key: first, key }),
            ("Message", Some(key), None) => Some(Self::Message { client_key: first, key }),
            ("CustomFieldSet", None, None) => Some(Self::CustomFieldSet(first)),
            ("CustomField", None, None) => Some(Self::CustomField(first)),
            ("ClientRole", None, None) => Some(Self::ClientRole(first)),
            ("MessageTemplate", None, None) => Some(Self::MessageTemplate(first)),
            ("User", None, None) => Some(Self::User(first)),
            ("Token", None, None) => Some(Self::Token(first)),
            ("AuditRecord", Some(position), None) => Some(Self::AuditRecord { chain: first, position }),
            _ => None,
        }
    }
}
