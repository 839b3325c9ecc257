//! What became of each item: the same by rows, by pages, and by folding in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::rig::{TENANT, accepted, commit, intent, new_run, planned, row, rows, write};
use crate::exec::Journal as _;
use crate::ledger::{Ledger, LedgerError, Planned};
use crate::model::{
    AfterLook, Disposition, Event, ItemNo, Kind, Look, Outcome, Progress, Reached, Reply, Seen, Snapshot, Stamp, Status, Then,
    What, Work,
};

/// Everything that the journal hands out of a run, page by page.
fn pages(ledger: Ledger, planned: &Planned, limit: usize) -> (Ledger, Vec<Work>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut journal = ledger.journal(planned.no, vec![TENANT]).unwrap();
    let mut all = Vec::new();
    for lane in &planned.lanes {
        let mut after = ItemNo(0);
        loop {
            let page = runtime.block_on(journal.page(*lane, after, limit)).unwrap();
            let Some(last) = page.last() else { break };
            after = last.item.no;
            all.extend(page);
        }
    }
    all.sort_by_key(|work| work.item.no);
    (journal.close().unwrap(), all)
}

fn reply(reached: Reached, then: Then) -> What {
    What::Reply(Box::new(Reply {
        reached,
        sent_at: Stamp(5),
        elapsed_ms: 1,
        http_status: Some(503),
        error_code: Some("\u{20ac}".to_owned()),
        message: None,
        request_id: None,
        approval_code: None,
        then,
    }))
}

fn looked(then: AfterLook) -> What {
    let seen = Seen::Vpp { identity: [None, None, Some("here".to_owned())], actions: Vec::new() };
    What::Looked(Box::new(Look {
        reading: Some(Snapshot { date: None, name: Some("Kiosk".to_owned()), seen, about: None }),
        then,
    }))
}

/// What a page says of an item: of one that is over for good only that.
fn brief(progress: &Progress) -> Progress {
    if progress.is_final() { Progress { phase: progress.phase, ..Progress::default() } } else { progress.clone() }
}

fn any_what() -> impl Strategy<Value = What> {
    let outcome = |status| Outcome::new(status, "because");
    prop::sample::select(vec![
        What::Intent { client_request_id: Uuid::from_u128(3) },
        What::Intent { client_request_id: Uuid::from_u128(4) },
        What::Released,
        reply(Reached::Answered, Then::Throttled),
        reply(Reached::NotSent, Then::Again),
        reply(Reached::Answered, Then::Confirm),
        reply(Reached::Maybe, Then::Look { otherwise: Some(outcome(Status::Failed)) }),
        reply(Reached::Answered, Then::Settled { status: Status::Refused, reason: "no".to_owned() }),
        looked(AfterLook::Planned),
        looked(AfterLook::Pin),
        looked(AfterLook::Again),
        looked(AfterLook::Untouched),
        looked(AfterLook::Follow),
        looked(AfterLook::Settled(outcome(Status::Unconfirmed))),
        looked(AfterLook::Settled(outcome(Status::Revoked))),
        What::Settled { status: Status::Unknown, reason: String::new() },
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rows_pages_and_memory_agree(
        kinds in prop::collection::vec((prop::sample::select(Kind::ALL.to_vec()), prop::bool::weighted(0.8)), 1..12),
        tries in prop::collection::vec((0_usize..12, any_what()), 0..120),
        limit in 1_usize..5,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(directory.path()).unwrap();
        planned(&mut ledger, "earlier");
        let mut writer = ledger.plan(&new_run("a")).unwrap();
        let mut items = Vec::new();
        for (line, (kind, is_sent)) in (2..).zip(&kinds) {
            let skipped = Disposition::Settled { status: Status::Skipped, reason: "protected".to_owned() };
            let no = writer.add(&row(line, *kind, if *is_sent { Disposition::Send } else { skipped })).unwrap();
            items.extend(is_sent.then_some(no));
        }
        let planned = commit(writer);
        let mut folded: BTreeMap<ItemNo, Progress> = items.iter().map(|no| (*no, Progress::default())).collect();
        let mut events = Vec::new();
        for ((which, what), at) in tries.into_iter().zip(0..) {
            let Some(no) = items.get(which) else { continue };
            let event = Event { item: Some(*no), at: Stamp(at), what };
            if folded.get_mut(no).unwrap().apply(&event).is_ok() {
                events.push(event);
            }
        }
        ledger = write(ledger, planned.no, &events);
        let found: Vec<Progress> =
            rows(&ledger, planned.no).into_iter().filter(|row| row.disposition == Disposition::Send).map(|row| row.progress).collect();
        prop_assert_eq!(&found, &folded.values().cloned().collect::<Vec<_>>());
        let (ledger, works) = pages(ledger, &planned, limit);
        prop_assert_eq!(works.iter().map(|work| work.item.no).collect::<Vec<_>>(), items);
        prop_assert_eq!(works.into_iter().map(|work| work.progress).collect::<Vec<_>>(), found.iter().map(brief).collect::<Vec<_>>());
        let open = found.iter().filter(|progress| !progress.is_final()).count();
        prop_assert_eq!(ledger.count(planned.no, |work| !work.progress.is_final()).unwrap(), open as u64);
        prop_assert_eq!(ledger.lanes(planned.no).unwrap(), planned.lanes);
        prop_assert_eq!(ledger.audit(planned.no, None).unwrap().flaw, None);
    }
}

#[test]
fn what_a_session_could_still_finish_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let planned = planned(&mut ledger, "a");
    assert_eq!(ledger.pending(planned.no).unwrap(), 3, "the duplicate is not among them");
    let unconfirmed = What::Settled { status: Status::Unconfirmed, reason: String::new() };
    let unconfirmed = Event { item: Some(ItemNo(4)), at: Stamp(9), what: unconfirmed };
    let ledger = write(ledger, planned.no, &[intent(ItemNo(1)), accepted(ItemNo(1)), intent(ItemNo(2)), unconfirmed]);
    assert_eq!(ledger.pending(planned.no).unwrap(), 2, "one in flight, one unconfirmed");
}

#[test]
fn an_event_that_cannot_have_happened_is_no_silent_success() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let planned = planned(&mut ledger, "a");
    let ledger = write(ledger, planned.no, &[accepted(ItemNo(1))]);
    let error = ledger.rows(planned.no, |_| Ok::<(), LedgerError>(())).unwrap_err().to_string();
    assert!(error.contains("item 1") && error.contains("illegal"), "{error}");
    let mut journal = ledger.journal(planned.no, vec![TENANT]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(journal.page(planned.lanes[0], ItemNo(0), 9)).is_err());
    runtime.block_on(journal.commit(Arc::new(Vec::new()))).unwrap();
}
