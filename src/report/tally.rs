//! Counts over the rows of a run: per status, tenant and cause, and the requests it took.

use std::collections::BTreeMap;

use serde::ser::{Serialize, Serializer};

use crate::model::{Class, Row, RunHeader, Status};

/// Causes that are told apart at most: a service that puts an id into its error codes must not fill the memory.
const CAUSES_KEPT: usize = 1000;

/// How many items have each status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts([u64; Status::ALL.len()]);

impl Counts {
    /// How many have this one.
    pub const fn of(&self, status: Status) -> u64 {
        self.0[status as usize]
    }

    /// How many count as this.
    pub fn of_class(&self, class: Class) -> u64 {
        self.iter().filter(|(status, _)| status.class() == class).map(|(_, count)| count).sum()
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every status with its count, in the order in which they are documented.
    pub fn iter(&self) -> impl Iterator<Item = (Status, u64)> {
        Status::ALL.into_iter().map(|status| (status, self.of(status)))
    }

    const fn add(&mut self, status: Status) {
        self.0[status as usize] += 1;
    }
}

/// As an object with every status, so that scripts need not ask whether one is there.
impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(status, count)| (status.name(), count)))
    }
}

/// Items that ended the same way for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What became of them.
    pub status: Status,
    /// HTTP status of the last answer.
    pub http_status: Option<u16>,
    /// The code that the service gave.
    pub error_code: Option<String>,
    /// How many.
    pub count: u64,
    /// What is said of the first of them: our reason, and the service's words.
    pub example: String,
}

/// Counts over the rows of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    counts: Counts,
    tenants: Vec<Counts>,
    causes: BTreeMap<(Status, Option<u16>, Option<String>), Cause>,
    requests: u64,
    throttled: u64,
    sent: u64,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a row of the run.
    pub fn add(&mut self, header: &RunHeader, row: &Row) {
        let (status, reason) = header.verdict(row);
        let progress = &row.progress;
        self.counts.add(status);
        if let Some(tenant) = row.tenant.map(|index| index as usize).filter(|index| *index < header.tenants.len()) {
            self.tenants.resize_with(header.tenants.len(), Counts::default);
            self.tenants[tenant].add(status);
        }
        let requests = u64::from(progress.requests()) + u64::from(progress.throttled) + u64::from(progress.asked);
        self.requests += requests;
        self.throttled += u64::from(progress.throttled);
        self.sent += u64::from(requests > 0);
        if !matches!(status.class(), Class::Success | Class::Neutral) {
            self.add_cause(status, reason, row);
        }
    }

    fn add_cause(&mut self, status: Status, reason: &str, row: &Row) {
        let progress = &row.progress;
        let full = self.causes.len() >= CAUSES_KEPT;
        let code = progress.error_code.clone();
        let key = (status, progress.http_status, code);
        let key = if full && !self.causes.contains_key(&key) { (status, None, None) } else { key };
        let cause = self.causes.entry(key).or_insert_with_key(|(status, http_status, code)| Cause {
            status: *status,
            http_status: *http_status,
            error_code: code.clone(),
            count: 0,
            example: words(reason, progress.message.as_deref().unwrap_or_default()),
        });
        cause.count += 1;
    }

    /// How many items have each status.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The same for one tenant, by its index in the run.
    pub fn tenant(&self, index: usize) -> Counts {
        self.tenants.get(index).cloned().unwrap_or_default()
    }

    /// Requests that came to an end, throttled ones included.
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// Answers that only said "later".
    pub const fn throttled(&self) -> u64 {
        self.throttled
    }

    /// Requests beyond the first of each item.
    pub const fn retries(&self) -> u64 {
        self.requests - self.sent
    }

    /// Why items are not as wished: the most serious first, among equals the most frequent.
    pub fn causes(&self) -> Vec<&Cause> {
        let mut causes: Vec<&Cause> = self.causes.values().collect();
        causes.sort_by_key(|cause| (weight(cause.status.class()), std::cmp::Reverse(cause.count)));
        causes
    }
}

/// The reason and the message, unless one says what the other does.
fn words(reason: &str, message: &str) -> String {
    if message.is_empty() || reason.contains(message) {
        reason.to_owned()
    } else if reason.is_empty() || message.contains(reason) {
        message.to_owned()
    } else {
        format!("{reason}: {message}")
    }
}

const fn weight(class: Class) -> u8 {
    match class {
        Class::Unknown => 0,
        Class::Failure => 1,
        Class::Pending => 2,
        Class::Neutral => 3,
        Class::Success => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{header, refused, row, settled};
    use super::*;

    fn tally(rows: &[Row]) -> Tally {
        let mut tally = Tally::new();
        for row in rows {
            tally.add(&header(), row);
        }
        tally
    }

    #[test]
    fn each_status_counts_in_its_own_place() {
        for status in Status::ALL {
            let tally = tally(&[row(2, status, &[])]);
            assert_eq!((tally.counts().of(status), tally.counts().of_class(status.class()), tally.counts().total()), (1, 1, 1));
            assert_eq!((tally.tenant(0).of(status), tally.tenant(1).total()), (1, 0));
        }
    }

    #[test]
    fn requests_beyond_the_first_of_an_item_are_retries() {
        let mut often = row(2, Status::Revoked, &[]);
        (often.progress.attempts, often.progress.throttled) = (2, 3);
        let tally = tally(&[often, row(3, Status::Revoked, &[]), settled(4, Status::Skipped, "protected")]);
        assert_eq!((tally.requests(), tally.throttled(), tally.retries()), (6, 3, 4));
    }

    #[test]
    fn causes_are_grouped_by_status_answer_and_code() {
        let mut unsure = row(5, Status::Unknown, &[]);
        unsure.progress.reason = "no answer".into();
        unsure.progress.message = Some("connection reset".into());
        let tally = tally(&[
            refused(2, "A", "first"),
            refused(3, "A", "second"),
            refused(4, "B", "third"),
            unsure,
            row(6, Status::Revoked, &[]),
        ]);
        let causes: Vec<_> = tally.causes().iter().map(|cause| (cause.status, cause.count, cause.example.as_str())).collect();
        assert_eq!(
            causes,
            [(Status::Unknown, 1, "no answer: connection reset"), (Status::Refused, 2, "first"), (Status::Refused, 1, "third")]
        );
    }

    #[test]
    fn codes_without_end_do_not_fill_the_memory() {
        let rows: Vec<Row> = (0..1500).map(|number| refused(number, &number.to_string(), "x")).collect();
        let tally = tally(&rows);
        assert_eq!(tally.causes().len(), CAUSES_KEPT + 1);
        assert_eq!(tally.causes().iter().map(|cause| cause.count).sum::<u64>(), 1500);
    }
}
