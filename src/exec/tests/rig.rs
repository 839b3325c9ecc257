//! A run with a scripted service, an in-memory journal, and a log of what was sent when.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use crate::clock::{Clock, Moment};
use crate::exec::{
    Answer, Ended, Journal, JournalError, NoToken, Observer, Order, Policy, Pulse, Quota, Run, Stop, Transport, Verdict, run,
};
use crate::model::{
    Bounds, Event, Item, ItemNo, Kind, Lane, ObjectId, Progress, Reached, Service, Status, TenantId, VppOptions, What, Work,
};

/// What the scripted service does with the `nth` request for an item: how long it takes, and what it says.
pub(super) type Script = Box<dyn Fn(&Order, u32) -> (Duration, Verdict) + Send + Sync>;

/// What the place that issues tokens says to the `nth` request.
pub(super) type SignIn = Box<dyn Fn(TenantId, u64) -> Result<(), NoToken> + Send + Sync>;

/// How long a token takes.
pub(super) const TOKEN_LATENCY: Duration = Duration::from_millis(300);

/// A request as the service saw it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) item: Item,
    pub(super) at: Moment,
    pub(super) until: Moment,
}

struct Scripted {
    script: Script,
    counts: Vec<AtomicU32>,
    seen: mpsc::Sender<Seen>,
    intents: Arc<Durable>,
    /// The number of the token that is valid now, zero while there is none; a refused one is replaced once for everybody.
    token: AtomicU64,
    tokens: AtomicU64,
    sign_in: SignIn,
    clock: Clock,
}

/// Which client request ids are durable: what the transport may send.
#[derive(Default)]
struct Durable(ids::Ids);

/// A list that grows under a shared reference, without a lock in sight of the executor.
mod ids {
    use std::sync::OnceLock;

    use uuid::Uuid;

    /// Enough for every test here.
    const MOST: usize = 20_000;

    pub(super) struct Ids(Vec<OnceLock<Uuid>>);

    impl Default for Ids {
        fn default() -> Self {
            Self((0..MOST).map(|_| OnceLock::new()).collect())
        }
    }

    impl Ids {
        pub(super) fn add(&self, id: Uuid) {
            self.0.iter().find(|place| place.set(id).is_ok()).expect("room for one more");
        }

        pub(super) fn has(&self, id: Uuid) -> bool {
            self.0.iter().map_while(OnceLock::get).any(|known| *known == id)
        }
    }
}

impl Transport for Scripted {
    fn is_ready(&self, _: TenantId) -> bool {
        self.token.load(Ordering::SeqCst) > 0
    }

    async fn sign_in(&self, tenant: TenantId) -> Result<(), NoToken> {
        tokio::time::sleep(TOKEN_LATENCY).await;
        let nth = self.tokens.fetch_add(1, Ordering::SeqCst) + 1;
        (self.sign_in)(tenant, nth).inspect(|()| self.token.store(nth, Ordering::SeqCst))
    }

    async fn send(&self, order: Order) -> Answer {
        assert!(self.intents.0.has(order.client_request_id), "a request left before its intent was durable");
        let at = self.clock.now();
        let nth = self.counts[usize::try_from(order.item.no.0).unwrap()].fetch_add(1, Ordering::SeqCst) + 1;
        let token = self.token.load(Ordering::SeqCst);
        let (latency, verdict) = (self.script)(&order, nth);
        tokio::time::sleep(latency).await;
        if verdict == Verdict::Unauthorized {
            let _ = self.token.compare_exchange(token, 0, Ordering::SeqCst, Ordering::SeqCst);
        }
        self.seen.send(Seen { item: order.item, at, until: self.clock.now() }).unwrap();
        Answer { token: Some(token), ..answer(verdict) }
    }
}

fn answer(verdict: Verdict) -> Answer {
    Answer { verdict, token: None, http_status: None, error_code: None, message: None, request_id: None, approval_code: None }
}

/// Keeps events in memory; fails from a given commit on.
struct Memory {
    items: Vec<Item>,
    events: Vec<Event>,
    durable: Arc<Durable>,
    commits_left: usize,
}

impl Journal for Memory {
    async fn commit(&mut self, events: Arc<Vec<Event>>) -> Result<(), JournalError> {
        // As long as a disk takes, so that answers come in while it is busy.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.commits_left = self.commits_left.checked_sub(1).ok_or_else(|| JournalError("disk full".to_owned()))?;
        for event in events.iter() {
            if let What::Intent { client_request_id } = event.what {
                self.durable.0.add(client_request_id);
            }
        }
        self.events.extend(events.iter().cloned());
        Ok(())
    }

    async fn page(&mut self, lane: Lane, after: ItemNo, limit: usize) -> Result<Vec<Work>, JournalError> {
        let of_lane = |item: &&Item| item.tenant == lane.tenant && item.kind.facts().service == lane.service && item.no > after;
        Ok(self.items.iter().filter(of_lane).take(limit).map(|&item| Work { item, progress: Progress::default() }).collect())
    }
}

/// Counts what was shown.
#[derive(Default)]
struct Audience {
    shown: usize,
}

impl Observer for Audience {
    fn observe(&mut self, events: &[Event], _: &Pulse) {
        self.shown += events.len();
    }
}

