//! Fields that the caller may not see: found before anything is loaded, answered null, and told with their paths.

use async_graphql::{Context, PathSegment, Pos};

use super::{Field, Is, Object, Out, Plan, Step};
use clientele_core::error::Error;
use clientele_domain::caller::{Caller, Permission};

/// A field that was refused, at its place below the field of the root.
pub(super) struct Refusal {
    permission: Permission,
    path: Vec<PathSegment>,
    at: Pos,
}

impl<T: Object + ?Sized> Field<T> {
    /// The permission it takes.
    pub(super) const fn needs(&self) -> Option<Permission> {
        match self.is {
            Is::Guarded { needs, .. } => Some(needs),
            _ => None,
        }
    }
}

impl Plan {
    /// The same selection without what this caller may not see: it is neither loaded nor written.
    #[must_use]
    pub fn for_caller(mut self, caller: &Caller) -> Self {
        if !caller.may_everything() {
            self.refuse(caller);
        }
        self
    }

    fn refuse(&mut self, caller: &Caller) {
        for step in &mut self.steps {
            step.refused = step.needs.is_some_and(|permission| !caller.may(permission));
            if step.refused {
                step.plan = Self::default();
            } else {
                step.plan.refuse(caller);
            }
            self.refuses |= step.refused || step.plan.refuses;
        }
    }
}

impl Step {
    pub(super) fn response_key(&self) -> &str {
        self.key.trim_end_matches(':').trim_matches('"')
    }
}

impl Out<'_> {
    /// Null in the place of the field that is being written.
    pub(super) fn refuse(&mut self, step: &Step) {
        self.text("null");
        if let Some(permission) = step.needs
            && self.budget.take_refusal()
        {
            self.refusals.push(Refusal {
                permission,
                path: self.path.clone(),
                at: step.at,
            });
        }
    }
}

/// Tells what was refused below the field of the root that is being answered, or below one entry of its list.
pub(super) fn tell(refusals: Vec<Refusal>, entry: Option<usize>, context: &Context<'_>) {
    for Refusal { permission, path, at } in refusals {
        let error = async_graphql::Error::from(Error::Forbidden(permission.as_str())).into_server_error(at);
        let mut error = context.set_error_path(error);
        error.path.extend(entry.map(PathSegment::Index));
        error.path.extend(path);
        context.add_error(error);
    }
}
