//! The rate of a channel: attempts of all processes together get slots at a constant interval. The database keeps the
//! time of the next free one.

use std::num::NonZeroU32;

use chrono::{DateTime, TimeDelta, Utc};

/// Slots are claimed in batches of this duration, so that a high rate doesn't take a claim for each message.
const BATCH: TimeDelta = TimeDelta::seconds(1);
/// The largest difference between the clocks of two machines.
const CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Between the beginnings of two attempts. Whole microseconds, as the databases keep.
    interval: TimeDelta,
}

impl Rate {
    pub fn per_minute(rate: NonZeroU32) -> Self {
        const MINUTE: u32 = 60_000_000;
        Self {
            interval: TimeDelta::microseconds(MINUTE.div_ceil(rate.get()).into()),
        }
    }

    /// The number of attempts that may get slots at `now`, given the next free slot: none before it.
    pub fn free_slots(&self, next: DateTime<Utc>, now: DateTime<Utc>) -> usize {
        // Later than any slot that is claimed: a clock was set back, or the rate was raised.
        let is_plausible = next <= now + BATCH + self.interval + CLOCK_DIFFERENCE;
        if next > now && is_plausible {
            return 0;
        }
        let interval = self.interval.num_microseconds().unwrap_or(1).max(1);
        let free = BATCH
            .num_microseconds()
            .unwrap_or(1)
            .unsigned_abs()
            .div_ceil(interval.unsigned_abs());
        usize::try_from(free).unwrap_or(usize::MAX)
    }

    /// The slot of this number, from 0, of those claimed at `now`.
    pub fn slot(&self, now: DateTime<Utc>, number: usize) -> DateTime<Utc> {
        now + self.interval * i32::try_from(number).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use chrono::{DateTime, TimeDelta, Utc};

    use super::Rate;

    fn rate(per_minute: u32) -> Rate {
        Rate::per_minute(NonZeroU32::new(per_minute).expect("not zero"))
    }

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(milliseconds)
    }

    #[test]
    fn batch_has_the_slots_of_one_second() {
        for (per_minute, free, second_slot) in [
            (1, 1, 60_000_000),
            (59, 1, 1_016_950),
            (60, 1, 1_000_000),
            (61, 2, 983_607),
            (600, 10, 100_000),
            (1_000_000, 16_667, 60),
        ] {
            let rate = rate(per_minute);
            assert_eq!(rate.free_slots(DateTime::UNIX_EPOCH, at(0)), free, "{per_minute}");
            assert_eq!(rate.slot(at(0), 0), at(0));
            assert_eq!(rate.slot(at(0), 1), at(0) + TimeDelta::microseconds(second_slot));
        }
    }

    #[test]
    fn no_slot_is_free_before_the_next_one() {
        let rate = rate(600);
        assert_eq!(rate.free_slots(at(1), at(0)), 0);
        assert_eq!(rate.free_slots(at(1), at(1)), 10);
        // As far ahead as a claim of another machine can reach, and further.
        assert_eq!(rate.free_slots(at(11_100), at(0)), 0);
        assert_eq!(rate.free_slots(at(11_101), at(0)), 10);
    }
}
