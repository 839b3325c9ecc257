//! A run with a scripted service, an in-memory journal, and a log of what was sent when.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use super::durable::Durable;
use crate::clock::{Clock, Moment};
use crate::exec::{
    Answer, Counted, Ended, Goal, Journal, JournalError, Justification, NextPage, NoToken, Observer, Order, Page, PerService,
    Policy, Pulse, Quota, Reading, Run, Scope, Sight, Stop, Transport, Verdict, run,
};
use crate::model::{
    Bounds, Event, Item, ItemNo, Kind, Lane, ObjectId, Progress, Reached, Service, Snapshot, Status, TenantId, VppOptions, What,
    Work,
};

/// What the scripted service does with the `nth` request for an item: how long it takes, and what it says.
pub(super) type Script = Box<dyn Fn(&Order, u32) -> (Duration, Verdict) + Send + Sync>;

/// What the scripted service shows to the `nth` read of an item, and at which moment; none: it is listed as it is read.
pub(super) type Eyes = Box<dyn Fn(&Item, u32, Moment) -> Sight<Snapshot> + Send + Sync>;

/// What the `nth` page that is asked for brings instead of objects.
pub(super) type Lists = Box<dyn Fn(u32) -> Option<Sight<Page>> + Send + Sync>;

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
    eyes: Eyes,
    looks: Vec<AtomicU32>,
    looked: mpsc::Sender<Seen>,
    items: Vec<Item>,
    /// Objects on a page; none: lists cannot be read.
    page: Option<usize>,
    pages: mpsc::Sender<Moment>,
    listed: mpsc::Sender<Seen>,
    asked: AtomicU32,
    lists: Lists,
    seen: mpsc::Sender<Seen>,
    intents: Arc<Durable>,
    /// The number of the token that is valid now, zero while there is none; a refused one is replaced once for everybody.
    token: AtomicU64,
    tokens: AtomicU64,
    sign_in: SignIn,
    clock: Clock,
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
        assert!(self.intents.has(order.client_request_id), "a request left before its intent was durable");
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

    async fn look(&self, item: Item) -> Reading<Snapshot> {
        let at = self.clock.now();
        let nth = self.looks[usize::try_from(item.no.0).unwrap()].fetch_add(1, Ordering::SeqCst) + 1;
        tokio::time::sleep(LATENCY).await;
        self.looked.send(Seen { item, at, until: self.clock.now() }).unwrap();
        let token = Some(self.token.load(Ordering::SeqCst));
        Reading { sight: (self.eyes)(&item, nth, at), token }
    }

    async fn list(&self, tenant: TenantId, kind: Kind, page: Option<NextPage>) -> Reading<Page> {
        let at = self.clock.now();
        tokio::time::sleep(LATENCY).await;
        self.pages.send(at).unwrap();
        let token = Some(self.token.load(Ordering::SeqCst));
        if let Some(sight) = (self.lists)(self.asked.fetch_add(1, Ordering::SeqCst) + 1) {
            return Reading { sight, token };
        }
        let Some(size) = self.page else {
            return Reading { sight: Sight::Refused { reason: "no list".to_owned() }, token };
        };
        let start: usize = page.map_or(0, |page| page.0.parse().unwrap());
        let of_kind = || self.items.iter().filter(|item| item.tenant == tenant && item.kind == kind);
        let objects = of_kind().skip(start).take(size).filter_map(|item| {
            let Sight::Shown(snapshot) = (self.eyes)(item, 0, at) else { return None };
            self.listed.send(Seen { item: *item, at, until: self.clock.now() }).unwrap();
            Some((item.id, snapshot))
        });
        let next = (of_kind().count() > start + size).then(|| NextPage((start + size).to_string()));
        Reading { sight: Sight::Shown(Page { objects: objects.collect(), next, ..Page::default() }), token }
    }
}

fn answer(verdict: Verdict) -> Answer {
    Answer { verdict, token: None, http_status: None, error_code: None, message: None, request_id: None, approval_code: None }
}

/// Keeps events in memory; fails from a given commit on.
struct Memory {
    items: Vec<Item>,
    progress: Vec<Progress>,
    events: Vec<Event>,
    durable: Arc<Durable>,
    commits_left: usize,
}

impl Journal for Memory {
    async fn commit(&mut self, events: Arc<Vec<Event>>) -> Result<(), JournalError> {
        tokio::time::sleep(COMMIT).await;
        self.commits_left = self.commits_left.checked_sub(1).ok_or_else(|| JournalError("disk full".to_owned()))?;
        for event in events.iter() {
            if let What::Intent { client_request_id } = event.what {
                self.durable.add(client_request_id);
            }
        }
        for event in events.iter() {
            if let Some(ItemNo(no)) = event.item {
                self.progress[usize::try_from(no - 1).unwrap()].apply(event).unwrap();
            }
        }
        self.events.extend(events.iter().cloned());
        Ok(())
    }

    async fn find(&mut self, lane: Lane, kind: Kind, ids: Vec<ObjectId>) -> Result<Vec<Work>, JournalError> {
        let is_asked = |item: &&Item| item.tenant == lane.tenant && item.kind == kind && ids.contains(&item.id);
        Ok(self.items.iter().filter(is_asked).map(|&item| self.work(item)).collect())
    }

