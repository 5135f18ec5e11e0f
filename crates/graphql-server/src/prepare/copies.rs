//! The bytes that a copy of a part of a document takes, computed before it is made. Expanding fragments copies
//! literals, and filling in variables copies their values.
//!
//! The sizes are those of async-graphql's types, without the overhead of the allocator.

use async_graphql::{
    Name, Positioned,
    parser::types::{Directive, Field, Selection},
};
use async_graphql_value::Value;

type Arguments = [(Positioned<Name>, Positioned<Value>)];

/// The overhead of a member of an input object: its hash, and its entries in the map's two tables.
const MEMBER: usize = 32;

/// A selection of one field, without the selection below it.
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
