//! The ledger on a real disk: what is durable, what is refused, what is remembered.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::chain;
use super::*;
use crate::exec::Journal as _;
use crate::model::{
    Disposition, Event, ItemNo, Kind, ObjectId, Phase, Place, PlannedRow, Reached, Reply, Row, RunState, Service, SourceRow,
    Stamp, Status, StoppedBy, TenantId, TenantRow, Then, VppOptions, What,
};

const TENANT: TenantId = TenantId(Uuid::from_u128(7));

fn new_run(run: &str) -> NewRun {
    NewRun {
        run: run.to_owned(),
        job: "kiosks".to_owned(),
        started_at: Stamp(1_000),
        tool: "0.1.0".to_owned(),
        operator: "me".to_owned(),
        ticket: Some("CHG-1".to_owned()),
        root: "https://graph.example".to_owned(),
        authority: "https://login.example".to_owned(),
    }
}

fn row(line: u32, kind: Kind, disposition: Disposition) -> PlannedRow {
    PlannedRow {
        place: Place { source: 0, line },
        tenant: Some(0),
        kind: Some(kind),
        id: Some(ObjectId(Uuid::from_u128(line.into()))),
        options: VppOptions { notify_managed_devices: true, revoke_untracked_licenses: false },
        cells: vec![format!("cell {line}"), "\u{20ac}\"".to_owned()],
        disposition,
    }
}

/// Three items to send (two Android, one VPP) and a duplicate.
fn planned(ledger: &mut Ledger, run: &str) -> Planned {
    let mut writer = ledger.plan(&new_run(run)).unwrap();
    let duplicate = Disposition::Settled { status: Status::Skipped, reason: "duplicate of line 2".to_owned() };
    for (line, kind, disposition) in [
        (2, Kind::AndroidDeviceOwner, Disposition::Send),
        (3, Kind::VppToken, Disposition::Send),
        (4, Kind::AndroidDeviceOwner, duplicate),
        (5, Kind::AndroidForWork, Disposition::Send),
    ] {
        writer.add(&row(line, kind, disposition)).unwrap();
    }
    let sources = [SourceRow { name: "list.csv".to_owned(), columns: vec!["note".to_owned(), "x".to_owned()] }];
    let tenants = [TenantRow { id: TENANT, label: "contoso".to_owned(), app: "app".to_owned() }];
    writer.commit(&sources, &tenants).unwrap()
}

fn rows(ledger: &Ledger, run: RunNo) -> Vec<Row> {
    let mut rows = Vec::new();
    ledger
        .rows(run, |row| {
            rows.push(row);
            Ok::<(), LedgerError>(())
        })
        .unwrap();
    rows
}

fn intent(item: ItemNo) -> Event {
    Event { item: Some(item), at: Stamp(2_000), what: What::Intent { client_request_id: Uuid::from_u128(1) } }
}

fn accepted(item: ItemNo) -> Event {
    let reply = Reply {
        reached: Reached::Answered,
        sent_at: Stamp(2_000),
        elapsed_ms: 10,
        http_status: Some(204),
        error_code: None,
        message: None,
        request_id: Some("r".to_owned()),
        approval_code: None,
        then: Then::Settled { status: Status::Accepted, reason: String::new() },
    };
    Event { item: Some(item), at: Stamp(2_010), what: What::Reply(Box::new(reply)) }
}

#[tokio::test]
async fn what_was_committed_is_there_after_the_process_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let planned = planned(&mut ledger, "a");
    let lanes: Vec<(Service, u64)> = planned.lanes.iter().map(|lane| (lane.service, lane.items)).collect();
    assert_eq!((lanes, planned.rows), (vec![(Service::Android, 2), (Service::Vpp, 1)], 4));
    let mut journal = ledger.journal(planned.no, vec![TENANT]).unwrap();
    let android = journal.page(planned.lanes[0], ItemNo(0), 10).await.unwrap();
    let first = android[0].item.no;
    journal.commit(Arc::new(vec![intent(first)])).await.unwrap();
    journal.commit(Arc::new(vec![accepted(first), intent(android[1].item.no)])).await.unwrap();
    drop(journal); // as if it had been killed: nothing is closed in order

    let ledger = Ledger::open(directory.path()).unwrap();
    let rows = rows(&ledger, planned.no);
    let phases: Vec<Phase> = rows.iter().map(|row| row.progress.phase).collect();
    assert_eq!(phases, [Phase::Settled(Status::Accepted), Phase::Ready, Phase::Ready, Phase::InFlight]);
    assert_eq!(rows[0].cells, ["cell 2", "\u{20ac}\""]);
    assert_eq!((rows[0].place.line, rows[3].place.line), (2, 5));
    let header = ledger.run(planned.no).unwrap();
    assert_eq!((header.verdict(&rows[2]).0, header.verdict(&rows[3]).0), (Status::Skipped, Status::Unknown));
}

