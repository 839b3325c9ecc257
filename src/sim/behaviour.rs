//! Every knob of the simulated service, and the three scenarios that set them.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use uuid::Uuid;

use super::approval::Approval;
use super::device::Person;
use super::fault::{Fault, Kind, Odds, Rule};
use super::quota::{Counting, Quota};
use super::revoke::Again;
use super::schema::Trace;
use super::span::Span;
use super::throttle::RetryAfter;
use super::vpp::{Meanwhile, Retention, Vpp};

/// A named behaviour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scenario {
    /// A good day: 20 ms, the documented quota, no faults, everything live and known.
    #[default]
    Calm,
    /// A crowded tenant: a hidden quota below the documented one, and every shape of `Retry-After`.
    Throttled,
    /// A bad day: about a fifth of the writes goes wrong in some way, readers see late, tokens are short-lived.
    Stormy,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Calm, Self::Throttled, Self::Stormy];

    /// The name that [`FromStr`] reads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Throttled => "throttled",
            Self::Stormy => "stormy",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownScenario(pub String);

impl fmt::Display for UnknownScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [calm, throttled, stormy] = Scenario::ALL.map(Scenario::name);
        write!(f, "unknown scenario `{}`, expected {calm}, {throttled} or {stormy}", self.0)
    }
}

impl std::error::Error for UnknownScenario {}

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == text).ok_or_else(|| UnknownScenario(text.to_owned()))
    }
}

/// Which part of the objects is not simply live. Probabilities in `0.0..=1.0`, drawn once per object.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// Already expired at the start.
    pub expired: f64,
    /// Unknown to the service: 404.
    pub unknown: f64,
    /// Readable, but revoking it is answered with 403.
    pub forbidden: f64,
    /// Live Android tokens that never expire (Intune documents this for some profile types, not how it looks).
    pub endless: f64,
    /// Readable by id, but missing from lists (scope tags, lag).
    pub unlisted: f64,
}

/// How soon readers see a revocation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Visibility {
    /// The part of the revocations that is seen late; the others are seen at once.
    pub late: f64,
    /// How late.
    pub lag: Span,
}

/// Every knob. Lists of possibilities are drawn from by seed; an empty list means the mildest one.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// From arrival to answer; the effect happens half way.
    pub latency: Span,
    /// Objects per page of a list where the client names no `$top`.
    pub page_size: u32,
    /// How far the service's clock is ahead of this machine's.
    pub clock_skew: SignedDuration,
    /// Whether requests are logged.
    pub log: bool,

    /// Lifetime of an access token (Entra: random 60 to 90 minutes).
    pub token_lifetime: Span,
    /// `Retry-After` of a 429 from Entra (documented: 60 s).
    pub token_retry_after: Duration,
    /// Faults of Entra's two endpoints.
    pub token_faults: Vec<Odds>,
    /// The permissions in every token: an app's own, or those that a person can delegate.
    pub roles: Vec<String>,
    /// Whether only a person's token may revoke, as the older documentation has it.
    pub delegated_only: bool,
    /// The apps Entra knows beside the registrations; `None` is any GUID.
    pub apps: Option<Vec<Uuid>>,
    /// Who signs in by device code, and how Entra treats them.
    pub person: Person,

    /// POSTs per tenant, app and service (documented: 100 per 20 s); `None` is no limit.
    pub write_quota: Option<Quota>,
    /// The limit that is really applied instead, unknown to the client.
    pub hidden_write_quota: Option<Quota>,
    /// Requests of any kind per tenant, app and service (documented: 1,000 per 20 s).
    pub request_quota: Option<Quota>,
    /// All apps of a tenant together may do so many times what one may (documented: 2, of the documented quota).
    pub tenant_factor: NonZeroU32,
    /// From this time after the start on, the write limits are half of what they were.
    pub halved_after: Option<Duration>,
    /// How the service may count; one is chosen per seed.
    pub counting: Vec<Counting>,
    /// Whether refused requests use up quota too.
    pub throttled_counts: bool,
    /// The shapes in which a throttled request may be told to wait; one is chosen per answer.
    pub retry_after: Vec<RetryAfter>,

    /// What goes wrong with POSTs by chance.
    pub write_faults: Vec<Odds>,
    /// What goes wrong with GETs by chance.
    pub read_faults: Vec<Odds>,
    /// Scripted faults; they come before chance.
    pub rules: Vec<Rule>,

    /// How the objects stand at the start.
    pub shares: Shares,
    /// How soon readers see a revocation.
    pub visibility: Visibility,
    /// What a revoked Android profile may look like; one is chosen per object.
    pub traces: Vec<Trace>,
    /// What revoking an inactive Android token may be told; one is chosen per object.
    pub again: Vec<Again>,
    /// How Apple licence revocations go.
    pub vpp: Vpp,

    /// The policy by which writes need a second administrator; `None` is no such policy.
    pub approval: Option<Approval>,
}

/// The documented length of every Intune quota window.
const WINDOW: Duration = Duration::from_secs(20);

impl Behaviour {
    /// What a scenario means.
    pub fn of(scenario: Scenario) -> Self {
        match scenario {
            Scenario::Calm => Self::calm(),
            Scenario::Throttled => Self::throttled(),
            Scenario::Stormy => Self::stormy(),
        }
    }

    /// The calm one without any latency and without quotas: for tests that want an answer, and for benches.
    pub fn immediate() -> Self {
        Self { latency: Span::ZERO, write_quota: None, request_quota: None, ..Self::calm() }
    }

