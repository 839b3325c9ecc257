//! The pacer: a window of slots per tenant, app and service. Pure; every call is told the time.
//!
//! A slot is taken when a request goes and is free again one window after its *reply* came: the service
//! counted the request no later than that, so the window never holds more than the quota, whether
//! the service counts in a sliding window, a fixed one or a bucket. What the quota is, 429s teach.

use std::collections::VecDeque;
use std::time::Duration;

use super::policy::Quota;
use crate::clock::Moment;

/// Share of the quota that must have been accepted before a 429 is taken as a word on the quota: services throttle
/// under load as well, and early 429s must not slow a run to a crawl.
const TELLING_SHARE: f64 = 0.2;

/// Below that share, so many 429s must come after as many accepted requests each time, and after so many at least.
const ALIKE: (u32, usize) = (3, 5);

/// How long after a 429 a larger limit is tried: at first, and at last where every try fails; not below so many
/// windows either. A try that fails costs a 429 and the pause after it, about a second whatever the window.
const FIRST_TRY: (Duration, u32) = (Duration::from_mins(1), 4);
const LAST_TRY: (Duration, u32) = (Duration::from_mins(10), 32);

/// From this share of the limit on, refused requests are many: they may have been counted as well.
const MANY_REFUSED: f64 = 0.05;

/// So many requests may be under way however soon they follow each other.
const ABREAST: usize = 8;

/// A window's worth goes in a tenth of the window, once that many are under way: whatever is under way when the first 429
/// comes is throttled as well. Where the service has yet to show that it takes so many, in a quarter.
const SPREAD: u32 = 10;
const WARY_SPREAD: u32 = 4;

/// Requests may go so much before their time: timers are no finer, and short distances would be long ones.
const TIMER: Duration = Duration::from_millis(5);

/// The window of one lane.
#[derive(Debug)]
pub(super) struct Window {
    ceiling: usize,
    per: Duration,
    /// How many requests it takes, as far as is known.
    limit: usize,
    /// Up to here the service has shown that it takes so many. Beyond it requests go one by one, so that a 429 comes alone.
    proven: usize,
    /// Until when the next one waits that is to keep its distance.
    distant_at: Moment,
    slots: VecDeque<Slot>,
    in_flight: usize,
    /// How long an answer takes, smoothed.
    latency: Duration,
    lesson: Option<Lesson>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    free_at: Moment,
    accepted: bool,
}

