//! What of a run that is taken up again there is something to do for, lane by lane.

use std::collections::BTreeMap;

use crate::model::{Event, ItemNo, Lane, Service, TenantId};

/// What there is something to do for.
pub(super) struct OpenItems {
    /// All of it: what is left to do, and that of which nobody knows.
    pub(super) count: u64,
    pub(super) lanes: BTreeMap<(TenantId, Service), OpenLane>,
    /// What becomes of those that are protected by now.
    pub(super) spared: Vec<Event>,
}

/// What there is something to do for in a lane, counted item by item.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OpenLane {
    /// Before the first of them.
    passed: u64,
    last_passed: ItemNo,
    has_open: bool,
    pub(super) to_send: u64,
}

impl OpenLane {
    /// Takes in the next item.
    pub(super) fn take(&mut self, no: ItemNo, is_open: bool, is_to_send: bool) {
        self.has_open |= is_open;
        self.to_send += u64::from(is_to_send);
        if !self.has_open {
            (self.passed, self.last_passed) = (self.passed + 1, no);
        }
    }
}

impl OpenItems {
    /// Whether there is anything to do for a tenant.
    pub(super) fn concern(&self, tenant: TenantId) -> bool {
        self.lanes.iter().any(|((of, _), lane)| *of == tenant && lane.has_open)
    }

    /// What of the lanes is to be sent.
    pub(super) fn to_send(&self, lanes: &[Lane]) -> Vec<Lane> {
        lanes.iter().map(|lane| Lane { items: self.of(lane).to_send, ..*lane }).collect()
    }

    /// The lanes from their first item on that there is something to do for.
    pub(super) fn begin(&self, lanes: &[Lane]) -> Vec<Lane> {
        let begin = |lane: &Lane| {
            let OpenLane { passed, last_passed, .. } = self.of(lane);
            Lane { after: last_passed, items: lane.items.saturating_sub(passed), ..*lane }
        };
        lanes.iter().map(begin).collect()
    }

    fn of(&self, lane: &Lane) -> OpenLane {
        self.lanes.get(&(lane.tenant, lane.service)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_finished_at_the_beginning_is_passed_over_and_nothing_else() {
        let mut lane = OpenLane::default();
        // Finished, finished, in doubt, finished, to be sent.
        for (no, is_open, is_to_send) in
            [(3, false, false), (5, false, false), (8, true, false), (9, false, false), (12, true, true)]
        {
            lane.take(ItemNo(no), is_open, is_to_send);
        }
        assert_eq!((lane.passed, lane.last_passed, lane.to_send), (2, ItemNo(5), 1));
    }
}
