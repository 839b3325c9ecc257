//! Answers questions about the past: the runs, the rows of a report, the items still to be sent.

use rusqlite::{Row as SqlRow, params};

use super::error::LedgerError;
use super::open::{Ledger, RunNo};
use super::plan::head_text;
use crate::model::{
    Disposition, Event, Item, ItemNo, Kind, ObjectId, Place, Progress, Row, RunHeader, RunState, Stamp, TenantId, VppOptions,
    What, Work,
};

const HEADER: &str = "SELECT no, run, job, state, started_at, ended_at, tool, operator, ticket, root, authority, sources, tenants, \
     exit_code, head, events FROM runs";

const ITEMS: &str = "SELECT no, source, line, tenant, kind, id, name, cells, status, reason FROM items \
     WHERE no BETWEEN ?1 AND ?2 ORDER BY no";

const EVENTS: &str = "SELECT item, at, what FROM events WHERE item BETWEEN ?1 AND ?2 ORDER BY item, n";

const PAGE: &str = "SELECT no, kind, id, options FROM items WHERE run = ?1 AND lane = ?2 AND no > ?3 ORDER BY no LIMIT ?4";

/// A head as the table holds it, before its texts are read.
struct RawHeader {
    no: i64,
    header: RunHeader,
    state: String,
    sources: String,
    tenants: String,
}

impl Ledger {
    /// All runs, the newest first.
    pub fn runs(&self) -> Result<Vec<RunHeader>, LedgerError> {
        let read = || -> rusqlite::Result<Vec<RawHeader>> {
            self.db.prepare(&format!("{HEADER} ORDER BY no DESC"))?.query_map([], raw_header)?.collect()
        };
        self.sql("read", read())?.into_iter().map(|raw| self.header(raw).map(|(_, header)| header)).collect()
    }

    /// A run by its id, the start of its id, or the latest that sent anything.
    pub fn find(&self, wanted: Option<&str>) -> Result<(RunNo, RunHeader), LedgerError> {
        let by_id = "WHERE substr(run, 1, length(?1)) = ?1 ORDER BY run = ?1 DESC, no DESC LIMIT 2";
        let latest = "WHERE state IN ('running', 'ended') AND ?1 IS NULL ORDER BY no DESC LIMIT 1";
        let query = format!("{HEADER} {}", if wanted.is_some() { by_id } else { latest });
        let read = || -> rusqlite::Result<Vec<RawHeader>> { self.db.prepare(&query)?.query_map([wanted], raw_header)?.collect() };
        let mut found = self.sql("read", read())?.into_iter();
        let name = wanted.unwrap_or("latest");
        let first = found.next().ok_or_else(|| LedgerError::NoSuchRun(name.to_owned()))?;
        if found.next().is_some() && first.header.run != name {
            return Err(LedgerError::Ambiguous(name.to_owned()));
        }
        self.header(first)
    }

    /// The head of a run by its number.
    pub fn run(&self, run: RunNo) -> Result<RunHeader, LedgerError> {
        let query = format!("{HEADER} WHERE no = ?1");
        let raw = self.sql("read", self.db.query_row(&query, [run.0], raw_header))?;
        self.header(raw).map(|(_, header)| header)
    }

    fn header(&self, raw: RawHeader) -> Result<(RunNo, RunHeader), LedgerError> {
        let damaged = |error: serde_json::Error| LedgerError::Damaged(format!("run {}: {error}", raw.header.run));
        let mut header = RunHeader {
            state: serde_json::from_value(raw.state.into()).map_err(damaged)?,
            sources: serde_json::from_str(&raw.sources).map_err(damaged)?,
            tenants: serde_json::from_str(&raw.tenants).map_err(damaged)?,
            ..raw.header.clone()
        };
        let read = || -> rusqlite::Result<Vec<String>> {
            let mut query = self.db.prepare_cached("SELECT what FROM events WHERE run = ?1 AND item IS NULL ORDER BY n")?;
            query.query_map([raw.no], |row| row.get(0))?.collect()
        };
        for text in self.sql("read", read())? {
            match serde_json::from_str(&text).map_err(damaged)? {
                What::TenantStopped(stop) => header.tenant_stops.push(stop),
                What::Ended { stopped_by } => header.stopped_by = stopped_by,
                What::Intent { .. } | What::Released | What::Reply(_) | What::Settled { .. } => {
                    return Err(LedgerError::Damaged(format!("run {}: an event without its item", header.run)));
                }
            }
        }
        Ok((RunNo(raw.no), header))
    }

