//! Judges readings: as a change against the pin, in the service's own time, never by comparing two clocks. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::seen::later;
use super::{Action, ActionState, Expiry, Kind, Seen, Snapshot};

/// An Android token whose expiry lies at least this far before the service's `Date` is dead by every clock.
const CERTAINLY_PAST: Duration = Duration::from_mins(10);

/// What a reading says of an object that a request may have reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Done, and shown.
    Revoked,
    /// The VPP action is over, and licences failed; why, in words.
    Partial(String),
    /// A VPP action is at work.
    AtWork,
    /// Another token is there now; what shows it, in words.
    Reissued(&'static str),
    /// As it was.
    Unchanged,
    /// Neither can be told from it.
    CannotTell,
}

/// What a reading says of an object before anything is sent for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The Android token ended long ago.
    Inactive,
    /// Another token is there than was pinned; what shows it, in words.
    Reissued(&'static str),
    /// A VPP revoke action is at work already: adopted, not doubled.
    AtWork,
    /// It may be sent.
    Live,
}

/// Judges a reading before the first request, against an older pin if there is one.
pub fn before(kind: Kind, pin: Option<&Snapshot>, now: &Snapshot) -> Standing {
    if let Some(what) = pin.and_then(|pin| reissued(kind, pin, now)) {
        return Standing::Reissued(what);
    }
    match &now.seen {
        Seen::Android { expiry, .. } if is_long_past(*expiry, now.date) => Standing::Inactive,
        Seen::Vpp { actions, .. } if actions.iter().any(|action| action.state == ActionState::AtWork) => Standing::AtWork,
        Seen::Android { .. } | Seen::Vpp { .. } => Standing::Live,
    }
}

/// Judges a reading after a request that may have had its effect.
pub fn judge(kind: Kind, pin: Option<&Snapshot>, now: &Snapshot) -> Finding {
    if let Some(what) = pin.and_then(|pin| reissued(kind, pin, now)) {
        return Finding::Reissued(what);
    }
    match (pin.map(|pin| &pin.seen), &now.seen) {
        (Some(Seen::Android { expiry: before, .. }), Seen::Android { expiry, .. }) => {
            let was = (*before, pin.and_then(|pin| pin.date));
            android(was, *expiry, now.date)
        }
        // Without a pin only a real past date shows anything.
        (_, Seen::Android { expiry, .. }) if expiry.past(now.date).is_some() => Finding::Revoked,
        (Some(Seen::Vpp { actions: before, .. }), Seen::Vpp { actions, .. }) => vpp(before, actions),
        (_, Seen::Android { .. } | Seen::Vpp { .. }) => Finding::CannotTell,
    }
}

fn android((before, pinned): (Expiry, Option<Timestamp>), expiry: Expiry, date: Option<Timestamp>) -> Finding {
    let moved = !expiry.agrees(before);
    let was_alive = matches!(before, Expiry::At(_)) && before.past(pinned).is_none();
    match expiry {
        Expiry::At(_) if expiry.past(date).is_some() && moved || is_long_past(expiry, date) => Finding::Revoked,
        // It may have ended by itself: neither a sign of the request nor of its absence.
        Expiry::At(_) if expiry.past(date).is_some() => Finding::CannotTell,
        Expiry::At(_) if !moved && date.is_some() => Finding::Unchanged,
        Expiry::Never if was_alive => Finding::Revoked,
        Expiry::At(_) | Expiry::Never | Expiry::Unreadable => Finding::CannotTell,
    }
}

