//! The fields of a prepared selection, and the placeholder for an empty one.

use async_graphql::{
    Name, Pos, Positioned,
    parser::types::{Field, Selection, SelectionSet},
};

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
    of_type.unwrap_or(set).items.iter().filter_map(|item| match &item.node {
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
