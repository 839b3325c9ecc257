//! What a reading of an object shows, as far as revoking it matters. Holds no secret and no time of ours.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A reading of one object. The first one is the pin against which later ones are judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The service's own time (`Date`) when it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Timestamp>,
    /// What the service calls the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its state.
    pub seen: Seen,
    /// What else people want to know of it: nothing is judged by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Box<About>>,
}

/// What is told of an object before it is revoked, beyond its state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct About {
    /// Devices that are enrolled with an Android profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<u64>,
    /// The state of a VPP token, in the service's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// When a VPP token ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// The state of an object, by its family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// An Android enrollment profile and its token.
    Android {
        /// When the token ends.
        expiry: Expiry,
        /// When the token was made; only device-owner profiles say it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        created: Option<Timestamp>,
    },
    /// An Apple volume-purchase token.
    Vpp {
        /// Whose it is: Apple ID, organisation, location. A renewed Apple file changes none of them.
        identity: [Option<String>; 3],
        /// The revoke actions that it shows.
        actions: Vec<Action>,
    },
}

/// When a token ends, as far as the service says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// The property is missing, null or `0001-01-01`.
    Never,
    /// It is there and is no date.
    Unreadable,
    /// A real date.
    At(Timestamp),
}

/// One revoke action in a VPP token's `tokenActionResults`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// When it began: what tells it from others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// How far it is.
    pub state: ActionState,
    /// Licences that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Licences that could not be revoked.
    #[serde(default)]
    pub failed: u64,
    /// Why not, in the service's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// How far an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionState {
    /// Pending or active, or a word that this program does not know: not known to be over.
    AtWork,
    /// Over.
    Done,
    /// Over, and it did not do what it was for: failed, canceled, not supported.
    Failed,
}

/// Two dates closer than this are one: lists and single readings may round differently.
const SAME: Duration = Duration::from_secs(1);

/// A date that stands for none: the service writes 0001-01-01, in whatever offset.
const BEGINNING: Timestamp = Timestamp::constant(-2_208_988_800, 0);

impl Expiry {
    /// Reads the property's text.
    pub fn read(text: Option<&str>) -> Self {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Self::Never };
        match text.parse::<Timestamp>() {
            // 1900: older than every token, younger than every stand-in for "no date".
            Ok(at) if at < BEGINNING => Self::Never,
            Ok(at) => Self::At(at),
            Err(_) if text.starts_with("0001-") || text.starts_with("0000-") => Self::Never,
            // The last day of the calendar is beyond what can be computed with, and means "never ends" as a date.
            Err(_) if text.starts_with("9999-12-3") => Self::At(Timestamp::MAX),
            Err(_) => Self::Unreadable,
        }
    }

    /// Whether both say the same.
    pub fn agrees(self, other: Self) -> bool {
        match (self, other) {
            (Self::At(a), Self::At(b)) => a.duration_since(b).unsigned_abs() < SAME,
            (a, b) => a == b,
        }
    }

    /// The date, if it is a real one that had passed at `date`.
    pub fn past(self, date: Option<Timestamp>) -> Option<Timestamp> {
        let Self::At(at) = self else { return None };
        // `Date` has whole seconds: what happened within that second has passed.
        date.and_then(|date| date.checked_add(SAME).ok()).filter(|date| at < *date).map(|_| at)
    }
}

/// Whether one moment is later than another by more than rounding.
pub(super) fn later(a: Timestamp, than: Timestamp) -> bool {
    a.duration_since(than) >= jiff::SignedDuration::from_secs(1)
}

impl Snapshot {
    /// Whether two readings show the same state; names and times of reading aside.
    pub fn agrees(&self, other: &Self) -> bool {
        match (&self.seen, &other.seen) {
            (Seen::Android { expiry, created }, Seen::Android { expiry: other, created: theirs }) => {
                let made = match (created, theirs) {
                    (Some(a), Some(b)) => !later(*a, *b) && !later(*b, *a),
                    (a, b) => a == b,
                };
                expiry.agrees(*other) && made
            }
            (a, b) => a == b,
        }
    }

    /// When its token ends, if that is known.
    pub fn expires(&self) -> Option<Timestamp> {
        match self.seen {
            Seen::Android { expiry: Expiry::At(at), .. } => Some(at).filter(|at| *at < Timestamp::MAX),
            Seen::Android { .. } => None,
            Seen::Vpp { .. } => self.about.as_ref()?.expires,
        }
    }

