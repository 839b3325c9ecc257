//! What the service still counts, as the ledger tells it.

use std::time::Duration;

use super::rig::{TENANT, accepted, intent, planned, write};
use crate::exec::{Counted, Stream};
use crate::ledger::Ledger;
use crate::model::{AfterLook, Event, ItemNo, Look, Reply, Service, Stamp, TenantRow, Then, What};

const TIMES: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(5));

fn app(app: &str) -> [TenantRow; 1] {
    [TenantRow { id: TENANT, label: "contoso".to_owned(), app: app.to_owned() }]
}

fn sent(ledger: &Ledger, now: i64) -> Vec<(Service, Stream, i64, bool)> {
    let found = ledger.sent_lately(("https://graph.example", &app("app")), Stamp(now), TIMES).unwrap();
    found.into_iter().map(|Counted { service, stream, at, accepted, .. }| (service, stream, at.0, accepted)).collect()
}

fn throttled(item: ItemNo) -> Event {
    let Event { what: What::Reply(reply), .. } = accepted(item) else { unreachable!() };
    Event { item: Some(item), at: Stamp(2_010), what: What::Reply(Box::new(Reply { then: Then::Throttled, ..*reply })) }
}

fn looked(item: ItemNo, at: i64) -> Event {
    let what = What::Looked(Box::new(Look { reading: None, then: AfterLook::Again }));
    Event { item: Some(item), at: Stamp(at), what }
}

#[test]
fn what_was_sent_counts_for_a_window_after_it_came_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let (android, vpp) = (ItemNo(1), ItemNo(2));
    let run = planned(&mut ledger, "a").no;
    let events = [intent(android), throttled(android), intent(android), accepted(android), intent(vpp)];
    let ledger = write(ledger, run, &events);
    let android = |accepted| (Service::Android, Stream::Write, 2_010, accepted);
    // Of the VPP token nothing was heard: it may have come in as late as now, or when it was given up.
    assert_eq!(sent(&ledger, 2_500), [(Service::Vpp, Stream::Write, 2_500, false), android(true), android(false)]);
    assert_eq!(sent(&ledger, 22_011), [(Service::Vpp, Stream::Write, 7_000, false)]);
    assert_eq!(sent(&ledger, 27_001), []);
    for (root, name) in [("https://graph.example", "another app"), ("https://another.example", "app")] {
        assert_eq!(ledger.sent_lately((root, &app(name)), Stamp(2_500), TIMES).unwrap(), []);
    }
}

#[test]
fn objects_that_were_judged_together_were_read_together() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let run = planned(&mut ledger, "a").no;
    let dead = [intent(ItemNo(1)), intent(ItemNo(4)), intent(ItemNo(2))];
    let ledger = write(ledger, run, &dead);
    let ledger = write(ledger, run, &[looked(ItemNo(1), 9_000), looked(ItemNo(4), 9_000), looked(ItemNo(2), 9_000)]);
    let found = sent(&ledger, 9_000);
    let count = |stream, service| found.iter().filter(|sent| (sent.0, sent.1) == (service, stream)).count();
    assert_eq!([count(Stream::Read, Service::Android), count(Stream::Read, Service::Vpp)], [1, 1]);
    assert_eq!(count(Stream::Write, Service::Android), 2, "that an object was read makes no write forgotten");
}
