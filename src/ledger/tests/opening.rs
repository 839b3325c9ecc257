//! What is refused at the door, and what is held there.

use std::path::Path;

use rusqlite::Connection;
use uuid::Uuid;

use super::rig::{TENANT, planned};
use crate::ledger::{Ledger, LedgerError, LockError, TenantLock};
use crate::model::TenantId;

fn refused(path: &Path) -> String {
    Ledger::open(path).unwrap_err().to_string()
}

#[test]
fn files_of_others_and_of_the_future_are_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ledger.db");
    let foreign = rusqlite::Connection::open(&file).unwrap();
    foreign.execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(refused(directory.path()).contains("another program"));
    let tables: i64 = foreign.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    let mode: String = foreign.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!((tables, mode.as_str()), (1, "delete"));

    let directory = tempfile::tempdir().unwrap();
    Ledger::open(directory.path()).unwrap().db.execute_batch("PRAGMA user_version = 99").unwrap();
    assert!(refused(directory.path()).contains("newer bulk-revoke"));

    let directory = tempfile::tempdir().unwrap();
    Ledger::open(directory.path()).unwrap().db.execute_batch("PRAGMA user_version = 1").unwrap();
    let before = std::fs::read(directory.path().join("ledger.db")).unwrap();
    let error = refused(directory.path());
    assert!(error.contains("a pre-release of bulk-revoke wrote it (schema 1): move it away"), "{error}");
    assert_eq!(std::fs::read(directory.path().join("ledger.db")).unwrap(), before);

    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("state"), "").unwrap();
    assert!(refused(&directory.path().join("state")).contains("BULK_REVOKE_STATE_DIR"));
}

#[test]
fn what_is_no_whole_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    planned(&mut Ledger::open(directory.path()).unwrap(), "a");
    let file = directory.path().join("ledger.db");
    let whole = std::fs::read(&file).unwrap();
    // One byte alone stands for an empty file, and within its last page SQLite takes a file for whole.
    let cuts = [2, 15, 16, 99, 100, 511, 512, 4_095, 4_096, 4_097, whole.len() / 2, whole.len() - 4_096];
    let mut broken: Vec<Vec<u8>> = cuts.iter().map(|&cut| whole[..cut].to_vec()).collect();
    broken.push(b"not a database, but long enough to look like a header of one ".repeat(100));
    broken.push([b"SQLite format 3\0", &[0xa5; 8_192][..]].concat());
    // The head of a database, and something else below it.
    broken.push([&whole[..100], &vec![0xa5; whole.len() - 100][..]].concat());
    for bytes in broken {
        std::fs::write(&file, &bytes).unwrap();
        let error = refused(directory.path());
        assert!(error.contains("ledger.db"), "{error}");
        assert!(error.contains("not a database") || error.contains("malformed"), "{} bytes: {error}", bytes.len());
        assert!(std::fs::read(&file).unwrap() == bytes, "{} bytes were changed", bytes.len());
    }
}

#[test]
fn a_ledger_that_cannot_be_written_is_refused_at_the_door() {
    let directory = tempfile::tempdir().unwrap();
    let path = Ledger::open(directory.path()).unwrap().path().to_owned();
    // Not by its rights, which do not bind an administrator.
    let only_read = Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let error = Ledger { db: only_read, path: path.clone() }.claim().unwrap_err().to_string();
    assert!(error.contains("ledger.db") && error.contains("readonly"), "{error}");

    let full = Connection::open(&path).unwrap();
    // Takes the page that the last probe left free.
    full.execute_batch("CREATE TABLE x (y)").unwrap();
    let pages: i64 = full.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    full.execute_batch(&format!("PRAGMA max_page_count = {pages}")).unwrap();
    let error = Ledger { db: full, path }.claim().unwrap_err().to_string();
    assert!(error.contains("write the ledger") && error.contains("full"), "{error}");
}

#[test]
fn a_directory_in_the_files_place_is_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("ledger.db")).unwrap();
    assert!(matches!(Ledger::open(directory.path()), Err(LedgerError::Directory { path, .. }) if path.ends_with("ledger.db")));
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_ledger() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("a/b");
    let _ledger = Ledger::open(&state).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&state.join("ledger.db")), mode(&state.join("ledger.db-wal"))), (0o700, 0o600, 0o600));
}

#[test]
fn a_tenant_is_held_by_one_run_and_the_other_is_told_whose() {
    let directory = tempfile::tempdir().unwrap();
    let held = TenantLock::take(directory.path(), TENANT, "run a, me, since 04:14").unwrap();
    let error = TenantLock::take(directory.path(), TENANT, "run b").unwrap_err();
    assert!(error.to_string().contains("run a, me, since 04:14"), "{error}");
    TenantLock::take(directory.path(), TenantId(Uuid::nil()), "run b").unwrap();
    drop(held);
    TenantLock::take(directory.path(), TENANT, "run b").unwrap();
}

#[test]
fn a_holder_that_has_not_written_its_name_yet_holds_it_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let held = TenantLock::take(directory.path(), TENANT, "").unwrap();
    let error = TenantLock::take(directory.path(), TENANT, "run b").unwrap_err();
    assert!(matches!(error, LockError::Held { .. }));
    assert_eq!(error.to_string(), format!("another run works on tenant {TENANT}"));
    drop(held);
}

#[test]
fn many_may_make_the_ledger_at_the_same_moment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| Ledger::open(path).map(drop))).collect();
        for one in all {
            one.join().unwrap().unwrap();
        }
    });
}
