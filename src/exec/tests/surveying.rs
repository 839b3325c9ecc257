//! A survey: every object is read once, by lists where that can be, and nothing is sent.

use std::time::Duration;

use super::rig::Rig;
use super::world::{Object, Played, Shape, World, time};
use crate::clock::Moment;
use crate::exec::{Goal, Listed, NextPage, Page, Sight};
use crate::model::{AfterLook, Event, ItemNo, Kind, Phase, Service, Stamp, Status, What};

/// So many of each kind.
fn calm(counts: [usize; 3]) -> World {
    let of = |(kind, count): (Kind, usize)| (0..count).map(move |_| Object::new(kind, Shape::all(kind)[0], &[]));
    World::of(Kind::ALL.into_iter().zip(counts).flat_map(of).collect())
}

async fn survey(world: World, shape: impl FnOnce(&mut Rig)) -> Played {
    let mut rig = world.rig();
    (rig.policy.goal, rig.page) = (Goal::Survey, Some(100));
    shape(&mut rig);
    let played = world.play(rig).await;
    assert_eq!((played.outcome.seen.len(), played.outcome.ended.stopped_by), (0, None));
    played
}

type Lists = Vec<(Kind, Listed)>;

/// How many are to be sent, by service, and what was learned of the lists.
fn found(played: &Played) -> (Vec<(Service, u64)>, Lists) {
    let surveyed = &played.outcome.ended.surveyed;
    let of = |service| surveyed.iter().filter(move |found| found.kind.facts().service == service);
    let lanes = Service::ALL.into_iter().filter(|service| of(*service).next().is_some());
    let sums = lanes.map(|service| (service, of(service).map(|found| found.to_send).sum())).collect();
    (sums, surveyed.iter().filter_map(|found| Some((found.kind, found.list?))).collect())
}

