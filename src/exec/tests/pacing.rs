//! What goes when: the quota, pauses, rates, fairness.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::rig::{LATENCY, Rig, again, later, yes};
use crate::exec::{Quota, Sight, Verdict};
use crate::model::{Expiry, Kind, Reached, Seen, Snapshot, Status};

const WINDOW: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn the_quota_is_used_up_and_never_exceeded() {
    let outcome = Rig::of(500).run(|_, _| (LATENCY, yes())).await;
    assert_eq!(outcome.count(Status::Accepted), 500);
    assert_eq!(outcome.most_within(WINDOW), 100);
    // Five windows: the last begins four windows and four latencies after the first.
    assert!(outcome.took < 4 * (WINDOW + 2 * LATENCY) + 2 * WINDOW / 10, "{:?}", outcome.took);
}

#[tokio::test(start_paused = true)]
async fn a_job_of_one_window_goes_without_waiting() {
    let outcome = Rig::of(100).run(|_, _| (LATENCY, yes())).await;
    assert!(outcome.took < Duration::from_secs(3), "{:?}", outcome.took);
}

#[tokio::test(start_paused = true)]
async fn android_and_vpp_have_a_window_each() {
    let mut rig = Rig::of(100);
    rig.add(100, 0, Kind::VppToken);
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    assert!(outcome.took < Duration::from_secs(3), "{:?}", outcome.took);
}

