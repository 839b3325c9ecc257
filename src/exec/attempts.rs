//! Attempts under way. Each is one exchange with the service in a task of its own: it does not sleep, retry or count.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};

use super::port::{Answer, NoToken, Order, Page, Reading, Transport};
use super::taken::Exchange;
use super::ticket::{PageTicket, Ticket};
use crate::clock::Clock;
use crate::model::{ItemNo, Snapshot, TenantId};

/// What is under way.
pub(super) struct Attempts<T> {
    transport: Arc<T>,
    clock: Clock,
    tasks: JoinSet<Ended>,
    sent: HashMap<ItemNo, Ticket>,
    looking: HashMap<ItemNo, Ticket>,
}

/// What a task brings back.
enum Ended {
    Sent(ItemNo, Exchange<Answer>),
    Looked(ItemNo, Exchange<Reading<Snapshot>>),
    Listed(PageTicket, Exchange<Reading<Page>>),
    SignedIn(TenantId, Result<(), NoToken>),
}

/// An attempt that has come to its end.
pub(super) enum Finished {
    Sent(Ticket, Exchange<Answer>),
    Looked(Ticket, Exchange<Reading<Snapshot>>),
    Listed(PageTicket, Exchange<Reading<Page>>),
    SignedIn(TenantId, Result<(), NoToken>),
    /// Its task ended by a bug.
    Lost,
}

impl<T: Transport> Attempts<T> {
    pub(super) fn new(transport: Arc<T>, clock: Clock) -> Self {
        Self { transport, clock, tasks: JoinSet::new(), sent: HashMap::new(), looking: HashMap::new() }
    }

    /// How many revocations are under way.
    pub(super) fn sending(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Sends what a durable intent names.
    pub(super) fn send(&mut self, ticket: Ticket, order: Order) {
        self.sent.insert(order.item.no, ticket);
        let (transport, clock) = (Arc::clone(&self.transport), self.clock);
        self.tasks.spawn(async move { Ended::Sent(order.item.no, timed(clock, transport.send(order)).await) });
    }

    pub(super) fn look(&mut self, ticket: Ticket) {
        let item = ticket.held.work.item;
        self.looking.insert(item.no, ticket);
        let (transport, clock) = (Arc::clone(&self.transport), self.clock);
        self.tasks.spawn(async move { Ended::Looked(item.no, timed(clock, transport.look(item)).await) });
    }

    pub(super) fn list(&mut self, ticket: PageTicket) {
        let (transport, clock) = (Arc::clone(&self.transport), self.clock);
        self.tasks.spawn(async move {
            let exchange = timed(clock, transport.list(ticket.tenant, ticket.kind, ticket.page.clone())).await;
            Ended::Listed(ticket, exchange)
        });
    }

    pub(super) fn sign_in(&mut self, tenant: TenantId) {
        let transport = Arc::clone(&self.transport);
        self.tasks.spawn(async move { Ended::SignedIn(tenant, transport.sign_in(tenant).await) });
    }

    /// Waits for the next one to end; none: nothing is under way.
    pub(super) async fn next(&mut self) -> Option<Finished> {
        self.tasks.join_next().await.map(|ended| self.finished(ended))
    }

    /// The next one that has ended already.
    pub(super) fn try_next(&mut self) -> Option<Finished> {
        self.tasks.try_join_next().map(|ended| self.finished(ended))
    }

    pub(super) fn abort(&mut self) {
        self.tasks.abort_all();
    }

    fn finished(&mut self, ended: Result<Ended, JoinError>) -> Finished {
        match ended {
            Ok(Ended::Sent(no, exchange)) => {
                self.sent.remove(&no).map_or(Finished::Lost, |ticket| Finished::Sent(ticket, exchange))
            }
            Ok(Ended::Looked(no, exchange)) => {
                self.looking.remove(&no).map_or(Finished::Lost, |ticket| Finished::Looked(ticket, exchange))
            }
            Ok(Ended::Listed(ticket, exchange)) => Finished::Listed(ticket, exchange),
            Ok(Ended::SignedIn(tenant, result)) => Finished::SignedIn(tenant, result),
            Err(_) => Finished::Lost,
        }
    }
}

/// How an exchange went, in both clocks.
async fn timed<A>(clock: Clock, exchange: impl Future<Output = A>) -> Exchange<A> {
    let (began, sent_at) = (clock.now(), clock.stamp());
    let answer = exchange.await;
    Exchange { answer, began, ended: clock.now(), sent_at }
}
