//! The loop: one owner of all state of a run. It asks the scheduler, makes intents durable, lets attempts
//! go, takes their answers in batches, and shows events only once they are durable.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use super::attempts::{Attempts, Finished};
use super::port::{Journal, JournalError, Observer, Order, Pulse, Transport};
use super::schedule::Scheduler;
use super::spell::{Ended, Run, Stop};
use super::spent::Account;
use super::ticket::{Next, Ticket};
use crate::clock::Moment;
use crate::model::{Event, IllegalEvent, StoppedBy, What};

/// What is in flight may finish for this long after a stop: below the 30 s of Kubernetes and the 90 s of systemd.
const GRACE: Duration = Duration::from_secs(20);

/// Items fetched from the ledger at once, and the number below which a lane asks for more.
const PAGE: usize = 256;
const LOW: usize = 64;

/// Pages that are fetched in one turn at most: whoever has nothing to do for a million items still heeds signals.
const PAGES: usize = 8;

/// How long what was said of a run still holds: with a thousand tenants it takes longer to say than to send.
const PULSE_HOLDS: Duration = Duration::from_millis(100);

/// How often an observer hears of a run in which nothing happens, so that a pause can be seen to count down.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What a window lets go at once is sent in less: of the documented one, sixteen at a time, in a second or two.
const BURST: Duration = Duration::from_secs(5);

struct Loop<'a, T, J, O> {
    run: Run<'a, T, J, O>,
    scheduler: Scheduler,
    account: Account,
    attempts: Attempts<T>,
    /// Not durable yet.
    outbox: Vec<Event>,
    /// How the run was doing, and when.
    pulse: Option<(Moment, Pulse)>,
    journal_error: Option<JournalError>,
    /// When what is still in flight is given up.
    give_up_at: Option<Moment>,
}

/// When there is something to do again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// At once: something has changed that nobody was asked about yet.
    Now,
    At(Moment),
    OnReply,
    Never,
}

/// Brings the items of all lanes to their outcomes.
pub async fn run<T: Transport, J: Journal, O: Observer>(run: Run<'_, T, J, O>) -> Ended {
    let mut scheduler = Scheduler::new(run.policy.clone(), run.lanes);
    scheduler.know(run.lists);
    scheduler.tenants.iter_mut().for_each(|tenant| tenant.asks_why = run.asks_why.contains(&tenant.id));
    scheduler.recall(run.counted, run.clock.now(), run.clock.stamp());
    let account = Account::new(run.policy.goal, run.clock.now());
    let attempts = Attempts::new(Arc::clone(&run.transport), run.clock);
    let mut it =
        Loop { run, scheduler, account, attempts, outbox: Vec::new(), pulse: None, journal_error: None, give_up_at: None };
    while it.turn().await {}
    it.end().await
}

