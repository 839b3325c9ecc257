//! Takes in what came back: what it means for the item, its lane, its tenant and the run. Pure.

use std::time::Duration;

use super::follow::{Follow, follow};
use super::gate::Stream;
use super::held::Held;
use super::look::{self, Failure, Next};
use super::looks::Objects;
use super::policy::{Goal, Scope};
use super::port::{Answer, Page, Reading, Sight, Verdict};
use super::schedule::Scheduler;
use super::survey::Arrived;
use super::ticket::{PageTicket, Ticket};
use crate::clock::Moment;
use crate::model::{Event, IllegalEvent, Kind, Phase, Reached, Reply, Snapshot, Stamp, Status, StoppedBy, Then, What};

/// How one exchange went, in both clocks.
#[derive(Debug)]
pub(super) struct Exchange<T> {
    pub(super) answer: T,
    pub(super) began: Moment,
    pub(super) ended: Moment,
    pub(super) sent_at: Stamp,
}

/// What is to be recorded.
pub(super) type Events = Result<Vec<Event>, IllegalEvent>;

impl Scheduler {
    /// Takes in how an exchange went and says what is to be recorded.
    ///
    /// # Errors
    /// If the item's history does not allow it, which is a bug.
    pub(super) fn finished(&mut self, mut ticket: Ticket, exchange: &Exchange<Answer>, at: Stamp) -> Events {
        self.is_back(ticket.lane);
        let (held, ended) = (&mut ticket.held, exchange.ended);
        let (item, kind) = (Some(held.work.item.no), held.work.item.kind);
        let next = follow(&exchange.answer.verdict, held, &self.policy);
        let stop = self.learn(ticket.lane, exchange);
        let (what, wait) = match next {
            Follow::Released => (What::Released, Duration::ZERO),
            Follow::Reply(then, wait) => (What::Reply(Box::new(reply(exchange, then))), wait),
        };
        let event = Event { item, at, what };
        held.work.progress.apply(&event)?;
        held.not_before = ended + wait;
        held.was_sent |= !matches!(event.what, What::Released);
        let lane = &mut self.lanes[ticket.lane];
        match held.work.progress.phase {
            Phase::Settled(status) => {
                let denied = matches!(exchange.answer.verdict, Verdict::Denied { .. });
                self.settled(ticket.lane, kind, status, (true, denied));
            }
            Phase::Confirming => {
                let due = look::first(held.work.item.kind, ended);
                lane.looks.add(ticket.held, due);
            }
            Phase::InDoubt => {
                let due = ended + self.policy.settle.of(lane.lane.service);
                (held.first, held.looks) = (None, 0);
                lane.looks.add(ticket.held, due);
            }
            Phase::Ready | Phase::InFlight => {
                if held.work.progress.doubted {
                    // Sent again only after one more look.
                    held.fresh_until = Moment::ZERO;
                }
                lane.again(ticket.held, ended + wait);
            }
        }
        let stop = stop.or_else(|| self.close_denied(ticket.lane));
        Ok(std::iter::once(event).chain(stop.map(|stop| Event { item: None, at, what: What::TenantStopped(stop) })).collect())
    }

    /// Takes in how reading one object went.
    ///
    /// # Errors
    /// If the item's history does not allow it, which is a bug.
    pub(super) fn looked(&mut self, ticket: Ticket, exchange: Exchange<Reading<Snapshot>>, at: Stamp) -> Events {
        let Exchange { answer: Reading { sight, token }, began, ended, .. } = exchange;
        let Ticket { lane: index, mut held } = ticket;
        self.is_back(index);
        self.lanes[index].looked_at(&held);
        let stop = self.learn_read(index, &sight, token, (began, ended));
        let times = (began, ended);
        let (what, next) = match sight {
            Sight::Shown(shown) => look::looked(&mut held, times, Some(&shown), &self.policy),
            Sight::Gone => look::looked(&mut held, times, None, &self.policy),
            Sight::Throttled { .. } | Sight::Unauthorized { .. } | Sight::NoToken | Sight::StopTenant { .. } => {
                (None, Next::Look(ended))
            }
            Sight::Again { message, after, reached } => {
                let why = if reached { Failure::Passing(self.lanes[index].read_well_at()) } else { Failure::Unreached };
                let (what, next) = look::failed(&mut held, ended, why, message, &self.policy);
                let later = |due: Moment| Next::Look(due.max(ended + after.unwrap_or_default()));
                (what, if let Next::Look(due) = next { later(due) } else { next })
            }
            Sight::Denied { reason } | Sight::Refused { reason } => {
                look::failed(&mut held, ended, Failure::Lasting(Status::Refused), reason, &self.policy)
            }
        };
        let mut events = self.goes(index, held, (what, next), (ended, at))?;
        let stop = stop.or_else(|| self.close_denied(index));
        events.extend(stop.map(|stop| Event { item: None, at, what: What::TenantStopped(stop) }));
        Ok(events)
    }

