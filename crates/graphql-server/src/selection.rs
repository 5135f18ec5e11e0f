//! Selections of objects, prepared to be written for any number of objects of one type.

use std::sync::{Arc, PoisonError, RwLock};

use async_graphql::{
    Context, Name, PathSegment, Pos, Value,
    parser::types::{Field as Syntax, SelectionSet},
};

use crate::error::GraphqlError;

/// The fields to write of one object.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub fields: Vec<SelectedField>,
    /// True if a field in it, on any level, requires a permission.
    pub(crate) is_guarded: bool,
    /// True if a field in it, on any level, has been refused.
    pub(crate) refuses: bool,
}

/// One field to write.
#[derive(Clone, Debug)]
pub struct SelectedField {
    /// The field's name in the schema.
    pub name: &'static str,
    /// The response key as JSON, with its colon.
    pub(crate) key: String,
    /// The index in the type's table; none for `__typename`.
    pub(crate) index: Option<usize>,
    pub selection: Selection,
    pub arguments: Vec<(Name, Value)>,
    /// The permission that the field requires.
    pub(crate) requires: Option<&'static str>,
    /// True if the caller lacks it.
    pub(crate) refused: bool,
    pub(crate) at: Pos,
}

impl SelectedField {
    /// The value of an argument; none when it was left out, or null.
    pub fn argument(&self, name: &str) -> Option<&Value> {
        self.arguments
            .iter()
            .find(|(found, value)| found == name && *value != Value::Null)
            .map(|(_, value)| value)
    }

    /// Reports an error of this field, directly below the field of the root that `context` belongs to.
    pub fn report(&self, context: &Context<'_>, error: GraphqlError) {
        let mut error = context.set_error_path(async_graphql::Error::from(error).into_server_error(self.at));
        error.path.push(PathSegment::Field(self.response_key().to_owned()));
        context.add_error(error);
    }

    pub(crate) fn response_key(&self) -> &str {
        self.key.trim_end_matches(':').trim_matches('"')
    }
}

impl Selection {
    pub(crate) fn new(fields: Vec<SelectedField>) -> Self {
        let is_guarded = |field: &SelectedField| field.requires.is_some() || field.selection.is_guarded;
        Self {
            is_guarded: fields.iter().any(is_guarded),
            refuses: false,
            fields,
        }
    }

    /// The selected fields of this name, under any response key. Refused fields are left out.
    pub fn below<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a SelectedField> {
        self.fields
            .iter()
            .filter(move |field| field.name == name && !field.refused)
    }

    /// True if a field of this name is selected and not refused.
    pub fn selects(&self, name: &str) -> bool {
        self.below(name).next().is_some()
    }

    /// The same selection without the fields whose permission the caller lacks: they are neither loaded nor written.
    #[must_use]
    pub fn authorized(self: Arc<Self>, has: impl Fn(&str) -> bool) -> Arc<Self> {
        if !self.is_guarded {
            return self;
        }
        let mut selection = Arc::unwrap_or_clone(self);
        selection.refuse(&has);
        Arc::new(selection)
    }

    fn refuse(&mut self, has: &impl Fn(&str) -> bool) {
        for field in &mut self.fields {
            field.refused = field.requires.is_some_and(|permission| !has(permission));
            if field.refused {
                field.selection = Self::default();
            } else {
                field.selection.refuse(has);
            }
            self.refuses |= field.refused || field.selection.refuses;
        }
    }
}

/// The selections below those fields of the root whose objects are written by this crate. async-graphql doesn't execute
/// them, so that it doesn't validate them again for each request.
#[derive(Clone, Debug, Default)]
pub(crate) struct RootSelections(Vec<Arc<RootSelection>>);

#[derive(Debug)]
struct RootSelection {
    /// The response key of the field.
    key: Name,
    syntax: SelectionSet,
    has_variables: bool,
    /// The selection by the name of its type. Only an interface has more than one.
    read: RwLock<Vec<(&'static str, Arc<Selection>)>>,
}

impl RootSelections {
    /// Adds the selection of a field.
    pub fn add(&mut self, field: &Syntax, has_variables: bool) {
        self.0.push(Arc::new(RootSelection {
            key: field.response_key().node.clone(),
            syntax: field.selection_set.node.clone(),
            has_variables,
            read: RwLock::default(),
        }));
    }

    /// The same selections, with variables replaced by `fill`. Those without variables are shared.
    pub fn filled(&self, mut fill: impl FnMut(&mut SelectionSet)) -> Self {
        let filled = self.0.iter().map(|root| {
            if !root.has_variables {
                return root.clone();
            }
            let mut syntax = root.syntax.clone();
            fill(&mut syntax);
            Arc::new(RootSelection {
                key: root.key.clone(),
                syntax,
                has_variables: false,
                read: RwLock::default(),
            })
        });
        Self(filled.collect())
    }

    /// The selection below the field with this response key, for objects of a type. `read` reads it the first time.
    /// None if async-graphql executes it.
    pub fn get(
        &self,
        key: &str,
        type_name: &'static str,
        read: impl FnOnce(&SelectionSet) -> Selection,
    ) -> Option<Arc<Selection>> {
        let root = self.0.iter().find(|root| root.key == key)?;
        let known = |all: &[(&str, Arc<Selection>)]| {
            let mut all = all.iter();
            all.find(|(name, _)| *name == type_name).map(|(_, known)| known.clone())
        };
        if let Some(known) = known(&root.read.read().unwrap_or_else(PoisonError::into_inner)) {
            return Some(known);
        }
        let selection = Arc::new(read(&root.syntax));
        let mut all = root.read.write().unwrap_or_else(PoisonError::into_inner);
        // Another request may have read it meanwhile.
        Some(known(&all).unwrap_or_else(|| {
            all.push((type_name, selection.clone()));
            selection
        }))
    }
}
