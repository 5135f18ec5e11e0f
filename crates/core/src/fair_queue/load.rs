//! Distinguishes the queue of a burst, which drains, from a standing queue, which gets more requests than can be
//! served.

use std::time::Duration;

use tokio::time::Instant;

/// A queue is judged once in each of these.
pub const WINDOW: Duration = Duration::from_millis(500);
/// A queue that hasn't drained in this many windows in a row is a standing one, unless it may be that of a burst.
const WINDOWS: u32 = 2;
/// A burst has at most this many requests. They may arrive slowly: a busy server takes long to read them.
const BURST: usize = 2_000;
/// A standing queue holds what is served in this time, so that its tickets are served soon.
const ROOM: Duration = Duration::from_millis(50);
/// A standing queue holds at least this many.
const LEAST_ROOM: usize = 8;

/// The load on the queue of one key. It isn't measured while nothing waits.
#[derive(Debug, Default)]
pub struct Load {
    /// None until something waits.
    window: Option<Window>,
    /// Requests that have arrived since the queue was empty.
    arrived: usize,
    /// The windows in a row in which the queue didn't drain.
    undrained: u32,
    /// How many a standing queue may hold. None while it isn't one.
    room: Option<usize>,
}

#[derive(Debug)]
struct Window {
    begun: Instant,
    arrived: usize,
    granted: usize,
    refused: usize,
}

impl Window {
    const fn new(begun: Instant) -> Self {
        Self {
            begun,
            arrived: 0,
            granted: 0,
            refused: 0,
        }
    }

    /// Requests arrive about as fast as they are served, or faster. None arrive while a burst drains, be it slowly.
    const fn is_undrained(&self) -> bool {
        let arrived = self.arrived + self.refused;
        arrived > 0 && arrived * 10 >= self.granted * 9
    }
}

impl Load {
    /// A request waits from now on.
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

    /// How many may wait, if the queue is a standing one.
    pub fn room(&self, now: Instant) -> Option<usize> {
        let is_recent = self
            .window
            .as_ref()
            .is_some_and(|window| now < window.begun + 2 * WINDOW);
        self.room.filter(|_| is_recent)
    }

    fn window(&mut self, now: Instant) -> &mut Window {
        if let Some(window) = self.window.take() {
            if now < window.begun + WINDOW {
                return self.window.insert(window);
            }
            self.judge(&window, now);
        }
        self.window.insert(Window::new(now))
    }

    fn judge(&mut self, window: &Window, now: Instant) {
        if now >= window.begun + 2 * WINDOW && window.refused == 0 {
            // Nothing has happened for a while.
            *self = Self::default();
            return;
        }
        self.undrained = match window.is_undrained() {
            true => self.undrained + 1,
            false => 0,
        };
        let was_standing = self.room.is_some();
        // Once it has become one, it is one until a window passes in which there was room for all.
        let is_standing = match was_standing {
            true => window.refused > 0,
            false => self.undrained >= WINDOWS && self.arrived > BURST,
        };
        if was_standing && !is_standing {
            self.arrived = 0;
        }
        self.room = is_standing.then(|| {
            let elapsed = now.duration_since(window.begun).as_millis().max(1);
            let served = window.granted as u128 * ROOM.as_millis() / elapsed;
            usize::try_from(served).unwrap_or(usize::MAX).max(LEAST_ROOM)
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{LEAST_ROOM, Load};

    const STEP: Duration = Duration::from_millis(10);

    /// A queue of which one is served in each step.
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

        /// Returns true when the queue was a standing one at any time.
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
        // 1,000 in the first five seconds, and a few more all the time.
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
        // What waits by then is served first here. Then the queue stays short and is never empty.
        queue.run(2_000, |_| 10);
        assert!(queue.refused > 17_500, "{}", queue.refused);
        assert_eq!(queue.waiting, LEAST_ROOM - 1);
        queue.run(200, |step| usize::from(step % 2 == 0));
        assert!(!queue.run(100, |step| usize::from(step % 2 == 0)));
    }

    #[test]
    fn queue_that_is_empty_now_and_then_is_not_standing() {
        let mut queue = Queue::new();
        assert!(!queue.run(3_000, |step| if step % 100 == 0 { 99 } else { 0 }));
    }
}
