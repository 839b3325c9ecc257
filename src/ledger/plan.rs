//! Writes a run and its items: one transaction, so that a run killed while it is planned does not exist.

use std::collections::BTreeMap;

use rusqlite::params;

use super::chain::{self, Hash, PlanHash};
use super::error::LedgerError;
use super::open::{Ledger, RunNo};
use crate::model::{Disposition, ItemNo, Kind, Lane, PlannedRow, RunState, Service, SourceRow, Stamp, TenantRow};

const INSERT_RUN: &str = "INSERT INTO runs (run, job, state, started_at, tool, operator, ticket, root, authority, sources, \
     tenants, first_item, last_item, head, events) VALUES (?1, ?2, 'planned', ?3, ?4, ?5, ?6, ?7, ?8, '[]', '[]', 0, 0, x'', 0)";

const INSERT_ITEM: &str = "INSERT INTO items (no, run, source, line, tenant, kind, id, options, lane, status, reason, cells) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

/// What is known of a run before its lists are read.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its id, unique in the ledger.
    pub run: String,
    /// The job's name.
    pub job: String,
    /// When it began.
    pub started_at: Stamp,
    /// Version of this program.
    pub tool: String,
    /// Who started it.
    pub operator: String,
    /// A change number or the like.
    pub ticket: Option<String>,
    /// Graph's root that it is bound to.
    pub root: String,
    /// The authority that it is bound to.
    pub authority: String,
}

/// A run whose items are in the ledger.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its number.
    pub no: RunNo,
    /// What is to be sent.
    pub lanes: Vec<Lane>,
    /// How many rows it has, whatever becomes of them.
    pub rows: u64,
}

/// A run that is being written. Dropped without [`Self::commit`], it never was.
#[derive(Debug)]
pub struct PlanWriter<'a> {
    ledger: &'a mut Ledger,
    run: i64,
    first: i64,
    next: i64,
    hash: Option<PlanHash>,
    lanes: BTreeMap<u32, u64>,
    committed: bool,
}

impl std::fmt::Debug for PlanHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlanHash")
    }
}

impl Ledger {
    /// Begins a run.
    pub fn plan(&mut self, new: &NewRun) -> Result<PlanWriter<'_>, LedgerError> {
        self.sql("write", self.db.execute_batch("BEGIN IMMEDIATE"))?;
        let mut writer =
            PlanWriter { ledger: self, run: 0, first: 0, next: 0, hash: None, lanes: BTreeMap::new(), committed: false };
        writer.begin(new)?;
        Ok(writer)
    }
}

