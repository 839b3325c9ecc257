//! How long a run will take under its limits, told before it begins. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::pace::Window;
use super::policy::{Policy, Quota};
use super::schedule::Scheduler;
use crate::clock::Moment;
use crate::model::{Lane, Service, TenantId};

/// How long a request is assumed to take: nothing is known of the service yet.
pub const ASSUMED_LATENCY: Duration = Duration::from_millis(200);

/// How long the last items take to be read back: two readings that come soon. Not the deadline, which few runs reach.
const READING_BACK: Duration = Duration::from_secs(3);

/// How long a run will take, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// How long.
    pub takes: Duration,
    /// What makes it so.
    pub limit: Bottleneck,
    /// What it makes so, the slowest first.
    pub loads: Vec<Load>,
    /// Whether VPP actions are read back: they go on at the service for as long as it takes, and nobody knows how long.
    pub follows_vpp: bool,
}

/// What limits a run most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bottleneck {
    /// The service's quota of a tenant and service.
    Quota(Quota),
    /// The user's own rate of a tenant.
    Rate(Quota),
    /// So many requests in flight at once, over all tenants.
    InFlight(NonZeroUsize),
}

/// What one limit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// The tenant.
    pub tenant: TenantId,
    /// The service that counts; none: all of the tenant.
    pub service: Option<Service>,
    /// How many items are to be sent.
    pub items: u64,
    /// How long they take.
    pub takes: Duration,
}

/// How long it takes to send what these lanes have and to read it back, if nothing goes wrong. None if nothing is to be
/// sent, or if nothing but the service itself limits the run.
pub fn forecast(policy: &Policy, lanes: &[Lane]) -> Option<Forecast> {
    let lanes: Vec<Lane> = lanes.iter().filter(|lane| lane.items > 0).copied().collect();
    let quota = policy.quota.map(|quota| (Bottleneck::Quota(quota), by_quota(policy, quota, &lanes)));
    let rate = policy.rate.map(|rate| (Bottleneck::Rate(rate), by_rate(rate, &lanes)));
    let slowest = |loads: &[Load]| loads.iter().map(|load| load.takes).max();
    let (mut limit, mut loads) = [quota, rate].into_iter().flatten().max_by_key(|(_, loads)| slowest(loads))?;
    let mut takes = slowest(&loads)?;
    let in_flight = by_concurrency(policy, &lanes);
    if in_flight > takes {
        (takes, limit, loads) = (in_flight, Bottleneck::InFlight(policy.concurrency), Vec::new());
    }
    loads.sort_by_key(|load| Reverse(load.takes));
    let reading_back = if policy.verify { READING_BACK } else { Duration::ZERO };
    let follows_vpp = policy.verify && lanes.iter().any(|lane| lane.service == Service::Vpp);
    Some(Forecast { takes: takes + reading_back, limit, loads, follows_vpp })
}

/// A slot is free again one window after its reply, so it is used again one window and one request later.
fn by_quota(policy: &Policy, quota: Quota, lanes: &[Lane]) -> Vec<Load> {
    let window = Window::new(Quota { per: quota.per + ASSUMED_LATENCY, ..quota });
    let takes = |items: u64| {
        let last = (items - 1) % u64::from(quota.count.get()) + 1;
        let spread = window.spread(usize::try_from(last).unwrap_or(usize::MAX)) + ASSUMED_LATENCY;
        window.time_for(items, Moment::ZERO) + in_turn(last, policy.concurrency).max(spread)
    };
    let load =
        |lane: &Lane| Load { tenant: lane.tenant, service: Some(lane.service), items: lane.items, takes: takes(lane.items) };
    lanes.iter().map(load).collect()
}

/// One after the other, over all that a tenant has.
fn by_rate(rate: Quota, lanes: &[Lane]) -> Vec<Load> {
    let mut tenants: BTreeMap<TenantId, u64> = BTreeMap::new();
    for lane in lanes {
        *tenants.entry(lane.tenant).or_default() += lane.items;
    }
    let takes = |items: u64| {
        let nanos = rate.per.as_nanos() * u128::from(items - 1) / u128::from(rate.count.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)) + ASSUMED_LATENCY
    };
    tenants.into_iter().map(|(tenant, items)| Load { tenant, service: None, items, takes: takes(items) }).collect()
}

impl Scheduler {
    /// How long what is left takes at the user's own rate.
    pub(super) fn eta_at(&self, rate: Quota) -> Option<Duration> {
        let open = self.lanes.iter().filter(|lane| !self.is_stopped(lane));
        let left: Vec<Lane> =
            open.map(|lane| Lane { items: lane.to_send(), ..lane.lane }).filter(|lane| lane.items > 0).collect();
        by_rate(rate, &left).iter().map(|load| load.takes).max()
    }
}

/// All requests of all lanes, so many at a time. Of Android's objects a list serves a window, before it and after it;
/// VPP tokens are read one by one.
fn by_concurrency(policy: &Policy, lanes: &[Lane]) -> Duration {
    let window = policy.quota.map_or(u64::MAX, |quota| quota.count.get().into());
    let looks = u64::from(policy.pins) + u64::from(policy.verify);
    let requests = lanes.iter().map(|lane| match lane.service {
        Service::Android => lane.items + looks * lane.items.div_ceil(window),
        Service::Vpp => lane.items + looks * lane.items,
    });
    in_turn(requests.sum(), policy.concurrency)
}

/// So many requests, so many at a time.
fn in_turn(requests: u64, at_once: NonZeroUsize) -> Duration {
    let turns = requests.div_ceil(at_once.get() as u64);
    ASSUMED_LATENCY.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX))
}
