//! Writes an answer as JSON: in the order asked for, with raw values copied as they are, and complete.
//!
//! Complete, because the engine leaves a failed field out of its object. Here it becomes null, or makes its parent null when
//! it mustn't be, as the specification has it.

mod json;
#[cfg(test)]
mod tests;

use async_graphql::{
    Name, PathSegment, ServerError, Value,
    indexmap::IndexMap,
    parser::types::{Field, OperationDefinition, SelectionSet},
    registry::{MetaType, MetaTypeName, Registry},
};
use async_graphql_value::RAW_VALUE_TOKEN;

use self::json::Error;
use super::{
    error::{Code, Refused, shown},
    prepare::{collect, root},
};

/// A finished answer.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// JSON.
    pub body: Vec<u8>,
    pub outcome: Outcome,
}

/// What became of a request, for the protocol around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is data, perhaps with errors beside it.
    Data,
    /// It was executed and every field of the root failed, all for this one reason; None when for several.
    Nothing(Option<Code>),
    /// It wasn't executed.
    Refused(Code),
}

/// A piece of JSON as the engine carries it: copied into the answer without another look. It must be valid JSON, and its
/// fields in the order of [`collect`].
#[must_use]
pub fn raw(json: String) -> Value {
    Value::Object(IndexMap::from_iter([(Name::new(RAW_VALUE_TOKEN), Value::String(json))]))
}

impl Answer {
    /// The answer to a request that wasn't executed: no data, not even null.
    #[must_use]
    pub fn refused(refused: &Refused, request_id: &str) -> Self {
        let mut body = b"{\"errors\":[".to_vec();
        for (index, fault) in refused.faults().iter().enumerate() {
            let error = Error::new(fault.code, &fault.message, &fault.locations, &[], request_id);
            error.write(&mut body, index);
        }
        body.extend_from_slice(b"]}");
        Self {
            body,
            outcome: Outcome::Refused(refused.code()),
        }
    }

    /// The answer to a request that was only to be priced.
    #[must_use]
    pub fn priced() -> Self {
        Self {
            body: b"{\"data\":null}".to_vec(),
            outcome: Outcome::Data,
        }
    }

    /// With the price of the request, and the most one may cost, in `extensions.cost`.
    #[must_use]
    pub fn with_cost(mut self, requested: usize, limit: usize) -> Self {
        self.body.pop();
        let cost = format!(",\"extensions\":{{\"cost\":{{\"requested\":{requested},\"limit\":{limit}}}}}}}");
        self.body.extend_from_slice(cost.as_bytes());
        self
    }

    /// Several answers, in their order.
    #[must_use]
    pub fn together(answers: &[Self]) -> Self {
        let mut body = vec![b'['];
        for (index, answer) in answers.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&answer.body);
        }
        body.push(b']');
        Self {
            body,
            outcome: Outcome::Data,
        }
    }

    pub(super) fn executed(
        data: Value,
        errors: &[ServerError],
        operation: &OperationDefinition,
        registry: &Registry,
        request_id: &str,
    ) -> Self {
        let root = root(operation.ty, registry);
        let set = &operation.selection_set.node;
        let mut writer = Writer {
            out: Vec::with_capacity(256),
            registry,
            errors,
            path: Vec::new(),
        };
        writer.out.extend_from_slice(b"{\"data\":");
        // Null at the root is the engine's way of saying that no field succeeded.
        let empty = IndexMap::new();
        let fields = if let Value::Object(fields) = &data {
            fields
        } else {
            &empty
        };
        let written = writer.object(fields, set, root);
        let Writer { out: mut body, .. } = writer;
        if written == Written::Propagates {
            body.extend_from_slice(b"null");
        }
        let mut codes: Vec<Code> = Vec::new();
        if !errors.is_empty() {
            body.extend_from_slice(b",\"errors\":[");
            for (index, error) in errors.iter().enumerate() {
                let (code, message) = shown(error, set, request_id);
                codes.push(code);
                Error::new(code, &message, &error.locations, &error.path, request_id).write(&mut body, index);
            }
            body.push(b']');
        }
        body.push(b'}');
        let nothing =
            written == Written::Propagates || !codes.is_empty() && fields.values().all(|value| *value == Value::Null);
        let outcome = match codes.split_first() {
            Some((first, rest)) if nothing => Outcome::Nothing(rest.iter().all(|code| code == first).then_some(*first)),
            None if nothing => Outcome::Nothing(None),
            _ => Outcome::Data,
        };
        Self { body, outcome }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Done,
    /// Nothing is left in the buffer; the parent has to be null.
    Propagates,
}

