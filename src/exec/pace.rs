//! The pacer: a window of slots per tenant, app and service. Pure; every call is told the time.
//!
//! A slot is taken when a request goes and is free again one window after its *reply* came: the service
//! counted the request no later than that, so the window never holds more than the quota, whether
//! the service counts in a sliding window, a fixed one or a bucket.

use std::collections::VecDeque;
use std::time::Duration;

use super::policy::Quota;
use crate::clock::Moment;

/// Share of the quota that must have been accepted before a 429 is taken as a word on the quota:
/// services throttle under load as well, and one early 429 must not slow a run to a crawl.
const TELLING_SHARE: f64 = 0.25;

/// By how much the learned quota grows after each window without a 429.
const PROBE_SHARE: f64 = 0.05;

/// The window of one lane.
#[derive(Debug)]
pub(super) struct Window {
    ceiling: usize,
    per: Duration,
    limit: usize,
    slots: VecDeque<Slot>,
    in_flight: usize,
    changed_at: Moment,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    replied_at: Moment,
    accepted: bool,
}

/// When a request may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Now.
    Now,
    /// Not before this moment.
    At(Moment),
    /// Once a request that is under way is answered.
    AfterReply,
}

impl Window {
    pub(super) fn new(quota: Quota) -> Self {
        let ceiling = quota.count.get() as usize;
        Self { ceiling, per: quota.per, limit: ceiling, slots: VecDeque::new(), in_flight: 0, changed_at: Moment::ZERO }
    }

    /// When the next request may go.
    pub(super) fn turn(&mut self, now: Moment) -> Turn {
        self.forget(now);
        self.probe(now);
        let used = self.slots.len() + self.in_flight;
        if used < self.limit {
            return Turn::Now;
        }
        self.slots.get(used - self.limit).map_or(Turn::AfterReply, |slot| Turn::At(slot.replied_at + self.per))
    }

    /// How many requests it takes, as far as is known.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// A request goes.
    pub(super) fn take(&mut self) {
        self.in_flight += 1;
    }

    /// A request that was to go did not: its slot was never used.
    pub(super) fn give_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A request came back, or was given up: the service counted it no later than `now`.
    pub(super) fn replied(&mut self, now: Moment, accepted: bool) {
        self.give_back();
        let place = self.slots.partition_point(|slot| slot.replied_at <= now);
        self.slots.insert(place, Slot { replied_at: now, accepted });
    }

    /// A request sent at `sent_at` was answered 429 at `now`; call before [`Self::replied`].
    pub(super) fn throttled(&mut self, now: Moment, sent_at: Moment) {
        self.forget(now);
        if sent_at < self.changed_at {
            return; // sent before the last lesson: it teaches nothing new
        }
        let accepted = self.slots.iter().filter(|slot| slot.accepted).count();
        if accepted >= share(self.ceiling, TELLING_SHARE) && accepted < self.limit {
            self.limit = accepted.max(1);
        }
        self.changed_at = now;
    }

    /// How long it takes until the last of so many requests may go, if nothing else comes between.
    pub(super) fn time_for(&self, requests: u64, now: Moment) -> Duration {
        let requests = usize::try_from(requests).unwrap_or(usize::MAX);
        let free = self.limit.saturating_sub(self.slots.len() + self.in_flight);
        let Some(last) = requests.saturating_sub(free).checked_sub(1) else { return Duration::ZERO };
        // Slots free in the order in which they were used; each is used again once a window.
        let windows = u32::try_from(last / self.limit).unwrap_or(u32::MAX);
        let slot = self.slots.get(last % self.limit).map_or(now, |slot| slot.replied_at);
        (slot + self.per).saturating_sub(now).saturating_add(self.per.saturating_mul(windows))
    }

    fn forget(&mut self, now: Moment) {
        while self.slots.front().is_some_and(|slot| slot.replied_at + self.per <= now) {
            self.slots.pop_front();
        }
    }

