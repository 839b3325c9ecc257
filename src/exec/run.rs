//! The loop: one owner of all state of a run. It asks the scheduler, makes intents durable, lets attempts
//! go, takes their answers in batches, and shows events only once they are durable.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use uuid::Uuid;

use super::port::{Answer, Journal, JournalError, NoToken, Observer, Order, Page, Pulse, Reading, Transport};
use super::schedule::{Next, PageTicket, Scheduler, Ticket};
use super::spell::{Ended, Run, Stop};
use super::taken::Exchange;
use crate::clock::Moment;
use crate::model::{Event, IllegalEvent, ItemNo, Snapshot, StoppedBy, TenantId, What};

/// What is in flight may finish for this long after a stop: below the 30 s of Kubernetes and the 90 s of systemd.
const GRACE: Duration = Duration::from_secs(20);

/// Items fetched from the ledger at once, and the number below which a lane asks for more.
const PAGE: usize = 256;
const LOW: usize = 64;

/// Events that are recorded as one batch at most, where they come from a list that was read.
const BATCH: usize = 2_048;

/// How often an observer hears of a run in which nothing happens, so that a pause can be seen to count down.
const HEARTBEAT: Duration = Duration::from_secs(1);

struct Loop<'a, T, J, O> {
    run: Run<'a, T, J, O>,
    scheduler: Scheduler,
    tasks: JoinSet<Finished>,
    sent: HashMap<ItemNo, Ticket>,
    looking: HashMap<ItemNo, Ticket>,
    /// Not durable yet.
    outbox: Vec<Event>,
    journal_error: Option<JournalError>,
    /// When what is still in flight is given up.
    give_up_at: Option<Moment>,
}

/// What a task brings back.
enum Finished {
    Sent(ItemNo, Exchange<Answer>),
    Looked(ItemNo, Exchange<Reading<Snapshot>>),
    Listed(PageTicket, Exchange<Reading<Page>>),
    SignedIn(TenantId, Result<(), NoToken>),
}

/// When there is something to do again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wake {
    At(Moment),
    OnReply,
    Never,
}

/// Brings the items of all lanes to their outcomes.
pub async fn run<T: Transport, J: Journal, O: Observer>(run: Run<'_, T, J, O>) -> Ended {
    let mut scheduler = Scheduler::new(run.policy.clone(), run.lanes);
    scheduler.know(run.lists);
    let mut it = Loop {
        run,
        scheduler,
        tasks: JoinSet::new(),
        sent: HashMap::new(),
        looking: HashMap::new(),
        outbox: Vec::new(),
        journal_error: None,
        give_up_at: None,
    };
    while it.turn().await {}
    it.end().await
}

