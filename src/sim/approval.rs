//! Multi Admin Approval as a tenant may have it: what it protects, how it words its answers, and what the second
//! administrator does (Microsoft article "Multi Admin Approval and Graph API" of 2026-06, and reports from labs).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use uuid::Uuid;

use super::options::Collection;
use super::span::Span;

/// An access policy. Lists of possibilities are drawn from by seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The collections whose writes it protects.
    pub protects: Vec<Collection>,
    /// The tenants that have it; none named is all of them.
    pub tenants: Vec<Uuid>,
    /// The status of a write without a justification: 400 (the article) or 403 (its announcement).
    pub refusal: u16,
    /// The status of a write that was queued: 412 (the article), or 403 with the code `ApprovalRequired` (one lab).
    pub queued: u16,
    /// What the second administrator may do; one is chosen per request, and nothing if the list is empty.
    pub decisions: Vec<Decision>,
    /// How long after the filing that is.
    pub after: Span,
    /// How long a request can be decided and used (reported: 3 days).
    pub expiry: Span,
    /// Whether requests may be read by a token that has a permission for it.
    pub polling: bool,
}

impl Default for Approval {
    /// Protects everything in every tenant, answers as the article says, and nobody ever decides.
    fn default() -> Self {
        Self {
            protects: Collection::ALL.to_vec(),
            tenants: Vec::new(),
            refusal: 400,
            queued: 412,
            decisions: Vec::new(),
            after: Span::ZERO,
            expiry: Span::exactly(Duration::from_hours(3 * 24)),
            polling: true,
        }
    }
}

impl Approval {
    /// Whether writes to this collection of this tenant need one.
    pub(super) fn covers(&self, tenant: Uuid, collection: Collection) -> bool {
        self.protects.contains(&collection) && (self.tenants.is_empty() || self.tenants.contains(&tenant))
    }
}

/// What becomes of a request that waits for a second administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is approved: whoever filed it can finish it.
    Approve,
    /// It is rejected.
    Reject,
    /// It is taken back.
    Cancel,
    /// It expires before its time.
    Expire,
    /// Nothing: it waits until it expires, or a test decides.
    Nothing,
}

impl Decision {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Approve, Self::Reject, Self::Cancel, Self::Expire, Self::Nothing];

    /// The name that [`FromStr`] reads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Cancel => "cancel",
            Self::Expire => "expire",
            Self::Nothing => "wait",
        }
    }

    pub(super) const fn status(self) -> ApprovalStatus {
        match self {
            Self::Approve => ApprovalStatus::Approved,
            Self::Reject => ApprovalStatus::Rejected,
            Self::Cancel => ApprovalStatus::Cancelled,
            Self::Expire => ApprovalStatus::Expired,
            Self::Nothing => ApprovalStatus::NeedsApproval,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownDecision(pub String);

impl fmt::Display for UnknownDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown decision `{}`, expected one of {}", self.0, Decision::ALL.map(Decision::name).join(", "))
    }
}

impl std::error::Error for UnknownDecision {}

impl FromStr for Decision {
    type Err = UnknownDecision;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|decision| decision.name() == text).ok_or_else(|| UnknownDecision(text.to_owned()))
    }
}

/// How a request stands (`operationApprovalRequestStatus`, 2026-08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalStatus {
    /// It waits for the second administrator.
    NeedsApproval,
    /// It can be finished.
    Approved,
    /// It was rejected.
    Rejected,
    /// It was taken back.
    Cancelled,
    /// It was finished.
    Completed,
    /// Its time is over.
    Expired,
}

impl ApprovalStatus {
    /// Graph's own name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NeedsApproval => "needsApproval",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Completed => "completed",
            Self::Expired => "expired",
        }
    }

    /// Whether something can still become of it; as long as it can, its object takes no second one.
    pub(super) const fn is_active(self) -> bool {
        matches!(self, Self::NeedsApproval | Self::Approved)
    }
}

/// A request for an approval, as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRecord {
    /// Its id, which is also the code that finishes it.
    pub code: Uuid,
    /// The tenant.
    pub tenant: Uuid,
    /// Where the object lies.
    pub collection: Collection,
    /// The object.
    pub id: Uuid,
    /// How it stands.
    pub status: ApprovalStatus,
    /// Why it was filed, decoded.
    pub justification: String,
}
