//! The scheduler: which request goes next, and when. Pure; it is told the time and obeyed by the loop.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use super::breaker::Breaker;
use super::follow::{Follow, follow};
use super::lane::{LaneState, Tenant};
use super::pace::{Turn, Window};
use super::policy::Policy;
use super::port::{Answer, NoToken, Pulse, Verdict};
use super::rate::{APP_CEILING, Rate};
use crate::clock::Moment;
use crate::model::{
    Event, IllegalEvent, ItemNo, Lane, Phase, Reached, Reply, Stamp, Status, StopCause, StoppedBy, TenantId, TenantStop, Then,
    What, Work,
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
    /// Get a token for this tenant; until then its items wait.
    SignIn(TenantId),
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
        let found = self.lanes.iter().position(|lane| lane.more && lane.fresh.len() < low && !self.is_stopped(lane))?;
        Some((found, self.lanes[found].lane, self.lanes[found].fetched))
    }

    /// Fills a lane. An empty page means that there is no more.
    pub(super) fn fill(&mut self, lane: usize, page: Vec<Work>) {
        let state = &mut self.lanes[lane];
        state.more = !page.is_empty();
        state.fetched = page.last().map_or(state.fetched, |work| work.item.no);
        state.fresh.extend(page);
    }

    fn is_stopped(&self, lane: &LaneState) -> bool {
        lane.stopped || self.tenants[lane.tenant].stopped
    }

    /// What to do next. Lanes take turns, so that one tenant's pause never delays another's items.
    /// `is_ready` says whether there is a token for a tenant.
    pub(super) fn next(&mut self, now: Moment, is_ready: impl Fn(TenantId) -> bool) -> Next {
        let mut wake: Option<Moment> = None;
        let mut awaited = self.in_flight > 0;
        let count =
            if self.stopped_by.is_some() || self.in_flight >= self.policy.concurrency.get() { 0 } else { self.lanes.len() };
        for step in 0..count {
            let index = (self.cursor + step) % self.lanes.len();
            let tenant = self.lanes[index].tenant;
            match self.turn(index, now) {
                None | Some(Turn::AfterReply) => {}
                Some(Turn::At(at)) => wake = Some(wake.map_or(at, |wake| wake.min(at))),
                Some(Turn::Now) if self.tenants[tenant].signing_in => awaited = true,
                Some(Turn::Now) if !is_ready(self.tenants[tenant].id) => {
                    self.tenants[tenant].signing_in = true;
                    return Next::SignIn(self.tenants[tenant].id);
                }
                Some(Turn::Now) => match self.spend(tenant, now) {
                    Err(at) => wake = Some(wake.map_or(at, |wake| wake.min(at))),
                    Ok(()) => {
                        if let Some(work) = self.lanes[index].take(now) {
                            self.cursor = index + 1;
                            self.in_flight += 1;
                            return Next::Send(Ticket { lane: index, work });
                        }
                    }
                },
            }
        }
        match wake {
            Some(at) => Next::WaitUntil(at),
            None if awaited => Next::AwaitReply,
            None => Next::Done,
        }
    }

    fn turn(&mut self, index: usize, now: Moment) -> Option<Turn> {
        if self.is_stopped(&self.lanes[index]) {
            return None;
        }
        let lane = &mut self.lanes[index];
        lane.turn(&self.tenants[lane.tenant], now)
    }

    /// Spends a cell of the app's ceiling and of the tenant's rate; or says from when on there is one.
    fn spend(&self, tenant: usize, now: Moment) -> Result<(), Moment> {
        self.app.take(now)?;
        self.tenants[tenant].rate.as_ref().map_or(Ok(()), |rate| rate.take(now))
    }

    /// Whether a ticket may still go after its intent became durable: a pause or a stop may have come since.
    pub(super) fn may_go(&self, ticket: &Ticket, now: Moment) -> bool {
        let lane = &self.lanes[ticket.lane];
        let in_time = self.policy.deadline.is_none_or(|deadline| now < deadline);
        self.stopped_by.is_none() && in_time && !self.is_stopped(lane) && lane.paused_until(&self.tenants[lane.tenant]) <= now
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
        let (what, due) = match next {
            Follow::Released => (What::Released, exchange.ended),
            Follow::Reply(then, wait) => (What::Reply(Box::new(reply(exchange, then))), exchange.ended + wait),
        };
        let event = Event { item, at, what };
        ticket.work.progress.apply(&event)?;
        if let Phase::Settled(status) = ticket.work.progress.phase {
            self.settled(ticket.lane, status, &exchange.answer.verdict);
        } else {
            self.lanes[ticket.lane].again(ticket.work, due);
        }
        Ok(std::iter::once(event).chain(stop.map(|stop| Event { item: None, at, what: What::TenantStopped(stop) })).collect())
    }

    /// Counts an item that is settled. Denials count once it is clear that they are not the app's own failure.
    fn settled(&mut self, lane: usize, status: Status, verdict: &Verdict) {
        let lane = &mut self.lanes[lane];
        lane.left = lane.left.saturating_sub(1);
        let denied = matches!(verdict, Verdict::Denied { .. });
        if denied || matches!(verdict, Verdict::Settled { .. }) {
            (0..lane.answered(denied)).for_each(|_| self.breaker.count(Status::Refused));
        }
        if !denied {
            self.breaker.count(status);
        }
        if self.breaker.is_open(self.policy.max_fail) {
            self.stop(StoppedBy::Breaker);
        }
    }

    /// Takes in how asking for a token went, and says what is to be recorded.
    pub(super) fn signed_in(&mut self, id: TenantId, result: Result<(), NoToken>, now: Moment) -> Option<TenantStop> {
        let longest = self.policy.max_pause;
        let tenant = self.tenants.iter_mut().find(|tenant| tenant.id == id)?;
        let NoToken { message, retry } = match result {
            Ok(()) => {
                tenant.signed_in();
                return None;
            }
            Err(refused) => refused,
        };
        let pause = retry.map(|after| tenant.no_token(now, after));
        let dry = tenant.dry_for(now);
        tracing::warn!(tenant = %id, ?pause, "{message}");
        let hopeless = pause.is_none_or(|pause| pause > longest) || dry >= longest;
        if hopeless { self.stop_tenant(id, StopCause::SignIn, message) } else { None }
    }

    /// Draws the consequences for the lane and the tenant.
    fn learn(&mut self, index: usize, exchange: &Exchange) -> Option<TenantStop> {
        let (began, now) = (exchange.began, exchange.ended);
        let lane = &mut self.lanes[index];
        let tenant = &mut self.tenants[lane.tenant];
        let id = tenant.id;
        match &exchange.answer.verdict {
            Verdict::Throttled { after } => {
                let pause = lane.throttled(began, now, *after);
                tracing::info!(tenant = %id, service = %lane.lane.service, ?after, ?pause, "throttled");
                return self.bound_pause(id, Some(pause), now);
            }
            Verdict::Unauthorized => {
                lane.replied(began, now, false);
                if tenant.token_refused(exchange.answer.token) {
                    let message = format!("the service refused a freshly issued token: {}", words(exchange));
                    return self.stop_tenant(id, StopCause::SignIn, message);
                }
            }
            Verdict::NoToken => lane.never_left(began),
            Verdict::Again { reached: Reached::NotSent, .. } => {
                lane.unreachable(began, now);
                return self.bound_pause(id, None, now);
            }
            Verdict::Again { reached: Reached::Maybe, .. } => lane.replied(began, now, false),
            Verdict::Denied { .. } | Verdict::Settled { .. } | Verdict::Again { reached: Reached::Answered, .. } => {
                lane.replied(began, now, true);
                tenant.answered(exchange.answer.token);
            }
        }
        None
    }

    /// Stops a tenant that is told to wait too long, or that has had nothing accepted for too long.
    fn bound_pause(&mut self, id: TenantId, asked: Option<Duration>, now: Moment) -> Option<TenantStop> {
        let longest = self.policy.max_pause;
        let dry = self.tenants.iter_mut().find(|tenant| tenant.id == id)?.dry_for(now);
        let message = match asked.filter(|asked| *asked > longest) {
            Some(asked) => format!("the service asked for a pause of {asked:.0?}, longer than --max-pause ({longest:.0?})"),
            None if dry >= longest => format!("no request was accepted for {dry:.0?} (--max-pause is {longest:.0?})"),
            None => return None,
        };
        self.stop_tenant(id, StopCause::MaxPause, message)
    }

    /// Stops a lane whose first items were all denied: the app may not do this, whatever else it may do.
    pub(super) fn close_denied(&mut self) -> Vec<TenantStop> {
        let mut stops = Vec::new();
        for lane in self.lanes.iter_mut().filter(|lane| !lane.stopped && lane.is_denied_alike()) {
            lane.stopped = true;
            stops.push(TenantStop {
                tenant: lane.lane.tenant,
                service: Some(lane.lane.service),
                cause: StopCause::Permission,
                message: format!(
                    "the service denied this app every one of the first {} items: grant it {} with admin consent",
                    lane.lane.service,
                    lane.lane.service.permission()
                ),
            });
        }
        self.tenant_stops.extend(stops.iter().cloned());
        stops
    }

    fn stop_tenant(&mut self, id: TenantId, cause: StopCause, message: String) -> Option<TenantStop> {
        let tenant = self.tenants.iter_mut().find(|tenant| tenant.id == id)?;
        if std::mem::replace(&mut tenant.stopped, true) {
            return None;
        }
        let stop = TenantStop { tenant: id, service: None, cause, message };
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
        self.lanes.iter().any(|lane| lane.has_work() && !self.is_stopped(lane))
    }

    pub(super) fn into_tenant_stops(self) -> Vec<TenantStop> {
        self.tenant_stops
    }

    /// How the run is doing.
    pub(super) fn pulse(&self, now: Moment) -> Pulse {
        let mut pulse = Pulse { in_flight: self.in_flight, ..Pulse::default() };
        for lane in self.lanes.iter().filter(|lane| lane.left > 0 && !self.is_stopped(lane)) {
            let tenant = &self.tenants[lane.tenant];
            pulse.left += lane.left;
            let pause = lane.paused_until(tenant).saturating_sub(now);
            if !pause.is_zero() {
                pulse.paused_lanes += 1;
                pulse.pause_left = Some(pulse.pause_left.map_or(pause, |left: Duration| left.min(pause)));
                pulse.unreachable |= lane.is_unreachable();
            }
            pulse.eta = pulse.eta.max(lane.eta(tenant, now));
        }
        pulse
    }
}

fn reply(exchange: &Exchange, then: Then) -> Reply {
    let answer = &exchange.answer;
    let reached = if let Verdict::Again { reached, .. } = answer.verdict { reached } else { Reached::Answered };
    Reply {
        reached,
        sent_at: exchange.sent_at,
        elapsed_ms: u64::try_from((exchange.ended.saturating_sub(exchange.began)).as_millis()).unwrap_or(u64::MAX),
        http_status: answer.http_status,
        error_code: answer.error_code.clone(),
        message: answer.message.clone(),
        request_id: answer.request_id.clone(),
        approval_code: answer.approval_code.clone(),
        then,
    }
}

fn words(exchange: &Exchange) -> &str {
    exchange.answer.message.as_deref().unwrap_or("no reason given")
}
