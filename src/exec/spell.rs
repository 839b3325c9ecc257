//! What a spell of work is given, and what it leaves.

use std::sync::Arc;

use tokio::sync::watch;

use super::gate::Stream;
use super::policy::Policy;
use super::port::JournalError;
use super::survey::Surveyed;
use crate::clock::Clock;
use crate::model::{Event, Kind, Lane, Service, Spent, Stamp, StoppedBy, TenantId, TenantStop};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Stop {
    /// Nothing: go on.
    #[default]
    Run,
    /// Send nothing new, let what is in flight finish.
    Drain,
    /// End at once.
    Abort,
}

/// A request of an earlier session that the service may still count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Its tenant.
    pub tenant: TenantId,
    /// The service that counts.
    pub service: Service,
    /// What it was.
    pub stream: Stream,
    /// When it came back, at the latest.
    pub at: Stamp,
    /// Whether it was accepted.
    pub accepted: bool,
}

/// What a run needs.
#[derive(Debug)]
pub struct Run<'a, T, J, O> {
    /// Its limits.
    pub policy: Policy,
    /// What is to be sent or read.
    pub lanes: &'a [Lane],
    /// The lists whose size an earlier session has learned: pages, or none if they cannot be read.
    pub lists: &'a [(TenantId, Kind, Option<usize>)],
    /// What was sent a short while ago.
    pub counted: &'a [Counted],
    /// Tenants that are known to ask why requests are made.
    pub asks_why: &'a [TenantId],
    /// Speaks to the service.
    pub transport: Arc<T>,
    /// Makes events durable.
    pub journal: &'a mut J,
    /// Sees them afterwards.
    pub observer: &'a mut O,
    /// Tells the time; its zero is the start of the run.
    pub clock: Clock,
    /// Tells when to stop.
    pub stop: watch::Receiver<Stop>,
}

impl Ended {
    /// Whether nothing ended it before its time.
    pub const fn is_whole(&self) -> bool {
        self.stopped_by.is_none() && self.journal_error.is_none()
    }
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// What ended it before everything was sent.
    pub stopped_by: Option<StoppedBy>,
    /// Tenants that were stopped.
    pub tenant_stops: Vec<TenantStop>,
    /// Why the ledger could not be written, if it could not.
    pub journal_error: Option<JournalError>,
    /// What is known and could not be recorded.
    pub unrecorded: Vec<Event>,
    /// What the service may still count.
    pub counted: Vec<Counted>,
    /// What was found in each lane, if this was a survey.
    pub surveyed: Vec<Surveyed>,
    /// Tenants that asked why requests are made.
    pub asks_why: Vec<TenantId>,
    /// Where the time went.
    pub spent: Spent,
}
