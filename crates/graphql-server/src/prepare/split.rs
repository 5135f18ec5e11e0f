//! Splits a flattened operation into the part that async-graphql executes and the selections of written objects.

use std::sync::Arc;

use async_graphql::{
    Positioned,
    parser::types::{Directive, OperationDefinition, Selection, SelectionSet},
    registry::{MetaType, Registry},
};
use async_graphql_value::Value;

use super::flatten::{placeholder, root};
use crate::selection::RootSelections;

/// The tag of types in the registry whose objects this crate or the application writes as JSON.
pub const WRITTEN: &str = "written";

/// A flattened operation, with variables in place of their values.
pub(crate) struct Flat {
    /// The operation with all its selections.
    pub whole: Arc<Positioned<OperationDefinition>>,
    /// The part that async-graphql executes. It selects nothing below a field of written objects.
    pub(super) executed: OperationDefinition,
    pub(super) selections: RootSelections,
}

impl Flat {
    pub fn new(whole: Positioned<OperationDefinition>, registry: &Registry) -> Self {
        let root = root(whole.node.ty, registry);
        let mut executed = whole.node.clone();
        let mut selections = RootSelections::default();
        for item in &mut executed.selection_set.node.items {
            let Selection::Field(field) = &mut item.node else {
                continue;
            };
            let (at, field) = (field.pos, &mut field.node);
            let meta = root.and_then(|root| root.field_by_name(&field.name.node));
            let ty = meta.and_then(|meta| registry.concrete_type_by_name(&meta.ty));
            if ty.is_some_and(is_written) {
                selections.add(field, has_variables(&field.selection_set.node));
                field.selection_set.node.items = vec![placeholder(at)];
            }
        }
        Self {
            whole: Arc::new(whole),
            executed,
            selections,
        }
    }
}

fn is_written(ty: &MetaType) -> bool {
    let (MetaType::Object { tags, .. } | MetaType::Interface { tags, .. }) = ty else {
        return false;
    };
    tags.iter().any(|tag| tag == WRITTEN)
}

fn has_variables(set: &SelectionSet) -> bool {
    set.items.iter().any(|item| match &item.node {
        Selection::Field(field) => {
            let field = &field.node;
            let directives = field
                .directives
                .iter()
                .flat_map(|Positioned { node, .. }: &Positioned<Directive>| &node.arguments);
            let mut arguments = field.arguments.iter().chain(directives);
            arguments.any(|(_, value)| is_variable(&value.node)) || has_variables(&field.selection_set.node)
        }
        Selection::InlineFragment(part) => has_variables(&part.node.selection_set.node),
        Selection::FragmentSpread(_) => false,
    })
}

/// True if a value is a variable, or has one in it.
fn is_variable(value: &Value) -> bool {
    match value {
        Value::Variable(_) => true,
        Value::List(items) => items.iter().any(is_variable),
        Value::Object(members) => members.values().any(is_variable),
        _ => false,
    }
}
