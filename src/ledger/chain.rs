//! The hash chain over a run's plan and events: each link covers the one before, so that a rewritten row or a
//! cut tail shows against a copy of the head kept elsewhere.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::model::{Disposition, ItemNo, PlannedRow};

/// A link's hash.
pub(super) type Hash = [u8; 32];

/// Hashes the plan, row by row; its result is the link before the first event.
pub(super) struct PlanHash(Sha256);

impl PlanHash {
    pub(super) fn new(run: &str) -> Self {
        let mut hash = Sha256::new();
        field(&mut hash, run.as_bytes());
        Self(hash)
    }

    pub(super) fn row(&mut self, row: &PlannedRow, cells: &str) {
        let hash = &mut self.0;
        hash.update(row.place.source.to_be_bytes());
        hash.update(row.place.line.to_be_bytes());
        hash.update(row.tenant.map_or(u32::MAX, |tenant| tenant).to_be_bytes());
        field(hash, row.kind.map_or("", |kind| kind.name()).as_bytes());
        field(hash, row.id.as_ref().map_or(&[][..], |id| id.0.as_bytes()));
        hash.update([u8::from(row.options.notify_managed_devices), u8::from(row.options.revoke_untracked_licenses)]);
        field(hash, cells.as_bytes());
        if let Disposition::Settled { status, reason } = &row.disposition {
            field(hash, status.name().as_bytes());
            field(hash, reason.as_bytes());
        }
    }

    pub(super) fn finish(self) -> Hash {
        self.0.finalize().into()
    }
}

/// The link of an event.
pub(super) fn link(before: &Hash, item: Option<ItemNo>, at: i64, what: &str) -> Hash {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(item.map_or(-1, |no| no.0).to_be_bytes());
    hash.update(at.to_be_bytes());
    hash.update(what.as_bytes());
    hash.finalize().into()
}

/// Length before content, so that no two rows run together into the same bytes.
fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

/// As people compare it.
pub(super) fn hex(hash: &[u8]) -> String {
    hash.iter().fold(String::with_capacity(2 * hash.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_event_changes_its_link() {
        let base = link(&[0; 32], Some(ItemNo(1)), 5, "x");
        let others = [
            link(&[1; 32], Some(ItemNo(1)), 5, "x"),
            link(&[0; 32], None, 5, "x"),
            link(&[0; 32], Some(ItemNo(1)), 6, "x"),
            link(&[0; 32], Some(ItemNo(1)), 5, "y"),
        ];
        assert!(others.iter().all(|other| *other != base));
        assert_eq!(hex(&base).len(), 64);
    }
}
