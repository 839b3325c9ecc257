//! A ledger that was tampered with, and what an audit says of it.

use super::rig::{accepted, intent, planned, write};
use crate::ledger::{Audited, Flaw, Ledger, RunNo, Spot, chain};
use crate::model::{Event, ItemNo, Stamp, What};

/// A run with five events, one of another run among them; and that other run.
fn told(directory: &std::path::Path) -> (Ledger, RunNo, RunNo) {
    let mut ledger = Ledger::open(directory).unwrap();
    let other = planned(&mut ledger, "other").no;
    let run = planned(&mut ledger, "a").no;
    let ledger = write(ledger, run, &[intent(ItemNo(5)), accepted(ItemNo(5)), intent(ItemNo(6))]);
    let ledger = write(ledger, other, &[intent(ItemNo(1))]);
    let over = Event { item: None, at: Stamp(9), what: What::Ended { stopped_by: None, spent: Box::default() } };
    (write(ledger, run, &[accepted(ItemNo(6)), over]), run, other)
}

/// The flaw of a run after these statements, and how many events fit before it.
fn after(statements: &str) -> (Option<Flaw>, u64) {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, run, _) = told(directory.path());
    ledger.db.execute_batch(&format!("PRAGMA foreign_keys = OFF; {statements}")).unwrap();
    let audited = ledger.audit(run, None).unwrap();
    (audited.flaw, audited.rows)
}

fn spot(number: u64, place: &str, at: i64) -> Spot {
    Spot { number, place: Some(place.to_owned()), at: Stamp(at) }
}

#[test]
fn a_run_that_is_as_it_was_written_has_no_flaw() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, run, other) = told(directory.path());
    let head = ledger.run(run).unwrap().head;
    assert_eq!(ledger.audit(run, None).unwrap(), Audited { rows: 5, head: head.clone(), since: None, flaw: None });
    let kept = ledger.audit(run, Some(&head.to_uppercase())).unwrap();
    assert_eq!((kept.since, kept.flaw), (Some(0), None));
    assert_eq!(ledger.audit(other, None).unwrap().rows, 1);

    let mut ledger = ledger;
    let empty = planned(&mut ledger, "empty");
    let audited = ledger.audit(empty.no, None).unwrap();
    assert_eq!((audited.rows, audited.flaw, audited.head), (0, None, ledger.run(empty.no).unwrap().head));
}

#[test]
fn a_head_that_was_kept_is_met_again_or_the_chain_is_another() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let run = planned(&mut ledger, "a").no;
    let plan = ledger.run(run).unwrap().head;
    let ledger = write(ledger, run, &[intent(ItemNo(1))]);
    let first = ledger.run(run).unwrap().head;
    let ledger = write(ledger, run, &[accepted(ItemNo(1)), intent(ItemNo(2))]);
    let last = ledger.run(run).unwrap().head;
    for (kept, since) in [(&plan, 3), (&first, 2), (&last, 0)] {
        let audited = ledger.audit(run, Some(kept)).unwrap();
        assert_eq!((audited.since, audited.flaw), (Some(since), None));
    }
    // A tail that was cut with everything in its place shows against the copy alone.
    let cut = format!("DELETE FROM events WHERE n > 1; UPDATE runs SET events = 1, head = x'{first}'");
    ledger.db.execute_batch(&cut).unwrap();
    assert_eq!(ledger.audit(run, None).unwrap().flaw, None);
    for unknown in [&last[..], "c0ffee"] {
        let audited = ledger.audit(run, Some(unknown)).unwrap();
        assert_eq!((audited.since, audited.flaw), (None, Some(Flaw::Expected(unknown.to_owned()))));
    }
}

#[test]
fn every_column_of_the_plan_is_covered() {
    for change in ["job", "tool", "operator", "ticket", "root", "authority", "run"].map(|column| format!("{column} = 'x'")) {
        assert_eq!(after(&format!("UPDATE runs SET {change} WHERE no = 2")), (Some(Flaw::Plan), 0), "{change}");
    }
    for change in ["started_at = 1", "ticket = NULL", "sources = '[]'", "tenants = '[]'", "first_item = 6", "last_item = 7"] {
        assert_eq!(after(&format!("UPDATE runs SET {change} WHERE no = 2")), (Some(Flaw::Plan), 0), "{change}");
    }
    for change in [
        "run = 1",
        "source = 1",
        "line = 9",
        "tenant = NULL",
        "kind = 2",
        "id = NULL",
        "options = 2",
        "lane = NULL",
        "lane = 1",
        "status = 'skipped'",
        "reason = 'x'",
        "cells = '[]'",
    ] {
        assert_eq!(after(&format!("UPDATE items SET {change} WHERE no = 8")), (Some(Flaw::Plan), 0), "{change}");
    }
    let more =
        "INSERT INTO items SELECT 99, run, source, line, tenant, kind, id, options, lane, status, reason, cells FROM items";
    for change in [
        "DELETE FROM items WHERE no = 6",
        "UPDATE items SET no = 20 WHERE no = 8",
        &format!("{more} WHERE no = 8"),
        "UPDATE items SET no = -no WHERE no IN (5, 6); UPDATE items SET no = 11 + no WHERE no < 0",
    ] {
        assert_eq!(after(change), (Some(Flaw::Plan), 0), "{change}");
    }
}

