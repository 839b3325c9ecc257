//! Which items of a run name given objects: how a page of a tenant's list is judged.

use rusqlite::params;

use super::error::LedgerError;
use super::open::Ledger;
use super::replay::WORK;
use crate::model::{Kind, ObjectId, TenantId, Work};

/// Where the items of a run are, by their objects: 16 bytes an item, for as long as a survey goes on. An index of the
/// table would cost each plan more time than all its rows, because ids come in no order.
#[derive(Debug)]
pub(super) struct Places(Vec<(u64, i64)>);

/// GUIDs are random: half of one tells nearly all of them apart, and the row itself tells the rest.
fn key(id: &[u8]) -> u64 {
    id.first_chunk().map_or(0, |half| u64::from_be_bytes(*half)) ^ id.last_chunk().map_or(0, |half| u64::from_be_bytes(*half))
}

impl Ledger {
    /// Notes where the items are that a run sends.
    pub(super) fn places(&self, run: i64) -> Result<Places, LedgerError> {
        let read = || -> rusqlite::Result<Vec<(u64, i64)>> {
            let range = "SELECT last_item - first_item + 1 FROM runs WHERE no = ?1";
            let count: i64 = self.db.query_row(range, [run], |row| row.get(0))?;
            let mut places = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
            let mut items = self.db.prepare("SELECT no, id FROM items WHERE run = ?1 AND lane IS NOT NULL")?;
            let mut items = items.query([run])?;
            while let Some(row) = items.next()? {
                places.push((key(row.get_ref(1)?.as_blob()?), row.get(0)?));
            }
            places.sort_unstable();
            Ok(places)
        };
        self.sql("read", read()).map(Places)
    }

    /// The items of a lane that are of a kind and name one of these objects, with what is known of them.
    pub(super) fn items_of(
        &self,
        places: &Places,
        ((run, lane), tenant): ((i64, u32), TenantId),
        kind: Kind,
        ids: &[ObjectId],
    ) -> Result<Vec<Work>, LedgerError> {
        let mut works = Vec::new();
        let mut query = self.sql("read", self.db.prepare_cached(&format!("{WORK} AND lane = ?2 AND no = ?3")))?;
        for id in ids {
            let key = key(id.0.as_bytes());
            let first = places.0.partition_point(|(other, _)| *other < key);
            for (_, no) in places.0[first..].iter().take_while(|(other, _)| *other == key) {
                let mut rows = self.sql("read", query.query(params![run, lane, no]))?;
                while let Some(row) = self.sql("read", rows.next())? {
                    let work = self.work(row, tenant)?;
                    works.extend(Some(work).filter(|work| work.item.id == *id && work.item.kind == kind));
                }
            }
        }
        Ok(works)
    }
}
