//! Prints lists, however long they are.

use super::{Failure, print};
use crate::{
    access::Listing,
    error::Result as Outcome,
    list::{Order, Range, Window},
};

const PART: u32 = 500;

/// Prints a line for each entry, part by part.
pub(super) async fn print_all<T>(
    order: &Order,
    read: impl AsyncFn(Window) -> Outcome<Listing<T>>,
    line: impl Fn(&T) -> String,
    cursor: impl Fn(&T) -> String,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let range = Range::First {
            count: PART,
            after: after.take(),
            before: None,
        };
        let window = Window::of(&range, order).map_err(|problem| Failure::new(&*problem.message))?;
        let page = read(window)
            .await
            .map_err(|error| Failure::new(error.to_string()))?
            .page;
        print(&page.rows.iter().map(&line).collect::<String>())?;
        match page.rows.last() {
            Some(last) if page.has_next => after = Some(cursor(last)),
            _ => return Ok(()),
        }
    }
}
