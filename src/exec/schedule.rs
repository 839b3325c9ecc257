//! The scheduler: which request goes next, and when. Pure; it is told the time and obeyed by the loop.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use super::breaker::Breaker;
use super::gate::Stream;
use super::held::Held;
use super::lane::{LaneState, concerns};
use super::looks::Choice;
use super::pace::Turn;
use super::policy::Policy;
use super::port::{NextPage, Pulse};
use super::rate::{APP_CEILING, Rate};
use super::tenant::Tenant;
use crate::clock::Moment;
use crate::model::{Event, IllegalEvent, ItemNo, Kind, Lane, Stamp, StoppedBy, TenantId, TenantStop, Work};

/// Requests that the app-wide ceiling lets go at once: a tenth of a second's worth.
const APP_BURST: NonZeroU32 = NonZeroU32::new(1_300).unwrap();

/// An item whose turn has come, to be sent or to be read.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) lane: usize,
    pub(super) held: Held,
}

/// A page whose turn has come.
#[derive(Debug, Clone)]
pub(super) struct PageTicket {
    pub(super) lane: usize,
    pub(super) tenant: TenantId,
    pub(super) kind: Kind,
    pub(super) page: Option<NextPage>,
}

/// What the loop is to do next.
#[derive(Debug)]
pub(super) enum Next {
    /// Send this.
    Send(Ticket),
    /// Read this.
    Look(Ticket),
    /// Read this page of a list.
    List(PageTicket),
    /// Get a token for this tenant; until then its items wait.
    SignIn(TenantId),
    /// Nothing may go before this moment.
    WaitUntil(Moment),
    /// Nothing may go before a reply comes.
    AwaitReply,
    /// Nothing is left.
    Done,
}

