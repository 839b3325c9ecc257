//! What follows from a reading for its item. Pure.
//!
//! Nothing is sent again before the service itself has shown that the first request had no effect: two readings that
//! agree with the pin and with each other, `settle` apart. Whatever cannot be told is looked at again, until the time
//! for reading back is over.

use std::time::Duration;

use super::backoff::{CONFIRM, RETRY};
use super::held::Held;
use super::policy::Policy;
use crate::clock::Moment;
use crate::model::{
    AfterLook, Expiry, Finding, Kind, Look, Outcome, Phase, Seen, Service, Snapshot, Standing, Status, What, before, judge,
};

/// Where an item goes after a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It may be sent.
    Send,
    /// It is read again, not before this.
    Look(Moment),
    /// It is done with, in this session at least.
    Over,
}

/// What follows, and what of it is recorded.
type Follow = (Option<AfterLook>, Next);

/// Takes in a reading that was begun at one moment and came at another; none: the service does not know the id.
/// Says what is to be recorded, and where the item goes.
pub(super) fn looked(
    held: &mut Held,
    (began, ended): (Moment, Moment),
    shown: Option<&Snapshot>,
    policy: &Policy,
) -> (Option<What>, Next) {
    (held.failures, held.trouble) = (0, None);
    let progress = &held.work.progress;
    let is_first = progress.phase == Phase::Ready && !progress.doubted;
    let (then, next) = match progress.phase {
        Phase::Ready if is_first => unsent(held, ended, shown, policy),
        Phase::Ready | Phase::InFlight | Phase::InDoubt | Phase::Settled(Status::Unknown) => {
            doubted(held, (began, ended), shown, policy)
        }
        Phase::Confirming | Phase::Settled(_) => confirming(held, began, shown, policy),
    };
    // What is for people is told of an object as it was before anything was sent.
    let reading = || shown.map(|now| if is_first { now.clone() } else { Snapshot { about: None, ..now.clone() } });
    (then.map(|then| What::Looked(Box::new(Look { reading: reading(), then }))), next)
}

/// Nothing was sent yet, or nothing that had an effect: what is found here costs no request.
fn unsent(held: &mut Held, ended: Moment, shown: Option<&Snapshot>, policy: &Policy) -> Follow {
    let Some(now) = shown else { return settled(Status::NotFound, "the service does not know this id; nothing was sent") };
    let pin = held.work.progress.pin.as_deref();
    match before(held.work.item.kind, pin, now) {
        // It was asked for, and the service said "later": that it is so now is what was wished.
        Standing::Inactive if held.work.progress.sent_at.is_some() => settled(Status::Revoked, ""),
        Standing::Inactive => settled(Status::AlreadyInactive, &format!("its token ended {}", end(now))),
        Standing::Reissued(what) if !policy.allow_reissued => {
            settled(Status::Superseded, &format!("re-issued since the plan: {what}; not sent"))
        }
        Standing::AtWork => (Some(AfterLook::Follow), Next::Look(ended + CONFIRM.delay(0))),
        Standing::Live | Standing::Reissued(_) => {
            // Somebody else was faster: what is wished for is there, and to send it would do it twice.
            match pin.map(|pin| judge(held.work.item.kind, Some(pin), now)) {
                Some(Finding::Revoked) => return settled(Status::Revoked, "revoked by somebody else since it was first read"),
                Some(Finding::Partial(why)) => return settled(Status::Partial, &format!("by somebody else: {why}")),
                Some(Finding::AtWork | Finding::Reissued(_) | Finding::Unchanged | Finding::CannotTell) | None => {}
            }
            let is_known = !held.work.progress.is_unread() && pin.is_some_and(|pin| pin.agrees(now) && pin.name == now.name);
            held.fresh_until = fresh_until(ended, policy);
            ((!is_known).then_some(AfterLook::Pin), Next::Send)
        }
    }
}

/// A reading is young enough for this long whatever the wish: with less, it would be too old before its item could be
/// sent, and nothing would ever go.
const YOUNG: Duration = Duration::from_secs(1);

/// Until when a reading that came, or was begun, at a moment is young enough for its item to be sent.
pub(super) fn fresh_until(at: Moment, policy: &Policy) -> Moment {
    at + policy.pin_max_age.max(YOUNG)
}

/// When an Android token ended, as people write it.
fn end(now: &Snapshot) -> String {
    match now.seen {
        Seen::Android { expiry: Expiry::At(at), .. } => at.strftime("%Y-%m-%d %H:%MZ").to_string(),
        Seen::Android { .. } | Seen::Vpp { .. } => "before".to_owned(),
    }
}

