//! The scheduler: which request goes next, and when. Pure; it is told the time and obeyed by the loop.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use super::agenda::{Alarms, Queue};
use super::breaker::Breaker;
use super::gate::Stream;
use super::lane::LaneState;
use super::looks::Choice;
use super::pace::Turn;
use super::policy::{Goal, Policy};
use super::port::Pulse;
use super::rate::{APP_CEILING, Rate};
use super::spell::Counted;
use super::survey::Arrived;
use super::tenant::{Access, Tenant};
use super::ticket::{Next, PageTicket, Ticket};
use crate::clock::Moment;
use crate::model::{ItemNo, Kind, Lane, Service, Stamp, StoppedBy, TenantId, TenantStop, Work};

/// Requests that the app-wide ceiling lets go at once: a tenth of a second's worth.
const APP_BURST: NonZeroU32 = NonZeroU32::new(1_300).unwrap();

/// How long a count of the tenants that have something to do is good for.
const SHARE_HOLDS: Duration = Duration::from_millis(250);

/// What a tenant and the app have to say to a request.
enum Admission {
    Granted,
    /// A token is to be got first.
    SignIn(TenantId),
    At(Moment),
    AfterReply,
}

/// All state of a session that decides.
#[derive(Debug)]
pub(super) struct Scheduler {
    pub(super) policy: Policy,
    pub(super) lanes: Vec<LaneState>,
    pub(super) tenants: Vec<Tenant>,
    /// What Graph takes of one app; none where no quota is wished for.
    app: Option<Rate>,
    pub(super) breaker: Breaker,
    /// Lanes for which something has changed, and those that wait for a moment.
    called: Queue,
    alarms: Alarms,
    /// Lanes that wait for the end of their time for reading back.
    deadlines: Alarms,
    /// Lanes that may want more from the ledger.
    hungry: Queue,
    pub(super) in_flight: usize,
    /// Tokens that are being asked for.
    signing_in: usize,
    /// How many requests of one tenant may be under way, and until when that is so.
    share: (usize, Moment),
    /// Pages that a survey has to judge.
    pub(super) arrived: VecDeque<Arrived>,
    pub(super) stopped_by: Option<StoppedBy>,
    /// Nothing may be sent or read any more.
    is_over: bool,
    pub(super) tenant_stops: Vec<TenantStop>,
}

impl Scheduler {
    pub(super) fn new(policy: Policy, lanes: &[Lane]) -> Self {
        let mut tenants: Vec<Tenant> = Vec::new();
        let mut index: HashMap<TenantId, usize> = HashMap::new();
        let states = lanes
            .iter()
            .map(|&lane| {
                let tenant = *index.entry(lane.tenant).or_insert_with(|| {
                    tenants.push(Tenant::new(lane.tenant, policy.rate.map(|rate| Rate::new(rate, NonZeroU32::MIN))));
                    tenants.len() - 1
                });
                LaneState::new(lane, tenant, policy.quota)
            })
            .collect();
        let count = lanes.len();
        for (index, state) in (0..).zip(&states) {
            let state: &LaneState = state;
            tenants[state.tenant].lanes.push(index);
        }
        Self {
            app: policy.quota.map(|_| Rate::new(APP_CEILING, APP_BURST)),
            policy,
            lanes: states,
            tenants,
            breaker: Breaker::default(),
            called: Queue::of(count),
            alarms: Alarms::of(count),
            deadlines: Alarms::of(count),
            hungry: Queue::of(count),
            in_flight: 0,
            signing_in: 0,
            share: (1, Moment::ZERO),
            arrived: VecDeque::new(),
            stopped_by: None,
            is_over: false,
            tenant_stops: Vec::new(),
        }
    }

    /// Takes in what an earlier session learned of the lists.
    pub(super) fn know(&mut self, lists: &[(TenantId, Kind, Option<usize>)]) {
        for (tenant, kind, pages) in lists {
            let service = kind.facts().service;
            let lane = self.lanes.iter_mut().find(|lane| lane.lane.tenant == *tenant && lane.lane.service == service);
            if let Some(lane) = lane {
                lane.looks.know(*kind, *pages);
            }
        }
    }

