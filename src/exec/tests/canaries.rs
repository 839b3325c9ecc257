//! Canaries: the first items of each tenant and kind, and nothing after one that was not shown to be revoked.

use jiff::Timestamp;
use uuid::Uuid;

use super::rig::{LATENCY, Rig, no, yes};
use crate::exec::{Scope, Sight, Verdict};
use crate::model::{Event, Expiry, ItemNo, Kind, Limit, Phase, Seen, Snapshot, Stamp, Status, StopCause, StoppedBy, What};

fn rig() -> Rig {
    let mut rig = Rig::of(500);
    rig.add(3, 0, Kind::AndroidForWork);
    rig.add(7, 0, Kind::VppToken);
    rig.add(7, 1, Kind::VppToken);
    rig.policy.scope = Scope::Canaries(2.try_into().unwrap());
    rig
}

#[tokio::test(start_paused = true)]
async fn so_many_items_of_each_tenant_and_kind_are_sent_and_no_others() {
    let outcome = rig().run(|_, _| (LATENCY, yes())).await;
    let mut sent: Vec<i64> = outcome.seen.iter().map(|seen| seen.item.no.0).collect();
    sent.sort_unstable();
    assert_eq!(sent, [1, 2, 501, 502, 504, 505, 511, 512]);
    assert!(outcome.ended.is_whole());
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_fails_stops_the_run() {
    let outcome = rig().run(|order, _| (LATENCY, if order.item.no.0 == 502 { no() } else { yes() })).await;
    assert_eq!(outcome.ended.stopped_by, Some(StoppedBy::Canary));
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_is_gone_says_nothing_and_one_that_waits_stops_the_run() {
    for (status, stopped_by) in [(Status::NotFound, None), (Status::AwaitingApproval, Some(StoppedBy::Canary))] {
        let verdict = move || Verdict::Settled { status, reason: String::new() };
        let outcome = rig().run(move |_, _| (LATENCY, verdict())).await;
        assert_eq!(outcome.ended.stopped_by, stopped_by, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_is_denied_stops_its_own_tenant_and_leaves_the_others() {
    let mut rig = Rig::of(500);
    rig.add(500, 1, Kind::AndroidDeviceOwner);
    rig.policy.scope = Scope::Canaries(1.try_into().unwrap());
    let denied = |order: &crate::exec::Order, _| match order.item.no.0 {
        1 => (LATENCY, Verdict::Denied { reason: "one of A.All".to_owned() }),
        _ => (LATENCY, yes()),
    };
    let outcome = rig.run(denied).await;
    let stops: Vec<_> = outcome.ended.tenant_stops.iter().map(|stop| (stop.tenant.0.as_u128(), stop.cause)).collect();
    assert_eq!((stops, outcome.ended.stopped_by), (vec![(0, StopCause::Permission)], None));
    assert_eq!(outcome.seen.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_is_denied_beside_one_that_is_not_has_failed() {
    let mut rig = Rig::of(500);
    rig.policy.scope = Scope::Canaries(2.try_into().unwrap());
    let outcome = rig.run(|order, _| match order.item.no.0 {
        1 => (LATENCY, Verdict::Denied { reason: "locked".to_owned() }),
        _ => (LATENCY * 2, yes()),
    });
    assert_eq!(outcome.await.ended.stopped_by, Some(StoppedBy::Canary));
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_session_left_in_doubt_waits_with_the_rest() {
    let mut rig = Rig::of(10);
    rig.policy.scope = Scope::Canaries(1.try_into().unwrap());
    let intent = |no| Event { item: Some(ItemNo(no)), at: Stamp(0), what: What::Intent { client_request_id: Uuid::nil() } };
    rig.past = (1..=5).map(intent).collect();
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    assert_eq!(outcome.seen.iter().map(|seen| seen.item.no.0).collect::<Vec<_>>(), [6]);
    assert!(outcome.looked.is_empty() && outcome.count(Status::Unknown) == 5);
}

/// Items whose objects are read before they are sent: the first ones as they are told, the others alive.
async fn read_first(first: Sight<Snapshot>, count: i64) -> (Vec<i64>, Option<StoppedBy>) {
    let mut rig = Rig::of(600);
    rig.add(600, 0, Kind::AndroidForWork);
    (rig.policy.scope, rig.policy.pins) = (Scope::Canaries(2.try_into().unwrap()), true);
    let seen = |day: u32| {
        let expiry = Expiry::At(format!("1970-03-{day:02}T00:00:00Z").parse().unwrap());
        let date = Some(Timestamp::UNIX_EPOCH);
        Snapshot { date, name: None, seen: Seen::Android { expiry, created: None }, about: None }
    };
    rig.eyes = Box::new(move |item, _, _| if item.no.0 <= count { first.clone() } else { Sight::Shown(seen(1)) });
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    let mut sent: Vec<i64> = outcome.seen.iter().map(|seen| seen.item.no.0).collect();
    sent.sort_unstable();
    (sent, outcome.ended.stopped_by)
}

#[tokio::test(start_paused = true)]
async fn an_item_that_needs_no_request_is_no_canary_and_another_takes_its_place() {
    // More than one page of the ledger is gone.
    assert_eq!(read_first(Sight::Gone, 300).await, (vec![301, 302, 601, 602], None));
    assert_eq!(read_first(Sight::Gone, 1).await, (vec![2, 3, 601, 602], None));
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_cannot_even_be_read_has_failed() {
    let refused = Sight::Refused { reason: "no".to_owned() };
    assert_eq!(read_first(refused, 1).await.1, Some(StoppedBy::Canary));
}

#[tokio::test(start_paused = true)]
async fn two_items_that_are_all_a_tenant_has_and_are_denied_stop_it_and_a_single_one_does_not() {
    for (count, stops) in [(1, 0), (2, 1), (4, 1)] {
        let mut rig = Rig::of(count);
        rig.policy.max_fail = Limit::Percent(50.0).into();
        let outcome = rig.run(|_, _| (LATENCY, Verdict::Denied { reason: "one of A.All, B.All".to_owned() })).await;
        assert_eq!(outcome.ended.tenant_stops.len(), stops, "{count}");
        assert!(outcome.progress.iter().all(|progress| progress.phase == Phase::Settled(Status::Refused)));
        for stop in &outcome.ended.tenant_stops {
            assert_eq!(stop.cause, StopCause::Permission);
            assert!(stop.message.contains("A.All, B.All"), "{}", stop.message);
        }
    }
}
