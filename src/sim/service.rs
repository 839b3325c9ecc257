//! The core: a seeded function from a request and a time to a plan. It reads no clock, opens no
//! socket and waits for nothing.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use jiff::Timestamp;
use uuid::Uuid;

use super::admission::{origin, text_header};
use super::answer::{Answer, Ending, Plan};
use super::behaviour::Behaviour;
use super::context::{Context, http_date};
use super::device::People;
use super::dice::{Dice, Topic};
use super::fault::{Call, Kind, Target};
use super::issuer::Notary;
use super::log::{Log, LogEntry};
use super::options::{Collection, Options, Tenant};
use super::pending::Pending;
use super::platform::Platform;
use super::quota::{Counting, Ledger};
use super::read::Look;
use super::registration::Registration;
use super::revoke::Revocation;
use super::route::Route;
use super::span::Span;
use super::store::{self, Standing, Store, millis};
use super::token::Mint;
use super::trouble::{Happens, Trouble};

/// The simulated service: Graph and Entra in one.
pub struct Service {
    pub(super) seed: u64,
    pub(super) behaviour: Behaviour,
    pub(super) secret: String,
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) registrations: Vec<Registration>,
    pub(super) platform: Platform,
    pub(super) notary: Notary,
    pub(super) people: People,
    /// The service's wall time at its start.
    pub(super) start: Timestamp,
    pub(super) tenants: Vec<Tenant>,
    /// Tenants by GUID and by domain, in lower case.
    pub(super) names: HashMap<String, u16>,
    pub(super) store: Store,
    pub(super) mint: Mint,
    pub(super) log: Log,
    pub(super) ledger: Ledger,
    pub(super) pending: Pending,
    /// Tokens declared expired before their time.
    pub(super) dead: HashSet<Uuid>,
    /// Tokens that must be replaced by one that was issued after a moment.
    pub(super) challenged: HashMap<Uuid, Timestamp>,
    /// How often each rule was used.
    pub(super) used: Vec<u32>,
    /// Requests that concern no known object.
    pub(super) others: HashMap<Target, u32>,
    /// Tokens made aside from any request.
    pub(super) spares: u64,
    ordinal: u64,
}

/// What an accepted request leads to, faults aside.
enum Work {
    Answer(Answer),
    Revoke(Revocation),
}

impl Service {
    /// A service with these options whose time zero is `wall`.
    pub fn new(options: Options, wall: Timestamp) -> Self {
        let Options { seed, behaviour, tenants, objects, secret, certificates, registrations, platform, port: _ } = options;
        let mut dice = Dice::new(seed, Topic::Counting);
        let counting = dice.pick(&behaviour.counting, Counting::Sliding);
        let mut service = Self {
            seed,
            start: wall.checked_add(behaviour.clock_skew).unwrap_or(wall),
            mint: Mint::new(seed),
            log: Log::new(behaviour.log),
            ledger: Ledger::new(counting, dice.within(Span::of_secs(0, 20))),
            used: vec![0; behaviour.rules.len()],
            behaviour,
            pending: Pending::default(),
            secret,
            certificates,
            registrations,
            platform,
            notary: Notary::default(),
            people: People::default(),
            tenants: Vec::new(),
            names: HashMap::new(),
            store: Store::default(),
            dead: HashSet::new(),
            challenged: HashMap::new(),
            others: HashMap::new(),
            spares: 0,
            ordinal: 0,
        };
        for tenant in tenants {
            service.enroll(tenant);
        }
        for object in objects {
            let tenant = service.enroll(Tenant { id: object.tenant, domains: Vec::new() });
            let standing = store::standing(seed, object.id, &service.behaviour.shares);
            service.store.add(tenant, object.collection, object.id, standing);
        }
        service
    }

    /// Takes in a tenant, unless it is known; its number.
    fn enroll(&mut self, tenant: Tenant) -> u16 {
        let key = tenant.id.to_string();
        if let Some(number) = self.names.get(&key) {
            return *number;
        }
        let number = u16::try_from(self.tenants.len()).unwrap_or(u16::MAX);
        for name in tenant.domains.iter().map(|domain| domain.to_lowercase()).chain([key]) {
            self.names.insert(name, number);
        }
        self.tenants.push(tenant);
        number
    }

