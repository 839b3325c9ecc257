//! The limits of a run, as the configuration fills them in.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use crate::clock::Moment;
use crate::model::{Bounds, Service};

/// So many in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How many.
    pub count: NonZeroU32,
    /// In how much time.
    pub per: Duration,
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Read every object once, so that later readings can be judged against it. Nothing is sent.
    Survey,
    /// Send, look before sending again, read back.
    Revoke,
    /// Read back what was sent. Nothing is sent.
    Confirm,
}

/// Which items a session works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All that its goal concerns.
    All,
    /// So many of each tenant and kind that were not sent yet: one that is not shown to be revoked stops the session.
    Canaries(NonZeroUsize),
    /// All but what is settled, if only for now.
    Unsettled,
}

/// Whether requests say why they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Justification {
    /// Nobody has said why.
    None,
    /// Where a tenant asks.
    Asked,
    /// All of them.
    Always,
}

/// One duration for Android and one for VPP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerService {
    /// For Android.
    pub android: Duration,
    /// For VPP.
    pub vpp: Duration,
}

impl PerService {
    /// That of a service.
    pub const fn of(self, service: Service) -> Duration {
        match service {
            Service::Android => self.android,
            Service::Vpp => self.vpp,
        }
    }
}

/// Everything that bounds a run.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Requests in flight, over all tenants.
    pub concurrency: NonZeroUsize,
    /// The service's window per tenant, app and service; none switches it off.
    pub quota: Option<Quota>,
    /// A steady rate per tenant on top of it.
    pub rate: Option<Quota>,
    /// Attempts of one item, the first counted.
    pub max_attempts: NonZeroU32,
    /// A tenant told to wait longer than this, or without an accepted request for this long, is stopped.
    pub max_pause: Duration,
    /// How long the run may take.
    pub deadline: Option<Duration>,
    /// Failures after which nothing more is sent.
    pub max_fail: Bounds,
    /// Which items are worked on.
    pub scope: Scope,
    /// Whether it can be said why requests are made.
    pub justification: Justification,
    /// What the session is for.
    pub goal: Goal,
    /// How long a lost request may still be working at the service.
    pub settle: PerService,
    /// Whether a 204 is read back.
    pub verify: bool,
    /// How long after a lane's last request reading back goes on.
    pub verify_deadline: PerService,
    /// Whether objects are read before they are sent.
    pub pins: bool,
    /// How old a reading may be when its item is sent.
    pub pin_max_age: Duration,
    /// Until when what the ledger holds of readings is young enough.
    pub pinned_until: Moment,
    /// Whether tokens that were re-issued since they were pinned are sent all the same.
    pub allow_reissued: bool,
}