/// All state of a session that decides.
#[derive(Debug)]
pub(super) struct Scheduler {
    pub(super) policy: Policy,
    pub(super) lanes: Vec<LaneState>,
    pub(super) tenants: Vec<Tenant>,
    app: Rate,
    pub(super) breaker: Breaker,
    /// Whose turn it is: each lane has one for its writes and one for its reads.
    cursor: usize,
    pub(super) in_flight: usize,
    stopped_by: Option<StoppedBy>,
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
        Self {
            policy,
            lanes: states,
            tenants,
            app: Rate::new(APP_CEILING, APP_BURST),
            breaker: Breaker::default(),
            cursor: 0,
            in_flight: 0,
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

    /// A lane that should be filled from the ledger, and the last item it has had.
    pub(super) fn hungry(&self, low: usize) -> Option<(usize, Lane, ItemNo)> {
        if self.stopped_by.is_some() {
            return None;
        }
        let found = self.lanes.iter().position(|lane| lane.is_hungry(low) && !self.is_stopped(lane))?;
        Some((found, self.lanes[found].lane, self.lanes[found].fetched))
    }

    /// Fills a lane. An empty page means that there is no more. Says what is to be recorded.
    ///
    /// # Errors
    /// If an item's history does not allow it, which is a bug.
    pub(super) fn fill(&mut self, index: usize, page: Vec<Work>, now: Moment, at: Stamp) -> Result<Vec<Event>, IllegalEvent> {
        let lane = &mut self.lanes[index];
        lane.came(page.len() as u64, page.last().map(|work| work.item.no));
        // The clock may be older than the session.
        lane.is_quiet_since(now);
        let mut events = Vec::new();
        for work in page {
            let held = Held::new(work, Moment::ZERO);
            let lane = &mut self.lanes[index];
            if !concerns(self.policy.goal, &held.work.progress) {
                lane.left = lane.left.saturating_sub(1);
            } else if let Some((began, shown)) = lane.listed(&held) {
                events.extend(self.found(index, held, (began, shown), (now, at))?);
            } else {
                lane.admit(held, &self.policy, now);
            }
        }
        Ok(events)
    }

    pub(super) fn is_stopped(&self, lane: &LaneState) -> bool {
        lane.stopped || self.tenants[lane.tenant].stopped
    }

    /// Whether anything may be sent. A breaker that has opened still lets be read back what was sent.
    const fn sends(&self) -> bool {
        self.stopped_by.is_none()
    }

    /// Whether nothing may be sent or read any more.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// What to do next. Lanes take turns, and in each of them writes and reads, so that one tenant's pause never
    /// delays another's items. `is_ready` says whether there is a token for a tenant.
    pub(super) fn next(&mut self, now: Moment, is_ready: impl Fn(TenantId) -> bool) -> Next {
        let mut wake: Option<Moment> = None;
        let mut awaited = self.in_flight > 0;
        let turns = 2 * self.lanes.len();
        let count = if self.is_over() || self.in_flight >= self.policy.concurrency.get() { 0 } else { turns };
        for step in 0..count {
            let turn = (self.cursor + step) % turns;
            let (index, stream) = (turn / 2, if turn.is_multiple_of(2) { Stream::Write } else { Stream::Read });
            let tenant = self.lanes[index].tenant;
            match self.turn(index, stream, now) {
                None | Some(Turn::AfterReply) => {}
                Some(Turn::At(at)) => wake = Some(wake.map_or(at, |wake| wake.min(at))),
                Some(Turn::Now) if self.tenants[tenant].signing_in => awaited = true,
                Some(Turn::Now) if !is_ready(self.tenants[tenant].id) => {
                    self.tenants[tenant].signing_in = true;
                    return Next::SignIn(self.tenants[tenant].id);
                }
                Some(Turn::Now) => match self.spend(tenant, stream, now) {
                    Err(at) => wake = Some(wake.map_or(at, |wake| wake.min(at))),
                    Ok(()) => {
                        if let Some(next) = self.take(index, stream, now) {
                            self.cursor = turn + 1;
                            self.in_flight += 1;
                            return next;
                        }
                    }
                },
            }
        }
        let deadlines = self.lanes.iter().filter(|lane| !self.is_stopped(lane));
        let deadlines = deadlines
            .filter_map(|lane| lane.deadlines(&self.tenants[lane.tenant], &self.policy, self.sends()))
            .flatten()
            .filter(|at| *at > now);
        match wake.into_iter().chain(deadlines.min()).min() {
            _ if self.is_over() && !awaited => Next::Done,
            Some(at) if !self.is_over() => Next::WaitUntil(at),
            _ if awaited => Next::AwaitReply,
            _ => Next::Done,
        }
    }

    fn turn(&mut self, index: usize, stream: Stream, now: Moment) -> Option<Turn> {
        if self.is_stopped(&self.lanes[index]) {
            return None;
        }
        let sends = self.sends();
        let lane = &mut self.lanes[index];
        let tenant = &self.tenants[lane.tenant];
        // A write that is near may ask for reads, so it is considered first in either case.
        let write = if sends { lane.write_turn(tenant, &self.policy, now) } else { None };
        match stream {
            Stream::Write => write,
            Stream::Read => lane.read_turn(tenant, now),
        }
    }

    /// Spends a cell of the app's ceiling and, for a write, of the tenant's rate; or says from when on there is one.
    fn spend(&self, tenant: usize, stream: Stream, now: Moment) -> Result<(), Moment> {
        self.app.take(now)?;
        let rate = self.tenants[tenant].rate.as_ref().filter(|_| stream == Stream::Write);
        rate.map_or(Ok(()), |rate| rate.take(now))
    }

    fn take(&mut self, index: usize, stream: Stream, now: Moment) -> Option<Next> {
        let lane = &mut self.lanes[index];
        if stream == Stream::Write {
            return lane.take().map(|held| Next::Send(Ticket { lane: index, held }));
        }
        let next = match lane.looks.next(now)? {
            Choice::One(held) => {
                lane.looks_at(&held);
                Next::Look(Ticket { lane: index, held })
            }
            Choice::Page(kind, page) => Next::List(PageTicket { lane: index, tenant: lane.lane.tenant, kind, page }),
        };
        lane.gate.take(Stream::Read);
        Some(next)
    }

    /// Whether a ticket may still go after its intent became durable: a pause or a stop may have come since.
    pub(super) fn may_go(&self, ticket: &Ticket, now: Moment) -> bool {
        let lane = &self.lanes[ticket.lane];
        let in_time = self.policy.deadline.is_none_or(|deadline| now < deadline);
        self.sends() && in_time && !self.is_stopped(lane) && lane.paused_until(&self.tenants[lane.tenant]) <= now
    }

    /// A ticket did not go.
    pub(super) fn put_back(&mut self, ticket: Ticket) {
        self.in_flight -= 1;
        self.lanes[ticket.lane].put_back(ticket.held);
    }

    /// Nothing more is sent. The first reason counts.
    pub(super) fn stop(&mut self, by: StoppedBy) {
        self.stopped_by.get_or_insert(by);
        self.is_over |= by != StoppedBy::Breaker;
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
        let mut pulse = Pulse { in_flight: self.in_flight, ..Pulse::default() };
        for lane in self.lanes.iter().filter(|lane| lane.left > 0 && !self.is_stopped(lane)) {
            let tenant = &self.tenants[lane.tenant];
            pulse.left += lane.to_send();
            pulse.reading += lane.reading();
            let pause = lane.paused_until(tenant).saturating_sub(now);
            if !pause.is_zero() {
                pulse.paused_lanes += 1;
                pulse.pause_left = Some(pulse.pause_left.map_or(pause, |left: Duration| left.min(pause)));
                pulse.unreachable |= lane.gate.is_unreachable();
            }
            pulse.eta = pulse.eta.max(lane.eta(tenant, now));
        }
        pulse
    }
}
