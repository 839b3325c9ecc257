//! What the scheduler holds of a lane: the items of one tenant and service, by what they wait for. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use super::gate::{Gate, Stream};
use super::held::{Held, Waiting};
use super::looks::Looks;
use super::pace::Turn;
use super::policy::{Goal, Policy, Quota, Scope};
use super::survey::Census;
use super::tenant::{Access, Tenant};
use crate::clock::Moment;
use crate::model::{ItemNo, Kind, Lane, Phase, Progress, Status, Work};

/// Objects are read this long before their items' turn, so that a window that opens does not wait for reads.
const LEAD: Duration = Duration::from_secs(3);

/// Items that are read ahead where no quota says how many go at once.
const AHEAD: usize = 64;

/// Time for a reading that was due during a pause.
const AFTER_PAUSE: Duration = Duration::from_secs(2);

/// Items of a lane that are on their way at most: a million that wait to be read back must not fill the memory.
const MOST_HELD: usize = 20_000;

/// A lane and its queues.
#[derive(Debug)]
pub(super) struct LaneState {
    pub(super) lane: Lane,
    /// Index of its tenant.
    pub(super) tenant: usize,
    /// Items not settled yet, and those of them that are on their way.
    pub(super) left: u64,
    pub(super) open: u64,
    /// Items still in the ledger alone.
    to_fetch: u64,
    /// The last item fetched from the ledger, and whether there are more.
    pub(super) fetched: ItemNo,
    pub(super) more: bool,
    /// To be read before they are sent.
    fresh: VecDeque<Held>,
    /// To be sent.
    ready: VecDeque<Held>,
    /// To be sent again.
    waiting: Waiting,
    pub(super) looks: Looks,
    /// Reads of single objects under way, and how many of them are for items that may then be sent.
    looking: usize,
    looking_unsent: usize,
    pub(super) gate: Gate,
    /// What it did last: writes and reads take turns.
    pub(super) last: Stream,
    /// When the end of the time for reading back was last heeded; none since the last reply.
    pub(super) swept_at: Option<Moment>,
    /// Nothing more is sent or read.
    pub(super) stopped: bool,
    /// When its last write came back, or its last items from the ledger.
    quiet_since: Moment,
    read_well_at: Moment,
    /// What a survey found, by kind.
    pub(super) surveyed: [Census; Kind::ALL.len()],
    /// Where only the first items are to be sent: how many are, by kind, and the last of them.
    canaries: [(usize, ItemNo); Kind::ALL.len()],
    /// The first reason for which the service denied something.
    pub(super) denied: Option<String>,
    /// Whether items are sent because they were approved: a few, picked out of many, that say nothing of those.
    pub(super) is_picked: bool,
}

impl LaneState {
    pub(super) fn new(lane: Lane, tenant: usize, quota: Option<Quota>) -> Self {
        Self {
            lane,
            tenant,
            left: lane.items,
            open: 0,
            to_fetch: lane.items,
            fetched: lane.after,
            more: lane.items > 0,
            fresh: VecDeque::new(),
            ready: VecDeque::new(),
            waiting: Waiting::default(),
            looks: Looks::new(),
            looking: 0,
            looking_unsent: 0,
            gate: Gate::new(quota),
            last: Stream::Read,
            swept_at: None,
            stopped: false,
            quiet_since: Moment::ZERO,
            read_well_at: Moment::ZERO,
            surveyed: [Census::default(); Kind::ALL.len()],
            canaries: [(0, ItemNo(0)); Kind::ALL.len()],
            denied: None,
            is_picked: false,
        }
    }

    /// Whether more items are to be fetched from the ledger. Those of a survey come after the lists that may show them.
    pub(super) fn is_hungry(&self, low: usize) -> bool {
        let soon = self.fresh.len() + self.ready.len() + self.looks.unsent() + self.looking_unsent;
        self.more && soon < low && !self.is_full() && !self.is_surveying()
    }

    fn is_full(&self) -> bool {
        let to_send = self.fresh.len() + self.ready.len() + self.waiting.len();
        to_send + self.looks.len() + self.looking >= MOST_HELD
    }

    /// Takes in an item from the ledger.
    pub(super) fn came(&mut self, work: Work, policy: &Policy, now: Moment) {
        self.fetched = work.item.no;
        self.to_fetch = self.to_fetch.saturating_sub(1);
        if concerns(policy.goal, &work.progress) && self.is_in(policy.scope, &work) {
            self.open += 1;
            self.admit(Held::new(work, Moment::ZERO), policy, now);
        } else {
            self.left = self.left.saturating_sub(1);
        }
    }

    /// Whether an item is one of those that are worked on. What is in doubt might have to be sent again: where the first
    /// items go alone, it waits with the rest.
    fn is_in(&mut self, scope: Scope, work: &Work) -> bool {
        match scope {
            Scope::All => true,
            Scope::Unsettled => !matches!(work.progress.phase, Phase::Settled(_)),
            Scope::Canaries(most) => {
                let (count, last) = &mut self.canaries[work.item.kind as usize];
                let is_next = work.progress.phase == Phase::Ready && *count < most.get() && *last < work.item.no;
                if is_next {
                    (*count, *last) = (*count + 1, work.item.no);
                }
                is_next
            }
        }
    }

