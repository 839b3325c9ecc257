//! Writes a run and its items: one transaction, so that a run killed while it is planned does not exist.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, params, params_from_iter};

use super::chain::PlanHash;
use super::error::LedgerError;
use super::open::{Ledger, RunNo};
use super::schema::ITEM_COLUMNS;
use crate::model::{Disposition, ItemNo, Kind, Lane, PlannedRow, RunState, Service, SourceRow, Stamp, TenantRow};

const INSERT_RUN: &str = "INSERT INTO runs (run, job, state, started_at, tool, operator, ticket, justification, sealed, reissued, root, \
     authority, sources, tenants, first_item, last_item, plan, head, events) \
     VALUES (?1, ?2, 'planned', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, '[]', '[]', 0, 0, x'', x'', 0)";

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
    /// For tenants that ask for one before they let a second administrator decide.
    pub justification: Option<String>,
    /// The fingerprint of the sealed plan that it carries out.
    pub sealed: Option<String>,
    /// Whether that plan sends tokens that were re-issued since it was made.
    pub reissued: bool,
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
    hash: PlanHash,
    insert: String,
    /// Of the row that is being written, as JSON.
    cells: Vec<u8>,
    committed: bool,
}

impl Ledger {
    /// Begins a run.
    pub fn plan(&mut self, new: &NewRun) -> Result<PlanWriter<'_>, LedgerError> {
        self.sql("write", self.db.execute_batch("BEGIN IMMEDIATE"))?;
        let insert = format!("INSERT INTO items ({ITEM_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)");
        let (hash, cells) = (PlanHash::default(), Vec::new());
        let mut writer = PlanWriter { ledger: self, run: 0, first: 0, next: 0, hash, insert, cells, committed: false };
        writer.begin(new)?;
        Ok(writer)
    }
}

impl PlanWriter<'_> {
    fn begin(&mut self, new: &NewRun) -> Result<(), LedgerError> {
        let db = &self.ledger.db;
        let NewRun { run, job, started_at, tool, operator, ticket, justification, sealed, reissued, root, authority } = new;
        let row = params![run, job, started_at.0, tool, operator, ticket, justification, sealed, reissued, root, authority];
        self.ledger.sql("write", db.execute(INSERT_RUN, row))?;
        self.run = db.last_insert_rowid();
        let last: i64 = self.ledger.sql("read", db.query_row("SELECT coalesce(max(no), 0) FROM items", [], |row| row.get(0)))?;
        self.first = last + 1;
        self.next = self.first;
        Ok(())
    }

    /// Adds a row.
    pub fn add(&mut self, row: &PlannedRow) -> Result<ItemNo, LedgerError> {
        self.cells.clear();
        serde_json::to_writer(&mut self.cells, &row.cells).map_err(|error| LedgerError::Damaged(error.to_string()))?;
        let lane = match (&row.disposition, row.tenant, row.kind) {
            (Disposition::Send, Some(tenant), Some(kind)) => Some(lane_number(tenant, kind.facts().service)),
            _ => None,
        };
        let (status, reason) = match &row.disposition {
            Disposition::Send => (None, None),
            Disposition::Settled { status, reason } => (Some(status.name()), Some(reason.as_str())),
        };
        let options = u8::from(row.options.notify_managed_devices) | u8::from(row.options.revoke_untracked_licenses) << 1;
        let no = self.next;
        let number = |number: Option<u32>| number.map_or(ValueRef::Null, |number| ValueRef::Integer(number.into()));
        // In the order of the columns.
        let values: [ValueRef<'_>; 12] = [
            ValueRef::Integer(no),
            ValueRef::Integer(self.run),
            number(Some(row.place.source)),
            number(Some(row.place.line)),
            number(row.tenant),
            number(row.kind.map(kind_number)),
            row.id.as_ref().map_or(ValueRef::Null, |id| ValueRef::Blob(id.0.as_bytes())),
            ValueRef::Integer(options.into()),
            number(lane),
            status.into(),
            reason.into(),
            ValueRef::Text(&self.cells),
        ];
        for value in values {
            self.hash.value(value);
        }
        let insert =
            |db: &Connection| db.prepare_cached(&self.insert)?.execute(params_from_iter(values.map(ToSqlOutput::Borrowed)));
        self.ledger.sql("write", insert(&self.ledger.db))?;
        self.next += 1;
        Ok(ItemNo(no))
    }

    /// Makes the run and all its items visible and durable.
    pub fn commit(mut self, sources: &[SourceRow], tenants: &[TenantRow]) -> Result<Planned, LedgerError> {
        let json = |error: serde_json::Error| LedgerError::Damaged(error.to_string());
        let (sources, names) = (serde_json::to_string(sources).map_err(json)?, serde_json::to_string(tenants).map_err(json)?);
        let mut complete = || -> rusqlite::Result<()> {
            let db = &self.ledger.db;
            let update = "UPDATE runs SET sources = ?2, tenants = ?3, first_item = ?4, last_item = ?5 WHERE no = ?1";
            db.execute(update, params![self.run, sources, names, self.first, self.next - 1])?;
            let hash = std::mem::take(&mut self.hash).finish(db, self.run)?;
            db.execute("UPDATE runs SET plan = ?2, head = ?2 WHERE no = ?1", params![self.run, hash]).map(drop)
        };
        self.ledger.sql("write", complete())?;
        let lanes = self.ledger.lanes(RunNo(self.run))?;
        self.ledger.sql("write", self.ledger.db.execute_batch("COMMIT"))?;
        self.committed = true;
        let rows = u64::try_from(self.next - self.first).unwrap_or(0);
        Ok(Planned { no: RunNo(self.run), lanes, rows })
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
    let place = (0..).zip(Service::ALL).find_map(|(place, other)| (other == service).then_some(place));
    tenant * services + place.unwrap_or(0)
}

