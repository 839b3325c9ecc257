//! What follows from a verdict for its item. Pure.

use std::time::Duration;

use super::backoff::RETRY;
use super::policy::Policy;
use super::port::Verdict;
use crate::model::{Progress, Reached, Status, Then};

/// What follows for an item, and how long it must wait before it is sent again.
pub(super) struct Follow {
    pub(super) then: Then,
    pub(super) wait: Duration,
}

/// None: the request never left, and the attempt is as if it had not been.
pub(super) fn follow(verdict: &Verdict, progress: &Progress, policy: &Policy) -> Option<Follow> {
    let at_once = |then| Some(Follow { then, wait: Duration::ZERO });
    match verdict {
        Verdict::Settled { status, reason } => at_once(Then::Settled { status: *status, reason: reason.clone() }),
        Verdict::Denied { reason } => at_once(Then::Settled { status: Status::Refused, reason: reason.clone() }),
        Verdict::Throttled { whole_tenant: true, .. } | Verdict::StopTenant { .. } => None,
        Verdict::Throttled { whole_tenant: false, .. } => at_once(Then::Throttled),
        Verdict::Unauthorized if used_up(progress, policy) => at_once(Then::Settled {
            status: Status::Refused,
            reason: "the service refused every token that was issued".to_owned(),
        }),
        Verdict::Unauthorized => at_once(Then::Again),
        Verdict::Again { reached: Reached::Maybe, .. } => at_once(in_doubt(Doubt::MayHaveActed)),
        Verdict::Again { reached: Reached::Answered, .. } if used_up(progress, policy) => {
            at_once(in_doubt(Doubt::KeepsConflicting))
        }
        Verdict::Again { reached: Reached::NotSent, .. } if used_up(progress, policy) => at_once(Then::Settled {
            status: Status::Failed,
            reason: format!("no request reached the service in {} attempts", policy.max_attempts),
        }),
        Verdict::Again { reached: Reached::Answered | Reached::NotSent, after } => {
            Some(Follow { then: Then::Again, wait: RETRY.delay(progress.attempts).max(after.unwrap_or_default()) })
        }
    }
}

fn used_up(progress: &Progress, policy: &Policy) -> bool {
    progress.attempts + 1 >= policy.max_attempts.get()
}

/// Why an item is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// No answer, a 408, a 5xx, or an answer that is none.
    MayHaveActed,
    /// The service answered "conflict" or "locked" until the attempts were used up.
    KeepsConflicting,
}

/// The one place that decides on an item in doubt. It is never sent again on a guess: until objects are
/// read back, nothing can show that the first request had no effect, and the row says so.
fn in_doubt(doubt: Doubt) -> Then {
    let reason = match doubt {
        Doubt::MayHaveActed => "not repeated, because it may have had its effect",
        Doubt::KeepsConflicting => "a conflict until the attempts were used up",
    };
    Then::Settled { status: Status::Unknown, reason: reason.to_owned() }
}
