//! Multi Admin Approval: requests say why they are made where that is asked, and what was approved is sent with its code.

use std::sync::mpsc;
use std::time::Duration;

use uuid::Uuid;

use super::rig::{LATENCY, Outcome, Rig, yes};
use crate::exec::{Justification, Order, Plea, Sight, Verdict};
use crate::model::{
    Event, Expiry, ItemNo, Kind, Look, Reached, Reply, Ruling, Seen, Snapshot, Stamp, Status, StopCause, Then, What,
};

const CODE: &str = "aabb1234-5678-9012-abcd-ef0123456789";

/// A tenant that protects its VPP tokens.
fn guarded(order: &Order, _: u32) -> (Duration, Verdict) {
    let verdict = match (order.item.kind, &order.plea) {
        (Kind::VppToken, Plea::None) => Verdict::NeedsApproval { reason: "why?".to_owned() },
        (Kind::VppToken, Plea::Justification) => {
            Verdict::Settled { status: Status::AwaitingApproval, reason: "queued".to_owned() }
        }
        _ => yes(),
    };
    (LATENCY, verdict)
}

fn mixed() -> Rig {
    let mut rig = Rig::of(10);
    rig.add(30, 0, Kind::VppToken);
    rig
}

fn causes(outcome: &Outcome) -> Vec<StopCause> {
    outcome.ended.tenant_stops.iter().map(|stop| stop.cause).collect()
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_asks_is_told_why_and_no_attempt_is_used_up() {
    let mut rig = mixed();
    rig.policy.justification = Justification::Asked;
    let outcome = rig.run(guarded).await;
    assert_eq!((outcome.count(Status::Accepted), outcome.count(Status::AwaitingApproval)), (10, 30));
    assert!(outcome.progress.iter().all(|progress| progress.attempts == 1));
    // Only the requests that were under way when it first asked were made twice.
    let requests = outcome.seen.iter().filter(|seen| seen.item.kind == Kind::VppToken).count();
    assert!((31..=46).contains(&requests), "{requests}");
    assert!(causes(&outcome).is_empty());
}

#[tokio::test(start_paused = true)]
async fn where_it_is_always_said_nobody_asks() {
    let mut rig = mixed();
    rig.policy.justification = Justification::Always;
    let outcome = rig.run(guarded).await;
    assert_eq!((outcome.count(Status::AwaitingApproval), outcome.seen.len()), (30, 40));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_asks_in_vain_is_sent_nothing_more_and_its_other_items_are_read_back() {
    let mut rig = mixed();
    rig.policy.concurrency = 4.try_into().unwrap();
    rig.policy.verify = true;
    rig.eyes = Box::new(|_, _, _| Sight::Shown(shown(Expiry::At("1969-12-31T00:00:00Z".parse().unwrap()))));
    rig.add(5, 1, Kind::AndroidDeviceOwner);
    let outcome = rig.run(guarded).await;
    assert_eq!(causes(&outcome), [StopCause::Justification]);
    let unsent = outcome.count(Status::NotAttempted);
    assert!(outcome.progress[10..40].iter().all(|progress| progress.status() == Status::NotAttempted));
    // What had been sent is shown to be revoked, and the other tenant goes on.
    assert_eq!(outcome.count(Status::Revoked), 45 - unsent);
    assert!(outcome.progress[40..].iter().all(|progress| progress.status() == Status::Revoked));
    assert!(outcome.seen.iter().filter(|seen| seen.item.kind == Kind::VppToken).count() <= 4);
}

#[tokio::test(start_paused = true)]
async fn a_reason_that_is_not_taken_is_not_given_again() {
    let mut rig = Rig::of(3);
    rig.policy.justification = Justification::Always;
    let outcome = rig.run(|_, _| (LATENCY, Verdict::NeedsApproval { reason: "why?".to_owned() })).await;
    assert_eq!((outcome.count(Status::Refused), outcome.seen.len()), (3, 3));
}

fn shown(expiry: Expiry) -> Snapshot {
    let date = Some("1970-01-01T00:00:00Z".parse().unwrap());
    Snapshot { date, name: None, seen: Seen::Android { expiry, created: None }, about: None }
}

/// An item that was queued in an earlier session, and approved since.
fn approved(pin: Snapshot) -> Vec<Event> {
    let reply = Reply {
        reached: Reached::Answered,
        sent_at: Stamp(0),
        elapsed_ms: 1,
        http_status: Some(412),
        error_code: None,
        message: None,
        request_id: None,
        approval_code: Some(CODE.to_owned()),
        then: Then::Settled { status: Status::AwaitingApproval, reason: "queued".to_owned() },
    };
    let pinned = Look { reading: Some(pin), then: crate::model::AfterLook::Pin };
    let whats = [
        What::Looked(Box::new(pinned)),
        What::Intent { client_request_id: Uuid::nil() },
        What::Reply(Box::new(reply)),
        What::Ruled(Ruling::Granted),
    ];
    whats.into_iter().map(|what| Event { item: Some(ItemNo(1)), at: Stamp(0), what }).collect()
}

fn live(day: u32) -> Snapshot {
    shown(Expiry::At(format!("1970-03-{day:02}T00:00:00Z").parse().unwrap()))
}

/// What is sent for an approved item, and what becomes of it, if this is read before.
async fn resumed(now: Snapshot, answers: fn(u32) -> Verdict) -> (Vec<Plea>, Outcome) {
    let ((log, pleas), mut rig) = (mpsc::channel(), Rig::of(1));
    rig.items[0].kind = Kind::AndroidForWork;
    rig.past = approved(live(1));
    rig.policy.justification = Justification::Always;
    rig.eyes = Box::new(move |_, _, _| Sight::Shown(now.clone()));
    let outcome = rig.run(move |order, nth| {
        log.send(order.plea.clone()).unwrap();
        (LATENCY, answers(nth))
    });
    let outcome = outcome.await;
    (pleas.try_iter().collect(), outcome)
}

#[tokio::test(start_paused = true)]
async fn what_was_approved_is_read_and_then_sent_with_its_code_however_often_that_takes() {
    let busy = |nth| if nth == 1 { Verdict::Throttled { after: None } } else { yes() };
    let (pleas, outcome) = resumed(live(1), busy).await;
    assert_eq!(pleas, [Plea::Code(CODE.to_owned()), Plea::Code(CODE.to_owned())]);
    assert_eq!((outcome.count(Status::Accepted), outcome.looked.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_code_that_is_good_for_nothing_any_more_gives_way_to_a_reason() {
    let stale = |nth| if nth == 1 { Verdict::NeedsApproval { reason: "why?".to_owned() } } else { yes() };
    let (pleas, outcome) = resumed(live(1), stale).await;
    assert_eq!(pleas, [Plea::Code(CODE.to_owned()), Plea::Justification]);
    assert_eq!((outcome.count(Status::Accepted), outcome.progress[0].asked), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_approval_for_a_token_that_was_reissued_since_is_not_used() {
    let (pleas, outcome) = resumed(live(20), |_| yes()).await;
    assert!(pleas.is_empty());
    assert_eq!(outcome.count(Status::Superseded), 1);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_revoked_while_it_waited_is_not_sent() {
    let (pleas, outcome) = resumed(shown(Expiry::At("1969-12-31T23:58:00Z".parse().unwrap())), |_| yes()).await;
    assert!(pleas.is_empty());
    assert_eq!((outcome.count(Status::Revoked), outcome.progress[0].reason.as_str()), (1, FASTER));
}

const FASTER: &str = "revoked by somebody else since it was first read";

#[tokio::test(start_paused = true)]
async fn a_code_that_is_answered_by_another_queue_is_not_sent_again() {
    let queue = |_| Verdict::Settled { status: Status::AwaitingApproval, reason: "queued again".to_owned() };
    let (pleas, outcome) = resumed(live(1), queue).await;
    assert_eq!((pleas.len(), outcome.count(Status::AwaitingApproval)), (1, 1));
    // An answer that names no other code may be about this very request.
    let progress = &outcome.progress[0];
    assert_eq!((progress.granted, progress.approval_code.as_deref()), (false, Some(CODE)));
}
