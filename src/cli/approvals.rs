//! Sends what may be sent, in its order: canaries first, then the rest, then what a second administrator allows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::exit::{Exit, Quit};
use super::session::{Session, Spell, Subject};
use super::survey::open;
use crate::clock::{Clock, Moment};
use crate::exec::{Ended, Policy, Scope, Seen, approvals, ruling};
use crate::graph::Graph;
use crate::model::{Event, Lane, Phase, Ruling, Spent, Status, TenantId, What, Work};
use crate::report::{Watch, span};

/// How soon after the last request an approval is first asked for: nobody decides faster.
const FIRST_POLL: Duration = Duration::from_secs(1);

/// How often it is asked for in the end: people take minutes, and the tenant's requests are a list of many pages.
const SLOWEST_POLL: Duration = Duration::from_secs(30);

/// What became of requests that wait, as events that are still to be recorded.
pub(super) struct Rulings {
    pub(super) events: Vec<Event>,
    /// For some nothing could be read: how long the service wants not to be asked.
    pub(super) unseen: Option<Duration>,
}

impl Session<'_> {
    /// Brings a run forward as far as it goes. Where canaries are wished for, the rest is sent only once they are shown to
    /// be revoked. What was stopped on the way stays so.
    pub(super) fn bring_forward(
        &self,
        subject: Subject,
        spell: Spell<'_>,
        approval_wait: Option<Duration>,
        watch: &mut Watch,
    ) -> Result<(Ended, Subject), Quit> {
        let (policy, clock, lists) = (spell.policy.clone(), spell.clock, spell.lists);
        let canary = self.settings.canary;
        let scope = canary.map_or(Scope::All, Scope::Canaries);
        let spell = Spell { policy: Policy { scope, ..policy.clone() }, ..spell };
        let mut lanes = spell.lanes.to_vec();
        let (mut ended, mut subject) = self.work(subject, spell, watch)?;
        let mut stops = std::mem::take(&mut ended.tenant_stops);
        if canary.is_some() && ended.is_whole() {
            lanes = open(&lanes, &stops);
            let spell = Spell { policy: policy.clone(), clock, lists, lanes: &lanes, first: Vec::new(), spent: Spent::default() };
            (ended, subject) = self.work(subject, spell, watch)?;
            stops.append(&mut ended.tenant_stops);
        }
        match approval_wait {
            Some(wait) if ended.is_whole() => {
                let until = (clock.now() + wait).min(policy.deadline.unwrap_or(Moment::MAX));
                self.wait_for_approvals(subject, (&policy, clock, open(&lanes, &stops)), until, watch)
            }
            Some(_) | None => Ok((ended, subject)),
        }
    }

    /// Asks ever less often what became of the requests that wait, and sends what was approved.
    fn wait_for_approvals(
        &self,
        mut subject: Subject,
        (policy, clock, mut lanes): (&Policy, Clock, Vec<Lane>),
        until: Moment,
        watch: &mut Watch,
    ) -> Result<(Ended, Subject), Quit> {
        let (mut ended, mut pause) = (Ended::default(), FIRST_POLL);
        let mut items = waiting(&subject, &lanes)?;
        let (count, longest) = (items.len(), span(until.saturating_sub(clock.now())));
        if count > 0 {
            let items = if count == 1 { "1 item".to_owned() } else { format!("{count} items") };
            self.context.say(&format!(
                "waiting up to {longest} for a second administrator to decide on {items} in Intune; Ctrl-C ends the wait, and \
                 resume goes on"
            ));
        }
        let mut is_told = false;
        while ended.is_whole() && clock.now() < until && !items.is_empty() {
            let rest = pause.min(until.saturating_sub(clock.now()));
            pause = (pause * 2).min(SLOWEST_POLL);
            let rested = self.interrupts.wait(&self.runtime, async { tokio::time::sleep(rest).await });
            let news = rested.and_then(|()| self.rulings(&mut subject, &items, clock));
            let first = match news {
                Ok(Rulings { mut events, unseen }) => {
                    pause = pause.max(unseen.unwrap_or_default());
                    // Why it cannot be read may be said in other words each time: once is enough.
                    if unseen.is_some() && std::mem::replace(&mut is_told, true) {
                        events.retain(|event| !matches!(event.what, What::Settled { status: Status::AwaitingApproval, .. }));
                    }
                    if events.is_empty() {
                        continue;
                    }
                    events
                }
                // An interruption is recorded as of any other spell, which sends nothing then.
                Err(quit) if quit.exit == Exit::Interrupted => Vec::new(),
                Err(quit) => return Err(quit),
            };
            watch.again(first.len() as u64);
            let policy = Policy { pinned_until: Moment::ZERO, scope: Scope::Unsettled, ..policy.clone() };
            let spell = Spell { policy, clock, lists: &[], lanes: &lanes, first, spent: Spent::default() };
            (ended, subject) = self.work(subject, spell, watch)?;
            lanes = open(&lanes, &ended.tenant_stops);
            items = waiting(&subject, &lanes)?;
        }
        Ok((ended, subject))
    }

    /// What became of the requests for items that wait for a second administrator, as events that are still to be recorded.
    pub(super) fn rulings(&self, subject: &mut Subject, waiting: &[Work], clock: Clock) -> Result<Rulings, Quit> {
        if waiting.is_empty() {
            return Ok(Rulings { events: Vec::new(), unseen: None });
        }
        let mut codes: BTreeMap<TenantId, Vec<String>> = BTreeMap::new();
        for Work { item, progress } in waiting {
            codes.entry(item.tenant).or_default().extend(progress.approval_code.clone());
        }
        let service = &subject.service;
        let graph = Arc::new(Graph::new(service.client.clone(), service.root.clone(), Arc::clone(&service.tokens), clock));
        let seen = self.interrupts.wait(&self.runtime, async {
            let mut asked: JoinSet<(TenantId, Seen)> = JoinSet::new();
            for (tenant, codes) in codes {
                let graph = Arc::clone(&graph);
                asked.spawn(async move { (tenant, approvals(graph.as_ref(), tenant, &codes).await) });
            }
            asked.join_all().await.into_iter().collect::<BTreeMap<TenantId, Seen>>()
        })?;
        let at = clock.stamp();
        subject.asks_why = seen.keys().copied().collect();
        let event = |Work { item, progress }: &Work| {
            let what = ruling(progress, seen.get(&item.tenant)?)?;
            Some(Event { item: Some(item.no), at, what })
        };
        let unseen = seen.values().filter_map(|seen| Some(seen.as_ref().err()?.after)).max();
        Ok(Rulings { events: waiting.iter().filter_map(event).collect(), unseen })
    }
}

/// How many items may be sent by these events.
pub(super) fn granted(rulings: &[Event]) -> u64 {
    let is_granted = |event: &&Event| event.what == What::Ruled(Ruling::Granted);
    rulings.iter().filter(is_granted).count() as u64
}

/// The items of these lanes that wait for a second administrator: for what is stopped, nobody could go on.
pub(super) fn waiting(subject: &Subject, lanes: &[Lane]) -> Result<Vec<Work>, Quit> {
    let mut waiting = Vec::new();
    subject.ledger.count(subject.no, |work| {
        let of_lane = |lane: &Lane| (lane.tenant, lane.service) == (work.item.tenant, work.item.kind.facts().service);
        if work.progress.phase == Phase::Settled(Status::AwaitingApproval) && lanes.iter().any(of_lane) {
            waiting.push(work.clone());
        }
        false
    })?;
    Ok(waiting)
}