impl<T: Transport, J: Journal, O: Observer> Loop<'_, T, J, O> {
    /// One turn of the loop. False when nothing is left to be done.
    async fn turn(&mut self) -> bool {
        self.heed_stops();
        let expired = self.scheduler.expire(self.run.clock.now(), self.run.clock.stamp());
        self.queue(expired);
        let more = self.fill().await;
        let (mut tickets, wake) = self.pick();
        let durable = self.commit(&mut tickets).await;
        // Answers and signals that came while the disk was busy may forbid what was about to go.
        self.take_finished();
        self.heed_stops();
        self.launch(tickets, durable);
        let recorded = self.outbox.is_empty() || self.journal_error.is_some();
        let over = self.scheduler.is_over();
        // A token that is still being asked for keeps nobody waiting once nothing is sent any more.
        let nothing_out = self.sent.is_empty() || self.tasks.is_empty();
        if more && recorded && !over {
            return true;
        }
        if recorded && nothing_out && (over || wake == Wake::Never) {
            return false;
        }
        !recorded || self.wait(wake).await
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

    /// Keeps every lane supplied from the ledger. True if there is more to be had: what was found is recorded first.
    async fn fill(&mut self) -> bool {
        while let Some((index, lane, after)) = self.scheduler.hungry(LOW) {
            if self.outbox.len() >= BATCH {
                return true;
            }
            match self.run.journal.page(lane, after, PAGE).await {
                Ok(page) => {
                    let events = self.scheduler.fill(index, page, self.run.clock.now(), self.run.clock.stamp());
                    self.queue(events);
                }
                Err(error) => self.journal_failed(error),
            }
        }
        false
    }

    /// Takes all tickets that may go now, and says when to look again.
    fn pick(&mut self) -> (Vec<Ticket>, Wake) {
        let now = self.run.clock.now();
        let mut tickets = Vec::new();
        loop {
            match self.scheduler.next(now, |tenant| self.run.transport.is_ready(tenant)) {
                Next::Send(ticket) => tickets.push(ticket),
                Next::Look(ticket) => self.look(ticket),
                Next::List(ticket) => self.list(ticket),
                Next::SignIn(tenant) => {
                    let transport = Arc::clone(&self.run.transport);
                    self.tasks.spawn(async move { Finished::SignedIn(tenant, transport.sign_in(tenant).await) });
                }
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
                let pulse = self.pulse(None);
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
                self.spawn(ticket);
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

    fn spawn(&mut self, ticket: Ticket) {
        let item = ticket.held.work.item;
        let Some(client_request_id) = ticket.held.work.progress.client_request_id else {
            return self.scheduler.stop(StoppedBy::Bug);
        };
        let order = Order { item, client_request_id };
        let (transport, clock) = (Arc::clone(&self.run.transport), self.run.clock);
        self.sent.insert(item.no, ticket);
        self.tasks.spawn(async move {
            let (began, sent_at) = (clock.now(), clock.stamp());
            let answer = transport.send(order).await;
            Finished::Sent(item.no, Exchange { answer, began, ended: clock.now(), sent_at })
        });
    }

    fn look(&mut self, ticket: Ticket) {
        let item = ticket.held.work.item;
        let (transport, clock) = (Arc::clone(&self.run.transport), self.run.clock);
        self.looking.insert(item.no, ticket);
        self.tasks.spawn(async move {
            let (began, sent_at) = (clock.now(), clock.stamp());
            let answer = transport.look(item).await;
            Finished::Looked(item.no, Exchange { answer, began, ended: clock.now(), sent_at })
        });
    }

    fn list(&mut self, ticket: PageTicket) {
        let (transport, clock) = (Arc::clone(&self.run.transport), self.run.clock);
        self.tasks.spawn(async move {
            let (began, sent_at) = (clock.now(), clock.stamp());
            let answer = transport.list(ticket.tenant, ticket.kind, ticket.page.clone()).await;
            Finished::Listed(ticket, Exchange { answer, began, ended: clock.now(), sent_at })
        });
    }

    /// Sleeps until something happens. False when what is in flight is given up.
    async fn wait(&mut self, wake: Wake) -> bool {
        let now = self.run.clock.now();
        let wake = if let Wake::At(at) = wake { Some(at) } else { None };
        // A deadline that has passed with nothing left to send wakes nobody.
        let deadline = self.run.policy.deadline.filter(|deadline| *deadline > now && self.scheduler.stopped_by().is_none());
        let give_up_at = self.give_up_at.filter(|_| !self.sent.is_empty());
        let until = [wake, deadline, give_up_at, Some(now + HEARTBEAT)].into_iter().flatten().min();
        tokio::select! {
            biased;
            Some(finished) = self.tasks.join_next() => self.take(finished),
            () = self.run.clock.sleep_until(until) => {
                let pulse = self.pulse(wake);
                self.run.observer.observe(&[], &pulse);
            }
            () = changed(&mut self.run.stop) => {}
        }
        self.take_finished();
        let now = self.run.clock.now();
        let gives_up = !self.sent.is_empty() && self.give_up_at.is_some_and(|at| at <= now);
        if gives_up {
            self.scheduler.stop(StoppedBy::Deadline);
        }
        !gives_up
    }

    /// How the run is doing, for people.
    fn pulse(&self, wake: Option<Moment>) -> Pulse {
        let now = self.run.clock.now();
        let next_in = wake.filter(|_| self.tasks.is_empty()).map(|wake| wake.saturating_sub(now));
        Pulse { at: self.run.clock.stamp(), next_in, ..self.scheduler.pulse(now) }
    }

    fn take_finished(&mut self) {
        while let Some(finished) = self.tasks.try_join_next() {
            self.take(finished);
        }
    }

    fn take(&mut self, finished: Result<Finished, JoinError>) {
        let at = self.run.clock.stamp();
        let events = match finished {
            Ok(Finished::Sent(no, exchange)) => match self.sent.remove(&no) {
                Some(ticket) => self.scheduler.finished(ticket, &exchange, at),
                None => return self.scheduler.stop(StoppedBy::Bug),
            },
            Ok(Finished::Looked(no, exchange)) => match self.looking.remove(&no) {
                Some(ticket) => self.scheduler.looked(ticket, exchange, at),
                None => return self.scheduler.stop(StoppedBy::Bug),
            },
            Ok(Finished::Listed(ticket, exchange)) => self.scheduler.listed(&ticket, exchange, at),
            Ok(Finished::SignedIn(tenant, result)) => {
                let stop = self.scheduler.signed_in(tenant, result, self.run.clock.now());
                Ok(stop.map(|stop| Event { item: None, at, what: What::TenantStopped(stop) }).into_iter().collect())
            }
            Err(_) => return self.scheduler.stop(StoppedBy::Bug),
        };
        self.queue(events);
        let denied = self.scheduler.close_denied().into_iter();
        self.outbox.extend(denied.map(|stop| Event { item: None, at, what: What::TenantStopped(stop) }));
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
        self.tasks.abort_all();
        // A disk that was full may have room again: what is known is offered once more.
        if !self.outbox.is_empty() {
            match self.run.journal.commit(Arc::new(self.outbox.clone())).await {
                Ok(()) => self.outbox.clear(),
                Err(error) => self.journal_failed(error),
            }
        }
        Ended {
            stopped_by: self.scheduler.stopped_by(),
            surveyed: self.scheduler.surveyed(),
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