    /// Takes in a page of a list.
    ///
    /// # Errors
    /// If an item's history does not allow it, which is a bug.
    pub(super) fn listed(&mut self, ticket: &PageTicket, exchange: Exchange<Reading<Page>>, at: Stamp) -> Events {
        self.is_back(ticket.lane);
        let Exchange { answer: Reading { sight, token }, began, ended, .. } = exchange;
        let (index, kind) = (ticket.lane, ticket.kind);
        let stop = self.learn_read(index, &sight, token, (began, ended));
        let lane = &mut self.lanes[index];
        let mut events = Vec::new();
        match sight {
            Sight::Shown(Page { objects, next, .. }) => {
                let objects: Objects = objects.into_iter().collect();
                let surveys = lane.looks.is_surveying(kind);
                if let Some(listing) = lane.looks.page(kind, &objects, next, ended) {
                    for (held, shown) in listing.parked {
                        events.extend(self.found(index, held, (listing.began, shown), (ended, at))?);
                    }
                }
                if surveys {
                    self.arrived.push_back(Arrived { index, lane: self.lanes[index].lane, kind, times: (began, ended), objects });
                }
            }
            Sight::Throttled { .. } | Sight::Unauthorized { .. } | Sight::NoToken | Sight::StopTenant { .. } => {
                lane.looks.page_failed(kind, ended, false);
            }
            Sight::Again { message, after, .. } => {
                if lane.looks.page_failed(kind, ended + look::retry(after), true) {
                    tracing::warn!(tenant = %ticket.tenant, %kind, "the list could not be read, so each object is read by its id: {message}");
                }
            }
            Sight::Denied { reason } | Sight::Refused { reason } => {
                tracing::warn!(tenant = %ticket.tenant, %kind, "the list could not be read, so each object is read by its id: {reason}");
                lane.looks.give_up(kind);
            }
            Sight::Gone => lane.looks.give_up(kind),
        }
        let stop = stop.or_else(|| self.close_denied(index));
        events.extend(stop.map(|stop| Event { item: None, at, what: What::TenantStopped(stop) }));
        Ok(events)
    }

    /// An item whose list was read. Absence from a list proves nothing: the object is then read by its id. So it is if
    /// the list took so long that the item could not be sent on it.
    fn found(
        &mut self,
        index: usize,
        mut held: Held,
        (began, shown): (Moment, Option<Snapshot>),
        (ended, at): (Moment, Stamp),
    ) -> Events {
        let fresh_until = look::fresh_until(began, &self.policy);
        let is_late = self.policy.goal == Goal::Revoke && held.work.progress.phase == Phase::Ready && fresh_until <= ended;
        let Some(shown) = shown.filter(|_| !is_late) else {
            self.lanes[index].looks.add_alone(held);
            return Ok(Vec::new());
        };
        let (what, next) = look::looked(&mut held, (began, ended), Some(&shown), &self.policy);
        held.fresh_until = held.fresh_until.min(fresh_until);
        self.goes(index, held, (what, next), (ended, at))
    }

    /// Sends an item where a reading said that it goes.
    fn goes(&mut self, index: usize, mut held: Held, (what, next): (Option<What>, Next), (now, at): (Moment, Stamp)) -> Events {
        let event = what.map(|what| Event { item: Some(held.work.item.no), at, what });
        if let Some(event) = &event {
            held.work.progress.apply(event)?;
        }
        // What an earlier session sent says nothing of how this one is doing.
        let was_sent = held.was_sent;
        let (goal, phase, kind) = (self.policy.goal, held.work.progress.phase, held.work.item.kind);
        let lane = &mut self.lanes[index];
        if goal == Goal::Survey && event.as_ref().is_some_and(|event| matches!(event.what, What::Looked(_))) {
            lane.surveyed[held.work.item.kind as usize].take(phase);
        }
        match (next, phase) {
            (Next::Send, _) if goal == Goal::Revoke => lane.offer(held, &self.policy, now),
            (Next::Send, _) => lane.surveyed[held.work.item.kind as usize].to_send += 1,
            // Adopted: the session that sends follows it.
            (Next::Look(_), Phase::Confirming) if goal == Goal::Survey => {}
            (Next::Look(due), _) => lane.looks.add(held, due),
            (Next::Over, Phase::Settled(status)) => self.settled(index, kind, status, (was_sent, false)),
            (Next::Over, _) => {}
        }
        Ok(event.into_iter().collect())
    }

    /// The time for reading back is over in a lane. Says what is to be recorded.
    ///
    /// # Errors
    /// If the item's history does not allow it, which is a bug.
    pub(super) fn expire(&mut self, index: usize, now: Moment, at: Stamp) -> Events {
        self.call(index);
        let sends = self.sends(&self.lanes[index]);
        let lane = &mut self.lanes[index];
        lane.swept_at = Some(now);
        let ends = lane.deadlines(&self.tenants[lane.tenant], &self.policy, sends);
        let Some([_, doubtful]) = ends.filter(|[sure, _]| *sure <= now) else { return Ok(Vec::new()) };
        let is_doubtful = |held: &Held| !matches!(held.work.progress.phase, Phase::Confirming | Phase::Settled(_));
        let over = lane.looks.take_if(|held| doubtful <= now || !is_doubtful(held));
        let mut events = Vec::new();
        for held in over {
            let what = look::expired(&held, &self.policy);
            events.extend(self.goes(index, held, (what, Next::Over), (now, at))?);
        }
        Ok(events)
    }

    /// Counts an item that is settled. Denials count once it is clear that they are not the app's own failure.
    fn settled(&mut self, index: usize, kind: Kind, status: Status, (was_sent, denied): (bool, bool)) {
        let lane = &mut self.lanes[index];
        (lane.left, lane.open) = (lane.left.saturating_sub(1), lane.open.saturating_sub(1));
        // Only what was sent says how a run is doing.
        if !was_sent {
            match (self.policy.scope, status) {
                (Scope::Canaries(_), Status::Failed | Status::Refused | Status::Partial | Status::Unknown) => {
                    self.stop(StoppedBy::Canary);
                }
                (Scope::Canaries(_), _) => {
                    lane.is_no_canary(kind);
                    self.call(index);
                }
                (Scope::All | Scope::Unsettled, _) => {}
            }
            return;
        }
        let times = if denied { self.lanes[index].gate.answered(Stream::Write, true) } else { 1 };
        self.count(status, times);
    }
}

fn reply(exchange: &Exchange<Answer>, then: Then) -> Reply {
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