#[tokio::test(start_paused = true)]
async fn a_429_pauses_its_lane_for_everybody_as_long_as_asked() {
    let told = AtomicBool::new(false);
    let outcome = Rig::of(60).run(move |order, _| {
        let first = order.item.no.0 == 20 && !told.swap(true, Ordering::SeqCst);
        (LATENCY, if first { later(30) } else { yes() })
    });
    let outcome = outcome.await;
    assert_eq!(outcome.count(Status::Accepted), 60);
    let told_at = outcome.seen.iter().find(|seen| seen.item.no.0 == 20).unwrap().until;
    let in_pause = outcome.seen.iter().filter(|seen| seen.at > told_at && seen.at < told_at + Duration::from_secs(30));
    assert_eq!(in_pause.count(), 0);
    let throttled = &outcome.progress[19];
    assert_eq!((throttled.attempts, throttled.throttled), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_one_request_tests_the_water() {
    let outcome = Rig::of(40).run(|order, nth| (LATENCY, if order.item.no.0 <= 16 && nth == 1 { later(5) } else { yes() })).await;
    assert_eq!(outcome.count(Status::Accepted), 40);
    let resumed = outcome.seen.iter().map(|seen| seen.at).filter(|at| *at > Duration::from_secs(1)).min().unwrap();
    let at_once = outcome.seen.iter().filter(|seen| seen.at >= resumed && seen.at < resumed + LATENCY).count();
    assert_eq!(at_once, 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_wish_the_pause_grows() {
    let outcome = Rig::of(1).run(|_, nth| {
        let silent = Verdict::Throttled { after: None };
        (LATENCY, if nth <= 4 { silent } else { yes() })
    });
    let outcome = outcome.await;
    assert_eq!(outcome.progress[0].throttled, 4);
    let gaps: Vec<u64> = outcome.seen.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].until).as_secs()).collect();
    for (gap, least) in gaps.iter().zip([2, 5, 10, 20]) {
        assert!(*gap >= least, "{gaps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wish_of_nothing_does_not_become_a_storm() {
    let outcome = Rig::of(1).run(|_, nth| (LATENCY, if nth <= 6 { later(0) } else { yes() })).await;
    assert_eq!(outcome.count(Status::Accepted), 1);
    assert!(outcome.took > Duration::from_secs(10), "{:?}", outcome.took);
}

#[tokio::test(start_paused = true)]
async fn one_tenants_pause_never_delays_another() {
    let mut rig = Rig::of(50);
    rig.add(50, 1, Kind::AndroidDeviceOwner);
    let slow = rig.items[0].tenant;
    let outcome =
        rig.run(move |order, nth| (LATENCY, if order.item.tenant == slow && nth == 1 { later(60) } else { yes() })).await;
    assert_eq!(outcome.count(Status::Accepted), 100);
    let others_done = outcome.seen.iter().filter(|seen| seen.item.tenant != slow).map(|seen| seen.until).max().unwrap();
    assert!(others_done < Duration::from_secs(3), "{others_done:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_on_top_of_the_quota() {
    let mut rig = Rig::of(21);
    rig.policy.rate = Some(Quota { count: 2.try_into().unwrap(), per: Duration::from_secs(1) });
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    assert_eq!(outcome.took.as_secs(), 10);
    assert!(outcome.most_within(Duration::from_secs(1)) <= 2);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_retry_holds_no_slot() {
    let mut rig = Rig::of(30);
    rig.policy.concurrency = 1.try_into().unwrap();
    let outcome =
        rig.run(|order, nth| (LATENCY, if order.item.no.0 == 1 && nth <= 3 { again(Reached::Answered) } else { yes() })).await;
    assert_eq!(outcome.count(Status::Accepted), 30);
    let others = outcome.seen.iter().filter(|seen| seen.item.no.0 != 1).map(|seen| seen.until).max().unwrap();
    assert!(others < Duration::from_secs(6), "{others:?}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_makes_all_wait_and_does_not_use_up_every_item() {
    // Shorter than five attempts can take at their quickest: 0.5 + 1 + 2 + 4 s of jittered delays.
    let back = Duration::from_secs(6);
    let outcome = Rig::of(200).run_by_time(move |at| if at < back { again(Reached::NotSent) } else { yes() }).await;
    assert_eq!(outcome.count(Status::Accepted), 200);
    let in_vain = outcome.seen.iter().filter(|seen| seen.at < back).count();
    assert!(in_vain <= 5 * 16, "{in_vain}");
}

#[tokio::test(start_paused = true)]
async fn an_old_straggler_does_not_hold_back_what_comes_after_a_pause() {
    let outcome = Rig::of(10).run(|order, nth| match (order.item.no.0, nth) {
        (1, _) => (Duration::from_secs(25), yes()),
        (2, 1) => (LATENCY, later(1)),
        _ => (LATENCY, yes()),
    });
    let outcome = outcome.await;
    let others = outcome.seen.iter().filter(|seen| seen.item.no.0 != 1).map(|seen| seen.until).max().unwrap();
    assert!(others < Duration::from_secs(5), "{others:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_begins_while_one_request_tests_the_water_ends_nothing() {
    // The second of the first volley is told to come later when the one that goes first after the pause is under way.
    let outcome = Rig::of(10).run(|order, nth| match (order.item.no.0, nth) {
        (2, 1) => (Duration::from_secs(3), later(30)),
        (_, 1) => (LATENCY, later(1)),
        (_, 2) => (Duration::from_secs(3), yes()),
        _ => (LATENCY, yes()),
    });
    let outcome = outcome.await;
    assert_eq!((outcome.count(Status::Accepted), outcome.count(Status::NotAttempted)), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn reads_that_reach_nobody_while_one_request_tests_the_water_end_nothing() {
    let mut rig = Rig::of(10);
    rig.policy.verify = true;
    rig.eyes = Box::new(|_, nth, _| {
        let expiry = Expiry::At("2020-01-01T00:00:00Z".parse().unwrap());
        let seen = Seen::Android { expiry, created: None };
        let shown = || {
            Sight::Shown(Snapshot {
                date: Some("2026-01-01T00:00:00Z".parse().unwrap()),
                name: None,
                seen: seen.clone(),
                about: None,
            })
        };
        if nth <= 2 { Sight::Again { reached: false, after: None, message: "refused".to_owned() } } else { shown() }
    });
    let outcome = rig.run(|order, nth| match (order.item.no.0, nth) {
        (5.., 1) => (LATENCY, later(2)),
        (5.., 2) => (Duration::from_secs(2), yes()),
        _ => (LATENCY, yes()),
    });
    let outcome = outcome.await;
    assert_eq!((outcome.count(Status::Revoked), outcome.count(Status::NotAttempted)), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_takes_long_lets_nothing_slip_into_a_pause() {
    let mut rig = Rig::of(20);
    rig.add(1, 0, Kind::VppToken);
    // The first token comes at once; it is refused; the second takes a while, and meanwhile a long pause begins.
    let outcome = rig.run(|order, nth| match (order.item.no.0, nth) {
        (1, 1) => (LATENCY, Verdict::Unauthorized),
        (2, 1) => (2 * LATENCY, later(30)),
        _ => (LATENCY, yes()),
    });
    let outcome = outcome.await;
    let told_at = outcome.seen.iter().find(|seen| seen.item.no.0 == 2).unwrap().until;
    let android = outcome.seen.iter().filter(|seen| seen.item.kind == Kind::AndroidDeviceOwner);
    assert_eq!(android.filter(|seen| seen.at > told_at && seen.at < told_at + Duration::from_secs(30)).count(), 0);
    assert_eq!(outcome.count(Status::Accepted), 21);
}