    /// One of the first items needed no request, so that it shows nothing: another one takes its place.
    pub(super) fn is_no_canary(&mut self, kind: Kind) {
        let (count, last) = &mut self.canaries[kind as usize];
        *count = count.saturating_sub(1);
        (self.fetched, self.more) = (self.fetched.min(*last), true);
    }

    /// Whether a pause of the lane or of its tenant is on.
    pub(super) fn paused_until(&self, tenant: &Tenant) -> Moment {
        self.gate.paused_until().max(tenant.paused_until)
    }

    /// Whether anything of it is still to be sent. What is in the ledger alone waits for room, if there is none: only
    /// the end of the time for reading back can make some.
    pub(super) fn has_work(&self) -> bool {
        self.more && !self.is_full()
            || !self.fresh.is_empty()
            || !self.ready.is_empty()
            || !self.waiting.is_empty()
            || self.looks.unsent() + self.looking_unsent > 0
    }

    /// Whether it has something to send, or to read now, that no pause holds.
    pub(super) fn wants_to_act(&self, tenant: &Tenant, now: Moment) -> bool {
        self.paused_until(tenant) <= now && (self.has_work() || self.looks.due(now).is_some_and(|due| due <= now))
    }

    /// When the first of its items may be sent again, if no other is to be sent.
    pub(super) fn waits_until(&self) -> Option<Moment> {
        let others = self.fresh.len() + self.ready.len() + self.looks.unsent() + self.looking_unsent;
        if others == 0 { self.waiting.first_at() } else { None }
    }

    /// Whether anything of it is still to be read.
    pub(super) const fn has_looks(&self) -> bool {
        self.looks.len() + self.looking > 0
    }

    /// Until when reading back goes on, once nothing is to be sent any more: what was said yes to, and what is in doubt.
    ///
    /// Nothing can be read during a pause, so after one there is time for two readings, within reason.
    pub(super) fn deadlines(&self, tenant: &Tenant, policy: &Policy, sends: bool) -> Option<[Moment; 2]> {
        let busy = sends && self.has_work() && !self.stopped || self.gate.writing() > 0;
        if policy.goal == Goal::Survey || busy || !self.has_looks() {
            return None;
        }
        let (within, settle) = (policy.verify_deadline.of(self.lane.service), policy.settle.of(self.lane.service));
        let paused_until = self.paused_until(tenant).min(self.quiet_since + within + policy.max_pause);
        let end = |within: Duration, after: Duration| {
            let since = self.quiet_since + within;
            if paused_until > self.quiet_since { since.max(paused_until + after) } else { since }
        };
        // What is in doubt needs two readings a settle apart, and time for both, whatever the wish.
        Some([end(within, AFTER_PAUSE), end(within.max(settle * 4), settle * 4)])
    }

    /// The first of its deadlines that was not heeded yet.
    pub(super) fn next_deadline(&self, tenant: &Tenant, policy: &Policy, sends: bool) -> Option<Moment> {
        let ends = self.deadlines(tenant, policy, sends).filter(|_| !self.stopped && tenant.access != Access::Closed)?;
        ends.into_iter().filter(|end| self.swept_at.is_none_or(|swept| swept < *end)).min()
    }

    /// When its next write may go, as far as the lane is concerned. None: none is to go.
    pub(super) fn write_turn(&mut self, tenant: &Tenant, policy: &Policy, now: Moment) -> Option<Turn> {
        self.sort_out_stale(policy, now);
        let paused_until = self.paused_until(tenant);
        // The next ones are read in time, and not before: their readings age. Their reads then wake us.
        if !self.fresh.is_empty() {
            let lead = LEAD.min(policy.pin_max_age / 2);
            match self.gate.turn(Stream::Write, now, paused_until, now) {
                Turn::At(at) if at > now + lead => return Some(Turn::At(at.saturating_sub(lead))),
                Turn::At(_) | Turn::Now | Turn::AfterReply => self.read_ahead(now),
            }
        }
        let due = if self.ready.is_empty() { self.waiting.first_at() } else { Some(now) };
        due.map(|due| self.gate.turn(Stream::Write, due, paused_until, now))
    }

    /// Many at once and then none for a while, so that a list can serve them.
    fn read_ahead(&mut self, now: Moment) {
        let wanted = self.gate.batch().unwrap_or(AHEAD);
        let ahead = self.ready.len() + self.looks.unsent() + self.looking_unsent;
        if ahead > wanted / 2 {
            return;
        }
        for held in self.fresh.drain(..self.fresh.len().min(wanted - ahead)) {
            self.looks.add(held, now);
        }
    }