#[tokio::test]
async fn a_page_holds_the_lanes_items_in_order_after_a_number() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    planned(&mut ledger, "earlier");
    let planned = planned(&mut ledger, "a");
    let mut journal = ledger.journal(planned.no, vec![TENANT]).unwrap();
    let all = journal.page(planned.lanes[0], ItemNo(0), 10).await.unwrap();
    assert_eq!(all.iter().map(|work| work.item.kind).collect::<Vec<_>>(), [Kind::AndroidDeviceOwner, Kind::AndroidForWork]);
    let rest = journal.page(planned.lanes[0], all[0].item.no, 10).await.unwrap();
    assert_eq!(rest, all[1..]);
    let vpp = journal.page(planned.lanes[1], ItemNo(0), 10).await.unwrap();
    assert!(vpp[0].item.options.notify_managed_devices && !vpp[0].item.options.revoke_untracked_licenses);
    journal.close().unwrap();
}

#[tokio::test]
async fn events_are_chained_and_the_head_covers_them_all() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let planned = planned(&mut ledger, "a");
    let before = ledger.run(planned.no).unwrap();
    let mut journal = ledger.journal(planned.no, vec![TENANT]).unwrap();
    let events = vec![intent(ItemNo(1)), accepted(ItemNo(1))];
    journal.commit(Arc::new(events.clone())).await.unwrap();
    let ledger = journal.close().unwrap();
    let after = ledger.run(planned.no).unwrap();
    let mut head: chain::Hash = ledger.db.query_row("SELECT head FROM runs", [], |row| row.get(0)).unwrap();
    assert_eq!((after.head.clone(), after.events), (chain::hex(&head), 2));
    head = std::array::from_fn(|i| u8::from_str_radix(&before.head[2 * i..2 * i + 2], 16).unwrap());
    for event in &events {
        head = chain::link(&head, event.item, event.at.0, &serde_json::to_string(&event.what).unwrap());
    }
    assert_eq!(chain::hex(&head), after.head);
}

#[test]
fn a_plan_that_was_not_committed_never_was() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    ledger.plan(&new_run("a")).unwrap().add(&row(2, Kind::VppToken, Disposition::Send)).unwrap();
    assert!(ledger.runs().unwrap().is_empty());
    let planned = planned(&mut ledger, "a");
    assert_eq!(rows(&ledger, planned.no).len(), 4);
}

#[tokio::test]
async fn how_a_run_ended_is_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let planned = planned(&mut ledger, "a");
    assert!(ledger.find(None).is_err(), "a run that sent nothing is never the latest");
    let mut journal = ledger.journal(planned.no, vec![TENANT]).unwrap();
    let over = Event { item: None, at: Stamp(3), what: What::Ended { stopped_by: Some(StoppedBy::Deadline) } };
    journal.commit(Arc::new(vec![over])).await.unwrap();
    let ledger = journal.close().unwrap();
    ledger.end_run(planned.no, RunState::Ended, Stamp(4)).unwrap();
    ledger.set_exit_code(planned.no, 12).unwrap();
    let (_, header) = ledger.find(None).unwrap();
    assert_eq!((header.stopped_by, header.exit_code, header.ended_at), (Some(StoppedBy::Deadline), Some(12), Some(Stamp(4))));
    assert_eq!(header.ticket.as_deref(), Some("CHG-1"));
}

#[test]
fn a_run_is_found_by_the_beginning_of_its_id_if_only_one_begins_so() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    planned(&mut ledger, "20261122-1");
    planned(&mut ledger, "20261122-12");
    planned(&mut ledger, "20261123-1");
    assert_eq!(ledger.find(Some("20261123")).unwrap().1.run, "20261123-1");
    assert_eq!(ledger.find(Some("20261122-1")).unwrap().1.run, "20261122-1", "a whole id is never ambiguous");
    assert!(matches!(ledger.find(Some("2026112")), Err(LedgerError::Ambiguous(_))));
    assert!(matches!(ledger.find(Some("%")), Err(LedgerError::NoSuchRun(_))));
}

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
    std::fs::write(directory.path().join("ledger.db"), "not a database, but long enough to look like a header of one").unwrap();
    assert!(refused(directory.path()).contains("ledger.db"));

    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("state"), "").unwrap();
    assert!(refused(&directory.path().join("state")).contains("state directory"));
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
