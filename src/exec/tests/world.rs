//! A service that has objects: what a request does to one of them, and what a reading of it then shows.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;

use super::rig::{LATENCY, Outcome, Rig, Seen as Request, again, no, yes};
use crate::clock::{Clock, Moment};
use crate::exec::{Order, PerService, Sight, Verdict};
use crate::model::{Action, ActionState, Expiry, Item, ItemNo, Kind, Phase, Progress, Reached, Seen, Service, Snapshot, Status};

/// The service's own time when the world begins: far from that of the executor's clock, which begins in 1970.
const BEGINNING: &str = "2026-06-01T12:00:00Z";

/// How long after a loss the last of late effects comes: just before the first reading may be made.
const LATE: f64 = 0.95;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    LostBefore,
    LostAfter,
    /// Cut off by our own end after a hundred seconds.
    HungBefore,
    HungAfter,
    /// Lost, and at work for almost as long as `settle`.
    LostLate,
    /// A 5xx that asks for patience.
    ErrorBefore,
    ErrorAfter,
    /// A page of somebody on the way.
    GarbageBefore,
    GarbageAfter,
    Conflict,
    Throttled,
    Unsent,
    Refused,
    Denied,
    Gone,
}

impl Fault {
    /// All that leave it open whether the request had its effect.
    pub(super) const DOUBTFUL: [Self; 9] = [
        Self::LostBefore,
        Self::LostAfter,
        Self::HungBefore,
        Self::HungAfter,
        Self::LostLate,
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::GarbageBefore,
        Self::GarbageAfter,
    ];

    pub(super) fn is_doubtful(self) -> bool {
        Self::DOUBTFUL.contains(&self)
    }

    /// How long the request takes, how long after its arrival it has its effect, and what is said of it.
    pub(super) fn act(self, settle: Duration) -> (Duration, Option<Duration>, Verdict) {
        let hang = Duration::from_secs(100);
        let lost = || again(Reached::Maybe);
        let busy = || Verdict::Again { reached: Reached::Maybe, after: Some(Duration::from_secs(10)) };
        match self {
            Self::None => (LATENCY, Some(LATENCY / 2), yes()),
            Self::LostBefore | Self::GarbageBefore => (LATENCY, None, lost()),
            Self::LostAfter | Self::GarbageAfter => (LATENCY, Some(LATENCY / 2), lost()),
            Self::HungBefore => (hang, None, lost()),
            Self::HungAfter => (hang, Some(hang / 2), lost()),
            Self::LostLate => (LATENCY, Some(LATENCY + settle.mul_f64(LATE)), lost()),
            Self::ErrorBefore => (LATENCY, None, busy()),
            Self::ErrorAfter => (LATENCY, Some(LATENCY / 2), busy()),
            Self::Conflict => (LATENCY, None, again(Reached::Answered)),
            Self::Throttled => (LATENCY, None, Verdict::Throttled { after: Some(Duration::from_secs(2)) }),
            Self::Unsent => (LATENCY, None, again(Reached::NotSent)),
            Self::Refused => (LATENCY, None, no()),
            Self::Denied => (LATENCY, None, Verdict::Denied { reason: "locked".to_owned() }),
            Self::Gone => (LATENCY, None, Verdict::Settled { status: Status::NotFound, reason: String::new() }),
        }
    }
}

/// How a revocation shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// The token ended when it was revoked.
    Now,
    /// It ended long ago.
    Past,
    Missing,
    Zero,
    Done,
    Partial,
    Failed,
    /// The action takes a while.
    Pending,
}

impl Shape {
    pub(super) const fn all(kind: Kind) -> [Self; 4] {
        match kind {
            Kind::AndroidForWork | Kind::AndroidDeviceOwner => [Self::Now, Self::Past, Self::Missing, Self::Zero],
            Kind::VppToken => [Self::Done, Self::Partial, Self::Failed, Self::Pending],
        }
    }

