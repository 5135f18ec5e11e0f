//! The arguments that Relay gives every connection.

use async_graphql::{PathSegment, Value};
use clientele_core::problem::{self, Problem, ProblemCode};
use clientele_storage::paging::{Order, Range, Window};
use graphql_server::{Code, GraphqlError, object::SelectedField};

/// The entries of a page without `first` and `last`.
pub const DEFAULT_PAGE: u32 = 50;
pub const LARGEST_PAGE: u32 = 500;

#[derive(Clone, Debug, Default)]
pub struct PageArguments {
    first: Option<i32>,
    after: Option<String>,
    last: Option<i32>,
    before: Option<String>,
}

impl PageArguments {
    /// The arguments of a field of the root.
    pub fn new(first: Option<i32>, after: Option<String>, last: Option<i32>, before: Option<String>) -> Self {
        Self {
            first,
            after,
            last,
            before,
        }
    }

    /// The arguments of a field inside an object.
    pub fn of(field: &SelectedField) -> Self {
        // Validation has refused other types. A number that isn't a size is refused later.
        let number = |name| match field.argument(name)? {
            Value::Number(number) => Some(
                number
                    .as_i64()
                    .and_then(|number| i32::try_from(number).ok())
                    .unwrap_or(-1),
            ),
            _ => None,
        };
        let text = |name| match field.argument(name)? {
            Value::String(text) => Some(text.clone()),
            _ => None,
        };
        Self::new(number("first"), text("after"), number("last"), text("before"))
    }

    /// The requested part of a list in this order. Parameters as for [`range`](Self::range).
    ///
    /// # Errors
    /// Arguments that don't fit together, or a cursor of another list.
    pub fn window(self, what: &str, place: &str, order: &Order) -> Result<Window, GraphqlError> {
        Window::of(&self.range(what, place)?, order).map_err(|problem| of_argument(place, &problem))
    }

    /// The requested part of a list. Messages call the list `what`, and put `place` before the names of its arguments.
    pub fn range(self, what: &str, place: &str) -> Result<Range, GraphqlError> {
        let (after, before) = (self.after, self.before);
        match (self.first, self.last) {
            (Some(_), Some(_)) => {
                let message = format!("Ask for the first or the last {what}, not for both.");
                Err(GraphqlError::new(Code::BadUserInput, message))
            }
            (None, Some(_)) => {
                let count = count(place, "last", self.last)?;
                Ok(Range::Last { count, after, before })
            }
            (first, None) => {
                let count = count(place, "first", first)?;
                Ok(Range::First { count, after, before })
            }
        }
    }
}

fn count(place: &str, name: &str, requested: Option<i32>) -> Result<u32, GraphqlError> {
    match requested.map(u32::try_from) {
        None => Ok(DEFAULT_PAGE),
        Some(Ok(count)) if count <= LARGEST_PAGE => Ok(count),
        Some(_) => {
            let message = format!("`{place}{name}` must be from 0 to {LARGEST_PAGE}.");
            let path = place.split_terminator('.').chain([name]);
            let path = path.map(|part| PathSegment::Field(part.to_owned())).collect();
            Err(GraphqlError::new(Code::BadUserInput, message).of_input(path))
        }
    }
}

/// The error of a problem with an argument. `place` comes before the argument's own name.
pub fn of_argument(place: &str, problem: &Problem) -> GraphqlError {
    let path: Vec<String> = problem.path.iter().map(ToString::to_string).collect();
    let code = match problem.code {
        ProblemCode::Forbidden => Code::Forbidden,
        _ => Code::BadUserInput,
    };
    let segments = problem.path.iter().map(|segment| match segment {
        problem::Step::Name(name) => PathSegment::Field((*name).to_owned()),
        problem::Step::Index(index) => PathSegment::Index(*index),
    });
    let fields = place
        .split_terminator('.')
        .map(|part| PathSegment::Field(part.to_owned()));
    let message = format!("`{place}{}`: {}", path.join("."), problem.message);
    GraphqlError::new(code, message).of_input(fields.chain(segments).collect())
}
