//! Checks the values in the text of a document, on a flattened operation, where the type of every argument is known.
//!
//! async-graphql skips values next to a variable, and accepts integers of any size and strings for enums.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Positioned,
    parser::types::{Field, OperationDefinition, Selection, SelectionSet, VariableDefinition},
    registry::{MetaType, MetaTypeName, Registry},
};
use async_graphql_value::{ConstValue, Value};

use super::{
    flatten,
    input::{self, Mismatch},
    variables::Declared,
};
use crate::error::{Code, GraphqlError};

/// Checks the literals of a flattened operation and the defaults of its variables, and records for each variable
/// whether its places refuse null.
pub(super) fn check(
    operation: &OperationDefinition,
    definitions: &[Positioned<VariableDefinition>],
    conditions: &HashSet<Name>,
    registry: &Registry,
) -> Result<Vec<Declared>, Vec<GraphqlError>> {
    let mut check = Check {
        registry,
        definitions,
        never_null: conditions.clone(),
        uses: HashMap::new(),
        errors: Vec::new(),
    };
    if let Some(root) = flatten::root(operation.ty, registry) {
        check.set(&operation.selection_set.node, root);
    }
    for name in conditions {
        let variable = Value::Variable(name.clone());
        if let Err(mismatch) = check.variable("Boolean!", &variable, false) {
            let pos = definitions
                .iter()
                .find(|each| each.node.name.node == *name)
                .map(|each| each.pos);
            let error = mismatch.error(Code::ValidationFailed, "Argument \"if\"", "if");
            check.errors.push(error.at(pos.unwrap_or_default()));
        }
    }
    let declared = definitions
        .iter()
        .map(|definition| check.declared(definition))
        .collect();
    if check.errors.is_empty() {
        Ok(declared)
    } else {
        Err(check.errors)
    }
}

struct Check<'a> {
    registry: &'a Registry,
    definitions: &'a [Positioned<VariableDefinition>],
    never_null: HashSet<Name>,
    uses: HashMap<Name, usize>,
    errors: Vec<GraphqlError>,
}

impl<'a> Check<'a> {
    fn declared(&mut self, definition: &Positioned<VariableDefinition>) -> Declared {
        let VariableDefinition {
            name,
            var_type,
            default_value,
            ..
        } = &definition.node;
        let ty = var_type.node.to_string();
        let default = default_value.as_ref().and_then(|value| {
            let checked = self
                .literal(&ty, &value.node.clone().into_value())
                .and_then(|()| input::coerce(self.registry, &ty, value.node.clone()));
            checked
                .map_err(|mismatch| {
                    let subject = format!("The default of variable \"${}\"", name.node);
                    let error = mismatch.error(Code::ValidationFailed, &subject, &name.node);
                    self.errors.push(error.at(value.pos));
                })
                .ok()
        });
        let must_have_value = var_type.node.nullable && self.never_null.contains(&name.node);
        Declared {
            name: name.node.clone(),
            ty,
            default,
            pos: definition.pos,
            must_have_value,
            uses: self.uses.get(&name.node).copied().unwrap_or_default(),
        }
    }

