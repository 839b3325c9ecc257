//! How long a run takes: what is foretold, and where the time went.

use std::time::Duration;

use super::rig::{COMMIT, LATENCY, Outcome, Rig, later, yes};
use super::world::{Fault, Object, Shape, World};
use crate::clock::Moment;
use crate::exec::schedule::Scheduler;
use crate::exec::spent::Account;
use crate::exec::tenant::Access;
use crate::exec::{ASSUMED_LATENCY, Bottleneck, Goal, Quota, forecast};
use crate::model::{Doing, Kind, Lane, Status, What};

fn quota(count: u32, seconds: u64) -> Quota {
    Quota { count: count.try_into().unwrap(), per: Duration::from_secs(seconds) }
}

/// So many tenants with so many items each.
fn tenants(tenants: u128, items: u32) -> Rig {
    let mut rig = Rig::of(0);
    (0..tenants).for_each(|tenant| rig.add(items, tenant, Kind::AndroidDeviceOwner));
    rig
}

/// Foretells a run, and runs it against a service that is as slow as is assumed.
async fn foretold(rig: Rig) -> (Duration, Bottleneck, Duration) {
    let told = forecast(&rig.policy, &rig.lanes()).unwrap();
    let outcome = rig.run(|_, _| (ASSUMED_LATENCY, yes())).await;
    (told.takes, told.limit, outcome.took)
}

#[tokio::test(start_paused = true)]
async fn a_run_takes_as_long_as_was_foretold() {
    let mut slow = Rig::of(41);
    slow.policy.rate = Some(quota(2, 1));
    let mut narrow = Rig::of(250);
    narrow.policy.concurrency = 2.try_into().unwrap();
    let mut both = Rig::of(250);
    both.add(1_001, 0, Kind::VppToken);
    let mut shared = Rig::of(30);
    shared.add(30, 0, Kind::VppToken);
    shared.policy.rate = Some(quota(1, 2));
    let rigs =
        [Rig::of(1), Rig::of(100), Rig::of(101), Rig::of(400), Rig::of(1_950), slow, narrow, both, shared, tenants(40, 90)];
    for rig in rigs {
        let (items, lanes) = (rig.items.len(), rig.lanes().len());
        let (takes, limit, took) = foretold(rig).await;
        let near = takes.abs_diff(took) < Duration::from_millis(700) + took / 50;
        assert!(near, "{items} items in {lanes} lanes take {took:?}, not {takes:?} ({limit:?})");
    }
}

#[test]
fn what_limits_most_is_named() {
    let limit = |rig: &Rig| forecast(&rig.policy, &rig.lanes()).map(|forecast| forecast.limit);
    let mut rig = tenants(3, 250);
    assert_eq!(limit(&rig), Some(Bottleneck::Quota(quota(100, 20))));
    rig.policy.rate = Some(quota(1, 1));
    assert_eq!(limit(&rig), Some(Bottleneck::Rate(quota(1, 1))));
    rig.policy.rate = Some(quota(50, 1));
    assert_eq!(limit(&rig), Some(Bottleneck::Quota(quota(100, 20))), "the rate is not lower");
    let many = tenants(1_000, 100);
    assert_eq!(limit(&many), Some(Bottleneck::InFlight(many.policy.concurrency)));
}

#[test]
fn the_slowest_lane_comes_first() {
    let mut rig = tenants(2, 250);
    rig.add(1_000, 1, Kind::VppToken);
    let loads = forecast(&rig.policy, &rig.lanes()).unwrap().loads;
    assert_eq!(loads.iter().map(|load| load.items).collect::<Vec<_>>(), [1_000, 250, 250]);
}

#[test]
fn nothing_is_claimed_where_nothing_is_known_or_nothing_is_sent() {
    let mut rig = Rig::of(1_000);
    let none: Vec<Lane> = rig.lanes().into_iter().map(|lane| Lane { items: 0, ..lane }).collect();
    assert_eq!((forecast(&rig.policy, &none), forecast(&rig.policy, &[])), (None, None));
    rig.policy.quota = None;
    assert_eq!(forecast(&rig.policy, &rig.lanes()), None);
}

#[test]
fn the_time_left_is_that_of_the_slowest_and_begins_when_its_pause_ends() {
    let rig = tenants(2, 250);
    let mut scheduler = Scheduler::new(rig.policy.clone(), &rig.lanes());
    let left = |scheduler: &Scheduler| scheduler.pulse(Moment::from_secs(30)).eta.map(|eta| eta.as_secs());
    assert_eq!(left(&scheduler), Some(40));
    scheduler.tenants[1].paused_until = Moment::from_secs(100);
    assert_eq!(left(&scheduler), Some(70 + 40));
    scheduler.tenants[1].access = Access::Closed;
    assert_eq!(left(&scheduler), Some(40), "nobody waits for a tenant that is stopped");
    scheduler.policy.rate = Some(quota(1, 1));
    assert_eq!(left(&scheduler), Some(249));
}

