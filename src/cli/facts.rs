//! Gathers what the guards are judged over: from the lists, the survey and the ledger.

use std::collections::BTreeMap;

use super::consent::shares;
use super::exit::Quit;
use super::planning::Prepared;
use super::run::Job;
use super::session::Subject;
use super::survey::Survey;
use crate::model::{Phase, Stamp, TenantId, TenantRow};
use crate::plan::{Day, Facts, Found, Last};
use crate::report::plain;

/// What the limit of a day is about, in milliseconds.
const DAY: i64 = 24 * 3_600_000;

impl Job<'_> {
    /// What the guards are judged over.
    pub(super) fn facts(&self, prepared: &Prepared, survey: &Survey) -> Result<Facts, Quit> {
        let (context, guards, subject) = (self.session.context, &self.session.settings.guards, &prepared.subject);
        let (now, is_simulated) = (context.clock.stamp(), self.args.simulate.is_some());
        // A simulated tenant is new each time: it has no past.
        let has_past = |is_asked: bool| is_asked && !is_simulated;
        let days = if has_past(guards.max_items_per_day.is_some()) { days(subject, now)? } else { Vec::new() };
        let last = if has_past(guards.max_growth.is_some()) { subject.ledger.last_sent(&self.name())? } else { None };
        Ok(Facts {
            lists: self.inputs.ages(now),
            found: found(prepared, survey),
            protected: prepared.counts.protected,
            // What cannot be reached now is sent by `resume` without asking again: it is asked for here.
            to_send: survey.to_send + survey.unreached,
            can_ask: context.can_ask || is_simulated,
            shares: shares(prepared, survey),
            days,
            // One that had nothing to send tells nothing: a list that was empty for a night must not stay shut for ever.
            last: last.map(|header| Last { run: header.run, to_send: header.to_send }),
        })
    }
}

/// What the tenants' items turned out to be, over all kinds.
fn found(prepared: &Prepared, survey: &Survey) -> Vec<Found> {
    let mut counts: BTreeMap<TenantId, (u64, u64)> = BTreeMap::new();
    for kind in &survey.kinds {
        let count = counts.entry(kind.tenant).or_default();
        *count = (count.0 + kind.read, count.1 + kind.not_found);
    }
    let tenants = prepared.subject.tenants.iter();
    let found = tenants.filter_map(|row| counts.get(&row.id).map(|&(read, not_found)| (plain(&row.label), read, not_found)));
    found.map(|(tenant, read, not_found)| Found { tenant, read, not_found }).collect()
}

/// The last 24 hours of each tenant, and what the ledger has left to send there after the survey.
fn days(subject: &Subject, now: Stamp) -> Result<Vec<Day>, Quit> {
    let sent = subject.ledger.sent_since(Stamp(now.0.saturating_sub(DAY)))?;
    let mut left: BTreeMap<TenantId, u64> = BTreeMap::new();
    subject.ledger.count(subject.no, |work| {
        let is_left = work.progress.phase == Phase::Ready;
        *left.entry(work.item.tenant).or_default() += u64::from(is_left);
        is_left
    })?;
    let of = |counts: &BTreeMap<TenantId, u64>, tenant: TenantId| counts.get(&tenant).copied().unwrap_or_default();
    let day = |row: &TenantRow| Day { tenant: plain(&row.label), sent: of(&sent, row.id), to_send: of(&left, row.id) };
    Ok(subject.tenants.iter().map(day).collect())
}
