//! What becomes of items: retries, doubt, tokens, permissions.

use std::collections::HashMap;
use std::time::Duration;

use super::rig::{LATENCY, Rig, again, later, no, yes};
use crate::exec::{NoToken, Sight, Verdict};
use crate::model::{Expiry, Kind, Limit, Reached, Seen, Service, Snapshot, Status, StopCause, StoppedBy};

#[tokio::test(start_paused = true)]
async fn a_request_that_never_left_is_simply_retried_until_the_attempts_are_used_up() {
    let outcome =
        Rig::of(2).run(|order, nth| (LATENCY, if order.item.no.0 == 1 || nth < 3 { again(Reached::NotSent) } else { yes() }));
    let outcome = outcome.await;
    assert_eq!(outcome.progress[0].status(), Status::Failed);
    assert_eq!((outcome.progress[0].attempts, outcome.progress[0].sent_at), (5, None));
    assert_eq!((outcome.progress[1].status(), outcome.progress[1].attempts), (Status::Accepted, 3));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_have_had_its_effect_is_never_repeated() {
    let mut rig = Rig::of(10);
    // A token without an end: nothing that is read of it tells.
    let seen = Seen::Android { expiry: Expiry::Never, created: None };
    rig.eyes = Box::new(move |_, _, _| Sight::Shown(Snapshot { date: None, name: None, seen: seen.clone(), about: None }));
    let outcome = rig.run(|_, _| (LATENCY, again(Reached::Maybe))).await;
    assert_eq!(outcome.count(Status::Unknown), 10);
    assert_eq!(outcome.seen.len(), 10);
    assert!(
        outcome.progress.iter().all(|progress| progress.reason == "reading back could not tell whether a request had its effect")
    );
    assert_eq!(outcome.took.as_secs(), 120, "it is read until there is no more time for it");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_and_then_no_connection_is_unknown_and_not_failed() {
    let outcome = Rig::of(1).run(|_, nth| (LATENCY, again(if nth == 1 { Reached::Answered } else { Reached::NotSent }))).await;
    assert_eq!(outcome.count(Status::Unknown), 1);
}

#[tokio::test(start_paused = true)]
async fn what_had_no_effect_does_not_make_an_unreachable_service_doubtful() {
    let outcome = Rig::of(2).run(|order, nth| match (nth, order.item.no.0) {
        (1, 1) => (LATENCY, later(1)),
        (1, _) => (LATENCY, Verdict::Unauthorized),
        _ => (LATENCY, again(Reached::NotSent)),
    });
    assert_eq!(outcome.await.count(Status::Failed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_has_just_expired_is_no_fault_of_the_items() {
    let mut rig = Rig::of(5);
    rig.policy.max_attempts = 1.try_into().unwrap();
    let outcome = rig.run(|_, nth| (LATENCY, if nth == 1 { Verdict::Unauthorized } else { yes() })).await;
    assert_eq!(outcome.count(Status::Accepted), 5);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_retried_and_then_unknown() {
    let outcome =
        Rig::of(2).run(|order, nth| (LATENCY, if order.item.no.0 == 1 || nth == 1 { again(Reached::Answered) } else { yes() }));
    let outcome = outcome.await;
    assert_eq!((outcome.progress[0].status(), outcome.progress[0].attempts), (Status::Unknown, 5));
    assert_eq!((outcome.progress[1].status(), outcome.progress[1].attempts), (Status::Accepted, 2));
}

#[tokio::test(start_paused = true)]
async fn the_service_may_ask_one_item_to_wait() {
    let wait = Duration::from_secs(45);
    let outcome = Rig::of(1).run(move |_, nth| {
        (LATENCY, if nth == 1 { Verdict::Again { reached: Reached::Answered, after: Some(wait) } } else { yes() })
    });
    let outcome = outcome.await;
    assert!(outcome.seen[1].at.saturating_sub(outcome.seen[0].until) >= wait);
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_costs_each_item_one_repetition_at_most() {
    let outcome =
        Rig::of(50).run(|order, nth| (LATENCY, if order.item.no.0 <= 16 && nth == 1 { Verdict::Unauthorized } else { yes() }));
    let outcome = outcome.await;
    assert_eq!(outcome.count(Status::Accepted), 50);
    assert!(outcome.ended.tenant_stops.is_empty());
}

#[tokio::test(start_paused = true)]
async fn late_answers_to_an_expired_token_are_not_held_against_the_fresh_one() {
    // The first sixteen go with one token; it expires, and their answers come in turn: refused, accepted, refused, ...
    let outcome = Rig::of(60).run(|order, nth| {
        let no = order.item.no.0;
        let latency = if nth == 1 && no <= 16 { LATENCY + Duration::from_millis(50 * no.unsigned_abs()) } else { LATENCY };
        (latency, if nth == 1 && no <= 16 && no % 2 == 1 { Verdict::Unauthorized } else { yes() })
    });
    let outcome = outcome.await;
    assert!(outcome.ended.tenant_stops.is_empty());
    assert_eq!(outcome.count(Status::Accepted), 60);
}

#[tokio::test(start_paused = true)]
async fn two_fresh_tokens_refused_in_a_row_stop_the_tenant_and_no_other() {
    let mut rig = Rig::of(100);
    rig.add(20, 1, Kind::VppToken);
    let closed = rig.items[0].tenant;
    let outcome =
        rig.run(move |order, _| (LATENCY, if order.item.tenant == closed { Verdict::Unauthorized } else { yes() })).await;
    let causes: Vec<StopCause> = outcome.ended.tenant_stops.iter().map(|stop| stop.cause).collect();
    assert_eq!(causes, [StopCause::SignIn]);
    assert_eq!((outcome.count(Status::NotAttempted), outcome.count(Status::Accepted)), (100, 20));
    assert!(outcome.seen.iter().filter(|seen| seen.item.tenant == closed).count() <= 2 * 16);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_without_a_token_is_stopped_and_nothing_was_intended() {
    let mut rig = Rig::of(30);
    rig.sign_in = Box::new(|_, _| Err(NoToken { message: "wrong secret".to_owned(), retry: None }));
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    assert_eq!(outcome.count(Status::NotAttempted), 30);
    let stops: Vec<(StopCause, &str)> =
        outcome.ended.tenant_stops.iter().map(|stop| (stop.cause, stop.message.as_str())).collect();
    assert_eq!(stops, [(StopCause::SignIn, "wrong secret")]);
    assert!(outcome.events.iter().all(|event| event.item.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_fails_for_a_while_is_waited_for() {
    let mut rig = Rig::of(3);
    let blip = || NoToken { message: "busy".to_owned(), retry: Some(Duration::from_mins(1)) };
    rig.sign_in = Box::new(move |_, nth| if nth <= 2 { Err(blip()) } else { Ok(()) });
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    assert_eq!(outcome.count(Status::Accepted), 3);
    assert_eq!(outcome.took.as_secs() / 60, 2);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_service_that_wants_too_long_a_pause_is_not_waited_for() {
    let mut rig = Rig::of(3);
    rig.sign_in = Box::new(|_, _| Err(NoToken { message: "busy".to_owned(), retry: Some(Duration::from_hours(1)) }));
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    assert_eq!(outcome.ended.tenant_stops[0].cause, StopCause::MaxPause);
    assert!(outcome.took < Duration::from_secs(1), "{:?}", outcome.took);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_fails_for_too_long_is_told_as_such() {
    let mut rig = Rig::of(3);
    rig.sign_in = Box::new(|_, _| Err(NoToken { message: "busy".to_owned(), retry: Some(Duration::from_mins(1)) }));
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    assert_eq!(outcome.ended.tenant_stops[0].cause, StopCause::SignIn);
    assert!((30..33).contains(&(outcome.took.as_secs() / 60)), "{:?}", outcome.took);
}

#[tokio::test(start_paused = true)]
async fn first_items_that_are_all_denied_stop_the_tenant() {
    let denied = || Verdict::Denied { reason: "no scope".to_owned() };
    let mut rig = Rig::of(100);
    rig.policy.concurrency = 1.try_into().unwrap();
    let outcome = rig.run(move |_, _| (LATENCY, denied())).await;
    assert_eq!((outcome.count(Status::Refused), outcome.count(Status::NotAttempted)), (5, 95));
    let stop = &outcome.ended.tenant_stops[0];
    assert_eq!((stop.cause, stop.service), (StopCause::Permission, Some(Service::Android)));
}

#[tokio::test(start_paused = true)]
async fn what_one_service_denies_does_not_stop_the_other_nor_open_the_breaker() {
    let mut rig = Rig::of(40);
    rig.add(40, 0, Kind::VppToken);
    rig.policy.max_fail = Limit::Percent(10.0).into();
    let outcome = rig.run(|order, _| match order.item.kind {
        Kind::VppToken => (Duration::ZERO, Verdict::Denied { reason: "no scope".to_owned() }),
        Kind::AndroidForWork | Kind::AndroidDeviceOwner => (LATENCY, yes()),
    });
    let outcome = outcome.await;
    assert_eq!((outcome.count(Status::Accepted), outcome.ended.stopped_by), (40, None));
    assert_eq!(outcome.ended.tenant_stops[0].service, Some(Service::Vpp));
}

#[tokio::test(start_paused = true)]
async fn single_items_that_are_denied_stop_nothing() {
    let outcome = Rig::of(50).run(|order, _| {
        let denied = order.item.no.0 % 3 == 0;
        (LATENCY, if denied { Verdict::Denied { reason: "locked".to_owned() } } else { yes() })
    });
    let outcome = outcome.await;
    assert_eq!((outcome.count(Status::Refused), outcome.count(Status::Accepted)), (16, 34));
    assert!(outcome.ended.tenant_stops.is_empty());
}

#[tokio::test(start_paused = true)]
async fn too_many_failures_open_the_breaker() {
    let mut rig = Rig::of(100);
    rig.policy.concurrency = 1.try_into().unwrap();
    rig.policy.max_fail = Limit::Count(7).into();
    let outcome = rig.run(|_, _| (LATENCY, no())).await;
    assert_eq!(outcome.ended.stopped_by, Some(StoppedBy::Breaker));
    assert_eq!((outcome.count(Status::Refused), outcome.count(Status::NotAttempted)), (7, 93));
}

#[tokio::test(start_paused = true)]
async fn no_object_has_two_requests_in_flight() {
    let script = |_: &crate::exec::Order, nth: u32| {
        let verdict = match nth {
            1 => again(Reached::NotSent),
            2 => again(Reached::Answered),
            3 => Verdict::Unauthorized,
            _ => yes(),
        };
        (LATENCY, verdict)
    };
    let outcome = Rig::of(40).run(script).await;
    let mut by_item: HashMap<_, Vec<_>> = HashMap::new();
    for seen in &outcome.seen {
        by_item.entry(seen.item.no).or_default().push((seen.at, seen.until));
    }
    for times in by_item.values_mut() {
        times.sort_unstable();
        assert!(times.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{times:?}");
    }
}
