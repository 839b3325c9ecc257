//! What a plan counts: what would become of each row, how much of what a tenant has that is, and what follows from it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::object::{WIDTH, paragraph};
use super::plain::grouped;
use crate::model::{Disposition, Kind, Phase, Row, RunHeader, Status};
use crate::plan::DUPLICATE;

/// What a run would do with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    /// It would be sent.
    Send,
    /// A revoke action is at work already: followed, and nothing is sent.
    Follow,
    Duplicate,
    Protected,
    /// Nothing would be sent.
    Settled(Status),
}

impl Action {
    /// What a run would do with a row, and why it is not sent.
    pub(super) fn of<'a>(header: &'a RunHeader, row: &'a Row) -> (Self, &'a str) {
        let (status, reason) = header.verdict(row);
        match (&row.disposition, row.progress.phase) {
            (Disposition::Settled { status: Status::Skipped, .. }, _) if reason.starts_with(DUPLICATE) => {
                (Self::Duplicate, reason)
            }
            (Disposition::Settled { status: Status::Skipped, .. }, _) => (Self::Protected, reason),
            (Disposition::Send, Phase::Ready) if header.stop_of(row).is_none() => (Self::Send, ""),
            (Disposition::Send, Phase::Confirming) => (Self::Follow, "a revoke action is at work already"),
            (Disposition::Settled { .. } | Disposition::Send, _) => (Self::Settled(status), reason),
        }
    }

    /// As programs read it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Follow => "follow",
            Self::Duplicate => "duplicate",
            Self::Protected => "protected",
            Self::Settled(status) => status.name(),
        }
    }

    fn words(self, count: u64) -> String {
        let many = if count == 1 { "" } else { "s" };
        let what = match self {
            Self::Send => "to send".to_owned(),
            Self::Follow => "at work already".to_owned(),
            Self::Duplicate => format!("duplicate{many}"),
            Self::Settled(Status::NotFound) => format!("unknown id{many}"),
            Self::Settled(Status::Skipped) => "revoked recently".to_owned(),
            Self::Protected | Self::Settled(_) => self.name().replace('_', " "),
        };
        format!("{} {what}", grouped(count))
    }
}

/// Rows by what would become of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Actions(BTreeMap<Action, u64>);

impl Actions {
    pub(super) fn add(&mut self, action: Action) {
        *self.0.entry(action).or_default() += 1;
    }

    pub(super) fn to_send(&self) -> u64 {
        self.0.get(&Action::Send).copied().unwrap_or(0)
    }

    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub(super) fn by_name(&self) -> BTreeMap<&'static str, u64> {
        self.0.iter().map(|(action, count)| (action.name(), *count)).collect()
    }

    /// `38 to send, 95 % of the tenant's 40; 2 duplicates, 1 protected`.
    pub(super) fn text(&self, objects: Option<u64>) -> String {
        let send = Action::Send.words(self.to_send());
        // A list that leaves something out shows fewer than are to be sent.
        let share = objects.map(|objects| objects.max(self.to_send())).filter(|objects| *objects > 0).map(|objects| {
            let share = match (self.to_send() * 100 / objects, self.to_send()) {
                (0, 1..) => "less than 1 %".to_owned(),
                (percent, _) => format!("{percent} %"),
            };
            format!(", {share} of the tenant's {}", grouped(objects))
        });
        let others = self.0.iter().filter(|(action, _)| **action != Action::Send);
        let others = others.map(|(action, count)| action.words(*count)).collect::<Vec<_>>().join(", ");
        let gap = if others.is_empty() { "" } else { "; " };
        format!("{send}{}{gap}{others}", share.unwrap_or_default())
    }
}

/// The totals of a tenant and kind, for programs.
#[derive(Debug, Serialize)]
pub(super) struct Total<'a> {
    pub(super) tenant: Option<&'a str>,
    pub(super) kind: Option<Kind>,
    /// How many objects the tenant has of the kind, where that was read.
    pub(super) objects: Option<u64>,
    pub(super) actions: BTreeMap<&'static str, u64>,
}

/// What follows from sending.
#[derive(Debug, Default)]
pub(super) struct Consequences {
    android: bool,
    /// VPP tokens by `notifyManagedDevices` and `revokeUntrackedLicenses`.
    vpp: BTreeMap<(bool, bool), u64>,
    /// VPP tokens whose state is known and not `valid`.
    odd: u64,
}

impl Consequences {
    /// Takes in a row that would be sent.
    pub(super) fn add(&mut self, row: &Row) {
        match row.kind {
            Some(Kind::AndroidForWork | Kind::AndroidDeviceOwner) => self.android = true,
            Some(Kind::VppToken) => {
                let flags = (row.options.notify_managed_devices, row.options.revoke_untracked_licenses);
                *self.vpp.entry(flags).or_default() += 1;
                self.odd += u64::from(row.progress.pin.as_ref().is_some_and(|pin| !pin.is_live()));
            }
            None => {}
        }
    }

    /// In words, each kind of object once.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut say = |about: &str, line: &str| {
            text.push_str(about);
            text.push_str(&paragraph(line, WIDTH));
        };
        if self.android {
            say("Android\n", "devices that are enrolled stay enrolled; only new enrolments with these tokens stop");
        }
        if !self.vpp.is_empty() {
            say("VPP\n", "the licences of these tokens are taken back:");
        }
        for ((notify, untracked), count) in &self.vpp {
            let tokens = if *count == 1 { "1 token".to_owned() } else { format!("{} tokens", grouped(*count)) };
            say("", &format!("{tokens} with notifyManagedDevices {notify} and revokeUntrackedLicenses {untracked}"));
        }
        if self.odd > 0 {
            say("", &format!("{} in a state other than valid: revoking is likely to fail there", grouped(self.odd)));
        }
        if !self.vpp.is_empty() {
            say("", "apps that are still assigned may take licences again: remove the assignments first, delete the token last");
        }
        text
    }
}
