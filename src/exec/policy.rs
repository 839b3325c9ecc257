//! The limits of a run, as the configuration fills them in.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use crate::model::Bounds;

/// So many in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How many.
    pub count: NonZeroU32,
    /// In how much time.
    pub per: Duration,
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
}
