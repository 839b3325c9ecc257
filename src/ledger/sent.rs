//! How much was sent a day back, in any run: what the guards ask.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension as _, params};

use super::error::LedgerError;
use super::open::{Ledger, RunNo};
use crate::model::{Stamp, TenantId};

/// Events of several runs, and those written after a clock was set back, are not in the order of their times. An hour
/// earlier than asked for, the search is over.
const DISORDER: i64 = 3_600_000;

/// The last event that is old enough for all before it to be.
const BEFORE: &str = "SELECT n FROM events WHERE at < ?1 ORDER BY n DESC LIMIT 1";

/// Items with an intent that was neither held back nor failed to leave: the event after an intent tells. Both are known
/// by how their texts begin, because reading a day's events in full would take ten times as long.
const SENT: &str = r#"
SELECT i.run, i.tenant, count(*) FROM (
  SELECT DISTINCT item FROM events AS e NOT INDEXED
  WHERE n > ?1 AND at >= ?2 AND what GLOB '{"intent":*' AND NOT coalesce((
    SELECT what = '"released"' OR what GLOB '{"reply":{"reached":"not_sent",*'
    FROM events WHERE item = e.item AND n > e.n ORDER BY n LIMIT 1), 0)
) AS s CROSS JOIN items AS i ON i.no = s.item
WHERE i.run IN (SELECT no FROM runs WHERE state IN ('running', 'ended'))
GROUP BY i.run, i.tenant"#;

impl Ledger {
    /// How many items of each tenant were sent since then, as far as the service may have heard of it. One that was
    /// sent several times in a run counts once.
    pub fn sent_since(&self, since: Stamp) -> Result<BTreeMap<TenantId, u64>, LedgerError> {
        let before = self.db.query_row(BEFORE, [since.0.saturating_sub(DISORDER)], |row| row.get::<_, i64>(0)).optional();
        let before = self.sql("read", before)?.unwrap_or(0);
        let read = || -> rusqlite::Result<Vec<(i64, u32, i64)>> {
            let mut query = self.db.prepare(SENT)?;
            query.query_map(params![before, since.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
        };
        let mut sent = BTreeMap::new();
        for (run, tenant, items) in self.sql("read", read())? {
            let header = self.run(RunNo(run))?;
            let tenant =
                header.tenants.get(tenant as usize).ok_or_else(|| LedgerError::Damaged("an item without a tenant".to_owned()))?;
            *sent.entry(tenant.id).or_default() += items.unsigned_abs();
        }
        Ok(sent)
    }
}
