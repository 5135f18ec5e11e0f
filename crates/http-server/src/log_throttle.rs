//! Limits log lines that many connections may cause, so that a flood of connections does not flood the log.

use std::time::Duration;

use tokio::time::Instant;

const BETWEEN_LINES: Duration = Duration::from_secs(60);

/// The time at which a line was last written.
#[derive(Debug, Default)]
pub struct LogThrottle(Option<Instant>);

impl LogThrottle {
    /// Calls `write` unless it was called within the last minute.
    pub fn log(&mut self, now: Instant, write: impl FnOnce()) {
        if self.0.is_none_or(|last| last + BETWEEN_LINES < now) {
            self.0 = Some(now);
            write();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Instant, LogThrottle};

    #[test]
    fn a_line_is_written_at_once_and_then_once_a_minute() {
        let (mut line, start, mut written) = (LogThrottle::default(), Instant::now(), 0);
        for (second, expected) in [(0, 1), (1, 1), (60, 1), (61, 2), (121, 2), (122, 3)] {
            for _ in 0..10 {
                line.log(start + Duration::from_secs(second), || written += 1);
            }
            assert_eq!(written, expected, "{second} s");
        }
    }
}
