//! What a sealed plan holds: its head and its items, how each is written, and what is wrong with one. Pure.

use std::collections::HashSet;
use std::io;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::{Entry, Kind, ObjectId, Place, Seen, Service, Snapshot, SourceRow, TenantId, TenantRow, VppOptions};

/// How long a plan may be carried out: what was reviewed yesterday morning may be wrong today.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// A plan from further ahead was made by a clock, or read by one, that says nothing of its age.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// How every plan begins, and those of this version.
const ANY_VERSION: &str = "{\"bulk_revoke_plan\":";
const BEGIN: &str = "{\"bulk_revoke_plan\":1,";

/// Between the head and the items.
const ITEMS: &str = ",\"items\":[\n";

/// What holds for all items of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanHead {
    /// Version of the program that made it.
    pub tool: String,
    /// Who made it.
    pub made_by: String,
    /// When.
    pub made_at: Timestamp,
    /// Until when it may be carried out.
    pub expires_at: Timestamp,
    /// The job's name.
    pub job: String,
    /// A change number or the like.
    pub ticket: Option<String>,
    /// For tenants that ask for one before they let a second administrator decide.
    pub justification: Option<String>,
    /// Whether tokens that are re-issued from now on are sent all the same.
    pub allow_reissued: bool,
    /// Whether VPP tokens are revoked again that an earlier run revoked a short while ago.
    pub again: bool,
    /// Graph's root that it is bound to.
    pub root: String,
    /// The authority that it is bound to.
    pub authority: String,
    /// The tenants, and the apps that it is bound to.
    pub tenants: Vec<TenantRow>,
    /// The lists that it was made of.
    pub sources: Vec<SourceRow>,
}

/// One item that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanItem {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: ObjectId,
    /// Of VPP tokens: whether devices are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_managed_devices: Option<bool>,
    /// Of VPP tokens: whether licences that Intune does not track are revoked as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_untracked_licenses: Option<bool>,
    /// Index of its list.
    pub source: u32,
    /// The line on which its row begins.
    pub line: u32,
    /// The row.
    pub cells: Vec<String>,
    /// What the object was when the plan was made: where it has been re-issued since, nothing is sent.
    pub pin: Snapshot,
}

/// What keeps a plan from being carried out.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The file is something else.
    #[error("it is not a sealed plan as plan --save writes it, or not all of it")]
    Foreign,
    /// Another program wrote it.
    #[error("it is a sealed plan of another version: carry it out with the version of bulk-revoke that made it")]
    Version,
    /// A line is not as this program writes it, and the fingerprint is that of the file all the same.
    #[error("its line {line} is none of a sealed plan: {why}")]
    Malformed {
        /// Which one, the first being line 1.
        line: u64,
        /// Why.
        why: String,
    },
    /// An object is in it twice.
    #[error("it names an object twice")]
    Repeated,
    /// Its fingerprint is another than it says.
    #[error("it was changed after it was saved: its content does not have its fingerprint")]
    Changed,
    /// It has another fingerprint than was asked for.
    #[error("its fingerprint is not that of --fingerprint: it is not the plan that was reviewed")]
    Another,
    /// Its time is over.
    #[error("it could be carried out until {0}: make and review it anew")]
    Expired(Timestamp),
    /// It was not made yet.
    #[error("it was made at {0}, which is yet to come by the clock of this machine: set the clock right")]
    Early(Timestamp),
    /// The configuration names another service, tenant or app; what, in words.
    #[error("it is bound to {0}")]
    Elsewhere(String),
}

impl Flaw {
    /// Whether it is a plan, and may not be carried out; otherwise it is none.
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Changed | Self::Another | Self::Expired(_) | Self::Early(_) | Self::Elsewhere(_) => true,
            Self::Unreadable(_) | Self::Foreign | Self::Version | Self::Malformed { .. } | Self::Repeated => false,
        }
    }
}

impl PlanHead {
    /// Until when a plan that is made now may be carried out.
    pub fn expiry(now: Timestamp) -> Timestamp {
        now.checked_add(LIFETIME).unwrap_or(Timestamp::MAX)
    }

