//! What becomes of requests of which nobody knows whether they had their effect.

use std::time::Duration;

use super::rig::{Rig, Seen};
use super::world::{Fault, Object, Played, Shape, World, showers};
use crate::clock::Moment;
use crate::exec::Quota;
use crate::model::{Kind, Status};

/// Every doubtful fault of the first request, and of the first two, of every kind, in every shape of what then shows.
fn matrix() -> Vec<Object> {
    let mut objects = Vec::new();
    for kind in Kind::ALL {
        for shape in Shape::all(kind) {
            for first in Fault::DOUBTFUL {
                objects.push(Object::new(kind, shape, &[first]));
                objects.extend(Fault::DOUBTFUL.map(|second| Object::new(kind, shape, &[first, second])));
            }
        }
    }
    objects
}

async fn play(objects: Vec<Object>) -> Played {
    let world = World::of(objects);
    let rig = world.rig();
    world.play(rig).await
}

fn keeps_the_rules_and_ends_well(played: &Played) {
    played.keeps_the_rules(Rig::of(0).policy.settle);
    for (n, object) in played.world.objects.iter().enumerate() {
        assert_eq!(played.status(n), object.shape.end(), "{n}: {object:?} {:?}", played.outcome.progress[n]);
        assert_eq!(object.effects(), 1, "{n}: {object:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_is_lost_and_however_it_shows_each_object_is_revoked_once() {
    let world = World::of(matrix());
    let mut rig = world.rig();
    rig.policy.quota = None;
    keeps_the_rules_and_ends_well(&world.play(rig).await);
}

#[tokio::test(start_paused = true)]
async fn one_request_at_a_time_comes_to_the_same_end() {
    let world = World::of(matrix().into_iter().filter(|object| object.faults.len() == 1).collect());
    let mut rig = world.rig();
    rig.policy.concurrency = 1.try_into().unwrap();
    keeps_the_rules_and_ends_well(&world.play(rig).await);
}

#[tokio::test(start_paused = true)]
async fn reads_that_fail_come_to_the_same_end() {
    let mut world = World::of(matrix().into_iter().filter(|object| object.faults.len() == 1).collect());
    world.weather = showers;
    let mut rig = world.rig();
    rig.policy.quota = None;
    keeps_the_rules_and_ends_well(&world.play(rig).await);
}

#[tokio::test(start_paused = true)]
async fn lists_that_take_longer_than_settle_come_to_the_same_end() {
    let faults = |n: usize| [Fault::LostBefore, Fault::DOUBTFUL[n % 9]];
    let object = |n: usize| Object::new(Kind::AndroidForWork, Shape::Now, &faults(n));
    let world = World::of((0..300).map(object).collect());
    let mut rig = world.rig();
    (rig.page, rig.policy.quota) = (Some(10), None);
    let played = world.play(rig).await;
    keeps_the_rules_and_ends_well(&played);
    assert!(played.outcome.pages.len() > 100, "{}", played.outcome.pages.len());
}

#[tokio::test(start_paused = true)]
async fn what_the_last_page_of_a_list_showed_was_not_seen_when_the_first_was_asked_for() {
    // Forty are lost at once: their list of thirty pages is read. It shows half of them revoked; the others are then
    // few enough to be read by their ids.
    let lost = |n: usize| if n.is_multiple_of(2) { Fault::LostBefore } else { Fault::LostAfter };
    let object = |n: usize| Object::new(Kind::AndroidForWork, Shape::Now, &[if n < 260 { Fault::None } else { lost(n) }]);
    let world = World::of((0..300).map(object).collect());
    let mut rig = world.rig();
    (rig.page, rig.policy.verify, rig.policy.concurrency) = (Some(10), false, 400.try_into().unwrap());
    rig.policy.quota = Some(Quota { count: 30_000.try_into().unwrap(), per: Duration::from_secs(20) });
    let played = world.play(rig).await;
    played.keeps_the_rules(Rig::of(0).policy.settle);
    assert_eq!((played.outcome.count(Status::Accepted), played.outcome.count(Status::Revoked)), (280, 20));
    assert_eq!((played.outcome.looked.len(), played.outcome.pages.len() % 30), (20, 0));
}

#[tokio::test(start_paused = true)]
async fn what_the_service_said_yes_to_is_waited_for_and_never_sent_again() {
    let late = |kind, seconds| {
        Shape::all(kind).map(|shape| Object { lag: Duration::from_secs(seconds), ..Object::new(kind, shape, &[]) })
    };
    let objects = [late(Kind::AndroidForWork, 20), late(Kind::AndroidDeviceOwner, 60), late(Kind::VppToken, 300)];
    let played = play(objects.into_iter().flatten().collect()).await;
    keeps_the_rules_and_ends_well(&played);
    assert_eq!(played.outcome.seen.len(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_lost_token_without_an_end_is_sent_once_and_only_a_past_date_tells() {
    let endless = |shape, fault| Object { end: None, ..Object::new(Kind::AndroidDeviceOwner, shape, &[fault]) };
    let played = play(vec![
        endless(Shape::Now, Fault::LostAfter),
        endless(Shape::Past, Fault::ErrorAfter),
        endless(Shape::Missing, Fault::LostAfter),
        endless(Shape::Zero, Fault::HungAfter),
        endless(Shape::Now, Fault::LostBefore),
    ])
    .await;
    let statuses: Vec<Status> = (0..5).map(|n| played.status(n)).collect();
    assert_eq!(statuses, [Status::Revoked, Status::Revoked, Status::Unknown, Status::Unknown, Status::Unknown]);
    assert!((0..5).all(|n| played.sent(n) == 1));
}

#[tokio::test(start_paused = true)]
async fn a_vpp_token_that_was_not_read_before_is_unknown_at_once() {
    let world = World::of(vec![Object::new(Kind::VppToken, Shape::Done, &[Fault::LostAfter])]);
    let mut rig = world.rig();
    rig.policy.pins = false;
    let played = world.play(rig).await;
    assert_eq!((played.status(0), played.sent(0), played.outcome.looked.len()), (Status::Unknown, 1, 0));
    assert!(played.outcome.took < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn what_is_issued_anew_between_loss_and_reading_is_superseded() {
    let since = Some(Duration::from_secs(2));
    let reissued = |kind, fault| Object { reissued: since, ..Object::new(kind, Shape::all(kind)[0], &[fault]) };
    let objects = Kind::ALL.into_iter().flat_map(|kind| [Fault::LostBefore, Fault::LostAfter].map(|fault| reissued(kind, fault)));
    let played = play(objects.collect()).await;
    assert_eq!(played.outcome.count(Status::Superseded), 6);
    assert!((0..6).all(|n| played.sent(n) == 1));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_answer_to_a_repetition_is_read_back_before_it_counts() {
    // The first had its effect, which shows so late that it is sent again; that is answered as for a dead token.
    let late = |kind, lag, fault| Object {
        lag: Duration::from_secs(lag),
        ..Object::new(kind, Shape::all(kind)[0], &[Fault::LostAfter, fault])
    };
    let none = |kind, fault| Object::new(kind, Shape::all(kind)[0], &[Fault::LostBefore, fault]);
    let mut objects = Vec::new();
    for fault in [Fault::Refused, Fault::Denied, Fault::Gone] {
        objects.extend([late(Kind::AndroidForWork, 9, fault), late(Kind::AndroidDeviceOwner, 9, fault)]);
        objects.push(late(Kind::VppToken, 70, fault));
        objects.extend(Kind::ALL.map(|kind| none(kind, fault)));
    }
    let played = play(objects).await;
    played.keeps_the_rules(Rig::of(0).policy.settle);
    for (n, object) in played.world.objects.iter().enumerate() {
        let told = if object.faults[1] == Fault::Gone { Status::NotFound } else { Status::Refused };
        let end = if object.effects() > 0 { Status::Revoked } else { told };
        assert_eq!((played.status(n), played.sent(n)), (end, 2), "{n}: {object:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_permanent_answer_to_the_first_request_counts_at_once() {
    let played = play(vec![Object::new(Kind::AndroidForWork, Shape::Now, &[Fault::Refused])]).await;
    assert_eq!((played.status(0), played.outcome.looked.len()), (Status::Refused, 1));
}

#[tokio::test(start_paused = true)]
async fn attempts_that_are_used_up_on_an_untouched_object_are_a_failure() {
    let played = play(Kind::ALL.map(|kind| Object::new(kind, Shape::all(kind)[0], &[Fault::LostBefore; 9])).into()).await;
    played.keeps_the_rules(Rig::of(0).policy.settle);
    for n in 0..3 {
        let progress = &played.outcome.progress[n];
        assert_eq!((progress.status(), played.sent(n)), (Status::Failed, 5));
        assert_eq!(progress.reason, "shown to be as it was after 5 attempts");
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_sent_again_and_judged_by_reading_in_the_end() {
    let conflicts = |kind, n: usize| Object::new(kind, Shape::all(kind)[0], &[Fault::Conflict; 9][..n]);
    let mut objects: Vec<Object> = Kind::ALL.into_iter().flat_map(|kind| [conflicts(kind, 3), conflicts(kind, 9)]).collect();
    // Somebody else's revocation is what it conflicts with.
    let shown = Object { lag: Duration::from_secs(9), ..Object::new(Kind::AndroidForWork, Shape::Now, &[Fault::Conflict; 9]) };
    shown.revoke(Duration::from_millis(700));
    objects.push(shown);
    let played = play(objects).await;
    let ends: Vec<(Status, u32)> = (0..6).map(|n| (played.status(n), played.sent(n))).collect();
    assert_eq!(ends, [(Status::Revoked, 4), (Status::Failed, 5)].repeat(3));
    assert!(played.outcome.progress[1].reason.contains("the last of 5 attempts met a conflict"));
    assert_eq!(played.status(6), Status::Revoked);
    let of_first = |log: &[Seen]| log.iter().filter(|seen| seen.item.no.0 == 1).map(|seen| (seen.at, seen.until)).collect();
    let (sends, reads): (Vec<_>, Vec<_>) = (of_first(&played.outcome.seen), of_first(&played.outcome.looked));
    let is_read = |pair: &[(Moment, Moment)]| reads.iter().any(|(at, until)| *at >= pair[0].1 && *until <= pair[1].0);
    assert!(sends.windows(2).all(is_read), "it is read before each repetition: {sends:?} {reads:?}");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_on_a_token_without_an_end_is_sent_again_because_nothing_was_lost() {
    let faults = [Fault::Conflict, Fault::Conflict];
    let played = play(vec![Object { end: None, ..Object::new(Kind::AndroidForWork, Shape::Past, &faults) }]).await;
    assert_eq!((played.status(0), played.sent(0)), (Status::Revoked, 3));
}

#[tokio::test(start_paused = true)]
async fn what_had_no_effect_may_be_mixed_with_what_may_have_had_one() {
    let faults = [Fault::Throttled, Fault::Unsent, Fault::LostBefore, Fault::Conflict, Fault::Throttled, Fault::LostLate];
    let played = play(Kind::ALL.map(|kind| Object::new(kind, Shape::all(kind)[0], &faults)).into()).await;
    keeps_the_rules_and_ends_well(&played);
    assert!((0..3).all(|n| played.sent(n) == 6));
}
