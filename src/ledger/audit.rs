//! Proves that a run in the ledger is as it was written: the plan, and every event since, against their hashes.

use std::fmt;

use rusqlite::{OptionalExtension as _, Row as SqlRow};

use super::chain::{self, Hash, PlanHash};
use super::error::LedgerError;
use super::open::{Ledger, RunNo};
use super::schema::ITEM_COLUMNS;
use crate::model::{Event, ItemNo, Progress, SourceRow, Stamp, What};

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// How many events fit, from the first on.
    pub rows: u64,
    /// The hash of the last of them, in hexadecimal.
    pub head: String,
    /// How many of them were added after the head that was expected, if it was found.
    pub since: Option<u64>,
    /// The first thing that does not fit.
    pub flaw: Option<Flaw>,
}

/// What does not fit, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The run's head or its items are not those that were planned.
    #[error("the plan was changed: the run's head or its items are not those that were written")]
    Plan,
    /// An event's hash is not the one that follows from it and the events before.
    #[error("{0} does not fit what stands before it: a row was changed, added or taken away")]
    Link(Spot),
    /// An event names an item of another run.
    #[error("{0} and its item are of different runs")]
    Stray(Spot),
    /// An event cannot be read, or cannot follow from those before it.
    #[error("{spot} cannot have happened: {why}")]
    Illegal {
        /// Where.
        spot: Spot,
        /// Why not.
        why: String,
    },
    /// Events are missing at the end, or were added there.
    #[error("the run's head speaks of {told} events, and there are {found}")]
    Count {
        /// As many as the run's head says.
        told: i64,
        /// As many as there are.
        found: u64,
    },
    /// The last event is another than the run's head says.
    #[error("the hash of the last event is not the one in the run's head")]
    Head,
    /// The head that was expected is not in the chain.
    #[error("the expected head {0} is nowhere in the chain: it was cut, or written anew")]
    Expected(String),
}

/// Where an event stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Its number in its run, from one on.
    pub number: u64,
    /// The list and the line of its item, if it has one.
    pub place: Option<String>,
    /// Its time.
    pub at: Stamp,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.as_deref().map_or(String::new(), |place| format!("{place}, "));
        write!(f, "event {} ({place}{})", self.number, self.at)
    }
}

/// What the run's row says.
struct Told {
    run: i64,
    items: [i64; 2],
    plan: Vec<u8>,
    head: Vec<u8>,
    events: i64,
    sources: String,
}

/// How far along the chain everything fits.
struct Walk {
    head: Hash,
    rows: u64,
    expected: Option<Hash>,
    /// After how many events the expected head stands.
    met_at: Option<u64>,
}

impl Walk {
    fn step(&mut self, link: Hash) {
        self.head = link;
        if self.expected == Some(link) {
            self.met_at = Some(self.rows);
        }
    }
}

impl Ledger {
    /// Computes every hash of a run again. An expected head is one that was kept elsewhere: events may have been added
    /// after it, and none before it may be missing or changed.
    pub fn audit(&self, run: RunNo, expected_head: Option<&str>) -> Result<Audited, LedgerError> {
        // One transaction, because the run may be under way.
        self.within("BEGIN", || {
            let told = self.told(run)?;
            let expected = expected_head.and_then(chain::unhex);
            let mut walk = Walk { head: Hash::default(), rows: 0, expected, met_at: None };
            walk.step(self.sql("read", self.plan_hash(&told))?);
            let is_planned = told.plan == walk.head && !self.sql("read", self.has_more(&told))?;
            let mut flaw = if is_planned { self.walk(&told, &mut walk)? } else { Some(Flaw::Plan) };
            flaw = flaw.or_else(|| told.flaw(&walk));
            if flaw.is_none() {
                flaw = self.replayed(&told)?;
            }
            if let (None, Some(expected), None) = (&flaw, expected_head, walk.met_at) {
                flaw = Some(Flaw::Expected(expected.to_owned()));
            }
            let since = walk.met_at.map(|at| walk.rows - at);
            Ok(Audited { rows: walk.rows, head: chain::hex(&walk.head), since, flaw })
        })
    }