    /// Whether the plan is neither too old nor from the future.
    ///
    /// # Errors
    /// If it is.
    pub fn is_due(&self, now: Timestamp) -> Result<(), Flaw> {
        // Whatever it says itself: no plan lives longer.
        let end = self.expires_at.min(Self::expiry(self.made_at));
        if now >= end {
            return Err(Flaw::Expired(end));
        }
        if self.made_at.duration_since(now) > SKEW { Err(Flaw::Early(self.made_at)) } else { Ok(()) }
    }

    /// Whether the plan was made for this service.
    ///
    /// # Errors
    /// If it was made for another.
    pub fn is_for(&self, root: &str, authority: &str) -> Result<(), Flaw> {
        for (what, bound, now) in [("Graph root", &self.root, root), ("authority", &self.authority, authority)] {
            if bound != now {
                return Err(Flaw::Elsewhere(format!("the {what} {bound}, and the configuration names {now}")));
            }
        }
        Ok(())
    }

    /// As the first line of a plan.
    pub(super) fn text(&self) -> serde_json::Result<String> {
        let text = serde_json::to_string(self)?;
        Ok(format!("{BEGIN}{}{ITEMS}", &text[1..text.len() - 1]))
    }

    /// The first line of a plan.
    pub(super) fn read(line: &str) -> Result<Self, Flaw> {
        let malformed = |why: String| Flaw::Malformed { line: 1, why };
        let Some(rest) = line.strip_prefix(BEGIN) else {
            return Err(if line.starts_with(ANY_VERSION) { Flaw::Version } else { Flaw::Foreign });
        };
        let fields = rest.strip_suffix(ITEMS).ok_or(Flaw::Foreign)?;
        let head: Self = serde_json::from_str(&format!("{{{fields}}}")).map_err(|error| malformed(error.to_string()))?;
        if head.text().is_ok_and(|text| text == line) { Ok(head) } else { Err(malformed(DRESSED.to_owned())) }
    }
}

/// What is wrong with a line that can be read.
pub(super) const DRESSED: &str = "it is not written as bulk-revoke writes it";

impl PlanItem {
    /// Its options, for a VPP token.
    pub const fn options(kind: Kind, options: VppOptions) -> [Option<bool>; 2] {
        match kind.facts().service {
            Service::Android => [None, None],
            Service::Vpp => [Some(options.notify_managed_devices), Some(options.revoke_untracked_licenses)],
        }
    }

    /// What contradicts itself or the head.
    pub(super) fn flaw(&self, head: &PlanHead, tenants: &HashSet<TenantId>) -> Option<&'static str> {
        let (is_vpp, is_pinned) = match (self.kind.facts().service, &self.pin.seen) {
            (Service::Android, Seen::Android { .. }) => (false, true),
            (Service::Vpp, Seen::Vpp { .. }) => (true, true),
            (service, _) => (service == Service::Vpp, false),
        };
        let options = [self.notify_managed_devices, self.revoke_untracked_licenses];
        let flaws = [
            (!tenants.contains(&self.tenant), "its tenant is not in the first line"),
            (self.source as usize >= head.sources.len(), "its list is not in the first line"),
            (options.iter().any(|option| option.is_some() != is_vpp), "VPP tokens have both options, and others none"),
            (!is_pinned, "its pin is that of another kind"),
        ];
        flaws.into_iter().find_map(|(applies, why)| applies.then_some(why))
    }
}

/// As a row of its list, so that it is planned as any other.
impl From<PlanItem> for Entry {
    fn from(item: PlanItem) -> Self {
        Self {
            place: Place { source: item.source, line: item.line },
            id: item.id.to_string(),
            kind: Some(item.kind.name().to_owned()),
            tenant: Some(item.tenant.to_string()),
            notify: item.notify_managed_devices.map(|on| on.to_string()),
            untracked: item.revoke_untracked_licenses.map(|on| on.to_string()),
            status: None,
            cells: item.cells,
            flaw: None,
        }
    }
}
