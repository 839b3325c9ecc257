//! Items of a sealed plan: each object is read by this run as well before anything is sent, and judged against the plan.

use std::time::Duration;

use super::rig::Rig;
use super::world::{Object, Played, Shape, World, time};
use crate::exec::Goal;
use crate::model::{AfterLook, Event, Expiry, ItemNo, Kind, Look, Seen, Snapshot, Stamp, Status, What};

const COUNT: i64 = 30;

/// What the plan saw of an item: every third token has a later expiry by now.
fn planned(no: i64) -> Event {
    let end = if no % 3 == 0 { Duration::from_hours(1) } else { Duration::from_hours(100_000) };
    let seen = Seen::Android { expiry: Expiry::At(time(end)), created: None };
    let reading = Some(Snapshot { date: Some(time(Duration::ZERO)), name: Some("planned".to_owned()), seen, about: None });
    let what = What::Looked(Box::new(Look { reading, then: AfterLook::Planned }));
    Event { item: Some(ItemNo(no)), at: Stamp(0), what }
}

async fn play(shape: impl FnOnce(&mut Rig)) -> Played {
    let object = || Object::new(Kind::AndroidForWork, Shape::all(Kind::AndroidForWork)[0], &[]);
    let world = World::of((0..COUNT).map(|_| object()).collect());
    let mut rig = world.rig();
    (rig.past, rig.policy.pinned_until) = ((1..=COUNT).map(planned).collect(), Duration::from_mins(1));
    shape(&mut rig);
    world.play(rig).await
}

#[tokio::test(start_paused = true)]
async fn a_survey_reads_what_the_plan_has_seen_and_judges_it_against_that() {
    let played = play(|rig| (rig.policy.goal, rig.page) = (Goal::Survey, Some(10))).await;
    assert_eq!((played.outcome.pages.len(), played.outcome.looked.len()), (3, 0));
    assert_eq!((played.outcome.count(Status::Superseded), played.outcome.ended.surveyed[0].to_send), (10, 20));
    let mut left = played.outcome.progress.iter().filter(|progress| progress.status() == Status::NotAttempted);
    assert!(left.all(|progress| !progress.is_unread() && progress.name.as_deref() != Some("planned")));
}

#[tokio::test(start_paused = true)]
async fn without_a_survey_each_is_read_before_it_is_sent() {
    let played = play(|rig| rig.policy.pins = false).await;
    assert_eq!((played.outcome.count(Status::Superseded), played.outcome.count(Status::Revoked)), (10, 20));
    assert_eq!(played.outcome.seen.len(), 20);
    let is_read = |no, at| played.outcome.looked.iter().any(|read| read.item.no == no && read.until <= at);
    assert!(played.outcome.seen.iter().all(|sent| is_read(sent.item.no, sent.at)));
}

#[tokio::test(start_paused = true)]
async fn what_has_moved_is_sent_where_the_plan_allowed_it() {
    let played = play(|rig| rig.policy.allow_reissued = true).await;
    assert_eq!(played.outcome.count(Status::Revoked), 30);
}
