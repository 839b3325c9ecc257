//! Steady rates: `governor` as a calculator over a time that is handed in. It never sleeps here.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota as Cells, RateLimiter};

use super::policy::Quota;
use crate::clock::Moment;

/// What Graph allows one app over all tenants: 130,000 requests in 10 s (throttling limits page of 2025-01-14).
pub(super) const APP_CEILING: Quota = Quota { count: NonZeroU32::new(130_000).unwrap(), per: Duration::from_secs(10) };

/// A limiter that asks for one request at a time, evenly spread.
#[derive(Debug)]
pub(super) struct Rate {
    now: Handed,
    limiter: RateLimiter<NotKeyed, InMemoryState, Handed, NoOpMiddleware<Moment>>,
}

#[derive(Debug, Clone, Default)]
struct Handed(Rc<Cell<Moment>>);

impl Clock for Handed {
    type Instant = Moment;
    fn now(&self) -> Moment {
        self.0.get()
    }
}

impl Rate {
    /// At most `count` in every `per`, with `burst` of them at once. At most L per W with burst b is one
    /// cell every W / (L - b + 1); with more than that, two bursts would fall into one window.
    pub(super) fn new(quota: Quota, burst: NonZeroU32) -> Self {
        let cells = quota.count.get().saturating_sub(burst.get()).saturating_add(1);
        // Rounded up, so that rounding never lets one more through.
        let nanos = quota.per.as_nanos().div_ceil(u128::from(cells)).max(1);
        let period = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let now = Handed::default();
        let cells = Cells::with_period(period).unwrap_or(Cells::per_second(quota.count)).allow_burst(burst);
        let limiter = RateLimiter::direct_with_clock(cells, now.clone());
        Self { now, limiter }
    }

    /// Takes one; or says from when on there is one.
    pub(super) fn take(&self, now: Moment) -> Result<(), Moment> {
        self.now.0.set(now);
        // A nanosecond more than asked: the crate's own arithmetic rounds down.
        self.limiter.check().map_err(|not_until| now + not_until.wait_time_from(now).max(Duration::from_nanos(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_kept_exactly() {
        let rate = Rate::new(Quota { count: NonZeroU32::new(10).unwrap(), per: Duration::from_secs(20) }, NonZeroU32::MIN);
        let mut now = Moment::ZERO;
        let mut times = Vec::new();
        while times.len() < 11 {
            match rate.take(now) {
                Ok(()) => times.push(now),
                Err(at) => {
                    assert!(at > now);
                    now = at;
                }
            }
        }
        assert_eq!(times[10].as_secs(), 20);
    }

    #[test]
    fn the_app_wide_ceiling_holds_in_every_window() {
        let rate = Rate::new(APP_CEILING, NonZeroU32::new(1_000).unwrap());
        let (mut now, mut taken) = (Moment::ZERO, 0_u32);
        while now < APP_CEILING.per {
            match rate.take(now) {
                Ok(()) => taken += 1,
                Err(at) => now = at,
            }
        }
        assert!(taken <= 130_000 && taken > 129_000, "{taken}");
    }
}
