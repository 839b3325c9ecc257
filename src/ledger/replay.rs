//! Items with what became of them: plan and events are read side by side, so that memory does not grow with the run.

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator as _;
use rusqlite::{Row as SqlRow, Rows, params};
use serde::Deserialize;

use super::error::LedgerError;
use super::open::{Ledger, RunNo};
use super::plan::lane_parts;
use crate::model::{
    AfterLook, Class, Disposition, Event, Item, ItemNo, Kind, ObjectId, Phase, Place, Progress, Row, Stamp, Status, TenantId,
    Then, VppOptions, Work,
};

/// Whether no reading can tell what became of a row: a VPP action is told from older ones by the pin alone.
fn is_blind(kind: Kind, progress: &Progress) -> bool {
    kind == Kind::VppToken && progress.pin.is_none()
}

/// The columns of [`row`].
pub(super) const ROW: &str = "SELECT no, source, line, tenant, kind, id, cells, status, reason, run, options FROM items";

const EVENTS: &str = "SELECT item, at, what FROM events WHERE item BETWEEN ?1 AND ?2 ORDER BY item, n";

/// Items that are sent, each with its last event: it alone says whether an item is over for good.
pub(super) const WORK: &str = "SELECT no, kind, id, options, \
     (SELECT what FROM events WHERE item = items.no ORDER BY n DESC LIMIT 1), lane FROM items WHERE run = ?1";

/// Events that are sorted by their items, handed out item by item.
struct Replay<'a> {
    ledger: &'a Ledger,
    events: Rows<'a>,
}

impl<'a> Replay<'a> {
    fn new(ledger: &'a Ledger, events: rusqlite::Result<Rows<'a>>) -> Result<Self, LedgerError> {
        let mut events = ledger.sql("read", events)?;
        ledger.sql("read", events.advance())?;
        Ok(Self { ledger, events })
    }

