//! Fields that the caller may not read: found before anything is loaded, answered null, and reported with their paths.

use async_graphql::{Context, PathSegment, Pos};

use super::{Field, FieldKind, JsonWriter, Object, SelectedField, Selection};
use clientele_core::error::Error;

/// A field that was refused, at its path below the field of the root.
pub(super) struct Refusal {
    permission: &'static str,
    path: Vec<PathSegment>,
    at: Pos,
}

impl<T: Object + ?Sized> Field<T> {
    /// The permission that the field requires.
    pub(super) const fn requires(&self) -> Option<&'static str> {
        match self.kind {
            FieldKind::Guarded { requires, .. } => Some(requires),
            _ => None,
        }
    }
}

impl Selection {
    /// The same selection without the fields whose permission the caller lacks: they are neither loaded nor written.
    #[must_use]
    pub fn authorized(mut self, has: impl Fn(&str) -> bool) -> Self {
        self.refuse(&has);
        self
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

impl SelectedField {
    pub(super) fn response_key(&self) -> &str {
        self.key.trim_end_matches(':').trim_matches('"')
    }
}

impl JsonWriter<'_> {
    /// Writes null for the current field.
    pub(super) fn refuse(&mut self, field: &SelectedField) {
        self.text("null");
        if let Some(permission) = field.requires
            && self.budget.take_refusal()
        {
            self.refusals.push(Refusal {
                permission,
                path: self.path.clone(),
                at: field.at,
            });
        }
    }
}

/// Reports the refusals below the field of the root that is being answered, or below one entry of its list.
pub(super) fn report(refusals: Vec<Refusal>, entry: Option<usize>, context: &Context<'_>) {
    for Refusal { permission, path, at } in refusals {
        let error = async_graphql::Error::from(Error::Forbidden(permission)).into_server_error(at);
        let mut error = context.set_error_path(error);
        error.path.extend(entry.map(PathSegment::Index));
        error.path.extend(path);
        context.add_error(error);
    }
}
