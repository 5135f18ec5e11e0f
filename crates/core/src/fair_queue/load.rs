//! Distinguishes the queue of a burst, which drains, from a standing queue, which receives more requests than it can
//! serve.

use std::time::Duration;

use tokio::time::Instant;

/// The interval at which a queue is evaluated.
pub const WINDOW: Duration = Duration::from_millis(500);
/// A queue that hasn't drained for this many windows in a row is a standing one, unless a burst may explain it.
const WINDOWS: u32 = 2;
/// The maximum number of requests of a burst. They may arrive slowly: a busy server takes long to read them.
const BURST: usize = 2_000;
/// A standing queue holds the requests that can be served in this time, so its tickets don't wait long.
const ROOM: Duration = Duration::from_millis(50);
/// The minimum number of requests that a standing queue holds.
const MIN_ROOM: usize = 8;

/// The load on the queue of one key. It is measured only while a ticket waits.
#[derive(Debug, Default)]
pub struct Load {
    /// None until a ticket waits.
    window: Option<Window>,
    /// Requests that arrived since the queue was last empty.
    arrived: usize,
    /// The number of windows in a row in which the queue didn't drain.
    undrained: u32,
    /// The maximum length of a standing queue. None while the queue isn't a standing one.
    room: Option<usize>,
}

#[derive(Debug)]
struct Window {
    start: Instant,
    arrived: usize,
    granted: usize,
    refused: usize,
}

impl Window {
    const fn new(start: Instant) -> Self {
        Self {
            start,
            arrived: 0,
            granted: 0,
            refused: 0,
        }
    }

    /// Returns true when requests arrive about as fast as they are served, or faster. None arrive while a burst drains,
    /// even slowly.
    const fn is_undrained(&self) -> bool {
        let arrived = self.arrived + self.refused;
        arrived > 0 && arrived * 10 >= self.granted * 9
    }
}

impl Load {
    /// Records a request that starts to wait.
    pub fn arrived(&mut self, is_first: bool, now: Instant) {
        if is_first && self.room.is_none() {
            *self = Self::default();
        }
        self.arrived += 1;
        self.window(now).arrived += 1;
    }

    pub fn granted(&mut self, is_empty: bool, now: Instant) {
        self.window(now).granted += 1;
        if is_empty && self.room.is_none() {
            *self = Self::default();
        }
    }

    pub fn refused(&mut self, now: Instant) {
        self.arrived += 1;
        self.window(now).refused += 1;
    }

    pub fn is_standing(&mut self, now: Instant) -> bool {
        self.window(now);
        self.room.is_some()
    }

    /// The maximum number of waiting tickets. None unless the queue is a standing one.
    pub fn room(&self, now: Instant) -> Option<usize> {
        let is_recent = self
            .window
            .as_ref()
            .is_some_and(|window| now < window.start + 2 * WINDOW);
        self.room.filter(|_| is_recent)
    }

    fn window(&mut self, now: Instant) -> &mut Window {
        if let Some(window) = self.window.take() {
            if now < window.start + WINDOW {
                return self.window.insert(window);
            }
            self.evaluate(&window, now);
        }
        self.window.insert(Window::new(now))
    }

    fn evaluate(&mut self, window: &Window, now: Instant) {
        if now >= window.start + 2 * WINDOW && window.refused == 0 {
            // The measurement is stale.
            *self = Self::default();
            return;
        }
        self.undrained = match window.is_undrained() {
            true => self.undrained + 1,
            false => 0,
        };
        let was_standing = self.room.is_some();
        // It stays a standing queue until a window passes in which there was room for all.
        let is_standing = match was_standing {
            true => window.refused > 0,
            false => self.undrained >= WINDOWS && self.arrived > BURST,
        };
        if was_standing && !is_standing {
            self.arrived = 0;
        }
        self.room = is_standing.then(|| {
            let elapsed = now.duration_since(window.start).as_millis().max(1);
            let served = window.granted as u128 * ROOM.as_millis() / elapsed;
            usize::try_from(served).unwrap_or(usize::MAX).max(MIN_ROOM)
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Load, MIN_ROOM};

    const STEP: Duration = Duration::from_millis(10);

    /// A queue that serves one ticket per step.
    struct Queue {
        load: Load,
        now: Instant,
        waiting: usize,
        refused: usize,
    }

    impl Queue {
        fn new() -> Self {
            Self {
                load: Load::default(),
                now: Instant::now(),
                waiting: 0,
                refused: 0,
            }
        }

        /// Returns true when the queue was ever a standing one.
        fn run(&mut self, steps: u32, arriving: impl Fn(u32) -> usize) -> bool {
            let mut was_standing = false;
            for step in 0..steps {
                for _ in 0..arriving(step) {
                    if self.load.room(self.now).is_some_and(|room| self.waiting >= room) {
                        self.load.refused(self.now);
                        self.refused += 1;
                    } else {
                        self.load.arrived(self.waiting == 0, self.now);
                        self.waiting += 1;
                    }
                }
                if self.waiting > 0 {
                    self.waiting -= 1;
                    self.load.granted(self.waiting == 0, self.now);
                }
                was_standing |= self.load.is_standing(self.now);
                self.now += STEP;
            }
            was_standing
        }
    }

    #[test]
    fn burst_drains_however_long_it_takes() {
        let mut queue = Queue::new();
        // 1,000 in the first five seconds, then a few at a constant rate.
        let arriving = |step| if step < 500 { 2 } else { usize::from(step % 4 == 0) };
        assert!(!queue.run(1_400, arriving));
        assert_eq!((queue.refused, queue.waiting), (0, 0));
    }

    #[test]
    fn overloaded_queue_is_standing_until_there_is_room_again() {
        let mut queue = Queue::new();
        assert!(!queue.run(190, |_| 10), "it may be a burst");
        assert!(queue.run(60, |_| 10));
        queue.refused = 0;
        // First, the waiting tickets are served. Then the queue stays short and is never empty.
        queue.run(2_000, |_| 10);
        assert!(queue.refused > 17_500, "{}", queue.refused);
        assert_eq!(queue.waiting, MIN_ROOM - 1);
        queue.run(200, |step| usize::from(step % 2 == 0));
        assert!(!queue.run(100, |step| usize::from(step % 2 == 0)));
    }

    #[test]
    fn queue_that_is_empty_now_and_then_is_not_standing() {
        let mut queue = Queue::new();
        assert!(!queue.run(3_000, |step| if step % 100 == 0 { 99 } else { 0 }));
    }
}
