//! How large a request may be. Text is counted while it is read, the rest on the prepared operation, where fragments are
//! spelled out and variables are known; so what is counted is what would be executed.

#[cfg(test)]
mod tests;

use async_graphql::{
    Value as ConstValue,
    parser::types::{Field, OperationDefinition, Selection, SelectionSet},
};
use serde::{Deserialize, Serialize};

use super::{
    error::{Code, Fault},
    prepare::is_placeholder,
};

/// Limits of the GraphQL door. Each default leaves room for the largest upsert the legacy route allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Tokens of a document: names, values and punctuation, without commas and comments.
    pub tokens: usize,
    /// Directives in a document.
    pub directives: usize,
    /// Levels of fields below each other; fields of the root are level 1.
    pub depth: usize,
    /// Fields under another name than their own.
    pub aliases: usize,
    /// Fields of the root.
    pub root_fields: usize,
    /// What a document costs: each field counts 1, and those of a connection's page as often as the page has entries.
    pub complexity: usize,
    /// Fields of the answer, counted while it is written: lists multiply what a document doesn't show.
    pub answer_fields: usize,
    /// Bytes that parsed documents may keep in memory.
    pub document_cache_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1024 * 1024,
            tokens: 20_000,
            directives: 50,
            depth: 20,
            aliases: 50,
            root_fields: 20,
            complexity: 50_000,
            answer_fields: 1_000_000,
            document_cache_bytes: 32 * 1024 * 1024,
        }
    }
}

/// How often a field may lead from a type to other types while looking at the schema itself. Each step multiplies the
/// answer by the size of the schema, and the standard introspection query takes one.
const INTROSPECTION_STEPS: usize = 2;

impl Limits {
    pub(super) fn tokens_within(&self, found: usize) -> Result<(), Fault> {
        self.within("tokens", found, self.tokens)
    }

    pub(super) fn directives_within(&self, found: usize) -> Result<(), Fault> {
        self.within("directives", found, self.directives)
    }

    /// Fields after spelling out every fragment: what preparing a document may cost.
    pub(super) fn expansion_within(&self, found: usize) -> Result<(), Fault> {
        self.within("fields with its fragments spelled out", found, self.complexity)
    }

    /// Selection sets inside each other, fragments included. Wider than `depth`: a fragment is no field.
    pub(super) fn nesting(&self) -> usize {
        self.depth.saturating_mul(4).min(400)
    }

    pub(super) fn within(&self, what: &str, found: usize, most: usize) -> Result<(), Fault> {
        if found > most {
            Err(self.exceeded(what, found, most))
        } else {
            Ok(())
        }
    }

    pub(super) fn exceeded(&self, what: &str, found: usize, most: usize) -> Fault {
        Fault::new(
            Code::QueryTooComplex,
            format!("The document has {found} {what}, and at most {most} are allowed."),
        )
    }

    /// Checks a prepared operation: no variables, no fragments but one per type below an interface.
    pub(super) fn check(&self, operation: &OperationDefinition) -> Result<(), Fault> {
        let root = &operation.selection_set.node;
        let size = measure(root, 0);
        self.within("fields of the root", fields(root).count(), self.root_fields)?;
        self.within("levels of fields", size.depth, self.depth)?;
        self.within("aliases", size.aliases, self.aliases)?;
        self.within("levels of introspection", size.introspection, INTROSPECTION_STEPS)?;
        if size.cost > self.complexity {
            let Size { cost, .. } = size;
            return Err(Fault::new(
                Code::QueryTooComplex,
                format!(
                    "The document costs {cost}, and at most {} is allowed. Ask for fewer fields or smaller pages.",
                    self.complexity
                ),
            ));
        }
        Ok(())
    }
}

#[derive(Default, Clone, Copy)]
struct Size {
    depth: usize,
    aliases: usize,
    cost: usize,
    introspection: usize,
}

impl Size {
    fn beside(self, other: Self) -> Self {
        Self {
            depth: self.depth.max(other.depth),
            aliases: self.aliases.saturating_add(other.aliases),
            cost: self.cost.saturating_add(other.cost),
            introspection: self.introspection.max(other.introspection),
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

fn measure(set: &SelectionSet, steps: usize) -> Size {
    let (mut own, mut by_type) = (Size::default(), Size::default());
    for item in &set.items {
        match &item.node {
            Selection::Field(field) if is_placeholder(&field.node) => {}
            Selection::Field(field) => own = own.beside(measure_field(&field.node, steps)),
            Selection::InlineFragment(part) => {
                by_type = by_type.instead_of(measure(&part.node.selection_set.node, steps));
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
    let below = measure(&field.selection_set.node, steps);
    Size {
        depth: below.depth + 1,
        aliases: below.aliases.saturating_add(usize::from(field.alias.is_some())),
        cost: below.cost.saturating_mul(page_size(field)).saturating_add(1),
        introspection: below.introspection.max(steps.saturating_sub(1)),
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
