//! Shows the progress of a command on a terminal, and nothing elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

const WIDTH: u64 = 30;
const PERIOD: Duration = Duration::from_millis(200);

/// One line that is written again and again.
pub(super) struct Progress {
    is_terminal: bool,
    shown: Option<Instant>,
}

impl Progress {
    pub fn new() -> Self {
        Self {
            is_terminal: stderr().is_terminal(),
            shown: None,
        }
    }

    /// Shows the clients so far, and the part that is done if the total is known.
    pub fn show(&mut self, clients: u64, part: Option<(u64, u64)>) {
        if !self.is_terminal || self.shown.is_some_and(|shown| shown.elapsed() < PERIOD) {
            return;
        }
        self.shown = Some(Instant::now());
        let _ = write!(stderr().lock(), "\r{}\x1b[K", text(clients, part));
    }
}

fn text(clients: u64, part: Option<(u64, u64)>) -> String {
    let Some((done, total)) = part.filter(|(_, total)| *total > 0) else {
        return format!("{clients} clients");
    };
    let done = done.min(total);
    let filled = usize::try_from(u128::from(done) * u128::from(WIDTH) / u128::from(total)).unwrap_or_default();
    let empty = usize::try_from(WIDTH).unwrap_or_default() - filled;
    let percent = u128::from(done) * 100 / u128::from(total);
    format!(
        "[{}{}] {percent} % {clients} clients",
        "#".repeat(filled),
        "-".repeat(empty)
    )
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(stderr().lock(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn bar_fills_with_the_part_that_is_done() {
        assert_eq!(text(7, None), "7 clients");
        assert_eq!(text(0, Some((0, 0))), "0 clients");
        assert_eq!(
            text(7, Some((1, 2))),
            format!("[{}{}] 50 % 7 clients", "#".repeat(15), "-".repeat(15))
        );
        assert_eq!(text(7, Some((9, 2))), format!("[{}] 100 % 7 clients", "#".repeat(30)));
    }
}