/// The newest action that the pin did not hold, or not in this state.
fn vpp(before: &[Action], now: &[Action]) -> Finding {
    let count = |actions: &[Action], of: &Action| actions.iter().filter(|action| action.started == of.started).count();
    let known = |action: &Action| {
        let same = |old: &Action| (old.started, old.state, old.failed) == (action.started, action.state, action.failed);
        before.iter().any(same)
    };
    let fresh = |action: &&Action| count(now, action) > count(before, action) || !known(action);
    let Some(action) = now.iter().filter(fresh).max_by_key(|action| action.started) else {
        // What is gone may have made room for one that is not shown yet, and what has no date may be another one.
        let same = now.len() == before.len() && now.iter().all(|action| action.started.is_some());
        return if same { Finding::Unchanged } else { Finding::CannotTell };
    };
    match action.state {
        ActionState::AtWork => Finding::AtWork,
        ActionState::Done if action.failed == 0 => Finding::Revoked,
        ActionState::Done | ActionState::Failed => Finding::Partial(counts(action)),
    }
}

fn counts(action: &Action) -> String {
    let over = if action.state == ActionState::Failed { "the action failed: " } else { "" };
    let of = action.total.map(|total| format!(" of {total}")).unwrap_or_default();
    let cause = action.cause.as_deref().map(|cause| format!(" ({cause})")).unwrap_or_default();
    format!("{over}{}{of} licences were not revoked{cause}", action.failed)
}

fn is_long_past(expiry: Expiry, date: Option<Timestamp>) -> bool {
    matches!((expiry, date), (Expiry::At(at), Some(date)) if date.duration_since(at).unsigned_abs() >= CERTAINLY_PAST && at < date)
}

/// Whether a date lies so far ahead that it is future by every clock.
fn is_far(at: Timestamp, date: Option<Timestamp>) -> bool {
    date.is_some_and(|date| at > date && at.duration_since(date).unsigned_abs() >= CERTAINLY_PAST)
}