/// A request may have had its effect.
fn doubted(held: &mut Held, (began, ended): (Moment, Moment), shown: Option<&Snapshot>, policy: &Policy) -> Follow {
    let progress = &held.work.progress;
    let pin = progress.pin.as_deref();
    let finding = shown.map(|now| judge(held.work.item.kind, pin, now));
    match finding {
        Some(Finding::Revoked) => settled(Status::Revoked, ""),
        Some(Finding::Partial(why)) => settled(Status::Partial, &why),
        Some(Finding::Reissued(what)) => {
            settled(Status::Superseded, &format!("re-issued since the plan: {what}; not sent again"))
        }
        Some(Finding::AtWork) => (Some(AfterLook::Follow), again(held, began)),
        // Only a conflict was reported, and nothing was lost: the service itself said that the request had no effect.
        Some(Finding::CannotTell) if progress.phase == Phase::Ready && !progress.lost => {
            held.fresh_until = fresh_until(ended, policy);
            (Some(AfterLook::Untouched), Next::Send)
        }
        Some(Finding::CannotTell) if is_hopeless(held) => settled(Status::Unknown, NO_PIN),
        Some(Finding::CannotTell) => {
            held.first = None;
            (Some(AfterLook::Again), again(held, began))
        }
        // It was shown before that nothing had happened; that it still is so is all that is asked.
        Some(Finding::Unchanged) if progress.phase == Phase::Ready => {
            held.fresh_until = fresh_until(ended, policy);
            (Some(AfterLook::Untouched), Next::Send)
        }
        Some(Finding::Unchanged) | None => untouched(held, (began, ended), shown, policy),
    }
}

/// One reading as it was: with another that agrees, long enough before it, that is shown.
fn untouched(held: &mut Held, (began, ended): (Moment, Moment), shown: Option<&Snapshot>, policy: &Policy) -> Follow {
    let settle = policy.settle.of(held.work.item.kind.facts().service);
    let same = |seen: &Option<Box<Snapshot>>| match (seen, shown) {
        (Some(seen), Some(shown)) => seen.agrees(shown),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let Some(first) = held.first.as_ref().filter(|(_, seen)| same(seen)).map(|(at, _)| *at) else {
        // The page of a list that showed it may have been the last of many: it was seen no later than this.
        held.first = Some((ended, shown.cloned().map(Box::new)));
        return (Some(AfterLook::Again), Next::Look(ended + settle));
    };
    if began < first + settle {
        return (Some(AfterLook::Again), Next::Look(first + settle));
    }
    held.first = None;
    let progress = &held.work.progress;
    if shown.is_none() {
        return settled(Status::Unknown, "it is gone (404), so nothing can tell whether a request had its effect");
    }
    if let Some(Outcome { status, reason }) = &progress.otherwise {
        return settled(*status, reason);
    }
    if matches!(progress.phase, Phase::Settled(_)) {
        return settled(Status::Failed, "shown to be as it was, and not sent again");
    }
    if progress.requests() >= policy.max_attempts.get() {
        let reason = format!("shown to be as it was after {} attempts", progress.requests());
        return settled(Status::Failed, &reason);
    }
    held.fresh_until = fresh_until(ended, policy);
    (Some(AfterLook::Untouched), Next::Send)
}

/// The service said yes, or is at work.
fn confirming(held: &mut Held, began: Moment, shown: Option<&Snapshot>, policy: &Policy) -> Follow {
    let progress = &held.work.progress;
    let is_queued = progress.phase == Phase::Settled(Status::AwaitingApproval);
    let finding = shown.map(|now| judge(held.work.item.kind, progress.pin.as_deref(), now));
    match finding {
        Some(Finding::Revoked) => settled(Status::Revoked, ""),
        Some(Finding::Partial(why)) => settled(Status::Partial, &why),
        Some(Finding::Reissued(_)) if is_queued && policy.allow_reissued => (None, Next::Over),
        Some(Finding::Reissued(what)) if is_queued => {
            settled(Status::Superseded, &format!("re-issued since the plan: {what}; not sent"))
        }
        Some(Finding::Reissued(what)) => {
            settled(Status::Superseded, &format!("re-issued before reading back could show its end: {what}"))
        }
        Some(Finding::AtWork) => (Some(AfterLook::Follow), again(held, began)),
        // A second administrator may take days: one look tells that it is not so yet.
        Some(Finding::Unchanged | Finding::CannotTell) | None if is_queued => (None, Next::Over),
        // It was not to be read back, and cannot be.
        Some(Finding::CannotTell) if is_hopeless(held) && progress.phase == Phase::Settled(Status::Accepted) => {
            (None, Next::Over)
        }
        Some(Finding::CannotTell) if is_hopeless(held) => settled(Status::Unconfirmed, NO_PIN),
        Some(Finding::Unchanged | Finding::CannotTell) | None => (Some(AfterLook::Again), again(held, began)),
    }
}

/// Why a VPP token that was not read before it was sent cannot be judged.
pub(super) const NO_PIN: &str = "it was not read before it was sent (--no-preflight), so reading back cannot tell";

/// Whether no reading will ever tell: VPP actions are told from older ones by the pin alone.
fn is_hopeless(held: &Held) -> bool {
    held.work.progress.pin.is_none() && held.work.item.kind.facts().service == Service::Vpp
}

fn again(held: &mut Held, began: Moment) -> Next {
    let delay = CONFIRM.delay(held.looks);
    held.looks += 1;
    Next::Look(together(held.work.item.kind, began + delay))
}

/// When an object is first read after the service said yes.
pub(super) fn first(kind: Kind, now: Moment) -> Moment {
    together(kind, now + CONFIRM.delay(0))
}

/// How long a read that failed waits.
pub(super) fn retry(after: Option<Duration>) -> Duration {
    RETRY.delay(0).max(after.unwrap_or_default())
}

/// Android profiles are read back in whole seconds, so that those that are due together can be read as one list.
fn together(kind: Kind, at: Moment) -> Moment {
    match kind.facts().service {
        Service::Android => Moment::from_secs(at.as_secs() + u64::from(at.subsec_nanos() > 0)),
        Service::Vpp => at,
    }
}

/// How long, for each attempt that is allowed, a service that answers no read is waited for: a minute as a rule.
const OUTAGE: Duration = Duration::from_secs(12);

/// Why a read failed, as far as it concerns its item.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failure {
    /// It would fail again for the same reason; what becomes of an item that was never sent.
    Lasting(Status),
    /// The service could not be reached.
    Unreached,
    /// It may go well later. When another read of the lane last went well.
    Passing(Moment),
}

