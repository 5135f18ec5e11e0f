//! CoerceVariableValues of the specification, and the replacement of variables by their values.
//!
//! A variable that wasn't sent leaves no trace in an argument or an input object; one that is null becomes a null.
//! Confusing the two would erase data.

use std::collections::HashMap;

use async_graphql::{
    Name, Pos, Positioned, Value as ConstValue, Variables,
    parser::types::{Directive, Selection, SelectionSet},
    registry::Registry,
};
use async_graphql_value::Value;

use super::{
    input::{self, Mismatch},
    size,
};
use crate::error::{Code, GraphqlError};

/// A variable as its operation declares it.
#[derive(Debug)]
pub(super) struct Declared {
    pub name: Name,
    pub ty: String,
    pub default: Option<ConstValue>,
    pub pos: Pos,
    /// Its type is nullable, but one of its places doesn't accept null, so a null is refused.
    pub must_have_value: bool,
    /// The number of its places, except in conditions. With one place, its value is moved there instead of copied: the
    /// input of a mutation is such a variable, and can be large.
    pub uses: usize,
}

/// The coerced variables of one request. Variables without a value are left out.
#[derive(Debug, Default)]
pub struct Values(HashMap<Name, Known>);

#[derive(Debug)]
struct Known {
    value: Value,
    uses: usize,
}

impl Values {
    /// # Errors
    /// One error for each variable that is missing or doesn't fit its type.
    pub(super) fn coerce(
        registry: &Registry,
        declared: &[Declared],
        mut given: Variables,
    ) -> Result<Self, Vec<GraphqlError>> {
        let mut errors = Vec::new();
        let mut values = HashMap::with_capacity(declared.len());
        for variable in declared {
            match value_of(registry, variable, given.remove(&variable.name)) {
                Ok(Some(value)) => {
                    let (value, uses) = (value.into_value(), variable.uses);
                    values.insert(variable.name.clone(), Known { value, uses });
                }
                Ok(None) => {}
                Err(mismatch) => {
                    let subject = format!("Variable \"${}\"", variable.name);
                    let error = mismatch.error(Code::BadUserInput, &subject, &variable.name);
                    errors.push(error.at(variable.pos));
                }
            }
        }
        if errors.is_empty() {
            Ok(Self(values))
        } else {
            Err(errors)
        }
    }

    /// A constant itself, or the value of a variable, if it has one.
    pub fn get<'a>(&'a self, value: &'a Value) -> Option<&'a Value> {
        match value {
            Value::Variable(name) => self.0.get(name).map(|known| &known.value),
            constant => Some(constant),
        }
    }

    /// The most bytes that [`fill`](Self::fill) copies.
    pub fn copies(&self) -> usize {
        let of = |known: &Known| size::of_value(&known.value).saturating_mul(known.uses);
        let copied = self.0.values().filter(|known| known.uses > 1);
        copied.map(of).fold(0, usize::saturating_add)
    }

    /// True if a selection with these directives is included.
    pub fn include(&self, directives: &[Positioned<Directive>]) -> bool {
        let is_true = |directive: &Directive| match directive.get_argument("if").map(|value| &value.node) {
            Some(Value::Variable(name)) => self
                .0
                .get(name)
                .is_some_and(|known| known.value == Value::Boolean(true)),
            literal => literal == Some(&Value::Boolean(true)),
        };
        directives
            .iter()
            .all(|directive| match directive.node.name.node.as_str() {
                "skip" => !is_true(&directive.node),
                "include" => is_true(&directive.node),
                _ => true,
            })
    }

    /// Replaces the variables in a copy of a part of the flattened operation. Each part is filled once. Its conditions
    /// must have been evaluated, and the size of the copies checked.
    pub fn fill(&mut self, set: &mut SelectionSet) {
        for item in &mut set.items {
            match &mut item.node {
                Selection::Field(field) => {
                    let field = &mut field.node;
                    self.fill_arguments(&mut field.arguments);
                    for directive in &mut field.directives {
                        self.fill_arguments(&mut directive.node.arguments);
                    }
                    self.fill(&mut field.selection_set.node);
                }
                Selection::InlineFragment(part) => self.fill(&mut part.node.selection_set.node),
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn fill_arguments(&mut self, arguments: &mut Vec<(Positioned<Name>, Positioned<Value>)>) {
        arguments.retain_mut(|(_, value)| self.replace(&mut value.node));
    }

    /// Replaces the variables in a value. Returns false if it is itself a variable without a value.
    fn replace(&mut self, value: &mut Value) -> bool {
        match value {
            Value::Variable(name) => match self.0.get_mut(name) {
                Some(Known { value: known, uses: 1 }) => *value = std::mem::take(known),
                Some(known) => *value = known.value.clone(),
                None => return false,
            },
            Value::List(items) => {
                for item in items {
                    if !self.replace(item) {
                        *item = Value::Null;
                    }
                }
            }
            Value::Object(members) => members.retain(|_, member| self.replace(member)),
            _ => {}
        }
        true
    }
}

fn value_of(
    registry: &Registry,
    variable: &Declared,
    given: Option<ConstValue>,
) -> Result<Option<ConstValue>, Mismatch> {
    let (value, coerced) = match (given, &variable.default) {
        (Some(value), _) => (value, false),
        (None, Some(default)) => (default.clone(), true),
        (None, None) if variable.ty.ends_with('!') => {
            return Err(Mismatch::new(format!(
                "a value is required, {} is expected.",
                variable.ty
            )));
        }
        (None, None) => return Ok(None),
    };
    if variable.must_have_value && value == ConstValue::Null {
        return Err(Mismatch::new(
            "null is not accepted where this variable is used. Leave it out to get the default.",
        ));
    }
    if coerced {
        Ok(Some(value))
    } else {
        input::coerce(registry, &variable.ty, value).map(Some)
    }
}
