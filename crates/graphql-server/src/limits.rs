//! Limits on the size of a request. Tokens and directives are counted in the text, everything else in the prepared
//! operation, with its fragments expanded and its variables known, as it would be executed.
//!
//! Reading a document is bounded by a ceiling that is the same for all callers. Each request is then checked against
//! the limits of its caller, also if its document is cached.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use super::{
    error::{Code, GraphqlError},
    settings::{GraphqlSettings, RoleLimits},
};

/// The limits of one caller. [`GraphqlSettings`] describes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub tokens: usize,
    pub directives: usize,
    pub depth: usize,
    pub aliases: usize,
    pub root_fields: usize,
    pub complexity: usize,
    pub batch: usize,
    /// The largest body, which bounds the values of a request.
    pub body_bytes: usize,
}

/// The most steps of an introspection query from a type to other types. Each step multiplies the answer by the size of
/// the schema, and the standard introspection query takes one.
const INTROSPECTION_STEPS: usize = 2;
/// The factor by which a request may exceed a limit that is only observed: reading it must stay bounded.
const OBSERVED_UP_TO: usize = 10;

/// The sizes of a document that don't depend on variables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DocumentSize {
    pub tokens: usize,
    pub directives: usize,
    /// Fields with all fragments expanded, which bounds the work of preparing the document.
    pub expansion: usize,
}

/// The size of an operation, its variables included.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct OperationSize {
    pub depth: usize,
    pub aliases: usize,
    pub root_fields: usize,
    pub cost: usize,
    /// Steps from a type of the schema to others.
    pub introspection: usize,
    /// True if the operation has introspection fields other than `__typename`.
    pub looks_at_schema: bool,
}

/// A limit that a request exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitExceeded {
    /// The setting.
    pub limit: &'static str,
    pub found: usize,
    pub allowed: usize,
}

impl LimitExceeded {
    pub(crate) fn error(self) -> GraphqlError {
        let Self { limit, found, allowed } = self;
        let what = match limit {
            "complexity" => {
                let message = format!(
                    "The document costs {found}, and at most {allowed} is allowed. Ask for fewer fields, smaller \
                     pages or simpler filters."
                );
                return GraphqlError::new(Code::QueryTooComplex, message);
            }
            "batch" => {
                let message = format!("The body has {found} requests, and at most {allowed} are allowed.");
                return GraphqlError::new(Code::QueryTooComplex, message);
            }
            "expansion" => "fields with its fragments spelled out",
            "root_fields" => "fields of the root",
            "depth" => "levels of fields",
            other => other,
        };
        exceeded(what, found, allowed)
    }
}

impl Limits {
    /// Checks the number of fields with all fragments expanded, which bounds the work of preparing a document.
    pub(super) fn expansion_within(&self, found: usize) -> Result<(), GraphqlError> {
        within("fields with its fragments spelled out", found, self.complexity)
    }

    /// Checks the bytes that are copied while fragments are expanded or variables filled in. Not a setting: it leaves
    /// room for as many fields as `complexity` allows, and for the values of a whole body, which take more memory when
    /// parsed.
    pub(super) fn copies_within(&self, bytes: usize) -> Result<(), GraphqlError> {
        let (of_fields, of_values) = (self.complexity.saturating_mul(256), self.body_bytes.saturating_mul(4));
        let most = of_fields.saturating_add(of_values);
        within("bytes with its fragments and variables spelled out", bytes, most)
    }

    /// The most selection sets inside each other. Greater than `depth`, because fragments count too.
    pub(super) fn nesting(&self) -> usize {
        self.depth.saturating_mul(4).min(400)
    }

