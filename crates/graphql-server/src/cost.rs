//! The cost of a flattened operation, from the sizes of its pages and the prices of its fields.
//!
//! The operation has no conditions, and no fragments except one for each type below an interface. The values of its
//! variables are looked up instead of copied into it.

use async_graphql::parser::types::{Field, OperationDefinition, Selection, SelectionSet};
use async_graphql_value::Value;

use crate::{
    limits::OperationSize,
    prepare::{Values, fields, is_placeholder},
};

/// The prices of a schema's fields beyond 1 each. The default fits Relay's connections without prices of their own.
#[derive(Debug, Clone)]
pub struct Prices {
    /// Entries of a page for which the request names no number.
    pub default_page: usize,
    /// Members of an argument `input` that list things, each answered by one entry.
    pub inputs: &'static [&'static str],
    /// Entries of the largest page. A request for more is counted as this many, because it is refused anyway.
    pub largest_page: usize,
    /// Fields of a page that need its entries.
    pub entries: &'static [&'static str],
    /// Fields of a page that need the number of entries in the list.
    pub total: &'static [&'static str],
    /// The price of counting a list.
    pub count: usize,
    /// Lists without a page size that lead to other objects.
    pub links: &'static [Link],
    /// The price of a field of the root.
    pub root: fn(&RootField<'_>) -> usize,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            default_page: 50,
            inputs: &["ids"],
            largest_page: 500,
            entries: &["edges", "nodes", "pageInfo"],
            total: &["totalCount"],
            count: 10,
            links: &[],
            root: |_| 0,
        }
    }
}

/// A list without a page size, counted with more entries if the objects that it leads to have larger pages than the
/// default.
#[derive(Debug)]
pub struct Link {
    /// The name of the list's field.
    pub field: &'static str,
    /// The field of its entries that leads to other objects. Without it, the list is counted as one entry.
    pub to: &'static str,
    pub entries: usize,
}

/// A field of the root, as [`Prices::root`] sees it.
#[derive(Debug)]
pub struct RootField<'a> {
    pub name: &'a str,
    /// The names of its arguments that have a value.
    pub arguments: Vec<&'a str>,
    /// The names of the members of its argument `filter` that have a value. Members of the filters in a list `and` are
    /// among them, because all of these must match, too.
    pub filter: Vec<&'a str>,
    /// True if its selection needs the entries of a page.
    pub entries: bool,
    /// True if its selection needs the number of entries in the list.
    pub total: bool,
}

impl<'a> RootField<'a> {
    pub fn new(field: &'a Field, values: &'a Values, entries: bool, total: bool) -> Self {
        let arguments = field.arguments.iter();
        let arguments = arguments.filter(|(_, value)| value_of(&value.node, values).is_some());
        let mut filter = Vec::new();
        if let Some(argument) = field.get_argument("filter") {
            add_members(&argument.node, values, &mut filter);
        }
        Self {
            name: field.name.node.as_str(),
            arguments: arguments.map(|(name, _)| name.node.as_str()).collect(),
            filter,
            entries,
            total,
        }
    }
}

/// The value of an argument or a member, unless it is null or absent.
fn value_of<'a>(value: &'a Value, values: &'a Values) -> Option<&'a Value> {
    values.get(value).filter(|value| **value != Value::Null)
}

/// Adds the members of a filter that have a value.
fn add_members<'a>(filter: &'a Value, values: &'a Values, found: &mut Vec<&'a str>) {
    let Some(Value::Object(members)) = value_of(filter, values) else {
        return;
    };
    for (name, value) in members {
        match (name.as_str(), value_of(value, values)) {
            (_, None) => {}
            ("and", Some(Value::List(filters))) => {
                filters.iter().for_each(|filter| add_members(filter, values, found));
            }
            // A single object stands for a list of one.
            ("and", Some(filter)) => add_members(filter, values, found),
            (name, Some(_)) => found.push(name),
        }
    }
}

/// The size of an operation, with its cost.
pub(crate) fn measure(operation: &OperationDefinition, values: &Values, prices: &Prices) -> OperationSize {
    let root = &operation.selection_set.node;
    let walk = Walk { values, prices };
    let measured = walk.set(root, 0).size;
    let of_root = fields(root).map(|field| {
        let field = &field.node;
        let set = &field.selection_set.node;
        let (entries, total) = (selects(set, prices.entries), selects(set, prices.total));
        (prices.root)(&RootField::new(field, values, entries, total))
    });
    OperationSize {
        root_fields: fields(root).count(),
        looks_at_schema: fields(root).any(|field| matches!(field.node.name.node.as_str(), "__schema" | "__type")),
        cost: of_root.fold(measured.cost, usize::saturating_add),
        ..measured
    }
}

