//! The requests for an approval that were filed: what each is for, and how it stands at a given time.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::approval::{ApprovalStatus, Decision};
use super::options::Collection;

/// What must be the same when a request comes back with its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wording {
    /// Only who filed a request can finish it.
    pub(super) app: Uuid,
    /// Path and query.
    pub(super) target: String,
    pub(super) body: Bytes,
}

/// Whose object an approval is for: tenant, collection and id.
pub(super) type Subject = (u16, Collection, Uuid);

/// One request. Times count from the start of the service.
#[derive(Debug)]
pub(super) struct Filed {
    pub(super) code: Uuid,
    pub(super) subject: Subject,
    pub(super) wording: Wording,
    pub(super) justification: String,
    pub(super) at: Duration,
    pub(super) expires: Duration,
    /// What was or will be decided, and when.
    pub(super) decided: (Duration, Decision),
    pub(super) completed: Option<Duration>,
}

impl Filed {
    /// How it stands, and since when.
    pub(super) fn standing(&self, now: Duration) -> (ApprovalStatus, Duration) {
        if let Some(at) = self.completed {
            return (ApprovalStatus::Completed, at);
        }
        let (at, decision) = self.decided;
        let is_decided = at <= now && at < self.expires && decision != Decision::Nothing;
        let (status, since) = if is_decided { (decision.status(), at) } else { (ApprovalStatus::NeedsApproval, self.at) };
        if status.is_active() && self.expires <= now { (ApprovalStatus::Expired, self.expires) } else { (status, since) }
    }

    pub(super) fn status(&self, now: Duration) -> ApprovalStatus {
        self.standing(now).0
    }
}

/// All requests, in the order in which they were filed.
#[derive(Debug, Default)]
pub(super) struct Pending {
    filed: Vec<Filed>,
    codes: HashMap<Uuid, usize>,
    subjects: HashMap<Subject, Vec<usize>>,
}

impl Pending {
    pub(super) fn add(&mut self, filed: Filed) {
        self.codes.insert(filed.code, self.filed.len());
        self.subjects.entry(filed.subject).or_default().push(self.filed.len());
        self.filed.push(filed);
    }

    /// The request with this code, in this tenant.
    pub(super) fn get(&self, tenant: u16, code: Uuid) -> Option<&Filed> {
        self.filed.get(*self.codes.get(&code)?).filter(|filed| filed.subject.0 == tenant)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, tenant: u16, code: Uuid) -> Option<&mut Filed> {
        self.filed.get_mut(*self.codes.get(&code)?).filter(|filed| filed.subject.0 == tenant)
    }

    /// The requests for one object.
    pub(super) fn of(&self, subject: Subject) -> impl DoubleEndedIterator<Item = &Filed> {
        self.subjects.get(&subject).into_iter().flatten().filter_map(|at| self.filed.get(*at))
    }

    pub(super) fn all(&self) -> &[Filed] {
        &self.filed
    }

    pub(super) fn all_mut(&mut self) -> &mut [Filed] {
        &mut self.filed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn status(decided: (Duration, Decision), now: u64) -> &'static str {
        let wording = Wording { app: Uuid::nil(), target: String::new(), body: Bytes::new() };
        let subject = (0, Collection::VppTokens, Uuid::nil());
        let filed = Filed {
            code: Uuid::nil(),
            subject,
            wording,
            justification: String::new(),
            at: seconds(1),
            expires: seconds(10),
            decided,
            completed: None,
        };
        filed.status(seconds(now)).name()
    }

    #[test]
    fn a_request_waits_is_decided_and_expires_also_if_it_was_approved() {
        let approved = (seconds(4), Decision::Approve);
        assert_eq!(
            [1, 3, 4, 9, 10].map(|now| status(approved, now)),
            ["needsApproval", "needsApproval", "approved", "approved", "expired"]
        );
        let rejected = (seconds(4), Decision::Reject);
        assert_eq!([3, 4, 10].map(|now| status(rejected, now)), ["needsApproval", "rejected", "rejected"]);
        assert_eq!([9, 10].map(|now| status((seconds(1), Decision::Nothing), now)), ["needsApproval", "expired"]);
        assert_eq!(status((seconds(10), Decision::Approve), 11), "expired", "a decision comes too late");
    }
}
