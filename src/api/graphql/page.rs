//! The arguments that Relay gives every connection.

use async_graphql::{PathSegment, Value};

use graphql_server::{
    error::{Code, Fault},
    object::Step,
};

use clientele_core::problem::{self, Problem, ProblemCode};
use clientele_storage::paging::Range;

/// A page has this many entries unless the caller says otherwise.
pub const DEFAULT_PAGE: u32 = 50;
pub const LARGEST_PAGE: u32 = 500;

#[derive(Clone, Debug, Default)]
pub struct PageArguments {
    pub first: Option<i64>,
    pub after: Option<String>,
    pub last: Option<i64>,
    pub before: Option<String>,
}

impl PageArguments {
    /// Those of a field inside an object.
    pub fn of(step: &Step) -> Self {
        // Other types have been refused when the document was validated. A number of no size there is refused here.
        let number = |name| match step.argument(name)? {
            Value::Number(number) => Some(number.as_i64().unwrap_or(-1)),
            _ => None,
        };
        let text = |name| match step.argument(name)? {
            Value::String(text) => Some(text.clone()),
            _ => None,
        };
        Self {
            first: number("first"),
            after: text("after"),
            last: number("last"),
            before: text("before"),
        }
    }

    /// The part that is asked for of a list of `what`, whose arguments' names begin with `place` in sentences.
    pub fn range(self, what: &str, place: &str) -> Result<Range, Fault> {
        let Self {
            first,
            after,
            last,
            before,
        } = self;
        match (first, last) {
            (Some(_), Some(_)) => Err(Fault::new(
                Code::BadUserInput,
                format!("Ask for the first or the last {what}, not for both."),
            )),
            (first, None) => Ok(Range::First {
                count: count(place, "first", first)?,
                after,
                before,
            }),
            (None, last) => Ok(Range::Last {
                count: count(place, "last", last)?,
                after,
                before,
            }),
        }
    }
}

fn count(place: &str, name: &str, asked: Option<i64>) -> Result<u32, Fault> {
    match asked.map(u32::try_from) {
        None => Ok(DEFAULT_PAGE),
        Some(Ok(count)) if count <= LARGEST_PAGE => Ok(count),
        Some(_) => {
            let message = format!("`{place}{name}` must be from 0 to {LARGEST_PAGE}.");
            let path = place.split_terminator('.').chain([name]);
            let path = path.map(|part| PathSegment::Field(part.to_owned())).collect();
            Err(Fault::new(Code::BadUserInput, message).of_input(path))
        }
    }
}

/// The error of a problem with an argument. `place` comes before the argument's own name.
pub fn of_argument(place: &str, problem: &Problem) -> Fault {
    let path: Vec<String> = problem.path.iter().map(ToString::to_string).collect();
    let code = match problem.code {
        ProblemCode::Forbidden => Code::Forbidden,
        _ => Code::BadUserInput,
    };
    let segments = problem.path.iter().map(|step| match step {
        problem::Step::Name(name) => PathSegment::Field((*name).to_owned()),
        problem::Step::Index(index) => PathSegment::Index(*index),
    });
    let fields = place
        .split_terminator('.')
        .map(|part| PathSegment::Field(part.to_owned()));
    let message = format!("`{place}{}`: {}", path.join("."), problem.message);
    Fault::new(code, message).of_input(fields.chain(segments).collect())
}