#[tokio::test(start_paused = true)]
async fn each_kind_is_listed_once_and_every_object_is_pinned() {
    let played = survey(calm([30, 700, 5]), |_| ()).await;
    assert_eq!((played.outcome.looked.len(), played.outcome.pages.len()), (0, 9));
    let listed = |kind, pages, objects| (kind, Listed::Read { pages, objects });
    let lists = vec![listed(Kind::AndroidForWork, 1, 30), listed(Kind::AndroidDeviceOwner, 7, 700), listed(Kind::VppToken, 1, 5)];
    assert_eq!(found(&played), (vec![(Service::Android, 730), (Service::Vpp, 5)], lists));
    let events = &played.outcome.events;
    assert_eq!(events.len(), 735);
    assert!(events.iter().all(|event| matches!(&event.what, What::Looked(look) if look.then == AfterLook::Pin)));
    for (n, progress) in played.outcome.progress.iter().enumerate() {
        assert_eq!(progress.name, Some(format!("object {}", n + 1)));
        assert!(progress.pin.is_some() && progress.status() == Status::NotAttempted);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_list_leaves_out_is_read_by_its_id() {
    let mut world = calm([0, 300, 20]);
    world.objects.iter_mut().step_by(10).for_each(|object| object.unlisted = true);
    let played = survey(world, |_| ()).await;
    assert_eq!((played.outcome.looked.len(), played.outcome.pages.len()), (32, 4));
    assert!(played.outcome.looked.iter().all(|read| read.item.no.0 % 10 == 1));
    assert_eq!(found(&played).0, [(Service::Android, 300), (Service::Vpp, 20)]);
}

#[tokio::test(start_paused = true)]
async fn where_lists_cannot_be_read_all_is_read_by_id() {
    let played = survey(calm([10, 400, 3]), |rig| rig.page = None).await;
    assert_eq!((played.outcome.looked.len(), played.outcome.pages.len()), (413, 3));
    let unread = Kind::ALL.map(|kind| (kind, Listed::Unreadable)).to_vec();
    assert_eq!(found(&played), (vec![(Service::Android, 410), (Service::Vpp, 3)], unread));
}

fn busy() -> Sight<Page> {
    Sight::Again { reached: true, after: None, message: "busy".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_is_asked_for_four_times() {
    for (failures, reads) in [(3, 0), (4, 30)] {
        let clouds = move |nth| (2..2 + failures).contains(&nth).then(busy);
        let played = survey(calm([0, 30, 0]), |rig| (rig.page, rig.lists) = (Some(10), Box::new(clouds))).await;
        assert_eq!(played.outcome.looked.len(), reads, "{failures}");
        assert_eq!(found(&played).0, [(Service::Android, 30)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_list_is_waited_for() {
    let later = |nth: u32| (nth <= 6).then(|| Sight::Throttled { after: Some(Duration::from_secs(30)) });
    let played = survey(calm([0, 30, 0]), |rig| rig.lists = Box::new(later)).await;
    assert_eq!((played.outcome.looked.len(), played.outcome.pages.len()), (0, 7));
    assert!(played.outcome.took > Duration::from_mins(3), "{:?}", played.outcome.took);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_names_itself_as_the_next_ends_the_list() {
    let round = |_| Some(Sight::Shown(Page { objects: Vec::new(), next: Some(NextPage("again".to_owned())) }));
    let played = survey(calm([0, 30, 0]), |rig| rig.lists = Box::new(round)).await;
    assert_eq!((played.outcome.pages.len(), played.outcome.looked.len()), (2, 30));
}

/// Three objects for which nothing is to be sent, and two for which something is.
fn mixed() -> World {
    let ended = Some(time(Duration::ZERO) - jiff::SignedDuration::from_hours(1));
    let mut world = calm([3, 1, 1]);
    world.objects[0].end = ended;
    world.objects[1].unlisted = true;
    world.objects[4].at_work = Some(Duration::from_mins(1));
    world.weather = |item, _| (item.no.0 == 2).then_some(Sight::Gone);
    world
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_request_is_told_and_not_counted_as_to_be_sent() {
    let played = survey(mixed(), |_| ()).await;
    let ends = [Status::AlreadyInactive, Status::NotFound, Status::NotAttempted, Status::NotAttempted, Status::Unconfirmed];
    assert_eq!(ends.to_vec(), (0..5).map(|n| played.status(n)).collect::<Vec<_>>());
    assert_eq!(played.outcome.progress[4].phase, Phase::Confirming);
    assert_eq!(found(&played).0, [(Service::Android, 2), (Service::Vpp, 0)]);
}

#[tokio::test(start_paused = true)]
async fn what_a_survey_has_read_is_sent_without_being_read_again() {
    let first = survey(mixed(), |_| ()).await;
    let world = mixed();
    let mut rig = world.rig();
    (rig.past, rig.policy.pinned_until) = (first.outcome.events, Moment::from_mins(1));
    let tenant = rig.items[0].tenant;
    rig.known = vec![(tenant, Kind::AndroidForWork, Some(1)), (tenant, Kind::AndroidDeviceOwner, None)];
    // The clock is older than the session.
    rig.begins = Duration::from_secs(40);
    let played = world.play(rig).await;
    let ends = [Status::AlreadyInactive, Status::NotFound, Status::Revoked, Status::Revoked, Status::Revoked];
    assert_eq!(ends.to_vec(), (0..5).map(|n| played.status(n)).collect::<Vec<_>>());
    let sent = played.outcome.seen.iter().map(|seen| seen.at).max().unwrap();
    assert!(played.outcome.looked.iter().all(|read| read.at > sent || read.item.kind == Kind::VppToken));
}

#[tokio::test(start_paused = true)]
async fn what_is_settled_already_is_left_alone_on_whatever_page_it_lies() {
    let skipped = |no| Event {
        item: Some(ItemNo(no)),
        at: Stamp(0),
        what: What::Settled { status: Status::Skipped, reason: "revoked a short while ago".to_owned() },
    };
    let played = survey(calm([0, 0, 300]), |rig| rig.past = vec![skipped(3), skipped(290)]).await;
    assert_eq!((played.outcome.count(Status::Skipped), found(&played).0[0].1), (2, 298));
}
