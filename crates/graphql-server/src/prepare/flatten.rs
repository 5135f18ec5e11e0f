//! CollectFields of the specification, ahead of execution: one selection per response key, no fragments, no conditions.
//!
//! async-graphql resolves a field that is selected twice two times, also in a mutation, and merges the answers
//! unreliably. After flattening there is nothing to merge. Variables stay in the arguments; `Values::fill` replaces
//! them.

use std::collections::HashSet;

use async_graphql::{
    Name, Pos, Positioned,
    indexmap::IndexMap,
    parser::types::{
        ExecutableDocument, Field, InlineFragment, OperationDefinition, OperationType, Selection, SelectionSet,
        TypeCondition,
    },
    registry::{MetaType, Registry},
};

use super::{fragment, is_condition, size, variables::Values};
use crate::{
    error::{Code, GraphqlError},
    limits::Limits,
};

/// Flattens one operation. Without values, every condition counts as true, which checks the document itself.
///
/// `copied` counts the bytes that have been copied for the document; this operation's are added.
///
/// # Errors
/// Two different fields under one response key, or more fields or bytes than the limits allow.
pub(super) fn flatten(
    operation: &Positioned<OperationDefinition>,
    document: &ExecutableDocument,
    registry: &Registry,
    limits: &Limits,
    values: Option<&Values>,
    copied: &mut usize,
) -> Result<Positioned<OperationDefinition>, GraphqlError> {
    let mut walk = Walk {
        document,
        registry,
        limits,
        values,
        fields: 0,
        copied,
    };
    let parent = root(operation.node.ty, registry).ok_or_else(|| walk.unknown(operation.pos))?;
    let set = &operation.node.selection_set;
    Ok(operation.position_node(OperationDefinition {
        ty: operation.node.ty,
        variable_definitions: Vec::new(),
        directives: Vec::new(),
        selection_set: set.position_node(walk.object_or_types(parent, &[&set.node], set.pos)?),
    }))
}

/// The type whose fields an operation selects.
pub(crate) fn root(ty: OperationType, registry: &Registry) -> Option<&MetaType> {
    let name = match ty {
        OperationType::Query => Some(&registry.query_type),
        OperationType::Mutation => registry.mutation_type.as_ref(),
        OperationType::Subscription => registry.subscription_type.as_ref(),
    };
    registry.types.get(name?)
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    registry: &'a Registry,
    limits: &'a Limits,
    values: Option<&'a Values>,
    fields: usize,
    /// Expanded fragments have been counted, but below an interface they are expanded once for each type.
    copied: &'a mut usize,
}

/// The fields of one response key: the first represents all, and the selections below them are merged.
struct Group<'a> {
    field: &'a Positioned<Field>,
    below: Vec<&'a SelectionSet>,
}

#[derive(Default)]
struct Groups<'a> {
    by_key: IndexMap<&'a str, Group<'a>>,
    /// The fragments that have been gathered.
    fragments: HashSet<&'a str>,
}

