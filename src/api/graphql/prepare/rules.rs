//! Rules of the specification that the engine's validation leaves out (field notes 0.6, and what was found since).
//!
//! [`before`] looks at a document as it was written and also keeps the engine from what makes it panic; [`operation`] looks
//! at a flattened operation, where every argument's type is at hand.

use std::collections::HashSet;

use async_graphql::{
    Name, Pos, Positioned,
    parser::types::{
        BaseType, Directive, ExecutableDocument, Field, InlineFragment, OperationDefinition, Selection, SelectionSet,
        Type, VariableDefinition,
    },
    registry::{MetaType, MetaTypeName, Registry},
};
use async_graphql_value::Value;

use super::{
    input::{self, Mismatch},
    variables::Declared,
};
use crate::api::graphql::error::{Code, Fault};

/// Checks a document as written.
pub(super) fn before(document: &ExecutableDocument, registry: &Registry) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (_, operation) in document.operations.iter() {
        for variable in &operation.node.variable_definitions {
            variable_definition(&variable.node, registry, &mut faults);
        }
    }
    for set in selection_sets(document) {
        type_names(&set.node, &mut faults);
    }
    faults
}

fn selection_sets(document: &ExecutableDocument) -> impl Iterator<Item = &Positioned<SelectionSet>> {
    let operations = document
        .operations
        .iter()
        .map(|(_, operation)| &operation.node.selection_set);
    operations.chain(document.fragments.values().map(|fragment| &fragment.node.selection_set))
}

fn invalid(message: String, pos: Pos) -> Fault {
    Fault::new(Code::ValidationFailed, message).at(pos)
}

fn variable_definition(variable: &VariableDefinition, registry: &Registry, faults: &mut Vec<Fault>) {
    let (name, ty) = (&variable.name.node, &variable.var_type);
    if !registry
        .types
        .get(base(&ty.node).as_str())
        .is_some_and(MetaType::is_input)
    {
        faults.push(invalid(
            format!(
                "Variable \"${name}\" can't be of type {}: that is no input type of this schema.",
                ty.node
            ),
            ty.pos,
        ));
    }
    // No directive of this schema goes there, and the engine doesn't look.
    for directive in &variable.directives {
        let message = format!(
            "The directive \"@{}\" can't stand at a variable.",
            directive.node.name.node
        );
        faults.push(invalid(message, directive.pos));
    }
}

fn base(ty: &Type) -> &Name {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(inner) => base(inner),
    }
}

fn type_names(set: &SelectionSet, faults: &mut Vec<Fault>) {
    for item in &set.items {
        match &item.node {
            Selection::Field(field) if field.node.name.node == "__typename" => {
                if !field.node.arguments.is_empty() {
                    faults.push(invalid("\"__typename\" takes no arguments.".into(), field.pos));
                }
                if !field.node.selection_set.node.items.is_empty() {
                    faults.push(invalid(
                        "\"__typename\" is a String and has no fields.".into(),
                        field.pos,
                    ));
                }
            }
            Selection::Field(field) => type_names(&field.node.selection_set.node, faults),
            Selection::InlineFragment(part) => type_names(&part.node.selection_set.node, faults),
            Selection::FragmentSpread(_) => {}
        }
    }
}

/// The document as the engine's validation should see it: it skips `__typename`, directives, their variables and all, so
/// there they stand on a fragment around the field.
pub(super) fn with_visible_type_names(mut document: ExecutableDocument) -> ExecutableDocument {
    fn visit(set: &mut SelectionSet) {
        for item in &mut set.items {
            match &mut item.node {
                Selection::Field(field)
                    if field.node.name.node == "__typename" && !field.node.directives.is_empty() =>
                {
                    let directives = std::mem::take(&mut field.node.directives);
                    let wrapped = SelectionSet {
                        items: vec![item.clone()],
                    };
                    item.node = Selection::InlineFragment(Positioned::new(
                        InlineFragment {
                            type_condition: None,
                            directives,
                            selection_set: Positioned::new(wrapped, item.pos),
                        },
                        item.pos,
                    ));
                }
                Selection::Field(field) => visit(&mut field.node.selection_set.node),
                Selection::InlineFragment(part) => visit(&mut part.node.selection_set.node),
                Selection::FragmentSpread(_) => {}
            }
        }
    }
    match &mut document.operations {
        async_graphql::parser::types::DocumentOperations::Single(operation) => {
            visit(&mut operation.node.selection_set.node)
        }
        async_graphql::parser::types::DocumentOperations::Multiple(operations) => {
            operations
                .values_mut()
                .for_each(|operation| visit(&mut operation.node.selection_set.node));
        }
    }
    document
        .fragments
        .values_mut()
        .for_each(|fragment| visit(&mut fragment.node.selection_set.node));
    document
}

