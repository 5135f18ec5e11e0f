//! The size of a document with its fragments expanded, in fields and in bytes, computed without expanding them.
//!
//! This check must come before any code that follows fragments, async-graphql's validation included: forty short
//! fragments that each spread the next one twice are a billion fields, and thirteen with a literal of a megabyte are
//! gigabytes.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned,
    parser::types::{Directive, ExecutableDocument, Field, Selection, SelectionSet},
};
use async_graphql_value::Value;

use crate::{
    error::{Code, GraphqlError},
    limits::{Limits, within},
};

/// Checks that fragments don't contain themselves, and that the whole document stays within the limits. Returns the
/// number of fields with all fragments expanded.
///
/// # Errors
/// A fragment inside itself, too many fields, or too many selection sets inside each other.
pub(super) fn check(document: &ExecutableDocument, limits: &Limits) -> Result<usize, GraphqlError> {
    let mut walk = Walk {
        document,
        limits,
        known: HashMap::new(),
    };
    let (mut all, mut bytes) = (0_usize, 0_usize);
    for (_, operation) in document.operations.iter() {
        let size = walk.set(&operation.node.selection_set, 1)?;
        all = all.saturating_add(size.selections);
        bytes = bytes.saturating_add(size.bytes);
    }
    // Unused fragments are refused later, by code that follows them.
    for name in document.fragments.keys() {
        walk.fragment(name, 1)?;
    }
    limits.expansion_within(all)?;
    limits.copies_within(bytes)?;
    Ok(all)
}

#[derive(Clone, Copy)]
struct Size {
    selections: usize,
    levels: usize,
    bytes: usize,
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    limits: &'a Limits,
    /// None while the fragment is being measured.
    known: HashMap<&'a str, Option<Size>>,
}

impl<'a> Walk<'a> {
    fn set(&mut self, set: &'a Positioned<SelectionSet>, level: usize) -> Result<Size, GraphqlError> {
        self.nesting(level)?;
        let mut size = Size {
            selections: 0,
            levels: 0,
            bytes: 0,
        };
        for item in &set.node.items {
            let below = match &item.node {
                Selection::Field(field) if field.node.selection_set.node.items.is_empty() => None,
                Selection::Field(field) => Some(self.set(&field.node.selection_set, level + 1)?),
                Selection::InlineFragment(part) => Some(self.set(&part.node.selection_set, level + 1)?),
                Selection::FragmentSpread(spread) => self
                    .fragment(&spread.node.fragment_name.node, level + 1)
                    .map_err(|error| {
                        if error.locations.is_empty() {
                            error.at(spread.pos)
                        } else {
                            error
                        }
                    })?,
            };
            size.selections = size.selections.saturating_add(1);
            if let Selection::Field(field) = &item.node {
                size.bytes = size.bytes.saturating_add(of_field(&field.node));
            }
            if let Some(below) = below {
                size.selections = size.selections.saturating_add(below.selections);
                size.levels = size.levels.max(below.levels);
                size.bytes = size.bytes.saturating_add(below.bytes);
            }
        }
        size.levels += 1;
        Ok(size)
    }

    /// None for an unknown fragment, which validation reports later.
    fn fragment(&mut self, name: &Name, level: usize) -> Result<Option<Size>, GraphqlError> {
        if let Some(known) = self.known.get(name.as_str()) {
            let Some(size) = *known else {
                return Err(GraphqlError::new(
                    Code::ValidationFailed,
                    format!("The fragment \"{name}\" contains itself."),
                ));
            };
            self.nesting((level - 1).saturating_add(size.levels))?;
            return Ok(Some(size));
        }
        let Some((name, fragment)) = self.document.fragments.get_key_value(name.as_str()) else {
            return Ok(None);
        };
        self.known.insert(name, None);
        let size = self.set(&fragment.node.selection_set, level)?;
        self.known.insert(name, Some(size));
        Ok(Some(size))
    }

    fn nesting(&self, levels: usize) -> Result<(), GraphqlError> {
        within("selections inside each other", levels, self.limits.nesting())
    }
}

type Arguments = [(Positioned<Name>, Positioned<Value>)];

/// The overhead of a member of an input object: its hash, and its entries in the map's two tables.
const MEMBER: usize = 32;

/// The bytes that a copy of one field takes, without the selection below it. Expanding fragments copies literals.
///
/// The sizes are those of async-graphql's types, without the overhead of the allocator.
pub(super) fn of_field(field: &Field) -> usize {
    let directives = field.directives.iter().map(|directive| {
        let own = size_of::<Positioned<Directive>>();
        own.saturating_add(of_arguments(&directive.node.arguments))
    });
    size_of::<Positioned<Selection>>()
        .saturating_add(of_arguments(&field.arguments))
        .saturating_add(sum(directives))
}

fn of_arguments(arguments: &Arguments) -> usize {
    let inside = arguments.iter().map(|(_, value)| beyond(&value.node));
    size_of_val(arguments).saturating_add(sum(inside))
}

/// The bytes that a copy of a value takes. Filling in variables copies their values.
pub(super) fn of_value(value: &Value) -> usize {
    size_of::<Value>().saturating_add(beyond(value))
}

/// The bytes that a value owns on the heap. Names and bytes are shared, not copied.
fn beyond(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::List(items) => sum(items.iter().map(of_value)),
        Value::Object(members) => {
            let of_member = |value| of_value(value).saturating_add(size_of::<Name>() + MEMBER);
            sum(members.values().map(of_member))
        }
        Value::Variable(_) | Value::Null | Value::Number(_) | Value::Boolean(_) | Value::Binary(_) | Value::Enum(_) => {
            0
        }
    }
}

fn sum(all: impl Iterator<Item = usize>) -> usize {
    all.fold(0, usize::saturating_add)
}
