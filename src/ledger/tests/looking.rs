//! Which items of a run name given objects.

use uuid::Uuid;

use super::rig::{TENANT, intent, planned, write};
use crate::exec::Journal as _;
use crate::ledger::{Ledger, Planned};
use crate::model::{ItemNo, Kind, Lane, ObjectId, Phase, Service, Work};

/// The items of a run that are of this kind and name one of these objects.
fn find(ledger: Ledger, planned: &Planned, kind: Kind, ids: &[u128]) -> (Ledger, Vec<Work>) {
    let lane = planned.lanes.iter().find(|lane| lane.service == kind.facts().service).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut journal = ledger.journal(planned.no, vec![TENANT]).unwrap();
    let ids = ids.iter().map(|id| ObjectId(Uuid::from_u128(*id))).collect();
    let found = runtime.block_on(journal.find(*lane, kind, ids)).unwrap();
    (journal.close().unwrap(), found)
}

#[test]
fn items_are_found_by_their_objects_with_what_became_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let planned = planned(&mut ledger, "a");
    let ledger = write(ledger, planned.no, &[intent(ItemNo(1))]);
    let (_, found) = find(ledger, &planned, Kind::AndroidDeviceOwner, &[99, 2]);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].item.no, found[0].item.tenant, found[0].progress.phase), (ItemNo(1), TENANT, Phase::InFlight));
    assert!(found[0].item.options.notify_managed_devices);
}

#[test]
fn only_what_this_run_is_to_send_is_found_and_only_as_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let earlier = planned(&mut ledger, "a");
    let later = planned(&mut ledger, "b");
    let all: Vec<u128> = (1..9).collect();
    let mut ledger = ledger;
    for (planned, kind, expected) in [
        (&earlier, Kind::AndroidDeviceOwner, 1),
        (&earlier, Kind::VppToken, 2),
        (&later, Kind::AndroidDeviceOwner, 5),
        (&later, Kind::VppToken, 6),
        (&later, Kind::AndroidForWork, 8),
    ] {
        let found;
        (ledger, found) = find(ledger, planned, kind, &all);
        assert_eq!(found.iter().map(|work| work.item.no.0).collect::<Vec<_>>(), [expected], "{kind}");
    }
    let (_, none) = find(ledger, &later, Kind::VppToken, &[]);
    assert!(none.is_empty());
}

#[test]
fn a_lane_of_another_run_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let planned = planned(&mut ledger, "a");
    let mut journal = ledger.journal(planned.no, Vec::new()).unwrap();
    let lane = Lane { tenant: TENANT, service: Service::Vpp, after: ItemNo(0), items: 1 };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(journal.find(lane, Kind::VppToken, Vec::new())).is_err());
}
