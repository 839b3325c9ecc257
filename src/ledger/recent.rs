//! What was sent a short while ago, in any run: the service still counts it.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use rusqlite::Row as SqlRow;

use super::error::LedgerError;
use super::open::{Ledger, RunNo};
use super::plan::lane_parts;
use crate::exec::{Counted, Stream};
use crate::model::{Reached, RunHeader, Service, Stamp, TenantRow, Then, What};

const LATEST: &str = "SELECT e.item, e.at, e.what, i.run, i.lane FROM events e JOIN items i ON i.no = e.item \
     WHERE i.lane IS NOT NULL ORDER BY e.n DESC";

/// A stored event of an item that is sent, and where it belongs.
struct Happened {
    item: i64,
    at: Stamp,
    what: What,
    run: i64,
    lane: u32,
}

/// What is known on the way back through the events, the newest first.
struct Memory {
    now: Stamp,
    /// How long an answer is waited for.
    timeout: Duration,
    /// Items whose intent, which comes next on this way, had an answer or was taken back.
    heard: HashSet<i64>,
    /// When pages of lists were judged.
    pages: HashSet<(i64, u32, Stamp)>,
}

impl Memory {
    /// What was sent, when it came back at the latest, and whether it was accepted. None: nothing was, or not now.
    fn request(&mut self, event: &Happened) -> Option<(Stream, Stamp, bool)> {
        match &event.what {
            What::Reply(reply) => {
                self.heard.insert(event.item);
                let came = Stamp(reply.sent_at.0.saturating_add_unsigned(reply.elapsed_ms));
                (reply.reached != Reached::NotSent).then_some((Stream::Write, came, reply.then != Then::Throttled))
            }
            What::Released => {
                self.heard.insert(event.item);
                None
            }
            What::Intent { .. } => {
                let latest = Stamp(event.at.0.saturating_add(millis(self.timeout)));
                (!self.heard.remove(&event.item)).then_some((Stream::Write, latest.min(self.now), false))
            }
            What::Looked(_) => {
                let is_alone = lane_parts(event.lane).1 == Service::Vpp;
                let is_read = is_alone || self.pages.insert((event.run, event.lane, event.at));
                is_read.then_some((Stream::Read, event.at, true))
            }
            What::Settled { .. }
            | What::Ruled(_)
            | What::TenantStopped(_)
            | What::Bound { .. }
            | What::Resumed { .. }
            | What::Ended { .. } => None,
        }
    }
}

impl Ledger {
    /// What these apps sent to this root in the last `window`, as far as the service may have counted it and the ledger
    /// tells. A write of which nothing was heard, because its process died, may have come in as late as `timeout` after
    /// it left. Android objects that were judged at the same moment were on one page of a list.
    pub fn sent_lately(
        &self,
        (root, apps): (&str, &[TenantRow]),
        now: Stamp,
        (window, timeout): (Duration, Duration),
    ) -> Result<Vec<Counted>, LedgerError> {
        let before = |time: Duration| Stamp(now.0.saturating_sub(millis(time)));
        let (since, longest) = (before(window), before(window + timeout));
        let (mut heads, mut found) = (BTreeMap::<i64, RunHeader>::new(), Vec::new());
        let mut memory = Memory { now, timeout, heard: HashSet::new(), pages: HashSet::new() };
        let mut query = self.sql("read", self.db.prepare(LATEST))?;
        let mut rows = self.sql("read", query.query([]))?;
        while let Some(row) = self.sql("read", rows.next())? {
            let event = self.happened(row)?;
            if event.at < longest {
                break;
            }
            let Some((stream, at, accepted)) = memory.request(&event).filter(|(_, at, _)| *at >= since) else { continue };
            let header = match heads.remove(&event.run) {
                Some(header) => header,
                None => self.run(RunNo(event.run))?,
            };
            let (tenant, service) = lane_parts(event.lane);
            let row = header.tenants.get(tenant).filter(|_| header.root == root);
            if let Some(row) = row.filter(|row| apps.iter().any(|app| app.id == row.id && app.app.eq_ignore_ascii_case(&row.app)))
            {
                found.push(Counted { tenant: row.id, service, stream, at, accepted });
            }
            heads.insert(event.run, header);
        }
        Ok(found)
    }

    fn happened(&self, row: &SqlRow<'_>) -> Result<Happened, LedgerError> {
        let read = || -> rusqlite::Result<(i64, i64, &str, i64, u32)> {
            Ok((row.get(0)?, row.get(1)?, row.get_ref(2)?.as_str()?, row.get(3)?, row.get(4)?))
        };
        let (item, at, text, run, lane) = self.sql("read", read())?;
        let what = serde_json::from_str(text).map_err(|error| LedgerError::Damaged(format!("item {item}: {error}")))?;
        Ok(Happened { item, at: Stamp(at), what, run, lane })
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