/// The variables of all conditions: a condition is never null.
pub(super) fn condition_variables(document: &ExecutableDocument) -> HashSet<Name> {
    fn visit(set: &SelectionSet, names: &mut HashSet<Name>) {
        for item in &set.items {
            for directive in item
                .node
                .directives()
                .iter()
                .filter(|directive| is_condition(&directive.node))
            {
                if let Some(Value::Variable(name)) = directive.node.get_argument("if").map(|value| &value.node) {
                    names.insert(name.clone());
                }
            }
            match &item.node {
                Selection::Field(field) => visit(&field.node.selection_set.node, names),
                Selection::InlineFragment(part) => visit(&part.node.selection_set.node, names),
                Selection::FragmentSpread(_) => {}
            }
        }
    }
    let mut names = HashSet::new();
    selection_sets(document).for_each(|set| visit(&set.node, &mut names));
    names
}

fn is_condition(directive: &Directive) -> bool {
    matches!(directive.name.node.as_str(), "skip" | "include")
}

/// Whether any selection has a condition.
pub(super) fn has_conditions(document: &ExecutableDocument) -> bool {
    fn visit(set: &SelectionSet) -> bool {
        set.items.iter().any(|item| {
            item.node
                .directives()
                .iter()
                .any(|directive| is_condition(&directive.node))
                || match &item.node {
                    Selection::Field(field) => visit(&field.node.selection_set.node),
                    Selection::InlineFragment(part) => visit(&part.node.selection_set.node),
                    Selection::FragmentSpread(_) => false,
                }
        })
    }
    selection_sets(document).any(|set| visit(&set.node))
}

/// Checks the literals of a flattened operation and the defaults of its variables, and notes on each variable whether null
/// is refused where it stands.
pub(super) fn operation(
    operation: &OperationDefinition,
    definitions: &[Positioned<VariableDefinition>],
    conditions: &HashSet<Name>,
    registry: &Registry,
) -> Result<Vec<Declared>, Vec<Fault>> {
    let mut check = Check {
        registry,
        definitions,
        never_null: conditions.clone(),
        faults: Vec::new(),
    };
    let root = match operation.ty {
        async_graphql::parser::types::OperationType::Query => Some(&registry.query_type),
        async_graphql::parser::types::OperationType::Mutation => registry.mutation_type.as_ref(),
        async_graphql::parser::types::OperationType::Subscription => registry.subscription_type.as_ref(),
    };
    if let Some(parent) = root.and_then(|name| registry.types.get(name)) {
        check.set(&operation.selection_set.node, parent);
    }
    let declared = definitions
        .iter()
        .map(|definition| check.declared(definition))
        .collect();
    if check.faults.is_empty() {
        Ok(declared)
    } else {
        Err(check.faults)
    }
}

struct Check<'a> {
    registry: &'a Registry,
    definitions: &'a [Positioned<VariableDefinition>],
    never_null: HashSet<Name>,
    faults: Vec<Fault>,
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
                    self.faults.push(invalid(mismatch.sentence(&subject), value.pos));
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
        let Some(meta) = parent.field_by_name(&field.name.node) else {
            return;
        };
        for (name, value) in &field.arguments {
            let Some(argument) = meta.args.get(name.node.as_str()) else {
                continue;
            };
            // An argument with a default may be left out, but null is no way of leaving it out.
            if let Err(mismatch) = self.literal(&argument.ty, &value.node) {
                self.faults.push(invalid(
                    mismatch.sentence(&format!("Argument \"{}\"", name.node)),
                    value.pos,
                ));
            }
        }
        if let Some(ty) = self.registry.concrete_type_by_name(&meta.ty) {
            self.set(&field.selection_set.node, ty);
        }
    }

    fn literal(&mut self, ty: &str, value: &Value) -> Result<(), Mismatch> {
        match (MetaTypeName::create(ty), value) {
            (MetaTypeName::NonNull(_), Value::Variable(name)) => {
                self.never_null.insert(name.clone());
                Ok(())
            }
            // Whether the variable's type fits is the engine's to say, and it does.
            (_, Value::Variable(_)) => Ok(()),
            (MetaTypeName::NonNull(inner), Value::Null) => Err(input::null_refused(inner)),
            (MetaTypeName::NonNull(inner), value) => self.literal(inner, value),
            (_, Value::Null) => Ok(()),
            (MetaTypeName::List(inner), Value::List(items)) => items
                .iter()
                .enumerate()
                .try_for_each(|(index, item)| self.literal(inner, item).map_err(|e| e.inside(index))),
            (MetaTypeName::List(inner), single) => self.literal(inner, single),
            (MetaTypeName::Named(name), value) => self.named(name, value),
        }
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
                    self.literal(&input_fields[key.as_str()].ty, value)
                        .map_err(|e| e.inside(key))?;
                    if *oneof && self.is_nullable_variable(value) {
                        return Err(Mismatch::new(
                            "this variable must be of a non-null type, as one value is required.",
                        )
                        .inside(key));
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