/// A read failed.
pub(super) fn failed(held: &mut Held, now: Moment, why: Failure, message: String, policy: &Policy) -> (Option<What>, Next) {
    if held.failures == 0 {
        held.failing_since = now;
    }
    held.failures += 1;
    let progress = &held.work.progress;
    let used_up = held.failures >= policy.max_attempts.get();
    let is_over = match why {
        Failure::Lasting(_) => true,
        Failure::Unreached => used_up,
        // As long as no read goes well it is the service that fails, and not the object: for a while, all wait for it.
        Failure::Passing(well) => {
            let patience = OUTAGE.saturating_mul(policy.max_attempts.get());
            used_up && (well > held.failing_since || now >= held.failing_since + patience)
        }
    };
    if progress.phase == Phase::Ready && is_over {
        let consequence = if progress.doubted { "it was not sent again" } else { "nothing was sent" };
        let reason = format!("it could not be read first, so {consequence}: {message}");
        // What was sent before and shown to have had no effect has failed, whatever forbids to look once more.
        let status = match why {
            Failure::Lasting(status) if !progress.doubted => status,
            Failure::Lasting(_) | Failure::Unreached | Failure::Passing(_) => Status::Failed,
        };
        return (Some(What::Settled { status, reason }), Next::Over);
    }
    held.trouble = Some(message);
    (None, Next::Look(now + RETRY.delay(held.failures)))
}

/// The time for reading back is over.
pub(super) fn expired(held: &Held, policy: &Policy) -> Option<What> {
    let progress = &held.work.progress;
    let service = held.work.item.kind.facts().service;
    let within = policy.verify_deadline.of(service);
    let trouble = held.trouble.as_deref().map(|message| format!("; the last read failed: {message}")).unwrap_or_default();
    let (status, reason) = match progress.phase {
        Phase::Confirming | Phase::Settled(Status::Accepted | Status::Unconfirmed) => {
            let said = if progress.accepted { "the service said yes, and " } else { "a revoke action is at work, and " };
            (Status::Unconfirmed, format!("{said}reading back did not show its end within {}{trouble}", span(within)))
        }
        Phase::InFlight | Phase::InDoubt => {
            (Status::Unknown, format!("reading back could not tell whether a request had its effect{trouble}"))
        }
        Phase::Ready | Phase::Settled(_) => return None,
    };
    Some(What::Settled { status, reason })
}

/// `2m` rather than `120s`, as it is written in flags.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds >= 60 && seconds.is_multiple_of(60) { format!("{}m", seconds / 60) } else { format!("{time:.0?}") }
}

fn settled(status: Status, reason: &str) -> Follow {
    (Some(AfterLook::Settled(Outcome::new(status, reason))), Next::Over)
}