/// What shows that another token is there than was pinned.
fn reissued(kind: Kind, pin: &Snapshot, now: &Snapshot) -> Option<&'static str> {
    match (&pin.seen, &now.seen) {
        (Seen::Android { expiry: old, created: made }, Seen::Android { expiry, created }) => {
            if expiry.past(now.date).is_some() {
                return None;
            }
            match (kind, made, created) {
                (Kind::AndroidDeviceOwner, Some(made), Some(created)) => {
                    later(*created, *made).then_some("it has a later creation date")
                }
                _ => match (old, expiry) {
                    // A date that lies near may be the moment of a revocation, set by a clock that is a little ahead.
                    (Expiry::At(old), Expiry::At(new)) if *old == Timestamp::MAX && *new < *old => {
                        is_far(*new, now.date).then_some("it has an expiry, and had none")
                    }
                    (Expiry::At(old), Expiry::At(new)) => later(*new, *old).then_some("it has a later expiry"),
                    (Expiry::Never, Expiry::At(new)) => is_far(*new, now.date).then_some("it has an expiry, and had none"),
                    (Expiry::At(_) | Expiry::Never | Expiry::Unreadable, _) => None,
                },
            }
        }
        (Seen::Vpp { identity: old, .. }, Seen::Vpp { identity, .. }) => {
            const WHAT: [&str; 3] =
                ["it has another Apple ID", "it has another organisation name", "it has another location name"];
            let differs = |(old, new): (&Option<String>, &Option<String>)| new.is_some() && new != old;
            old.iter().zip(identity).position(differs).and_then(|place| WHAT.get(place).copied())
        }
        (Seen::Android { .. } | Seen::Vpp { .. }, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "2026-06-01T12:00:00Z";
    const FUTURE: &str = "2026-07-01T00:00:00Z";

    fn android(expiry: &str, created: &str) -> Snapshot {
        let seen = Seen::Android { expiry: Expiry::read(Some(expiry)), created: created.parse().ok() };
        Snapshot { date: DATE.parse().ok(), name: None, seen, about: None }
    }

    fn owner(pin: &str, now: &str) -> Finding {
        judge(Kind::AndroidDeviceOwner, Some(&android(pin, "2026-01-01T00:00:00Z")), &android(now, "2026-01-01T00:00:00Z"))
    }

    #[test]
    fn an_android_token_is_revoked_by_every_shape_that_can_be_told_from_its_pin() {
        for now in [DATE, "2026-06-01T11:59:58Z", "2020-01-01T00:00:00Z", "0001-01-01T00:00:00Z", ""] {
            assert_eq!(owner(FUTURE, now), Finding::Revoked, "{now}");
        }
        for (pin, now) in [("", DATE), ("soon", "2026-06-01T11:59:00Z"), ("2026-06-01T11:55:00Z", "2026-06-01T11:59:00Z")] {
            assert_eq!(owner(pin, now), Finding::Revoked, "{pin} to {now}");
        }
        assert_eq!(owner("2026-06-01T11:00:00Z", "2026-06-01T11:00:00Z"), Finding::Revoked, "dead by every clock");
    }

    #[test]
    fn what_did_not_move_is_unchanged_only_if_it_would_have_had_to() {
        assert_eq!(owner(FUTURE, FUTURE), Finding::Unchanged);
        assert_eq!(owner(FUTURE, "2026-07-01T00:00:00.4Z"), Finding::Unchanged, "rounding");
        // A token without an end may look the same after a revocation.
        for (pin, now) in [("", ""), ("", "0001-01-01T00:00:00Z"), ("soon", "soon"), ("soon", ""), (FUTURE, "soon")] {
            assert_eq!(owner(pin, now), Finding::CannotTell, "{pin} to {now}");
        }
        assert_eq!(owner("2026-06-01T11:55:00Z", "2026-06-01T11:55:00Z"), Finding::CannotTell, "it ended by itself");
        assert_eq!(owner(FUTURE, "2026-06-01T12:00:20Z"), Finding::CannotTell, "moved, and not yet past");
        let undated = Snapshot { date: None, ..android(FUTURE, "") };
        assert_eq!(judge(Kind::AndroidForWork, Some(&android(FUTURE, "")), &undated), Finding::CannotTell);
    }

    #[test]
    fn a_reissued_token_is_known_by_its_creation_or_its_expiry() {
        let (old, new) = ("2026-01-01T00:00:00Z", "2026-06-01T11:59:00Z");
        let of = |kind, pin: (&str, &str), now: (&str, &str)| judge(kind, Some(&android(pin.0, pin.1)), &android(now.0, now.1));
        let is_reissue = |finding| matches!(finding, Finding::Reissued(_));
        assert!(is_reissue(of(Kind::AndroidDeviceOwner, (FUTURE, old), (FUTURE, new))));
        assert!(is_reissue(of(Kind::AndroidDeviceOwner, (FUTURE, old), ("", new))), "a live token without an end");
        assert_eq!(of(Kind::AndroidDeviceOwner, (FUTURE, old), (DATE, new)), Finding::Revoked, "a past date is no new token");
        let later = "2026-08-01T00:00:00Z";
        assert!(is_reissue(of(Kind::AndroidForWork, (FUTURE, ""), (later, ""))));
        assert!(is_reissue(of(Kind::AndroidForWork, ("", ""), (later, ""))));
        for never in ["", "9999-12-31T23:59:59Z"] {
            assert_eq!(of(Kind::AndroidForWork, (never, ""), ("2026-06-01T12:00:05Z", "")), Finding::CannotTell);
        }
        assert!(is_reissue(of(Kind::AndroidForWork, ("9999-12-31T23:59:59Z", ""), (later, ""))));
        assert_eq!(of(Kind::AndroidDeviceOwner, (FUTURE, old), (later, old)), Finding::CannotTell);
        assert!(matches!(before(Kind::AndroidForWork, Some(&android(FUTURE, "")), &android(later, "")), Standing::Reissued(_)));
    }

    #[test]
    fn before_sending_only_a_date_ten_minutes_past_is_inactive() {
        let standing = |expiry| before(Kind::AndroidForWork, None, &android(expiry, ""));
        assert_eq!(standing("2026-06-01T11:50:00Z"), Standing::Inactive);
        for live in ["2026-06-01T11:50:01Z", FUTURE, "", "0001-01-01T00:00:00Z", "soon"] {
            assert_eq!(standing(live), Standing::Live, "{live}");
        }
    }

    #[test]
    fn without_a_pin_only_a_past_date_tells() {
        assert_eq!(judge(Kind::AndroidForWork, None, &android("2026-06-01T11:59:59Z", "")), Finding::Revoked);
        for now in [FUTURE, "", "soon"] {
            assert_eq!(judge(Kind::AndroidForWork, None, &android(now, "")), Finding::CannotTell, "{now}");
        }
        assert_eq!(judge(Kind::VppToken, None, &vpp("a", &[("12:00:00", ActionState::Done, 0)])), Finding::CannotTell);
    }

    fn vpp(apple: &str, actions: &[(&str, ActionState, u64)]) -> Snapshot {
        let action = |&(started, state, failed): &(&str, ActionState, u64)| Action {
            started: format!("2026-06-01T{started}Z").parse().ok(),
            state,
            total: Some(9),
            failed,
            cause: (failed > 0).then(|| "appleFailure".to_owned()),
        };
        let seen = Seen::Vpp {
            identity: [Some(apple.to_owned()), Some("School".to_owned()), None],
            actions: actions.iter().map(action).collect(),
        };
        Snapshot { date: DATE.parse().ok(), name: None, seen, about: None }
    }

    #[test]
    fn a_vpp_token_is_told_by_the_entry_that_the_pin_did_not_hold() {
        use ActionState::{AtWork, Done, Failed};
        let old = ("10:00:00", Done, 0);
        let of = |actions: &[(&str, ActionState, u64)]| judge(Kind::VppToken, Some(&vpp("a", &[old])), &vpp("a", actions));
        assert_eq!(of(&[old]), Finding::Unchanged);
        assert_eq!(of(&[]), Finding::CannotTell, "what is gone may have made room");
        assert_eq!(of(&[("10:00:00", AtWork, 0)]), Finding::AtWork, "the same entry, at work again");
        assert_eq!(of(&[old, ("11:59:00", AtWork, 0)]), Finding::AtWork);
        assert_eq!(of(&[("11:59:00", Done, 0)]), Finding::Revoked, "only the newest is kept");
        assert_eq!(
            of(&[old, ("11:59:00", Done, 2)]),
            Finding::Partial("2 of 9 licences were not revoked (appleFailure)".to_owned())
        );
        assert_eq!(
            of(&[("11:59:00", Failed, 9)]),
            Finding::Partial("the action failed: 9 of 9 licences were not revoked (appleFailure)".to_owned())
        );
        assert_eq!(of(&[("11:58:00", Done, 0), ("11:59:00", AtWork, 0)]), Finding::AtWork, "the newest counts");
    }

    #[test]
    fn an_action_at_work_is_adopted_and_followed_to_its_end() {
        let pin = vpp("a", &[("11:59:00", ActionState::AtWork, 0)]);
        assert_eq!(before(Kind::VppToken, None, &pin), Standing::AtWork);
        let now = vpp("a", &[("11:59:00", ActionState::Done, 0)]);
        assert_eq!(judge(Kind::VppToken, Some(&pin), &now), Finding::Revoked);
        assert_eq!(before(Kind::VppToken, None, &now), Standing::Live);
    }

    #[test]
    fn another_apple_id_is_another_token() {
        let finding = judge(Kind::VppToken, Some(&vpp("a", &[])), &vpp("b", &[]));
        assert_eq!(finding, Finding::Reissued("it has another Apple ID"));
        assert_eq!(before(Kind::VppToken, Some(&vpp("a", &[])), &vpp("a", &[])), Standing::Live);
    }
}
