//! How much was sent within a time, as the ledger tells it.

use std::collections::BTreeMap;

use super::rig::{TENANT, accepted, commit, intent, new_run, planned, write};
use crate::ledger::{Ledger, NewRun, RunNo};
use crate::model::{Event, ItemNo, Reached, Reply, RunState, Stamp, Then, What};

fn at(event: Event, at: i64) -> Event {
    Event { at: Stamp(at), ..event }
}

fn released(item: ItemNo) -> Event {
    Event { item: Some(item), at: Stamp(2_001), what: What::Released }
}

/// The request found nobody to take it.
fn unreached(item: ItemNo) -> Event {
    let Event { what: What::Reply(reply), at, .. } = accepted(item) else { unreachable!() };
    let reply = Reply { reached: Reached::NotSent, then: Then::Again, http_status: None, ..*reply };
    Event { item: Some(item), at, what: What::Reply(Box::new(reply)) }
}

/// A run that sends, with these events.
fn sending(mut ledger: Ledger, run: &str, events: impl Fn([ItemNo; 3]) -> Vec<Event>) -> (Ledger, RunNo) {
    let no = planned(&mut ledger, run).no;
    ledger.set_state(no, RunState::Running).unwrap();
    let mut items = Vec::new();
    ledger
        .count(no, |work| {
            items.push(work.item.no);
            true
        })
        .unwrap();
    items.sort_unstable();
    (write(ledger, no, &events(items.try_into().unwrap())), no)
}

fn sent(ledger: &Ledger, since: i64) -> u64 {
    let mut sent = ledger.sent_since(Stamp(since)).unwrap();
    let count = sent.remove(&TENANT).unwrap_or_default();
    assert_eq!(sent, BTreeMap::new());
    count
}

#[test]
fn an_item_counts_once_if_a_request_of_it_may_have_reached_the_service() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    // Sent twice; held back; never left.
    let (ledger, _) = sending(ledger, "a", |[a, b, c]| {
        vec![intent(a), intent(b), unreached(a), intent(a), accepted(a), released(b), intent(c), unreached(c)]
    });
    assert_eq!(sent(&ledger, 0), 1);
    // Held back at first; nothing was heard of it; not sent.
    let (ledger, _) = sending(ledger, "b", |[a, b, _]| vec![intent(a), released(a), intent(b), intent(a)]);
    assert_eq!(sent(&ledger, 0), 3);
}

#[test]
fn only_intents_since_then_count_whatever_the_order_of_their_times() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let hour = 3_600_000;
    // The clock was set back by half an hour between the first and the second; the third is a day older than both.
    let (ledger, _) = sending(ledger, "old", |[a, ..]| vec![at(intent(a), hour)]);
    let (ledger, _) = sending(ledger, "new", |[a, b, _]| vec![at(intent(a), 25 * hour), at(intent(b), 24 * hour + hour / 2)]);
    assert_eq!([0, hour, hour + 1, 25 * hour, 25 * hour + 1].map(|since| sent(&ledger, since)), [3, 3, 2, 1, 0]);
}

#[test]
fn runs_that_only_looked_or_were_refused_count_for_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let mut last = None;
    for (state, count) in [(RunState::Dry, 0), (RunState::Refused, 0), (RunState::Planned, 0), (RunState::Ended, 1)] {
        let no;
        (ledger, no) = sending(ledger, &format!("{state:?}"), |[a, ..]| vec![intent(a)]);
        ledger.set_to_send(no, 3).unwrap();
        ledger.set_state(no, state).unwrap();
        assert_eq!(sent(&ledger, 0), count, "{state:?}");
        last = ledger.last_sent("kiosks").unwrap().map(|header| header.run);
        assert_eq!(last.is_some(), count > 0);
    }
    assert_eq!(last.as_deref(), Some("Ended"));
}

#[test]
fn the_last_run_is_that_of_the_job_and_had_something_to_send() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    for (run, job, to_send) in [("a", "kiosks", 7), ("b", "kiosks", 0), ("c", "another", 9)] {
        let writer = ledger.plan(&NewRun { job: job.to_owned(), ..new_run(run) }).unwrap();
        let no = commit(writer).no;
        ledger.set_to_send(no, to_send).unwrap();
        ledger.set_state(no, RunState::Running).unwrap();
    }
    let last = ledger.last_sent("kiosks").unwrap().unwrap();
    assert_eq!((last.run.as_str(), last.to_send), ("a", 7));
    assert_eq!(ledger.last_sent("nobody's").unwrap(), None);
}
