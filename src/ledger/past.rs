//! What earlier runs did to an object.

use std::collections::BTreeMap;

use rusqlite::{Params, params};

use super::error::LedgerError;
use super::open::{Ledger, RunNo};
use super::replay::{ROW, fold, row};
use crate::model::{Event, ItemNo, ObjectId, Reached, Row, RunHeader, RunState, Stamp, Status, TenantRow, What};

/// An object in a row of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// The run.
    pub header: RunHeader,
    /// The row's tenant, where known.
    pub tenant: Option<TenantRow>,
    /// The row, with what became of it.
    pub row: Row,
    /// What happened to it, from the first on.
    pub events: Vec<Event>,
}

/// The VPP tokens that a run sends.
const TOKENS: &str = "SELECT no, tenant, id FROM items WHERE run = ?1 AND lane IS NOT NULL AND kind = 2 ORDER BY no";

/// The rows of other runs that name a VPP token: only these have an index, which knows them by this very number.
pub(super) const TOKEN_ELSEWHERE: &str = "kind = 2 AND id = ?1 AND run <> ?2";

/// The heads of the runs that were met so far.
type Heads = BTreeMap<i64, RunHeader>;

impl Ledger {
    /// Every row that names the object, in the order of the runs, the oldest first, and of their input.
    pub fn history(&self, id: ObjectId) -> Result<Vec<Past>, LedgerError> {
        // A person asks this, of one object, and the whole table is read: an index of all ids would cost every plan
        // more than the rest of its writing.
        self.pasts("id = ?1", [id.0.as_bytes()], &mut Heads::new())
    }

    /// The VPP items that this run is to send and another run sent at or after `since`, with success as far as it
    /// knew: the id of the run that did so last, and when.
    pub fn recently_revoked(&self, run: RunNo, since: Stamp) -> Result<Vec<(ItemNo, String, Stamp)>, LedgerError> {
        let header = self.run(run)?;
        let (mut heads, mut found) = (Heads::new(), Vec::new());
        let mut tokens = self.sql("read", self.db.prepare(TOKENS))?;
        let mut tokens = self.sql("read", tokens.query([run.0]))?;
        while let Some(row) = self.sql("read", tokens.next())? {
            let read = || -> rusqlite::Result<(i64, u32, [u8; 16])> { Ok((row.get(0)?, row.get(1)?, row.get(2)?)) };
            let (no, tenant, id) = self.sql("read", read())?;
            let tenant = header.tenants.get(tenant as usize).map(|tenant| tenant.id);
            let sent = self.pasts(TOKEN_ELSEWHERE, params![id, run.0], &mut heads)?.into_iter().filter_map(|past| {
                let is_same = past.tenant.as_ref().map(|tenant| tenant.id) == tenant;
                let is_sent = matches!(past.header.state, RunState::Running | RunState::Ended);
                let is_revoked = matches!(past.row.progress.status(), Status::Revoked | Status::Accepted | Status::Unconfirmed);
                let at = last_sent(&past.events).filter(|at| *at >= since)?;
                (is_same && is_sent && is_revoked).then_some((ItemNo(no), past.header.run, at))
            });
            found.extend(sent.max_by_key(|(.., at)| *at));
        }
        Ok(found)
    }

    fn pasts(&self, which: &str, parameters: impl Params, heads: &mut Heads) -> Result<Vec<Past>, LedgerError> {
        let read = || -> rusqlite::Result<Vec<(i64, (i64, Row))>> {
            let mut query = self.db.prepare_cached(&format!("{ROW} WHERE {which} ORDER BY no"))?;
            query.query_map(parameters, |found| Ok((found.get(9)?, row(found)?)))?.collect()
        };
        let mut pasts = Vec::new();
        for (run, (no, mut row)) in self.sql("read", read())? {
            let header = match heads.get(&run) {
                Some(header) => header.clone(),
                None => heads.entry(run).or_insert(self.run(RunNo(run))?).clone(),
            };
            let events = self.events_of(no)?;
            row.progress = fold(no, &events)?;
            pasts.push(Past { tenant: tenant(&header, &row).cloned(), header, row, events });
        }
        Ok(pasts)
    }
}

fn tenant<'a>(header: &'a RunHeader, row: &Row) -> Option<&'a TenantRow> {
    row.tenant.and_then(|index| header.tenants.get(index as usize))
}

/// When the last request left that may have reached the service.
fn last_sent(events: &[Event]) -> Option<Stamp> {
    let (mut answered, mut open) = (None, None);
    for event in events {
        match &event.what {
            What::Intent { .. } => open = Some(event.at),
            What::Released => open = None,
            What::Reply(reply) => {
                open = None;
                if reply.reached != Reached::NotSent {
                    answered = Some(reply.sent_at);
                }
            }
            What::Looked(_)
            | What::Settled { .. }
            | What::Ruled(_)
            | What::TenantStopped(_)
            | What::Bound { .. }
            | What::Resumed { .. }
            | What::Ended { .. } => {}
        }
    }
    open.or(answered)
}
