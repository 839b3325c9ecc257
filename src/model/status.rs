//! What became of an item: the closed set of `result_status`, and what each counts as.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The last word on an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Done, and shown by reading back.
    Revoked,
    /// The service said 204; it was not read back.
    Accepted,
    /// The token was dead before; nothing was sent.
    AlreadyInactive,
    /// The service said 204, and reading back had not shown it in time.
    Unconfirmed,
    /// The VPP action ended with failed licences.
    Partial,
    /// The service does not know the id.
    NotFound,
    /// The token was re-issued since the plan.
    Superseded,
    /// A permanent answer.
    Refused,
    /// Attempts used up, and shown not revoked.
    Failed,
    /// Sent, and nothing could tell whether it had an effect.
    Unknown,
    /// Queued for a second administrator.
    AwaitingApproval,
    /// The run, or this tenant, ended before its turn.
    NotAttempted,
    /// Protected, a duplicate, or revoked too recently.
    Skipped,
    /// A row that could not be used.
    Invalid,
}

/// What a status counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// As wished.
    Success,
    /// Not yet over: `resume` or `verify` may finish it.
    Pending,
    /// Over, and not as wished.
    Failure,
    /// Over, and nobody knows.
    Unknown,
    /// Nothing was to be done.
    Neutral,
}

impl Status {
    /// Every status, in the order in which they are documented.
    pub const ALL: [Self; 14] = [
        Self::Revoked,
        Self::Accepted,
        Self::AlreadyInactive,
        Self::Unconfirmed,
        Self::Partial,
        Self::NotFound,
        Self::Superseded,
        Self::Refused,
        Self::Failed,
        Self::Unknown,
        Self::AwaitingApproval,
        Self::NotAttempted,
        Self::Skipped,
        Self::Invalid,
    ];

    /// What it counts as.
    pub const fn class(self) -> Class {
        match self {
            Self::Revoked | Self::Accepted | Self::AlreadyInactive => Class::Success,
            Self::Unconfirmed | Self::AwaitingApproval | Self::NotAttempted => Class::Pending,
            Self::Partial | Self::NotFound | Self::Superseded | Self::Refused | Self::Failed | Self::Invalid => Class::Failure,
            Self::Unknown => Class::Unknown,
            Self::Skipped => Class::Neutral,
        }
    }

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Accepted => "accepted",
            Self::AlreadyInactive => "already_inactive",
            Self::Unconfirmed => "unconfirmed",
            Self::Partial => "partial",
            Self::NotFound => "not_found",
            Self::Superseded => "superseded",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::AwaitingApproval => "awaiting_approval",
            Self::NotAttempted => "not_attempted",
            Self::Skipped => "skipped",
            Self::Invalid => "invalid",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No status has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown status {0:?}")]
pub struct UnknownStatus(pub String);

impl FromStr for Status {
    type Err = UnknownStatus;
    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        let wanted = text.trim();
        Self::ALL
            .into_iter()
            .find(|status| status.name().eq_ignore_ascii_case(wanted))
            .ok_or_else(|| UnknownStatus(wanted.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_files_and_in_reports_are_the_same() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_string(&status).unwrap(), format!("\"{status}\""));
            assert_eq!(status.name().parse::<Status>().unwrap(), status);
        }
    }
}