#[test]
fn the_first_event_that_does_not_fit_is_told_by_its_place() {
    let second = (Some(Flaw::Link(spot(2, "list.csv:2", 2_010))), 1);
    assert_eq!(after("UPDATE events SET what = replace(what, '204', '205') WHERE n = 2"), second);
    assert_eq!(after("UPDATE events SET what = CAST(x'ff' AS TEXT) WHERE n = 2"), second);
    assert_eq!(after("UPDATE events SET hash = x'00' WHERE n = 2"), second);
    assert_eq!(after("UPDATE events SET at = 7 WHERE n = 2"), (Some(Flaw::Link(spot(2, "list.csv:2", 7))), 1));
    assert_eq!(after("UPDATE events SET item = 6 WHERE n = 2"), (Some(Flaw::Link(spot(2, "list.csv:3", 2_010))), 1));
    assert_eq!(after("DELETE FROM events WHERE n = 1"), (Some(Flaw::Link(spot(1, "list.csv:2", 2_010))), 0));
    let (flaw, _) = after("UPDATE events SET item = NULL WHERE n = 2");
    assert_eq!(flaw, Some(Flaw::Link(Spot { number: 2, place: None, at: Stamp(2_010) })));
    let text = Flaw::Link(spot(2, "list.csv:2", 2_010)).to_string();
    assert!(text.starts_with("event 2 (list.csv:2, 1970-01-01T00:00:02.010Z) does not fit"), "{text}");
}

#[test]
fn a_tail_that_is_not_what_the_head_says_is_told() {
    let (flaw, rows) = after("DELETE FROM events WHERE n > 3 AND run = 2");
    assert_eq!((flaw, rows), (Some(Flaw::Count { told: 5, found: 3 }), 3));
    assert_eq!(after("UPDATE runs SET events = 4"), (Some(Flaw::Count { told: 4, found: 5 }), 5));
    assert_eq!(after("UPDATE runs SET head = x'00'"), (Some(Flaw::Head), 5));
    assert_eq!(after("UPDATE runs SET plan = x'00'").0, Some(Flaw::Plan));
}

/// Puts an event behind all others, with every hash and count as it should be.
fn forged(item: Option<i64>, what: &str) -> Option<Flaw> {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, run, _) = told(directory.path());
    let head: chain::Hash = ledger.db.query_row("SELECT head FROM runs WHERE no = 2", [], |row| row.get(0)).unwrap();
    let link = chain::link(&head, item, 7, what.as_bytes());
    ledger.db.execute("INSERT INTO events (run, item, at, what, hash) VALUES (2, ?1, 7, ?2, ?3)", (item, what, link)).unwrap();
    ledger.db.execute("UPDATE runs SET events = events + 1, head = ?1 WHERE no = 2", [link]).unwrap();
    ledger.audit(run, None).unwrap().flaw
}

#[test]
fn a_chain_that_fits_and_makes_no_sense_is_told() {
    assert_eq!(
        forged(Some(8), "\"released\"").map(|flaw| flaw.to_string()).as_deref(),
        Some("event 6 (list.csv:5, 1970-01-01T00:00:00.007Z) cannot have happened: illegal event released in phase Ready")
    );
    assert!(matches!(forged(Some(8), "{}"), Some(Flaw::Illegal { spot, .. }) if spot == self::spot(6, "list.csv:5", 7)));
    assert!(matches!(forged(None, "{}"), Some(Flaw::Illegal { .. })));
    assert!(matches!(forged(None, "\"released\""), Some(Flaw::Illegal { .. })));
    for item in [1, 9, -1] {
        assert_eq!(forged(Some(item), "\"released\""), Some(Flaw::Stray(spot(6, &format!("item {item}"), 7))));
    }
    // The other run's event names an item of this one.
    assert_eq!(after("UPDATE events SET item = 8 WHERE run = 1").0, Some(Flaw::Stray(spot(1, "list.csv:5", 2_000))));
}
