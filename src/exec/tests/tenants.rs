//! Many tenants in one run, and sessions that follow each other: everybody at the pace of their own quota.

use std::time::Duration;

use super::rig::{LATENCY, Rig, again, later, yes};
use crate::clock::Moment;
use crate::exec::{Counted, NoToken, Stream, Verdict};
use crate::model::{Kind, Reached, Service, Stamp, Status, StopCause, TenantId};

const WINDOW: Duration = Duration::from_secs(20);

fn tenant(number: u128) -> TenantId {
    TenantId(uuid::Uuid::from_u128(number))
}

/// So many tenants with so many items each.
fn rig(tenants: u128, items: u32) -> Rig {
    let mut rig = Rig::of(0);
    (0..tenants).for_each(|number| rig.add(items, number, Kind::AndroidDeviceOwner));
    rig
}

/// When the last request of these tenants was answered.
fn last(outcome: &super::rig::Outcome, of: impl Fn(TenantId) -> bool) -> Moment {
    outcome.seen.iter().filter(|seen| of(seen.item.tenant)).map(|seen| seen.until).max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_tenants_are_served_side_by_side() {
    let mut rig = rig(100, 30);
    rig.policy.concurrency = 128.try_into().unwrap();
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    assert_eq!(outcome.count(Status::Accepted), 3_000);
    // 3,000 requests, 128 at once, each as long as the latency; and whoever came first was not served first.
    assert!(outcome.took < LATENCY * 27, "{:?}", outcome.took);
    let ends = (0..100).map(|number| last(&outcome, |id| id == tenant(number)));
    assert!(ends.min().unwrap() > outcome.took * 2 / 3, "one tenant was served before the others");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_tenant_that_answers_late_is_throttled_cannot_sign_in_or_is_down() {
    let trouble = |which: u128| move |id: TenantId| which > 0 && id == tenant(0);
    let mut undisturbed = Moment::ZERO;
    for which in 0..5 {
        let mut rig = rig(4, 150);
        rig.policy.deadline = Some(Duration::from_mins(5));
        let is_ill = trouble(which);
        if which == 4 {
            let refused = || NoToken { message: "expired secret".to_owned(), retry: None };
            rig.sign_in = Box::new(move |id, _| if is_ill(id) { Err(refused()) } else { Ok(()) });
        }
        let outcome = rig.run(move |order, _| match which {
            1 if is_ill(order.item.tenant) => (Duration::from_secs(100), again(Reached::Maybe)),
            2 if is_ill(order.item.tenant) => (LATENCY, later(60)),
            3 if is_ill(order.item.tenant) => (LATENCY, again(Reached::NotSent)),
            4 if is_ill(order.item.tenant) => (LATENCY, Verdict::NoToken),
            _ => (LATENCY, yes()),
        });
        let outcome = outcome.await;
        let others = last(&outcome, |id| id != tenant(0));
        if which == 0 {
            undisturbed = others;
        }
        assert!(others <= undisturbed + Duration::from_secs(2), "{which}: {others:?}, undisturbed {undisturbed:?}");
        let done = outcome.progress[150..].iter().filter(|progress| progress.status() == Status::Accepted).count();
        assert_eq!(done, 450, "{which}");
        if which == 4 {
            assert_eq!(outcome.ended.tenant_stops[0].cause, StopCause::SignIn);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_session_sent_still_counts() {
    let mut rig = Rig::of(100);
    let sent = |age: i64| Counted {
        tenant: tenant(0),
        service: Service::Android,
        stream: Stream::Write,
        at: Stamp(-age),
        accepted: true,
    };
    // Sixty a while ago, and some that are forgotten, or another tenant's.
    rig.counted = (0..60).map(|_| sent(15_000)).chain((0..90).map(|_| sent(20_001))).collect();
    rig.counted.extend((0..100).map(|_| Counted { tenant: tenant(9), ..sent(1_000) }));
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    let at_once = outcome.seen.iter().filter(|seen| seen.at < Duration::from_secs(5)).count();
    assert_eq!((outcome.count(Status::Accepted), at_once), (100, 40));
    assert!(outcome.took < Duration::from_secs(7), "{:?}", outcome.took);
}

#[tokio::test(start_paused = true)]
async fn what_a_survey_has_read_still_counts_afterwards() {
    let mut rig = Rig::of(30);
    rig.policy.goal = crate::exec::Goal::Survey;
    let ended = rig.run(|_, _| (LATENCY, yes())).await.ended;
    assert!(ended.counted.len() >= 30 && ended.counted.iter().all(|read| read.stream == Stream::Read), "{}", ended.counted.len());
    let newest = ended.counted.iter().map(|read| read.at).max().unwrap();
    assert!(newest.millis_since(Stamp(0)) < u64::try_from(WINDOW.as_millis()).unwrap());
}