    fn told(&self, run: RunNo) -> Result<Told, LedgerError> {
        let query = "SELECT first_item, last_item, plan, head, events, sources FROM runs WHERE no = ?1";
        let told = |row: &SqlRow<'_>| {
            let items = [row.get(0)?, row.get(1)?];
            let (plan, head) = (row.get(2)?, row.get(3)?);
            Ok(Told { run: run.0, items, plan, head, events: row.get(4)?, sources: row.get(5)? })
        };
        self.sql("read", self.db.query_row(query, [run.0], told))
    }

    /// The hash of the plan as it is now.
    fn plan_hash(&self, told: &Told) -> rusqlite::Result<Hash> {
        let mut hash = PlanHash::default();
        let mut items = self.db.prepare(&format!("SELECT {ITEM_COLUMNS} FROM items WHERE no BETWEEN ?1 AND ?2 ORDER BY no"))?;
        let mut items = items.query(told.items)?;
        while let Some(item) = items.next()? {
            hash.row(item)?;
        }
        hash.finish(&self.db, told.run)
    }

    /// Whether there is something to send that the plan does not hold.
    fn has_more(&self, told: &Told) -> rusqlite::Result<bool> {
        let more = "SELECT EXISTS (SELECT 1 FROM items WHERE run = ?1 AND lane IS NOT NULL AND no NOT BETWEEN ?2 AND ?3)";
        self.db.query_row(more, [told.run, told.items[0], told.items[1]], |row| row.get(0))
    }

    /// Follows the chain to its end, or to the first event that does not fit.
    fn walk(&self, told: &Told, walk: &mut Walk) -> Result<Option<Flaw>, LedgerError> {
        let query = "SELECT item, at, hash, what FROM events WHERE run = ?1 ORDER BY n";
        let mut events = self.sql("read", self.db.prepare(query))?;
        let mut events = self.sql("read", events.query([told.run]))?;
        while let Some(event) = self.sql("read", events.next())? {
            let (item, at): (Option<i64>, i64) = self.sql("read", event.get(0).and_then(|item| Ok((item, event.get(1)?))))?;
            let text = |column| event.get_ref(column).and_then(|value| Ok(value.as_bytes()?));
            let (hash, what) = (self.sql("read", text(2))?, self.sql("read", text(3))?);
            let link = chain::link(&walk.head, item, at, what);
            let spot = || self.spot(told, walk.rows + 1, item, at);
            if link != hash {
                return spot().map(|spot| Some(Flaw::Link(spot)));
            }
            match item {
                Some(no) if !(told.items[0]..=told.items[1]).contains(&no) => return spot().map(|spot| Some(Flaw::Stray(spot))),
                Some(_) => {}
                None => {
                    if let Err(why) = of_run(what) {
                        return spot().map(|spot| Some(Flaw::Illegal { spot, why }));
                    }
                }
            }
            walk.rows += 1;
            walk.step(link);
        }
        Ok(None)
    }

    /// Whether what is chained is also what can happen to an item, and nothing else is said of the run's items.
    fn replayed(&self, told: &Told) -> Result<Option<Flaw>, LedgerError> {
        let query = "SELECT n, run, item, at, what FROM events WHERE item BETWEEN ?1 AND ?2 ORDER BY item, n";
        let mut events = self.sql("read", self.db.prepare(query))?;
        let mut events = self.sql("read", events.query(told.items))?;
        let (mut of, mut progress) = (0, Progress::default());
        while let Some(event) = self.sql("read", events.next())? {
            let columns = || Ok((event.get(0)?, event.get(1)?, event.get(2)?, event.get(3)?, event.get(4)?));
            let (n, run, item, at, text): (i64, i64, i64, i64, String) = self.sql("read", columns())?;
            if of != item {
                (of, progress) = (item, Progress::default());
            }
            let what = serde_json::from_str(&text).map_err(|error| error.to_string());
            let event = what.map(|what| Event { item: Some(ItemNo(item)), at: Stamp(at), what });
            let applied = event.and_then(|event| progress.apply(&event).map_err(|error| error.to_string()));
            if run == told.run && applied.is_ok() {
                continue;
            }
            let number = "SELECT count(*) FROM events WHERE run = ?1 AND n <= ?2";
            let number: i64 = self.sql("read", self.db.query_row(number, [run, n], |row| row.get(0)))?;
            let spot = self.spot(told, number.unsigned_abs(), Some(item), at)?;
            return Ok(Some(match applied {
                Err(why) if run == told.run => Flaw::Illegal { spot, why },
                _ => Flaw::Stray(spot),
            }));
        }
        Ok(None)
    }

    fn spot(&self, told: &Told, number: u64, item: Option<i64>, at: i64) -> Result<Spot, LedgerError> {
        let spot = |place| Spot { number, place, at: Stamp(at) };
        let Some(no) = item else { return Ok(spot(None)) };
        let query = "SELECT source, line FROM items WHERE no = ?1 AND run = ?2";
        let read = self.db.query_row(query, [no, told.run], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)));
        let sources: Vec<SourceRow> = serde_json::from_str(&told.sources).unwrap_or_default();
        let place = self.sql("read", read.optional())?;
        let named = place.and_then(|(source, line)| Some(format!("{}:{line}", sources.get(source as usize)?.name)));
        Ok(spot(Some(named.unwrap_or_else(|| format!("item {no}")))))
    }
}

impl Told {
    fn flaw(&self, walk: &Walk) -> Option<Flaw> {
        if i64::try_from(walk.rows) == Ok(self.events) {
            (self.head != walk.head).then_some(Flaw::Head)
        } else {
            Some(Flaw::Count { told: self.events, found: walk.rows })
        }
    }
}

/// Whether it is an event of a run as a whole.
fn of_run(what: &[u8]) -> Result<(), String> {
    match serde_json::from_slice(what).map_err(|error| error.to_string())? {
        What::TenantStopped(_) | What::Bound { .. } | What::Resumed { .. } | What::Ended { .. } => Ok(()),
        What::Intent { .. } | What::Released | What::Reply(_) | What::Looked(_) | What::Settled { .. } | What::Ruled(_) => {
            Err("an event without its item".to_owned())
        }
    }
}
