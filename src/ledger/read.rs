//! Answers questions about runs: which there are, how far they came, what they have to send.

use rusqlite::{Params, Row as SqlRow};

use super::chain;
use super::error::LedgerError;
use super::open::{Ledger, RunNo};
use super::plan::lane_parts;
use crate::model::{ItemNo, Lane, RunHeader, RunState, Spent, Stamp, What};

const HEADER: &str = "SELECT no, run, job, state, started_at, ended_at, tool, operator, ticket, root, authority, sources, tenants, \
     pending, exit_code, head, events, justification, sealed, to_send, reissued FROM runs";

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
        self.raw("ORDER BY no DESC", [])?.into_iter().map(|raw| self.header(raw).map(|(_, header)| header)).collect()
    }

    /// A run by its id, the start of its id, or the latest that sent anything.
    pub fn find(&self, wanted: Option<&str>) -> Result<(RunNo, RunHeader), LedgerError> {
        let by_id = "WHERE substr(run, 1, length(?1)) = ?1 ORDER BY run = ?1 DESC, no DESC LIMIT 2";
        let latest = "WHERE state IN ('running', 'ended') AND ?1 IS NULL ORDER BY no DESC LIMIT 1";
        let mut found = self.raw(if wanted.is_some() { by_id } else { latest }, [wanted])?.into_iter();
        let name = wanted.unwrap_or("latest");
        let first = found.next().ok_or_else(|| LedgerError::NoSuchRun(name.to_owned()))?;
        if found.next().is_some() && first.header.run != name {
            return Err(LedgerError::Ambiguous(name.to_owned()));
        }
        self.header(first)
    }

    /// The latest run that is not finished: killed, or ended with something left to do. Of a job, only its last run
    /// counts: what an earlier one left undone, a later one has taken up.
    pub fn unfinished(&self, job: Option<&str>) -> Result<Option<(RunNo, RunHeader)>, LedgerError> {
        let query = "WHERE (state = 'running' OR state = 'ended' AND pending > 0) AND (?1 IS NULL \
             OR no = (SELECT max(no) FROM runs WHERE job = ?1 AND state IN ('running', 'ended'))) ORDER BY no DESC LIMIT 1";
        self.raw(query, [job])?.pop().map(|raw| self.header(raw)).transpose()
    }

    /// A job's last run that had anything to send.
    pub fn last_sent(&self, job: &str) -> Result<Option<RunHeader>, LedgerError> {
        let query = "WHERE job = ?1 AND state IN ('running', 'ended') AND to_send > 0 ORDER BY no DESC LIMIT 1";
        self.raw(query, [job])?.pop().map(|raw| self.header(raw).map(|(_, header)| header)).transpose()
    }

    /// The run that carried out the sealed plan with this fingerprint, or is about to.
    pub fn carried_out(&self, fingerprint: &str) -> Result<Option<RunHeader>, LedgerError> {
        let query = "WHERE sealed = ?1 AND state IN ('running', 'ended') ORDER BY no DESC LIMIT 1";
        let found = self.raw(query, [fingerprint])?.pop();
        found.map(|raw| self.header(raw).map(|(_, header)| header)).transpose()
    }

    /// The head of a run by its number.
    pub fn run(&self, run: RunNo) -> Result<RunHeader, LedgerError> {
        let found = self.raw("WHERE no = ?1", [run.0])?.pop();
        found.ok_or_else(|| LedgerError::NoSuchRun(run.0.to_string())).and_then(|raw| self.header(raw)).map(|(_, header)| header)
    }

    /// What a run has to send, whatever became of it since.
    pub fn lanes(&self, run: RunNo) -> Result<Vec<Lane>, LedgerError> {
        let tenants = self.run(run)?.tenants;
        let query = "SELECT lane, count(*) FROM items WHERE run = ?1 AND lane IS NOT NULL GROUP BY lane ORDER BY lane";
        let read = || -> rusqlite::Result<Vec<(u32, i64)>> {
            self.db.prepare(query)?.query_map([run.0], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        let lane = |(number, items): (u32, i64)| {
            let (tenant, service) = lane_parts(number);
            let tenant = tenants.get(tenant).ok_or_else(|| LedgerError::Damaged(format!("lane {number} has no tenant")))?.id;
            Ok(Lane { tenant, service, after: ItemNo(0), items: items.unsigned_abs() })
        };
        self.sql("read", read())?.into_iter().map(lane).collect()
    }

    fn raw(&self, which: &str, parameters: impl Params) -> Result<Vec<RawHeader>, LedgerError> {
        let read = || -> rusqlite::Result<Vec<RawHeader>> {
            self.db.prepare(&format!("{HEADER} {which}"))?.query_map(parameters, raw_header)?.collect()
        };
        self.sql("read", read())
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
                What::Bound { tenant, app } => {
                    header.tenants.iter_mut().filter(|row| row.id == tenant).for_each(|row| row.app.clone_from(&app));
                }
                What::Ended { stopped_by, spent } => {
                    header.stopped_by = stopped_by;
                    header.spent += *spent;
                }
                What::Resumed { justification, .. } => {
                    header.justification = justification.or(header.justification);
                    header.tenant_stops.clear();
                    header.stopped_by = None;
                }
                What::Intent { .. }
                | What::Released
                | What::Reply(_)
                | What::Looked(_)
                | What::Settled { .. }
                | What::Ruled(_) => {
                    return Err(LedgerError::Damaged(format!("run {}: an event without its item", header.run)));
                }
            }
        }
        Ok((RunNo(raw.no), header))
    }
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
        justification: row.get(17)?,
        sealed: row.get(18)?,
        reissued: row.get(20)?,
        root: row.get(9)?,
        authority: row.get(10)?,
        sources: Vec::new(),
        tenants: Vec::new(),
        stopped_by: None,
        tenant_stops: Vec::new(),
        spent: Spent::default(),
        to_send: u64::try_from(row.get::<_, i64>(19)?).unwrap_or(0),
        pending: u64::try_from(row.get::<_, i64>(13)?).unwrap_or(0),
        exit_code: row.get(14)?,
        head: chain::hex(&row.get::<_, Vec<u8>>(15)?),
        events: u64::try_from(row.get::<_, i64>(16)?).unwrap_or(0),
    };
    Ok(RawHeader { no: row.get(0)?, header, state: row.get(3)?, sources: row.get(11)?, tenants: row.get(12)? })
}