#[test]
fn whoever_sends_without_a_break_is_not_limited_by_the_quota() {
    let mut account = Account::new(Goal::Revoke, Moment::ZERO);
    account.turn(Doing::Sending, Moment::from_secs(15));
    assert!(account.sends_since(Moment::from_secs(10)) && !account.sends_since(Moment::ZERO));
    account.turn(Doing::Quota, Moment::from_secs(21));
    assert!(!account.sends_since(Moment::from_secs(22)));
    account.turn(Doing::Sending, Moment::from_secs(40));
    assert!(!account.sends_since(Moment::from_secs(30)));
}

/// The parts of the time in whole seconds, those without one aside.
fn seconds(outcome: &Outcome) -> Vec<(Doing, u64)> {
    let spent = outcome.ended.spent;
    // The session begins when the journal has taken in its past.
    assert_eq!(spent.total() + COMMIT, outcome.took, "each moment counts for one thing: {spent:?}");
    spent.parts().map(|(doing, time)| (doing, time.as_secs())).filter(|(_, time)| *time > 0).collect()
}

#[tokio::test(start_paused = true)]
async fn what_the_quota_holds_waits_for_quota() {
    let outcome = Rig::of(400).run(|_, _| (LATENCY, yes())).await;
    assert_eq!(seconds(&outcome), [(Doing::Sending, 8), (Doing::Quota, 54)]);
}

#[tokio::test(start_paused = true)]
async fn what_the_users_own_rate_holds_waits_for_quota() {
    let mut rig = Rig::of(21);
    rig.policy.rate = Some(quota(1, 1));
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    assert_eq!(seconds(&outcome), [(Doing::Sending, 3), (Doing::Quota, 16)]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_counts_as_long_as_it_holds_everybody() {
    let outcome = Rig::of(10).run(|order, nth| (LATENCY, if order.item.no.0 == 1 && nth == 1 { later(30) } else { yes() })).await;
    let parts = seconds(&outcome);
    assert!(matches!(parts[..], [(Doing::Paused, 30..=34)]), "{parts:?}");
    // Another tenant has something to send for a minute.
    let mut rig = tenants(2, 1);
    rig.add(399, 1, Kind::AndroidDeviceOwner);
    let outcome = rig.run(|order, nth| (LATENCY, if order.item.no.0 == 1 && nth == 1 { later(30) } else { yes() })).await;
    let parts = seconds(&outcome);
    assert!(parts.iter().all(|(doing, time)| *doing != Doing::Paused || *time < 20) && parts.len() >= 2, "{parts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_in_doubt_alone_settles_and_what_is_sent_is_verified() {
    let mut objects: Vec<Object> = (0..3).map(|_| Object::new(Kind::AndroidDeviceOwner, Shape::Now, &[])).collect();
    objects[0].lag = Duration::from_mins(1);
    objects.push(Object::new(Kind::AndroidForWork, Shape::Now, &[Fault::LostBefore]));
    let world = World::of(objects);
    let rig = world.rig();
    let settle = rig.policy.settle.android.as_secs();
    let outcome = world.play(rig).await.outcome;
    assert_eq!(outcome.count(Status::Revoked), 4);
    let parts = seconds(&outcome);
    let [(Doing::Settling, settling), (Doing::Verifying, verifying)] = parts[..] else { unreachable!("{parts:?}") };
    assert!((2 * settle..=2 * settle + 2).contains(&settling) && settling + verifying >= 60, "{parts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_survey_only_reads() {
    let world = World::of((0..900).map(|_| Object::new(Kind::AndroidDeviceOwner, Shape::Now, &[])).collect());
    let mut rig = world.rig();
    (rig.policy.goal, rig.page) = (Goal::Survey, Some(10));
    let outcome = world.play(rig).await.outcome;
    let parts = seconds(&outcome);
    assert!(matches!(parts[..], [(Doing::Reading, 13..)]), "{parts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_session_left_in_doubt_settles() {
    let world = World::of(vec![Object::new(Kind::AndroidDeviceOwner, Shape::Now, &[])]);
    let rig = world.rig();
    let first = world.play(rig).await;
    let intents = first.outcome.events.iter().take_while(|event| !matches!(event.what, What::Reply(_)));
    let past: Vec<_> = intents.cloned().collect();
    let world = World { since: Moment::from_mins(1), ..World::of(vec![first.world.objects[0].copy()]) };
    let mut rig = world.rig();
    rig.past = past;
    let parts = seconds(&world.play(rig).await.outcome);
    assert!(matches!(parts[..], [(Doing::Settling, 3..)]), "{parts:?}");
}