    /// The tenant of this GUID or domain.
    pub(super) fn directory(&self, name: &str) -> Option<Uuid> {
        let number = self.names.get(&name.to_lowercase())?;
        self.tenants.get(usize::from(*number)).map(|tenant| tenant.id)
    }

    /// Decides what becomes of a request that arrives at `now`, a time since the start.
    pub fn handle(&mut self, now: Duration, request: &Request<Bytes>) -> Plan {
        self.ordinal += 1;
        let client_request_id = text_header(request, "client-request-id").map(str::to_owned);
        let context = Context::new(self.seed, self.ordinal, self.start + now, client_request_id);
        let route = Route::of(request.uri().path());
        self.note(now, route, request);
        let delay = Dice::new(self.seed, Topic::Latency).nth(self.ordinal).within(self.behaviour.latency);
        let plan = |delay, ending, effect| Plan { ordinal: context.ordinal, effect, delay, ending };
        let (work, trouble) = match self.decide(now, &context, route, request) {
            Ok(decided) => decided,
            Err(refusal) => return plan(delay, Ending::Answer(refusal), None),
        };
        let delay = delay.saturating_add(trouble.slower);
        match work {
            Work::Answer(answer) => plan(delay, trouble.ending.unwrap_or(Ending::Answer(answer)), None),
            Work::Revoke(revocation) => {
                let due = trouble.effect.map(|happens| match happens {
                    Happens::Before => delay / 2,
                    Happens::After(by) => delay.saturating_add(by),
                });
                let ending = trouble.ending.unwrap_or(Ending::Outcome);
                plan(delay, ending, due.map(|due| (due, revocation)))
            }
        }
    }

    /// The service's own time, as the `Date` header that a front adds to every answer when it leaves.
    pub fn date(&self, now: Duration) -> String {
        http_date(self.start + now)
    }

    /// Notes the end of an exchange: with the status of its answer, or without one.
    pub fn close(&mut self, ordinal: u64, now: Duration, status: Option<u16>) {
        self.log.close(ordinal, now, status);
    }

    /// Every exchange so far; empty if the log is switched off.
    pub fn log(&self) -> &[LogEntry] {
        self.log.entries()
    }

    /// How often a revocation took effect on objects of this collection and id, in whatever tenant.
    pub fn effects(&self, collection: Collection, id: Uuid) -> u32 {
        self.store.effects(collection, id)
    }

    /// Gives an object a new token, as an administrator would: it is live again. False if it is unknown.
    pub fn reissue(&mut self, now: Duration, tenant: Uuid, collection: Collection, id: Uuid) -> bool {
        self.change((tenant, collection, id), |record| {
            record.issues = record.issues.saturating_add(1);
            record.issued_ms = millis(now);
            record.revoked = None;
            if record.standing == Standing::Expired {
                record.standing = Standing::Live;
            }
        })
    }

    /// Deletes an object. False if it is unknown.
    pub fn remove(&mut self, tenant: Uuid, collection: Collection, id: Uuid) -> bool {
        self.change((tenant, collection, id), |record| {
            record.standing = Standing::Unknown;
        })
    }

    fn change(&mut self, (tenant, collection, id): (Uuid, Collection, Uuid), change: impl FnOnce(&mut store::Record)) -> bool {
        let tenant = self.names.get(&tenant.to_string());
        let place = tenant.and_then(|tenant| self.store.place(*tenant, collection, id));
        let place = place.filter(|place| self.store.known(*place).is_some());
        place.and_then(|place| self.store.record_mut(place)).map(change).is_some()
    }

    fn note(&mut self, now: Duration, route: Route<'_>, request: &Request<Bytes>) {
        if !self.log.is_on() {
            return;
        }
        let call = route.call();
        let mut entry = LogEntry::of(self.ordinal, now, call.map(|(call, ..)| call), request);
        if let Some((_, collection, id)) = call {
            entry.collection = collection;
            entry.id = id.and_then(|id| Uuid::parse_str(id).ok());
        }
        if let Route::Token(tenant) | Route::DeviceCode(tenant) | Route::Discovery(tenant) = route {
            entry.tenant = self.directory(tenant);
        }
        self.log.push(entry);
    }