/// What the last 429 taught, and how the limit grows from there.
#[derive(Debug, Clone, Copy)]
struct Lesson {
    at: Moment,
    /// How many requests had been accepted in the window before it, and how many 429s in a row came after as many.
    accepted: usize,
    alike: u32,
    /// Whether the limit is what was accepted until then: requests that were under way may still add to it.
    counted: bool,
    /// When a larger limit is tried next, and by how much larger.
    try_at: Moment,
    step: usize,
    /// How long a try is put off after the next 429.
    patience: Duration,
    /// Whether the limit was used up since it was last raised.
    used_up: bool,
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
        Self {
            ceiling,
            per: quota.per,
            limit: ceiling,
            proven: ceiling,
            distant_at: Moment::ZERO,
            slots: VecDeque::new(),
            in_flight: 0,
            latency: Duration::ZERO,
            lesson: None,
        }
    }

    /// A request of an earlier session that came back so long ago.
    pub(super) fn recall(&mut self, age: Duration, accepted: bool, now: Moment) {
        if let Some(left) = self.per.checked_sub(age) {
            self.occupy(now + left, accepted);
        }
    }

    /// How long ago the requests came back that the service still counts, and whether they were accepted.
    pub(super) fn remembered(&self, now: Moment) -> impl Iterator<Item = (Duration, bool)> {
        let counted = self.slots.iter().filter(move |slot| slot.free_at > now);
        counted.map(move |slot| (self.per.saturating_sub(slot.free_at.saturating_sub(now)), slot.accepted))
    }

    /// When the next request may go.
    pub(super) fn turn(&mut self, now: Moment) -> Turn {
        self.forget(now);
        self.grow(now);
        let used = self.slots.len() + self.in_flight;
        if used >= self.limit {
            if let Some(lesson) = &mut self.lesson {
                lesson.used_up = true;
            }
            return self.slots.get(used - self.limit).map_or(Turn::AfterReply, |slot| Turn::At(slot.free_at));
        }
        let is_free = used < self.proven && self.in_flight < ABREAST;
        if is_free || self.distant_at <= now + TIMER { Turn::Now } else { Turn::At(self.distant_at.saturating_sub(TIMER)) }
    }

    /// How many requests it takes, as far as is known.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// A request goes.
    pub(super) fn take(&mut self, now: Moment) {
        let spread = if self.slots.len() + self.in_flight < self.proven { SPREAD } else { WARY_SPREAD };
        self.in_flight += 1;
        self.distant_at = self.distant_at.max(now) + self.per / spread / u32::try_from(self.limit).unwrap_or(u32::MAX);
    }

    /// A request that was to go did not: its slot was never used.
    pub(super) fn give_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A request that left at one moment came back at another, or was given up: the service counted it no later.
    pub(super) fn replied(&mut self, sent_at: Moment, now: Moment, accepted: bool) {
        self.give_back();
        self.occupy(now + self.per, accepted);
        let took = now.saturating_sub(sent_at);
        self.latency = if self.latency.is_zero() { took } else { (self.latency * 4 + took) / 5 };
        let was_under_way = |lesson: &Lesson| lesson.counted && sent_at < lesson.at;
        if accepted && self.lesson.as_ref().is_some_and(was_under_way) && self.limit < self.ceiling {
            self.proven += usize::from(self.proven == self.limit);
            self.limit += 1;
        }
    }

    /// A request sent at `sent_at` was answered 429 at `now`; call before [`Self::replied`].
    pub(super) fn throttled(&mut self, sent_at: Moment, now: Moment) {
        self.forget(now);
        if self.lesson.is_some_and(|last| sent_at < last.at) {
            return; // sent before the last lesson: it teaches nothing new
        }
        let accepted = self.slots.iter().filter(|slot| slot.accepted).count();
        let refused = self.slots.len() - accepted;
        // Where as many were accepted as ever, the quota has sunk, and nothing says yet how far.
        let last = self.lesson.filter(|last| last.accepted.abs_diff(accepted) <= accepted / 10);
        let alike = last.map_or(1, |last| last.alike + 1);
        let is_telling = accepted >= share(self.ceiling, TELLING_SHARE) || alike >= ALIKE.0 && accepted >= ALIKE.1;
        let counted = is_telling && accepted < self.limit;
        if counted {
            self.limit = accepted;
        }
        // What went in one go is what the service took; what is spread over the window may belong to an older quota.
        let in_one_go = self.slots.front().is_none_or(|slot| slot.free_at > now + self.per / 2);
        self.proven = if counted && in_one_go { self.limit } else { 0 };
        let bound = |(time, windows): (Duration, u32)| time.max(self.per * windows);
        let patience = self.lesson.map_or(bound(FIRST_TRY), |last| last.patience);
        let lesson = Lesson { at: now, accepted, alike, counted, try_at: now + patience, step: 1, patience, used_up: false };
        self.lesson = Some(if counted && refused >= share(self.limit, MANY_REFUSED).max(2) {
            // The service may count what it refuses: then its quota is that much larger, once it has forgotten them.
            Lesson { try_at: now + self.per, step: refused, ..lesson }
        } else {
            Lesson { patience: (patience * 2).min(bound(LAST_TRY)), ..lesson }
        });
    }

    /// How long it takes until the last of so many requests may go, if nothing else comes between.
    pub(super) fn time_for(&self, requests: u64, now: Moment) -> Duration {
        let requests = usize::try_from(requests).unwrap_or(usize::MAX);
        let free = self.limit.saturating_sub(self.slots.len() + self.in_flight);
        let Some(last) = requests.saturating_sub(free).checked_sub(1) else { return Duration::ZERO };
        // Slots free in the order in which they were used; each is used again once a window and an answer.
        let windows = u32::try_from(last / self.limit).unwrap_or(u32::MAX);
        let first = (self.slots.len() + self.in_flight).saturating_sub(self.limit);
        let free_at = self.slots.get(first + last % self.limit).map_or(now + self.per, |slot| slot.free_at);
        free_at.saturating_sub(now).saturating_add((self.per + self.latency).saturating_mul(windows))
    }

    /// How long after the first of so many requests the last one goes, if the window has room for all of them.
    pub(super) fn spread(&self, requests: usize) -> Duration {
        let distance = self.per / SPREAD / u32::try_from(self.limit).unwrap_or(u32::MAX);
        distance.saturating_mul(u32::try_from(requests.saturating_sub(ABREAST)).unwrap_or(u32::MAX))
    }

    fn occupy(&mut self, free_at: Moment, accepted: bool) {
        let place = self.slots.partition_point(|slot| slot.free_at <= free_at);
        self.slots.insert(place, Slot { free_at, accepted });
    }

    fn forget(&mut self, now: Moment) {
        while self.slots.front().is_some_and(|slot| slot.free_at <= now) {
            self.slots.pop_front();
        }
    }

    /// Tries a larger limit from time to time. Whoever lowered the quota may have raised it again, and then each step
    /// is twice the last.
    fn grow(&mut self, now: Moment) {
        let Some(lesson) = self.lesson.as_mut().filter(|lesson| lesson.try_at <= now) else { return };
        if lesson.used_up && self.proven < self.limit {
            // It was used up without a 429.
            self.proven = self.limit;
            lesson.step *= 2;
        }
        if self.proven >= self.limit {
            if self.limit >= self.ceiling {
                self.lesson = None;
                return;
            }
            self.limit = (self.limit + lesson.step).min(self.ceiling);
            lesson.counted = false;
        }
        lesson.used_up = false;
        lesson.try_at = now + self.per + self.latency;
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
            window.take(ms(0));
        }
        assert_eq!(window.turn(ms(0)), Turn::AfterReply);
        window.replied(ms(0), ms(150), true);
        assert_eq!(window.turn(ms(150)), Turn::At(ms(20_150)));
        assert_eq!(window.turn(ms(20_150)), Turn::Now);
    }

    #[test]
    fn a_lower_quota_is_learned_from_the_first_429_and_probed_upwards_later() {
        let mut window = window(100, 20);
        for _ in 0..61 {
            window.take(ms(0));
        }
        for _ in 0..60 {
            window.replied(ms(0), ms(200), true);
        }
        window.throttled(ms(100), ms(210));
        window.replied(ms(100), ms(210), false);
        assert_eq!(window.limit, 60);
        // From now on all are accepted.
        let (mut now, mut limits) = (ms(210), vec![60]);
        while now < Duration::from_secs(400) {
            match window.turn(now) {
                Turn::Now => {
                    window.take(now);
                    window.replied(now, now, true);
                }
                Turn::At(at) => now = at,
                Turn::AfterReply => unreachable!("nothing is under way"),
            }
            limits.push(window.limit);
        }
        limits.dedup();
        assert_eq!(limits, [60, 61, 63, 67, 75, 91, 100]);
    }

    #[test]
    fn the_time_for_what_is_left_counts_whole_windows() {
        let mut window = window(100, 20);
        assert_eq!(window.time_for(100, ms(0)), Duration::ZERO);
        assert_eq!(window.time_for(101, ms(0)), Duration::from_secs(20));
        for _ in 0..100 {
            window.take(ms(900));
            window.replied(ms(900), ms(1_000), true);
        }
        assert_eq!(window.time_for(30, ms(5_000)), Duration::from_secs(16));
        assert_eq!(window.time_for(130, ms(5_000)), Duration::from_millis(36_100));
        assert_eq!(window.time_for(0, ms(5_000)), Duration::ZERO);
    }

    #[test]
    fn one_early_429_does_not_slow_the_run_to_a_crawl() {
        let mut window = window(100, 20);
        window.take(ms(0));
        window.throttled(ms(0), ms(100));
        window.replied(ms(0), ms(100), false);
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
                        window.replied(ms(end - 1), ms(end), true);
                    }
                    match window.turn(ms(now)) {
                        Turn::Now => break,
                        Turn::At(at) => now = u64::try_from(at.as_millis()).unwrap() + 1,
                        Turn::AfterReply => now = under_way[0],
                    }
                }
                window.take(ms(now));
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
