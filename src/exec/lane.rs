//! What the scheduler knows of a lane (the items of one tenant and service) and of a tenant. Pure.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::backoff::{self, FLOOR, RETRY, THROTTLED};
use super::pace::{Turn, Window};
use super::rate::Rate;
use crate::clock::Moment;
use crate::model::{ItemNo, Lane, TenantId, Work};

/// This many answers of a lane, all of them "you may not", and none other: the app lacks the permission.
pub(super) const DENIED_ALIKE: u32 = 5;

/// A tenant, over all its lanes.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) id: TenantId,
    pub(super) stopped: bool,
    pub(super) rate: Option<Rate>,
    /// Whether a token is being asked for.
    pub(super) signing_in: bool,
    paused_until: Moment,
    /// Since when nothing but "later" came back.
    dry_since: Option<Moment>,
    /// How many tokens in a row were refused, and the number of the last one.
    refused_tokens: u32,
    refused: Option<u64>,
    sign_in_waits: u32,
}

impl Tenant {
    pub(super) fn new(id: TenantId, rate: Option<Rate>) -> Self {
        Self {
            id,
            stopped: false,
            rate,
            signing_in: false,
            paused_until: Moment::ZERO,
            dry_since: None,
            refused_tokens: 0,
            refused: None,
            sign_in_waits: 0,
        }
    }

    /// The service answered something other than "later" or "who are you".
    pub(super) fn answered(&mut self, token: Option<u64>) {
        self.dry_since = None;
        // A late answer to an older token says nothing about the fresh one.
        if token > self.refused || token.is_none() {
            self.refused_tokens = 0;
        }
    }

    /// A token was refused. True if it was the second in a row, each fresher than the last: a third would be refused as well.
    pub(super) fn token_refused(&mut self, token: Option<u64>) -> bool {
        if self.refused_tokens == 0 && self.refused.is_none() || token > self.refused {
            self.refused_tokens += 1;
            self.refused = token;
        }
        self.refused_tokens >= 2
    }

    /// A token is there.
    pub(super) fn signed_in(&mut self) {
        self.signing_in = false;
        self.sign_in_waits = 0;
    }

    /// Everything of the tenant waits, because no token is to be had just now. Says for how long.
    pub(super) fn no_token(&mut self, now: Moment, after: Duration) -> Duration {
        self.signing_in = false;
        let delay = after.max(RETRY.delay(self.sign_in_waits));
        self.sign_in_waits += 1;
        self.paused_until = self.paused_until.max(now + delay);
        delay
    }

    /// Notes that nothing was accepted, and says for how long it has been so.
    pub(super) fn dry_for(&mut self, now: Moment) -> Duration {
        now.saturating_sub(*self.dry_since.get_or_insert(now))
    }
}

/// A lane and its queues.
#[derive(Debug)]
pub(super) struct LaneState {
    pub(super) lane: Lane,
    /// Index of its tenant.
    pub(super) tenant: usize,
    /// Items not settled yet.
    pub(super) left: u64,
    /// The last item fetched from the ledger, and whether there are more.
    pub(super) fetched: ItemNo,
    pub(super) more: bool,
    pub(super) fresh: VecDeque<Work>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    window: Option<Window>,
    in_flight: usize,
    paused_until: Moment,
    throttles: u32,
    /// Rounds of requests in a row that did not even get a connection.
    unreachable: u32,
    ramp: Ramp,
    /// Nothing more is sent.
    pub(super) stopped: bool,
    /// How many answers were "you may not", as long as there was no other.
    denied: Option<u32>,
}

/// After a pause one request goes alone, so that a quota still exhausted costs one 429 and not a volley.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ramp {
    Open,
    ProbeDue,
    ProbeOut,
}

#[derive(Debug)]
struct Waiting {
    due: Moment,
    work: Work,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.work.item.no).cmp(&(other.due, other.work.item.no))
    }
}

impl LaneState {
    pub(super) fn new(lane: Lane, tenant: usize, window: Option<Window>) -> Self {
        Self {
            lane,
            tenant,
            left: lane.items,
            fetched: ItemNo(0),
            more: lane.items > 0,
            fresh: VecDeque::new(),
            waiting: BinaryHeap::new(),
            window,
            in_flight: 0,
            paused_until: Moment::ZERO,
            throttles: 0,
            unreachable: 0,
            ramp: Ramp::Open,
            stopped: false,
            denied: Some(0),
        }
    }

    /// Whether anything of it is still to be sent.
    pub(super) fn has_work(&self) -> bool {
        self.more || !self.fresh.is_empty() || !self.waiting.is_empty()
    }

