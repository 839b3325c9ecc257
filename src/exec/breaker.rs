//! The breaker: stops a run in which too much fails. Only items that were sent count.

use crate::model::{Bounds, Status};

/// Below this many settled items a share says nothing yet.
const MIN_SAMPLE: u64 = 20;

/// So many failures one after another open it as well where a share is asked for: what went well before says nothing of
/// what has begun to fail since. No fewer than the sample, so that a short run ends as its share says.
const IN_A_ROW: u64 = MIN_SAMPLE;

/// All of what was sent.
const ALL: f64 = 100.0;

/// Counts what was sent and settled.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    settled: u64,
    failed: u64,
    /// Failures since the last item that went well.
    in_a_row: u64,
}

impl Breaker {
    /// Counts an item that was sent and is settled. What says nothing about the health of the run does not count: an id
    /// that is gone, a token that was re-issued or dead, a request that waits for a second administrator.
    pub(super) fn count(&mut self, status: Status) {
        match status {
            Status::NotFound
            | Status::Superseded
            | Status::AlreadyInactive
            | Status::AwaitingApproval
            | Status::NotAttempted
            | Status::Skipped
            | Status::Invalid => {}
            Status::Revoked | Status::Accepted | Status::Unconfirmed => {
                (self.settled, self.in_a_row) = (self.settled + 1, 0);
            }
            Status::Partial | Status::Refused | Status::Failed | Status::Unknown => {
                (self.settled, self.failed, self.in_a_row) = (self.settled + 1, self.failed + 1, self.in_a_row + 1);
            }
        }
    }

    /// Whether to stop.
    pub(super) fn is_open(&self, bounds: Bounds) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "item counts are far below 2^52")]
        let reaches = |percent: f64| {
            self.failed as f64 * 100.0 >= percent * self.settled as f64 || self.in_a_row >= IN_A_ROW && percent < ALL
        };
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
    fn what_says_nothing_of_the_run_counts_for_nothing() {
        for status in [Status::NotFound, Status::Superseded, Status::AlreadyInactive, Status::AwaitingApproval] {
            assert!(!after(&[(status, 100)]).is_open(Limit::Count(1).into()));
            // Nor does it make a share of failures smaller, or end a row of them.
            assert!(after(&[(status, 100), (Status::Refused, 20)]).is_open(Limit::Percent(50.0).into()), "{status}");
        }
    }

    #[test]
    fn failures_one_after_another_open_it_however_much_went_well_before() {
        let late = |failures| after(&[(Status::Revoked, 1_000), (Status::Refused, failures)]);
        assert!(!late(19).is_open(Limit::Percent(50.0).into()));
        assert!(late(20).is_open(Limit::Percent(50.0).into()));
        let mut mended = late(19);
        mended.count(Status::Revoked);
        mended.count(Status::Refused);
        assert!(!mended.is_open(Limit::Percent(50.0).into()));
        // Whoever names a number of failures, or all of them, means that.
        assert!(!late(20).is_open(Limit::Count(21).into()) && !late(20).is_open(Limit::Percent(100.0).into()));
    }
}