impl<T: Transport, J: Journal, O: Observer> Loop<'_, T, J, O> {
    /// One turn of the loop. False when nothing is left to be done.
    async fn turn(&mut self) -> bool {
        self.heed_stops();
        let more = self.fill().await;
        let (mut tickets, wake) = self.pick();
        let durable = self.commit(&mut tickets).await;
        // Answers and signals that came while the disk was busy may forbid what was about to go.
        let more = self.take_finished() || more || wake == Wake::Now;
        self.heed_stops();
        self.launch(tickets, durable);
        let now = self.run.clock.now();
        self.account.turn(self.scheduler.doing(now, self.attempts.sending(), self.account.has_doubts()), now);
        let recorded = self.outbox.is_empty() || self.journal_error.is_some();
        let over = self.scheduler.is_over();
        // A token that is still being asked for keeps nobody waiting once nothing is sent any more.
        let nothing_out = self.attempts.sending() == 0 || self.attempts.is_empty();
        if !recorded || (more || self.scheduler.has_arrived()) && !over {
            self.gather().await;
            return true;
        }
        if nothing_out && (over || wake == Wake::Never) {
            return false;
        }
        self.wait(wake).await
    }

    fn heed_stops(&mut self) {
        let stop = *self.run.stop.borrow();
        let now = self.run.clock.now();
        if stop != Stop::Run {
            self.scheduler.stop(StoppedBy::Interrupted);
        }
        let late = self.run.policy.deadline.is_some_and(|deadline| deadline <= now);
        if late && self.scheduler.has_work() {
            self.scheduler.stop(StoppedBy::Deadline);
        }
        if late || stop != Stop::Run || self.scheduler.stopped_by() == Some(StoppedBy::Bug) {
            self.give_up_at.get_or_insert(now + GRACE);
        }
        if stop == Stop::Abort {
            self.give_up_at = Some(now);
        }
    }

    /// Judges what the lists of a survey have shown, and keeps every lane supplied from the ledger. True if there may be
    /// more to be had.
    async fn fill(&mut self) -> bool {
        while let Some(page) = self.scheduler.arrived() {
            match self.run.journal.find(page.lane, page.kind, page.ids()).await {
                Ok(items) => {
                    let events = self.scheduler.judge(&page, items, self.run.clock.stamp());
                    self.queue(events);
                    // The ledger is to know it when it is asked again: an object may be on two pages.
                    self.commit(&mut []).await;
                }
                Err(error) => self.journal_failed(error),
            }
        }
        for _ in 0..PAGES {
            let Some((index, lane, after)) = self.scheduler.hungry(LOW) else { return false };
            match self.run.journal.page(lane, after, PAGE).await {
                Ok(page) => {
                    self.account.came(&page);
                    self.scheduler.fill(index, page, self.run.clock.now());
                }
                Err(error) => self.journal_failed(error),
            }
        }
        true
    }

    /// Takes all tickets that may go now, and says when to look again.
    fn pick(&mut self) -> (Vec<Ticket>, Wake) {
        let now = self.run.clock.now();
        let (mut tickets, mut is_changed) = (Vec::new(), false);
        loop {
            match self.scheduler.next(now, |tenant| self.run.transport.is_ready(tenant)) {
                Next::Send(ticket) => tickets.push(ticket),
                Next::Look(ticket) => self.attempts.look(ticket),
                Next::List(ticket) => self.attempts.list(ticket),
                Next::SignIn(tenant) => self.attempts.sign_in(tenant),
                Next::Expire(lane) => {
                    let over = self.scheduler.expire(lane, now, self.run.clock.stamp());
                    self.queue(over);
                    // There may be room now for more items from the ledger.
                    is_changed = true;
                }
                Next::WaitUntil(_) | Next::AwaitReply | Next::Done if is_changed => return (tickets, Wake::Now),
                Next::WaitUntil(at) => return (tickets, Wake::At(at)),
                Next::AwaitReply => return (tickets, Wake::OnReply),
                Next::Done => return (tickets, Wake::Never),
            }
        }
    }

    /// Makes outcomes and the intents of these tickets durable as one batch, then shows them. True if they are.
    async fn commit(&mut self, tickets: &mut [Ticket]) -> bool {
        if self.journal_error.is_some() {
            return false;
        }
        let at = self.run.clock.stamp();
        let outcomes = self.outbox.len();
        for ticket in tickets {
            let intent = What::Intent { client_request_id: Uuid::new_v4() };
            self.note(ticket, Event { item: Some(ticket.held.work.item.no), at, what: intent });
        }
        if self.outbox.is_empty() {
            return true;
        }
        let events = Arc::new(std::mem::take(&mut self.outbox));
        match self.run.journal.commit(Arc::clone(&events)).await {
            Ok(()) => {
                self.account.happened(&events);
                let pulse = self.recent_pulse();
                self.run.observer.observe(&events, &pulse);
                true
            }
            Err(error) => {
                self.journal_failed(error);
                // The intents never became true; the outcomes are still to be told.
                self.outbox = events[..outcomes].to_vec();
                false
            }
        }
    }

    /// Lets the tickets go whose intents are durable, unless a pause or a stop came in between.
    fn launch(&mut self, tickets: Vec<Ticket>, durable: bool) {
        let now = self.run.clock.now();
        let at = self.run.clock.stamp();
        let mut held_back = Vec::new();
        for mut ticket in tickets {
            let is_ready = self.run.transport.is_ready(ticket.held.work.item.tenant);
            if durable && is_ready && self.scheduler.may_go(&ticket, now) {
                self.send(ticket);
                continue;
            }
            if durable {
                let released = Event { item: Some(ticket.held.work.item.no), at, what: What::Released };
                self.note(&mut ticket, released);
            }
            held_back.push(ticket);
        }
        // They go to the front of their lane: the last one first keeps their order.
        for ticket in held_back.into_iter().rev() {
            self.scheduler.put_back(ticket);
        }
    }

    fn send(&mut self, mut ticket: Ticket) {
        let item = ticket.held.work.item;
        let plea = self.scheduler.plea(&mut ticket);
        match ticket.held.work.progress.client_request_id {
            Some(client_request_id) => self.attempts.send(ticket, Order { item, client_request_id, plea }),
            None => self.scheduler.stop(StoppedBy::Bug),
        }
    }

    /// Sleeps until something happens. False when what is in flight is given up.
    async fn wait(&mut self, wake: Wake) -> bool {
        let now = self.run.clock.now();
        let wake = if let Wake::At(at) = wake { Some(at) } else { None };
        // A deadline that has passed with nothing left to send wakes nobody.
        let deadline = self.run.policy.deadline.filter(|deadline| *deadline > now && self.scheduler.stopped_by().is_none());
        let give_up_at = self.give_up_at.filter(|_| self.attempts.sending() > 0);
        let until = [wake, deadline, give_up_at, Some(now + HEARTBEAT)].into_iter().flatten().min();
        tokio::select! {
            biased;
            Some(finished) = self.attempts.next() => self.take(finished),
            () = self.run.clock.sleep_until(until) => {
                let pulse = self.pulse(wake);
                self.run.observer.observe(&[], &pulse);
            }
            () = changed(&mut self.run.stop) => {}
        }
        self.gather().await;
        let now = self.run.clock.now();
        let gives_up = self.attempts.sending() > 0 && self.give_up_at.is_some_and(|at| at <= now);
        if gives_up {
            self.scheduler.stop(StoppedBy::Deadline);
        }
        !gives_up
    }

    /// Takes what has ended, and what ends while the runtime looks around: one commit for many costs what it costs for one.
    async fn gather(&mut self) {
        tokio::task::yield_now().await;
        while self.take_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// How the run is doing, or was a moment ago.
    fn recent_pulse(&mut self) -> Pulse {
        let now = self.run.clock.now();
        match self.pulse {
            Some((at, pulse)) if now < at + PULSE_HOLDS => Pulse { at: self.run.clock.stamp(), ..pulse },
            _ => {
                let pulse = self.pulse(None);
                self.pulse = Some((now, pulse));
                pulse
            }
        }
    }

    /// How the run is doing, for people.
    fn pulse(&self, wake: Option<Moment>) -> Pulse {
        let now = self.run.clock.now();
        let next_in = wake.filter(|_| self.attempts.is_empty()).map(|wake| wake.saturating_sub(now));
        let pulse = self.scheduler.pulse(now);
        // Who sends without a break for a window, or longer than one burst where that is all, is not limited by the quota.
        let window = self.run.policy.quota.map_or(Duration::ZERO, |quota| quota.per);
        let at_most = |eta: Duration| if eta.is_zero() { BURST.min(window) } else { window };
        let eta = pulse.eta.filter(|eta| !self.account.sends_since(now.saturating_sub(at_most(*eta))));
        Pulse { at: self.run.clock.stamp(), next_in, eta, ..pulse }
    }

    /// True if there was any.
    fn take_finished(&mut self) -> bool {
        let mut any = false;
        while let Some(finished) = self.attempts.try_next() {
            self.take(finished);
            any = true;
        }
        any
    }

    fn take(&mut self, finished: Finished) {
        let at = self.run.clock.stamp();
        let events = match finished {
            Finished::Sent(ticket, exchange) => self.scheduler.finished(ticket, &exchange, at),
            Finished::Looked(ticket, exchange) => self.scheduler.looked(ticket, exchange, at),
            Finished::Listed(ticket, exchange) => self.scheduler.listed(&ticket, exchange, at),
            Finished::SignedIn(tenant, result) => {
                let stop = self.scheduler.signed_in(tenant, result, self.run.clock.now());
                Ok(stop.map(|stop| Event { item: None, at, what: What::TenantStopped(stop) }).into_iter().collect())
            }
            Finished::Lost => return self.scheduler.stop(StoppedBy::Bug),
        };
        self.queue(events);
    }

    /// Queues events for the ledger.
    fn queue(&mut self, events: Result<Vec<Event>, IllegalEvent>) {
        match events {
            Ok(events) => self.outbox.extend(events),
            Err(error) => self.bug(&error),
        }
    }

    /// Applies an event to a ticket and queues it for the ledger.
    fn note(&mut self, ticket: &mut Ticket, event: Event) {
        match ticket.held.work.progress.apply(&event) {
            Ok(()) => self.outbox.push(event),
            Err(error) => self.bug(&error),
        }
    }

    fn bug(&mut self, error: &IllegalEvent) {
        tracing::error!(%error, "the history of an item does not fit; nothing more is sent");
        self.scheduler.stop(StoppedBy::Bug);
    }

    fn journal_failed(&mut self, error: JournalError) {
        self.scheduler.stop(StoppedBy::Ledger);
        self.journal_error.get_or_insert(error);
    }

    /// What was in flight and is given up stays an intent without a reply.
    async fn end(mut self) -> Ended {
        self.attempts.abort();
        // A disk that was full may have room again: what is known is offered once more.
        if !self.outbox.is_empty() {
            match self.run.journal.commit(Arc::new(self.outbox.clone())).await {
                Ok(()) => self.outbox.clear(),
                Err(error) => self.journal_failed(error),
            }
        }
        Ended {
            stopped_by: self.scheduler.stopped_by(),
            asks_why: self.scheduler.asks_why(),
            surveyed: self.scheduler.surveyed(),
            counted: self.scheduler.counted(self.run.clock.now(), self.run.clock.stamp()),
            spent: self.account.until(self.run.clock.now()),
            tenant_stops: std::mem::take(&mut self.scheduler.tenant_stops),
            journal_error: self.journal_error,
            unrecorded: self.outbox,
        }
    }
}

/// Returns when the wish to stop changes; never, once nobody is left to wish.
async fn changed(stop: &mut watch::Receiver<Stop>) {
    if stop.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
