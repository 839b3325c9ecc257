//! How much room a disk still has, and how much a run takes.

use std::path::Path;

use crate::report::plain;

/// Bytes that an item takes in ledger and report together, with its share of events; measured with short rows.
const ITEM_BYTES: u64 = 3 * 1024;

/// Room for everything else that grows on the same disk meanwhile.
const MARGIN: u64 = 64 * MIB;

/// With less than this hardly any run can be recorded.
pub(super) const LEAST: u64 = 16 * MIB;

const MIB: u64 = 1024 * 1024;

/// Bytes that this user may still write where a folder is; none where the system does not say.
#[cfg(unix)]
pub(super) fn free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
pub(super) const fn free(_folder: &Path) -> Option<u64> {
    None
}

/// What to say where there may not be room enough for a run of so many items.
pub(super) fn scarce(folder: &Path, items: u64) -> Option<String> {
    let wanted = items.saturating_mul(ITEM_BYTES).saturating_add(MARGIN);
    let free = free(folder).filter(|free| *free < wanted)?;
    Some(plain(&format!("{} has {} free; {} may be needed", folder.display(), mib(free), mib(wanted))))
}

/// `1234 MiB`.
pub(super) fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes / MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_disk_has_room_for_a_few_items_and_for_no_number_that_is_too_great() {
        let here = Path::new(".");
        assert!(free(here).is_some_and(|free| free > 0));
        assert_eq!(free(Path::new("/no/such/folder")), None);
        assert!(scarce(here, u64::MAX).is_some_and(|said| said.starts_with(". has ")));
    }
}