    /// Whether a pause of the lane or of its tenant is on.
    pub(super) fn paused_until(&self, tenant: &Tenant) -> Moment {
        self.paused_until.max(tenant.paused_until)
    }

    /// When its next request may go, as far as the lane is concerned. None: nothing is to go.
    pub(super) fn turn(&mut self, tenant: &Tenant, now: Moment) -> Option<Turn> {
        let due = match (self.fresh.is_empty(), self.waiting.peek()) {
            (false, _) => now,
            (true, Some(Reverse(first))) => first.due,
            (true, None) => return None,
        };
        let start = due.max(self.paused_until(tenant));
        if start > now {
            return Some(Turn::At(start));
        }
        if self.ramp == Ramp::ProbeOut {
            return Some(Turn::AfterReply);
        }
        Some(self.window.as_mut().map_or(Turn::Now, |window| window.turn(now)))
    }

    /// Takes the next item: one that waited and is due before a fresh one.
    pub(super) fn take(&mut self, now: Moment) -> Option<Work> {
        let due = self.waiting.peek().is_some_and(|Reverse(first)| first.due <= now);
        let work = if due { self.waiting.pop().map(|Reverse(first)| first.work) } else { self.fresh.pop_front() }?;
        self.in_flight += 1;
        if self.ramp == Ramp::ProbeDue {
            self.ramp = Ramp::ProbeOut;
        }
        if let Some(window) = &mut self.window {
            window.take();
        }
        Some(work)
    }

    /// The item comes back unsent.
    pub(super) fn put_back(&mut self, work: Work) {
        self.probe_is_back();
        self.unused();
        self.fresh.push_front(work);
    }

    /// The item is sent again, not before `due`.
    pub(super) fn again(&mut self, work: Work, due: Moment) {
        self.waiting.push(Reverse(Waiting { due, work }));
    }

    /// A request came back unsent: it never reached the service, so its slot was not used.
    pub(super) fn never_left(&mut self, sent_at: Moment) {
        if self.is_news(sent_at) {
            self.probe_is_back();
        }
        self.unused();
    }

    fn unused(&mut self) {
        self.in_flight -= 1;
        if let Some(window) = &mut self.window {
            window.give_back();
        }
    }

    /// No connection was to be had: all wait, a little longer each time, so that an outage does not use up every item.
    pub(super) fn unreachable(&mut self, sent_at: Moment, now: Moment) {
        self.never_left(sent_at);
        if self.is_news(sent_at) {
            self.paused_until = now + RETRY.delay(self.unreachable);
            self.unreachable += 1;
        }
    }

    /// A request came back, or was given up.
    pub(super) fn replied(&mut self, sent_at: Moment, now: Moment, accepted: bool) {
        self.in_flight -= 1;
        if let Some(window) = &mut self.window {
            window.replied(now, accepted);
        }
        if !self.is_news(sent_at) {
            return;
        }
        self.probe_is_back();
        self.unreachable = 0;
        if accepted {
            self.ramp = Ramp::Open;
            self.throttles = 0;
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
    pub(super) fn answered(&mut self, denied: bool) -> u32 {
        match (self.denied, denied) {
            (Some(count), true) => {
                self.denied = Some(count + 1);
                0
            }
            (Some(count), false) => {
                self.denied = None;
                count
            }
            (None, denied) => u32::from(denied),
        }
    }

    /// Whether the first answers all denied the right to do this.
    pub(super) fn is_denied_alike(&self) -> bool {
        self.denied.is_some_and(|count| count >= DENIED_ALIKE)
    }

    /// A request sent at `sent_at` was told to come later: the lane pauses. Says for how long.
    pub(super) fn throttled(&mut self, sent_at: Moment, now: Moment, after: Option<Duration>) -> Duration {
        if let Some(window) = &mut self.window {
            window.throttled(now, sent_at);
        }
        let is_news = self.is_news(sent_at);
        self.replied(sent_at, now, false);
        if !is_news && after.is_none() {
            return Duration::ZERO;
        }
        let own = if after.is_some() { FLOOR } else { THROTTLED }.delay(self.throttles);
        let delay = own.max(after.unwrap_or_default());
        self.throttles += u32::from(is_news);
        if is_news || self.ramp == Ramp::Open {
            self.ramp = Ramp::ProbeDue;
        }
        self.paused_until = self.paused_until.max(now + delay + backoff::jitter_upon(delay));
        delay
    }

    /// How long what is left takes at the quota that is known.
    pub(super) fn eta(&self, tenant: &Tenant, now: Moment) -> Option<Duration> {
        let sending = self.window.as_ref()?.time_for(self.left.saturating_sub(self.in_flight as u64), now);
        Some(sending.max(self.paused_until(tenant).saturating_sub(now)))
    }
}
