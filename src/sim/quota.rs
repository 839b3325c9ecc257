//! Counting requests against a quota, in each of the ways a service may do it. Microsoft publishes
//! the limits of Intune (Graph throttling limits, 2025-01), not how they are counted.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use uuid::Uuid;

/// So many requests in such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many.
    pub count: NonZeroU32,
    /// In which time; zero counts as one millisecond.
    pub per: Duration,
}

impl Quota {
    /// `None` where the count is 0.
    pub const fn new(count: u32, per: Duration) -> Option<Self> {
        match NonZeroU32::new(count) {
            Some(count) => Some(Self { count, per }),
            None => None,
        }
    }

    pub(super) fn times(self, factor: NonZeroU32) -> Self {
        Self { count: self.count.saturating_mul(factor), ..self }
    }

    pub(super) fn halved(self) -> Self {
        Self { count: NonZeroU32::new(self.count.get() / 2).unwrap_or(NonZeroU32::MIN), ..self }
    }

    fn per(self) -> Duration {
        self.per.max(Duration::from_millis(1))
    }
}

/// How a service may count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// Never more than the quota in any stretch of that length.
    Sliding,
    /// Windows of that length that follow each other, starting at a time of the service's own.
    Fixed,
    /// A bucket of that size which fills evenly.
    Bucket,
}

impl Counting {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sliding, Self::Fixed, Self::Bucket];
}

/// One counter.
#[derive(Clone, Debug)]
enum Counter {
    Sliding(VecDeque<Duration>),
    Fixed { window: u128, used: u32 },
    Bucket { tokens: f64, at: Duration },
}

impl Counter {
    fn new(counting: Counting, quota: Quota, now: Duration) -> Self {
        match counting {
            Counting::Sliding => Self::Sliding(VecDeque::new()),
            Counting::Fixed => Self::Fixed { window: 0, used: 0 },
            Counting::Bucket => Self::Bucket { tokens: f64::from(quota.count.get()), at: now },
        }
    }

    /// How long until a request fits; `None` where one fits now.
    fn wait(&mut self, now: Duration, quota: Quota) -> Option<Duration> {
        let (per, limit) = (quota.per(), quota.count.get());
        match self {
            Self::Sliding(times) => {
                while times.front().is_some_and(|time| *time + per <= now) {
                    times.pop_front();
                }
                let surplus = times.len().checked_sub(usize::try_from(limit).unwrap_or(usize::MAX))?;
                times.get(surplus).map(|time| (*time + per).saturating_sub(now))
            }
            Self::Fixed { window, used } => {
                let current = now.as_nanos() / per.as_nanos();
                if *window != current {
                    (*window, *used) = (current, 0);
                }
                let rest = per.as_nanos() - now.as_nanos() % per.as_nanos();
                (*used >= limit).then(|| Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX)))
            }
            Self::Bucket { tokens, at } => {
                let rate = f64::from(limit) / per.as_secs_f64();
                *tokens = (*tokens + now.saturating_sub(*at).as_secs_f64() * rate).min(f64::from(limit));
                *at = now;
                (*tokens < 1.0).then(|| Duration::from_secs_f64((1.0 - *tokens) / rate))
            }
        }
    }

    fn count(&mut self, now: Duration, quota: Quota) {
        match self {
            Self::Sliding(times) => times.push_back(now),
            Self::Fixed { used, .. } => *used = used.saturating_add(1),
            Self::Bucket { tokens, .. } => {
                *tokens = (*tokens - 1.0).max(-f64::from(quota.count.get()));
            }
        }
    }
}

/// Whose requests a counter counts: tenant, app (or all of them), service, and whether only writes.
pub(super) type Account = (u16, Option<Uuid>, Department, bool);

/// The services that count on their own: the published limits have one table for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Department {
    /// "Intune android for work"
    Android,
    /// "Intune device enrollment", which owns `vppToken`
    Vpp,
    /// Everything else
    Directory,
}

/// All counters.
#[derive(Debug)]
pub(super) struct Ledger {
    counting: Counting,
    /// Where fixed windows begin.
    offset: Duration,
    counters: HashMap<Account, Counter>,
}

impl Ledger {
    pub(super) fn new(counting: Counting, offset: Duration) -> Self {
        Self { counting, offset, counters: HashMap::new() }
    }

    /// Counts one request against several limits at once; the longest wait where any is reached.
    pub(super) fn admit(&mut self, now: Duration, limits: &[(Account, Quota)], refused_count: bool) -> Result<(), Duration> {
        let now = now + self.offset;
        let mut wait = None;
        for (account, quota) in limits {
            let counter = self.counters.entry(*account).or_insert_with(|| Counter::new(self.counting, *quota, now));
            wait = wait.max(counter.wait(now, *quota));
        }
        if wait.is_none() || refused_count {
            for (account, quota) in limits {
                if let Some(counter) = self.counters.get_mut(account) {
                    counter.count(now, *quota);
                }
            }
        }
        wait.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: Account = (0, None, Department::Android, true);

    fn admitted(counting: Counting, refused_count: bool, times_ms: impl Iterator<Item = u64>) -> usize {
        let mut ledger = Ledger::new(counting, Duration::ZERO);
        let quota = Quota::new(5, Duration::from_secs(1)).unwrap();
        times_ms.filter(|ms| ledger.admit(Duration::from_millis(*ms), &[(ACCOUNT, quota)], refused_count).is_ok()).count()
    }

    #[test]
    fn no_way_of_counting_admits_more_than_the_quota_at_once() {
        for counting in Counting::ALL {
            assert_eq!(admitted(counting, false, std::iter::repeat_n(10, 20)), 5, "{counting:?}");
        }
    }

    #[test]
    fn the_three_ways_differ_after_the_first_second() {
        let times = || std::iter::repeat_n(900, 10).chain(std::iter::repeat_n(1_100, 10));
        assert_eq!(admitted(Counting::Sliding, false, times()), 5);
        assert_eq!(admitted(Counting::Fixed, false, times()), 10);
        assert_eq!(admitted(Counting::Bucket, false, times()), 6);
    }

    #[test]
    fn waiting_as_long_as_told_is_enough() {
        let quota = Quota::new(5, Duration::from_secs(1)).unwrap();
        for counting in Counting::ALL {
            let mut ledger = Ledger::new(counting, Duration::from_millis(300));
            let mut now = Duration::from_millis(10);
            for _ in 0..50 {
                if let Err(wait) = ledger.admit(now, &[(ACCOUNT, quota)], false) {
                    now += wait + Duration::from_nanos(1);
                    assert!(ledger.admit(now, &[(ACCOUNT, quota)], false).is_ok(), "{counting:?}");
                }
            }
        }
    }

    #[test]
    fn where_refused_requests_count_hammering_never_gets_through() {
        let hammer = || (0..400).map(|n| n * 10);
        assert_eq!(admitted(Counting::Sliding, true, hammer()), 5);
        assert_eq!(admitted(Counting::Sliding, false, hammer()), 20);
    }
}
