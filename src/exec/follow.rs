//! What follows from a verdict for its item. Pure.

use std::time::Duration;

use super::backoff::RETRY;
use super::held::Held;
use super::look::NO_PIN;
use super::policy::Policy;
use super::port::Verdict;
use crate::model::{Outcome, Progress, Reached, Service, Status, Then, Work};

/// What follows for an item.
pub(super) enum Follow {
    /// This is recorded as its reply; before it is sent again it must wait so long.
    Reply(Then, Duration),
    /// The request never left: the attempt is as if it had not been.
    Released,
}

/// What follows from a verdict on an item with this history.
pub(super) fn follow(verdict: &Verdict, held: &Held, policy: &Policy) -> Follow {
    let Work { item, progress } = &held.work;
    let attempts = progress.attempts + 1;
    let used_up = attempts >= policy.max_attempts.get();
    let is_hopeless = progress.pin.is_none() && item.kind.facts().service == Service::Vpp;
    let at_once = |then| Follow::Reply(then, Duration::ZERO);
    let later =
        |after: Option<Duration>| Follow::Reply(Then::Again, RETRY.delay(progress.attempts).max(after.unwrap_or_default()));
    match verdict {
        Verdict::Settled { status: Status::Accepted, .. } if policy.verify && is_hopeless => {
            at_once(settled(Outcome::new(Status::Unconfirmed, NO_PIN)))
        }
        Verdict::Settled { status: Status::Accepted, .. } if policy.verify => at_once(Then::Confirm),
        // It was approved so often, and queued again each time.
        Verdict::Settled { status: Status::AwaitingApproval, reason } if progress.granted && used_up => {
            let reason = format!("queued again after {attempts} attempts: {reason}");
            at_once(permanent(progress, Outcome::new(Status::Failed, reason)))
        }
        Verdict::Settled { status: status @ (Status::Accepted | Status::AwaitingApproval), reason } => {
            at_once(settled(Outcome::new(*status, reason)))
        }
        Verdict::Settled { status, reason } => at_once(permanent(progress, Outcome::new(*status, reason))),
        // It did say why, and cannot say more.
        Verdict::NeedsApproval { reason } if held.pleaded => at_once(permanent(
            progress,
            Outcome::new(Status::Refused, format!("it said why it is made, and was refused: {reason}")),
        )),
        Verdict::NeedsApproval { .. } => at_once(Then::Justify),
        Verdict::Denied { reason } => at_once(permanent(progress, Outcome::new(Status::Refused, reason))),
        Verdict::NoToken | Verdict::StopTenant { reached: Reached::NotSent, .. } => Follow::Released,
        Verdict::Throttled { .. } => at_once(Then::Throttled),
        // One more than the rest: a token that has just expired is no fault of the item's.
        Verdict::Unauthorized if attempts > policy.max_attempts.get() => {
            let outcome = Outcome::new(Status::Refused, "the service refused every token that was issued");
            at_once(permanent(progress, outcome))
        }
        Verdict::Unauthorized | Verdict::StopTenant { .. } => at_once(Then::SignIn),
        Verdict::Again { reached: Reached::Maybe, .. } if is_hopeless => at_once(settled(Outcome::new(Status::Unknown, NO_PIN))),
        // What the service wishes to wait is kept before the next request; reading needs no such wait.
        Verdict::Again { reached: Reached::Maybe, after } => {
            Follow::Reply(Then::Look { otherwise: None }, after.unwrap_or_default())
        }
        Verdict::Again { reached: Reached::Answered, after } if !used_up => later(*after),
        Verdict::Again { reached: Reached::Answered, .. } if is_hopeless => {
            at_once(settled(Outcome::new(Status::Unknown, "a conflict until the attempts were used up; it was not read before")))
        }
        Verdict::Again { reached: Reached::Answered, .. } => {
            let reason = format!("the last of {attempts} attempts met a conflict, and it is as it was");
            at_once(Then::Look { otherwise: Some(Outcome::new(Status::Failed, reason)) })
        }
        Verdict::Again { reached: Reached::NotSent, after } if !used_up => later(*after),
        Verdict::Again { reached: Reached::NotSent, .. } => {
            let reason = format!("no request reached the service in {attempts} attempts");
            at_once(permanent(progress, Outcome::new(Status::Failed, reason)))
        }
    }
}

/// An answer that would end the item. If an earlier request may have had its effect, it is read back before that counts:
/// "there is nothing to revoke" is what a token says that was revoked a moment ago.
fn permanent(progress: &Progress, outcome: Outcome) -> Then {
    if progress.doubted { Then::Look { otherwise: Some(outcome) } } else { settled(outcome) }
}

fn settled(Outcome { status, reason }: Outcome) -> Then {
    Then::Settled { status, reason }
}