/// The size of a selection.
#[derive(Default, Clone, Copy)]
struct Measured {
    size: OperationSize,
    /// The largest page in it, in entries.
    page: usize,
}

impl Measured {
    fn and(self, other: Self) -> Self {
        let (one, two) = (self.size, other.size);
        Self {
            size: OperationSize {
                depth: one.depth.max(two.depth),
                aliases: one.aliases.saturating_add(two.aliases),
                cost: one.cost.saturating_add(two.cost),
                introspection: one.introspection.max(two.introspection),
                ..one
            },
            page: self.page.max(other.page),
        }
    }

    /// An object has one type, so of the selections for several types only the most expensive counts.
    fn or(self, other: Self) -> Self {
        let (one, two) = (self.size, other.size);
        let both = self.and(other);
        Self {
            size: OperationSize {
                aliases: one.aliases.max(two.aliases),
                cost: one.cost.max(two.cost),
                ..both.size
            },
            ..both
        }
    }
}

struct Walk<'a> {
    values: &'a Values,
    prices: &'a Prices,
}

impl Walk<'_> {
    fn set(&self, set: &SelectionSet, steps: usize) -> Measured {
        let (mut own, mut by_type) = (Measured::default(), Measured::default());
        for item in &set.items {
            match &item.node {
                Selection::Field(field) if is_placeholder(&field.node) => {}
                Selection::Field(field) => own = own.and(self.field(&field.node, steps)),
                Selection::InlineFragment(part) => {
                    by_type = by_type.or(self.set(&part.node.selection_set.node, steps));
                }
                Selection::FragmentSpread(_) => {}
            }
        }
        own.and(by_type)
    }

    fn field(&self, field: &Field, steps: usize) -> Measured {
        let prices = self.prices;
        let name = field.name.node.as_str();
        // Outside introspection a schema can have fields of these names; inside, the first step is `types` or a `type`
        // below the root.
        let steps = match name {
            "__schema" | "__type" => 1,
            "fields" | "inputFields" | "interfaces" | "possibleTypes" if steps > 0 => steps + 1,
            _ => steps,
        };
        let set = &field.selection_set.node;
        let Measured { size: below, page } = self.set(set, steps);
        let own_page = self
            .requested(field)
            .or_else(|| selects(set, prices.entries).then_some(prices.default_page));
        let link = || {
            let mut links = prices.links.iter();
            let link = links.find(|link| name == link.field && selects(set, &[link.to]))?;
            Some(link.entries.saturating_mul(page.div_ceil(prices.default_page).max(1)))
        };
        let times = own_page.or_else(link).unwrap_or(1);
        // An object must be found even if none of the fragments of its selection is for its type.
        let once = below.cost.max(usize::from(!set.items.is_empty()));
        let count = if selects(set, prices.total) { prices.count } else { 0 };
        Measured {
            size: OperationSize {
                depth: below.depth + 1,
                aliases: below.aliases.saturating_add(usize::from(field.alias.is_some())),
                cost: once.saturating_mul(times).saturating_add(1 + count),
                introspection: below.introspection.max(steps.saturating_sub(1)),
                ..OperationSize::default()
            },
            page: page.max(own_page.unwrap_or_default()),
        }
    }

    /// The number of entries that the arguments of a field request.
    fn requested(&self, field: &Field) -> Option<usize> {
        let values = self.values;
        let argument = |name| values.get(&field.get_argument(name)?.node);
        let largest = self.prices.largest_page;
        let page = ["first", "last"].into_iter().find_map(|name| match argument(name)? {
            Value::Number(number) => {
                let number = number.as_u64()?;
                Some(usize::try_from(number).unwrap_or(usize::MAX).min(largest))
            }
            _ => None,
        });
        // A list of ids or inputs is answered with one object for each.
        let ids = || match argument("input") {
            Some(Value::Object(members)) => {
                let mut lists = self.prices.inputs.iter();
                values.get(lists.find_map(|name| members.get(*name))?)
            }
            _ => argument("ids"),
        };
        page.or_else(|| match ids()? {
            Value::List(ids) => Some(ids.len()),
            _ => None,
        })
    }
}

fn selects(set: &SelectionSet, names: &[&str]) -> bool {
    fields(set).any(|field| names.contains(&field.node.name.node.as_str()))
}