    fn calm() -> Self {
        Self {
            latency: Span::of_millis(10, 30),
            page_size: 100,
            clock_skew: SignedDuration::ZERO,
            log: true,
            token_lifetime: Span::of_secs(60 * 60, 90 * 60),
            token_retry_after: Duration::from_mins(1),
            token_faults: Vec::new(),
            roles: [
                "DeviceManagementConfiguration.ReadWrite.All",
                "DeviceManagementServiceConfig.ReadWrite.All",
                "Organization.Read.All",
            ]
            .map(str::to_owned)
            .to_vec(),
            delegated_only: false,
            apps: None,
            person: Person::default(),
            write_quota: Quota::new(100, WINDOW),
            hidden_write_quota: None,
            request_quota: Quota::new(1_000, WINDOW),
            tenant_factor: NonZeroU32::MIN.saturating_add(1),
            halved_after: None,
            counting: vec![Counting::Sliding],
            throttled_counts: false,
            retry_after: vec![RetryAfter::Integer],
            write_faults: Vec::new(),
            read_faults: Vec::new(),
            rules: Vec::new(),
            shares: Shares::default(),
            visibility: Visibility::default(),
            traces: vec![Trace::ExpiryNow, Trace::ExpiryPast, Trace::TokenReplaced],
            again: Again::ALL.to_vec(),
            vpp: Vpp {
                pending: Span::of_millis(50, 300),
                active: Span::of_millis(50, 500),
                partly: 0.0,
                failed: 0.0,
                history: 0.0,
                meanwhile: Meanwhile::ALL.to_vec(),
                retention: vec![Retention::Kept],
            },
            approval: None,
        }
    }

    fn throttled() -> Self {
        Self {
            latency: Span::of_millis(100, 200),
            hidden_write_quota: Quota::new(60, WINDOW),
            counting: Counting::ALL.to_vec(),
            retry_after: RetryAfter::ALL.to_vec(),
            ..Self::calm()
        }
    }

    fn stormy() -> Self {
        Self {
            latency: Span::of_millis(50, 250),
            token_lifetime: Span::of_secs(60, 120),
            token_retry_after: Duration::from_secs(2),
            token_faults: vec![Fault::new(Kind::Throttle(RetryAfter::Integer)).at(0.03), Fault::status(503).at(0.03)],
            counting: Counting::ALL.to_vec(),
            retry_after: RetryAfter::ALL.to_vec(),
            write_faults: stormy_writes(),
            read_faults: stormy_reads(),
            shares: Shares { expired: 0.02, unknown: 0.02, forbidden: 0.02, endless: 0.02, unlisted: 0.02 },
            visibility: Visibility { late: 0.25, lag: Span::of_secs(1, 60) },
            traces: Trace::SHOWN.to_vec(),
            vpp: Vpp {
                pending: Span::of_secs(0, 8),
                active: Span::of_secs(1, 12),
                partly: 0.08,
                failed: 0.08,
                history: 0.3,
                meanwhile: Meanwhile::ALL.to_vec(),
                retention: Retention::ALL.to_vec(),
            },
            ..Self::calm()
        }
    }
}

/// About a fifth of all writes, spread over everything that can happen to one.
fn stormy_writes() -> Vec<Odds> {
    let with_wait = || Fault::new(Kind::Status { status: 503, retry_after: Some(RetryAfter::Integer) });
    let soon = Span::of_millis(500, 5_000);
    vec![
        Fault::status(500).at(0.012),
        Fault::status(500).after_effect().at(0.012),
        Fault::status(502).at(0.010),
        Fault::status(502).after_effect().at(0.010),
        with_wait().at(0.020),
        Fault::status(503).at(0.010),
        Fault::status(503).after_effect().at(0.010),
        Fault::status(504).at(0.010),
        Fault::status(504).after_effect().at(0.014),
        Fault::status(504).with_late_effect(soon).at(0.010),
        Fault::new(Kind::Page).at(0.008),
        Fault::new(Kind::Page).after_effect().at(0.008),
        Fault::new(Kind::Slow(Span::of_secs(1, 4))).at(0.020),
        Fault::new(Kind::Hang).at(0.003),
        Fault::new(Kind::Hang).after_effect().at(0.003),
        Fault::new(Kind::Cut).at(0.012),
        Fault::new(Kind::Cut).after_effect().at(0.012),
        Fault::new(Kind::Cut).with_late_effect(soon).at(0.010),
        Fault::new(Kind::TokenExpired).at(0.008),
        Fault::new(Kind::Throttle(RetryAfter::Absent)).at(0.004),
    ]
}

fn stormy_reads() -> Vec<Odds> {
    vec![
        Fault::status(500).at(0.008),
        Fault::status(502).at(0.005),
        Fault::status(503).at(0.008),
        Fault::status(504).at(0.008),
        Fault::new(Kind::Page).at(0.005),
        Fault::new(Kind::Slow(Span::of_secs(1, 3))).at(0.010),
        Fault::new(Kind::Cut).at(0.010),
        Fault::new(Kind::TokenExpired).at(0.004),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_reads_back_from_its_name() {
        for scenario in Scenario::ALL {
            assert_eq!(scenario.to_string().parse(), Ok(scenario));
        }
        assert!("windy".parse::<Scenario>().unwrap_err().to_string().contains("stormy"));
    }

    #[test]
    fn about_a_fifth_of_stormy_writes_goes_wrong() {
        let sum: f64 = Behaviour::of(Scenario::Stormy).write_faults.iter().map(|odds| odds.chance).sum();
        assert!((0.18..0.22).contains(&sum), "{sum}");
    }

    #[test]
    fn nothing_goes_wrong_on_a_calm_day() {
        let calm = Behaviour::of(Scenario::Calm);
        assert!(calm.write_faults.is_empty() && calm.read_faults.is_empty() && calm.token_faults.is_empty());
        assert_eq!(calm.shares, Shares::default());
        assert!(Scenario::ALL.into_iter().all(|scenario| Behaviour::of(scenario).approval.is_none()));
    }
}
