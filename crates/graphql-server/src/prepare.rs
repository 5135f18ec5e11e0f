//! Prepares documents for execution, where async-graphql does it wrong or not at all. [`Parsed`] is made of each text
//! that isn't cached; [`Document::coerce`] and [`Coerced::fill`] run for each request.
//!
//! A prepared operation has no variables, no conditions, and one selection for each response key. Fragments are left
//! only below an interface whose selection depends on the type: then there is exactly one for each possible type. This
//! module knows the schema's types, and neither resolvers nor HTTP nor the answer.

mod flatten;
mod input;
mod literals;
mod merging;
mod rules;
mod size;
mod split;
#[cfg(test)]
mod tests;
mod text;
mod variables;

use std::{collections::HashSet, sync::Arc};

use async_graphql::{
    Name, Pos, Positioned, Variables,
    parser::{
        Error as ParseError, parse_query,
        types::{Directive, ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet},
    },
    registry::Registry,
};
use async_graphql_value::Value;

pub use self::{flatten::collect, split::WRITTEN, variables::Values};
pub(crate) use self::{
    flatten::{fields, is_placeholder, root},
    input::{form, not_of_enum},
    rules::is_only,
};
use self::{split::Flat, variables::Declared};
use crate::{
    error::{Code, GraphqlError, RequestError, internal},
    limits::{DocumentSize, Limits},
    selection::RootSelections,
};

/// A document that may be executed any number of times.
pub(super) struct Document {
    pub syntax: ExecutableDocument,
    operations: Vec<Operation>,
    /// The sizes that don't depend on variables.
    pub text: DocumentSize,
    /// An estimate of its memory in bytes.
    pub weight: u32,
}

struct Operation {
    name: Option<Name>,
    variables: Vec<Declared>,
    /// The flattened operation, if it has no conditions.
    flat: Option<Arc<Flat>>,
}

/// One operation with its coerced variables, which are not filled in yet: that can take much more memory, so the size
/// of the operation is checked first.
pub(super) struct Coerced {
    name: Option<Name>,
    pub values: Values,
    pub flat: Arc<Flat>,
}

/// One operation with its variables' values in it.
pub struct Prepared {
    name: Option<Name>,
    /// The part that async-graphql executes.
    pub(super) operation: OperationDefinition,
    pub(super) selections: RootSelections,
    /// All selections, for the writer of the answer.
    pub(super) shape: Arc<Positioned<OperationDefinition>>,
    pub(super) cost: usize,
}

impl Prepared {
    /// The cost that the limit `complexity` counts.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// The name that the document gives the operation.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    #[must_use]
    pub fn operation_type(&self) -> OperationType {
        self.operation.ty
    }

    #[must_use]
    pub fn is_mutation(&self) -> bool {
        self.operation.ty == OperationType::Mutation
    }

    /// The fields of the root, each with its position in the document.
    pub fn root_fields(&self) -> impl Iterator<Item = (&str, Pos)> {
        // The selection of an object type has no fragments left.
        let fields = collect(&self.operation.selection_set.node, "");
        fields.map(|field| (field.node.name.node.as_str(), field.pos))
    }
}

/// A parsed document that async-graphql can validate without harm.
pub(super) struct Parsed {
    pub syntax: ExecutableDocument,
    text: DocumentSize,
    weight: usize,
}

impl Parsed {
    /// # Errors
    /// Syntax errors, exceeded limits, and mistakes that async-graphql's validation can't be trusted with.
    pub fn parse(query: &str, registry: &Registry, limits: &Limits) -> Result<Self, RequestError> {
        let text = text::read(query, limits)?;
        let syntax = parse_query(&text.text).map_err(|error| RequestError::from(syntax_error(&error)))?;
        let expansion = size::check(&syntax, limits)?;
        let errors = rules::before(&syntax, registry);
        // Some 300 bytes for what the syntax tree keeps of a token: a selection in a list of its own is the largest.
        let weight = query.len() + text.tokens * 300 + 512;
        let text = DocumentSize {
            tokens: text.tokens,
            directives: text.directives,
            expansion,
        };
        if errors.is_empty() {
            Ok(Self { syntax, text, weight })
        } else {
            Err(RequestError::new(errors))
        }
    }

    /// A copy for async-graphql to validate, and the name of one of its operations, which async-graphql requires.
    pub fn for_validation(&self) -> (ExecutableDocument, Option<String>) {
        let name = self
            .syntax
            .operations
            .iter()
            .next()
            .and_then(|(name, _)| name.map(ToString::to_string));
        (rules::with_visible_type_names(self.syntax.clone()), name)
    }

