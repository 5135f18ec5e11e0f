//! Rules of the specification that async-graphql's validation leaves out.
//!
//! They check a document as it was written, and refuse documents at which async-graphql panics. Rules that need the
//! types of arguments are in `literals`.

use async_graphql::{
    Name, Pos, Positioned,
    parser::types::{
        BaseType, Directive, DocumentOperations, ExecutableDocument, InlineFragment, OperationType, Selection,
        SelectionSet, Type, VariableDefinition,
    },
    registry::{MetaType, Registry},
};

use super::is_condition;
use crate::error::{Code, GraphqlError};

/// Checks a document as written.
pub(super) fn before(document: &ExecutableDocument, registry: &Registry) -> Vec<GraphqlError> {
    let mut errors = Vec::new();
    for (_, operation) in document.operations.iter() {
        for variable in &operation.node.variable_definitions {
            variable_definition(&variable.node, registry, &mut errors);
        }
    }
    for item in selections(document) {
        if let Selection::Field(field) = &item.node
            && field.node.name.node == "__typename"
        {
            if !field.node.arguments.is_empty() {
                errors.push(invalid("\"__typename\" takes no arguments.".into(), field.pos));
            }
            if !field.node.selection_set.node.items.is_empty() {
                let message = "\"__typename\" is a String and has no fields.".into();
                errors.push(invalid(message, field.pos));
            }
        }
    }
    errors
}

/// Returns true if the operation of this name has exactly one field in its root, which is one of these mutations.
/// `__typename`, which code generators add, doesn't count. Fragments in the root are none: expanding them needs the
/// checks that come later.
pub(crate) fn is_only(document: &ExecutableDocument, name: Option<&str>, mutations: &[&str]) -> bool {
    let mut operations = document.operations.iter();
    let operation = match (name, &document.operations) {
        (None, DocumentOperations::Multiple(all)) if all.len() > 1 => None,
        (None, _) => operations.next(),
        (Some(name), _) => operations.find(|(of, _)| of.is_some_and(|of| of == name)),
    };
    operation.is_some_and(|(_, operation)| {
        let is_mutation = operation.node.ty == OperationType::Mutation;
        let selections = operation.node.selection_set.node.items.iter();
        let mut others = selections.filter(|selection| !is_typename(&selection.node));
        let first = others.next().map(|selection| &selection.node);
        is_mutation
            && others.next().is_none()
            && matches!(first, Some(Selection::Field(field)) if mutations.contains(&&*field.node.name.node))
    })
}

fn is_typename(selection: &Selection) -> bool {
    matches!(selection, Selection::Field(field) if field.node.name.node == "__typename")
}

/// All selections of a document, as written.
fn selections(document: &ExecutableDocument) -> impl Iterator<Item = &Positioned<Selection>> {
    let operations = document.operations.iter();
    let operations = operations.map(|(_, operation)| &operation.node.selection_set.node);
    let fragments = document.fragments.values();
    let fragments = fragments.map(|fragment| &fragment.node.selection_set.node);
    let mut open: Vec<_> = operations.chain(fragments).map(|set| set.items.iter()).collect();
    // The last one is walked first.
    open.reverse();
    std::iter::from_fn(move || {
        loop {
            let Some(item) = open.last_mut()?.next() else {
                open.pop();
                continue;
            };
            match &item.node {
                selection if is_typename(selection) => {}
                Selection::Field(field) => open.push(field.node.selection_set.node.items.iter()),
                Selection::InlineFragment(part) => open.push(part.node.selection_set.node.items.iter()),
                Selection::FragmentSpread(_) => {}
            }
            return Some(item);
        }
    })
}

fn invalid(message: String, pos: Pos) -> GraphqlError {
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
        DocumentOperations::Single(operation) => visit(&mut operation.node.selection_set.node),
        DocumentOperations::Multiple(operations) => {
            let operations = operations.values_mut();
            operations.for_each(|operation| visit(&mut operation.node.selection_set.node));
        }
    }
    document
        .fragments
        .values_mut()
        .for_each(|fragment| visit(&mut fragment.node.selection_set.node));
    document
}

/// All conditions of selections.
pub(super) fn conditions(document: &ExecutableDocument) -> impl Iterator<Item = &Directive> {
    let directives = selections(document).flat_map(|item| item.node.directives());
    let directives = directives.filter(|directive| is_condition(directive));
    directives.map(|directive| &directive.node)
}