struct Writer<'a> {
    out: Vec<u8>,
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
    fn object(
        &mut self,
        values: &IndexMap<Name, Value>,
        set: &'a SelectionSet,
        parent: Option<&'a MetaType>,
    ) -> Written {
        let start = self.out.len();
        // Below an interface the hidden type name says which type's selection this object answers.
        let concrete = match values.get("") {
            Some(Value::String(name)) => Some(name.as_str()),
            _ => None,
        };
        let parent = concrete.and_then(|name| self.registry.types.get(name)).or(parent);
        self.out.push(b'{');
        for (index, field) in collect(set, concrete.or(parent.map(MetaType::name)).unwrap_or_default()).enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            let key = &field.node.response_key().node;
            json::write(&mut self.out, key);
            self.out.push(b':');
            // The common case: the engine's order is the order asked for.
            let value = match values.get_index(index) {
                Some((name, value)) if name == key => Some(value),
                _ => values.get(key),
            };
            self.path.push(Step::Field(key));
            let written = self.field(value, &field.node, parent);
            self.path.pop();
            if written == Written::Propagates {
                self.out.truncate(start);
                return written;
            }
        }
        self.out.push(b'}');
        Written::Done
    }

    fn field(&mut self, value: Option<&Value>, field: &'a Field, parent: Option<&'a MetaType>) -> Written {
        let set = &field.selection_set.node;
        match value {
            // A leaf: nothing to order, nothing to complete.
            Some(value) if set.items.is_empty() => {
                json::write_value(&mut self.out, value);
                Written::Done
            }
            _ => {
                let meta = parent.and_then(|parent| parent.field_by_name(&field.name.node));
                let ty = meta.map_or("", |meta| meta.ty.as_str());
                self.complete(value, ty, set)
            }
        }
    }

    /// A value with a selection, or one that is missing.
    fn complete(&mut self, value: Option<&Value>, ty: &str, set: &'a SelectionSet) -> Written {
        let written = match (MetaTypeName::create(ty), value) {
            (MetaTypeName::NonNull(inner), value) => {
                return match self.nullable(value, inner, set) {
                    Some(written) => written,
                    None => Written::Propagates,
                };
            }
            (_, value) => self.nullable(value, ty, set),
        };
        if written != Some(Written::Done) {
            self.out.extend_from_slice(b"null");
        }
        Written::Done
    }

    /// None: there is no value.
    fn nullable(&mut self, value: Option<&Value>, ty: &str, set: &'a SelectionSet) -> Option<Written> {
        match value {
            Some(Value::List(items)) => {
                let item_type = if let MetaTypeName::List(inner) = MetaTypeName::create(ty) {
                    inner
                } else {
                    ""
                };
                Some(self.list(items, item_type, set))
            }
            Some(Value::Object(fields)) => Some(match fields.get(RAW_VALUE_TOKEN) {
                Some(Value::String(json)) => {
                    self.out.extend_from_slice(json.as_bytes());
                    Written::Done
                }
                _ => self.object(fields, set, self.registry.types.get(ty)),
            }),
            Some(Value::Null) | None => {
                // The engine answers null also for an object whose fields have all failed.
                (value.is_some() && !ty.starts_with('[') && self.failed_below())
                    .then(|| self.object(&IndexMap::new(), set, self.registry.types.get(ty)))
            }
            Some(other) => {
                json::write_value(&mut self.out, other);
                Some(Written::Done)
            }
        }
    }

    fn list(&mut self, items: &[Value], item_type: &str, set: &'a SelectionSet) -> Written {
        let start = self.out.len();
        self.out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.path.push(Step::Index(index));
            let written = self.complete(Some(item), item_type, set);
            self.path.pop();
            if written == Written::Propagates {
                self.out.truncate(start);
                return written;
            }
        }
        self.out.push(b']');
        Written::Done
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
