//! Growing delays: the `backoff` crate's policy as an iterator. No other file names that crate.
//!
//! Its clock is never asked, because its elapsed-time limit is off: limits are the scheduler's.

use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::exponential::ExponentialBackoff;

/// How fast delays grow and where they end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Growth {
    initial: Duration,
    cap: Duration,
    /// Share by which a delay may lie below or above its nominal value.
    jitter: f64,
}

/// For an item whose request had no effect: one second, because most network faults are over by then.
pub(super) const RETRY: Growth = Growth { initial: Duration::from_secs(1), cap: Duration::from_secs(30), jitter: 0.5 };

/// Between two readings of an object that is to show its revocation: most do within a second, and a VPP action of a
/// large token may take minutes.
pub(super) const CONFIRM: Growth = Growth { initial: Duration::from_millis(500), cap: Duration::from_secs(30), jitter: 0.2 };

/// Under a `Retry-After` that is too short to be meant, such as 0 or 1 for ever.
pub(super) const FLOOR: Growth = Growth { initial: Duration::from_millis(250), cap: Duration::from_secs(10), jitter: 0.0 };

/// The window that Intune's limits are published for (throttling limits page of 2025-01-14).
const PUBLISHED: Duration = Duration::from_secs(20);

/// The most that is added to what a service asked for: enough that two programs do not come back as one.
const MOST_UPON: Duration = Duration::from_millis(250);

impl Growth {
    /// For a 429 that does not say how long: a quarter of the window comes first, and three windows are the longest.
    /// The window that a user names may be another than the service's, so it counts within bounds.
    pub(super) fn throttled(window: Option<Duration>) -> Self {
        let window = window.unwrap_or(PUBLISHED).clamp(PUBLISHED / 5, PUBLISHED);
        Self { initial: window / 4, cap: window * 3, jitter: 0.5 }
    }

    /// The delay before the `n`-th repetition, counted from 0.
    pub(super) fn delay(self, n: u32) -> Duration {
        // 2^16 times the initial delay is beyond every cap; more steps would change nothing.
        self.delays().nth(n.min(16) as usize).unwrap_or(self.cap)
    }

    /// All delays in turn. Never ends.
    fn delays(self) -> impl Iterator<Item = Duration> {
        let mut policy = ExponentialBackoff {
            current_interval: self.initial,
            initial_interval: self.initial,
            randomization_factor: self.jitter,
            multiplier: 2.0,
            max_interval: self.cap,
            max_elapsed_time: None,
            ..ExponentialBackoff::<Unasked>::default()
        };
        policy.current_interval = self.initial;
        // The crate caps before it adds its jitter.
        std::iter::from_fn(move || policy.next_backoff()).map(move |delay| delay.min(self.cap))
    }
}

/// Between nothing and a tenth of a delay, a quarter of a second at most, to be added to what a service asked for.
pub(super) fn jitter_upon(delay: Duration) -> Duration {
    let most = (delay / 10).min(MOST_UPON);
    Growth { initial: most / 2, cap: most, jitter: 1.0 }.delay(0)
}

#[derive(Debug, Default)]
struct Unasked;

impl backoff::Clock for Unasked {
    #[expect(clippy::disallowed_types, reason = "the crate's signature; the value decides nothing")]
    fn now(&self) -> std::time::Instant {
        tokio::time::Instant::now().into_std()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap() {
        let growth = Growth { jitter: 0.0, ..Growth::throttled(None) };
        let seconds: Vec<u64> = (0..6).map(|n| growth.delay(n).as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 60, 60]);
        assert_eq!(growth.delay(u32::MAX), Duration::from_mins(1));
    }

    #[test]
    fn jitter_stays_within_its_share_and_under_the_cap() {
        for n in 0..20 {
            for growth in [Growth::throttled(Some(Duration::from_secs(2))), RETRY] {
                let nominal = Growth { jitter: 0.0, ..growth }.delay(n);
                let delay = growth.delay(n);
                assert!(delay >= nominal / 2 && delay <= growth.cap, "{delay:?}");
            }
        }
    }

    #[test]
    fn jitter_upon_a_wish_never_undercuts_and_adds_a_tenth_at_most() {
        for _ in 0..100 {
            assert!(jitter_upon(Duration::from_secs(1)) <= Duration::from_millis(100));
            assert!(jitter_upon(Duration::from_mins(1)) <= MOST_UPON);
        }
        assert_eq!(jitter_upon(Duration::ZERO), Duration::ZERO);
    }
}
