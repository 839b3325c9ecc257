//! Revoking the licences of an Apple VPP token: an action that is accepted at once and carried out
//! later, shown in `tokenActionResults` as it goes from pending over active to done or failed.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::dice::Dice;
use super::span::Span;

/// What becomes of a second revocation while the first is still at work. Which it is, is not documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    /// 204, and it is one with the first: no effect of its own.
    Merged,
    /// 409.
    Rejected,
    /// 204, and it starts when the first has ended.
    Queued,
}

impl Meanwhile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Merged, Self::Rejected, Self::Queued];
}

/// What becomes of older entries when a new action starts. Which it is, is not documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// They stay.
    Kept,
    /// Only the newest is shown.
    Overwritten,
}

impl Retention {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Kept, Self::Overwritten];
}

/// How licence revocations go.
#[derive(Clone, Debug, PartialEq)]
pub struct Vpp {
    /// How long one is pending.
    pub pending: Span,
    /// How long one is active after that.
    pub active: Span,
    /// Probability that it is done, but some licences failed.
    pub partly: f64,
    /// Probability that it fails.
    pub failed: f64,
    /// Probability that a token shows an action of an earlier year.
    pub history: f64,
    /// What a second one may be told meanwhile; one is chosen per token.
    pub meanwhile: Vec<Meanwhile>,
    /// What may become of older entries; one is chosen per token.
    pub retention: Vec<Retention>,
}

/// Spellings of `actionName` that the service may use; the real one is not documented.
pub(super) const NAMES: [&str; 5] =
    ["revokeLicenses", "RevokeLicenses", "revokeAllLicenses", "vppTokenRevokeLicenses", "Revoke licenses"];

/// One action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Action {
    name: &'static str,
    /// All times since the start of the service.
    started: Duration,
    active: Duration,
    pub(super) ended: Duration,
    /// From when on readers see it.
    seen: Duration,
    end: &'static str,
    total: u32,
    failed: u32,
    reason: &'static str,
}

impl Action {
    /// An action accepted at `accepted` that may start at `free` at the earliest and is seen after `lag`.
    /// A token whose Apple file has run out may fail for that reason.
    pub(super) fn new(rules: &Vpp, (accepted, free, lag): (Duration, Duration, Duration), expired: bool, mut dice: Dice) -> Self {
        let active = accepted.max(free) + dice.within(rules.pending);
        let ended = active + dice.within(rules.active);
        let total = u32::try_from(1 + dice.below(400)).unwrap_or(1);
        let some = u32::try_from(1 + dice.below(u64::from(total))).unwrap_or(1);
        let throw = dice.unit();
        let cause = dice.pick(&["appleFailure", "internalError", "expiredApplePushNotificationCertificate"], "none");
        let (end, failed, reason) = if expired && dice.chance(0.5) {
            ("failed", total, "expiredVppToken")
        } else if throw < rules.failed {
            ("failed", some, cause)
        } else if throw < rules.failed + rules.partly {
            ("done", some, "appleFailure")
        } else {
            ("done", 0, "none")
        };
        let name = dice.pick(&NAMES, NAMES[0]);
        Self { name, started: accepted, active, ended, seen: accepted + lag, end, total, failed, reason }
    }

    /// Whether it is still at work.
    pub(super) fn at_work(&self, now: Duration) -> bool {
        now < self.ended
    }

    /// Whether readers see it.
    pub(super) fn seen(&self, now: Duration) -> bool {
        self.seen <= now
    }

    /// The entry that readers see at this time.
    pub(super) fn entry(&self, now: Duration, stamp: impl Fn(Duration) -> String) -> Value {
        let (state, updated) = if now < self.active {
            ("pending", self.started)
        } else if now < self.ended {
            ("active", self.active)
        } else {
            (self.end, self.ended)
        };
        let over = now >= self.ended;
        entry(
            self.name,
            state,
            (stamp(self.started), stamp(updated)),
            (self.total, if over { self.failed } else { 0 }),
            if over { self.reason } else { "none" },
        )
    }
}

/// An action that ended a year or so before the start.
pub(super) fn old_entry(start: Timestamp, mut dice: Dice, stamp: impl Fn(Timestamp) -> String) -> Value {
    let ago = dice.within(Span::of_secs(300 * 86_400, 400 * 86_400));
    let name = dice.pick(&NAMES, NAMES[0]);
    entry(name, "done", (stamp(start - ago), stamp(start - ago + Duration::from_secs(9))), (12, 0), "none")
}

fn entry(name: &str, state: &str, (from, to): (String, String), (total, failed): (u32, u32), reason: &str) -> Value {
    json!({
        "@odata.type": "#microsoft.graph.vppTokenRevokeLicensesActionResult",
        "actionName": name,
        "actionState": state,
        "startDateTime": from,
        "lastUpdatedDateTime": to,
        "totalLicensesCount": total,
        "failedLicensesCount": failed,
        "actionFailureReason": reason,
    })
}

#[cfg(test)]
mod tests {
    use super::super::behaviour::{Behaviour, Scenario};
    use super::super::dice::Topic;
    use super::*;

    fn action(scenario: Scenario, n: u64) -> Action {
        let second = Duration::from_secs(1);
        let dice = Dice::new(1, Topic::Action).nth(n);
        Action::new(&Behaviour::of(scenario).vpp, (second, Duration::ZERO, Duration::ZERO), false, dice)
    }

    fn state(action: &Action, now: Duration) -> (String, u64) {
        let entry = action.entry(now, |at| format!("{at:?}"));
        let failed = entry["failedLicensesCount"].as_u64().unwrap();
        (entry["actionState"].as_str().unwrap().to_owned(), failed)
    }

    #[test]
    fn on_a_calm_day_it_is_done_within_a_second() {
        for n in 0..50 {
            let action = action(Scenario::Calm, n);
            assert_eq!(state(&action, Duration::from_secs(1)).0, "pending");
            assert_eq!(state(&action, Duration::from_secs(2)), ("done".to_owned(), 0));
        }
    }

    #[test]
    fn on_a_stormy_day_it_takes_up_to_twenty_seconds_and_sometimes_fails() {
        let ends: Vec<_> = (0..200).map(|n| state(&action(Scenario::Stormy, n), Duration::from_secs(21))).collect();
        assert!(ends.iter().any(|(state, failed)| state == "failed" && *failed > 0));
        assert!(ends.iter().any(|(state, failed)| state == "done" && *failed > 0));
        assert!(ends.iter().filter(|(state, failed)| state == "done" && *failed == 0).count() > 140);
    }

    #[test]
    fn it_passes_through_active() {
        let action = action(Scenario::Stormy, 1);
        assert_eq!(state(&action, action.active).0, "active");
    }
}
