//! Checks the values in the text of a document, on a flattened operation, where the type of every argument is known.
//!
//! async-graphql skips values next to a variable, and accepts integers of any size and strings for enums.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Pos, Positioned,
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
        never_null: HashSet::new(),
        uses: HashMap::new(),
        errors: Vec::new(),
    };
    if let Some(root) = flatten::root(operation.ty, registry) {
        check.set(&operation.selection_set.node, root);
    }
    for name in conditions {
        if let Err(mismatch) = check.variable("Boolean!", name, false) {
            let mut definitions = definitions.iter();
            let definition = definitions.find(|definition| definition.node.name.node == *name);
            let error = mismatch.error(Code::ValidationFailed, "Argument \"if\"", "if");
            check
                .errors
                .push(error.at(definition.map_or_else(Pos::default, |it| it.pos)));
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
                .literal(&ty, &value.node.clone().into_value(), false)
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
            let has_default = argument.default_value.is_some();
            if let Err(mismatch) = self.literal(&argument.ty, &value.node, has_default) {
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

    fn literal(&mut self, ty: &str, value: &Value, has_default: bool) -> Result<(), Mismatch> {
        match (MetaTypeName::create(ty), value) {
            (_, Value::Variable(name)) => self.variable(ty, name, has_default),
            (MetaTypeName::NonNull(inner), Value::Null) => Err(input::null_refused(inner)),
            (MetaTypeName::NonNull(inner), value) => self.literal(inner, value, false),
            (_, Value::Null) => Ok(()),
            (MetaTypeName::List(inner), Value::List(items)) => {
                let mut items = items.iter().enumerate();
                items.try_for_each(|(index, item)| self.literal(inner, item, false).map_err(|e| e.in_element(index)))
            }
            (MetaTypeName::List(inner), single) => self.literal(inner, single, false),
            (MetaTypeName::Named(name), value) => self.named(name, value),
        }
    }

    /// Checks that a variable is allowed where `ty` is expected (the specification's IsVariableUsageAllowed), and
    /// records that null isn't. async-graphql's own rule accepts other types.
    fn variable(&mut self, ty: &str, name: &Name, has_default: bool) -> Result<(), Mismatch> {
        if let Some(VariableDefinition {
            var_type,
            default_value,
            ..
        }) = self.definition(name)
        {
            let own_default = default_value
                .as_ref()
                .is_some_and(|value| value.node != ConstValue::Null);
            let declared = var_type.node.to_string();
            let expected = match MetaTypeName::create(ty) {
                MetaTypeName::NonNull(inner) if var_type.node.nullable && (own_default || has_default) => inner,
                _ => ty,
            };
            if !is_compatible(&declared, expected) {
                return Err(Mismatch::new(format!(
                    "\"${name}\" is declared as {declared}, where {ty} is expected."
                )));
            }
        }
        if ty.ends_with('!') {
            self.never_null.insert(name.clone());
        }
        Ok(())
    }

    fn definition(&self, name: &Name) -> Option<&'a VariableDefinition> {
        let mut definitions = self.definitions.iter().map(|definition| &definition.node);
        definitions.find(|definition| definition.name.node == *name)
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
                    self.literal(&field.ty, value, field.default_value.is_some())
                        .map_err(|e| e.in_member(key))?;
                    if *oneof
                        && let Value::Variable(name) = value
                        && self.definition(name).is_some_and(|it| it.var_type.node.nullable)
                    {
                        let message = "this variable must be of a non-null type, as one value is required.";
                        return Err(Mismatch::new(message).in_member(key));
                    }
                }
                Ok(())
            }
            (Some(MetaType::Enum { enum_values, .. }), Value::Enum(given)) => {
                input::of_enum(name, enum_values, given).map(drop)
            }
            (Some(scalar @ MetaType::Scalar { .. }), value) => match value.clone().into_const() {
                Some(constant) => input::leaf(scalar, constant).map(drop),
                None => Ok(()),
            },
            (_, value) => Err(input::unfit(&value.clone().into_const().unwrap_or_default(), name)),
        }
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
