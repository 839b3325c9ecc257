//! The scheduler: which request goes next, and when. Pure; it is told the time and obeyed by the loop.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use super::breaker::Breaker;
use super::follow::{Follow, follow};
use super::lane::{LaneState, Tenant};
use super::pace::{Turn, Window};
use super::policy::Policy;
use super::port::{Answer, Pulse, Verdict};
use super::rate::{APP_CEILING, Rate};
use crate::clock::Moment;
use crate::model::{
    Event, IllegalEvent, ItemNo, Lane, Reached, Reply, Stamp, StopCause, StoppedBy, TenantId, TenantStop, Then, What, Work,
};

/// Requests that the app-wide ceiling lets go at once: a tenth of a second's worth.
const APP_BURST: NonZeroU32 = NonZeroU32::new(1_300).unwrap();

/// An item whose turn has come.
#[derive(Debug)]
pub(super) struct Ticket {
    lane: usize,
    pub(super) work: Work,
}

/// What the loop is to do next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it lives for one step of the loop; a box would cost an allocation per request")]
pub(super) enum Next {
    /// Send this.
    Send(Ticket),
    /// Nothing may go before this moment.
    WaitUntil(Moment),
    /// Nothing may go before a reply comes.
    AwaitReply,
    /// Nothing is left.
    Done,
}

/// How one exchange went, in both clocks.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) answer: Answer,
    pub(super) began: Moment,
    pub(super) ended: Moment,
    pub(super) sent_at: Stamp,
}