    /// Every row of a run in the order of its input, with what became of it. Stops at the first error of `each`.
    pub fn rows<E: From<LedgerError>>(&self, run: RunNo, mut each: impl FnMut(Row) -> Result<(), E>) -> Result<(), E> {
        let range = "SELECT first_item, last_item FROM runs WHERE no = ?1";
        let range: (i64, i64) = self.sql("read", self.db.query_row(range, [run.0], |row| Ok((row.get(0)?, row.get(1)?))))?;
        let mut items = self.sql("read", self.db.prepare(ITEMS))?;
        let mut events = self.sql("read", self.db.prepare(EVENTS))?;
        let mut items = self.sql("read", items.query([range.0, range.1]))?;
        let mut events = self.sql("read", events.query([range.0, range.1]))?;
        let mut event = self.sql("read", next_event(&mut events))?;
        while let Some(item) = self.sql("read", items.next())? {
            let (no, mut row) = self.sql("read", report_row(item))?;
            while let Some((of, at, text)) = event.take_if(|(of, ..)| *of <= no) {
                if of == no {
                    let what =
                        serde_json::from_str(&text).map_err(|error| LedgerError::Damaged(format!("item {no}: {error}")))?;
                    let event = Event { item: Some(ItemNo(no)), at: Stamp(at), what };
                    row.progress.apply(&event).map_err(LedgerError::from)?;
                }
                event = self.sql("read", next_event(&mut events))?;
            }
            each(row)?;
        }
        Ok(())
    }
}

fn next_event(rows: &mut rusqlite::Rows<'_>) -> rusqlite::Result<Option<(i64, i64, String)>> {
    rows.next()?.map(|row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).transpose()
}

fn raw_header(row: &SqlRow<'_>) -> rusqlite::Result<RawHeader> {
    let header = RunHeader {
        run: row.get(1)?,
        job: row.get(2)?,
        state: RunState::Planned,
        started_at: Stamp(row.get(4)?),
        ended_at: row.get::<_, Option<i64>>(5)?.map(Stamp),
        tool: row.get(6)?,
        operator: row.get(7)?,
        ticket: row.get(8)?,
        root: row.get(9)?,
        authority: row.get(10)?,
        sources: Vec::new(),
        tenants: Vec::new(),
        stopped_by: None,
        tenant_stops: Vec::new(),
        exit_code: row.get(13)?,
        head: head_text(&row.get::<_, Vec<u8>>(14)?),
        events: u64::try_from(row.get::<_, i64>(15)?).unwrap_or(0),
    };
    Ok(RawHeader { no: row.get(0)?, header, state: row.get(3)?, sources: row.get(11)?, tenants: row.get(12)? })
}

fn report_row(row: &SqlRow<'_>) -> rusqlite::Result<(i64, Row)> {
    let disposition = match row.get::<_, Option<String>>(8)? {
        None => Disposition::Send,
        Some(status) => {
            Disposition::Settled { status: parsed(&status, 8)?, reason: row.get::<_, Option<String>>(9)?.unwrap_or_default() }
        }
    };
    let cells: String = row.get(7)?;
    Ok((
        row.get(0)?,
        Row {
            place: Place { source: row.get(1)?, line: row.get(2)? },
            tenant: row.get(3)?,
            kind: row.get::<_, Option<String>>(4)?.map(|kind| parsed::<Kind>(&kind, 4)).transpose()?,
            id: row.get::<_, Option<String>>(5)?.map(|id| parsed::<ObjectId>(&id, 5)).transpose()?,
            name: row.get(6)?,
            cells: serde_json::from_str(&cells).map_err(|error| unreadable(7, error))?,
            disposition,
            progress: Progress::default(),
        },
    ))
}

/// The items of a lane after a number, in their order.
pub(super) fn page(
    ledger: &Ledger,
    (run, lane): (i64, u32),
    tenant: TenantId,
    after: ItemNo,
    limit: usize,
) -> Result<Vec<Work>, LedgerError> {
    let work = |row: &SqlRow<'_>| {
        let options: u8 = row.get(3)?;
        let item = Item {
            no: ItemNo(row.get(0)?),
            tenant,
            kind: parsed(row.get_ref(1)?.as_str()?, 1)?,
            id: parsed(row.get_ref(2)?.as_str()?, 2)?,
            options: VppOptions { notify_managed_devices: options & 1 != 0, revoke_untracked_licenses: options & 2 != 0 },
        };
        Ok(Work { item, progress: Progress::default() })
    };
    let read = || -> rusqlite::Result<Vec<Work>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        ledger.db.prepare_cached(PAGE)?.query_map(params![run, lane, after.0, limit], work)?.collect()
    };
    ledger.sql("read", read())
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
