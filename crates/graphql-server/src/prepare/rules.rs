//! Rules of the specification that async-graphql's validation leaves out.
//!
//! They check a document as it was written, and refuse documents at which async-graphql panics. Rules that need the
//! types of arguments are in `literals`.

use std::collections::HashSet;

use async_graphql::{
    Name, Pos, Positioned,
    parser::types::{
        BaseType, Directive, ExecutableDocument, InlineFragment, Selection, SelectionSet, Type, VariableDefinition,
    },
    registry::{MetaType, Registry},
};
use async_graphql_value::Value;

use crate::error::{Code, GraphqlError};

/// Checks a document as written.
pub(super) fn before(document: &ExecutableDocument, registry: &Registry) -> Vec<GraphqlError> {
    let mut errors = Vec::new();
    for (_, operation) in document.operations.iter() {
        for variable in &operation.node.variable_definitions {
            variable_definition(&variable.node, registry, &mut errors);
        }
    }
    for set in selection_sets(document) {
        type_names(&set.node, &mut errors);
    }
    errors
}

fn selection_sets(document: &ExecutableDocument) -> impl Iterator<Item = &Positioned<SelectionSet>> {
    let operations = document
        .operations
        .iter()
        .map(|(_, operation)| &operation.node.selection_set);
    operations.chain(document.fragments.values().map(|fragment| &fragment.node.selection_set))
}

pub(super) fn invalid(message: String, pos: Pos) -> GraphqlError {
    GraphqlError::new(Code::ValidationFailed, message).at(pos)
}

fn variable_definition(variable: &VariableDefinition, registry: &Registry, errors: &mut Vec<GraphqlError>) {
    let (name, ty) = (&variable.name.node, &variable.var_type);
    if !registry
        .types
        .get(base(&ty.node).as_str())
        .is_some_and(MetaType::is_input)
    {
        errors.push(invalid(
            format!(
                "Variable \"${name}\" can't be of type {}: that is no input type of this schema.",
                ty.node
            ),
            ty.pos,
        ));
    }
    // No directive is defined for these places, and async-graphql doesn't check them.
    for directive in &variable.directives {
        let message = format!(
            "The directive \"@{}\" can't stand at a variable.",
            directive.node.name.node
        );
        errors.push(invalid(message, directive.pos));
    }
}

fn base(ty: &Type) -> &Name {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(inner) => base(inner),
    }
}

fn type_names(set: &SelectionSet, errors: &mut Vec<GraphqlError>) {
    for item in &set.items {
        match &item.node {
            Selection::Field(field) if field.node.name.node == "__typename" => {
                if !field.node.arguments.is_empty() {
                    errors.push(invalid("\"__typename\" takes no arguments.".into(), field.pos));
                }
                if !field.node.selection_set.node.items.is_empty() {
                    errors.push(invalid(
                        "\"__typename\" is a String and has no fields.".into(),
                        field.pos,
                    ));
                }
            }
            Selection::Field(field) => type_names(&field.node.selection_set.node, errors),
            Selection::InlineFragment(part) => type_names(&part.node.selection_set.node, errors),
            Selection::FragmentSpread(_) => {}
        }
    }
}

/// The document for async-graphql's validation. That skips `__typename` with its directives and their variables, so
/// here these directives are on a fragment around the field.
pub(super) fn with_visible_type_names(mut document: ExecutableDocument) -> ExecutableDocument {
    fn visit(set: &mut SelectionSet) {
        for item in &mut set.items {
            match &mut item.node {
                Selection::Field(field)
                    if field.node.name.node == "__typename" && !field.node.directives.is_empty() =>
                {
                    let directives = std::mem::take(&mut field.node.directives);
                    let wrapped = SelectionSet {
                        items: vec![item.clone()],
                    };
                    item.node = Selection::InlineFragment(Positioned::new(
                        InlineFragment {
                            type_condition: None,
                            directives,
                            selection_set: Positioned::new(wrapped, item.pos),
                        },
                        item.pos,
                    ));
                }
                Selection::Field(field) => visit(&mut field.node.selection_set.node),
                Selection::InlineFragment(part) => visit(&mut part.node.selection_set.node),
                Selection::FragmentSpread(_) => {}
            }
        }
    }
    match &mut document.operations {
        async_graphql::parser::types::DocumentOperations::Single(operation) => {
            visit(&mut operation.node.selection_set.node)
        }
        async_graphql::parser::types::DocumentOperations::Multiple(operations) => {
            operations
                .values_mut()
                .for_each(|operation| visit(&mut operation.node.selection_set.node));
        }
    }
    document
        .fragments
        .values_mut()
        .for_each(|fragment| visit(&mut fragment.node.selection_set.node));
    document
}

/// The variables of all conditions: a condition is never null.
pub(super) fn condition_variables(document: &ExecutableDocument) -> HashSet<Name> {
    fn visit(set: &SelectionSet, names: &mut HashSet<Name>) {
        for item in &set.items {
            for directive in item
                .node
                .directives()
                .iter()
                .filter(|directive| is_condition(&directive.node))
            {
                if let Some(Value::Variable(name)) = directive.node.get_argument("if").map(|value| &value.node) {
                    names.insert(name.clone());
                }
            }
            match &item.node {
                Selection::Field(field) => visit(&field.node.selection_set.node, names),
                Selection::InlineFragment(part) => visit(&part.node.selection_set.node, names),
                Selection::FragmentSpread(_) => {}
            }
        }
    }
    let mut names = HashSet::new();
    selection_sets(document).for_each(|set| visit(&set.node, &mut names));
    names
}

fn is_condition(directive: &Directive) -> bool {
    matches!(directive.name.node.as_str(), "skip" | "include")
}

/// True if any selection has a condition.
pub(super) fn has_conditions(document: &ExecutableDocument) -> bool {
    fn visit(set: &SelectionSet) -> bool {
        set.items.iter().any(|item| {
            item.node
                .directives()
                .iter()
                .any(|directive| is_condition(&directive.node))
                || match &item.node {
                    Selection::Field(field) => visit(&field.node.selection_set.node),
                    Selection::InlineFragment(part) => visit(&part.node.selection_set.node),
                    Selection::FragmentSpread(_) => false,
                }
        })
    }
    selection_sets(document).any(|set| visit(&set.node))
}