/// A kind's number: its place among all of them.
pub(super) const fn kind_number(kind: Kind) -> u32 {
    kind as u32
}

/// The tenant's index and the service of a lane's number.
pub(super) fn lane_parts(number: u32) -> (usize, Service) {
    let (number, services) = (number as usize, Service::ALL.len());
    (number / services, Service::ALL[number % services])
}

impl Ledger {
    /// Says how far a run came that has not ended, or has not ended again.
    pub fn set_state(&self, run: RunNo, state: RunState) -> Result<(), LedgerError> {
        let update = "UPDATE runs SET state = ?2, ended_at = NULL, exit_code = NULL WHERE no = ?1";
        self.sql("write", self.db.execute(update, params![run.0, state_name(state)])).map(drop)
    }

    /// Notes that a run came to its end, and how many items are still to be finished.
    pub fn end_run(&self, run: RunNo, state: RunState, at: Stamp, pending: u64) -> Result<(), LedgerError> {
        let update = "UPDATE runs SET state = ?2, ended_at = ?3, pending = ?4 WHERE no = ?1";
        let pending = i64::try_from(pending).unwrap_or(i64::MAX);
        self.sql("write", self.db.execute(update, params![run.0, state_name(state), at.0, pending])).map(drop)
    }

    /// Notes how many items a run is about to send.
    pub fn set_to_send(&self, run: RunNo, items: u64) -> Result<(), LedgerError> {
        let items = i64::try_from(items).unwrap_or(i64::MAX);
        self.sql("write", self.db.execute("UPDATE runs SET to_send = ?2 WHERE no = ?1", params![run.0, items])).map(drop)
    }

    /// Notes the exit code that was derived from what became of a run's items.
    pub fn set_exit_code(&self, run: RunNo, code: u8) -> Result<(), LedgerError> {
        let update = "UPDATE runs SET exit_code = ?2 WHERE no = ?1";
        self.sql("write", self.db.execute(update, params![run.0, code])).map(drop)
    }
}

const fn state_name(state: RunState) -> &'static str {
    match state {
        RunState::Planned => "planned",
        RunState::Dry => "dry",
        RunState::Refused => "refused",
        RunState::Running => "running",
        RunState::Ended => "ended",
    }
}
