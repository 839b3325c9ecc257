//! When a lane's next request may go: its windows, its pauses, and what it learned of the service. Pure.
//!
//! Writes and reads have a window each. A pause holds both: the service asked for it, not one of its counters.

use std::num::NonZeroU32;
use std::time::Duration;

use super::backoff::{self, FLOOR, Growth, RETRY};
use super::pace::{Turn, Window};
use super::policy::Quota;
use crate::clock::Moment;

/// This many answers of a lane, all of them "you may not", and none other: the app lacks the permission.
pub(super) const DENIED_ALIKE: u32 = 5;

/// As many are enough where there is nothing else to come; a single one may be its item's own failure.
pub(super) const DENIED_ALL: u32 = 2;

/// Reads for each write: the service takes ten requests of any kind for one write (throttling limits page of
/// 2025-01-14: 1,000 and 100 in 20 s), and counts the writes among them.
const READS_PER_WRITE: NonZeroU32 = NonZeroU32::new(9).unwrap();

/// What a request is to the service, which counts both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// It changes something.
    Write,
    /// It does not.
    Read,
}

impl Stream {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Write => Self::Read,
            Self::Read => Self::Write,
        }
    }
}

/// The gate of one lane.
#[derive(Debug)]
pub(super) struct Gate {
    writes: Side,
    reads: Side,
    paused_until: Moment,
    /// Rounds of requests in a row that did not even get a connection.
    unreachable: u32,
    ramp: Ramp,
    /// For a 429 that does not say how long.
    silent: Growth,
}

#[derive(Debug)]
struct Side {
    window: Option<Window>,
    in_flight: usize,
    throttles: u32,
    /// How many answers were "you may not", as long as there was no other.
    denied: Option<u32>,
}

impl Side {
    fn new(quota: Option<Quota>) -> Self {
        Self { window: quota.map(Window::new), in_flight: 0, throttles: 0, denied: Some(0) }
    }

    fn unused(&mut self) {
        self.in_flight -= 1;
        if let Some(window) = &mut self.window {
            window.give_back();
        }
    }
}

/// After a pause one write goes alone, so that a quota still exhausted costs one 429 and not a volley.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ramp {
    Open,
    ProbeDue,
    ProbeOut,
}

impl Gate {
    pub(super) fn new(quota: Option<Quota>) -> Self {
        let reads = quota.map(|quota| Quota { count: quota.count.saturating_mul(READS_PER_WRITE), ..quota });
        Self {
            writes: Side::new(quota),
            reads: Side::new(reads),
            paused_until: Moment::ZERO,
            unreachable: 0,
            ramp: Ramp::Open,
            silent: Growth::throttled(quota.map(|quota| quota.per)),
        }
    }

    /// A request of an earlier session came back so long ago.
    pub(super) fn recall(&mut self, stream: Stream, (age, accepted): (Duration, bool), now: Moment) {
        if let Some(window) = &mut self.side(stream).window {
            window.recall(age, accepted, now);
        }
    }

    /// What the service still counts: how long ago it came back, and whether it was accepted.
    pub(super) fn remembered(&self, now: Moment) -> impl Iterator<Item = (Stream, (Duration, bool))> {
        [(Stream::Write, &self.writes), (Stream::Read, &self.reads)].into_iter().flat_map(move |(stream, side)| {
            side.window.iter().flat_map(move |window| window.remembered(now)).map(move |request| (stream, request))
        })
    }

    fn side(&mut self, stream: Stream) -> &mut Side {
        match stream {
            Stream::Write => &mut self.writes,
            Stream::Read => &mut self.reads,
        }
    }

    /// Until when a pause is on.
    pub(super) const fn paused_until(&self) -> Moment {
        self.paused_until
    }

    /// Writes under way.
    pub(super) const fn writing(&self) -> usize {
        self.writes.in_flight
    }

    /// When a request that is due may go. `paused_until` is the later of the lane's pause and its tenant's.
    pub(super) fn turn(&mut self, stream: Stream, due: Moment, paused_until: Moment, now: Moment) -> Turn {
        let start = due.max(paused_until);
        if start > now {
            return Turn::At(start);
        }
        if stream == Stream::Write && self.ramp == Ramp::ProbeOut {
            return Turn::AfterReply;
        }
        self.side(stream).window.as_mut().map_or(Turn::Now, |window| window.turn(now))
    }

    /// How many writes a window takes; none: as many as there are.
    pub(super) fn batch(&self) -> Option<usize> {
        self.writes.window.as_ref().map(Window::limit)
    }

