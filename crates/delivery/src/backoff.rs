//! Computes the wait before the next attempt. The upper bound doubles with every attempt. The wait is a random value
//! below it, so that messages that failed together are not retried together.

use std::time::Duration;

use rand::{Rng, RngExt};

/// The pause after `attempts` attempts (1 or more): random between zero and `base` doubled for each attempt after the
/// first, at most `longest`.
pub fn pause(attempts: u32, base: Duration, longest: Duration, chance: &mut impl Rng) -> Duration {
    let doublings = attempts.saturating_sub(1).min(31);
    let bound = base.saturating_mul(1 << doublings).min(longest);
    chance.random_range(Duration::ZERO..=bound)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::{SeedableRng, rngs::StdRng};

    use super::pause;

    #[test]
    fn the_bound_doubles_and_is_reached_but_never_passed() {
        let mut chance = StdRng::seed_from_u64(1);
        for (attempts, bound) in [
            (1, 10),
            (2, 20),
            (5, 160),
            (9, 2_560),
            (10, 3_600),
            (4_000_000_000, 3_600),
        ] {
            let mut draw = || {
                pause(
                    attempts,
                    Duration::from_secs(10),
                    Duration::from_secs(3_600),
                    &mut chance,
                )
            };
            let pauses: Vec<Duration> = (0..1_000).map(|_| draw()).collect();
            let bound = Duration::from_secs(bound);
            assert!(pauses.iter().all(|pause| *pause <= bound), "{attempts}");
            assert!(pauses.iter().any(|pause| *pause > bound.mul_f64(0.95)), "{attempts}");
            assert!(pauses.iter().any(|pause| *pause < bound.mul_f64(0.05)), "{attempts}");
        }
    }
}
