//! The pacer against a service that counts: the three ways to count, the documented quota, a lower one, one that is
//! halved on the way. Virtual time, no loop, no sockets.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use crate::clock::Moment;
use crate::exec::Quota;
use crate::exec::gate::{Gate, Stream};
use crate::exec::pace::Turn;

const WINDOW: Duration = Duration::from_secs(20);
const AT_ONCE: usize = 16;

/// How the service counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counting {
    Sliding,
    Fixed,
    Bucket,
}

/// A service: how many it takes in a window, and from when on how many.
#[derive(Debug, Clone)]
struct Service {
    counting: Counting,
    quota: u32,
    halved_at: Moment,
    /// Where fixed windows begin.
    offset: Moment,
    /// Whether a 429 says how long to wait, in whole seconds.
    tells: bool,
    accepted: VecDeque<Moment>,
    window: (u128, u32),
    bucket: (f64, Moment),
}

impl Service {
    fn new(counting: Counting, quota: u32, tells: bool) -> Self {
        Self {
            counting,
            quota,
            halved_at: Moment::MAX,
            offset: Duration::from_millis(7_300),
            tells,
            accepted: VecDeque::new(),
            window: (0, 0),
            bucket: (quota.into(), Moment::ZERO),
        }
    }

    fn quota(&self, at: Moment) -> u32 {
        if at < self.halved_at { self.quota } else { self.quota / 2 }
    }

    /// Counts a request; if there is no room for it, says how long there is none.
    fn admit(&mut self, at: Moment) -> Result<(), Duration> {
        let quota = self.quota(at);
        match self.counting {
            Counting::Sliding => {
                while self.accepted.front().is_some_and(|first| *first + WINDOW <= at) {
                    self.accepted.pop_front();
                }
                if let Some(surplus) = self.accepted.len().checked_sub(quota as usize) {
                    return Err((self.accepted[surplus] + WINDOW).saturating_sub(at));
                }
                self.accepted.push_back(at);
            }
            Counting::Fixed => {
                let (no, rest) =
                    ((at + self.offset).as_nanos() / WINDOW.as_nanos(), (at + self.offset).as_nanos() % WINDOW.as_nanos());
                if self.window.0 != no {
                    self.window = (no, 0);
                }
                if self.window.1 >= quota {
                    return Err(WINDOW.saturating_sub(Duration::from_nanos(u64::try_from(rest).unwrap())));
                }
                self.window.1 += 1;
            }
            Counting::Bucket => {
                let rate = f64::from(quota) / WINDOW.as_secs_f64();
                let filled = self.bucket.0 + at.saturating_sub(self.bucket.1).as_secs_f64() * rate;
                self.bucket = (filled.min(quota.into()), at);
                if self.bucket.0 < 1.0 {
                    return Err(Duration::from_secs_f64((1.0 - self.bucket.0) / rate));
                }
                self.bucket.0 -= 1.0;
            }
        }
        Ok(())
    }
}

/// What happens next.
enum Next {
    Arrives(Moment, Duration),
    Replies(Moment, Result<(), Duration>),
}

/// How a job went.
#[derive(Debug, Default)]
struct Went {
    sent: u32,
    throttled: u32,
    /// When the service accepted what.
    accepted: Vec<Moment>,
}

impl Went {
    fn share_throttled(&self) -> f64 {
        f64::from(self.throttled) / f64::from(self.sent)
    }

    fn took(&self) -> Duration {
        *self.accepted.last().unwrap()
    }

    fn most_within_a_window(&self) -> usize {
        let within = |(first, at): (usize, &Moment)| self.accepted[first..].partition_point(|other| *other < *at + WINDOW);
        self.accepted.iter().enumerate().map(within).max().unwrap_or(0)
    }
}

