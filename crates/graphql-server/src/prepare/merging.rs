//! The rule "Field Selection Merging" of the specification (FieldsInSetCanMerge and SameResponseShape).
//!
//! async-graphql compares fields of one selection set only, and flattening those that one object can have. Here fields
//! of fragments on different types are compared as well: the same response key must have the same shape for all of
//! them.

use std::collections::HashSet;

use async_graphql::{
    Positioned,
    indexmap::IndexMap,
    parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
    registry::{MetaType, MetaTypeName, Registry},
};

use super::{
    flatten::{conflict, root, same},
    fragment,
};
use crate::{
    error::{Code, GraphqlError},
    limits::{Limits, within},
};

/// The most comparisons for each field of the document with its fragments expanded: fields of an interface are compared
/// once for each selected object type.
const COMPARISONS: usize = 4;

/// Checks one operation.
///
/// # Errors
/// Two fields of one response key that can't be merged, or more comparisons than the limits allow.
pub(super) fn check(
    operation: &Positioned<OperationDefinition>,
    document: &ExecutableDocument,
    registry: &Registry,
    limits: &Limits,
) -> Result<(), GraphqlError> {
    let Some(root) = root(operation.node.ty, registry) else {
        return Ok(());
    };
    let mut merging = Merging {
        document,
        registry,
        most: limits.complexity.saturating_mul(COMPARISONS),
        compared: 0,
    };
    merging.selections(&[(root, &operation.node.selection_set.node)])
}

struct Merging<'a> {
    document: &'a ExecutableDocument,
    registry: &'a Registry,
    most: usize,
    compared: usize,
}

/// A selection set with the type of its parent.
type Typed<'a> = (&'a MetaType, &'a SelectionSet);

/// A field with its parent's type and its own.
#[derive(Clone, Copy)]
struct Selected<'a> {
    parent: &'a MetaType,
    field: &'a Positioned<Field>,
    ty: &'a str,
}

type ByKey<'a> = IndexMap<&'a str, Vec<Selected<'a>>>;

impl<'a> Merging<'a> {
    /// FieldsInSetCanMerge, for the fields of all these selection sets together.
    fn selections(&mut self, sets: &[Typed<'a>]) -> Result<(), GraphqlError> {
        for fields in self.collect(sets)?.values() {
            self.same_shape(fields)?;
            let classes = classes(fields);
            for class in &classes {
                let first = class[0];
                if let Some(other) = class.iter().find(|other| !same(&first.field.node, &other.field.node)) {
                    return Err(conflict(first.field, other.field));
                }
                self.selections(&self.below(class))?;
            }
            // One class is the whole group, whose shapes below have been compared with it.
            if classes.len() > 1 {
                self.shapes(&self.below(fields))?;
            }
        }
        Ok(())
    }

    /// SameResponseShape, for the fields of all these selection sets together.
    fn shapes(&mut self, sets: &[Typed<'a>]) -> Result<(), GraphqlError> {
        for fields in self.collect(sets)?.values() {
            self.same_shape(fields)?;
            self.shapes(&self.below(fields))?;
        }
        Ok(())
    }

    fn same_shape(&self, fields: &[Selected<'a>]) -> Result<(), GraphqlError> {
        let first = fields[0];
        let other = fields.iter().find(|other| !self.is_same_shape(first.ty, other.ty));
        other.map_or(Ok(()), |other| {
            let (key, one, two) = (&first.field.node.response_key().node, first.ty, other.ty);
            let message = format!(
                "\"{key}\" would be of type {one} for some objects and of type {two} for others. Give one of them \
                 another alias."
            );
            Err(GraphqlError::new(Code::ValidationFailed, message)
                .at(first.field.pos)
                .at(other.field.pos))
        })
    }

    fn is_same_shape(&self, one: &str, two: &str) -> bool {
        match (MetaTypeName::create(one), MetaTypeName::create(two)) {
            (MetaTypeName::NonNull(one), MetaTypeName::NonNull(two))
            | (MetaTypeName::List(one), MetaTypeName::List(two)) => self.is_same_shape(one, two),
            (MetaTypeName::Named(one), MetaTypeName::Named(two)) => {
                let is_composite = |name| self.registry.types.get(name).is_some_and(MetaType::is_composite);
                one == two || is_composite(one) && is_composite(two)
            }
            _ => false,
        }
    }

    fn below(&self, fields: &[Selected<'a>]) -> Vec<Typed<'a>> {
        let set = |selected: &Selected<'a>| {
            let set = &selected.field.node.selection_set.node;
            let ty = self.registry.concrete_type_by_name(selected.ty)?;
            (!set.items.is_empty()).then_some((ty, set))
        };
        fields.iter().filter_map(set).collect()
    }

    fn collect(&mut self, sets: &[Typed<'a>]) -> Result<ByKey<'a>, GraphqlError> {
        let (mut fields, mut fragments) = (ByKey::new(), HashSet::new());
        for (parent, set) in sets {
            self.gather(parent, set, &mut fields, &mut fragments)?;
        }
        Ok(fields)
    }

    fn gather(
        &mut self,
        parent: &'a MetaType,
        set: &'a SelectionSet,
        fields: &mut ByKey<'a>,
        fragments: &mut HashSet<&'a str>,
    ) -> Result<(), GraphqlError> {
        for item in &set.items {
            self.compared += 1;
            within("fields to compare", self.compared, self.most)?;
            match &item.node {
                Selection::Field(field) => {
                    let ty = match field.node.name.node.as_str() {
                        "__typename" => "String!",
                        name => match parent.field_by_name(name) {
                            Some(meta) => &meta.ty,
                            None => continue,
                        },
                    };
                    let selected = Selected { parent, field, ty };
                    let key = field.node.response_key().node.as_str();
                    fields.entry(key).or_default().push(selected);
                }
                Selection::FragmentSpread(spread) if !fragments.insert(&spread.node.fragment_name.node) => {}
                other => {
                    if let Some((on, below)) = fragment(other, self.document) {
                        let ty = on.and_then(|on| self.registry.types.get(on)).unwrap_or(parent);
                        self.gather(ty, below, fields, fragments)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The fields that one object can have at the same time, by the rule of the specification: those of one object type,
/// each with those of all interfaces and unions.
fn classes<'a>(fields: &[Selected<'a>]) -> Vec<Vec<Selected<'a>>> {
    let mut objects: Vec<&str> = Vec::new();
    for parent in fields.iter().map(|selected| selected.parent) {
        if !parent.is_abstract() && !objects.contains(&parent.name()) {
            objects.push(parent.name());
        }
    }
    if objects.is_empty() {
        return vec![fields.to_vec()];
    }
    let of = |name: &str| {
        let is_in = |selected: &&Selected<'a>| selected.parent.is_abstract() || selected.parent.name() == name;
        fields.iter().filter(is_in).copied().collect()
    };
    objects.into_iter().map(of).collect()
}
