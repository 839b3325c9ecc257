//! Whose turn it is: lanes that may have something to do, one after the other, and lanes that wait for a moment. Pure.
//!
//! A lane is asked what it may send or read only after something has changed for it or its moment has come: with a
//! thousand tenants, asking all of them for each request would cost more than the request.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::clock::Moment;

/// Lanes in the order in which they were called, each at most once.
#[derive(Debug)]
pub(super) struct Queue {
    lanes: VecDeque<usize>,
    is_in: Vec<bool>,
}

impl Queue {
    /// All of so many lanes.
    pub(super) fn of(lanes: usize) -> Self {
        Self { lanes: (0..lanes).collect(), is_in: vec![true; lanes] }
    }

    pub(super) fn push(&mut self, lane: usize) {
        if !std::mem::replace(&mut self.is_in[lane], true) {
            self.lanes.push_back(lane);
        }
    }

    pub(super) fn pop(&mut self) -> Option<usize> {
        let lane = self.lanes.pop_front()?;
        self.is_in[lane] = false;
        Some(lane)
    }
}

/// Lanes that wait, each for a moment.
#[derive(Debug)]
pub(super) struct Alarms {
    heap: BinaryHeap<Reverse<(Moment, usize)>>,
    set: Vec<Option<Moment>>,
}

impl Alarms {
    pub(super) fn of(lanes: usize) -> Self {
        Self { heap: BinaryHeap::new(), set: vec![None; lanes] }
    }

    /// Sets a lane's alarm, or switches it off.
    pub(super) fn set(&mut self, lane: usize, at: Option<Moment>) {
        if let Some(at) = at.filter(|_| self.set[lane] != at) {
            self.heap.push(Reverse((at, lane)));
        }
        self.set[lane] = at;
    }

    /// A lane whose moment has come.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<usize> {
        let (_, lane) = self.first().filter(|(at, _)| *at <= now)?;
        self.heap.pop();
        self.set[lane] = None;
        Some(lane)
    }

    /// When the first goes off.
    pub(super) fn first_at(&mut self) -> Option<Moment> {
        self.first().map(|(at, _)| at)
    }

    /// The first that was neither switched off nor set anew since.
    fn first(&mut self) -> Option<(Moment, usize)> {
        while let Some(&Reverse((at, lane))) = self.heap.peek() {
            if self.set[lane] == Some(at) {
                return Some((at, lane));
            }
            self.heap.pop();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const fn s(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lane_waits_in_the_queue_once() {
        let mut queue = Queue::of(2);
        queue.push(0);
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(0), Some(1), None]);
        queue.push(1);
        queue.push(1);
        assert_eq!([queue.pop(), queue.pop()], [Some(1), None]);
    }

    #[test]
    fn the_last_alarm_that_was_set_counts_and_goes_off_once() {
        let mut alarms = Alarms::of(2);
        for (lane, at) in [(0, 9), (1, 5), (0, 3), (0, 7)] {
            alarms.set(lane, Some(s(at)));
        }
        assert_eq!((alarms.pop_due(s(4)), alarms.first_at()), (None, Some(s(5))));
        assert_eq!([alarms.pop_due(s(9)), alarms.pop_due(s(9)), alarms.pop_due(s(9))], [Some(1), Some(0), None]);
        alarms.set(0, Some(s(9)));
        alarms.set(0, None);
        assert_eq!((alarms.first_at(), alarms.pop_due(s(10))), (None, None));
    }
}
