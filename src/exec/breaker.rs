//! The breaker: stops a run in which too much fails. Only items that were sent count.

use crate::model::{Bounds, Class, Status};

/// Below this many settled items a share says nothing yet.
const MIN_SAMPLE: u64 = 20;

/// Counts what was sent and settled.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    settled: u64,
    failed: u64,
}

impl Breaker {
    /// Counts an item that was sent and is settled. A failure that says nothing about the health of the
    /// run (an id that is gone, a token that was re-issued) counts as settled only.
    pub(super) fn count(&mut self, status: Status) {
        self.settled += 1;
        let harmless = matches!(status, Status::NotFound | Status::Superseded);
        if !harmless && matches!(status.class(), Class::Failure | Class::Unknown) {
            self.failed += 1;
        }
    }

    /// Whether to stop.
    pub(super) fn is_open(&self, bounds: Bounds) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "item counts are far below 2^52")]
        let reaches = |percent: f64| self.failed as f64 * 100.0 >= percent * self.settled as f64;
        self.failed > 0
            && (bounds.count.is_some_and(|count| self.failed >= count)
                || self.settled >= MIN_SAMPLE && bounds.percent.is_some_and(reaches))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Limit;

    fn after(statuses: &[(Status, u64)]) -> Breaker {
        let mut breaker = Breaker::default();
        for &(status, times) in statuses {
            (0..times).for_each(|_| breaker.count(status));
        }
        breaker
    }

    #[test]
    fn a_count_opens_at_that_many_failures_and_not_before() {
        let limit = Limit::Count(3).into();
        assert!(!after(&[(Status::Refused, 2), (Status::Accepted, 50)]).is_open(limit));
        assert!(after(&[(Status::Refused, 2), (Status::Unknown, 1)]).is_open(limit));
    }

    #[test]
    fn a_share_waits_for_its_sample() {
        let limit = Limit::Percent(50.0).into();
        assert!(!after(&[(Status::Refused, 19)]).is_open(limit));
        assert!(after(&[(Status::Refused, 20)]).is_open(limit));
        assert!(!after(&[(Status::Refused, 9), (Status::Accepted, 11)]).is_open(limit));
        assert!(after(&[(Status::Refused, 10), (Status::Accepted, 10)]).is_open(limit));
    }

    #[test]
    fn ids_that_are_gone_do_not_open_it() {
        assert!(!after(&[(Status::NotFound, 100)]).is_open(Limit::Count(1).into()));
    }
}
