//! An item on its way, with what this session has seen of it. Nothing here outlives the session.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Moment;
use crate::model::{ItemNo, Snapshot, Work};

/// An item that the scheduler holds.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) work: Work,
    /// Until when the last reading is young enough for the item to be sent.
    pub(super) fresh_until: Moment,
    /// Not sent before this: the service wished so for this item.
    pub(super) not_before: Moment,
    /// The first of two readings that must agree, and when it had come. None within: the service did not know the id.
    pub(super) first: Option<(Moment, Option<Box<Snapshot>>)>,
    /// Readings in a row that did not decide.
    pub(super) looks: u32,
    /// Reads in a row that failed, and what the last one said.
    pub(super) failures: u32,
    pub(super) trouble: Option<String>,
    /// When the first of them failed.
    pub(super) failing_since: Moment,
    /// Whether it was sent in this session.
    pub(super) was_sent: bool,
    /// Whether its last request said why it is made.
    pub(super) pleaded: bool,
}

impl Held {
    pub(super) const fn new(work: Work, fresh_until: Moment) -> Self {
        Self {
            work,
            fresh_until,
            not_before: Moment::ZERO,
            first: None,
            looks: 0,
            failures: 0,
            trouble: None,
            failing_since: Moment::ZERO,
            was_sent: false,
            pleaded: false,
        }
    }

    /// Whether it must be read before it is sent. What was read in an earlier session is read again even where nothing
    /// else is: there is something to judge it against.
    pub(super) fn needs_reading(&self, pins: bool, now: Moment) -> bool {
        (pins || self.work.progress.pin.is_some()) && self.fresh_until <= now
    }
}

/// Items that wait for a moment each; the one whose moment comes first is the first.
#[derive(Debug, Default)]
pub(super) struct Waiting(BinaryHeap<Reverse<Due>>);

#[derive(Debug)]
struct Due {
    at: Moment,
    held: Held,
}

impl Due {
    const fn key(&self) -> (Moment, ItemNo) {
        (self.at, self.held.work.item.no)
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Waiting {
    pub(super) fn push(&mut self, held: Held, at: Moment) {
        self.0.push(Reverse(Due { at, held }));
    }

    /// The first whose moment has come.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<Held> {
        self.first_at().filter(|at| *at <= now)?;
        self.0.pop().map(|Reverse(due)| due.held)
    }

    /// When the first moment comes.
    pub(super) fn first_at(&self) -> Option<Moment> {
        self.0.peek().map(|Reverse(due)| due.at)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that `wanted` names; the others wait on.
    pub(super) fn take_if(&mut self, wanted: impl Fn(&Held) -> bool) -> Vec<Held> {
        let (taken, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.0).into_iter().partition(|Reverse(due)| wanted(&due.held));
        self.0 = kept.into();
        taken.into_iter().map(|Reverse(due)| due.held).collect()
    }
}
