//! The ledger on a real disk: what is durable, what is remembered.

use std::sync::Arc;

use super::rig::{TENANT, accepted, intent, new_run, planned, row, rows};
use crate::exec::Journal as _;
use crate::ledger::{Ledger, LedgerError, chain};
use crate::model::{Disposition, Event, ItemNo, Kind, Phase, RunState, Service, Stamp, Status, StoppedBy, What};

#[tokio::test]
async fn what_was_committed_is_there_after_the_process_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let planned = planned(&mut ledger, "a");
    let lanes: Vec<(Service, u64)> = planned.lanes.iter().map(|lane| (lane.service, lane.items)).collect();
    assert_eq!((lanes, planned.rows), (vec![(Service::Android, 2), (Service::Vpp, 1)], 4));
    assert_eq!(ledger.lanes(planned.no).unwrap(), planned.lanes);
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
async fn a_second_writer_of_a_run_is_refused_and_the_chain_stays_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let planned = planned(&mut ledger, "a");
    let mut first = ledger.journal(planned.no, vec![TENANT]).unwrap();
    let mut second = Ledger::open(directory.path()).unwrap().journal(planned.no, vec![TENANT]).unwrap();
    first.commit(Arc::new(vec![intent(ItemNo(1))])).await.unwrap();
    let refused = second.commit(Arc::new(vec![intent(ItemNo(2))])).await.unwrap_err();
    assert!(refused.to_string().contains("another process"), "{refused}");
    first.commit(Arc::new(vec![accepted(ItemNo(1))])).await.unwrap();
    let audited = first.close().unwrap().audit(planned.no, None).unwrap();
    assert_eq!((audited.rows, audited.flaw), (2, None));
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
        head = chain::link(&head, event.item.map(|no| no.0), event.at.0, &serde_json::to_vec(&event.what).unwrap());
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
    let over =
        Event { item: None, at: Stamp(3), what: What::Ended { stopped_by: Some(StoppedBy::Deadline), spent: Box::default() } };
    journal.commit(Arc::new(vec![over])).await.unwrap();
    let ledger = journal.close().unwrap();
    ledger.end_run(planned.no, RunState::Ended, Stamp(4), 3).unwrap();
    ledger.set_exit_code(planned.no, 12).unwrap();
    let (_, header) = ledger.find(None).unwrap();
    assert_eq!((header.stopped_by, header.exit_code, header.ended_at), (Some(StoppedBy::Deadline), Some(12), Some(Stamp(4))));
    assert_eq!((header.ticket.as_deref(), header.pending), (Some("CHG-1"), 3));
    // Taken up again, it has not ended.
    ledger.set_state(planned.no, RunState::Running).unwrap();
    let header = ledger.run(planned.no).unwrap();
    assert_eq!((header.state, header.exit_code, header.ended_at), (RunState::Running, None, None));
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
