//! How a run is doing, counted from its events: done, outcomes, rate, time left. Time comes from the events alone.

use std::collections::VecDeque;
use std::time::Duration;

use crate::exec::Pulse;
use crate::model::{AfterLook, Class, Event, Stamp, Status, Then, What};

use super::plain::span;

/// Milliseconds over which the rate is taken: three windows of the default quota, which sends in bursts.
const WINDOW_MS: u64 = 60_000;
/// Milliseconds between two samples of the rate.
const SAMPLE_MS: u64 = 1_000;

/// Counts of a run on its way.
#[derive(Debug)]
pub(super) struct Meter {
    total: u64,
    ok: u64,
    failed: u64,
    unknown: u64,
    pending: u64,
    skipped: u64,
    /// Items done by then, the oldest first.
    samples: VecDeque<(Stamp, u64)>,
}

impl Meter {
    /// Nothing done yet of so many items.
    pub(super) fn new(total: u64) -> Self {
        Self { total, ok: 0, failed: 0, unknown: 0, pending: 0, skipped: 0, samples: VecDeque::new() }
    }

    /// Takes in an event.
    pub(super) fn take(&mut self, event: &Event) {
        if let Some(status) = settled(&event.what) {
            let count = match status.class() {
                Class::Success => &mut self.ok,
                Class::Failure => &mut self.failed,
                Class::Unknown => &mut self.unknown,
                Class::Pending => &mut self.pending,
                Class::Neutral => &mut self.skipped,
            };
            *count += 1;
        }
        if self.samples.back().is_none_or(|(at, _)| event.at.millis_since(*at) >= SAMPLE_MS) {
            self.samples.push_back((event.at, self.done()));
        }
        while self.samples.len() > 1 && self.samples.front().is_some_and(|(at, _)| event.at.millis_since(*at) > WINDOW_MS) {
            self.samples.pop_front();
        }
    }

    /// So many items that were pending are counted anew.
    pub(super) const fn again(&mut self, items: u64) {
        self.pending = self.pending.saturating_sub(items);
    }

    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    pub(super) const fn done(&self) -> u64 {
        self.ok + self.failed + self.unknown + self.pending + self.skipped
    }

    /// Tenths of the run that are done.
    pub(super) fn tenths(&self) -> u64 {
        (self.done() * 10).checked_div(self.total).unwrap_or(0)
    }

    /// Items per second over the window, once there is a second to speak of.
    fn rate(&self, now: Stamp) -> Option<f64> {
        let (since, before) = *self.samples.front()?;
        let elapsed = now.millis_since(since);
        let done = u32::try_from(self.done().saturating_sub(before)).ok()?;
        (elapsed >= SAMPLE_MS && done > 0).then(|| f64::from(done) / Duration::from_millis(elapsed).as_secs_f64())
    }

    fn left(&self, rate: Option<f64>, pulse: &Pulse) -> Option<Duration> {
        let left = u32::try_from(self.total.saturating_sub(self.done())).ok()?;
        let by_rate = || Duration::try_from_secs_f64(f64::from(left) / rate?).ok();
        // How long reading back takes is the service's affair: no rate tells it.
        let is_sent = pulse.left == 0 && pulse.reading > 0;
        match pulse.eta {
            _ if left == 0 || is_sent => None,
            None => by_rate(),
            // All that is left goes at once: there is no time to speak of.
            Some(Duration::ZERO) => None,
            Some(eta) => self.by_quota(eta, pulse),
        }
    }

    /// Some of what the ledger still holds is settled: it is not sent, and is counted here alone.
    fn by_quota(&self, eta: Duration, pulse: &Pulse) -> Option<Duration> {
        let to_send = self.total.saturating_sub(self.done()).saturating_sub(pulse.reading).min(pulse.left);
        let parts = |count: u64| u32::try_from(count).ok().map(f64::from);
        Some(eta.mul_f64(parts(to_send)? / parts(pulse.left).filter(|left| *left > 0.0)?))
    }

    /// `300/2000 done, 298 ok, 1 failed, 1 unknown`.
    pub(super) fn counts(&self) -> String {
        let Self { total, ok, failed, unknown, .. } = self;
        let extra = |count: u64, name: &str| if count > 0 { format!(", {count} {name}") } else { String::new() };
        let (pending, skipped) = (extra(self.pending, "pending"), extra(self.skipped, "skipped"));
        format!("{}/{total} done, {ok} ok, {failed} failed, {unknown} unknown{pending}{skipped}", self.done())
    }

