//! How large a request may be. Text is counted while it is read, the rest on the prepared operation, where fragments are
//! spelled out and variables are known; so what is counted is what would be executed.
//!
//! Reading holds to a ceiling that is the same for all; each request is then held to the limits of its caller, also when
//! its document has been read before.

mod measure;
mod prices;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use super::{
    error::{Code, Fault},
    settings::GraphqlSettings,
};
pub(super) use measure::{Size, measure};

/// The limits of one caller: see [`GraphqlSettings`] for what each counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub tokens: usize,
    pub directives: usize,
    pub depth: usize,
    pub aliases: usize,
    pub root_fields: usize,
    pub complexity: usize,
    pub batch: usize,
    /// What bounds the texts a request can bring.
    pub body_bytes: usize,
}

/// How often a field may lead from a type to other types while looking at the schema itself. Each step multiplies the
/// answer by the size of the schema, and the standard introspection query takes one.
const INTROSPECTION_STEPS: usize = 2;
/// How far over a limit a request may be while limits are only observed: reading it must stay bounded.
const OBSERVED_UP_TO: usize = 10;

/// What is known of a document before its variables are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub tokens: usize,
    pub directives: usize,
    /// Fields after spelling out every fragment: what preparing the document may cost.
    pub expansion: usize,
}

/// A limit that a request is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Excess {
    /// The setting.
    pub limit: &'static str,
    pub found: usize,
    pub allowed: usize,
}

impl Excess {
    pub fn fault(self) -> Fault {
        let Self { limit, found, allowed } = self;
        let what = match limit {
            "complexity" => {
                let message = format!(
                    "The document costs {found}, and at most {allowed} is allowed. Ask for fewer fields, smaller \
                     pages or simpler filters."
                );
                return Fault::new(Code::QueryTooComplex, message);
            }
            "batch" => {
                let message = format!("The body has {found} requests, and at most {allowed} are allowed.");
                return Fault::new(Code::QueryTooComplex, message);
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
    pub(super) fn tokens_within(&self, found: usize) -> Result<(), Fault> {
        within("tokens", found, self.tokens)
    }

    pub(super) fn directives_within(&self, found: usize) -> Result<(), Fault> {
        within("directives", found, self.directives)
    }

    /// Fields after spelling out every fragment: what preparing a document may cost.
    pub(super) fn expansion_within(&self, found: usize) -> Result<(), Fault> {
        within("fields with its fragments spelled out", found, self.complexity)
    }

    /// Bytes that are copied while fragments are spelled out, or variables filled in. This is no limit that anybody sets: it
    /// leaves room for as many fields as may be asked for, and for values of a whole body, which take more as parsed.
    pub(super) fn copies_within(&self, bytes: usize) -> Result<(), Fault> {
        within(
            "bytes with its fragments and variables spelled out",
            bytes,
            self.copies(),
        )
    }

    fn copies(&self) -> usize {
        let (of_fields, of_values) = (self.complexity.saturating_mul(256), self.body_bytes.saturating_mul(4));
        of_fields.saturating_add(of_values)
    }

    /// Selection sets inside each other, fragments included. Wider than `depth`: a fragment is no field.
    pub(super) fn nesting(&self) -> usize {
        self.depth.saturating_mul(4).min(400)
    }

    /// Every limit that a prepared operation is over, in the order in which they are told.
    pub(super) fn exceeded(&self, text: Text, size: &Size) -> impl Iterator<Item = Excess> {
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
        .map(|(limit, found, allowed)| Excess { limit, found, allowed })
    }

    fn widest(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.max(other.tokens),
            directives: self.directives.max(other.directives),
            depth: self.depth.max(other.depth),
            aliases: self.aliases.max(other.aliases),
            root_fields: self.root_fields.max(other.root_fields),
            complexity: self.complexity.max(other.complexity),
            batch: self.batch.max(other.batch),
            ..self
        }
    }

    fn times(self, factor: usize) -> Self {
        Self {
            tokens: self.tokens.saturating_mul(factor),
            directives: self.directives.saturating_mul(factor),
            depth: self.depth.saturating_mul(factor),
            aliases: self.aliases.saturating_mul(factor),
            root_fields: self.root_fields.saturating_mul(factor),
            complexity: self.complexity.saturating_mul(factor),
            ..self
        }
    }
}

/// Everybody's limits.
#[derive(Debug)]
pub(super) struct Policy {
    general: Limits,
    roles: HashMap<Arc<str>, Limits>,
    /// What holds for every request, whoever sends it: reading a document and preparing it stay within.
    pub ceiling: Limits,
    observe_only: bool,
}

impl Policy {
    pub fn new(settings: &GraphqlSettings) -> Self {
        let general = settings.general();
        let roles: HashMap<Arc<str>, Limits> = settings
            .roles
            .iter()
            .map(|(name, role)| (name.as_str().into(), settings.of_role(role)))
            .collect();
        let widest = roles.values().copied().fold(general, Limits::widest);
        let factor = if settings.observe_only { OBSERVED_UP_TO } else { 1 };
        Self {
            general,
            roles,
            ceiling: Limits {
                // Where bodies of several requests are off, observing doesn't turn them on.
                batch: if widest.batch > 1 {
                    widest.batch.saturating_mul(factor)
                } else {
                    1
                },
                ..widest.times(factor)
            },
            observe_only: settings.observe_only,
        }
    }

    /// Whether a request may be over a limit, as that is only observed. Never by far.
    pub fn only_observes(&self, excess: Excess) -> bool {
        self.observe_only && excess.found <= excess.allowed.saturating_mul(OBSERVED_UP_TO)
    }

    /// The limits of a role; the general ones without it, or when it has none.
    pub fn of(&self, role: Option<&str>) -> &Limits {
        role.and_then(|role| self.roles.get(role)).unwrap_or(&self.general)
    }
}

/// What no setting widens: looking at the schema itself multiplies.
pub(super) fn introspection_within(size: &Size) -> Result<(), Fault> {
    within("levels of introspection", size.introspection, INTROSPECTION_STEPS)
}

pub(super) fn within(what: &str, found: usize, most: usize) -> Result<(), Fault> {
    if found > most {
        Err(exceeded(what, found, most))
    } else {
        Ok(())
    }
}

pub(super) fn exceeded(what: &str, found: usize, most: usize) -> Fault {
    Fault::new(
        Code::QueryTooComplex,
        format!("The document has {found} {what}, and at most {most} are allowed."),
    )
}
