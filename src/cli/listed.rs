//! Prints lists of any length.

use super::{Failure, print};
use clientele_core::{error::Result as Outcome, text::escaped};
use clientele_domain::access::Listing;
use clientele_storage::paging::{Order, Range, Requested, Window};

const PART: u32 = 500;

/// Lists are printed without a total.
pub(super) const ROWS: Requested = Requested {
    rows: true,
    total: false,
    contents: false,
};

/// Prints one line for each entry, page by page. A line must not contain a line break.
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
        let window = Window::of(&range, order).map_err(|problem| Failure::new(problem.message.to_string()))?;
        let page = read(window)
            .await
            .map_err(|error| Failure::new(error.to_string()))?
            .page;
        let lines = page.rows.iter().map(|row| format!("{}\n", escaped(&line(row))));
        print(&lines.collect::<String>())?;
        match page.rows.last() {
            Some(last) if page.has_next => after = Some(cursor(last)),
            _ => return Ok(()),
        }
    }
}
