//! A session that dies after any event, and one that goes on: no object is revoked twice, and nothing is lost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;

use super::rig::Rig;
use super::world::{Fault, Object, Played, Shape, World, showers};
use crate::clock::Moment;
use crate::model::{Event, Kind, Status, TenantId, What};

/// What became of the requests of which the dead session heard nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// They never left.
    Unsent,
    /// They arrived, and it went with them as it was to go.
    Arrived,
    /// They had their effect, whatever was to be said of them.
    Effective,
}

const LASTS: [Last; 3] = [Last::Unsent, Last::Arrived, Last::Effective];

/// The objects as they are when a session is killed after these events, and has left these requests behind.
fn left_behind(objects: &[Object], since: Moment, events: &[Event], last: Last) {
    let wish = Rig::of(0).policy.settle;
    for (no, object) in (1..).zip(objects) {
        let mut open = None;
        let settle = wish.of(object.kind.facts().service);
        let arrives = |at: Moment, longest: Duration, always: bool| {
            let nth = object.sent.fetch_add(1, Ordering::SeqCst) as usize;
            let (_, effect, _) = object.fault(nth).act(settle);
            let forced = always && object.effects() == 0;
            if let Some(delay) = effect.or(forced.then_some(Duration::ZERO)) {
                object.revoke(at + delay.min(longest));
            }
        };
        for event in events.iter().filter(|event| event.item.is_some_and(|item| item.0 == no)) {
            match &event.what {
                What::Intent { .. } => open = Some(event.at),
                What::Released => open = None,
                What::Reply(reply) => {
                    open = None;
                    arrives(since + moment(reply.sent_at.0), Duration::MAX, false);
                }
                What::Looked(_)
                | What::Settled { .. }
                | What::Ruled(_)
                | What::TenantStopped(_)
                | What::Bound { .. }
                | What::Resumed { .. }
                | What::Ended { .. } => {}
            }
        }
        if let Some(at) = open.filter(|_| last != Last::Unsent) {
            // A request whose sender is dead works on for as long as any other that is lost.
            arrives(since + moment(at.0), settle.mul_f64(0.9), last == Last::Effective);
        }
    }
}

/// A stamp of a session, whose clock begins at zero.
fn moment(millis: i64) -> Moment {
    Duration::from_millis(millis.unsigned_abs())
}

/// The tenant of all items.
const TENANT: TenantId = TenantId(uuid::Uuid::nil());

/// A session: all that it is given and all that it leaves.
struct Session {
    objects: Vec<Object>,
    past: Vec<Event>,
    since: Moment,
    /// Requests at once, and objects on a page of a list.
    concurrency: usize,
    page: Option<usize>,
}

impl Session {
    fn first(objects: Vec<Object>, concurrency: usize, page: Option<usize>) -> Self {
        Self { objects, past: Vec::new(), since: Moment::ZERO, concurrency, page }
    }

    async fn play(&self) -> Played {
        let objects = self.objects.iter().map(Object::copy).collect();
        let world = World { since: self.since, weather: showers, ..World::of(objects) };
        let mut rig = world.rig();
        rig.policy.concurrency = self.concurrency.try_into().unwrap();
        rig.page = self.page;
        // So short that a few items are enough to read a list.
        rig.known = [Kind::AndroidForWork, Kind::AndroidDeviceOwner].map(|kind| (TENANT, kind, self.page.map(|_| 1))).into();
        // A request that a dead session had in flight uses up an attempt, whether it left or not.
        rig.policy.max_attempts = 20.try_into().unwrap();
        rig.past = self.past.clone();
        world.play(rig).await
    }

    /// The session that takes up this one, which was killed when it had made so many events durable.
    fn cut(&self, events: &[Event], last: Last) -> Self {
        let own = &events[self.past.len()..];
        let objects: Vec<Object> = self.objects.iter().map(Object::copy).collect();
        left_behind(&objects, self.since, own, last);
        let died = own.last().map_or(Moment::ZERO, |event| moment(event.at.0));
        Self { objects, past: events.to_vec(), since: self.since + died + Duration::from_secs(1), ..*self }
    }
}

