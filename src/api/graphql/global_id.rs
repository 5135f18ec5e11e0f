//! Global ids, which name an object of any type. Opaque to callers.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use clientele_core::text::has_control_characters;

/// The object that a global id names: the name of its type with its key, after the key of the client if it belongs to
/// one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GlobalId {
    Client(String),
    Address(String, String),
    IdDocument(String, String),
    CustomFieldValue(String, String),
    Message(String, String),
    CustomFieldSet(String),
    CustomField(String),
    ClientRole(String),
    IdDocumentTemplate(String),
    MessageTemplate(String),
    /// The chain of records, and the position in it.
    AuditRecord(String, String),
    User(String),
    Token(String),
    Session(String),
    Suppression(String),
}

/// The longest id, longer than any that this API returns.
const LONGEST: usize = 256;

/// The global id of an object of this type, with the keys that [`GlobalId`] has.
pub fn encode(type_name: &str, keys: &[&str]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{type_name}:{}", keys.join(":")))
}

impl GlobalId {
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
            ("Address", Some(key), None) => Some(Self::Address(first, key)),
            ("IdDocument", Some(key), None) => Some(Self::IdDocument(first, key)),
            ("CustomFieldValue", Some(key), None) => Some(Self::CustomFieldValue(first, key)),
            ("Message", Some(key), None) => Some(Self::Message(first, key)),
            ("CustomFieldSet", None, None) => Some(Self::CustomFieldSet(first)),
            ("CustomField", None, None) => Some(Self::CustomField(first)),
            ("ClientRole", None, None) => Some(Self::ClientRole(first)),
            ("IdDocumentTemplate", None, None) => Some(Self::IdDocumentTemplate(first)),
            ("MessageTemplate", None, None) => Some(Self::MessageTemplate(first)),
            ("AuditRecord", Some(position), None) => Some(Self::AuditRecord(first, position)),
            ("User", None, None) => Some(Self::User(first)),
            ("Token", None, None) => Some(Self::Token(first)),
            ("Session", None, None) => Some(Self::Session(first)),
            ("Suppression", None, None) => Some(Self::Suppression(first)),
            _ => None,
        }
    }
}