    async fn page(&mut self, lane: Lane, after: ItemNo, limit: usize) -> Result<Vec<Work>, JournalError> {
        let of_lane = |item: &&Item| item.tenant == lane.tenant && item.kind.facts().service == lane.service && item.no > after;
        Ok(self.items.iter().filter(of_lane).take(limit).map(|&item| self.work(item)).collect())
    }
}

impl Memory {
    fn work(&self, item: Item) -> Work {
        Work { item, progress: self.progress[usize::try_from(item.no.0 - 1).unwrap()].clone() }
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
    pub(super) eyes: Eyes,
    /// Objects on a page of a list; none: lists cannot be read.
    pub(super) page: Option<usize>,
    pub(super) lists: Lists,
    /// What an earlier session learned of the lists.
    pub(super) known: Vec<(TenantId, Kind, Option<usize>)>,
    /// What earlier sessions sent a short while ago.
    pub(super) counted: Vec<Counted>,
    /// What earlier sessions left in the journal.
    pub(super) past: Vec<Event>,
    /// What the clock shows when the session begins.
    pub(super) begins: Moment,
}

/// What became of it.
pub(super) struct Outcome {
    pub(super) ended: Ended,
    pub(super) progress: Vec<Progress>,
    pub(super) seen: Vec<Seen>,
    pub(super) looked: Vec<Seen>,
    /// When pages were asked for, and which objects they showed.
    pub(super) pages: Vec<Moment>,
    pub(super) listed: Vec<Seen>,
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
                scope: Scope::All,
                justification: Justification::None,
                goal: Goal::Revoke,
                settle: PerService { android: Duration::from_secs(3), vpp: Duration::from_secs(30) },
                verify: false,
                verify_deadline: PerService { android: Duration::from_mins(2), vpp: Duration::from_mins(15) },
                pins: false,
                pin_max_age: Duration::from_mins(1),
                pinned_until: Moment::ZERO,
                allow_reissued: false,
            },
            items: Vec::new(),
            commits: usize::MAX,
            stops: Vec::new(),
            sign_in: Box::new(|_, _| Ok(())),
            eyes: Box::new(|_, _, _| Sight::Gone),
            page: None,
            lists: Box::new(|_| None),
            known: Vec::new(),
            counted: Vec::new(),
            past: Vec::new(),
            begins: Moment::ZERO,
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

    pub(super) fn lanes(&self) -> Vec<Lane> {
        let mut lanes: Vec<Lane> = Vec::new();
        for item in &self.items {
            let (tenant, service): (TenantId, Service) = (item.tenant, item.kind.facts().service);
            match lanes.iter_mut().find(|lane| lane.tenant == tenant && lane.service == service) {
                Some(lane) => lane.items += 1,
                None => lanes.push(Lane { tenant, service, after: ItemNo(0), items: 1 }),
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
        let (looked, looks) = mpsc::channel();
        let (pages, asked) = mpsc::channel();
        let (listed, shown) = mpsc::channel();
        let zeros = || (0..=self.items.len()).map(|_| AtomicU32::new(0)).collect();
        let lanes = self.lanes();
        let transport = Scripted {
            script: Box::new(script),
            counts: zeros(),
            eyes: self.eyes,
            looks: zeros(),
            looked,
            items: self.items.clone(),
            page: self.page,
            pages,
            listed,
            asked: AtomicU32::new(0),
            lists: self.lists,
            seen,
            intents: Arc::clone(&durable),
            token: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            sign_in: self.sign_in,
            clock,
        };
        let progress = vec![Progress::default(); self.items.len()];
        let mut journal = Memory { items: self.items, progress, events: Vec::new(), durable, commits_left: usize::MAX };
        journal.commit(Arc::new(self.past)).await.unwrap();
        journal.commits_left = self.commits;
        clock.sleep_until(Some(self.begins)).await;
        let mut observer = Audience::default();
        let ended = run(Run {
            policy: self.policy,
            lanes: &lanes,
            lists: &self.known,
            counted: &self.counted,
            asks_why: &[],
            transport: Arc::new(transport),
            journal: &mut journal,
            observer: &mut observer,
            clock,
            stop: signals(self.stops, clock),
        })
        .await;
        Outcome {
            ended,
            progress: journal.progress,
            seen: log.try_iter().collect(),
            looked: looks.try_iter().collect(),
            pages: asked.try_iter().collect(),
            listed: shown.try_iter().collect(),
            took: clock.now(),
            shown: observer.shown,
            events: journal.events,
        }
    }
}

/// Wishes to stop, each at its moment.
fn signals(stops: Vec<(Duration, Stop)>, clock: Clock) -> watch::Receiver<Stop> {
    let (stop, stopped) = watch::channel(Stop::Run);
    tokio::spawn(async move {
        for (at, kind) in stops {
            clock.sleep_until(Some(at)).await;
            stop.send_replace(kind);
        }
        std::future::pending::<()>().await;
    });
    stopped
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

/// As long as a disk takes, so that answers come in while it is busy.
pub(super) const COMMIT: Duration = Duration::from_millis(1);

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