    fn probe(&mut self, now: Moment) {
        while self.limit < self.ceiling && self.changed_at + self.per <= now {
            self.limit = (self.limit + share(self.limit, PROBE_SHARE)).min(self.ceiling);
            self.changed_at += self.per;
        }
    }
}

/// A share of a number, at least one.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "quotas are far below 2^52"
)]
fn share(of: usize, share: f64) -> usize {
    ((of as f64 * share).ceil() as usize).max(1)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn window(count: u32, seconds: u64) -> Window {
        Window::new(Quota { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(seconds) })
    }

    const fn ms(millis: u64) -> Moment {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_full_window_goes_at_once_and_the_next_slot_frees_a_window_after_the_reply() {
        let mut window = window(2, 20);
        for _ in 0..2 {
            assert_eq!(window.turn(ms(0)), Turn::Now);
            window.take();
        }
        assert_eq!(window.turn(ms(0)), Turn::AfterReply);
        window.replied(ms(150), true);
        assert_eq!(window.turn(ms(150)), Turn::At(ms(20_150)));
        assert_eq!(window.turn(ms(20_150)), Turn::Now);
    }

    #[test]
    fn a_lower_quota_is_learned_from_the_first_429_and_probed_upwards_later() {
        let mut window = window(100, 20);
        for _ in 0..61 {
            window.take();
        }
        for _ in 0..60 {
            window.replied(ms(200), true);
        }
        window.throttled(ms(210), ms(100));
        window.replied(ms(210), false);
        assert_eq!(window.limit, 60);
        window.turn(ms(20_300));
        assert_eq!(window.limit, 63);
        window.turn(ms(20 * 60 * 1_000));
        assert_eq!(window.limit, 100);
    }

    #[test]
    fn the_time_for_what_is_left_counts_whole_windows() {
        let mut window = window(100, 20);
        assert_eq!(window.time_for(100, ms(0)), Duration::ZERO);
        assert_eq!(window.time_for(101, ms(0)), Duration::from_secs(20));
        for _ in 0..100 {
            window.take();
            window.replied(ms(1_000), true);
        }
        assert_eq!(window.time_for(30, ms(5_000)), Duration::from_secs(16));
        assert_eq!(window.time_for(130, ms(5_000)), Duration::from_secs(36));
        assert_eq!(window.time_for(0, ms(5_000)), Duration::ZERO);
    }

    #[test]
    fn one_early_429_does_not_slow_the_run_to_a_crawl() {
        let mut window = window(100, 20);
        window.take();
        window.throttled(ms(100), ms(0));
        window.replied(ms(100), false);
        assert_eq!(window.limit, 100);
    }

    proptest! {
        #[test]
        fn no_window_of_the_service_ever_holds_more_than_the_quota(
            count in 1_u32..20,
            latencies in prop::collection::vec(1_u64..3_000, 1..200),
        ) {
            let per = 5_000;
            let mut window = window(count, per / 1_000);
            let mut now = 0;
            let mut under_way: Vec<u64> = Vec::new();
            let mut arrivals: Vec<u64> = Vec::new();
            for latency in latencies {
                loop {
                    under_way.sort_unstable();
                    while under_way.first().is_some_and(|&end| end <= now) {
                        let end = under_way.remove(0);
                        window.replied(ms(end), true);
                    }
                    match window.turn(ms(now)) {
                        Turn::Now => break,
                        Turn::At(at) => now = u64::try_from(at.as_millis()).unwrap(),
                        Turn::AfterReply => now = under_way[0],
                    }
                }
                window.take();
                arrivals.push(now + latency); // as late as the service can count it
                under_way.push(now + latency);
            }
            arrivals.sort_unstable();
            for (i, &first) in arrivals.iter().enumerate() {
                let inside = arrivals[i..].iter().take_while(|&&at| at < first + per).count();
                prop_assert!(inside <= count as usize, "{} in one window", inside);
            }
        }
    }
}
