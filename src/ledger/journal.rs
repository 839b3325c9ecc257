//! The journal of one run: a thread owns the connection, commits batches in their order and hands out pages.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Error, params};
use tokio::sync::oneshot;

use super::chain::{self, Hash};
use super::error::LedgerError;
use super::lookup::Places;
use super::open::{Ledger, RunNo};
use super::plan::lane_number;
use crate::exec::{Journal, JournalError};
use crate::model::{Event, ItemNo, Kind, Lane, ObjectId, TenantId, Work};

type Answer<T> = oneshot::Sender<Result<T, LedgerError>>;

enum Order {
    Commit(Arc<Vec<Event>>, Answer<()>),
    Find { lane: u32, tenant: TenantId, kind: Kind, ids: Vec<ObjectId>, answer: Answer<Vec<Work>> },
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
    /// Known once a list was read.
    places: Option<Places>,
    /// Of the event that is being written, as JSON.
    text: Vec<u8>,
}

impl Ledger {
    /// Hands the ledger to a thread of its own that writes this run.
    pub fn journal(self, run: RunNo, tenants: Vec<TenantId>) -> Result<RunJournal, LedgerError> {
        let query = "SELECT head, events FROM runs WHERE no = ?1";
        let (head, events) = self.sql("read", self.db.query_row(query, [run.0], |row| Ok((row.get(0)?, row.get(1)?))))?;
        let writer = Writer { ledger: self, run: run.0, head, events, places: None, text: Vec::new() };
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

    fn number(&self, lane: Lane) -> Result<u32, JournalError> {
        let place = self.tenants.iter().position(|tenant| *tenant == lane.tenant).and_then(|place| u32::try_from(place).ok());
        place.map(|place| lane_number(place, lane.service)).ok_or_else(|| JournalError("a lane of another run".to_owned()))
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

    async fn find(&mut self, lane: Lane, kind: Kind, ids: Vec<ObjectId>) -> Result<Vec<Work>, JournalError> {
        let number = self.number(lane)?;
        self.ask(|answer| Order::Find { lane: number, tenant: lane.tenant, kind, ids, answer }).await
    }

    async fn page(&mut self, lane: Lane, after: ItemNo, limit: usize) -> Result<Vec<Work>, JournalError> {
        let number = self.number(lane)?;
        self.ask(|answer| Order::Page { lane: number, tenant: lane.tenant, after, limit, answer }).await
    }
}

impl Writer {
    fn serve(mut self, inbox: &mpsc::Receiver<Order>) -> Ledger {
        // An answer that nobody waits for any more is no loss: the commit itself stands.
        while let Ok(order) = inbox.recv() {
            match order {
                Order::Commit(events, answer) => drop(answer.send(self.commit(&events))),
                Order::Find { lane, tenant, kind, ids, answer } => {
                    drop(answer.send(self.find((lane, tenant), kind, &ids)));
                }
                Order::Page { lane, tenant, after, limit, answer } => {
                    drop(answer.send(self.ledger.page((self.run, lane), tenant, after, limit)));
                }
            }
        }
        self.ledger
    }

    fn find(&mut self, (lane, tenant): (u32, TenantId), kind: Kind, ids: &[ObjectId]) -> Result<Vec<Work>, LedgerError> {
        let places = match self.places.take() {
            Some(places) => places,
            None => self.ledger.places(self.run)?,
        };
        let found = self.ledger.items_of(&places, ((self.run, lane), tenant), kind, ids);
        self.places = Some(places);
        found
    }

    fn commit(&mut self, events: &[Event]) -> Result<(), LedgerError> {
        let written = self.write(events);
        let written = self.ledger.sql("write", written).and_then(|written| {
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
    fn write(&mut self, events: &[Event]) -> rusqlite::Result<Option<(Hash, i64)>> {
        let db: &Connection = &self.ledger.db;
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut head = self.head;
        {
            let mut insert = db.prepare_cached("INSERT INTO events (run, item, at, what, hash) VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for event in events {
                self.text.clear();
                serde_json::to_writer(&mut self.text, &event.what)
                    .map_err(|error| Error::ToSqlConversionFailure(error.into()))?;
                let (item, text) = (event.item.map(|no| no.0), ToSqlOutput::Borrowed(ValueRef::Text(&self.text)));
                head = chain::link(&head, item, event.at.0, &self.text);
                insert.execute(params![self.run, item, event.at.0, text, head])?;
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
