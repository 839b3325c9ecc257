//! The journal of one run: a thread owns the connection, commits batches in their order and hands out pages.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::chain::{self, Hash};
use super::error::LedgerError;
use super::open::{Ledger, RunNo};
use super::plan::lane_number;
use crate::exec::{Journal, JournalError};
use crate::model::{Event, ItemNo, Lane, TenantId, Work};

type Answer<T> = oneshot::Sender<Result<T, LedgerError>>;

enum Order {
    Commit(Arc<Vec<Event>>, Answer<()>),
    Page { lane: u32, tenant: TenantId, after: ItemNo, limit: usize, answer: Answer<Vec<Work>> },
}

/// Writes the events of one run.
#[derive(Debug)]
pub struct RunJournal {
    orders: mpsc::Sender<Order>,
    thread: JoinHandle<Ledger>,
    tenants: Vec<TenantId>,
}

struct Writer {
    ledger: Ledger,
    run: i64,
    head: Hash,
    events: i64,
}

impl Ledger {
    /// Hands the ledger to a thread of its own that writes this run.
    pub fn journal(self, run: RunNo, tenants: Vec<TenantId>) -> Result<RunJournal, LedgerError> {
        let query = "SELECT head, events FROM runs WHERE no = ?1";
        let (head, events) = self.sql("read", self.db.query_row(query, [run.0], |row| Ok((row.get(0)?, row.get(1)?))))?;
        let writer = Writer { ledger: self, run: run.0, head, events };
        let (orders, inbox) = mpsc::channel();
        let path = writer.ledger.path.clone();
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.serve(&inbox))
            .map_err(|source| LedgerError::Directory { path, source })?;
        Ok(RunJournal { orders, thread, tenants })
    }
}

impl RunJournal {
    /// Ends the thread and gives the ledger back.
    pub fn close(self) -> Result<Ledger, LedgerError> {
        drop(self.orders);
        self.thread.join().map_err(|_| LedgerError::Damaged("its thread ended by a bug".to_owned()))
    }

    async fn ask<T>(&self, order: impl FnOnce(Answer<T>) -> Order) -> Result<T, JournalError> {
        let (answer, reply) = oneshot::channel();
        let gone = || JournalError("the ledger's thread is gone".to_owned());
        self.orders.send(order(answer)).map_err(|_| gone())?;
        reply.await.map_err(|_| gone())?.map_err(|error| JournalError(error.to_string()))
    }
}

impl Journal for RunJournal {
    async fn commit(&mut self, events: Arc<Vec<Event>>) -> Result<(), JournalError> {
        self.ask(|answer| Order::Commit(events, answer)).await
    }

    async fn page(&mut self, lane: Lane, after: ItemNo, limit: usize) -> Result<Vec<Work>, JournalError> {
        let place = self.tenants.iter().position(|tenant| *tenant == lane.tenant).and_then(|place| u32::try_from(place).ok());
        let number = place
            .map(|place| lane_number(place, lane.service))
            .ok_or_else(|| JournalError("a lane of another run".to_owned()))?;
        self.ask(|answer| Order::Page { lane: number, tenant: lane.tenant, after, limit, answer }).await
    }
}

impl Writer {
    fn serve(mut self, inbox: &mpsc::Receiver<Order>) -> Ledger {
        // An answer that nobody waits for any more is no loss: the commit itself stands.
        while let Ok(order) = inbox.recv() {
            match order {
                Order::Commit(events, answer) => drop(answer.send(self.commit(&events))),
                Order::Page { lane, tenant, after, limit, answer } => {
                    drop(answer.send(self.ledger.page((self.run, lane), tenant, after, limit)));
                }
            }
        }
        self.ledger
    }

    fn commit(&mut self, events: &[Event]) -> Result<(), LedgerError> {
        let texts: Vec<String> = events
            .iter()
            .map(|event| serde_json::to_string(&event.what).map_err(|error| LedgerError::Damaged(error.to_string())))
            .collect::<Result<_, _>>()?;
        let written = self.ledger.sql("write", self.write(events, &texts)).and_then(|written| {
            written.ok_or_else(|| LedgerError::Damaged("another process has written to this run".to_owned()))
        });
        let (head, count) = written.inspect_err(|_| {
            // A transaction that failed in the middle must not swallow the next one.
            let _ = self.ledger.db.execute_batch("ROLLBACK");
        })?;
        (self.head, self.events) = (head, count);
        Ok(())
    }

    /// The new head and length of the chain; none if its end is not where it was left.
    fn write(&self, events: &[Event], texts: &[String]) -> rusqlite::Result<Option<(Hash, i64)>> {
        let db: &Connection = &self.ledger.db;
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut head = self.head;
        {
            let mut insert = db.prepare_cached("INSERT INTO events (run, item, at, what, hash) VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for (event, text) in events.iter().zip(texts) {
                head = chain::link(&head, event.item.map(|no| no.0), event.at.0, text.as_bytes());
                insert.execute(params![self.run, event.item.map(|no| no.0), event.at.0, text, head])?;
            }
        }
        let count = self.events + i64::try_from(events.len()).unwrap_or(0);
        let update = "UPDATE runs SET head = ?2, events = ?3 WHERE no = ?1 AND head = ?4 AND events = ?5";
        let moved = db.prepare_cached(update)?.execute(params![self.run, head, count, self.head, self.events])?;
        if moved == 0 {
            return Ok(None);
        }
        db.prepare_cached("COMMIT")?.execute([])?;
        Ok(Some((head, count)))
    }
}