    /// Every limit that a prepared operation exceeds, in the order in which they are reported.
    pub(super) fn exceeded(&self, text: DocumentSize, size: &OperationSize) -> impl Iterator<Item = LimitExceeded> {
        [
            ("tokens", text.tokens, self.tokens),
            ("directives", text.directives, self.directives),
            ("expansion", text.expansion, self.complexity),
            ("root_fields", size.root_fields, self.root_fields),
            ("depth", size.depth, self.depth),
            ("aliases", size.aliases, self.aliases),
            ("complexity", size.cost, self.complexity),
        ]
        .into_iter()
        .filter(|(_, found, allowed)| found > allowed)
        .map(|(limit, found, allowed)| LimitExceeded { limit, found, allowed })
    }

    /// Combines each limit of a request with the one of another caller.
    fn zip(self, other: Self, combine: impl Fn(usize, usize) -> usize) -> Self {
        Self {
            tokens: combine(self.tokens, other.tokens),
            directives: combine(self.directives, other.directives),
            depth: combine(self.depth, other.depth),
            aliases: combine(self.aliases, other.aliases),
            root_fields: combine(self.root_fields, other.root_fields),
            complexity: combine(self.complexity, other.complexity),
            batch: combine(self.batch, other.batch),
            body_bytes: self.body_bytes,
        }
    }
}

/// The limits of all callers.
#[derive(Debug)]
pub(super) struct Policy {
    general: Limits,
    roles: HashMap<Arc<str>, Limits>,
    /// The widest limits of any caller, which bound reading and preparing a document.
    pub ceiling: Limits,
    observe_only: bool,
}

impl Policy {
    pub fn new(settings: &GraphqlSettings) -> Self {
        let general = limits_of(settings, &RoleLimits::default());
        let roles: HashMap<Arc<str>, Limits> = settings
            .roles
            .iter()
            .map(|(name, role)| (name.as_str().into(), limits_of(settings, role)))
            .collect();
        let widest = roles.values().fold(general, |one, other| one.zip(*other, usize::max));
        let factor = if settings.observe_only { OBSERVED_UP_TO } else { 1 };
        let mut ceiling = widest.zip(widest, |limit, _| limit.saturating_mul(factor));
        if widest.batch <= 1 {
            // Observing doesn't enable batches that are disabled.
            ceiling.batch = 1;
        }
        Self {
            general,
            roles,
            ceiling,
            observe_only: settings.observe_only,
        }
    }

    /// True if a request may exceed a limit because limits are only observed, within a factor.
    pub fn only_observes(&self, excess: LimitExceeded) -> bool {
        self.observe_only && excess.found <= excess.allowed.saturating_mul(OBSERVED_UP_TO)
    }

    /// The limits of a role, or the general ones if it has none of its own.
    pub fn of(&self, role: Option<&str>) -> &Limits {
        role.and_then(|role| self.roles.get(role)).unwrap_or(&self.general)
    }
}

/// The limits of a caller with this role. Without a role, it is the default.
pub(crate) fn limits_of(settings: &GraphqlSettings, role: &RoleLimits) -> Limits {
    Limits {
        tokens: role.tokens.unwrap_or(settings.tokens),
        directives: role.directives.unwrap_or(settings.directives),
        depth: role.depth.unwrap_or(settings.depth),
        aliases: role.aliases.unwrap_or(settings.aliases),
        root_fields: role.root_fields.unwrap_or(settings.root_fields),
        complexity: role.complexity.unwrap_or(settings.complexity),
        batch: role.batch.unwrap_or(settings.batch),
        body_bytes: settings.body_bytes,
    }
}

/// Checks the steps of introspection, a limit that no setting widens.
pub(super) fn introspection_within(size: &OperationSize) -> Result<(), GraphqlError> {
    within("levels of introspection", size.introspection, INTROSPECTION_STEPS)
}

pub(super) fn within(what: &str, found: usize, most: usize) -> Result<(), GraphqlError> {
    if found > most {
        Err(exceeded(what, found, most))
    } else {
        Ok(())
    }
}

pub(super) fn exceeded(what: &str, found: usize, most: usize) -> GraphqlError {
    GraphqlError::new(
        Code::QueryTooComplex,
        format!("The document has {found} {what}, and at most {most} are allowed."),
    )
}
