//! The size of a prepared operation: no variables, no fragments but one per type below an interface.

use async_graphql::{
    Value as ConstValue,
    parser::types::{Field, OperationDefinition, Selection, SelectionSet},
};
use async_graphql_value::Value;

use crate::api::graphql::prepare::is_placeholder;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub depth: usize,
    pub aliases: usize,
    pub root_fields: usize,
    pub cost: usize,
    /// Steps from a type of the schema to others.
    pub introspection: usize,
    /// Whether the schema is asked about itself at all.
    pub looks_at_schema: bool,
}

impl Size {
    fn beside(self, other: Self) -> Self {
        Self {
            depth: self.depth.max(other.depth),
            aliases: self.aliases.saturating_add(other.aliases),
            cost: self.cost.saturating_add(other.cost),
            introspection: self.introspection.max(other.introspection),
            ..self
        }
    }

    /// An object has one type, so of the selections for several types only the dearest counts.
    fn instead_of(self, other: Self) -> Self {
        Self {
            aliases: self.aliases.max(other.aliases),
            cost: self.cost.max(other.cost),
            ..self.beside(other)
        }
    }
}

pub fn measure(operation: &OperationDefinition) -> Size {
    let root = &operation.selection_set.node;
    Size {
        root_fields: fields(root).count(),
        looks_at_schema: fields(root).any(|field| matches!(field.name.node.as_str(), "__schema" | "__type")),
        ..measure_set(root, 0)
    }
}

fn measure_set(set: &SelectionSet, steps: usize) -> Size {
    let (mut own, mut by_type) = (Size::default(), Size::default());
    for item in &set.items {
        match &item.node {
            Selection::Field(field) if is_placeholder(&field.node) => {}
            Selection::Field(field) => own = own.beside(measure_field(&field.node, steps)),
            Selection::InlineFragment(part) => {
                by_type = by_type.instead_of(measure_set(&part.node.selection_set.node, steps));
            }
            Selection::FragmentSpread(_) => {}
        }
    }
    own.beside(by_type)
}

fn measure_field(field: &Field, steps: usize) -> Size {
    let name = field.name.node.as_str();
    // Outside introspection these names may be anybody's; inside, the first step is `types` or a `type` below the root.
    let steps = match name {
        "__schema" | "__type" => 1,
        "fields" | "inputFields" | "interfaces" | "possibleTypes" if steps > 0 => steps + 1,
        _ => steps,
    };
    let below = measure_set(&field.selection_set.node, steps);
    Size {
        depth: below.depth + 1,
        aliases: below.aliases.saturating_add(usize::from(field.alias.is_some())),
        cost: below.cost.saturating_mul(page_size(field)).saturating_add(1),
        introspection: below.introspection.max(steps.saturating_sub(1)),
        ..Size::default()
    }
}

fn fields(set: &SelectionSet) -> impl Iterator<Item = &Field> {
    set.items.iter().filter_map(|item| match &item.node {
        Selection::Field(field) if !is_placeholder(&field.node) => Some(&field.node),
        _ => None,
    })
}

/// What a page holds when the caller doesn't say: the conventions of the schema (design §5).
const DEFAULT_PAGE: usize = 50;
/// Custom values that link a client: each may bring a whole client.
const LINKED: usize = 10;

/// How often the fields below a field are answered.
fn page_size(field: &Field) -> usize {
    let asked =
        ["first", "last"]
            .into_iter()
            .find_map(|name| match field.get_argument(name)?.node.clone().into_const()? {
                ConstValue::Number(number) => number.as_u64().map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
                _ => None,
            });
    // Whatever is asked for by a list of ids is answered once for each.
    let asked = asked.or_else(|| match &field.get_argument("ids")?.node {
        Value::List(ids) => Some(ids.len()),
        _ => None,
    });
    let is_connection = || {
        fields(&field.selection_set.node)
            .any(|below| matches!(below.name.node.as_str(), "edges" | "nodes" | "pageInfo"))
    };
    match asked {
        Some(size) => size,
        None if is_connection() => DEFAULT_PAGE,
        None if field.name.node == "customInformation"
            && fields(&field.selection_set.node).any(|below| below.name.node == "linkedClient") =>
        {
            LINKED
        }
        None => 1,
    }
}
