//! Writes the result of an execution in the order of the request, with raw values unchanged, and complete.
//!
//! async-graphql leaves a failed field out of its object. Here it becomes null, or makes its parent null if its type is
//! non-null, as the specification requires.

use async_graphql::{
    Name, PathSegment, ServerError, Value,
    indexmap::IndexMap,
    parser::types::{Field, SelectionSet},
    registry::{MetaType, MetaTypeName, Registry},
};

use super::{Body, json};
use crate::prepare::collect;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Completion {
    Done,
    /// Nothing is left in the buffer, and the parent must be null.
    NullParent,
}

pub(super) struct Writer<'a> {
    pub out: Body,
    registry: &'a Registry,
    errors: &'a [ServerError],
    path: Vec<Step<'a>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Field(&'a str),
    Index(usize),
}

impl<'a> Writer<'a> {
    pub fn new(registry: &'a Registry, errors: &'a [ServerError]) -> Self {
        Self {
            out: Body::default(),
            registry,
            errors,
            path: Vec::new(),
        }
    }

    pub fn object(
        &mut self,
        values: &IndexMap<Name, Value>,
        set: &'a SelectionSet,
        parent: Option<&'a MetaType>,
    ) -> Completion {
        let start = self.out.end();
        // Below an interface the hidden type name says which type's selection this object answers.
        let concrete = match values.get("") {
            Some(Value::String(name)) => Some(name.as_str()),
            _ => None,
        };
        let parent = concrete.and_then(|name| self.registry.types.get(name)).or(parent);
        self.out.push("{");
        for (index, field) in collect(set, concrete.or(parent.map(MetaType::name)).unwrap_or_default()).enumerate() {
            if index > 0 {
                self.out.push(",");
            }
            let key = &field.node.response_key().node;
            json::write(&mut self.out, key);
            self.out.push(":");
            // The common case: async-graphql's order is the order of the request.
            let value = match values.get_index(index) {
                Some((name, value)) if name == key => Some(value),
                _ => values.get(key),
            };
            self.path.push(Step::Field(key));
            let written = self.field(value, &field.node, parent);
            self.path.pop();
            if written == Completion::NullParent {
                self.out.back_to(start);
                return written;
            }
        }
        self.out.push("}");
        Completion::Done
    }

    fn field(&mut self, value: Option<&Value>, field: &'a Field, parent: Option<&'a MetaType>) -> Completion {
        let set = &field.selection_set.node;
        match value {
            // A leaf: nothing to order, nothing to complete.
            Some(value) if set.items.is_empty() => {
                json::write_value(&mut self.out, value);
                Completion::Done
            }
            _ => {
                let meta = parent.and_then(|parent| parent.field_by_name(&field.name.node));
                let ty = meta.map_or("", |meta| meta.ty.as_str());
                self.complete(value, ty, set)
            }
        }
    }

    /// A value with a selection, or one that is missing.
    fn complete(&mut self, value: Option<&Value>, ty: &str, set: &'a SelectionSet) -> Completion {
        let written = match (MetaTypeName::create(ty), value) {
            (MetaTypeName::NonNull(inner), value) => {
                return match self.nullable(value, inner, set) {
                    Some(written) => written,
                    None => Completion::NullParent,
                };
            }
            (_, value) => self.nullable(value, ty, set),
        };
        if written != Some(Completion::Done) {
            self.out.push("null");
        }
        Completion::Done
    }

    /// None: there is no value.
    fn nullable(&mut self, value: Option<&Value>, ty: &str, set: &'a SelectionSet) -> Option<Completion> {
        match value {
            Some(Value::List(items)) => {
                let item_type = if let MetaTypeName::List(inner) = MetaTypeName::create(ty) {
                    inner
                } else {
                    ""
                };
                Some(self.list(items, item_type, set))
            }
            Some(Value::Object(fields)) => Some(self.object(fields, set, self.registry.types.get(ty))),
            Some(Value::Null) | None => {
                // async-graphql answers null also for an object whose fields have all failed.
                (value.is_some() && !ty.starts_with('[') && self.failed_below())
                    .then(|| self.object(&IndexMap::new(), set, self.registry.types.get(ty)))
            }
            Some(other) => {
                json::write_value(&mut self.out, other);
                Some(Completion::Done)
            }
        }
    }

    fn list(&mut self, items: &[Value], item_type: &str, set: &'a SelectionSet) -> Completion {
        let start = self.out.end();
        self.out.push("[");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(",");
            }
            self.path.push(Step::Index(index));
            let written = self.complete(Some(item), item_type, set);
            self.path.pop();
            if written == Completion::NullParent {
                self.out.back_to(start);
                return written;
            }
        }
        self.out.push("]");
        Completion::Done
    }

    fn failed_below(&self) -> bool {
        self.errors.iter().any(|error| {
            error.path.len() > self.path.len()
                && error
                    .path
                    .iter()
                    .zip(&self.path)
                    .all(|(one, other)| match (one, other) {
                        (PathSegment::Field(one), Step::Field(other)) => one == other,
                        (PathSegment::Index(one), Step::Index(other)) => one == other,
                        _ => false,
                    })
        })
    }
}
