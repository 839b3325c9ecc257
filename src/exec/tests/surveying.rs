//! A survey: every object is read once, by lists where that can be, and nothing is sent.

use std::time::Duration;

use uuid::Uuid;

use super::rig::{Lists, Rig};
use super::world::{Object, Played, Shape, World, time};
use crate::clock::Moment;
use crate::exec::schedule::Scheduler;
use crate::exec::taken::Exchange;
use crate::exec::ticket::Next;
use crate::exec::{Goal, Listed, NextPage, Page, Policy, Reading, Sight};
use crate::model::{
    AfterLook, Event, Expiry, Item, ItemNo, Kind, Lane, ObjectId, Phase, Progress, Seen, Service, Snapshot, Stamp, Status, What,
    Work,
};

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

type Known = Vec<(Kind, Listed)>;

/// How many are to be sent, by service, and what was learned of the lists.
fn found(played: &Played) -> (Vec<(Service, u64)>, Known) {
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
    // Of the first page is known what it showed.
    for (failures, reads) in [(3, 0), (4, 20)] {
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
    let round = |_| Some(Sight::Shown(Page { objects: Vec::new(), next: Some(NextPage("again".to_owned())), ..Page::default() }));
    let played = survey(calm([0, 30, 0]), |rig| rig.lists = Box::new(round)).await;
    assert_eq!((played.outcome.pages.len(), played.outcome.looked.len()), (2, 30));
}

#[tokio::test(start_paused = true)]
async fn pages_that_name_each_other_in_a_circle_end_the_list() {
    let names = |nth: u32| if nth.is_multiple_of(2) { "even" } else { "odd" };
    let round = move |nth: u32| Some(Sight::Shown(page([nth.into()], Some(names(nth)))));
    let played = survey(calm([0, 30, 0]), |rig| rig.lists = Box::new(round)).await;
    assert_eq!((played.outcome.pages.len(), played.outcome.looked.len()), (4, 26));
    assert_eq!(found(&played).1, [(Kind::AndroidDeviceOwner, Listed::Unreadable)]);
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
    let read =
        |kind: Kind| played.outcome.ended.surveyed.iter().find(|found| found.kind == kind).map(|of| (of.read, of.not_found));
    assert_eq!(Kind::ALL.map(read), [Some((3, 1)), Some((1, 0)), Some((1, 0))]);
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

/// A page as a service would show it that has other objects as well.
fn page(ids: impl IntoIterator<Item = u128>, next: Option<&str>) -> Page {
    let seen = Seen::Android { expiry: Expiry::At(time(Duration::from_hours(720))), created: None };
    let snapshot = Snapshot { date: Some(time(Duration::ZERO)), name: Some("listed".to_owned()), seen, about: None };
    let object = |id| (ObjectId(Uuid::from_u128(id)), snapshot.clone());
    let next = next.map(|next| NextPage(next.to_owned()));
    Page { objects: ids.into_iter().map(object).collect(), next, ..Page::default() }
}

/// Pages in their order; the last one ends the list.
fn pages(all: &'static [&'static [u128]]) -> Lists {
    Box::new(move |nth| {
        let next = (nth as usize) < all.len();
        Some(Sight::Shown(page(all[nth as usize - 1].iter().copied(), next.then_some(["a", "b"][nth as usize % 2]))))
    })
}

/// How often each item's object was judged.
fn judged(played: &Played) -> Vec<usize> {
    let events = |no| played.outcome.events.iter().filter(move |event| event.item == Some(ItemNo(no))).count();
    (1..=i64::try_from(played.outcome.progress.len()).unwrap()).map(events).collect()
}

#[tokio::test(start_paused = true)]
async fn an_object_on_two_pages_is_judged_once_and_counts_once_if_they_are_neighbours() {
    let played = survey(calm([4, 0, 0]), |rig| rig.lists = pages(&[&[1, 2], &[2, 3, 2], &[1, 4]])).await;
    assert_eq!((judged(&played), played.outcome.looked.len()), (vec![1; 4], 0));
    let list = (Kind::AndroidForWork, Listed::Read { pages: 3, objects: 5 });
    assert_eq!(found(&played), (vec![(Service::Android, 4)], vec![list]));
}

#[tokio::test(start_paused = true)]
async fn objects_that_are_not_in_the_run_are_counted_and_nothing_else() {
    let played = survey(calm([2, 0, 0]), |rig| rig.lists = pages(&[&[77, 78, 1], &[79, 80], &[81, 2]])).await;
    assert_eq!((judged(&played), played.outcome.looked.len()), (vec![1; 2], 0));
    let list = (Kind::AndroidForWork, Listed::Read { pages: 3, objects: 7 });
    assert_eq!(found(&played), (vec![(Service::Android, 2)], vec![list]));
}

#[tokio::test(start_paused = true)]
async fn of_a_list_that_breaks_off_what_came_counts_and_the_rest_is_read_by_id() {
    for (kind, counts, listed) in [(Kind::AndroidDeviceOwner, [0, 700, 0], 300), (Kind::VppToken, [0, 0, 350], 300)] {
        let refused = |nth| (nth == 4).then(|| Sight::Refused { reason: "no more".to_owned() });
        let played = survey(calm(counts), |rig| rig.lists = Box::new(refused)).await;
        let read: Vec<i64> = played.outcome.looked.iter().map(|read| read.item.no.0).collect();
        assert!(read.iter().all(|no| *no > listed), "{read:?}");
        assert!(judged(&played).iter().all(|times| *times == 1));
        let all = counts.iter().sum::<usize>() as u64;
        assert_eq!(found(&played), (vec![(kind.facts().service, all)], vec![(kind, Listed::Unreadable)]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_comes_late_has_its_list_read_when_its_turn_comes() {
    // More of the first kind than the ledger hands out at once.
    let played = survey(calm([600, 300, 0]), |_| ()).await;
    assert_eq!((played.outcome.looked.len(), played.outcome.pages.len()), (0, 9));
    assert_eq!((judged(&played), found(&played).0), (vec![1; 900], vec![(Service::Android, 900)]));
}

/// What a scheduler holds, by the length of all that can be told of it.
fn weight(scheduler: &Scheduler) -> usize {
    format!("{scheduler:?}").len()
}

#[test]
fn a_survey_holds_no_more_after_fifty_pages_than_after_two() {
    let rig = Rig::of(10_000);
    let lane = Lane { tenant: rig.items[0].tenant, service: Service::Android, after: ItemNo(0), items: 10_000 };
    let mut scheduler = Scheduler::new(Policy { goal: Goal::Survey, ..rig.policy }, &[lane]);
    let work = |item: &Item| Work { item: *item, progress: Progress::default() };
    scheduler.fill(0, rig.items[..256].iter().map(work).collect(), Moment::ZERO);
    let mut weights = Vec::new();
    for nth in 1..=50_u64 {
        assert!(scheduler.hungry(64).is_none(), "its list comes first");
        let now = Moment::from_secs(nth);
        let next = scheduler.next(now, |_| true);
        let ticket = if let Next::List(ticket) = next { Some(ticket) } else { None }.expect("the next page is asked for");
        let ids = u128::from(nth - 1) * 100 + 1..=u128::from(nth) * 100;
        let reading = Reading { sight: Sight::Shown(page(ids, (nth < 50).then(|| nth.to_string()).as_deref())), token: Some(1) };
        let exchange = Exchange { answer: reading, began: now, ended: now, sent_at: Stamp(0) };
        assert!(scheduler.listed(&ticket, exchange, Stamp(0)).unwrap().is_empty());
        let arrived = scheduler.arrived().unwrap();
        let of_run = rig.items.iter().filter(|item| arrived.objects.contains_key(&item.id)).map(work).collect();
        assert_eq!(scheduler.judge(&arrived, of_run, Stamp(0)).unwrap().len(), 100);
        weights.push(weight(&scheduler));
    }
    let most = weights[1..].iter().max().unwrap();
    assert!(*most < weights[1] + 2_000, "{weights:?}");
    assert!(scheduler.hungry(64).is_some());
}