impl PlanWriter<'_> {
    fn begin(&mut self, new: &NewRun) -> Result<(), LedgerError> {
        let db = &self.ledger.db;
        let row = params![new.run, new.job, new.started_at.0, new.tool, new.operator, new.ticket, new.root, new.authority];
        self.ledger.sql("write", db.execute(INSERT_RUN, row))?;
        self.run = db.last_insert_rowid();
        let last: i64 = self.ledger.sql("read", db.query_row("SELECT coalesce(max(no), 0) FROM items", [], |row| row.get(0)))?;
        self.first = last + 1;
        self.next = self.first;
        self.hash = Some(PlanHash::new(&new.run));
        Ok(())
    }

    /// Adds a row.
    pub fn add(&mut self, row: &PlannedRow) -> Result<ItemNo, LedgerError> {
        let cells = serde_json::to_string(&row.cells).map_err(|error| LedgerError::Damaged(error.to_string()))?;
        if let Some(hash) = &mut self.hash {
            hash.row(row, &cells);
        }
        let lane = match (&row.disposition, row.tenant, row.kind) {
            (Disposition::Send, Some(tenant), Some(kind)) => Some(lane_number(tenant, kind.facts().service)),
            _ => None,
        };
        if let Some(lane) = lane {
            *self.lanes.entry(lane).or_default() += 1;
        }
        let (status, reason) = match &row.disposition {
            Disposition::Send => (None, None),
            Disposition::Settled { status, reason } => (Some(status.name()), Some(reason.as_str())),
        };
        let options = u8::from(row.options.notify_managed_devices) | u8::from(row.options.revoke_untracked_licenses) << 1;
        let no = self.next;
        let insert = |db: &rusqlite::Connection| {
            db.prepare_cached(INSERT_ITEM)?.execute(params![
                no,
                self.run,
                row.place.source,
                row.place.line,
                row.tenant,
                row.kind.map(Kind::name),
                row.id.map(|id| id.to_string()),
                options,
                lane,
                status,
                reason,
                cells
            ])
        };
        self.ledger.sql("write", insert(&self.ledger.db))?;
        self.next += 1;
        Ok(ItemNo(no))
    }

    /// Makes the run and all its items visible and durable.
    pub fn commit(mut self, sources: &[SourceRow], tenants: &[TenantRow]) -> Result<Planned, LedgerError> {
        let json = |error: serde_json::Error| LedgerError::Damaged(error.to_string());
        let (sources, names) = (serde_json::to_string(sources).map_err(json)?, serde_json::to_string(tenants).map_err(json)?);
        let head: Hash = self.hash.take().map(PlanHash::finish).unwrap_or_default();
        let update = "UPDATE runs SET sources = ?2, tenants = ?3, first_item = ?4, last_item = ?5, head = ?6 WHERE no = ?1";
        let row = params![self.run, sources, names, self.first, self.next - 1, head];
        self.ledger.sql("write", self.ledger.db.execute(update, row))?;
        self.ledger.sql("write", self.ledger.db.execute_batch("COMMIT"))?;
        self.committed = true;
        let lanes = self.lanes.iter().filter_map(|(&number, &items)| {
            let tenant = tenants.get(number as usize / Service::ALL.len())?.id;
            Some(Lane { tenant, service: Service::ALL[number as usize % Service::ALL.len()], items })
        });
        let rows = u64::try_from(self.next - self.first).unwrap_or(0);
        Ok(Planned { no: RunNo(self.run), lanes: lanes.collect(), rows })
    }
}

impl Drop for PlanWriter<'_> {
    fn drop(&mut self) {
        if !self.committed {
            // If even this fails, closing the connection rolls back.
            let _ = self.ledger.db.execute_batch("ROLLBACK");
        }
    }
}

/// A lane's number in its run: tenants in the run's order, services in theirs.
pub(super) fn lane_number(tenant: u32, service: Service) -> u32 {
    let services = u32::try_from(Service::ALL.len()).unwrap_or(u32::MAX);
    let place = Service::ALL.iter().position(|other| *other == service).and_then(|place| u32::try_from(place).ok());
    tenant * services + place.unwrap_or(0)
}

impl Ledger {
    /// Says how far a run came.
    pub fn set_state(&self, run: RunNo, state: RunState) -> Result<(), LedgerError> {
        let update = "UPDATE runs SET state = ?2 WHERE no = ?1";
        self.sql("write", self.db.execute(update, params![run.0, state_name(state)])).map(|_| ())
    }

    /// Notes that a run came to its end.
    pub fn end_run(&self, run: RunNo, state: RunState, at: Stamp) -> Result<(), LedgerError> {
        let update = "UPDATE runs SET state = ?2, ended_at = ?3 WHERE no = ?1";
        self.sql("write", self.db.execute(update, params![run.0, state_name(state), at.0])).map(|_| ())
    }

    /// Notes the exit code that was derived from what became of a run's items.
    pub fn set_exit_code(&self, run: RunNo, code: u8) -> Result<(), LedgerError> {
        let update = "UPDATE runs SET exit_code = ?2 WHERE no = ?1";
        self.sql("write", self.db.execute(update, params![run.0, code])).map(|_| ())
    }
}

pub(super) const fn state_name(state: RunState) -> &'static str {
    match state {
        RunState::Planned => "planned",
        RunState::Dry => "dry",
        RunState::Refused => "refused",
        RunState::Running => "running",
        RunState::Ended => "ended",
    }
}

/// The chain's hash as people compare it.
pub(super) fn head_text(head: &[u8]) -> String {
    chain::hex(head)
}
