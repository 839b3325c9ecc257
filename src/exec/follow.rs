//! What follows from a verdict for its item. Pure.

use std::time::Duration;

use super::backoff::RETRY;
use super::policy::Policy;
use super::port::Verdict;
use crate::model::{Progress, Reached, Status, Then};

/// What follows for an item.
pub(super) enum Follow {
    /// This is recorded as its reply; before it is sent again it must wait so long.
    Reply(Then, Duration),
    /// The request never left: the attempt is as if it had not been.
    Released,
}

/// What follows from a verdict on an item with this history.
pub(super) fn follow(verdict: &Verdict, progress: &Progress, policy: &Policy) -> Follow {
    let attempts = progress.attempts + 1;
    let used_up = attempts >= policy.max_attempts.get();
    let at_once = |then| Follow::Reply(then, Duration::ZERO);
    let later =
        |after: Option<Duration>| Follow::Reply(Then::Again, RETRY.delay(progress.attempts).max(after.unwrap_or_default()));
    match verdict {
        Verdict::Settled { status, reason } => at_once(settled(*status, reason)),
        Verdict::Denied { reason } => at_once(settled(Status::Refused, reason)),
        Verdict::NoToken => Follow::Released,
        Verdict::Throttled { .. } => at_once(Then::Throttled),
        // One more than the rest: a token that has just expired is no fault of the item's.
        Verdict::Unauthorized if attempts > policy.max_attempts.get() => {
            at_once(settled(Status::Refused, "the service refused every token that was issued"))
        }
        Verdict::Unauthorized => at_once(Then::SignIn),
        Verdict::Again { reached: Reached::Maybe, .. } => at_once(in_doubt(Doubt::MayHaveActed)),
        Verdict::Again { reached: Reached::Answered, after } => {
            if used_up {
                at_once(in_doubt(Doubt::KeepsConflicting))
            } else {
                later(*after)
            }
        }
        Verdict::Again { reached: Reached::NotSent, after } if !used_up => later(*after),
        Verdict::Again { reached: Reached::NotSent, .. } if progress.conflicted => at_once(in_doubt(Doubt::KeepsConflicting)),
        Verdict::Again { reached: Reached::NotSent, .. } => {
            at_once(settled(Status::Failed, &format!("no request reached the service in {attempts} attempts")))
        }
    }
}

fn settled(status: Status, reason: &str) -> Then {
    Then::Settled { status, reason: reason.to_owned() }
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
    settled(Status::Unknown, reason)
}