    /// Items whose reading has become too old, or whose turn has come again, go where they belong.
    fn sort_out_stale(&mut self, policy: &Policy, now: Moment) {
        while let Some(held) = self.waiting.pop_due(now) {
            self.ready.push_front(held);
        }
        let stale = self.ready.iter().take_while(|held| held.needs_reading(policy.pins, now)).count();
        for held in self.ready.drain(..stale).rev() {
            self.fresh.push_front(held);
        }
    }

    /// Takes the next item to be sent.
    pub(super) fn take(&mut self) -> Option<Held> {
        self.ready.pop_front()
    }

    /// The item comes back unsent.
    pub(super) fn put_back(&mut self, held: Held) {
        self.gate.put_back();
        self.ready.push_front(held);
    }

    /// The item may be sent; it is read before that unless it was just now.
    pub(super) fn offer(&mut self, held: Held, policy: &Policy, now: Moment) {
        if held.not_before > now {
            let at = held.not_before;
            self.waiting.push(held, at);
        } else if held.needs_reading(policy.pins, now) {
            self.fresh.push_back(held);
        } else {
            self.ready.push_back(held);
        }
    }

    /// The item is sent again, not before `due`.
    pub(super) fn again(&mut self, held: Held, due: Moment) {
        self.waiting.push(held, due);
    }

    /// A read went well.
    pub(super) fn reads_well(&mut self, now: Moment) {
        self.read_well_at = self.read_well_at.max(now);
    }

    /// When a read last went well.
    pub(super) const fn read_well_at(&self) -> Moment {
        self.read_well_at
    }

    /// A write came back, or items came from the ledger.
    pub(super) fn is_quiet_since(&mut self, now: Moment) {
        self.quiet_since = self.quiet_since.max(now);
    }

    /// When its next read may go, as far as the lane is concerned. None: none is to go.
    pub(super) fn read_turn(&mut self, tenant: &Tenant, now: Moment) -> Option<Turn> {
        let due = self.looks.due(now)?;
        let paused_until = self.paused_until(tenant);
        Some(self.gate.turn(Stream::Read, due, paused_until, now))
    }

    /// Notes that an object is being read, or was.
    pub(super) fn looks_at(&mut self, held: &Held) {
        self.looking += 1;
        self.looking_unsent += usize::from(held.work.progress.phase == Phase::Ready);
    }

    pub(super) fn looked_at(&mut self, held: &Held) {
        self.looking -= 1;
        self.looking_unsent -= usize::from(held.work.progress.phase == Phase::Ready);
    }

    /// Puts an item from the ledger where it belongs.
    fn admit(&mut self, mut held: Held, policy: &Policy, now: Moment) {
        let progress = &held.work.progress;
        match progress.phase {
            // A list has shown it.
            Phase::Ready if policy.goal == Goal::Survey && !progress.is_unread() => {
                self.surveyed[held.work.item.kind as usize].to_send += 1;
            }
            // Absence from a list proves nothing.
            Phase::Ready if policy.goal == Goal::Survey => self.looks.add_alone(held),
            Phase::Ready => {
                if !progress.is_unread() && !progress.doubted {
                    held.fresh_until = policy.pinned_until;
                }
                self.offer(held, policy, now);
            }
            // Whoever waited for the answer is gone; the service may still be at work on it.
            Phase::InFlight | Phase::InDoubt | Phase::Settled(Status::Unknown) => {
                self.looks.add(held, now + policy.settle.of(self.lane.service));
            }
            Phase::Confirming | Phase::Settled(_) => self.looks.add(held, now),
        }
    }

    /// How many items are still to be sent, as far as is known.
    pub(super) fn to_send(&self) -> u64 {
        self.to_fetch
            + (self.fresh.len() + self.ready.len() + self.waiting.len() + self.looks.unsent() + self.looking_unsent) as u64
    }

    /// How many items were sent and are being read back.
    pub(super) const fn reading(&self) -> u64 {
        (self.looks.len() + self.looking - self.looks.unsent() - self.looking_unsent) as u64
    }

    /// How long what is left to be sent takes at the quota that is known.
    pub(super) fn eta(&self, tenant: &Tenant, now: Moment) -> Option<Duration> {
        let sending = self.gate.time_for(Some(self.to_send()).filter(|left| *left > 0)?, now)?;
        Some(sending.max(self.paused_until(tenant).saturating_sub(now)))
    }
}

/// Whether a session with this goal has anything to do for an item.
pub fn concerns(goal: Goal, progress: &Progress) -> bool {
    match (goal, progress.phase) {
        (Goal::Survey, phase) => phase == Phase::Ready,
        (Goal::Revoke, Phase::Ready) => true,
        // A 204 that nobody wanted to see confirmed is left alone by all but `verify`.
        (Goal::Confirm, Phase::Ready) | (Goal::Revoke, Phase::Settled(Status::Accepted)) => false,
        (Goal::Revoke | Goal::Confirm, _) => !progress.is_final(),
    }
}
