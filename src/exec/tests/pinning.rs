//! Objects are read before they are sent: what that finds, how old it may be, and that it costs no time.

use std::time::Duration;

use uuid::Uuid;

use super::rig::{LATENCY, Outcome, Rig};
use super::world::{Fault, Object, Played, Shape, World, time};
use crate::clock::Moment;
use crate::exec::Sight;
use crate::model::{AfterLook, Event, Expiry, ItemNo, Kind, Look, Seen, Snapshot, Stamp, Status, StopCause, TenantId, What};

const WINDOW: Duration = Duration::from_secs(20);

fn calm(kind: Kind, count: usize) -> Vec<Object> {
    (0..count).map(|_| Object::new(kind, Shape::all(kind)[0], &[])).collect()
}

async fn run(count: usize, shape: impl FnOnce(&mut Rig)) -> Outcome {
    let world = World::of(calm(Kind::AndroidDeviceOwner, count));
    let mut rig = world.rig();
    rig.policy.verify = false;
    shape(&mut rig);
    let outcome = world.play(rig).await.outcome;
    assert_eq!(outcome.count(Status::Accepted), count);
    outcome
}

/// The greatest age of the last reading of an item when it was sent.
fn oldest(outcome: &Outcome) -> Duration {
    let age = |sent: &super::rig::Seen| {
        let reads = outcome.looked.iter().chain(&outcome.listed);
        let reads = reads.filter(|read| read.item.no == sent.item.no && read.until <= sent.at);
        let last = reads.map(|read| read.until).max().expect("read before it was sent");
        sent.at.saturating_sub(last)
    };
    outcome.seen.iter().map(age).max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_item_is_read_before_it_is_sent_and_no_reading_is_older_than_allowed() {
    for age in [60, 25, 5, 2] {
        let allowed = Duration::from_secs(age);
        let outcome = run(350, |rig| rig.policy.pin_max_age = allowed).await;
        assert!(oldest(&outcome) <= allowed, "{age}: {:?}", oldest(&outcome));
        assert!(outcome.looked.len() < 2 * 350, "{age}: {}", outcome.looked.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reading_is_not_repeated_as_long_as_it_is_young_enough() {
    let outcome = run(350, |_| ()).await;
    assert_eq!(outcome.looked.len(), 350);
}

#[tokio::test(start_paused = true)]
async fn no_wish_for_young_readings_keeps_items_from_being_sent() {
    for age in [Duration::ZERO, Duration::from_millis(1), LATENCY] {
        for page in [None, Some(30)] {
            let outcome = run(150, |rig| {
                (rig.policy.pin_max_age, rig.page) = (age, page);
                rig.policy.deadline = Some(Duration::from_mins(5));
            });
            let outcome = outcome.await;
            assert!(outcome.took < Duration::from_secs(30), "{age:?}: {:?}", outcome.took);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reading_ahead_costs_no_time() {
    let bare = run(650, |rig| rig.policy.pins = false).await.took;
    for page in [None, Some(650), Some(100)] {
        let took = run(650, |rig| rig.page = page).await.took;
        assert!(took.as_secs_f64() < 1.03 * bare.as_secs_f64(), "{page:?}: {took:?} and {bare:?} without");
    }
}

#[tokio::test(start_paused = true)]
async fn lists_serve_where_they_cost_less() {
    for page in [100, 650] {
        let outcome = run(650, |rig| rig.page = Some(page)).await;
        let reads = outcome.looked.len() + outcome.pages.len();
        assert!(!outcome.pages.is_empty() && reads < 650 / 2, "{} and {}", outcome.looked.len(), outcome.pages.len());
    }
    // A list of 300 pages is dearer than the few that are due at a time.
    let outcome = run(300, |rig| rig.page = Some(1)).await;
    assert!(outcome.pages.len() <= 2 * 300, "{}", outcome.pages.len());
}

#[tokio::test(start_paused = true)]
async fn what_a_list_shows_is_as_old_as_the_list() {
    // The list takes 5 s. Once what it shows is too old before all is sent, once before any is, and once it is held up.
    for (age, slots, held_up) in [(25, 16, 0), (6, 2, 0), (2, 16, 0), (25, 16, 40)] {
        let allowed = Duration::from_secs(age);
        let outcome = run(350, |rig| {
            (rig.page, rig.policy.pin_max_age, rig.policy.concurrency) = (Some(10), allowed, slots.try_into().unwrap());
            rig.policy.deadline = Some(Duration::from_mins(10));
            let pause = Sight::Throttled { after: Some(Duration::from_secs(held_up)) };
            rig.lists = Box::new(move |nth| (nth == 30 && held_up > 0).then(|| pause.clone()));
        });
        let outcome = outcome.await;
        assert!(outcome.pages.len() >= 35 && oldest(&outcome) <= allowed, "{age}: {:?}", oldest(&outcome));
    }
}

#[tokio::test(start_paused = true)]
async fn reads_and_writes_keep_within_their_windows_whatever_the_age() {
    for age in [60, 1] {
        let outcome = run(250, |rig| rig.policy.pin_max_age = Duration::from_secs(age)).await;
        let mut reads: Vec<Moment> = outcome.looked.iter().map(|read| read.until).collect();
        reads.sort_unstable();
        let within = |i: usize| reads[i..].iter().take_while(|at| **at < reads[i] + WINDOW).count();
        assert!((0..reads.len()).all(|i| within(i) <= 900) && outcome.most_within(WINDOW) <= 100);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_found_before_sending_costs_no_request() {
    let ended = |minutes| Object {
        end: Some(time(Duration::ZERO) - jiff::SignedDuration::from_mins(minutes)),
        ..Object::new(Kind::AndroidForWork, Shape::Now, &[])
    };
    let at_work = Object { at_work: Some(Duration::from_mins(3)), ..Object::new(Kind::VppToken, Shape::Done, &[]) };
    let mut world = World::of(vec![ended(60), ended(5), at_work, Object::new(Kind::AndroidForWork, Shape::Now, &[])]);
    world.weather = |item, _| (item.no.0 == 4).then_some(Sight::Gone);
    let rig = world.rig();
    let played = world.play(rig).await;
    let ends: Vec<(Status, u32)> = (0..4).map(|n| (played.status(n), played.sent(n))).collect();
    let expected = [(Status::AlreadyInactive, 0), (Status::Revoked, 1), (Status::Revoked, 0), (Status::NotFound, 0)];
    assert_eq!(ends, expected);
    assert_eq!(played.outcome.progress[0].reason, "its token ended 2026-06-01 11:00Z");
    assert!(played.outcome.took > Duration::from_mins(3), "the action that was at work is followed to its end");
}

/// What a session before left of the first item: its reading of a token with this expiry and these words.
fn pinned(kind: Kind, hours: u64) -> Event {
    let expiry = Expiry::At(time(Duration::from_hours(hours)));
    let created = (kind == Kind::AndroidDeviceOwner).then(|| time(Duration::ZERO) - jiff::SignedDuration::from_hours(48));
    let seen = Seen::Android { expiry, created };
    let reading = Some(Snapshot { date: Some(time(Duration::ZERO)), name: Some("older".to_owned()), seen, about: None });
    Event { item: Some(ItemNo(1)), at: Stamp(0), what: What::Looked(Box::new(Look { reading, then: AfterLook::Pin })) }
}

async fn reissued(kind: Kind, allow: bool, pins: bool) -> Played {
    let world = World::of(vec![Object::new(kind, Shape::Now, &[])]);
    let mut rig = world.rig();
    (rig.policy.allow_reissued, rig.policy.pins) = (allow, pins);
    rig.past = vec![pinned(kind, 100)];
    world.play(rig).await
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_issued_anew_since_the_plan_is_not_sent_unless_that_is_allowed() {
    for kind in [Kind::AndroidForWork, Kind::AndroidDeviceOwner] {
        // A pin of an earlier session is heeded even where no new ones are taken.
        for pins in [true, false] {
            let played = reissued(kind, false, pins).await;
            assert_eq!((played.status(0), played.sent(0)), (Status::Superseded, 0));
        }
        let played = reissued(kind, true, true).await;
        assert_eq!((played.status(0), played.sent(0)), (Status::Revoked, 1));
        let pin = played.outcome.progress[0].pin.as_deref().unwrap();
        assert_eq!(pin.name.as_deref(), Some("object 1"), "it is judged against the token that was sent");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pin_of_an_earlier_session_saves_the_reading_as_long_as_it_is_young() {
    for (until, reads) in [(0, 1), (60, 0)] {
        let world = World::of(vec![Object::new(Kind::AndroidForWork, Shape::Now, &[])]);
        let mut rig = world.rig();
        rig.policy.verify = false;
        rig.policy.pinned_until = Moment::from_secs(until);
        rig.past = vec![pinned(Kind::AndroidForWork, 720)];
        let played = world.play(rig).await;
        assert_eq!((played.outcome.looked.len(), played.sent(0)), (reads, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_is_not_sent() {
    let mut world = World::of(calm(Kind::AndroidForWork, 8));
    world.weather = |item, _| {
        let busy = || Sight::Again { reached: true, after: None, message: "busy".to_owned() };
        match item.no.0 {
            1 => Some(busy()),
            2 => Some(Sight::Refused { reason: "no".to_owned() }),
            3 => Some(Sight::Denied { reason: "locked".to_owned() }),
            _ => None,
        }
    };
    let rig = world.rig();
    let played = world.play(rig).await;
    let statuses: Vec<Status> = (0..4).map(|n| played.status(n)).collect();
    assert_eq!(statuses, [Status::Failed, Status::Refused, Status::Refused, Status::Revoked]);
    assert!((0..3).all(|n| played.sent(n) == 0));
    assert_eq!(played.outcome.progress[0].reason, "it could not be read first, so nothing was sent: busy");
    assert_eq!(played.outcome.looked.iter().filter(|read| read.item.no.0 == 1).count(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_answers_no_read_for_a_while_fails_no_item() {
    // All that it has: no other read goes well, which would show that it is the object's fault.
    let mut world = World::of(calm(Kind::AndroidForWork, 1));
    world.weather = |_, nth| (nth <= 5).then(|| Sight::Again { reached: true, after: None, message: "busy".to_owned() });
    let rig = world.rig();
    let played = world.play(rig).await;
    assert_eq!((played.status(0), played.sent(0)), (Status::Revoked, 1));
}

/// One item that is told to come later, while something happens to its object; its readings age within the pause.
async fn while_it_waits(object: Object) -> Played {
    let world = World::of(vec![Object { faults: vec![Fault::Throttled], ..object }]);
    let mut rig = world.rig();
    rig.policy.pin_max_age = Duration::from_secs(1);
    world.play(rig).await
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_service_is_read_again_when_its_reading_has_aged() {
    let reissued = Object { reissued: Some(Duration::from_secs(2)), ..Object::new(Kind::AndroidForWork, Shape::Now, &[]) };
    let played = while_it_waits(reissued).await;
    assert_eq!((played.status(0), played.sent(0)), (Status::Superseded, 1));
    // Asked for and dead by now, whoever did it: that is not "dead before anything was sent".
    let revoked = Object::new(Kind::AndroidForWork, Shape::Past, &[]);
    revoked.revoke(Duration::from_secs(2));
    let played = while_it_waits(revoked).await;
    assert_eq!((played.status(0), played.sent(0)), (Status::Revoked, 1));
}

#[tokio::test(start_paused = true)]
async fn a_denial_of_reading_stops_the_lane_after_five() {
    let mut world = World::of(calm(Kind::AndroidForWork, 15).into_iter().chain(calm(Kind::VppToken, 3)).collect());
    world.weather = |item, _| (item.kind == Kind::AndroidForWork).then(|| Sight::Denied { reason: "no scope".to_owned() });
    let mut rig = world.rig();
    rig.policy.concurrency = 1.try_into().unwrap();
    let played = world.play(rig).await;
    let stops = &played.outcome.ended.tenant_stops;
    assert_eq!((stops.len(), stops[0].cause), (1, StopCause::Permission));
    assert_eq!((played.outcome.count(Status::Refused), played.outcome.count(Status::NotAttempted)), (5, 10));
    assert_eq!(played.outcome.count(Status::Revoked), 3, "the other service goes on");
    assert_eq!(played.outcome.seen.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn many_tenants_and_kinds_with_few_slots_come_to_an_end() {
    // Of the lost, without those that hold the only slot for longer than another's time for reading back.
    let quick = [Fault::LostBefore, Fault::LostAfter, Fault::LostLate, Fault::ErrorBefore, Fault::Conflict];
    for (concurrency, faults) in [(1, quick.as_slice()), (3, Fault::DOUBTFUL.as_slice())] {
        let object = |n: usize| Object::new(Kind::ALL[n % 3], Shape::all(Kind::ALL[n % 3])[0], &[faults[n % faults.len()]]);
        let world = World::of((0..24).map(object).collect());
        let mut rig = world.rig();
        for (n, item) in (0..).zip(&mut rig.items) {
            item.tenant = TenantId(Uuid::from_u128(n / 3));
        }
        rig.policy.concurrency = concurrency.try_into().unwrap();
        let played = world.play(rig).await;
        played.keeps_the_rules(Rig::of(0).policy.settle);
        assert_eq!(played.outcome.count(Status::Revoked), 24);
    }
}