    /// What is to become of an item whose revocation shows so.
    pub(super) const fn end(self) -> Status {
        match self {
            Self::Partial | Self::Failed => Status::Partial,
            Self::Now | Self::Past | Self::Missing | Self::Zero | Self::Done | Self::Pending => Status::Revoked,
        }
    }
}

/// An object, and what is going to happen to it.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) kind: Kind,
    pub(super) shape: Shape,
    /// What happens to its requests, in turn; nothing to those after.
    pub(super) faults: Vec<Fault>,
    /// The Android token's end before anything is sent; none: it has none.
    pub(super) end: Option<Timestamp>,
    /// How long after an effect readings show it.
    pub(super) lag: Duration,
    /// When it is re-issued.
    pub(super) reissued: Option<Moment>,
    /// Whether somebody else's action is at work on it since before the beginning; how long it is.
    pub(super) at_work: Option<Duration>,
    /// Whether lists leave it out.
    pub(super) unlisted: bool,
    pub(super) sent: AtomicU32,
    pub(super) effects: AtomicU32,
    pub(super) effect_at: OnceLock<Moment>,
}

impl Object {
    pub(super) fn new(kind: Kind, shape: Shape, faults: &[Fault]) -> Self {
        Self {
            kind,
            shape,
            faults: faults.to_vec(),
            end: Some(time(Duration::from_hours(720))),
            lag: Duration::ZERO,
            reissued: None,
            at_work: None,
            unlisted: false,
            sent: AtomicU32::new(0),
            effects: AtomicU32::new(0),
            effect_at: OnceLock::new(),
        }
    }

    /// Another one that is as this one is now.
    pub(super) fn copy(&self) -> Self {
        let count = |of: &AtomicU32| AtomicU32::new(of.load(Ordering::SeqCst));
        Self {
            faults: self.faults.clone(),
            sent: count(&self.sent),
            effects: count(&self.effects),
            effect_at: self.effect_at.clone(),
            ..*self
        }
    }

    /// It has been, or will be, revoked at this moment.
    pub(super) fn revoke(&self, at: Moment) {
        self.effects.fetch_add(1, Ordering::SeqCst);
        let _ = self.effect_at.set(at);
    }

    pub(super) fn fault(&self, nth: usize) -> Fault {
        self.faults.get(nth).copied().unwrap_or(Fault::None)
    }

    pub(super) fn effects(&self) -> u32 {
        self.effects.load(Ordering::SeqCst)
    }

    fn shows_at(&self, at: Moment) -> Seen {
        let reissued = self.reissued.filter(|since| *since <= at);
        let effect = self.effect_at.get().copied().filter(|effect| *effect + self.lag <= at);
        match self.kind.facts().service {
            Service::Android => self.android(effect, reissued),
            Service::Vpp => self.vpp(at, effect, reissued),
        }
    }

    fn android(&self, effect: Option<Moment>, reissued: Option<Moment>) -> Seen {
        let as_it_was = || self.end.map_or(Expiry::Never, Expiry::At);
        // What was revoked after it was issued anew is the new token.
        let issued = reissued;
        let reissued = reissued.filter(|since| effect.is_none_or(|effect| effect < *since));
        let expiry = match (reissued, effect, self.shape) {
            (Some(_), _, _) => Expiry::At(time(Duration::from_hours(2_000))),
            (None, None, _) => as_it_was(),
            (None, Some(effect), Shape::Now) => Expiry::At(time(effect)),
            (None, Some(_), Shape::Past) => Expiry::read(Some("2020-01-01T00:00:00Z")),
            (None, Some(_), Shape::Zero) => Expiry::read(Some("0001-01-01T00:00:00Z")),
            (None, Some(_), Shape::Missing | Shape::Done | Shape::Partial | Shape::Failed | Shape::Pending) => Expiry::read(None),
        };
        let made = issued.map_or_else(|| time(Duration::ZERO) - jiff::SignedDuration::from_hours(24), time);
        Seen::Android { expiry, created: (self.kind == Kind::AndroidDeviceOwner).then_some(made) }
    }