impl<'a> Walk<'a> {
    /// An interface whose selection depends on the type becomes one fragment per possible type, each flat by itself.
    fn object_or_types(
        &mut self,
        parent: &'a MetaType,
        sets: &[&'a SelectionSet],
        pos: Pos,
    ) -> Result<SelectionSet, GraphqlError> {
        if !parent.is_abstract() || !self.depends_on_type(parent, sets) {
            return self.object(parent, sets, pos);
        }
        let mut items = Vec::new();
        for name in parent.possible_types().into_iter().flatten() {
            let Some(concrete) = self.registry.types.get(name) else {
                continue;
            };
            let mut set = self.object(concrete, sets, pos)?;
            // Lets the writer of the answer know the type of an object.
            if !set
                .items
                .iter()
                .any(|item| matches!(&item.node, Selection::Field(field) if is_placeholder(&field.node)))
            {
                set.items.insert(0, placeholder(pos));
            }
            items.push(Positioned::new(
                Selection::InlineFragment(Positioned::new(
                    InlineFragment {
                        type_condition: Some(Positioned::new(
                            TypeCondition {
                                on: Positioned::new(Name::new(name), pos),
                            },
                            pos,
                        )),
                        directives: Vec::new(),
                        selection_set: Positioned::new(set, pos),
                    },
                    pos,
                )),
                pos,
            ));
        }
        Ok(SelectionSet { items })
    }

    fn object(
        &mut self,
        parent: &'a MetaType,
        sets: &[&'a SelectionSet],
        pos: Pos,
    ) -> Result<SelectionSet, GraphqlError> {
        let mut groups = Groups::default();
        for set in sets {
            self.gather(parent, set, &mut groups)?;
        }
        self.fields = self.fields.saturating_add(groups.by_key.len());
        self.limits.expansion_within(self.fields)?;
        let mut items = Vec::with_capacity(groups.by_key.len().max(1));
        for group in groups.by_key.values() {
            items.push(self.field(parent, group)?);
        }
        if items.is_empty() {
            items.push(placeholder(pos));
        }
        Ok(SelectionSet { items })
    }

    fn gather(&self, parent: &'a MetaType, set: &'a SelectionSet, groups: &mut Groups<'a>) -> Result<(), GraphqlError> {
        for item in &set.items {
            if !self.values.is_none_or(|values| values.include(item.node.directives())) {
                continue;
            }
            if let Selection::Field(field) = &item.node {
                add(groups, field)?;
                continue;
            }
            let Some((on, below)) = fragment(&item.node, self.document) else {
                continue;
            };
            if !on.is_none_or(|on| self.applies(on, parent)) {
                continue;
            }
            if let Selection::FragmentSpread(spread) = &item.node
                && !groups.fragments.insert(spread.node.fragment_name.node.as_str())
            {
                continue;
            }
            self.gather(parent, below, groups)?;
        }
        Ok(())
    }

    fn field(&mut self, parent: &'a MetaType, group: &Group<'a>) -> Result<Positioned<Selection>, GraphqlError> {
        let field = group.field;
        *self.copied = self.copied.saturating_add(size::of_field(&field.node));
        self.limits.copies_within(*self.copied)?;
        let below = &field.node.selection_set;
        let selection_set = if below.node.items.is_empty() {
            SelectionSet::default()
        } else {
            let meta = parent
                .field_by_name(&field.node.name.node)
                .ok_or_else(|| self.unknown(field.pos))?;
            let ty = self
                .registry
                .concrete_type_by_name(&meta.ty)
                .ok_or_else(|| self.unknown(field.pos))?;
            self.object_or_types(ty, &group.below, below.pos)?
        };
        Ok(field.position_node(Selection::Field(
            field.position_node(Field {
                alias: field.node.alias.clone(),
                name: field.node.name.clone(),
                arguments: field.node.arguments.clone(),
                directives: field
                    .node
                    .directives
                    .iter()
                    .filter(|directive| !is_condition(directive))
                    .cloned()
                    .collect(),
                selection_set: below.position_node(selection_set),
            }),
        )))
    }

    /// True if a fragment on `condition` holds for every object of `parent`.
    fn applies(&self, condition: &str, parent: &MetaType) -> bool {
        condition == parent.name()
            || self
                .registry
                .types
                .get(condition)
                .is_some_and(|ty| match parent.possible_types() {
                    Some(possible) => possible.iter().all(|name| ty.is_possible_type(name)),
                    None => ty.is_possible_type(parent.name()),
                })
    }

    fn depends_on_type(&self, parent: &MetaType, sets: &[&SelectionSet]) -> bool {
        sets.iter().flat_map(|set| &set.items).any(|item| {
            fragment(&item.node, self.document).is_some_and(|(on, below)| {
                on.is_some_and(|on| !self.applies(on, parent)) || self.depends_on_type(parent, &[below])
            })
        })
    }

    /// Validation refuses this before, so it is a defect of the server.
    fn unknown(&self, pos: Pos) -> GraphqlError {
        GraphqlError::new(Code::ValidationFailed, "The schema has no such field.").at(pos)
    }
}

fn add<'a>(groups: &mut Groups<'a>, field: &'a Positioned<Field>) -> Result<(), GraphqlError> {
    let key = field.node.response_key().node.as_str();
    let below = Vec::new();
    let group = groups.by_key.entry(key).or_insert(Group { field, below });
    if !same(&group.field.node, &field.node) {
        return Err(conflict(group.field, field));
    }
    group.below.push(&field.node.selection_set.node);
    Ok(())
}

/// The error of two different fields under one response key.
pub(super) fn conflict(one: &Positioned<Field>, other: &Positioned<Field>) -> GraphqlError {
    let key = &one.node.response_key().node;
    let message =
        format!("\"{key}\" is asked for twice, with different fields or arguments. Give one of them another alias.");
    GraphqlError::new(Code::ValidationFailed, message)
        .at(one.pos)
        .at(other.pos)
}

/// Returns true when two fields have the same name and the same arguments.
pub(super) fn same(one: &Field, other: &Field) -> bool {
    one.name.node == other.name.node
        && one.arguments.len() == other.arguments.len()
        && one
            .arguments
            .iter()
            .all(|(name, value)| other.get_argument(&name.node).is_some_and(|v| v.node == value.node))
}

/// The fields to answer for an object of a concrete type, in the order of the answer, each response key once.
///
/// `set` is any selection set of a prepared operation, such as `ctx.field().selection_set()`'s or a
/// `ContextSelectionSet`'s item. Arguments hold constants only. `__typename` is among the fields when it was asked for.
/// An empty iterator means that the object is answered as `{}`.
pub fn collect<'a>(set: &'a SelectionSet, object_type: &str) -> impl Iterator<Item = &'a Positioned<Field>> {
    let of_type = set.items.iter().find_map(|item| match &item.node {
        Selection::InlineFragment(part) => {
            let on = part.node.type_condition.as_ref()?;
            (on.node.on.node == object_type).then_some(&part.node.selection_set.node)
        }
        _ => None,
    });
    fields(of_type.unwrap_or(set))
}

/// The fields of a set itself, without those of its fragments.
pub(crate) fn fields(set: &SelectionSet) -> impl Iterator<Item = &Positioned<Field>> {
    set.items.iter().filter_map(|item| match &item.node {
        Selection::Field(field) if !is_placeholder(&field.node) => Some(field),
        _ => None,
    })
}

/// True if this is the placeholder of an empty selection, which never reaches the answer.
pub(crate) fn is_placeholder(field: &Field) -> bool {
    field.alias.as_ref().is_some_and(|alias| alias.node.is_empty())
}

/// The placeholder of an empty selection, for which async-graphql would answer null. It is left out of the answer. No
/// caller can select it, because an alias is never empty.
pub(super) fn placeholder(pos: Pos) -> Positioned<Selection> {
    Positioned::new(
        Selection::Field(Positioned::new(
            Field {
                alias: Some(Positioned::new(Name::new(""), pos)),
                name: Positioned::new(Name::new("__typename"), pos),
                arguments: Vec::new(),
                directives: Vec::new(),
                selection_set: Positioned::new(SelectionSet::default(), pos),
            },
            pos,
        )),
        pos,
    )
}