    /// The work of a request and the trouble it runs into, or the refusal it gets whatever else happens.
    fn decide(
        &mut self,
        now: Duration,
        context: &Context,
        route: Route<'_>,
        request: &Request<Bytes>,
    ) -> Result<(Work, Trouble), Answer> {
        let Some(origin) = origin(request) else {
            return Err(Answer::text(400, "text/html", "<h2>Bad Request - Invalid Hostname</h2>"));
        };
        let asked = (context, now, origin.as_str());
        let (call, answer) = match route {
            Route::Token(tenant) => (Call::Token, self.at_entra(asked, tenant, request, Self::token)),
            Route::DeviceCode(tenant) => (Call::DeviceCode, self.at_entra(asked, tenant, request, Self::device_code)),
            Route::Discovery(tenant) => (Call::Discovery, self.discovery(context, &origin, tenant)),
            Route::Platform(door) => (Call::Platform, self.platform(context, &origin, door, request)),
            Route::Organization
            | Route::Approvals(_)
            | Route::List(_)
            | Route::Get(..)
            | Route::Revoke(..)
            | Route::Nowhere(_) => {
                let decided = self.decide_graph(now, context, &origin, (route, request));
                return decided.map_err(|refusal| context.dress(refusal));
            }
        };
        let trouble = self.trouble(context, Target::new(0, call), |service, fault| {
            let mut trouble = Trouble::of(fault, context);
            if let Some(answer) = service.entra_trouble(&fault.kind) {
                trouble.ending = Some(Ending::Answer(context.dress_entra(answer)));
            }
            trouble
        });
        Ok((Work::Answer(context.dress_entra(answer)), trouble))
    }

    fn decide_graph(
        &mut self,
        now: Duration,
        context: &Context,
        origin: &str,
        (route, request): (Route<'_>, &Request<Bytes>),
    ) -> Result<(Work, Trouble), Answer> {
        let visitor = self.visitor(context, origin, request)?;
        let (call, collection, id) = route.call().ok_or_else(|| nowhere(context, route))?;
        let id = id.map(|id| guid(context, id)).transpose()?;
        self.gate(context, (call, collection), &visitor, request)?;
        self.admit(now, context, (call, collection), &visitor)?;
        let look = Look { context, now, origin, tenant: visitor.tenant, query: request.uri().query().unwrap_or_default() };
        let work = match (call, collection, id) {
            (Call::Revoke, Some(collection), Some(id)) => {
                let submission = self.submission(context, collection, &visitor, request)?;
                Work::Revoke(Revocation { context: context.clone(), tenant: visitor.tenant, collection, id, submission })
            }
            (Call::Get, Some(collection), Some(id)) => either(context, self.get(&look, collection, id)),
            (Call::List, Some(collection), _) => either(context, self.list(&look, collection)),
            (Call::Approvals, None, Some(code)) => either(context, self.get_approval(&look, code)),
            (Call::Approvals, ..) => either(context, self.list_approvals(&look)),
            _ => either(context, self.organization(&look)),
        };
        let uti = visitor.claims.uti;
        let target = Target { collection, id, ..Target::new(visitor.tenant, call) };
        let trouble = self.trouble(context, target, |service, fault| {
            if fault.kind == Kind::TokenExpired {
                service.dead.insert(uti);
            }
            if fault.kind == Kind::Claims {
                service.challenged.insert(uti, context.at);
            }
            Trouble::of(fault, context)
        });
        Ok((work, trouble))
    }
}

/// An answer is an answer, also a refusal.
fn either(context: &Context, answer: Result<Answer, Answer>) -> Work {
    let (Ok(answer) | Err(answer)) = answer;
    Work::Answer(context.dress(answer))
}

fn nowhere(context: &Context, route: Route<'_>) -> Answer {
    let segment = if let Route::Nowhere(segment) = route { segment } else { "" };
    context.graph(400, "BadRequest", &format!("Resource not found for the segment '{segment}'."))
}

fn guid(context: &Context, text: &str) -> Result<Uuid, Answer> {
    let hyphenated = text.len() == 36;
    Uuid::parse_str(text)
        .ok()
        .filter(|_| hyphenated)
        .ok_or_else(|| context.intune(400, "BadRequest", "The id is not a GUID.", None))
}