    /// Takes in what the service may still count of earlier sessions.
    pub(super) fn recall(&mut self, counted: &[Counted], now: Moment, at: Stamp) {
        let key = |(place, lane): (usize, &LaneState)| ((lane.lane.tenant, lane.lane.service), place);
        let places: HashMap<(TenantId, Service), usize> = self.lanes.iter().enumerate().map(key).collect();
        for request in counted {
            if let Some(&place) = places.get(&(request.tenant, request.service)) {
                let age = Duration::from_millis(at.millis_since(request.at));
                self.lanes[place].gate.recall(request.stream, (age, request.accepted), now);
            }
        }
    }

    /// What the service may still count.
    pub(super) fn counted(&self, now: Moment, at: Stamp) -> Vec<Counted> {
        let of = |Lane { tenant, service, .. }: Lane| {
            move |(stream, (age, accepted)): (Stream, (Duration, bool))| {
                let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                Counted { tenant, service, stream, at: Stamp(at.0.saturating_sub(age)), accepted }
            }
        };
        self.lanes.iter().flat_map(|lane| lane.gate.remembered(now).map(of(lane.lane))).collect()
    }

    /// A lane that should be filled from the ledger, and the last item it has had.
    pub(super) fn hungry(&mut self, low: usize) -> Option<(usize, Lane, ItemNo)> {
        if self.stopped_by.is_some() {
            return None;
        }
        while let Some(index) = self.hungry.pop() {
            let lane = &self.lanes[index];
            if lane.is_hungry(low) && !lane.stopped && self.tenants[lane.tenant].access == Access::Open {
                return Some((index, lane.lane, lane.fetched));
            }
        }
        None
    }

    /// Fills a lane. An empty page means that there is no more. A page of a survey comes again once the lists have been
    /// read that may show its items.
    pub(super) fn fill(&mut self, index: usize, page: Vec<Work>, now: Moment) {
        self.call(index);
        let lane = &mut self.lanes[index];
        lane.more = !page.is_empty();
        // The clock may be older than the session.
        lane.is_quiet_since(now);
        if self.policy.goal == Goal::Survey && lane.awaits_lists(&page) {
            return;
        }
        for work in page {
            lane.came(work, &self.policy, now);
        }
    }

    pub(super) fn is_stopped(&self, lane: &LaneState) -> bool {
        lane.stopped || self.tenants[lane.tenant].access == Access::Closed
    }

    /// Whether anything of a lane may be sent. A breaker that has opened still lets be read back what was sent.
    pub(super) fn sends(&self, lane: &LaneState) -> bool {
        self.stopped_by.is_none() && self.tenants[lane.tenant].access == Access::Open
    }

    /// Whether nothing may be sent or read any more.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// What to do next. Lanes take turns, and in each of them writes and reads, so that one tenant's pause never
    /// delays another's items. `is_ready` says whether there is a token for a tenant.
    pub(super) fn next(&mut self, now: Moment, is_ready: impl Fn(TenantId) -> bool) -> Next {
        while !self.is_over() {
            if let Some(index) = self.deadlines.pop_due(now) {
                self.call(index);
                if self.deadline(index).is_some_and(|end| end <= now) {
                    return Next::Expire(index);
                }
                continue;
            }
            while let Some(index) = self.alarms.pop_due(now) {
                self.called.push(index);
            }
            if self.in_flight + self.signing_in >= self.policy.concurrency.get() {
                break;
            }
            let Some(index) = self.called.pop() else { break };
            if let Some(next) = self.next_of(index, now, &is_ready) {
                self.call(index);
                return next;
            }
        }
        let is_waiting = self.in_flight > 0 || self.signing_in > 0;
        match [self.alarms.first_at(), self.deadlines.first_at()].into_iter().flatten().min() {
            Some(at) if !self.is_over() => Next::WaitUntil(at),
            _ if is_waiting => Next::AwaitReply,
            _ => Next::Done,
        }
    }