/// All state of a run that decides.
#[derive(Debug)]
pub(super) struct Scheduler {
    policy: Policy,
    lanes: Vec<LaneState>,
    tenants: Vec<Tenant>,
    app: Rate,
    breaker: Breaker,
    cursor: usize,
    in_flight: usize,
    stopped_by: Option<StoppedBy>,
    tenant_stops: Vec<TenantStop>,
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
                LaneState::new(lane, tenant, policy.quota.map(Window::new))
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
            tenant_stops: Vec::new(),
        }
    }

    /// A lane that should be filled from the ledger, and the last item it has had.
    pub(super) fn hungry(&self, low: usize) -> Option<(usize, Lane, ItemNo)> {
        if self.stopped_by.is_some() {
            return None;
        }
        let hungry = |state: &LaneState| state.more && state.fresh.len() < low && !self.tenants[state.tenant].stopped;
        let found = self.lanes.iter().position(hungry)?;
        Some((found, self.lanes[found].lane, self.lanes[found].fetched))
    }

    /// Fills a lane. An empty page means that there is no more.
    pub(super) fn fill(&mut self, lane: usize, page: Vec<Work>) {
        let state = &mut self.lanes[lane];
        state.more = !page.is_empty();
        state.fetched = page.last().map_or(state.fetched, |work| work.item.no);
        state.fresh.extend(page);
    }

    /// What to do next. Lanes take turns, so that one tenant's pause never delays another's items.
    pub(super) fn next(&mut self, now: Moment) -> Next {
        let mut wake: Option<Moment> = None;
        let count =
            if self.stopped_by.is_some() || self.in_flight >= self.policy.concurrency.get() { 0 } else { self.lanes.len() };
        for step in 0..count {
            let index = (self.cursor + step) % self.lanes.len();
            match self.turn(index, now) {
                None | Some(Turn::AfterReply) => {}
                Some(Turn::At(at)) => wake = Some(wake.map_or(at, |wake| wake.min(at))),
                Some(Turn::Now) => {
                    if let Some(work) = self.lanes[index].take(now) {
                        self.cursor = index + 1;
                        self.in_flight += 1;
                        return Next::Send(Ticket { lane: index, work });
                    }
                }
            }
        }
        match wake {
            Some(at) => Next::WaitUntil(at),
            None if self.in_flight > 0 => Next::AwaitReply,
            None => Next::Done,
        }
    }

    fn turn(&mut self, index: usize, now: Moment) -> Option<Turn> {
        let lane = &mut self.lanes[index];
        let tenant = &self.tenants[lane.tenant];
        if tenant.stopped {
            return None;
        }
        match lane.turn(tenant, now)? {
            Turn::Now => {
                Some(match tenant.rate.as_ref().map_or(Ok(()), |rate| rate.take(now)).and_then(|()| self.app.take(now)) {
                    Ok(()) => Turn::Now,
                    Err(at) => Turn::At(at),
                })
            }
            later @ (Turn::At(_) | Turn::AfterReply) => Some(later),
        }
    }

    /// Whether a ticket may still go after its intent became durable: a pause or a stop may have come since.
    pub(super) fn may_go(&self, ticket: &Ticket, now: Moment) -> bool {
        let lane = &self.lanes[ticket.lane];
        let tenant = &self.tenants[lane.tenant];
        self.stopped_by.is_none() && !tenant.stopped && lane.paused_until(tenant) <= now
    }

    /// A ticket did not go.
    pub(super) fn put_back(&mut self, ticket: Ticket) {
        self.in_flight -= 1;
        self.lanes[ticket.lane].put_back(ticket.work);
    }

    /// Takes in how an exchange went and says what is to be recorded.
    ///
    /// # Errors
    /// If the item's history does not allow it, which is a bug.
    pub(super) fn finished(&mut self, mut ticket: Ticket, exchange: &Exchange, at: Stamp) -> Result<Vec<Event>, IllegalEvent> {
        self.in_flight -= 1;
        let item = Some(ticket.work.item.no);
        let next = follow(&exchange.answer.verdict, &ticket.work.progress, &self.policy);
        let stop = self.learn(ticket.lane, exchange);
        let what = next.as_ref().map_or(What::Released, |next| What::Reply(Box::new(reply(exchange, &next.then))));
        let event = Event { item, at, what };
        ticket.work.progress.apply(&event)?;
        match next {
            Some(Follow { then: Then::Settled { status, .. }, .. }) => {
                self.lanes[ticket.lane].left = self.lanes[ticket.lane].left.saturating_sub(1);
                self.breaker.count(status);
                if self.breaker.is_open(self.policy.max_fail) {
                    self.stop(StoppedBy::Breaker);
                }
            }
            Some(Follow { wait, .. }) => self.lanes[ticket.lane].again(ticket.work, exchange.ended + wait),
            None => self.lanes[ticket.lane].again(ticket.work, exchange.ended),
        }
        Ok(std::iter::once(event).chain(stop.map(|stop| Event { item: None, at, what: What::TenantStopped(stop) })).collect())
    }

    /// Draws the consequences for the lane and the tenant.
    fn learn(&mut self, index: usize, exchange: &Exchange) -> Option<TenantStop> {
        let (began, now) = (exchange.began, exchange.ended);
        let lane = &mut self.lanes[index];
        let tenant = &mut self.tenants[lane.tenant];
        let pause = match &exchange.answer.verdict {
            Verdict::Throttled { after, whole_tenant: false } => {
                let pause = lane.throttled(began, now, *after);
                tracing::info!(tenant = %tenant.id, service = %lane.lane.service, ?after, ?pause, "throttled");
                pause
            }
            Verdict::Throttled { after, whole_tenant: true } => {
                lane.never_left();
                let pause = tenant.pause(now, *after);
                tracing::warn!(tenant = %tenant.id, ?pause, "no token: {}", words(exchange));
                pause
            }
            Verdict::StopTenant { cause, message } => {
                lane.never_left();
                return self.stop_tenant(index, *cause, message.clone());
            }
            Verdict::Unauthorized => {
                lane.replied(began, now, false);
                let hopeless = tenant.token_refused(exchange.answer.token);
                return hopeless
                    .then(|| refusal(exchange))
                    .and_then(|message| self.stop_tenant(index, StopCause::SignIn, message));
            }
            Verdict::Again { reached: Reached::NotSent, .. } => {
                lane.never_left();
                return None;
            }
            Verdict::Again { reached: Reached::Maybe, .. } => {
                lane.replied(began, now, false);
                return None;
            }
            verdict @ (Verdict::Settled { .. } | Verdict::Denied { .. } | Verdict::Again { .. }) => {
                lane.replied(began, now, true);
                tenant.answered(exchange.answer.token, matches!(verdict, Verdict::Denied { .. }));
                let message = tenant.is_denied_alike().then(|| denial(exchange));
                return message.and_then(|message| self.stop_tenant(index, StopCause::Permission, message));
            }
        };
        let longest = self.policy.max_pause;
        let dry = tenant.dry_for(now);
        let asked = pause > longest;
        (asked || dry >= longest)
            .then(|| too_long(asked.then_some(pause), dry, longest))
            .and_then(|message| self.stop_tenant(index, StopCause::MaxPause, message))
    }

    fn stop_tenant(&mut self, lane: usize, cause: StopCause, message: String) -> Option<TenantStop> {
        let tenant = &mut self.tenants[self.lanes[lane].tenant];
        if std::mem::replace(&mut tenant.stopped, true) {
            return None;
        }
        let stop = TenantStop { tenant: tenant.id, cause, message };
        self.tenant_stops.push(stop.clone());
        Some(stop)
    }

    /// Nothing more is sent. The first reason counts.
    pub(super) fn stop(&mut self, by: StoppedBy) {
        self.stopped_by.get_or_insert(by);
    }

    pub(super) const fn stopped_by(&self) -> Option<StoppedBy> {
        self.stopped_by
    }

    /// Whether anything was left unsent.
    pub(super) fn has_work(&self) -> bool {
        self.lanes.iter().any(LaneState::has_work)
    }

    pub(super) fn into_tenant_stops(self) -> Vec<TenantStop> {
        self.tenant_stops
    }

    /// How the run is doing.
    pub(super) fn pulse(&self, now: Moment) -> Pulse {
        let mut pulse = Pulse { in_flight: self.in_flight, ..Pulse::default() };
        for lane in self.lanes.iter().filter(|lane| lane.left > 0 && !self.tenants[lane.tenant].stopped) {
            let tenant = &self.tenants[lane.tenant];
            pulse.left += lane.left;
            let pause = lane.paused_until(tenant).saturating_sub(now);
            if !pause.is_zero() {
                pulse.paused_lanes += 1;
                pulse.pause_left = Some(pulse.pause_left.map_or(pause, |left: Duration| left.min(pause)));
            }
            pulse.eta = pulse.eta.max(lane.eta(tenant, now));
        }
        pulse
    }
}

