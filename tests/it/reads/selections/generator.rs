//! Random valid selections: aliases, fragments, directives and merged fields.

use std::fmt;

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};

use super::interpreter::Types;

/// A condition of a part, with its text in the document.
#[derive(Clone, Copy)]
pub struct Condition {
    pub text: &'static str,
    pub holds: bool,
}

const CONDITIONS: [(&str, bool); 9] = [
    ("", true),
    ("@include(if: true)", true),
    ("@include(if: $yes)", true),
    ("@skip(if: $no)", true),
    ("@skip(if: false) @include(if: $yes)", true),
    ("@include(if: $no)", false),
    ("@skip(if: true)", false),
    ("@skip(if: $yes) @include(if: true)", false),
    ("@include(if: $no) @skip(if: $no)", false),
];

pub enum Item {
    Field {
        alias: Option<String>,
        name: String,
        only: Option<&'static str>,
        when: Condition,
        below: Option<Selection>,
    },
    Inline {
        on: Option<String>,
        when: Condition,
        below: Selection,
    },
    Spread {
        fragment: usize,
        when: Condition,
    },
}

pub struct Selection(pub Vec<Item>);

/// A named fragment: its type and what it selects.
pub type Fragment = (String, Selection);

pub struct Generator<'a> {
    types: &'a Types,
    rng: StdRng,
    /// Directives and aliases that may still be used: the server limits both.
    conditions: usize,
    aliases: usize,
    /// Fragments of either kind that may still be used, so that there is an end to them.
    spreads: usize,
    pub fragments: Vec<Fragment>,
}

impl<'a> Generator<'a> {
    pub fn new(types: &'a Types, rng: StdRng) -> Self {
        Self {
            types,
            rng,
            conditions: 12,
            aliases: 30,
            spreads: 12,
            fragments: Vec::new(),
        }
    }

    pub fn selection(&mut self, ty: &str, depth: usize) -> Selection {
        let count = self.rng.random_range(1..=6);
        Selection((0..count).map(|_| self.item(ty, depth)).collect())
    }

    /// The document around the field of the root.
    pub fn document(&self, root: &str) -> String {
        let fragments = self.fragments.iter().enumerate();
        let fragments: Vec<String> = fragments
            .map(|(at, (ty, below))| format!("fragment F{at} on {ty} {below}"))
            .collect();
        // Both variables are used, as the specification asks.
        format!(
            "query($yes: Boolean!, $no: Boolean!) {{ x: __typename @skip(if: $yes) y: __typename @include(if: $no) \
                {root} }} {}",
            fragments.join(" ")
        )
    }

    fn item(&mut self, ty: &str, depth: usize) -> Item {
        let when = self.condition();
        let kind = if self.spreads > 0 {
            self.rng.random_range(0..10)
        } else {
            9
        };
        self.spreads -= usize::from(kind < 3);
        match kind {
            0 | 1 => {
                let on = match self.rng.random_range(0..3) {
                    0 => None,
                    1 => Some(self.wider(ty)),
                    _ => Some(ty.to_owned()),
                };
                let below = self.selection(&on.clone().unwrap_or_else(|| ty.to_owned()), depth);
                Item::Inline { on, when, below }
            }
            2 => {
                let on = if self.rng.random_bool(0.3) {
                    self.wider(ty)
                } else {
                    ty.to_owned()
                };
                let below = self.selection(&on, depth);
                self.fragments.push((on, below));
                Item::Spread {
                    fragment: self.fragments.len() - 1,
                    when,
                }
            }
            _ => self.field(ty, depth, when),
        }
    }

    fn field(&mut self, ty: &str, depth: usize, when: Condition) -> Item {
        let fields: Vec<_> = self
            .types
            .fields(ty)
            .iter()
            .filter(|(_, inner)| depth > 1 || inner.is_none())
            .collect();
        let typename = ("__typename".to_owned(), None);
        let (name, inner) = if self.rng.random_bool(0.1) {
            &typename
        } else {
            fields.choose(&mut self.rng).copied().unwrap_or(&typename)
        };
        let below = inner.as_ref().map(|inner| self.selection(inner, depth - 1));
        // An alias says which arguments the field has, so that fields of one name always merge.
        let narrowed = name == "customInformation" && depth > 2 && self.aliases > 0 && self.rng.random_bool(0.4);
        let only = narrowed.then(|| *["next", "age"].choose(&mut self.rng).expect("not empty"));
        let aliased = only.is_some() || self.aliases > 0 && self.rng.random_bool(0.2);
        self.aliases -= usize::from(aliased);
        let alias = aliased.then(|| format!("{}_{name}", only.unwrap_or("a")));
        Item::Field {
            alias,
            name: name.clone(),
            only,
            when,
            below,
        }
    }

    /// An interface that the type has.
    fn wider(&mut self, ty: &str) -> String {
        if self.types.is_node(ty) {
            "Node".to_owned()
        } else {
            ty.to_owned()
        }
    }

    fn condition(&mut self) -> Condition {
        let (text, holds) = if self.conditions > 0 && self.rng.random_bool(0.25) {
            self.conditions -= 1;
            *CONDITIONS.choose(&mut self.rng).expect("not empty")
        } else {
            CONDITIONS[0]
        };
        Condition { text, holds }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("{ ")?;
        for item in &self.0 {
            match item {
                Item::Field {
                    alias,
                    name,
                    only,
                    when,
                    below,
                } => {
                    if let Some(alias) = alias {
                        write!(formatter, "{alias}: ")?;
                    }
                    formatter.write_str(name)?;
                    if let Some(only) = only {
                        write!(formatter, "(fields: [\"{only}\"])")?;
                    }
                    write!(formatter, " {} ", when.text)?;
                    if let Some(below) = below {
                        write!(formatter, "{below} ")?;
                    }
                }
                Item::Inline { on, when, below } => {
                    let on = on.as_ref().map(|on| format!("on {on} ")).unwrap_or_default();
                    write!(formatter, "... {on}{} {below} ", when.text)?;
                }
                Item::Spread { fragment, when } => write!(formatter, "...F{fragment} {} ", when.text)?,
            }
        }
        formatter.write_str("}")
    }
}
