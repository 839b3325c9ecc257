//! Reading back what was said yes to: beside the sending, until it shows or its time is over.

use std::time::Duration;

use super::rig::{Outcome, Rig};
use super::world::{Fault, Object, Played, Shape, World};
use crate::clock::Moment;
use crate::exec::schedule::Scheduler;
use crate::exec::{Goal, Policy, Sight, Stop};
use crate::model::{
    Event, Item, ItemNo, Kind, Lane, Limit, Phase, Progress, Service, Stamp, Status, StopCause, StoppedBy, What, Work,
};

/// Longer than any reading back.
const NEVER: Duration = Duration::from_hours(100);

/// So many objects of a kind, whose revocation shows after a while.
fn slow(kind: Kind, count: usize, lag: Duration) -> Vec<Object> {
    (0..count).map(|_| Object { lag, ..Object::new(kind, Shape::all(kind)[0], &[]) }).collect()
}

async fn play(objects: Vec<Object>, shape: impl FnOnce(&mut Rig)) -> Played {
    let world = World::of(objects);
    let mut rig = world.rig();
    rig.policy.pins = false;
    shape(&mut rig);
    world.play(rig).await
}

/// When the last request of a service came back.
fn last_send(outcome: &Outcome, service: Service) -> Moment {
    let of_service = outcome.seen.iter().filter(|seen| seen.item.kind.facts().service == service);
    of_service.map(|seen| seen.until).max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_yes_is_confirmed_beside_the_sending_and_the_run_ends_early() {
    let played = play(slow(Kind::AndroidDeviceOwner, 300, Duration::from_millis(800)), |_| ()).await;
    let last = last_send(&played.outcome, Service::Android);
    assert_eq!(played.outcome.count(Status::Revoked), 300);
    let before = played.outcome.progress.iter().filter(|progress| progress.finished_at.unwrap().0 < 40_000).count();
    assert!(last > Duration::from_secs(40) && before == 200, "{before}");
    assert!(played.outcome.took < last + Duration::from_secs(4), "{last:?}, {:?}", played.outcome.took);
}

#[tokio::test(start_paused = true)]
async fn each_service_has_its_own_time_from_its_own_last_request_on() {
    let objects = slow(Kind::AndroidForWork, 130, NEVER).into_iter().chain(slow(Kind::VppToken, 3, NEVER)).collect();
    let played = play(objects, |rig| rig.policy.pins = true).await;
    assert_eq!(played.outcome.count(Status::Unconfirmed), 133);
    for (service, minutes) in [(Service::Android, 2), (Service::Vpp, 15)] {
        let end = last_send(&played.outcome, service) + Duration::from_mins(minutes);
        for seen in played.outcome.seen.iter().filter(|seen| seen.item.kind.facts().service == service) {
            let progress = &played.outcome.progress[usize::try_from(seen.item.no.0 - 1).unwrap()];
            let finished = Duration::from_millis(progress.finished_at.unwrap().0.unsigned_abs());
            assert!(finished + Duration::from_millis(1) >= end && finished < end + Duration::from_secs(1), "{finished:?}");
            assert!(progress.reason.starts_with("the service said yes, and reading back did not show its end within"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_shows_just_before_the_deadline_counts() {
    let played = play(slow(Kind::AndroidForWork, 5, Duration::from_secs(85)), |_| ()).await;
    assert_eq!(played.outcome.count(Status::Revoked), 5);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_ends_the_sending_and_not_the_reading() {
    let mut objects = slow(Kind::AndroidForWork, 200, Duration::from_secs(10));
    objects[60].faults = vec![Fault::Refused];
    objects[55].faults = vec![Fault::LostBefore];
    (objects[54].faults, objects[54].lag) = (vec![Fault::LostAfter], Duration::ZERO);
    let played = play(objects, |rig| {
        rig.policy.pins = true;
        rig.policy.max_fail = Limit::Count(1).into();
    });
    let played = played.await;
    assert_eq!(played.outcome.ended.stopped_by, Some(StoppedBy::Breaker));
    let sent = played.outcome.seen.len();
    assert!((61..100).contains(&sent), "{sent}");
    // The lost one was shown to be as it was, and is not sent again any more.
    assert_eq!(played.outcome.count(Status::Revoked), sent - 2);
    assert_eq!((played.outcome.count(Status::Refused), played.status(55)), (1, Status::NotAttempted));
    assert_eq!(played.outcome.count(Status::NotAttempted), 200 - sent + 1);
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_the_reading_at_once_and_what_was_said_yes_to_is_unconfirmed() {
    let objects = slow(Kind::AndroidForWork, 150, NEVER);
    let played = play(objects, |rig| rig.stops = vec![(Duration::from_secs(10), Stop::Drain)]).await;
    assert_eq!(played.outcome.ended.stopped_by, Some(StoppedBy::Interrupted));
    assert_eq!((played.outcome.count(Status::Unconfirmed), played.outcome.count(Status::NotAttempted)), (100, 50));
    assert!(played.outcome.progress.iter().all(|progress| matches!(progress.phase, Phase::Confirming | Phase::Ready)));
    assert!(played.outcome.took < Duration::from_millis(10_100), "{:?}", played.outcome.took);
}

#[tokio::test(start_paused = true)]
async fn a_signal_lets_what_hangs_finish_within_the_grace() {
    let mut objects = slow(Kind::AndroidForWork, 3, NEVER);
    objects[2].faults = vec![Fault::HungAfter];
    let played = play(objects, |rig| rig.stops = vec![(Duration::from_secs(10), Stop::Drain)]).await;
    assert_eq!((played.status(0), played.status(2)), (Status::Unconfirmed, Status::Unknown));
    assert_eq!(played.outcome.took.as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_run_ends_the_reading_as_well() {
    let played = play(slow(Kind::VppToken, 5, NEVER), |rig| {
        (rig.policy.deadline, rig.policy.pins) = (Some(Duration::from_secs(30)), true);
    });
    let played = played.await;
    assert_eq!((played.outcome.ended.stopped_by, played.outcome.took.as_secs()), (Some(StoppedBy::Deadline), 30));
    assert_eq!(played.outcome.count(Status::Unconfirmed), 5);
}

#[tokio::test(start_paused = true)]
async fn reads_that_fail_are_repeated_at_growing_distances() {
    let mut world = World::of(slow(Kind::AndroidForWork, 1, Duration::ZERO));
    world.weather = |_, nth| (nth <= 6).then(|| Sight::Again { reached: true, after: None, message: "busy".to_owned() });
    let mut rig = world.rig();
    rig.policy.pins = false;
    let played = world.play(rig).await;
    assert_eq!(played.status(0), Status::Revoked, "{:?}", played.outcome.progress);
    let looked = &played.outcome.looked;
    let gaps: Vec<u64> = looked.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].until).as_secs()).collect();
    for (gap, least) in gaps.iter().zip([1, 2, 4, 8, 15, 15]) {
        assert!(*gap >= least, "{gaps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wish_of_a_read_that_failed_is_kept() {
    let mut world = World::of(slow(Kind::AndroidForWork, 1, Duration::ZERO));
    world.weather = |_, nth| {
        let after = Some(Duration::from_secs(50));
        (nth == 1).then_some(Sight::Again { reached: true, after, message: String::new() })
    };
    let mut rig = world.rig();
    rig.policy.pins = false;
    let looked = world.play(rig).await.outcome.looked;
    assert!(looked[1].at >= looked[0].until + Duration::from_secs(50));
}

#[tokio::test(start_paused = true)]
async fn a_429_on_a_read_pauses_writes_as_well() {
    let mut world = World::of(slow(Kind::AndroidForWork, 90, Duration::ZERO));
    world.weather = |item, nth| (item.no.0 == 5 && nth == 1).then_some(Sight::Throttled { after: Some(Duration::from_secs(40)) });
    let mut rig = world.rig();
    (rig.policy.pins, rig.policy.concurrency) = (false, 4.try_into().unwrap());
    let played = world.play(rig).await;
    let told = played.outcome.looked.iter().find(|read| read.item.no.0 == 5).unwrap().until;
    let (writes, reads) = (played.outcome.seen.iter(), played.outcome.looked.iter());
    let within = |at: Moment| at > told && at < told + Duration::from_secs(40);
    assert_eq!(writes.chain(reads).filter(|seen| within(seen.at)).count(), 0);
    assert!(played.outcome.seen.iter().any(|seen| seen.at > told));
    assert_eq!(played.outcome.count(Status::Revoked), 90);
}

#[tokio::test(start_paused = true)]
async fn readings_that_do_not_help_stay_within_their_window() {
    let played = play(slow(Kind::AndroidForWork, 500, NEVER), |rig| rig.policy.concurrency = 200.try_into().unwrap()).await;
    let mut reads: Vec<Moment> = played.outcome.looked.iter().map(|read| read.until).collect();
    reads.sort_unstable();
    let within = |i: usize| reads[i..].iter().take_while(|at| **at < reads[i] + Duration::from_secs(20)).count();
    let most = (0..reads.len()).step_by(7).map(within).max().unwrap();
    assert!(most > 500 && most <= 900, "{most}");
    // The quota of the writes is used up all the same: five windows.
    let last = last_send(&played.outcome, Service::Android);
    assert!(last < Duration::from_secs(84), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_nobody_waits_for_any_more_is_not_read_to_its_end() {
    let played = play(slow(Kind::AndroidForWork, 400, NEVER), |rig| {
        // Known to be of one page, and of four hundred by now.
        (rig.page, rig.policy.quota) = (Some(1), None);
        rig.known = vec![(rig.items[0].tenant, Kind::AndroidForWork, Some(1))];
        // No multiple of what a page takes: one is under way.
        rig.policy.verify_deadline.android = Duration::from_millis(20_070);
    });
    let played = played.await;
    let end = last_send(&played.outcome, Service::Android) + Duration::from_millis(20_070);
    assert!(played.outcome.took < end + Duration::from_secs(1), "{end:?} {:?}", played.outcome.took);
    assert_eq!(played.outcome.count(Status::Unconfirmed), 400);
}

/// What a run without reading back leaves.
async fn accepted(kind: Kind) -> Vec<Event> {
    play(slow(kind, 2, Duration::ZERO), |rig| (rig.policy.verify, rig.policy.pins) = (false, true)).await.outcome.events
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_without_reading_back_is_read_by_verify_alone() {
    for kind in Kind::ALL {
        for (goal, effect, end) in [
            (Goal::Revoke, true, Status::Accepted),
            (Goal::Confirm, true, Status::Revoked),
            (Goal::Confirm, false, Status::Unconfirmed),
        ] {
            let past = accepted(kind).await;
            let objects = slow(kind, 2, Duration::ZERO);
            objects.iter().filter(|_| effect).for_each(|object| object.revoke(Duration::ZERO));
            let played = play(objects, |rig| (rig.policy.goal, rig.past) = (goal, past)).await;
            assert_eq!((played.outcome.count(end), played.outcome.seen.len()), (2, 0), "{kind} {goal:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_session_has_all_the_time_that_is_allowed() {
    let past = play(slow(Kind::AndroidForWork, 2, NEVER), |rig| rig.stops = vec![(Duration::from_secs(5), Stop::Drain)]).await;
    let began = Duration::from_mins(10);
    for goal in [Goal::Revoke, Goal::Confirm] {
        let past = past.outcome.events.clone();
        let played = play(slow(Kind::AndroidForWork, 2, NEVER), |rig| {
            (rig.past, rig.begins, rig.policy.goal) = (past, began, goal);
        });
        let played = played.await;
        assert_eq!((played.outcome.count(Status::Unconfirmed), played.outcome.seen.len()), (2, 0));
        assert_eq!(played.outcome.took.as_secs(), 12 * 60);
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_second_administrator_is_looked_at_once() {
    let waiting = What::Settled { status: Status::AwaitingApproval, reason: String::new() };
    for (effect, end) in [(false, Status::AwaitingApproval), (true, Status::Revoked)] {
        let intent = What::Intent { client_request_id: uuid::Uuid::nil() };
        let event = |what| Event { item: Some(ItemNo(1)), at: Stamp(0), what };
        let past = vec![event(intent), event(waiting.clone())];
        let mut objects = slow(Kind::AndroidForWork, 1, Duration::ZERO);
        objects[0].shape = Shape::Past;
        objects.iter().filter(|_| effect).for_each(|object| object.revoke(Duration::ZERO));
        let played = play(objects, |rig| rig.past = past).await;
        assert_eq!((played.status(0), played.outcome.looked.len(), played.sent(0)), (end, 1, 0));
        assert!(played.outcome.took < Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_only_says_later_is_stopped_although_its_objects_can_be_read() {
    let objects = (0..3).map(|_| Object::new(Kind::AndroidForWork, Shape::Now, &[Fault::Throttled; 2_000])).collect();
    let played = play(objects, |rig| {
        (rig.policy.pins, rig.policy.pin_max_age) = (true, Duration::from_secs(2));
        rig.policy.deadline = Some(Duration::from_hours(2));
    });
    let played = played.await;
    assert_eq!(played.outcome.ended.tenant_stops[0].cause, StopCause::MaxPause);
    let minutes = played.outcome.took.as_secs() / 60;
    assert!((30..=36).contains(&minutes), "{minutes}");
    assert!(played.outcome.looked.len() > 100);
}

#[test]
fn a_lane_that_is_full_of_what_is_read_back_makes_room_when_its_time_is_over() {
    let rig = Rig::of(1);
    let (item, of) =
        (rig.items[0], |items| Lane { tenant: rig.items[0].tenant, service: Service::Android, after: ItemNo(0), items });
    let mut scheduler = Scheduler::new(Policy { verify: true, ..rig.policy }, &[of(50_000)]);
    let mut came = 0;
    while let Some((lane, _, ItemNo(after))) = scheduler.hungry(64) {
        let confirming = Progress { phase: Phase::Confirming, ..Progress::default() };
        let work = |no| Work { item: Item { no: ItemNo(no), ..item }, progress: confirming.clone() };
        scheduler.fill(lane, (after + 1..=after + 1_000).map(work).collect(), Moment::ZERO);
        came += 1_000;
    }
    assert!((1_000..50_000).contains(&came), "not all of a long list is held at once: {came}");
    assert_eq!(scheduler.expire(0, Duration::from_secs(119), Stamp(0)).unwrap().len(), 0);
    assert_eq!(scheduler.expire(0, Duration::from_mins(2), Stamp(0)).unwrap().len(), came);
    assert!(scheduler.hungry(64).is_some());
}