/// Sends so many requests through a gate that was told of a quota of 100. Latency is 100 to 200 ms, as a sequence says
/// that begins with `seed`.
fn send(mut service: Service, items: usize, seed: u64) -> Went {
    let mut gate = Gate::new(Some(Quota { count: NonZeroU32::new(100).unwrap(), per: WINDOW }));
    let (mut now, mut dice, mut went) = (Moment::ZERO, seed, Went::default());
    let mut events: BTreeMap<(Moment, usize), Next> = BTreeMap::new();
    let (mut left, mut under_way, mut nth, mut asked_until) = (items, 0, 0, Moment::ZERO);
    while went.accepted.len() < items || under_way > 0 {
        let mut wake = None;
        while left > 0 && under_way < AT_ONCE && wake.is_none() {
            match gate.turn(Stream::Write, now, gate.paused_until(), now) {
                Turn::Now => {
                    assert!(now >= asked_until, "sent during a pause that the service had asked for");
                    gate.take(Stream::Write, now);
                    (left, under_way, went.sent, nth) = (left - 1, under_way + 1, went.sent + 1, nth + 1);
                    dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let half = Duration::from_micros(50_000 + (dice >> 33) % 50_000);
                    events.insert((now + half, nth), Next::Arrives(now, half));
                }
                Turn::At(at) => wake = Some(at),
                Turn::AfterReply => break,
            }
        }
        let first = events.first_key_value().map(|((at, _), _)| *at);
        if let Some(at) = wake.filter(|at| first.is_none_or(|first| *at < first)) {
            now = at;
            continue;
        }
        let ((at, id), next) = events.pop_first().expect("something is under way");
        now = at;
        match next {
            Next::Arrives(sent_at, half) => {
                let answer = service.admit(now);
                went.accepted.extend(answer.is_ok().then_some(now));
                events.insert((now + half, id), Next::Replies(sent_at, answer));
            }
            Next::Replies(sent_at, answer) => {
                under_way -= 1;
                if let Err(wait) = answer {
                    let after = service.tells.then(|| Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)));
                    asked_until = asked_until.max(now + after.unwrap_or_default());
                    gate.throttled(Stream::Write, sent_at, now, after);
                    (left, went.throttled) = (left + 1, went.throttled + 1);
                } else {
                    gate.replied(Stream::Write, sent_at, now, true);
                }
            }
        }
    }
    went
}

/// What a client would take that knows the quota at any time and keeps a slot for a window after each answer.
fn best(service: &Service, items: usize) -> Duration {
    let cycle = WINDOW + Duration::from_millis(150);
    let (mut at, mut left) = (Moment::ZERO, items);
    loop {
        let quota = service.quota(at);
        if left <= quota as usize {
            return at + Duration::from_millis(150) * u32::try_from(left.div_ceil(AT_ONCE)).unwrap() / 2;
        }
        (left, at) = (left - quota as usize, at + cycle);
    }
}

const COUNTINGS: [Counting; 3] = [Counting::Sliding, Counting::Fixed, Counting::Bucket];

fn efficiency(service: &Service, items: usize, went: &Went) -> f64 {
    best(service, items).as_secs_f64() / went.took().as_secs_f64()
}

#[test]
fn the_documented_quota_is_used_up_without_one_429() {
    for counting in COUNTINGS {
        let service = Service::new(counting, 100, true);
        let went = send(service.clone(), 2_000, 1);
        let share = efficiency(&service, 2_000, &went);
        assert!(went.throttled == 0 && share >= 0.985, "{counting:?}: {share:.3}, {} throttled", went.throttled);
    }
}

#[test]
fn a_quota_lower_than_documented_is_learned_at_once_whether_or_not_the_service_says_how_long() {
    for counting in COUNTINGS {
        for (quota, tells) in [(60, true), (60, false), (30, true), (30, false)] {
            let service = Service::new(counting, quota, tells);
            let went = send(service.clone(), 2_000, 2);
            let (share, throttled) = (efficiency(&service, 2_000, &went), went.share_throttled());
            assert!(share >= 0.96 && throttled <= 0.025, "{counting:?} {quota} {tells}: {share:.3}, {throttled:.3}");
        }
    }
}

#[test]
fn a_tenth_of_the_quota_is_learned_from_429s_that_are_alike() {
    for counting in COUNTINGS {
        let went = send(Service::new(counting, 10, false), 500, 3);
        assert!(went.share_throttled() < 0.2, "{counting:?}: {:.3}", went.share_throttled());
    }
}

#[test]
fn a_quota_that_is_halved_on_the_way_is_learned_as_well() {
    // Not a whole number of windows: the odd item at the end would cost a whole one.
    const ITEMS: usize = 2_025;
    for counting in COUNTINGS {
        for tells in [true, false] {
            for seed in 0..4 {
                let halved_at = Duration::from_secs(200 + 5 * seed);
                let service = Service { halved_at, ..Service::new(counting, 100, tells) };
                let went = send(service.clone(), ITEMS, seed);
                let (share, throttled) = (efficiency(&service, ITEMS, &went), went.share_throttled());
                assert!(share >= 0.96 && throttled <= 0.025, "{counting:?} {tells} {seed}: {share:.3}, {throttled:.3}");
            }
        }
    }
}

#[test]
fn a_job_of_one_window_goes_without_waiting() {
    let went = send(Service::new(Counting::Sliding, 100, true), 100, 4);
    assert!(went.took() < Duration::from_secs(3), "{:?}", went.took());
}

proptest! {
    #[test]
    fn never_more_than_the_quota_is_accepted_in_any_window(seed: u64, items in 1_usize..600) {
        // A service that would take any number: what holds is the pacer.
        let went = send(Service::new(Counting::Sliding, u32::MAX, true), items, seed);
        prop_assert!(went.most_within_a_window() <= 100, "{}", went.most_within_a_window());
    }
}