/// What must be so once a session has come to its end, however many were killed before it.
fn all_is_told(played: &Played) {
    played.keeps_the_rules(Rig::of(0).policy.settle);
    for (n, object) in played.world.objects.iter().enumerate() {
        let status = played.status(n);
        let (is_endless, may) = (object.end.is_none(), |fault| object.faults.contains(&fault));
        let is_hidden = is_endless && matches!(object.shape, Shape::Missing | Shape::Zero);
        let is_right = match (object.effects(), status) {
            (_, Status::Superseded) => object.reissued.is_some(),
            (1, Status::Unknown | Status::Unconfirmed) => is_hidden,
            (1, status) if status == object.shape.end() => true,
            (0, Status::Unknown) => is_endless,
            (0, Status::Refused) => may(Fault::Refused),
            (0, Status::NotFound) => may(Fault::Gone),
            // Somebody else's action, which was adopted.
            (0, Status::Revoked) => object.at_work.is_some(),
            (_, _) => false,
        };
        assert!(is_right, "{n}: {status}, {object:?} {:?}", played.outcome.progress[n]);
    }
}

/// A bit of everything.
fn storm() -> Vec<Object> {
    let mut objects = Vec::new();
    for kind in Kind::ALL {
        let faults: [&[Fault]; 6] = [
            &[],
            &[Fault::LostBefore, Fault::LostAfter],
            &[Fault::HungAfter],
            &[Fault::Throttled, Fault::LostLate],
            &[Fault::Conflict, Fault::ErrorBefore],
            &[Fault::GarbageBefore, Fault::Refused],
        ];
        let shapes = Shape::all(kind).into_iter().cycle();
        objects.extend(faults.into_iter().zip(shapes).map(|(faults, shape)| Object::new(kind, shape, faults)));
    }
    objects.push(Object { end: None, ..Object::new(Kind::AndroidForWork, Shape::Missing, &[Fault::ErrorAfter]) });
    objects.push(Object { at_work: Some(Duration::from_secs(90)), ..Object::new(Kind::VppToken, Shape::Done, &[]) });
    objects
}

async fn whatever_event_is_the_last(last: Last) {
    let first = Session::first(storm(), 4, None);
    let events = first.play().await.outcome.events;
    assert!(events.len() > 150, "{}", events.len());
    for cut in 0..=events.len() {
        all_is_told(&first.cut(&events[..cut], last).play().await);
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_event_is_the_last_the_next_session_finishes_if_the_last_requests_never_left() {
    whatever_event_is_the_last(Last::Unsent).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_event_is_the_last_the_next_session_finishes_if_the_last_requests_arrived() {
    whatever_event_is_the_last(Last::Arrived).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_event_is_the_last_the_next_session_finishes_if_the_last_requests_had_their_effect() {
    whatever_event_is_the_last(Last::Effective).await;
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let clear = [Fault::None, Fault::Conflict, Fault::Throttled, Fault::Unsent, Fault::Refused, Fault::Gone];
    prop_oneof![3 => prop::sample::select(Fault::DOUBTFUL.to_vec()), 2 => prop::sample::select(clear.to_vec())]
}

fn any_object() -> impl Strategy<Value = Object> {
    let oddity = prop_oneof![4 => Just(0), 1 => Just(1), 1 => Just(2), 1 => Just(3)];
    (0_usize..3, 0_usize..4, prop::collection::vec(any_fault(), 0..5), oddity, 1_u64..60).prop_map(
        |(kind, shape, faults, oddity, seconds)| {
            let kind = Kind::ALL[kind];
            let object = Object::new(kind, Shape::all(kind)[shape], &faults);
            match oddity {
                1 => Object { end: None, ..object },
                2 => Object { reissued: Some(Duration::from_secs(seconds)), ..object },
                3 => Object { at_work: (kind == Kind::VppToken).then(|| Duration::from_secs(seconds)), ..object },
                _ => object,
            }
        },
    )
}

fn any_killing() -> impl Strategy<Value = (f64, Last)> {
    (0.0..1.0, prop::sample::select(LASTS.to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn however_often_a_run_is_killed_whatever_happens_to_its_requests_nothing_is_revoked_twice_or_lost(
        objects in prop::collection::vec(any_object(), 1..10),
        killings in prop::collection::vec(any_killing(), 0..4),
        concurrency in 2_usize..6,
        page in prop::sample::select(vec![None, Some(2), Some(100)]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut session = Session::first(objects, concurrency, page);
            for (share, last) in killings {
                let events = session.play().await.outcome.events;
                let own = events.len() - session.past.len();
                #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred")]
                let kept = (own as f64 * share) as usize;
                session = session.cut(&events[..session.past.len() + kept], last);
            }
            all_is_told(&session.play().await);
        });
    }
}
