//! The interface `Node`: every object with a global id can be found by it, whatever its type.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, ServerResult, Value,
    indexmap::IndexSet,
    parser::types::Field,
    registry::{MetaType, MetaTypeId, Registry},
};
use bytes::Bytes;
use graphql_server::{
    object::{NODE, WRITTEN, meta_field},
    raw,
};

use super::objects::NODES;

/// An object of any type with a global id, written as its own type.
pub struct Node(pub Bytes);

impl OutputType for Node {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed(NODE)
    }

    fn create_type_info(registry: &mut Registry) -> String {
        registry.create_output_type::<Self, _>(MetaTypeId::Interface, |registry| {
            let id = meta_field(
                "id",
                "The global ID: opaque, and unique among all objects.",
                "ID!".to_owned(),
                &[],
            );
            let mut possible_types = IndexSet::new();
            for (name, register) in NODES {
                register(registry);
                possible_types.insert((*name).to_owned());
            }
            MetaType::Interface {
                name: NODE.to_owned(),
                description: Some("An object with a global ID, which `node` and `nodes` find.".to_owned()),
                fields: [("id".to_owned(), id)].into_iter().collect(),
                possible_types,
                extends: false,
                inaccessible: false,
                tags: vec![WRITTEN.to_owned()],
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