    /// The state of its token: of an Android token by its expiry and the service's own time, of a VPP token in the
    /// service's word.
    pub fn state(&self) -> &str {
        match &self.seen {
            Seen::Android { expiry: Expiry::Unreadable, .. } => "expiry unreadable",
            Seen::Android { expiry, .. } if expiry.past(self.date).is_some() => "expired",
            Seen::Android { .. } if self.expires().is_none() => "no expiry known",
            Seen::Android { .. } => "live",
            Seen::Vpp { .. } => self.about.as_ref().and_then(|about| about.state.as_deref()).unwrap_or("unknown"),
        }
    }

    /// Whether its token can be used: an Android token that is not known to have ended, a VPP token that is `valid`.
    pub fn is_live(&self) -> bool {
        match &self.seen {
            Seen::Android { expiry, .. } => expiry.past(self.date).is_none(),
            Seen::Vpp { .. } => self.state().eq_ignore_ascii_case("valid"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiries_are_read_in_every_dress() {
        let at = |text: &str| Expiry::At(text.parse().unwrap());
        assert_eq!(Expiry::read(Some("2016-12-31T23:59:59.0590989-08:00")), at("2017-01-01T07:59:59.0590989Z"));
        assert_eq!(Expiry::read(Some("2026-01-02T03:04:05Z")), at("2026-01-02T03:04:05Z"));
        for none in [None, Some(""), Some("0001-01-01T00:00:00Z"), Some("0001-01-01T00:00:00-08:00")] {
            assert_eq!(Expiry::read(none), Expiry::Never, "{none:?}");
        }
        assert_eq!(Expiry::read(Some("9999-12-31T23:59:59.9999999Z")), Expiry::At(Timestamp::MAX));
        assert_eq!(Expiry::read(Some("soon")), Expiry::Unreadable);
    }

    #[test]
    fn what_happened_within_the_second_of_the_date_has_passed() {
        let date: Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
        let expiry = |text: &str| Expiry::read(Some(text)).past(Some(date)).is_some();
        assert!(expiry("2026-01-01T00:00:10.9Z") && expiry("2020-01-01T00:00:00Z"));
        assert!(!expiry("2026-01-01T00:00:11Z"));
        assert!(Expiry::At(date).past(None).is_none() && Expiry::Never.past(Some(date)).is_none());
    }

    #[test]
    fn a_reading_survives_the_ledger() {
        let android = Seen::Android { expiry: Expiry::read(Some("2026-01-01T00:00:10.1234567Z")), created: None };
        let action = Action { started: None, state: ActionState::Failed, total: Some(4), failed: 1, cause: None };
        let vpp = Seen::Vpp { identity: [Some("a".to_owned()), None, None], actions: vec![action] };
        for seen in [android, vpp] {
            let about = About { devices: Some(4), state: Some("valid".to_owned()), expires: Some(Timestamp::UNIX_EPOCH) };
            let snapshot = Snapshot { date: None, name: Some("n".to_owned()), seen, about: Some(Box::new(about)) };
            let text = serde_json::to_string(&snapshot).unwrap();
            assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot, "{text}");
        }
    }

    #[test]
    fn a_token_is_live_until_its_end_by_the_services_time_and_a_vpp_token_while_the_service_calls_it_valid() {
        let of = |seen: Seen, state: Option<&str>| {
            let about = About { state: state.map(str::to_owned), ..About::default() };
            Snapshot { date: "2026-01-01T00:00:10Z".parse().ok(), name: None, seen, about: Some(Box::new(about)) }
        };
        for (expiry, state, live) in [
            ("2026-01-01T00:00:10Z", "expired", false),
            ("2026-01-01T00:00:12Z", "live", true),
            ("9999-12-31T23:59:59Z", "no expiry known", true),
            ("", "no expiry known", true),
            ("soon", "expiry unreadable", true),
        ] {
            let shown = of(Seen::Android { expiry: Expiry::read(Some(expiry)), created: None }, None);
            assert_eq!((shown.state(), shown.is_live()), (state, live), "{expiry}");
        }
        for (word, state, live) in [(Some("valid"), "valid", true), (Some("expired"), "expired", false), (None, "unknown", false)]
        {
            let shown = of(Seen::Vpp { identity: [None, None, None], actions: Vec::new() }, word);
            assert_eq!((shown.state(), shown.is_live()), (state, live));
        }
    }
}