    /// `, 5m 40s left`, as far as it is known.
    pub(super) fn time_left(&self, now: Stamp, pulse: &Pulse) -> String {
        self.left(self.rate(now), pulse).map(|left| format!(", {} left", span(left))).unwrap_or_default()
    }

    /// The counts, then the time left and the rate as far as they are known: a line may be cut at its end.
    pub(super) fn line(&self, now: Stamp, pulse: &Pulse) -> String {
        let speed = self.rate(now).map(|rate| format!(", {rate:.1}/s")).unwrap_or_default();
        let left = self.time_left(now, pulse);
        let wait = pulse.next_in.filter(|wait| wait.as_secs() > 0 && pulse.left > 0 && pulse.pause_left.is_none());
        let wait = wait.map(|wait| format!(", the quota opens in {}", span(wait))).unwrap_or_default();
        let reading = if pulse.reading > 0 { format!(", {} being read back", pulse.reading) } else { String::new() };
        format!("{}{left}{speed}{reading}{wait}", self.counts())
    }
}

const fn settled(what: &What) -> Option<Status> {
    match what {
        What::Settled { status, .. } => Some(*status),
        What::Reply(reply) => match &reply.then {
            Then::Settled { status, .. } => Some(*status),
            Then::Again | Then::SignIn | Then::Throttled | Then::Justify | Then::Confirm | Then::Look { .. } => None,
        },
        What::Looked(look) => match &look.then {
            AfterLook::Settled(outcome) => Some(outcome.status),
            AfterLook::Pin | AfterLook::Planned | AfterLook::Again | AfterLook::Untouched | AfterLook::Follow => None,
        },
        What::Intent { .. }
        | What::Released
        | What::Ruled(_)
        | What::TenantStopped(_)
        | What::Bound { .. }
        | What::Resumed { .. }
        | What::Ended { .. } => None,
    }
}

/// `14:03:22Z`.
pub(super) fn time_of_day(at: Stamp) -> String {
    let text = at.to_string();
    format!("{}Z", text.get(11..19).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: i64, status: Status) -> Event {
        Event { item: None, at: Stamp(at), what: What::Settled { status, reason: String::new() } }
    }

    #[test]
    fn what_waited_and_goes_on_is_counted_once() {
        let mut meter = Meter::new(2);
        for at in [1, 2] {
            meter.take(&event(at, Status::AwaitingApproval));
        }
        meter.again(1);
        meter.take(&event(3, Status::Revoked));
        assert_eq!(meter.counts(), "2/2 done, 1 ok, 0 failed, 0 unknown, 1 pending");
    }

    #[test]
    fn a_line_says_counts_rate_and_time_left() {
        let mut meter = Meter::new(2000);
        assert_eq!(meter.line(Stamp(0), &Pulse::default()), "0/2000 done, 0 ok, 0 failed, 0 unknown");
        for tenth in 0..300 {
            meter.take(&event(tenth * 200, Status::Revoked));
        }
        meter.take(&event(60_000, Status::Refused));
        let line = "301/2000 done, 300 ok, 1 failed, 0 unknown, 5m 39s left, 5.0/s";
        assert_eq!(meter.line(Stamp(60_000), &Pulse::default()), line);
        let pulse = Pulse { left: 1699, eta: Some(Duration::from_hours(1)), ..Pulse::default() };
        assert!(meter.line(Stamp(60_000), &pulse).contains(", 1h 00m left, "), "the quota knows better than the rate");
        let pulse = Pulse { left: 1699, eta: Some(Duration::ZERO), ..Pulse::default() };
        assert!(!meter.line(Stamp(60_000), &pulse).contains("left"), "all goes at once");
    }

    #[test]
    fn what_is_settled_already_takes_no_time() {
        let mut meter = Meter::new(400);
        for second in 0..100 {
            meter.take(&event(second * 1000, Status::AlreadyInactive));
        }
        let pulse = Pulse { left: 200, reading: 200, eta: Some(Duration::from_secs(40)), ..Pulse::default() };
        assert!(meter.line(Stamp(100_000), &pulse).contains(", 20s left, "));
    }

    #[test]
    fn the_rate_forgets_what_is_long_ago() {
        let mut meter = Meter::new(1000);
        for second in 0..100 {
            meter.take(&event(second, Status::Revoked));
        }
        for second in 1..=120 {
            meter.take(&event(second * 1000, Status::Revoked));
        }
        assert!(meter.line(Stamp(120_000), &Pulse::default()).contains(", 1.0/s"));
    }

    #[test]
    fn the_time_of_day_is_utc() {
        assert_eq!(time_of_day(Stamp(1_795_320_893_007)), "04:14:53Z");
    }
}
