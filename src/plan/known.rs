//! The objects that a plan has met, in as little memory as it takes: a list may name a million.

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;

use super::planner::TenantNo;
use crate::model::{Kind, ObjectId, Place, VppOptions};

/// Slots of an empty table; always a power of two.
const SLOTS: usize = 1024;

/// The first row of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct First {
    pub tenant: TenantNo,
    pub kind: Kind,
    pub id: ObjectId,
    pub place: Place,
    pub options: VppOptions,
}

impl First {
    const fn object(&self) -> (TenantNo, Kind, ObjectId) {
        (self.tenant, self.kind, self.id)
    }
}

/// First rows in their order, and a table that finds them. Keys and values are kept once, and the table's slots are
/// small: a `HashMap` would take three times the memory.
#[derive(Debug)]
pub(super) struct Known {
    firsts: Vec<First>,
    /// Which of them, counted from one. Where a slot is taken by another, the next one is tried.
    slots: Vec<Option<NonZeroU32>>,
    /// Seeded anew each time, so that no list can be made to fall into one slot.
    hasher: RandomState,
}

impl Known {
    pub(super) fn new() -> Self {
        Self { firsts: Vec::new(), slots: vec![None; SLOTS], hasher: RandomState::new() }
    }

    /// The first row of the same object; none: this is it.
    pub(super) fn meet(&mut self, row: First) -> Option<First> {
        let slot = self.slot(&row);
        if let Some(first) = self.at(slot) {
            return Some(*first);
        }
        self.firsts.push(row);
        self.slots[slot] = number(self.firsts.len());
        // At most half of the slots are taken: the way to a free one stays short.
        if self.firsts.len() * 2 > self.slots.len() {
            self.grow();
        }
        None
    }

    fn grow(&mut self) {
        self.slots = vec![None; self.slots.len() * 2];
        for (at, first) in (1..).zip(&self.firsts) {
            let slot = self.slot(first);
            self.slots[slot] = number(at);
        }
    }

    /// Where the row's object stands, or would.
    fn slot(&self, row: &First) -> usize {
        let last = self.slots.len() - 1;
        #[expect(clippy::cast_possible_truncation, reason = "the lowest bits are all that counts")]
        let mut slot = self.hasher.hash_one(row.object()) as usize & last;
        while self.at(slot).is_some_and(|first| first.object() != row.object()) {
            slot = (slot + 1) & last;
        }
        slot
    }

    fn at(&self, slot: usize) -> Option<&First> {
        self.slots[slot].map(|number| &self.firsts[number.get() as usize - 1])
    }
}

/// Lists have fewer rows than this can count: their lines have 32 bits as well.
fn number(at: usize) -> Option<NonZeroU32> {
    u32::try_from(at).ok().and_then(NonZeroU32::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u32, line: u32) -> First {
        First {
            tenant: number % 2,
            kind: Kind::ALL[number as usize / 2 % Kind::ALL.len()],
            id: ObjectId(uuid::Uuid::from_u128(u128::from(number / 6))),
            place: Place { source: 0, line },
            options: VppOptions::default(),
        }
    }

    #[test]
    fn every_object_is_met_first_once_however_many_there_are() {
        let mut known = Known::new();
        let many = u32::try_from(SLOTS).unwrap() * 5;
        assert!((0..many).all(|number| known.meet(row(number, number)).is_none()));
        for number in 0..many {
            assert_eq!(known.meet(row(number, many)).unwrap().place.line, number);
        }
    }

    #[test]
    fn a_first_row_takes_at_most_half_of_a_cache_line() {
        assert!(size_of::<First>() <= 32);
    }
}
