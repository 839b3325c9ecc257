//! What the tenants have, read before the guards are asked: pins, names, and what costs no request.

use std::collections::BTreeMap;
use std::time::Duration;

use super::exit::{Exit, Quit};
use super::run::Job;
use super::session::{Spell, Subject};
use crate::clock::Clock;
use crate::exec::{Ended, Goal, Listed, Observer, Pulse, Surveyed};
use crate::model::{AfterLook, Event, ItemNo, Kind, Lane, Spent, Stamp, Status, StoppedBy, TenantId, TenantStop, What};
use crate::report::Watch;

/// What was found.
pub(super) struct Survey {
    /// Tenants that are left out.
    pub(super) stops: Vec<TenantStop>,
    /// Items that would be sent.
    pub(super) to_send: u64,
    /// Items of tenants that are stopped: once they can be reached, `resume` sends them without asking again.
    pub(super) unreached: u64,
    /// What was found of each kind in each tenant; nothing if the survey was left out.
    pub(super) kinds: Vec<Surveyed>,
    /// Items that need no request, by what became of them.
    pub(super) settled: BTreeMap<Status, u64>,
    /// VPP tokens at which an action was at work already.
    pub(super) adopted: u64,
    /// Where its time went.
    pub(super) spent: Spent,
    /// Began with it.
    clock: Clock,
}

impl Survey {
    /// How long ago it began.
    pub(super) fn age(&self) -> Duration {
        self.clock.now()
    }

    /// How long each list is.
    pub(super) fn lists(&self) -> Vec<(TenantId, Kind, Option<usize>)> {
        let list = |found: &Surveyed| {
            let pages = match found.list? {
                Listed::Read { pages, .. } => Some(pages),
                Listed::Unreadable => None,
            };
            Some((found.tenant, found.kind, pages))
        };
        self.kinds.iter().filter_map(list).collect()
    }
}

/// Counts what is settled while it is shown.
struct Count<'w> {
    watch: &'w mut Watch,
    settled: BTreeMap<Status, u64>,
    adopted: u64,
}

impl Observer for Count<'_> {
    fn observe(&mut self, events: &[Event], pulse: &Pulse) {
        for event in events {
            match &event.what {
                What::Looked(look) => match &look.then {
                    AfterLook::Settled(outcome) => *self.settled.entry(outcome.status).or_default() += 1,
                    AfterLook::Follow => self.adopted += 1,
                    AfterLook::Pin | AfterLook::Planned | AfterLook::Again | AfterLook::Untouched => {}
                },
                What::Settled { status, .. } => *self.settled.entry(*status).or_default() += 1,
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
        self.watch.observe(events, pulse);
    }
}

/// The lanes that no stop concerns.
pub(super) fn open(lanes: &[Lane], stops: &[TenantStop]) -> Vec<Lane> {
    let concerns =
        |stop: &TenantStop, lane: &Lane| stop.tenant == lane.tenant && stop.service.is_none_or(|of| of == lane.service);
    lanes.iter().filter(|lane| !stops.iter().any(|stop| concerns(stop, lane))).copied().collect()
}

impl Job<'_> {
    /// Reads every object that would be sent, once. The first error ends the command, the second refuses the run.
    pub(super) fn survey(
        &self,
        subject: Subject,
        stops: Vec<TenantStop>,
        watch: &mut Watch,
    ) -> Result<(Subject, Result<Survey, Quit>), Quit> {
        let (session, clock) = (&self.session, Clock::system());
        // A simulated tenant is new each time.
        let forgets = self.args.guards.again || self.args.simulate.is_some();
        let recent = if forgets { Vec::new() } else { self.recent(&subject)? };
        let mut policy = session.settings.policy.clone();
        self.args.certainty.limit(&mut policy);
        (policy.goal, policy.deadline) = (Goal::Survey, None);
        // Without a preflight nothing is read; what is known all the same is recorded.
        let lanes = if policy.pins { open(&subject.lanes, &stops) } else { Vec::new() };
        let unread = subject.lanes.iter().map(|lane| lane.items).sum::<u64>().saturating_sub(recent.len() as u64);
        let stopped = stops.iter().map(|stop| Event { item: None, at: clock.stamp(), what: What::TenantStopped(stop.clone()) });
        let first: Vec<Event> = recent.iter().cloned().chain(stopped).collect();
        let mut count = Count { watch, settled: BTreeMap::new(), adopted: 0 };
        let spell = Spell { policy: policy.clone(), clock, lists: &[], lanes: &lanes, first, spent: Spent::default() };
        let (ended, subject) = session.work(subject, spell, &mut count)?;
        let Count { settled, adopted, .. } = count;
        let Ended { stopped_by, tenant_stops, journal_error, surveyed, spent, .. } = ended;
        let refused = match (journal_error, stopped_by) {
            (Some(error), _) => Some(Quit::new(Exit::Record, format!("failed to {error}; nothing was sent"))),
            (None, Some(StoppedBy::Interrupted)) => Some(super::signal::interrupted()),
            (None, Some(_)) => {
                Some(Quit::new(Exit::Internal, "the objects could not be read through a fault of bulk-revoke; nothing was sent"))
            }
            (None, None) => None,
        };
        let to_send = if policy.pins { surveyed.iter().map(|found| found.to_send).sum() } else { unread };
        let known = to_send + adopted + settled.values().sum::<u64>().saturating_sub(recent.len() as u64);
        let stops = stops.into_iter().chain(tenant_stops).collect();
        let survey =
            Survey { stops, to_send, unreached: unread.saturating_sub(known), kinds: surveyed, settled, adopted, spent, clock };
        Ok((subject, refused.map_or(Ok(survey), Err)))
    }

    /// VPP tokens that an earlier run revoked a short while ago.
    fn recent(&self, subject: &Subject) -> Result<Vec<Event>, Quit> {
        let at = self.session.context.clock.stamp();
        let after = i64::try_from(self.session.settings.vpp_again_after.as_millis()).unwrap_or(i64::MAX);
        let since = Stamp(at.0.saturating_sub(after));
        let skip = |(no, run, sent): (ItemNo, String, Stamp)| {
            let reason = format!("run {run} revoked it at {sent}; --again revokes it once more");
            Event { item: Some(no), at, what: What::Settled { status: Status::Skipped, reason } }
        };
        Ok(subject.ledger.recently_revoked(subject.no, since)?.into_iter().map(skip).collect())
    }
}