/// A run to be.
pub(super) struct Rig {
    pub(super) policy: Policy,
    pub(super) items: Vec<Item>,
    pub(super) commits: usize,
    pub(super) stops: Vec<(Duration, Stop)>,
    pub(super) sign_in: SignIn,
}

/// What became of it.
pub(super) struct Outcome {
    pub(super) ended: Ended,
    pub(super) progress: Vec<Progress>,
    pub(super) seen: Vec<Seen>,
    pub(super) took: Duration,
    pub(super) shown: usize,
    pub(super) events: Vec<Event>,
}

impl Rig {
    /// So many items of one kind in one tenant, under the default limits.
    pub(super) fn of(count: u32) -> Self {
        let mut rig = Self {
            policy: Policy {
                concurrency: 16.try_into().unwrap(),
                quota: Some(Quota { count: 100.try_into().unwrap(), per: Duration::from_secs(20) }),
                rate: None,
                max_attempts: 5.try_into().unwrap(),
                max_pause: Duration::from_mins(30),
                deadline: None,
                max_fail: Bounds::default(),
            },
            items: Vec::new(),
            commits: usize::MAX,
            stops: Vec::new(),
            sign_in: Box::new(|_, _| Ok(())),
        };
        rig.add(count, 0, Kind::AndroidDeviceOwner);
        rig
    }

    /// Adds items of a kind in a tenant.
    pub(super) fn add(&mut self, count: u32, tenant: u128, kind: Kind) {
        for _ in 0..count {
            let no = i64::try_from(self.items.len()).unwrap() + 1;
            self.items.push(Item {
                no: ItemNo(no),
                tenant: TenantId(Uuid::from_u128(tenant)),
                kind,
                id: ObjectId(Uuid::from_u128(no.try_into().unwrap())),
                options: VppOptions::default(),
            });
        }
    }

    fn lanes(&self) -> Vec<Lane> {
        let mut lanes: Vec<Lane> = Vec::new();
        for item in &self.items {
            let (tenant, service): (TenantId, Service) = (item.tenant, item.kind.facts().service);
            match lanes.iter_mut().find(|lane| lane.tenant == tenant && lane.service == service) {
                Some(lane) => lane.items += 1,
                None => lanes.push(Lane { tenant, service, items: 1 }),
            }
        }
        lanes
    }

    /// Runs it against a service whose answers depend on the time alone.
    pub(super) async fn run_by_time(self, script: impl Fn(Moment) -> Verdict + Send + Sync + 'static) -> Outcome {
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        self.run(move |_, _| (LATENCY, script(clock.now()))).await
    }

    /// Runs it against a script.
    pub(super) async fn run(self, script: impl Fn(&Order, u32) -> (Duration, Verdict) + Send + Sync + 'static) -> Outcome {
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        let (seen, log) = mpsc::channel();
        let durable = Arc::new(Durable::default());
        let counts = (0..=self.items.len()).map(|_| AtomicU32::new(0)).collect();
        let lanes = self.lanes();
        let transport = Scripted {
            script: Box::new(script),
            counts,
            seen,
            intents: Arc::clone(&durable),
            token: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            sign_in: self.sign_in,
            clock,
        };
        let mut journal = Memory { items: self.items, events: Vec::new(), durable, commits_left: self.commits };
        let mut observer = Audience::default();
        let (stop, stopped) = watch::channel(Stop::Run);
        let stops = self.stops;
        tokio::spawn(async move {
            for (at, kind) in stops {
                clock.sleep_until(Some(at)).await;
                stop.send_replace(kind);
            }
            std::future::pending::<()>().await;
        });
        let ended = run(Run {
            policy: self.policy,
            lanes: &lanes,
            transport: Arc::new(transport),
            journal: &mut journal,
            observer: &mut observer,
            clock,
            stop: stopped,
        })
        .await;
        let mut progress = vec![Progress::default(); journal.items.len()];
        for event in &journal.events {
            if let Some(ItemNo(no)) = event.item {
                progress[usize::try_from(no - 1).unwrap()].apply(event).unwrap();
            }
        }
        Outcome {
            ended,
            progress,
            seen: log.try_iter().collect(),
            took: clock.now(),
            shown: observer.shown,
            events: journal.events,
        }
    }
}

impl Outcome {
    /// How many items have a status.
    pub(super) fn count(&self, status: Status) -> usize {
        self.progress.iter().filter(|progress| progress.status() == status).count()
    }

    /// The most requests that arrived within any `span`.
    pub(super) fn most_within(&self, span: Duration) -> usize {
        let mut times: Vec<Moment> = self.seen.iter().map(|seen| seen.until).collect();
        times.sort_unstable();
        (0..times.len()).map(|i| times[i..].iter().take_while(|&&at| at < times[i] + span).count()).max().unwrap_or(0)
    }
}

pub(super) const LATENCY: Duration = Duration::from_millis(150);

pub(super) fn yes() -> Verdict {
    Verdict::Settled { status: Status::Accepted, reason: String::new() }
}

pub(super) fn no() -> Verdict {
    Verdict::Settled { status: Status::Refused, reason: "no".to_owned() }
}

pub(super) fn again(reached: Reached) -> Verdict {
    Verdict::Again { reached, after: None }
}

pub(super) fn later(seconds: u64) -> Verdict {
    Verdict::Throttled { after: Some(Duration::from_secs(seconds)) }
}
