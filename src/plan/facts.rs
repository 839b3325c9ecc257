//! What the guards are judged over, and their limits.

use std::time::Duration;

use crate::model::Bounds;

/// What the guards are judged over.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The lists that have an age, each with it.
    pub lists: Vec<(String, Duration)>,
    /// What the tenants' items turned out to be; nothing where they were not read.
    pub found: Vec<Found>,
    /// Rows that name a protected id.
    pub protected: u64,
    /// Items that would be sent.
    pub to_send: u64,
    /// Whether there is somebody who can be asked.
    pub can_ask: bool,
    /// What would be sent of what each tenant has.
    pub shares: Vec<Share>,
    /// What was sent in each tenant in the last 24 hours; known only where that has a limit.
    pub days: Vec<Day>,
    /// The job's last run that had anything to send; known only where growth has a limit.
    pub last: Option<Last>,
}

/// What a tenant's items turned out to be.
#[derive(Debug, Clone)]
pub struct Found {
    /// The tenant, as people call it.
    pub tenant: String,
    /// Items whose objects were read.
    pub read: u64,
    /// Those of them that the service does not know.
    pub not_found: u64,
}

/// What would be sent of one kind in one tenant.
#[derive(Debug, Clone)]
pub struct Share {
    /// Whose, and what, in words.
    pub of: String,
    /// Items that would be sent.
    pub to_send: u64,
    /// Objects that the tenant has; none: its list was not read, or could not be.
    pub objects: Option<u64>,
}

/// The last 24 hours of a tenant.
#[derive(Debug, Clone)]
pub struct Day {
    /// The tenant, as people call it.
    pub tenant: String,
    /// Items that any run sent.
    pub sent: u64,
    /// Items that would be sent.
    pub to_send: u64,
}

/// An earlier run of the same job.
#[derive(Debug, Clone)]
pub struct Last {
    /// Its id.
    pub run: String,
    /// Items that it was about to send.
    pub to_send: u64,
}

/// The guards' limits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Guards {
    /// A list that is older refuses the run.
    pub max_list_age: Option<Duration>,
    /// Items that the service does not know refuse nothing, however many they are.
    pub allow_missing: bool,
    /// A protected id refuses the run instead of being skipped.
    pub refuse_protected: bool,
    /// More than this are not sent.
    pub max_items: Bounds,
    /// More than this are not sent in one tenant in 24 hours, over all runs.
    pub max_items_per_day: Option<u64>,
    /// So many times as many as the job's last run had are not exceeded.
    pub max_growth: Option<f64>,
}