fn reply(exchange: &Exchange, then: &Then) -> Reply {
    let answer = &exchange.answer;
    let reached = match answer.verdict {
        Verdict::Again { reached, .. } => reached,
        Verdict::Settled { .. }
        | Verdict::Denied { .. }
        | Verdict::Throttled { .. }
        | Verdict::Unauthorized
        | Verdict::StopTenant { .. } => Reached::Answered,
    };
    Reply {
        reached,
        sent_at: exchange.sent_at,
        elapsed_ms: u64::try_from((exchange.ended.saturating_sub(exchange.began)).as_millis()).unwrap_or(u64::MAX),
        http_status: answer.http_status,
        error_code: answer.error_code.clone(),
        message: answer.message.clone(),
        request_id: answer.request_id.clone(),
        approval_code: answer.approval_code.clone(),
        then: then.clone(),
    }
}

fn words(exchange: &Exchange) -> &str {
    exchange.answer.message.as_deref().unwrap_or("no reason given")
}

fn refusal(exchange: &Exchange) -> String {
    format!("the service refused a freshly issued token: {}", words(exchange))
}

fn denial(exchange: &Exchange) -> String {
    format!("the service denied this app every one of the first items: {}", words(exchange))
}

fn too_long(asked: Option<Duration>, dry: Duration, longest: Duration) -> String {
    match asked {
        Some(pause) => format!("the service asked for a pause of {pause:.0?}, longer than --max-pause ({longest:.0?})"),
        None => format!("no request was accepted for {dry:.0?} (--max-pause is {longest:.0?})"),
    }
}
