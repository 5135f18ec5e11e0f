//! Reads the members of JSON objects. Distinguishes absent, null and a value; unreadable values are recorded with their
//! paths and count as absent. Knows no member by name.

use std::collections::HashMap;

use async_graphql::MaybeUndefined;
use serde_json::value::RawValue;

use super::value::text;
use crate::api::rest::names::legacy;
use clientele_core::problem::{Problem, ProblemCode, Step};

/// The maximum number of recorded problems: only the first is reported, and a body may have very many.
const MOST_REMEMBERED: usize = 16;

/// The problems of unreadable values.
#[derive(Debug, Default)]
pub struct Unreadable(pub Vec<Problem>);

/// The reason why a value can't be read: the code, and the message after the member's name.
#[derive(Debug, PartialEq, Eq)]
pub struct Misread(pub ProblemCode, pub &'static str);

pub type Read<T> = Result<T, Misread>;

/// One JSON object at its path in the input.
pub struct Members<'a, 'p> {
    members: HashMap<String, &'a RawValue>,
    place: Vec<Step>,
    unreadable: &'p mut Unreadable,
}

impl<'a, 'p> Members<'a, 'p> {
    /// The root of a body.
    pub fn root(members: HashMap<String, &'a RawValue>, unreadable: &'p mut Unreadable) -> Self {
        Self {
            members,
            place: Vec::new(),
            unreadable,
        }
    }

    /// The value of a member, identified by its name in the domain.
    pub fn value<T>(&mut self, name: &'static str, read: impl FnOnce(&'a RawValue) -> Read<T>) -> MaybeUndefined<T> {
        let Some(raw) = self.members.get(legacy(name)).copied() else {
            return MaybeUndefined::Undefined;
        };
        if raw.get() == "null" {
            return MaybeUndefined::Null;
        }
        match read(raw) {
            Ok(value) => MaybeUndefined::Value(value),
            Err(misread) => {
                self.remember([name.into()], name, misread);
                MaybeUndefined::Undefined
            }
        }
    }

    /// Like [`value`](Self::value), for a member that isn't a text: the empty text counts as null.
    pub fn clearable<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Read<T>,
    ) -> MaybeUndefined<T> {
        match self.members.get(legacy(name)) {
            Some(raw) if raw.get() == r#""""# => MaybeUndefined::Null,
            _ => self.value(name, read),
        }
    }

    pub fn text(&mut self, name: &'static str) -> MaybeUndefined<String> {
        self.value(name, text)
    }

    /// The members of an object. An absent value, null or a non-object has none.
    pub fn object(&mut self, name: &'static str) -> MaybeUndefined<Members<'a, '_>> {
        self.value(name, object)
            .map_value(|members| self.inside([name.into()], members))
    }

    /// Reads the first `most_read` objects of a list. Later ones count as empty objects without being parsed, up to
    /// `most` in total; the rest is dropped.
    pub fn list<T: Clone + Default>(
        &mut self,
        name: &'static str,
        (most_read, most): (usize, usize),
        mut read: impl FnMut(Members<'a, '_>) -> T,
    ) -> MaybeUndefined<Vec<T>> {
        // Null leaves the collection unchanged, as if it were absent.
        let MaybeUndefined::Value(elements) = self.value(name, elements) else {
            return MaybeUndefined::Undefined;
        };
        let length = elements.len().min(most);
        let mut list = Vec::new();
        for (index, raw) in elements.into_iter().take(most_read).enumerate() {
            let members = object(raw).unwrap_or_else(|misread| {
                self.remember([name.into(), index.into()], "each member of the list", misread);
                HashMap::new()
            });
            list.push(read(self.inside([name.into(), index.into()], members)));
        }
        list.resize(length, T::default());
        MaybeUndefined::Value(list)
    }

    pub fn refuse(&mut self, name: &'static str, misread: Misread) {
        self.remember([name.into()], name, misread);
    }

    fn inside<const N: usize>(&mut self, steps: [Step; N], members: HashMap<String, &'a RawValue>) -> Members<'a, '_> {
        let place = self.place.iter().cloned().chain(steps).collect();
        Members {
            members,
            place,
            unreadable: self.unreadable,
        }
    }

    fn remember<const N: usize>(&mut self, steps: [Step; N], subject: &str, Misread(code, sentence): Misread) {
        let Unreadable(problems) = self.unreadable;
        if problems.len() < MOST_REMEMBERED {
            let place = self.place.iter().cloned().chain(steps);
            problems.push(Problem::new(code, place, format!("{subject} {sentence}")));
        }
    }
}

fn object(raw: &RawValue) -> Read<HashMap<String, &RawValue>> {
    serde_json::from_str(raw.get()).map_err(|_| Misread(ProblemCode::Malformed, "must be an object."))
}

fn elements(raw: &RawValue) -> Read<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).map_err(|_| Misread(ProblemCode::Malformed, "must be a list."))
}
