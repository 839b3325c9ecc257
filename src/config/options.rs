//! What config, job, environment and flags may each say about a run: every key optional, merged layer by layer.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::table::Table;
use super::value::{duration, positive_duration, quota, word};
use crate::exec::Quota;
use crate::model::{Bounds, Problem};

/// What an empty list means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnEmpty {
    /// Nothing to do is fine.
    Ok,
    /// Nothing to do is an error of its own.
    Fail,
}

impl OnEmpty {
    const WORDS: [(&'static str, Self); 2] = [("ok", Self::Ok), ("fail", Self::Fail)];
}

impl std::str::FromStr for OnEmpty {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        word(text, &Self::WORDS)
    }
}

/// The keys of `[run]` and `[verify]`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RunOptions {
    /// Requests in flight, over all tenants.
    pub concurrency: Option<NonZeroUsize>,
    /// The service's window; `Some(None)` switches it off.
    pub quota: Option<Option<Quota>>,
    /// A steady rate per tenant; `Some(None)` switches it off.
    pub rate: Option<Option<Quota>>,
    /// Attempts of one item.
    pub max_attempts: Option<NonZeroU32>,
    /// The longest pause.
    pub max_pause: Option<Duration>,
    /// One request.
    pub timeout: Option<Duration>,
    /// The whole run; zero is none.
    pub deadline: Option<Duration>,
    /// The breaker.
    pub max_fail: Option<Bounds>,
    /// So many items of each tenant and kind go first.
    pub canary: Option<NonZeroUsize>,
    /// The guard on the number of items.
    pub max_items: Option<Bounds>,
    /// What an empty list means.
    pub on_empty: Option<OnEmpty>,
    /// How long a lost request may still be working at the service; ten times that for VPP.
    pub settle: Option<Duration>,
    /// How old a reading may be when its item is sent.
    pub pin_max_age: Option<Duration>,
    /// Whether a 204 is read back.
    pub verify: Option<bool>,
    /// How long Android profiles are read back after the last request.
    pub android_deadline: Option<Duration>,
    /// How long VPP actions are followed after the last request.
    pub vpp_deadline: Option<Duration>,
}

impl RunOptions {
    /// Takes the keys of `[run]` and `[verify]` out of their tables.
    pub(super) fn take(table: &mut Table<'_>, verify: &mut Table<'_>, problems: &mut Vec<Problem>) -> Self {
        Self {
            concurrency: table
                .value("concurrency", problems, |text| text.parse().map_err(|_| format!("{text:?} is not a number above 0"))),
            quota: table.value("quota", problems, quota),
            rate: table.value("rate", problems, quota),
            max_attempts: table.value("max_attempts", problems, number),
            max_pause: table.value("max_pause", problems, positive_duration),
            timeout: table.value("timeout", problems, positive_duration),
            deadline: table.value("deadline", problems, deadline),
            max_fail: table.value("max_fail", problems, str::parse),
            canary: table.value("canary", problems, number),
            max_items: table.value("max_items", problems, str::parse),
            on_empty: table.value("on_empty", problems, str::parse),
            settle: table.value("settle", problems, positive_duration),
            pin_max_age: table.value("pin_max_age", problems, positive_duration),
            verify: verify.flag("enabled", problems),
            android_deadline: verify.value("android_deadline", problems, positive_duration),
            vpp_deadline: verify.value("vpp_deadline", problems, positive_duration),
        }
    }

    /// This layer with a stronger one over it.
    #[must_use]
    pub fn under(self, stronger: Self) -> Self {
        Self {
            concurrency: stronger.concurrency.or(self.concurrency),
            quota: stronger.quota.or(self.quota),
            rate: stronger.rate.or(self.rate),
            max_attempts: stronger.max_attempts.or(self.max_attempts),
            max_pause: stronger.max_pause.or(self.max_pause),
            timeout: stronger.timeout.or(self.timeout),
            deadline: stronger.deadline.or(self.deadline),
            max_fail: stronger.max_fail.or(self.max_fail),
            canary: stronger.canary.or(self.canary),
            max_items: stronger.max_items.or(self.max_items),
            on_empty: stronger.on_empty.or(self.on_empty),
            settle: stronger.settle.or(self.settle),
            pin_max_age: stronger.pin_max_age.or(self.pin_max_age),
            verify: stronger.verify.or(self.verify),
            android_deadline: stronger.android_deadline.or(self.android_deadline),
            vpp_deadline: stronger.vpp_deadline.or(self.vpp_deadline),
        }
    }

    /// This layer with a job over it: a job may tighten guards, never loosen them.
    #[must_use]
    pub fn under_job(self, job: Self) -> Self {
        let both = |ours: Option<Bounds>, theirs: Option<Bounds>| match (ours, theirs) {
            (Some(ours), Some(theirs)) => Some(ours.and(theirs)),
            (ours, theirs) => theirs.or(ours),
        };
        let (max_items, max_fail) = (both(self.max_items, job.max_items), both(self.max_fail, job.max_fail));
        let canary = [self.canary, job.canary].into_iter().flatten().min();
        Self { max_fail, canary, max_items, ..self.under(job) }
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number above 0"))
}

/// A duration, or `none`, which is kept as zero.
pub fn deadline(text: &str) -> Result<Duration, String> {
    if text.trim().eq_ignore_ascii_case("none") { Ok(Duration::ZERO) } else { duration(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Limit;

    #[test]
    fn a_stronger_layer_wins_key_by_key() {
        let weak = RunOptions { timeout: Some(Duration::from_secs(1)), on_empty: Some(OnEmpty::Ok), ..RunOptions::default() };
        let strong = RunOptions { timeout: Some(Duration::from_secs(2)), ..RunOptions::default() };
        let both = weak.under(strong);
        assert_eq!((both.timeout, both.on_empty), (Some(Duration::from_secs(2)), Some(OnEmpty::Ok)));
    }

    #[test]
    fn a_job_tightens_guards_and_never_loosens_them() {
        let config = || RunOptions { max_items: Some(Limit::Count(50).into()), ..RunOptions::default() };
        let job = |count| RunOptions { max_items: Some(Limit::Count(count).into()), ..RunOptions::default() };
        assert_eq!(config().under_job(job(200)).max_items, Some(Limit::Count(50).into()));
        assert_eq!(config().under_job(job(20)).max_items, Some(Limit::Count(20).into()));
        assert_eq!(RunOptions::default().under_job(job(200)).max_items, Some(Limit::Count(200).into()));
    }
}
