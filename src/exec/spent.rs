//! Where a session's time goes: between two turns of the loop one thing holds the run, and its time counts for that. Pure.

use std::collections::HashSet;

use super::gate::Stream;
use super::pace::Turn;
use super::policy::Goal;
use super::schedule::Scheduler;
use crate::clock::Moment;
use crate::model::{AfterLook, Doing, Event, ItemNo, Phase, Spent, Then, What, Work};

/// The account of a session.
#[derive(Debug)]
pub(super) struct Account {
    spent: Spent,
    doing: Doing,
    since: Moment,
    /// Items whose request may have had an effect, as long as no reading has told.
    in_doubt: HashSet<ItemNo>,
}

impl Account {
    pub(super) fn new(goal: Goal, now: Moment) -> Self {
        let doing = if goal == Goal::Survey { Doing::Reading } else { Doing::Sending };
        Self { spent: Spent::default(), doing, since: now, in_doubt: HashSet::new() }
    }

    /// From now on this holds the run.
    pub(super) fn turn(&mut self, doing: Doing, now: Moment) {
        if doing != self.doing {
            self.spent = self.until(now);
            (self.doing, self.since) = (doing, now);
        }
    }

    /// Where the time went until now.
    pub(super) fn until(&self, now: Moment) -> Spent {
        let mut spent = self.spent;
        spent.add(self.doing, now.saturating_sub(self.since));
        spent
    }

    /// Whether it has been sending for so long without a break: then no quota limits it.
    pub(super) fn sends_since(&self, moment: Moment) -> bool {
        self.doing == Doing::Sending && self.since < moment
    }

    pub(super) fn has_doubts(&self) -> bool {
        !self.in_doubt.is_empty()
    }

    /// Items came from the ledger: of some, an earlier session did not learn what became of their requests.
    pub(super) fn came(&mut self, page: &[Work]) {
        let is_in_doubt = |work: &&Work| matches!(work.progress.phase, Phase::InFlight | Phase::InDoubt);
        self.in_doubt.extend(page.iter().filter(is_in_doubt).map(|work| work.item.no));
    }

    /// Something happened.
    pub(super) fn happened(&mut self, events: &[Event]) {
        for event in events {
            let Some(no) = event.item else { continue };
            match &event.what {
                What::Reply(reply) if matches!(reply.then, Then::Look { .. }) => {
                    self.in_doubt.insert(no);
                }
                What::Looked(look) if matches!(look.then, AfterLook::Pin | AfterLook::Planned | AfterLook::Again) => {}
                What::Looked(_) | What::Settled { .. } => {
                    self.in_doubt.remove(&no);
                }
                What::Intent { .. }
                | What::Released
                | What::Reply(_)
                | What::Ruled(_)
                | What::TenantStopped(_)
                | What::Bound { .. }
                | What::Resumed { .. }
                | What::Ended { .. } => {}
            }
        }
    }
}

impl Scheduler {
    /// What holds the run, while so many requests to send are under way. Where lanes wait for different things, what
    /// ends first counts: the others do not hold the run.
    pub(super) fn doing(&mut self, now: Moment, sending: usize, has_doubts: bool) -> Doing {
        let (stream, busy, idle, under_way) = match self.policy.goal {
            Goal::Survey => (Stream::Read, Doing::Reading, Doing::Reading, self.in_flight),
            Goal::Revoke | Goal::Confirm => (Stream::Write, Doing::Sending, Doing::Verifying, sending),
        };
        if under_way > 0 {
            return busy;
        }
        let lanes = if self.stopped_by().is_none() { 0..self.lanes.len() } else { 0..0 };
        let held = lanes.filter_map(|index| self.held(index, stream, now)).min_by_key(|(until, _)| *until);
        match held {
            Some((_, why)) => why.unwrap_or(busy),
            None if has_doubts => Doing::Settling,
            None => idle,
        }
    }

    /// What a lane waits for that has something to send, and until when; none: only for what is under way.
    fn held(&mut self, index: usize, stream: Stream, now: Moment) -> Option<(Moment, Option<Doing>)> {
        if !self.lanes[index].has_work() || self.is_stopped(&self.lanes[index]) {
            return None;
        }
        let lane = &mut self.lanes[index];
        let tenant = &self.tenants[lane.tenant];
        let paused_until = lane.paused_until(tenant);
        if paused_until > now {
            return Some((paused_until, Some(Doing::Paused)));
        }
        Some(match lane.gate.turn(stream, now, paused_until, now) {
            Turn::At(at) => (at, Some(Doing::Quota)),
            Turn::AfterReply => (now, None),
            Turn::Now if lane.waits_until().is_some_and(|at| at > now) => (lane.waits_until()?, Some(Doing::Paused)),
            Turn::Now if self.in_flight > 0 || tenant.signing_in => (now, None),
            // The lane is open and nothing is under way: the user's rate holds it. Nobody knows here until when.
            Turn::Now => (Moment::MAX, Some(if tenant.rate.is_some() { Doing::Quota } else { Doing::Paused })),
        })
    }
}