    fn set(&mut self, set: &SelectionSet, parent: &'a MetaType) {
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => self.field(&field.node, parent),
                Selection::InlineFragment(part) => {
                    let on = part
                        .node
                        .type_condition
                        .as_ref()
                        .and_then(|on| self.registry.types.get(on.node.on.node.as_str()));
                    self.set(&part.node.selection_set.node, on.unwrap_or(parent));
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn field(&mut self, field: &Field, parent: &'a MetaType) {
        let of_directives = field.directives.iter().flat_map(|directive| &directive.node.arguments);
        for (_, value) in field.arguments.iter().chain(of_directives) {
            self.count(&value.node);
        }
        let Some(meta) = parent.field_by_name(&field.name.node) else {
            return;
        };
        for (name, value) in &field.arguments {
            let Some(argument) = meta.args.get(name.node.as_str()) else {
                continue;
            };
            // An argument with a default can be left out, but null doesn't mean that.
            let fits = self
                .variable(&argument.ty, &value.node, argument.default_value.is_some())
                .and_then(|()| self.literal(&argument.ty, &value.node));
            if let Err(mismatch) = fits {
                let subject = format!("Argument \"{}\"", name.node);
                let error = mismatch.error(Code::ValidationFailed, &subject, &name.node);
                self.errors.push(error.at(value.pos));
            }
        }
        if let Some(ty) = self.registry.concrete_type_by_name(&meta.ty) {
            self.set(&field.selection_set.node, ty);
        }
    }

    fn count(&mut self, value: &Value) {
        match value {
            Value::Variable(name) => *self.uses.entry(name.clone()).or_default() += 1,
            Value::List(items) => items.iter().for_each(|item| self.count(item)),
            Value::Object(fields) => fields.values().for_each(|value| self.count(value)),
            _ => {}
        }
    }

    fn literal(&mut self, ty: &str, value: &Value) -> Result<(), Mismatch> {
        match (MetaTypeName::create(ty), value) {
            (MetaTypeName::NonNull(_), Value::Variable(name)) => {
                self.never_null.insert(name.clone());
                Ok(())
            }
            (_, Value::Variable(_)) => Ok(()),
            (MetaTypeName::NonNull(inner), Value::Null) => Err(input::null_refused(inner)),
            (MetaTypeName::NonNull(inner), value) => self.literal(inner, value),
            (_, Value::Null) => Ok(()),
            (MetaTypeName::List(inner), Value::List(items)) => {
                items.iter().enumerate().try_for_each(|(index, item)| {
                    self.variable(inner, item, false)
                        .and_then(|()| self.literal(inner, item))
                        .map_err(|e| e.in_element(index))
                })
            }
            (MetaTypeName::List(inner), single) => self.literal(inner, single),
            (MetaTypeName::Named(name), value) => self.named(name, value),
        }
    }

    /// True if a variable is allowed where `ty` is expected (the specification's IsVariableUsageAllowed).
    /// async-graphql's own rule accepts other types.
    fn variable(&self, ty: &str, value: &Value, has_default: bool) -> Result<(), Mismatch> {
        let Value::Variable(name) = value else {
            return Ok(());
        };
        let Some(definition) = self.definitions.iter().find(|each| each.node.name.node == *name) else {
            return Ok(());
        };
        let VariableDefinition {
            var_type,
            default_value,
            ..
        } = &definition.node;
        let own_default = default_value
            .as_ref()
            .is_some_and(|value| value.node != ConstValue::Null);
        let declared = var_type.node.to_string();
        let expected = match MetaTypeName::create(ty) {
            MetaTypeName::NonNull(inner) if var_type.node.nullable && (own_default || has_default) => inner,
            _ => ty,
        };
        if is_compatible(&declared, expected) {
            return Ok(());
        }
        Err(Mismatch::new(format!(
            "\"${name}\" is declared as {declared}, where {ty} is expected."
        )))
    }

    fn named(&mut self, name: &str, value: &Value) -> Result<(), Mismatch> {
        match (self.registry.types.get(name), value) {
            (
                Some(MetaType::InputObject {
                    input_fields, oneof, ..
                }),
                Value::Object(given),
            ) => {
                input::members(
                    name,
                    input_fields,
                    *oneof,
                    given.iter().map(|(key, value)| (key.as_str(), *value == Value::Null)),
                )?;
                for (key, value) in given {
                    let field = &input_fields[key.as_str()];
                    self.variable(&field.ty, value, field.default_value.is_some())
                        .and_then(|()| self.literal(&field.ty, value))
                        .map_err(|e| e.in_member(key))?;
                    if *oneof && self.is_nullable_variable(value) {
                        return Err(Mismatch::new(
                            "this variable must be of a non-null type, as one value is required.",
                        )
                        .in_member(key));
                    }
                }
                Ok(())
            }
            (Some(MetaType::Enum { enum_values, .. }), Value::Enum(given)) => {
                input::of_enum(name, enum_values, given).map(drop)
            }
            (Some(MetaType::Scalar { .. }), value) => match value.clone().into_const() {
                Some(constant) => input::leaf(&self.registry.types[name], constant).map(drop),
                None => Ok(()),
            },
            (_, value) => Err(input::unfit(&value.clone().into_const().unwrap_or_default(), name)),
        }
    }

    fn is_nullable_variable(&self, value: &Value) -> bool {
        let Value::Variable(name) = value else {
            return false;
        };
        self.definitions
            .iter()
            .any(|definition| definition.node.name.node == *name && definition.node.var_type.node.nullable)
    }
}

/// True if every value of the type `declared` is one of the type `expected`.
fn is_compatible(declared: &str, expected: &str) -> bool {
    match (MetaTypeName::create(expected), MetaTypeName::create(declared)) {
        (MetaTypeName::NonNull(expected), MetaTypeName::NonNull(declared)) => is_compatible(declared, expected),
        (MetaTypeName::NonNull(_), _) => false,
        (_, MetaTypeName::NonNull(declared)) => is_compatible(declared, expected),
        (MetaTypeName::List(expected), MetaTypeName::List(declared)) => is_compatible(declared, expected),
        (MetaTypeName::Named(expected), MetaTypeName::Named(declared)) => expected == declared,
        (MetaTypeName::List(_), _) | (_, MetaTypeName::List(_)) => false,
    }
}