    /// What a lane has to do now. If it has nothing to do, its alarms say when to ask again; a reply asks as well.
    fn next_of(&mut self, index: usize, now: Moment, is_ready: &impl Fn(TenantId) -> bool) -> Option<Next> {
        let end = self.deadline(index);
        self.deadlines.set(index, end);
        let (first, mut wake) = (self.lanes[index].last.other(), None);
        for stream in [first, first.other()] {
            match self.turn(index, stream, now) {
                None | Some(Turn::AfterReply) => {}
                Some(Turn::At(at)) => wake = Some(wake.map_or(at, |wake| at.min(wake))),
                Some(Turn::Now) => match self.admit(index, stream, now, is_ready) {
                    Admission::Granted => {
                        if let Some(next) = self.take(index, stream, now) {
                            return Some(next);
                        }
                    }
                    Admission::SignIn(tenant) => return Some(Next::SignIn(tenant)),
                    Admission::At(at) => wake = Some(wake.map_or(at, |wake| at.min(wake))),
                    Admission::AfterReply => {}
                },
            }
        }
        self.alarms.set(index, wake);
        None
    }

    /// Whether what a lane may do now may be done as far as its tenant and the app are concerned.
    fn admit(&mut self, index: usize, stream: Stream, now: Moment, is_ready: &impl Fn(TenantId) -> bool) -> Admission {
        let share = self.share(now);
        let tenant = &mut self.tenants[self.lanes[index].tenant];
        if tenant.signing_in || tenant.in_flight >= share {
            return Admission::AfterReply;
        }
        if !is_ready(tenant.id) {
            tenant.signing_in = true;
            self.signing_in += 1;
            return Admission::SignIn(tenant.id);
        }
        let granted = self.app.as_ref().map_or(Ok(()), |app| app.take(now));
        let rate = tenant.rate.as_ref().filter(|_| stream == Stream::Write);
        match granted.and_then(|()| rate.map_or(Ok(()), |rate| rate.take(now))) {
            Ok(()) => Admission::Granted,
            Err(at) => Admission::At(at),
        }
    }

    /// Something has changed for a lane.
    pub(super) fn call(&mut self, index: usize) {
        self.called.push(index);
        if self.lanes[index].more {
            self.hungry.push(index);
        }
    }

    /// A request of a lane is not under way any more.
    pub(super) fn is_back(&mut self, index: usize) {
        self.in_flight -= 1;
        self.lanes[index].swept_at = None;
        let tenant = self.lanes[index].tenant;
        self.tenants[tenant].in_flight -= 1;
        self.call_tenant(tenant);
    }

    fn call_tenant(&mut self, tenant: usize) {
        for place in 0..self.tenants[tenant].lanes.len() {
            self.call(self.tenants[tenant].lanes[place]);
        }
    }

    /// A token came, or did not.
    pub(super) fn sign_in_ended(&mut self, tenant: usize) {
        self.signing_in -= 1;
        self.tenants[tenant].signing_in = false;
        self.call_tenant(tenant);
    }

    /// How many requests of one tenant may be under way. A tenant that answers late must not hold what the others need.
    fn share(&mut self, now: Moment) -> usize {
        if self.share.1 <= now {
            let is_open = |index: &usize| {
                let lane = &self.lanes[*index];
                !self.is_stopped(lane)
                    && (self.sends(lane) || lane.has_looks())
                    && lane.wants_to_act(&self.tenants[lane.tenant], now)
            };
            let open = self.tenants.iter().filter(|tenant| tenant.lanes.iter().any(is_open)).count();
            self.share = (self.policy.concurrency.get().div_ceil(open.max(1)), now + SHARE_HOLDS);
        }
        self.share.0
    }

    fn deadline(&self, index: usize) -> Option<Moment> {
        let lane = &self.lanes[index];
        lane.next_deadline(&self.tenants[lane.tenant], &self.policy, self.sends(lane))
    }

