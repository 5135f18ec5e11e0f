//! The size of a flattened operation: no conditions, no fragments but one per type below an interface. The values of its
//! variables are looked up, so that nothing needs to be copied before it is known to be wanted.

use async_graphql::parser::types::{Field, OperationDefinition, Selection, SelectionSet};
use async_graphql_value::Value;

use super::prices;
use crate::api::graphql::{
    page::LARGEST_PAGE,
    prepare::{Values, is_placeholder},
    reach::{ROWS, TOTAL},
};

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
    /// The largest page in it, in entries.
    page: usize,
}

impl Size {
    fn beside(self, other: Self) -> Self {
        Self {
            depth: self.depth.max(other.depth),
            aliases: self.aliases.saturating_add(other.aliases),
            cost: self.cost.saturating_add(other.cost),
            introspection: self.introspection.max(other.introspection),
            page: self.page.max(other.page),
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

pub fn measure(operation: &OperationDefinition, values: &Values) -> Size {
    let root = &operation.selection_set.node;
    let measured = measure_set(root, 0, values);
    let prices = fields(root).map(|field| {
        let set = &field.selection_set.node;
        prices::of_root(field, selects(set, ROWS), selects(set, TOTAL), values)
    });
    Size {
        root_fields: fields(root).count(),
        looks_at_schema: fields(root).any(|field| matches!(field.name.node.as_str(), "__schema" | "__type")),
        cost: prices.fold(measured.cost, usize::saturating_add),
        ..measured
    }
}

fn measure_set(set: &SelectionSet, steps: usize, values: &Values) -> Size {
    let (mut own, mut by_type) = (Size::default(), Size::default());
    for item in &set.items {
        match &item.node {
            Selection::Field(field) if is_placeholder(&field.node) => {}
            Selection::Field(field) => own = own.beside(measure_field(&field.node, steps, values)),
            Selection::InlineFragment(part) => {
                by_type = by_type.instead_of(measure_set(&part.node.selection_set.node, steps, values));
            }
            Selection::FragmentSpread(_) => {}
        }
    }
    own.beside(by_type)
}

fn measure_field(field: &Field, steps: usize, values: &Values) -> Size {
    let name = field.name.node.as_str();
    // Outside introspection these names may be anybody's; inside, the first step is `types` or a `type` below the root.
    let steps = match name {
        "__schema" | "__type" => 1,
        "fields" | "inputFields" | "interfaces" | "possibleTypes" if steps > 0 => steps + 1,
        _ => steps,
    };
    let set = &field.selection_set.node;
    let below = measure_set(set, steps, values);
    let page = asked(field, values).or_else(|| is_connection(set).then_some(DEFAULT_PAGE));
    let times = match page {
        Some(entries) => entries,
        None if name == "customInformation" && selects(set, &["linkedClient"]) => {
            LINKED.saturating_mul(below.page.div_ceil(DEFAULT_PAGE).max(1))
        }
        None => 1,
    };
    // An object of which nothing is asked for, as none of the fragments is for its type, has to be found all the same.
    let once = below.cost.max(usize::from(!set.items.is_empty()));
    let count = if selects(set, TOTAL) { prices::COUNT_OF_ONE } else { 0 };
    Size {
        depth: below.depth + 1,
        aliases: below.aliases.saturating_add(usize::from(field.alias.is_some())),
        cost: once.saturating_mul(times).saturating_add(1 + count),
        introspection: below.introspection.max(steps.saturating_sub(1)),
        page: below.page.max(page.unwrap_or_default()),
        ..Size::default()
    }
}

fn fields(set: &SelectionSet) -> impl Iterator<Item = &Field> {
    set.items.iter().filter_map(|item| match &item.node {
        Selection::Field(field) if !is_placeholder(&field.node) => Some(&field.node),
        _ => None,
    })
}

fn selects(set: &SelectionSet, names: &[&str]) -> bool {
    fields(set).any(|field| names.contains(&field.name.node.as_str()))
}

/// What a page holds when the caller doesn't say: the conventions of the schema (design §5).
const DEFAULT_PAGE: usize = 50;
/// Custom values that link a client: each may bring a whole client. There may be a hundred times as many, so that a page of
/// more entries than usual in each of them counts as if there were more in proportion.
const LINKED: usize = 10;

fn is_connection(set: &SelectionSet) -> bool {
    selects(set, ROWS)
}

/// How often the fields below a field are answered, where its arguments say so. A larger page than any list has counts
/// as the largest: it is refused for its size, before anything is read.
fn asked(field: &Field, values: &Values) -> Option<usize> {
    let argument = |name| values.get(&field.get_argument(name)?.node);
    let page = ["first", "last"].into_iter().find_map(|name| match argument(name)? {
        Value::Number(number) => number.as_u64().map(|n| n.min(LARGEST_PAGE.into()) as usize),
        _ => None,
    });
    // Whatever is asked for by a list of ids is answered once for each.
    let ids = || match argument("input") {
        Some(Value::Object(members)) => values.get(members.get("ids")?),
        _ => argument("ids"),
    };
    page.or_else(|| match ids()? {
        Value::List(ids) => Some(ids.len()),
        _ => None,
    })
}
