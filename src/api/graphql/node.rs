//! Global ids and the interface `Node`: every object that has one can be found by it, whatever its type.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, ServerResult, Value,
    indexmap::IndexSet,
    parser::types::Field,
    registry::{MetaType, MetaTypeId, Registry},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;

use super::{answer::raw, object::meta_field};
use clientele_core::text::has_control_characters;

pub const NAME: &str = "Node";

/// What a global id says: which object it is. Opaque to callers.
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

/// Longer than any id that was ever given out.
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

    /// Reads an id; none when it isn't one that was given out by this API.
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

/// An object of any type that has a global id, written for the type it is.
pub struct Node(pub Bytes);

impl OutputType for Node {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed(NAME)
    }

    fn create_type_info(registry: &mut Registry) -> String {
        registry.create_output_type::<Self, _>(MetaTypeId::Interface, |registry| {
            let id = meta_field(
                "id",
                "The global id: opaque, and unique among all objects.",
                "ID!".to_owned(),
                &[],
            );
            let mut possible_types = IndexSet::new();
            for (name, register) in super::objects::NODES {
                register(registry);
                possible_types.insert((*name).to_owned());
            }
            MetaType::Interface {
                name: NAME.to_owned(),
                description: Some("An object with a global id: `node(id:)` finds it, whatever its type.".to_owned()),
                fields: [("id".to_owned(), id)].into_iter().collect(),
                possible_types,
                extends: false,
                inaccessible: false,
                tags: Vec::new(),
                keys: None,
                visible: None,
                rust_typename: Some(std::any::type_name::<Self>()),
                directive_invocations: Vec::new(),
                requires_scopes: Vec::new(),
            }
        })
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(raw(self.0.clone()))
    }
}