    /// A request goes.
    pub(super) fn take(&mut self, stream: Stream, now: Moment) {
        let side = self.side(stream);
        side.in_flight += 1;
        if let Some(window) = &mut side.window {
            window.take(now);
        }
        if stream == Stream::Write && self.ramp == Ramp::ProbeDue {
            self.ramp = Ramp::ProbeOut;
        }
    }

    /// A write that was to go did not.
    pub(super) fn put_back(&mut self) {
        self.probe_is_back();
        self.writes.unused();
    }

    /// A request came back unsent: it never reached the service, so its slot was not used.
    pub(super) fn never_left(&mut self, stream: Stream, sent_at: Moment) {
        if stream == Stream::Write && self.is_news(sent_at) {
            self.probe_is_back();
        }
        self.side(stream).unused();
    }

    /// No connection was to be had: all wait, a little longer each time, so that an outage does not use up every item.
    pub(super) fn unreachable(&mut self, stream: Stream, sent_at: Moment, now: Moment) {
        self.never_left(stream, sent_at);
        if self.is_news(sent_at) {
            self.pause(now + RETRY.delay(self.unreachable));
            self.unreachable += 1;
        }
    }

    /// A request came back, or was given up.
    pub(super) fn replied(&mut self, stream: Stream, sent_at: Moment, now: Moment, accepted: bool) {
        let is_news = self.is_news(sent_at);
        let side = self.side(stream);
        side.in_flight -= 1;
        if let Some(window) = &mut side.window {
            window.replied(sent_at, now, accepted);
        }
        if !is_news {
            return;
        }
        if accepted {
            side.throttles = 0;
        }
        self.unreachable = 0;
        if stream == Stream::Write {
            self.probe_is_back();
            if accepted {
                self.ramp = Ramp::Open;
            }
        }
    }

    /// Whether a request was sent after the last pause. Nothing goes during one, so whatever was sent before its end
    /// was under way when it began: a volley is one lesson, not many.
    fn is_news(&self, sent_at: Moment) -> bool {
        sent_at >= self.paused_until
    }

    /// Whether the last that was heard of the service is that it cannot be reached.
    pub(super) const fn is_unreachable(&self) -> bool {
        self.unreachable > 0
    }

    fn probe_is_back(&mut self) {
        if self.ramp == Ramp::ProbeOut {
            self.ramp = Ramp::ProbeDue;
        }
    }

    /// Notes whether an answer was "you may not". Says how many such answers turn out to be failures of their items:
    /// none as long as all answers are alike, because that is the app's failure and not the items'.
    pub(super) fn answered(&mut self, stream: Stream, denied: bool) -> u32 {
        let side = self.side(stream);
        match (side.denied, denied) {
            (Some(count), true) => {
                side.denied = Some(count + 1);
                0
            }
            (Some(count), false) => {
                side.denied = None;
                count
            }
            (None, denied) => u32::from(denied),
        }
    }

    /// Whether the first answers denied the right to do this, or so many that are all that there will be.
    pub(super) fn is_denied_alike(&self, all: Option<u32>) -> bool {
        let enough = all.unwrap_or(DENIED_ALIKE);
        [&self.writes, &self.reads].iter().any(|side| side.denied.is_some_and(|count| count >= enough))
    }

    /// A request sent at `sent_at` was told to come later: the lane pauses. Says for how long.
    pub(super) fn throttled(&mut self, stream: Stream, sent_at: Moment, now: Moment, after: Option<Duration>) -> Duration {
        let is_news = self.is_news(sent_at);
        if let Some(window) = &mut self.side(stream).window {
            window.throttled(sent_at, now);
        }
        self.replied(stream, sent_at, now, false);
        if !is_news && after.is_none() {
            return Duration::ZERO;
        }
        let silent = self.silent;
        let side = self.side(stream);
        let own = if after.is_some() { FLOOR } else { silent }.delay(side.throttles);
        let delay = own.max(after.unwrap_or_default());
        side.throttles += u32::from(is_news);
        if is_news || self.ramp == Ramp::Open {
            self.ramp = Ramp::ProbeDue;
        }
        self.pause(now + delay + backoff::jitter_upon(delay));
        delay
    }

    /// Nothing goes before this. The answer to a probe that is out is then no news any more, so another one is due.
    fn pause(&mut self, until: Moment) {
        if until > self.paused_until {
            self.paused_until = until;
            self.probe_is_back();
        }
    }

    /// How long so many writes take at the quota that is known.
    pub(super) fn time_for(&self, writes: u64, now: Moment) -> Option<Duration> {
        Some(self.writes.window.as_ref()?.time_for(writes, now))
    }
}