    /// The document, after async-graphql has validated it.
    ///
    /// # Errors
    /// Mistakes that async-graphql's validation overlooks.
    pub fn finish(self, registry: &Registry, limits: &Limits) -> Result<Document, RequestError> {
        let Self {
            syntax,
            text,
            mut weight,
        } = self;
        let conditional = rules::conditions(&syntax).next().is_some();
        let variables = rules::conditions(&syntax).filter_map(|directive| {
            let Value::Variable(name) = &directive.get_argument("if")?.node else {
                return None;
            };
            Some(name.clone())
        });
        let condition_variables: HashSet<Name> = variables.collect();
        let mut operations = Vec::new();
        let mut copied = 0;
        for (name, operation) in syntax.operations.iter() {
            merging::check(operation, &syntax, registry, limits)?;
            let flat = flatten::flatten(operation, &syntax, registry, limits, None, &mut copied)?;
            let definitions = &operation.node.variable_definitions;
            let variables = literals::check(&flat.node, definitions, &condition_variables, registry);
            let variables = variables.map_err(RequestError::new)?;
            let flat = (!conditional).then(|| Arc::new(Flat::new(flat, registry)));
            operations.push(Operation {
                name: name.cloned(),
                variables,
                flat,
            });
        }
        if !conditional {
            // The flattened operations, and the syntax and the tables of the selections in them.
            weight = weight.saturating_add(copied.saturating_mul(3));
        }
        Ok(Document {
            syntax,
            operations,
            text,
            weight: u32::try_from(weight).unwrap_or(u32::MAX),
        })
    }
}

impl Document {
    /// One operation for one request, within `limits`. The caller of this function checks the operation's size.
    ///
    /// # Errors
    /// No such operation, variables that don't fit, or more fields than can be prepared.
    pub fn coerce(
        &self,
        registry: &Registry,
        limits: &Limits,
        name: Option<&str>,
        variables: Variables,
    ) -> Result<Coerced, RequestError> {
        let operation = self.operation(name)?;
        let values = Values::coerce(registry, &operation.variables, variables).map_err(RequestError::new)?;
        let flat = match &operation.flat {
            Some(flat) => flat.clone(),
            None => {
                let mut all = self.syntax.operations.iter();
                let source = all.find(|(name, _)| *name == operation.name.as_ref());
                let (_, source) = source.ok_or_else(internal)?;
                let flat = flatten::flatten(source, &self.syntax, registry, limits, Some(&values), &mut 0)?;
                Arc::new(Flat::new(flat, registry))
            }
        };
        Ok(Coerced {
            name: operation.name.clone(),
            values,
            flat,
        })
    }

    fn operation(&self, name: Option<&str>) -> Result<&Operation, GraphqlError> {
        match (name, self.operations.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(GraphqlError::new(
                Code::BadRequest,
                "The document has several operations. Name one in \"operationName\".",
            )),
            (Some(name), operations) => {
                let mut operations = operations.iter();
                let found = operations.find(|operation| operation.name.as_deref() == Some(name));
                let message = "The document has no operation of the name in \"operationName\".";
                found.ok_or_else(|| GraphqlError::new(Code::BadRequest, message))
            }
        }
    }
}

impl Coerced {
    /// The operation with the values of its variables.
    ///
    /// # Errors
    /// Values that are too large for the number of places that use them.
    pub fn fill(self, limits: &Limits, cost: usize) -> Result<Prepared, GraphqlError> {
        let Self { name, mut values, flat } = self;
        limits.copies_within(values.copies())?;
        let mut operation = flat.executed.clone();
        values.fill(&mut operation.selection_set.node);
        Ok(Prepared {
            name,
            operation,
            selections: flat.selections.filled(|set| values.fill(set)),
            shape: flat.whole.clone(),
            cost,
        })
    }
}

/// The parser quotes the document in its messages, so none of them is passed on.
fn syntax_error(error: &ParseError) -> GraphqlError {
    let at = error.positions().next();
    let with = |message: &'static str| {
        let error = GraphqlError::new(Code::ValidationFailed, message);
        match at {
            Some(pos) => error.at(pos),
            None => error,
        }
    };
    match error {
        ParseError::MultipleOperations { .. } => {
            with("An operation without a name must be the only one of its document.")
        }
        ParseError::OperationDuplicated { .. } => with("Two operations have the same name."),
        ParseError::FragmentDuplicated { .. } => with("Two fragments have the same name."),
        ParseError::MissingOperation => with("The document has no operation."),
        ParseError::RecursionLimitExceeded => {
            GraphqlError::new(Code::QueryTooComplex, "The document is nested too deeply.")
        }
        _ => text::syntax(at.unwrap_or_default()),
    }
}

fn is_condition(directive: &Positioned<Directive>) -> bool {
    matches!(directive.node.name.node.as_str(), "skip" | "include")
}

/// The type condition and the selections of a fragment. None for a field, and for a fragment that the document lacks.
fn fragment<'a>(
    selection: &'a Selection,
    document: &'a ExecutableDocument,
) -> Option<(Option<&'a str>, &'a SelectionSet)> {
    let (on, below) = match selection {
        Selection::Field(_) => return None,
        Selection::InlineFragment(part) => (part.node.type_condition.as_ref(), &part.node.selection_set),
        Selection::FragmentSpread(spread) => {
            let fragment = &document.fragments.get(&spread.node.fragment_name.node)?.node;
            (Some(&fragment.type_condition), &fragment.selection_set)
        }
    };
    Some((on.map(|on| on.node.on.node.as_str()), &below.node))
}
