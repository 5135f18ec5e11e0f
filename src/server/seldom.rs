//! Lines for the log that many connections may cause: whoever floods the server must not flood the log.

use std::time::Duration;

use tokio::time::Instant;

const BETWEEN_LINES: Duration = Duration::from_secs(60);

/// When a line was last written.
#[derive(Debug, Default)]
pub struct Seldom(Option<Instant>);

impl Seldom {
    /// Runs `write`, unless that was done within the last minute.
    pub fn tell(&mut self, now: Instant, write: impl FnOnce()) {
        if self.0.is_none_or(|told| told + BETWEEN_LINES < now) {
            self.0 = Some(now);
            write();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Instant, Seldom};

    #[test]
    fn a_line_is_written_at_once_and_then_once_a_minute() {
        let (mut line, start, mut written) = (Seldom::default(), Instant::now(), 0);
        for (second, expected) in [(0, 1), (1, 1), (60, 1), (61, 2), (121, 2), (122, 3)] {
            for _ in 0..10 {
                line.tell(start + Duration::from_secs(second), || written += 1);
            }
            assert_eq!(written, expected, "{second} s");
        }
    }
}
