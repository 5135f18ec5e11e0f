//! CoerceVariableValues of the specification, and the replacement of variables by their values.
//!
//! A variable that wasn't sent leaves no trace in an argument or an input object; one that is null becomes a null.
//! Confusing the two would erase data.

use std::collections::HashMap;

use async_graphql::{
    Name, Pos, Positioned, Value as ConstValue, Variables,
    parser::types::{Directive, Field, InlineFragment, OperationDefinition, Selection, SelectionSet},
    registry::Registry,
};
use async_graphql_value::Value;

use super::{
    copies,
    input::{self, Mismatch},
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
pub struct Values(HashMap<Name, Held>);

#[derive(Debug)]
struct Held {
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
                Ok(Some(value)) => drop(values.insert(
                    variable.name.clone(),
                    Held {
                        value: value.into_value(),
                        uses: variable.uses,
                    },
                )),
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
            Value::Variable(name) => self.0.get(name).map(|held| &held.value),
            constant => Some(constant),
        }
    }

    /// The most bytes that [`fill`](Self::fill) copies.
    pub fn copies(&self) -> usize {
        let of = |held: &Held| copies::of_value(&held.value).saturating_mul(held.uses);
        let copied = self.0.values().filter(|held| held.uses > 1);
        copied.map(of).fold(0, usize::saturating_add)
    }

    /// The value with its variables replaced; None when it is itself a variable without a value.
    fn take(&mut self, value: &Value) -> Option<Value> {
        Some(match value {
            Value::Variable(name) => match self.0.get_mut(name)? {
                Held { value, uses: 1 } => std::mem::take(value),
                held => held.value.clone(),
            },
            Value::List(items) => Value::List(
                items
                    .iter()
                    .map(|item| self.take(item).unwrap_or(Value::Null))
                    .collect(),
            ),
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .filter_map(|(name, value)| Some((name.clone(), self.take(value)?)))
                    .collect(),
            ),
            constant => constant.clone(),
        })
    }

    /// True if a selection with these directives is included.
    pub fn include(&self, directives: &[Positioned<Directive>]) -> bool {
        let is_true = |directive: &Directive| match directive.get_argument("if").map(|value| &value.node) {
            Some(Value::Variable(name)) => self.0.get(name).is_some_and(|held| held.value == Value::Boolean(true)),
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

    /// A copy of a flattened operation without variables. Its conditions must have been evaluated, and the size of the
    /// copy checked.
    pub fn fill(mut self, operation: &OperationDefinition) -> OperationDefinition {
        let set = &operation.selection_set;
        OperationDefinition {
            ty: operation.ty,
            variable_definitions: Vec::new(),
            directives: Vec::new(),
            selection_set: set.position_node(self.fill_set(&set.node)),
        }
    }

    fn fill_set(&mut self, set: &SelectionSet) -> SelectionSet {
        let items = set.items.iter().map(|item| {
            item.position_node(match &item.node {
                Selection::Field(field) => Selection::Field(field.position_node(self.fill_field(&field.node))),
                Selection::InlineFragment(part) => {
                    let below = &part.node.selection_set;
                    Selection::InlineFragment(part.position_node(InlineFragment {
                        type_condition: part.node.type_condition.clone(),
                        directives: Vec::new(),
                        selection_set: below.position_node(self.fill_set(&below.node)),
                    }))
                }
                Selection::FragmentSpread(spread) => Selection::FragmentSpread(spread.clone()),
            })
        });
        SelectionSet { items: items.collect() }
    }

    fn fill_field(&mut self, field: &Field) -> Field {
        Field {
            alias: field.alias.clone(),
            name: field.name.clone(),
            arguments: self.fill_arguments(&field.arguments),
            directives: field
                .directives
                .iter()
                .map(|directive| {
                    let mut filled = directive.clone();
                    filled.node.arguments = self.fill_arguments(&directive.node.arguments);
                    filled
                })
                .collect(),
            selection_set: field
                .selection_set
                .position_node(self.fill_set(&field.selection_set.node)),
        }
    }

    fn fill_arguments(
        &mut self,
        arguments: &[(Positioned<Name>, Positioned<Value>)],
    ) -> Vec<(Positioned<Name>, Positioned<Value>)> {
        let filled = |(name, value): &(Positioned<Name>, Positioned<Value>)| {
            Some((name.clone(), value.position_node(self.take(&value.node)?)))
        };
        arguments.iter().filter_map(filled).collect()
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