    fn vpp(&self, at: Moment, effect: Option<Moment>, reissued: Option<Moment>) -> Seen {
        let over = |since: Moment, lasts: Duration| if at >= since + lasts { ActionState::Done } else { ActionState::AtWork };
        let action = |started: Timestamp, state, failed| {
            let cause = (failed > 0).then(|| "appleFailure".to_owned());
            Action { started: Some(started), state, total: Some(9), failed, cause }
        };
        let before = time(Duration::ZERO) - jiff::SignedDuration::from_mins(5);
        let mut actions = vec![action(before - jiff::SignedDuration::from_hours(24), ActionState::Done, 0)];
        if let Some(lasts) = self.at_work {
            actions.push(action(before, over(Moment::ZERO, lasts), 0));
        }
        if let Some(effect) = effect {
            let (state, failed) = match self.shape {
                Shape::Partial => (over(effect, Duration::from_secs(5)), 2),
                Shape::Failed => (ActionState::Failed, 9),
                Shape::Pending => (over(effect, Duration::from_mins(4)), 0),
                Shape::Done | Shape::Now | Shape::Past | Shape::Missing | Shape::Zero => (ActionState::Done, 0),
            };
            // The service keeps only the newest.
            actions = vec![action(time(effect), state, if state == ActionState::AtWork { 0 } else { failed })];
        }
        let owner = if reissued.is_some() { "b" } else { "a" };
        Seen::Vpp { identity: [Some(owner.to_owned()), Some("School".to_owned()), None], actions }
    }
}

/// The service's time at a moment of the world.
pub(super) fn time(at: Moment) -> Timestamp {
    BEGINNING.parse::<Timestamp>().unwrap() + jiff::SignedDuration::try_from(at).unwrap()
}

/// What reading is like: the sight that the `nth` read of an item brings instead of the object.
pub(super) type Weather = fn(&Item, u32) -> Option<Sight<Snapshot>>;

/// The first read of each object fails in some way, and every third after it.
pub(super) fn showers(item: &Item, nth: u32) -> Option<Sight<Snapshot>> {
    let fails = |message: &str, reached| Sight::Again { reached, after: None, message: message.to_owned() };
    (nth % 3 == 1).then(|| match item.no.0 % 4 {
        0 => fails("busy", true),
        1 => fails("refused", false),
        2 => Sight::Throttled { after: Some(Duration::from_secs(1)) },
        _ => Sight::Throttled { after: None },
    })
}

/// All objects, over one session.
pub(super) struct World {
    pub(super) objects: Vec<Object>,
    /// When the session begins, in the world's time.
    pub(super) since: Moment,
    pub(super) weather: Weather,
}

/// A session in a world.
pub(super) struct Played {
    pub(super) world: Arc<World>,
    pub(super) outcome: Outcome,
    /// How many requests each object had had before, and whether the last of them was lost.
    pub(super) before: Vec<(u32, bool)>,
    /// When the session began, on its own clock.
    pub(super) began: Moment,
}

impl World {
    pub(super) fn of(objects: Vec<Object>) -> Self {
        Self { objects, since: Moment::ZERO, weather: |_, _| None }
    }

    /// A run over all objects in their order, which reads before it sends and reads back afterwards.
    pub(super) fn rig(&self) -> Rig {
        let mut rig = Rig::of(0);
        self.objects.iter().for_each(|object| rig.add(1, 0, object.kind));
        (rig.policy.pins, rig.policy.verify) = (true, true);
        rig
    }

    /// Runs it.
    pub(super) async fn play(self, mut rig: Rig) -> Played {
        let before = (1..).zip(&self.objects).map(|(no, object)| {
            let mut progress = Progress::default();
            let past = rig.past.iter().filter(|event| event.item == Some(ItemNo(no)));
            past.for_each(|event| progress.apply(event).unwrap());
            (object.sent.load(Ordering::SeqCst), matches!(progress.phase, Phase::InFlight | Phase::InDoubt))
        });
        let (before, began) = (before.collect(), rig.begins);
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        let settle = rig.policy.settle;
        let (world, seen) = (Arc::new(self), |world: &Arc<Self>| Arc::clone(world));
        let (acts, eyes) = (seen(&world), seen(&world));
        rig.eyes = Box::new(move |item, nth, at| eyes.show(item, nth, at));
        let outcome = rig.run(move |order, _| acts.take(order, clock, settle.of(order.item.kind.facts().service))).await;
        Played { world, outcome, before, began }
    }

