//! How a run ends before its time: signals, deadlines, pauses that are too long, a ledger that fails.

use std::time::Duration;

use super::rig::{LATENCY, Rig, again, later, no, yes};
use crate::exec::{NoToken, Stop, Verdict};
use crate::model::{Kind, Limit, Reached, Status, StopCause, StoppedBy, What};

#[tokio::test(start_paused = true)]
async fn a_first_signal_lets_what_is_in_flight_finish() {
    let mut rig = Rig::of(200);
    rig.stops = vec![(Duration::from_millis(400), Stop::Drain)];
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    assert_eq!(outcome.ended.stopped_by, Some(StoppedBy::Interrupted));
    assert_eq!(outcome.count(Status::Unknown), 0);
    let accepted = outcome.count(Status::Accepted);
    assert!(accepted > 0 && accepted < 100, "{accepted}");
    assert_eq!(outcome.count(Status::NotAttempted), 200 - accepted);
}

#[tokio::test(start_paused = true)]
async fn what_hangs_is_given_up_after_the_grace() {
    let mut rig = Rig::of(3);
    rig.stops = vec![(Duration::from_secs(1), Stop::Drain)];
    let outcome = rig.run(|_, _| (Duration::from_secs(100), yes())).await;
    assert_eq!(outcome.count(Status::Unknown), 3);
    assert_eq!(outcome.took.as_secs(), 21);
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_ends_at_once() {
    let mut rig = Rig::of(3);
    rig.stops = vec![(Duration::from_secs(1), Stop::Drain), (Duration::from_secs(2), Stop::Abort)];
    let outcome = rig.run(|_, _| (Duration::from_secs(100), yes())).await;
    assert_eq!((outcome.count(Status::Unknown), outcome.took.as_secs()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_nothing_new_is_sent() {
    let mut rig = Rig::of(300);
    rig.policy.deadline = Some(Duration::from_secs(30));
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    assert_eq!(outcome.ended.stopped_by, Some(StoppedBy::Deadline));
    assert_eq!((outcome.count(Status::Accepted), outcome.count(Status::NotAttempted)), (200, 100));
    assert_eq!(outcome.took.as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_done_before_its_deadline_was_not_stopped_by_it() {
    let mut rig = Rig::of(5);
    // The token takes 300 ms, and the answers come 150 ms later.
    rig.policy.deadline = Some(Duration::from_millis(400));
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    assert_eq!((outcome.ended.stopped_by, outcome.count(Status::Accepted)), (None, 5));
}

#[tokio::test(start_paused = true)]
async fn a_pause_longer_than_allowed_stops_the_tenant_at_once() {
    let outcome = Rig::of(20).run(|_, _| (LATENCY, later(3_600))).await;
    assert_eq!(outcome.ended.tenant_stops[0].cause, StopCause::MaxPause);
    assert_eq!(outcome.count(Status::NotAttempted), 20);
    assert!(outcome.took < Duration::from_secs(2), "{:?}", outcome.took);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_only_says_later_is_stopped_in_the_end() {
    let outcome = Rig::of(3).run(|_, _| (LATENCY, later(60))).await;
    assert_eq!(outcome.ended.tenant_stops[0].cause, StopCause::MaxPause);
    let minutes = outcome.took.as_secs() / 60;
    assert!((30..=36).contains(&minutes), "{minutes}");
}

#[tokio::test(start_paused = true)]
async fn without_a_durable_intent_nothing_is_sent_and_nothing_is_shown() {
    let mut rig = Rig::of(10);
    rig.commits = 0;
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    assert_eq!(outcome.ended.stopped_by, Some(StoppedBy::Ledger));
    assert!(outcome.ended.journal_error.is_some());
    assert_eq!((outcome.seen.len(), outcome.shown), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn when_the_ledger_fails_what_is_in_flight_finishes_and_is_told() {
    let mut rig = Rig::of(50);
    rig.commits = 1;
    rig.policy.quota = None;
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    assert_eq!(outcome.ended.stopped_by, Some(StoppedBy::Ledger));
    assert_eq!(outcome.seen.len(), 16);
    let told = outcome.ended.unrecorded.iter().filter(|event| matches!(event.what, What::Reply(_))).count();
    assert_eq!((told, outcome.shown), (16, 16));
}

#[tokio::test(start_paused = true)]
async fn what_is_shown_is_what_is_durable() {
    let outcome = Rig::of(30).run(|_, nth| (LATENCY, if nth == 1 { again(Reached::NotSent) } else { yes() })).await;
    // The last outcomes may have been made durable after the last look.
    assert!(outcome.shown <= outcome.events.len());
    assert_eq!(outcome.count(Status::Accepted), 30);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_bounds_what_is_in_flight_as_well() {
    let mut rig = Rig::of(2);
    rig.policy.deadline = Some(Duration::from_secs(10));
    let outcome = rig.run(|_, _| (Duration::from_secs(95), yes())).await;
    assert_eq!((outcome.ended.stopped_by, outcome.count(Status::Unknown)), (Some(StoppedBy::Deadline), 2));
    assert_eq!(outcome.took.as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_signal_bounds_what_is_in_flight_whatever_stopped_the_run_before() {
    let mut rig = Rig::of(2);
    rig.policy.max_fail = Limit::Count(1).into();
    rig.stops = vec![(Duration::from_secs(5), Stop::Drain)];
    let outcome = rig.run(|order, _| if order.item.no.0 == 1 { (LATENCY, no()) } else { (Duration::from_secs(95), yes()) });
    let outcome = outcome.await;
    assert_eq!((outcome.ended.stopped_by, outcome.took.as_secs()), (Some(StoppedBy::Breaker), 25));
    assert_eq!((outcome.count(Status::Refused), outcome.count(Status::Unknown)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_an_attempt_ends_the_run_as_a_bug_and_the_item_is_unknown() {
    let outcome = Rig::of(3).run(|order, _| {
        assert!(order.item.no.0 != 2, "a bug");
        (LATENCY, yes())
    });
    let outcome = outcome.await;
    assert_eq!(outcome.ended.stopped_by, Some(StoppedBy::Bug));
    assert_eq!((outcome.count(Status::Accepted), outcome.count(Status::Unknown)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_gone_for_too_long_stops_the_tenant() {
    let mut rig = Rig::of(1_000);
    rig.policy.max_pause = Duration::from_mins(1);
    let outcome = rig.run(|_, _| (LATENCY, again(Reached::NotSent))).await;
    assert_eq!(outcome.ended.tenant_stops[0].cause, StopCause::MaxPause);
    assert!(outcome.took < Duration::from_mins(2), "{:?}", outcome.took);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_nobody_needs_any_more_keeps_nobody_waiting() {
    let mut rig = Rig::of(2);
    rig.sign_in =
        Box::new(|_, nth| if nth == 1 { Ok(()) } else { Err(NoToken { message: "busy".into(), retry: Some(Duration::ZERO) }) });
    let outcome =
        rig.run(|order, _| if order.item.no.0 == 1 { (LATENCY, Verdict::Unauthorized) } else { (2 * LATENCY, later(7_200)) });
    let outcome = outcome.await;
    assert_eq!(outcome.ended.tenant_stops.len(), 1);
    assert!(outcome.took < Duration::from_secs(2), "{:?}", outcome.took);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_will_not_be_answered_otherwise_is_stopped_at_once_and_no_other() {
    for (reached, attempts) in [(Reached::NotSent, 0), (Reached::Answered, 1)] {
        let mut rig = Rig::of(100);
        rig.add(20, 1, Kind::VppToken);
        let closed = rig.items[0].tenant;
        let stop = move || Verdict::StopTenant { reached, reason: "barred".to_owned() };
        let outcome = rig.run(move |order, _| (LATENCY, if order.item.tenant == closed { stop() } else { yes() })).await;
        let stops = outcome.ended.tenant_stops.iter().map(|stop| (stop.tenant, stop.cause, stop.message.as_str()));
        assert_eq!(stops.collect::<Vec<_>>(), [(closed, StopCause::SignIn, "barred")]);
        assert_eq!((outcome.count(Status::NotAttempted), outcome.count(Status::Accepted)), (100, 20));
        assert_eq!(outcome.progress[0].attempts, attempts);
        // None but those that were on their way, and none of them twice.
        assert!(outcome.seen.iter().filter(|seen| seen.item.tenant == closed).count() <= 16);
    }
}
