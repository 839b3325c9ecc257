//! Items with what became of them: plan and events are read side by side, so that memory does not grow with the run.

use rusqlite::{Row as SqlRow, Rows, params};

use super::error::LedgerError;
use super::open::{Ledger, RunNo};
use crate::model::{
    Class, Disposition, Event, Item, ItemNo, Kind, Phase, Place, Progress, Row, Stamp, Status, TenantId, VppOptions, Work,
};

/// Whether no reading can tell what became of a row: a VPP action is told from older ones by the pin alone.
fn is_blind(row: &Row) -> bool {
    row.kind == Some(Kind::VppToken) && row.progress.pin.is_none()
}

/// The columns of [`row`].
pub(super) const ROW: &str = "SELECT no, source, line, tenant, kind, id, cells, status, reason, run FROM items";

const EVENTS: &str = "SELECT item, at, what FROM events WHERE item BETWEEN ?1 AND ?2 ORDER BY item, n";

const PAGE: &str = "SELECT no, kind, id, options FROM items WHERE run = ?1 AND lane = ?2 AND no > ?3 ORDER BY no LIMIT ?4";

/// Item by item through the index: between two items of a lane there may be any number of other lanes' items.
const EVENTS_OF_PAGE: &str = "SELECT i.no, e.at, e.what FROM items i CROSS JOIN events e ON e.item = i.no \
     WHERE i.run = ?1 AND i.lane = ?2 AND i.no BETWEEN ?3 AND ?4 ORDER BY i.no, e.n";

/// Events that are sorted by their items, handed out item by item.
struct Replay<'a> {
    ledger: &'a Ledger,
    events: Rows<'a>,
    ahead: Option<(i64, i64, String)>,
}

impl<'a> Replay<'a> {
    fn new(ledger: &'a Ledger, events: rusqlite::Result<Rows<'a>>) -> Result<Self, LedgerError> {
        let mut replay = Self { ledger, events: ledger.sql("read", events)?, ahead: None };
        replay.step()?;
        Ok(replay)
    }

    fn step(&mut self) -> Result<(), LedgerError> {
        let mut next = || self.events.next()?.map(|row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).transpose();
        self.ahead = self.ledger.sql("read", next())?;
        Ok(())
    }

    /// The next event of an item; those of items that were passed over are left out.
    fn next(&mut self, of: i64) -> Result<Option<Event>, LedgerError> {
        while let Some((item, at, text)) = self.ahead.take_if(|(item, ..)| *item <= of) {
            self.step()?;
            if item == of {
                let what = serde_json::from_str(&text).map_err(|error| damaged(of, &error))?;
                return Ok(Some(Event { item: Some(ItemNo(of)), at: Stamp(at), what }));
            }
        }
        Ok(None)
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
        let mut count = 0;
        self.rows(run, |row| {
            let is_left = match row.progress.phase {
                // Neither a third time nor a reading without a pin would show more: that keeps no later run waiting.
                Phase::Settled(Status::Unconfirmed) if row.progress.exhausted || is_blind(&row) => false,
                Phase::Settled(status) => status.class() == Class::Pending,
                Phase::Ready | Phase::InFlight | Phase::InDoubt | Phase::Confirming => true,
            };
            count += u64::from(row.disposition == Disposition::Send && is_left);
            Ok::<(), LedgerError>(())
        })?;
        Ok(count)
    }

    /// The items of a lane after a number, in their order, with what is known of them; settled ones are among them.
    pub(super) fn page(
        &self,
        (run, lane): (i64, u32),
        tenant: TenantId,
        after: ItemNo,
        limit: usize,
    ) -> Result<Vec<Work>, LedgerError> {
        let read = || -> rusqlite::Result<Vec<Work>> {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let work = |row: &SqlRow<'_>| item(row, tenant).map(|item| Work { item, progress: Progress::default() });
            self.db.prepare_cached(PAGE)?.query_map(params![run, lane, after.0, limit], work)?.collect()
        };
        let mut works = self.sql("read", read())?;
        let [Some(first), Some(last)] = [works.first(), works.last()].map(|work| work.map(|work| work.item.no.0)) else {
            return Ok(works);
        };
        let mut events = self.sql("read", self.db.prepare_cached(EVENTS_OF_PAGE))?;
        let mut replay = Replay::new(self, events.query(params![run, lane, first, last]))?;
        for work in &mut works {
            work.progress = replay.progress(work.item.no.0)?;
        }
        Ok(works)
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
        Some(status) => {
            Disposition::Settled { status: parsed(&status, 7)?, reason: row.get::<_, Option<String>>(8)?.unwrap_or_default() }
        }
    };
    let text = |column: usize| row.get::<_, Option<String>>(column);
    let cells: String = row.get(6)?;
    let planned = Row {
        place: Place { source: row.get(1)?, line: row.get(2)? },
        tenant: row.get(3)?,
        kind: text(4)?.map(|kind| parsed(&kind, 4)).transpose()?,
        id: text(5)?.map(|id| parsed(&id, 5)).transpose()?,
        cells: serde_json::from_str(&cells).map_err(|error| unreadable(6, error))?,
        disposition,
        progress: Progress::default(),
    };
    Ok((row.get(0)?, planned))
}

fn item(row: &SqlRow<'_>, tenant: TenantId) -> rusqlite::Result<Item> {
    let options: u8 = row.get(3)?;
    Ok(Item {
        no: ItemNo(row.get(0)?),
        tenant,
        kind: parsed(row.get_ref(1)?.as_str()?, 1)?,
        id: parsed(row.get_ref(2)?.as_str()?, 2)?,
        options: VppOptions { notify_managed_devices: options & 1 != 0, revoke_untracked_licenses: options & 2 != 0 },
    })
}

fn parsed<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    text: &str,
    column: usize,
) -> rusqlite::Result<T> {
    text.parse().map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