    fn object(&self, item: &Item) -> &Object {
        &self.objects[usize::try_from(item.no.0 - 1).unwrap()]
    }

    fn take(&self, order: &Order, clock: Clock, settle: Duration) -> (Duration, Verdict) {
        let object = self.object(&order.item);
        let nth = object.sent.fetch_add(1, Ordering::SeqCst);
        let (latency, effect, verdict) = object.fault(nth as usize).act(settle);
        if let Some(delay) = effect {
            object.revoke(self.since + clock.now() + delay);
        }
        (latency, verdict)
    }

    /// What a reading that arrives at a moment of the session shows.
    pub(super) fn show(&self, item: &Item, nth: u32, at: Moment) -> Sight<Snapshot> {
        let at = self.since + at;
        let object = self.object(item);
        // The reads of a list have no number.
        let hidden = if nth > 0 { (self.weather)(item, nth) } else { object.unlisted.then_some(Sight::Gone) };
        hidden.unwrap_or_else(|| {
            // `Date` has whole seconds.
            let date = time(Moment::from_secs(at.as_secs()));
            let name = Some(format!("object {}", item.no.0));
            Sight::Shown(Snapshot { date: Some(date), name, seen: object.shows_at(at), about: None })
        })
    }
}

/// From when to when each of the requests for the `n`-th object was under way.
fn times(logs: &[&[Request]], n: usize) -> Vec<(Moment, Moment)> {
    let of_item = |seen: &&Request| usize::try_from(seen.item.no.0 - 1).unwrap() == n;
    let all = logs.iter().flat_map(|log| log.iter());
    let mut times: Vec<_> = all.filter(of_item).map(|seen| (seen.at, seen.until)).collect();
    times.sort_unstable();
    times
}

impl Played {
    /// The status of the `n`-th object, counted from 0.
    pub(super) fn status(&self, n: usize) -> Status {
        self.outcome.progress[n].status()
    }

    /// How many requests the service has had for an object, in this session.
    pub(super) fn sent(&self, n: usize) -> u32 {
        self.world.objects[n].sent.load(Ordering::SeqCst) - self.before[n].0
    }

    /// What must hold whatever happens: no effect is had twice, no object has two requests in flight, and none is sent
    /// again before two readings at least `settle` apart, the first not before `settle` after the loss.
    pub(super) fn keeps_the_rules(&self, settle: PerService) {
        assert_eq!(self.outcome.ended.stopped_by, None);
        for (n, object) in self.world.objects.iter().enumerate() {
            assert!(object.effects() <= 1, "{n}: {object:?}");
            let sends = times(&[&self.outcome.seen], n);
            let reads = times(&[&self.outcome.looked, &self.outcome.listed], n);
            let settle = settle.of(object.kind.facts().service);
            assert!(sends.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{n}: two requests in flight");
            let (had, lost) = self.before[n];
            let lost = lost.then_some(self.began).into_iter();
            let losses = sends.iter().zip(had as usize..).filter(|(_, nth)| object.fault(*nth).is_doubtful());
            for loss in lost.chain(losses.map(|((_, until), _)| *until)) {
                let Some((next, _)) = sends.iter().find(|(at, _)| *at >= loss) else { continue };
                let first = reads.iter().find(|(at, _)| *at >= loss + settle).map(|(_, until)| *until);
                let second = first.and_then(|first| reads.iter().find(|(at, until)| *at >= first + settle && until <= next));
                assert!(second.is_some(), "{n}: sent again too early: {sends:?} {reads:?} {object:?}");
            }
        }
    }
}
