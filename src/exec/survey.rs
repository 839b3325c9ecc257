//! A survey: what a tenant's lists show is judged page by page, of the objects that the run is about. Pure.
//!
//! Nothing of a page is kept, for a tenant may have any number of objects: what a page shows goes into the ledger, and
//! the ledger is asked afterwards which items were on no page.

use super::held::Held;
use super::lane::LaneState;
use super::look;
use super::looks::Objects;
use super::schedule::Scheduler;
use super::taken::Events;
use crate::clock::Moment;
use crate::model::{Event, Kind, Lane, ObjectId, Phase, Stamp, Status, TenantId, Work};

/// What a survey found of one kind in one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surveyed {
    /// The tenant.
    pub tenant: TenantId,
    /// The kind.
    pub kind: Kind,
    /// Items that are still to be sent.
    pub to_send: u64,
    /// Items whose objects were read.
    pub read: u64,
    /// Those of them that the service does not know.
    pub not_found: u64,
    /// Its list, if it was asked for.
    pub list: Option<Listed>,
}

/// How a list turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// It was read.
    Read {
        /// Its length.
        pages: usize,
        /// How many objects are on it. One that is on two pages in a row, because the list grew in between, counts
        /// once; one that comes again later counts again, for nobody remembers a tenant's objects.
        objects: u64,
    },
    /// It cannot be read.
    Unreadable,
}

/// What was found of one kind so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Census {
    pub(super) to_send: u64,
    read: u64,
    not_found: u64,
}

impl Census {
    /// Counts an item that was read.
    pub(super) fn take(&mut self, phase: Phase) {
        self.read += 1;
        self.not_found += u64::from(phase == Phase::Settled(Status::NotFound));
    }
}

/// A page that waits until the ledger has said which of its objects the run is about.
#[derive(Debug)]
pub(super) struct Arrived {
    /// The index of its lane.
    pub(super) index: usize,
    pub(super) lane: Lane,
    pub(super) kind: Kind,
    /// When it was asked for, and when it came.
    pub(super) times: (Moment, Moment),
    pub(super) objects: Objects,
}

impl Arrived {
    pub(super) fn ids(&self) -> Vec<ObjectId> {
        self.objects.keys().copied().collect()
    }
}

/// Whether a survey has not read an item's object yet.
fn is_unread(work: &Work) -> bool {
    work.progress.phase == Phase::Ready && work.progress.is_unread()
}

impl LaneState {
    /// Whether any of these items waits for the list of its kind, which is begun with the first of them.
    pub(super) fn awaits_lists(&mut self, items: &[Work]) -> bool {
        items.iter().filter(|work| is_unread(work)).for_each(|work| self.looks.survey(work.item.kind));
        self.is_surveying()
    }

    /// Whether a list is being read for all items of its kind.
    pub(super) fn is_surveying(&self) -> bool {
        Kind::ALL.into_iter().any(|kind| self.looks.is_surveying(kind))
    }

    fn found(&self, kind: Kind) -> Surveyed {
        let Census { to_send, read, not_found } = self.surveyed[kind as usize];
        Surveyed { tenant: self.lane.tenant, kind, to_send, read, not_found, list: self.looks.listed(kind) }
    }
}

impl Scheduler {
    /// Whether a page waits to be judged.
    pub(super) fn has_arrived(&self) -> bool {
        self.stopped_by().is_none() && !self.arrived.is_empty()
    }

    /// Takes the next page that waits to be judged.
    pub(super) fn arrived(&mut self) -> Option<Arrived> {
        if self.has_arrived() { self.arrived.pop_front() } else { None }
    }

    /// Judges those of the run's items that a page shows; what another page has shown before is judged already. Where
    /// they go follows from the ledger, when the lane is filled from it.
    ///
    /// # Errors
    /// If an item's history does not allow it, which is a bug.
    pub(super) fn judge(&mut self, page: &Arrived, items: Vec<Work>, at: Stamp) -> Events {
        let mut events = Vec::new();
        for work in items.into_iter().filter(is_unread) {
            let Some(shown) = page.objects.get(&work.item.id) else { continue };
            let mut held = Held::new(work, Moment::ZERO);
            let (what, _) = look::looked(&mut held, page.times, Some(shown), &self.policy);
            if let Some(what) = what {
                let event = Event { item: Some(held.work.item.no), at, what };
                held.work.progress.apply(&event)?;
                self.lanes[page.index].surveyed[page.kind as usize].take(held.work.progress.phase);
                events.push(event);
            }
        }
        Ok(events)
    }

    /// What a survey found.
    pub(super) fn surveyed(&self) -> Vec<Surveyed> {
        let of_lane = |lane: &LaneState| {
            let kinds = Kind::ALL.into_iter().filter(|kind| kind.facts().service == lane.lane.service);
            kinds.map(|kind| lane.found(kind)).collect::<Vec<_>>()
        };
        self.lanes.iter().flat_map(of_lane).collect()
    }
}