    /// The next event of an item; those of items that were passed over are left out.
    fn next(&mut self, of: i64) -> Result<Option<Event>, LedgerError> {
        while let Some(row) = self.events.get() {
            let item: i64 = self.ledger.sql("read", row.get(0))?;
            if item > of {
                break;
            }
            let event = if item == of { Some(self.event(row, of)?) } else { None };
            self.ledger.sql("read", self.events.advance())?;
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    fn event(&self, row: &SqlRow<'_>, of: i64) -> Result<Event, LedgerError> {
        let read = || -> rusqlite::Result<(i64, &str)> { Ok((row.get(1)?, row.get_ref(2)?.as_str()?)) };
        let (at, text) = self.ledger.sql("read", read())?;
        let what = serde_json::from_str(text).map_err(|error| damaged(of, &error))?;
        Ok(Event { item: Some(ItemNo(of)), at: Stamp(at), what })
    }

    fn progress(&mut self, of: i64) -> Result<Progress, LedgerError> {
        let mut progress = Progress::default();
        while let Some(event) = self.next(of)? {
            progress.apply(&event).map_err(|error| damaged(of, &error))?;
        }
        Ok(progress)
    }
}

fn damaged(item: i64, error: &dyn std::error::Error) -> LedgerError {
    LedgerError::Damaged(format!("item {item}: {error}"))
}

impl Ledger {
    /// Every row of a run in the order of its input, with what became of it. Stops at the first error of `each`.
    pub fn rows<E: From<LedgerError>>(&self, run: RunNo, mut each: impl FnMut(Row) -> Result<(), E>) -> Result<(), E> {
        let range = "SELECT first_item, last_item FROM runs WHERE no = ?1";
        let range: (i64, i64) = self.sql("read", self.db.query_row(range, [run.0], |row| Ok((row.get(0)?, row.get(1)?))))?;
        let mut items = self.sql("read", self.db.prepare(&format!("{ROW} WHERE no BETWEEN ?1 AND ?2 ORDER BY no")))?;
        let mut events = self.sql("read", self.db.prepare(EVENTS))?;
        let mut items = self.sql("read", items.query([range.0, range.1]))?;
        let mut replay = Replay::new(self, events.query([range.0, range.1]))?;
        while let Some(item) = self.sql("read", items.next())? {
            let (no, mut row) = self.sql("read", row(item))?;
            row.progress = replay.progress(no)?;
            each(row)?;
        }
        Ok(())
    }

    /// How many items of a run a session could still finish: not settled yet, or settled for the time being.
    pub fn pending(&self, run: RunNo) -> Result<u64, LedgerError> {
        self.count(run, |Work { item, progress }| match progress.phase {
            // Neither a third time nor a reading without a pin would show more: that keeps no later run waiting.
            Phase::Settled(Status::Unconfirmed) if progress.exhausted || is_blind(item.kind, progress) => false,
            Phase::Settled(status) => status.class() == Class::Pending,
            Phase::Ready | Phase::InFlight | Phase::InDoubt | Phase::Confirming => true,
        })
    }

    /// How many of the items that a run sends are so, lane by lane in their order. Of those that are over for good only
    /// that is known.
    pub fn count(&self, run: RunNo, mut is_so: impl FnMut(&Work) -> bool) -> Result<u64, LedgerError> {
        let (tenants, mut count) = (self.run(run)?.tenants, 0);
        let mut items = self.sql("read", self.db.prepare(&format!("{WORK} AND lane IS NOT NULL ORDER BY lane, no")))?;
        let mut items = self.sql("read", items.query([run.0]))?;
        while let Some(row) = self.sql("read", items.next())? {
            let (tenant, _) = lane_parts(self.sql("read", row.get(5))?);
            let tenant = tenants.get(tenant).ok_or_else(|| LedgerError::Damaged("an item without a tenant".to_owned()))?;
            count += u64::from(is_so(&self.work(row, tenant.id)?));
        }
        Ok(count)
    }

    /// The items of a lane after a number, in their order, with what is known of them. Those that are over for good are
    /// among them, and of these only that is known: a run that is taken up again passes over many.
    pub(super) fn page(
        &self,
        (run, lane): (i64, u32),
        tenant: TenantId,
        after: ItemNo,
        limit: usize,
    ) -> Result<Vec<Work>, LedgerError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let query = format!("{WORK} AND lane = ?2 AND no > ?3 ORDER BY no LIMIT ?4");
        let mut items = self.sql("read", self.db.prepare_cached(&query))?;
        let mut items = self.sql("read", items.query(params![run, lane, after.0, limit]))?;
        let mut works = Vec::new();
        while let Some(row) = self.sql("read", items.next())? {
            works.push(self.work(row, tenant)?);
        }
        Ok(works)
    }

    /// An item that is sent, with what is known of it.
    pub(super) fn work(&self, row: &SqlRow<'_>, tenant: TenantId) -> Result<Work, LedgerError> {
        let read = || -> rusqlite::Result<_> { Ok((item(row, tenant)?, row.get_ref(4)?.as_str_or_null()?)) };
        let (item, last) = self.sql("read", read())?;
        let progress = match last.map(ended) {
            None => Progress::default(),
            Some(Some(status)) => Progress { phase: Phase::Settled(status), ..Progress::default() },
            Some(None) => fold(item.no.0, &self.events_of(item.no.0)?)?,
        };
        Ok(Work { item, progress })
    }

    /// What happened to one item, from the first on.
    pub(super) fn events_of(&self, item: i64) -> Result<Vec<Event>, LedgerError> {
        let mut events = self.sql("read", self.db.prepare_cached(EVENTS))?;
        let mut replay = Replay::new(self, events.query([item, item]))?;
        let mut all = Vec::new();
        while let Some(event) = replay.next(item)? {
            all.push(event);
        }
        Ok(all)
    }
}

/// As much of an event as says whether it settled its item; reading all of it would take most of the time.
#[derive(Deserialize)]
struct Last {
    reply: Option<After<Then>>,
    looked: Option<After<AfterLook>>,
    settled: Option<Settled>,
}

#[derive(Deserialize)]
struct After<T> {
    then: T,
}

#[derive(Deserialize)]
struct Settled {
    status: Status,
}

/// How an item is over for good, if this event made it so: none can follow that.
fn ended(what: &str) -> Option<Status> {
    let status = match serde_json::from_str(what).ok()? {
        Last { settled: Some(settled), .. } => settled.status,
        Last { reply: Some(After { then: Then::Settled { status, .. } }), .. } => status,
        Last { looked: Some(After { then: AfterLook::Settled(outcome) }), .. } => outcome.status,
        Last { .. } => return None,
    };
    Progress { phase: Phase::Settled(status), ..Progress::default() }.is_final().then_some(status)
}

/// What events make of an item.
pub(super) fn fold(item: i64, events: &[Event]) -> Result<Progress, LedgerError> {
    let mut progress = Progress::default();
    events.iter().try_for_each(|event| progress.apply(event)).map_err(|error| damaged(item, &error))?;
    Ok(progress)
}

/// A row of the plan, to which nothing has happened yet, and its number.
pub(super) fn row(row: &SqlRow<'_>) -> rusqlite::Result<(i64, Row)> {
    let disposition = match row.get::<_, Option<String>>(7)? {
        None => Disposition::Send,
        Some(status) => Disposition::Settled {
            status: status.parse().map_err(|error| unreadable(7, error))?,
            reason: row.get::<_, Option<String>>(8)?.unwrap_or_default(),
        },
    };
    let planned = Row {
        place: Place { source: row.get(1)?, line: row.get(2)? },
        tenant: row.get(3)?,
        kind: row.get::<_, Option<u32>>(4)?.map(|number| kind(number, 4)).transpose()?,
        id: row.get::<_, Option<[u8; 16]>>(5)?.map(id),
        options: options(row.get(10)?),
        cells: serde_json::from_str(row.get_ref(6)?.as_str()?).map_err(|error| unreadable(6, error))?,
        disposition,
        progress: Progress::default(),
    };
    Ok((row.get(0)?, planned))
}

pub(super) fn item(row: &SqlRow<'_>, tenant: TenantId) -> rusqlite::Result<Item> {
    Ok(Item { no: ItemNo(row.get(0)?), tenant, kind: kind(row.get(1)?, 1)?, id: id(row.get(2)?), options: options(row.get(3)?) })
}

const fn options(bits: u8) -> VppOptions {
    VppOptions { notify_managed_devices: bits & 1 != 0, revoke_untracked_licenses: bits & 2 != 0 }
}

fn kind(number: u32, column: usize) -> rusqlite::Result<Kind> {
    let kind = Kind::ALL.get(number as usize).copied();
    kind.ok_or_else(|| rusqlite::Error::IntegralValueOutOfRange(column, number.into()))
}

const fn id(bytes: [u8; 16]) -> ObjectId {
    ObjectId(uuid::Uuid::from_bytes(bytes))
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
