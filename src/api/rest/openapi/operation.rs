//! The description of one route.

use std::iter;

use super::{
    json::Json,
    schema::{Kind, Member},
};
use crate::api::rest::errors::codes::Code;

/// Everything about a route but its method and its path.
#[derive(Debug)]
pub struct Operation {
    pub id: &'static str,
    pub summary: &'static str,
    pub description: &'static str,
    /// The permissions that it needs; empty for none.
    pub permission: &'static str,
    /// The counterpart in the GraphQL schema, such as `Query.clients`; empty if there is none.
    pub graphql: &'static str,
    pub parameters: fn() -> Vec<Parameter>,
    pub body: Option<Body>,
    /// The forms of the answer, of which the first is usual.
    pub answers: &'static [Answer],
    /// The return codes of its refusals.
    pub codes: &'static [&'static [Code]],
}

#[derive(Clone, Debug)]
pub struct Parameter {
    pub place: Place,
    pub member: Member,
    pub is_deprecated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Path,
    Query,
    Header,
}

impl Place {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Body {
    /// The value of a JSON body.
    pub kind: Kind,
    pub is_required: bool,
    /// The other media types that are accepted, with their values.
    pub others: &'static [(&'static str, Kind)],
    /// The body of an example. None: the example of the object.
    pub example: Option<fn() -> Json>,
}

#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub name: &'static str,
    pub summary: &'static str,
    pub kind: Kind,
}

impl Body {
    /// The values of all media types.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        iter::once(self.kind).chain(self.others.iter().map(|(_, kind)| *kind))
    }

    pub fn example(&self) -> Json {
        self.example.map_or_else(|| self.kind.example(), |example| example())
    }
}

impl Operation {
    /// A sentence about the permissions that it needs.
    pub fn permission_sentence(&self) -> String {
        match self.permission {
            "" => "Every caller may use it.".to_owned(),
            permission => format!("Needs the permission {permission}."),
        }
    }

    /// The return codes, ordered by status and number.
    pub fn codes(&self) -> Vec<Code> {
        let mut codes: Vec<Code> = self.codes.iter().copied().flatten().copied().collect();
        codes.sort_by_key(|code| (code.status, code.number));
        codes.dedup();
        codes
    }
}
