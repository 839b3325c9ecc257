//! What readers see of an object: its properties with the names and formats of Graph (resource pages
//! of 2025-07), computed from the seed, its state and the time. Secret ones contain `LIVE-SECRET-`.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::behaviour::Behaviour;
use super::dice::{Dice, Topic};
use super::options::Collection;
use super::schema::{Trace, hidden, properties};
use super::span::Span;
use super::store::{Record, Standing};
use super::vpp::{self, Action, Retention};

const DAY: Duration = Duration::from_hours(24);

/// One look at one object.
pub(super) struct Face<'a> {
    pub(super) seed: u64,
    pub(super) behaviour: &'a Behaviour,
    /// The wall time at which the service started.
    pub(super) start: Timestamp,
    pub(super) now: Duration,
    pub(super) tenant: Uuid,
    pub(super) collection: Collection,
    pub(super) record: &'a Record,
    pub(super) actions: &'a [Action],
}

impl Face<'_> {
    /// The selected properties, or all that come by default.
    pub(super) fn render(&self, select: Option<&[String]>) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |name: &str| {
            if let Some(value) = self.property(name) {
                object.insert(name.to_owned(), value);
            }
        };
        match select {
            Some(names) => names.iter().for_each(|name| put(name)),
            None => properties(self.collection).iter().filter(|name| !hidden(name)).for_each(|name| put(name)),
        }
        object
    }

    /// A die for this property of this object.
    fn dice(&self, purpose: u64) -> Dice {
        Dice::new(self.seed, Topic::Face).about(self.record.id).nth(purpose)
    }

    /// The value; `None` where the service leaves the property out.
    fn property(&self, name: &str) -> Option<Value> {
        let id = self.record.id;
        let short = id.as_fields().0;
        Some(match name {
            "accountId" => json!(self.tenant.to_string()),
            "id" => json!(id.to_string()),
            "displayName" => json!(format!("Simulated {short:08x}")),
            "description" | "deviceNameTemplate" => json!(""),
            "createdDateTime" => self.ago(1, 100, 700),
            "lastModifiedDateTime" => self.modified(),
            "roleScopeTagIds" => json!(["0"]),
            _ => match self.collection {
                Collection::VppTokens => self.vpp_property(name)?,
                Collection::AndroidForWork | Collection::AndroidDeviceOwner => self.android_property(name)?,
            },
        })
    }

    fn android_property(&self, name: &str) -> Option<Value> {
        let short = self.record.id.as_fields().0;
        let modes = [
            "corporateOwnedDedicatedDevice",
            "corporateOwnedFullyManaged",
            "corporateOwnedWorkProfile",
            "corporateOwnedAOSPUserlessDevice",
        ];
        Some(match name {
            "enrollmentMode" => json!(self.dice(2).pick(&modes, modes[0])),
            "enrollmentTokenType" => json!("default"),
            "enrolledDeviceCount" => json!(self.dice(3).below(500)),
            "enrollmentTokenUsageCount" => json!(0),
            "tokenCreationDateTime" if self.record.issues > 0 => json!(self.since(self.issued())),
            "tokenCreationDateTime" => self.ago(4, 1, 29),
            "tokenExpirationDateTime" => self.expiry()?,
            "tokenValue" => json!(self.token_value()),
            "qrCodeContent" => json!(format!(
                r#"{{"android.app.extra.PROVISIONING_ADMIN_EXTRAS_BUNDLE":{{"com.google.android.apps.work.clouddpc.EXTRA_ENROLLMENT_TOKEN":"{}"}}}}"#,
                self.token_value()
            )),
            "qrCodeImage" => {
                json!({"type": "image/png", "value": format!("LIVE-SECRET-image-{short:08x}")})
            }
            "configureWifi" => json!(true),
            "wifiSsid" => json!("simulated"),
            "wifiPassword" => json!(format!("LIVE-SECRET-wifi-{short:08x}")),
            "wifiSecurityType" => json!("wpa"),
            "wifiHidden" | "isTeamsDeviceProfile" => json!(false),
            _ => return None,
        })
    }

    fn vpp_property(&self, name: &str) -> Option<Value> {
        let (short, issues) = (self.record.id.as_fields().0, self.record.issues);
        let expired = self.record.standing == Standing::Expired;
        Some(match name {
            "organizationName" => json!("Simulated School"),
            "vppTokenAccountType" => {
                json!(self.dice(2).pick(&["business", "education"], "business"))
            }
            "appleId" => json!(format!("vpp-{short:08x}-{issues}@example.com")),
            "expirationDateTime" if expired => self.ago(4, 1, 60),
            "expirationDateTime" => json!(self.stamp(self.start + self.days(5, 2, 360))),
            "lastSyncDateTime" => self.ago(6, 0, 1),
            "token" => json!(format!("LIVE-SECRET-vpp-{short:08x}-{issues}")),
            "state" => json!(if expired { "expired" } else { "valid" }),
            "tokenActionResults" => self.action_results(),
            "lastSyncStatus" => json!("completed"),
            "automaticallyUpdateApps" | "claimTokenManagementFromExternalMdm" => json!(false),
            "dataSharingConsentGranted" => json!(true),
            "countryOrRegion" => json!("us"),
            "locationName" => json!(format!("Location {short:08x}")),
            "appleDeviceAppDeliveryProtocolType" => json!("default"),
            _ => return None,
        })
    }

    fn action_results(&self) -> Value {
        let rules = &self.behaviour.vpp;
        let mut entries = Vec::new();
        if self.dice(7).chance(rules.history) {
            entries.push(vpp::old_entry(self.start, self.dice(8), |at| self.stamp(at)));
        }
        let seen = self.actions.iter().filter(|action| action.seen(self.now));
        entries.extend(seen.map(|action| action.entry(self.now, |at| self.since(at))));
        if self.dice(9).pick(&rules.retention, Retention::Kept) == Retention::Overwritten {
            entries.drain(..entries.len().saturating_sub(1));
        }
        Value::from(entries)
    }

    /// When the revocation that readers see took effect.
    fn revoked(&self) -> Option<Duration> {
        let revoked = self.record.revoked?;
        let seen = Duration::from_millis(u64::from(revoked.seen_ms)) <= self.now;
        seen.then(|| Duration::from_millis(u64::from(revoked.at_ms)))
    }

    fn issued(&self) -> Duration {
        Duration::from_millis(u64::from(self.record.issued_ms))
    }

    fn trace(&self) -> Trace {
        let mut dice = Dice::new(self.seed, Topic::Trace).about(self.record.id);
        dice.pick(&self.behaviour.traces, Trace::ExpiryNow)
    }

    fn expiry(&self) -> Option<Value> {
        let Some(at) = self.revoked() else {
            return self.expiry_unrevoked();
        };
        let past = || json!(self.stamp(self.start + at - self.dice(10).within(Span::of_secs(60, 86_400))));
        Some(match self.trace() {
            Trace::ExpiryNow | Trace::TokenEmptied => json!(self.since(at)),
            Trace::ExpiryPast | Trace::TokenReplaced => past(),
            Trace::ExpiryMissing => return None,
            Trace::ExpiryNull => Value::Null,
            Trace::ExpiryZero => json!("0001-01-01T00:00:00Z"),
            Trace::OnlyTokenEmptied => return self.expiry_unrevoked(),
        })
    }

    fn expiry_unrevoked(&self) -> Option<Value> {
        let issues = u32::from(self.record.issues);
        if issues > 0 {
            return Some(json!(self.stamp(self.start + self.days(5, 2, 89) + DAY * 90 * issues)));
        }
        if self.record.standing == Standing::Expired {
            return Some(self.ago(5, 1, 60));
        }
        let mut dice = self.dice(11);
        if dice.chance(self.behaviour.shares.endless) {
            return match dice.below(4) {
                0 => None,
                1 => Some(Value::Null),
                2 => Some(json!("0001-01-01T00:00:00Z")),
                _ => Some(json!("9999-12-31T23:59:59.9999999Z")),
            };
        }
        Some(json!(self.stamp(self.start + self.days(5, 2, 89))))
    }

    fn token_value(&self) -> String {
        let value = |n: u64| format!("LIVE-SECRET-{:016x}", self.dice(12).nth(n).roll());
        let issue = u64::from(self.record.issues);
        match self.revoked().map(|_| self.trace()) {
            Some(Trace::TokenEmptied | Trace::OnlyTokenEmptied) => String::new(),
            Some(Trace::TokenReplaced) => value(issue + 1_000),
            _ => value(issue),
        }
    }

    fn modified(&self) -> Value {
        match (self.revoked(), self.record.issues) {
            (Some(at), _) => json!(self.since(at)),
            (None, 0) => self.ago(13, 1, 90),
            (None, _) => json!(self.since(self.issued())),
        }
    }

    fn days(&self, purpose: u64, from: u64, to: u64) -> Duration {
        self.dice(purpose).within(Span::of_secs(from * DAY.as_secs(), to * DAY.as_secs()))
    }

    /// A time so many days, and half an hour, before the start.
    fn ago(&self, purpose: u64, from: u64, to: u64) -> Value {
        json!(self.stamp(self.start - self.days(purpose, from, to) - Duration::from_mins(30)))
    }

    fn since(&self, at: Duration) -> String {
        self.stamp(self.start + at)
    }

    /// Seven fractional digits; every eighth object shows an offset instead of `Z`.
    fn stamp(&self, at: Timestamp) -> String {
        let digits = at.subsec_nanosecond() / 100;
        if self.dice(14).below(8) > 0 {
            return format!("{}.{digits:07}Z", at.strftime("%Y-%m-%dT%H:%M:%S"));
        }
        let there = at.to_zoned(TimeZone::fixed(Offset::constant(-8)));
        format!("{}.{digits:07}-08:00", there.strftime("%Y-%m-%dT%H:%M:%S"))
    }
}