    fn turn(&mut self, index: usize, stream: Stream, now: Moment) -> Option<Turn> {
        if self.is_stopped(&self.lanes[index]) {
            return None;
        }
        let sends = self.sends(&self.lanes[index]);
        let lane = &mut self.lanes[index];
        let tenant = &self.tenants[lane.tenant];
        // A write that is near may ask for reads, so it is considered first in either case.
        let write = if sends { lane.write_turn(tenant, &self.policy, now) } else { None };
        match stream {
            Stream::Write => write,
            Stream::Read => lane.read_turn(tenant, now),
        }
    }

    fn take(&mut self, index: usize, stream: Stream, now: Moment) -> Option<Next> {
        let lane = &mut self.lanes[index];
        let next = match stream {
            Stream::Write => Next::Send(Ticket { lane: index, held: lane.take()? }),
            Stream::Read => match lane.looks.next(now)? {
                Choice::One(held) => {
                    lane.looks_at(&held);
                    Next::Look(Ticket { lane: index, held })
                }
                Choice::Page(kind, page) => Next::List(PageTicket { lane: index, tenant: lane.lane.tenant, kind, page }),
            },
        };
        lane.gate.take(stream, now);
        lane.last = stream;
        self.in_flight += 1;
        self.tenants[lane.tenant].in_flight += 1;
        Some(next)
    }

    /// Whether a ticket may still go after its intent became durable: a pause or a stop may have come since.
    pub(super) fn may_go(&self, ticket: &Ticket, now: Moment) -> bool {
        let lane = &self.lanes[ticket.lane];
        let in_time = self.policy.deadline.is_none_or(|deadline| now < deadline);
        self.sends(lane) && in_time && !self.is_stopped(lane) && lane.paused_until(&self.tenants[lane.tenant]) <= now
    }

    /// A ticket did not go.
    pub(super) fn put_back(&mut self, ticket: Ticket) {
        self.is_back(ticket.lane);
        self.lanes[ticket.lane].put_back(ticket.held);
    }

    /// Nothing more is sent. The first reason counts.
    pub(super) fn stop(&mut self, by: StoppedBy) {
        self.stopped_by.get_or_insert(by);
        self.is_over |= !matches!(by, StoppedBy::Breaker | StoppedBy::Canary);
        // What waits to be sent keeps nothing open any more.
        (0..self.lanes.len()).for_each(|index| self.call(index));
    }

    pub(super) const fn stopped_by(&self) -> Option<StoppedBy> {
        self.stopped_by
    }

    /// Whether anything was left unsent or unread.
    pub(super) fn has_work(&self) -> bool {
        self.lanes.iter().any(|lane| (lane.has_work() || lane.has_looks()) && !self.is_stopped(lane))
    }

    /// How the run is doing.
    pub(super) fn pulse(&self, now: Moment) -> Pulse {
        let (mut pulse, mut goes_on) = (Pulse::default(), false);
        for lane in self.lanes.iter().filter(|lane| lane.left > 0 && !self.is_stopped(lane)) {
            let tenant = &self.tenants[lane.tenant];
            pulse.left += if self.sends(lane) { lane.to_send() } else { 0 };
            pulse.reading += lane.reading();
            let pause = lane.paused_until(tenant).saturating_sub(now);
            if !pause.is_zero() {
                pulse.pause_left = Some(pulse.pause_left.map_or(pause, |left: Duration| left.min(pause)));
                pulse.unreachable |= lane.gate.is_unreachable();
            }
            goes_on |= pause.is_zero() && (lane.has_work() || lane.has_looks());
            // What is left begins when the pause ends.
            pulse.eta = pulse.eta.max(lane.eta(tenant, now + pause).map(|eta| eta + pause));
        }
        pulse.eta = pulse.eta.max(self.policy.rate.and_then(|rate| self.eta_at(rate)));
        pulse.pause_left = pulse.pause_left.filter(|_| !goes_on);
        // What a session only reads is not held by the quota of writes.
        pulse.eta = pulse.eta.filter(|_| self.policy.goal == Goal::Revoke);
        pulse
    }
}
