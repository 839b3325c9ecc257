//! Progress for a log: few lines, each of which can stand alone.

use crate::exec::Pulse;
use crate::model::{Event, Stamp, StoppedBy, What};

use super::meter::{Meter, time_of_day};
use super::plain::span;

/// Milliseconds after which a line is due even if little was done.
const SILENCE_MS: u64 = 60_000;
/// Milliseconds between two lines at least, however fast the tenths go by.
const STEP_MS: u64 = 5_000;
/// Milliseconds of a pause that is worth a line of its own.
const PAUSE_MS: u64 = 5_000;

/// Decides when a line is due, and writes it.
pub(super) struct Lines {
    out: Box<dyn FnMut(&str) + Send>,
    last: Option<Stamp>,
    tenths: u64,
    paused_until: Option<Stamp>,
}

impl Lines {
    pub(super) fn new(out: Box<dyn FnMut(&str) + Send>) -> Self {
        Self { out, last: None, tenths: 0, paused_until: None }
    }

    /// Writes a line of its own.
    pub(super) fn say(&mut self, at: Stamp, text: &str) {
        (self.out)(&format!("{} {text}", time_of_day(at)));
    }

    /// Writes what is due after these events, which the meter has taken in.
    pub(super) fn observe(&mut self, events: &[Event], meter: &Meter, pulse: &Pulse) {
        let at = events.iter().map(|event| event.at).fold(pulse.at, Stamp::max);
        let silent_since = *self.last.get_or_insert(at);
        let ended = events.iter().rev().find_map(|event| match &event.what {
            What::Ended { stopped_by, .. } => Some(*stopped_by),
            What::Intent { .. }
            | What::Released
            | What::Reply(_)
            | What::Looked(_)
            | What::Settled { .. }
            | What::Ruled(_)
            | What::TenantStopped(_)
            | What::Bound { .. }
            | What::Resumed { .. } => None,
        });
        let pause = self.pause(at, pulse);
        let stepped = meter.tenths() > self.tenths && at.millis_since(silent_since) >= STEP_MS;
        if let Some(stopped_by) = ended {
            self.say(at, &format!("{}, {}", meter.counts(), ending(stopped_by)));
        } else if pause.is_some() || stepped || at.millis_since(silent_since) >= SILENCE_MS {
            self.say(at, &format!("{}{}", meter.line(at, pulse), pause.unwrap_or_default()));
        } else {
            return;
        }
        self.last = Some(at);
        self.tenths = meter.tenths();
    }

    /// What to say of a pause that begins now and is long.
    fn pause(&mut self, at: Stamp, pulse: &Pulse) -> Option<String> {
        let left = pulse.pause_left?;
        let until = Stamp(at.0.saturating_add(i64::try_from(left.as_millis()).unwrap_or(i64::MAX)));
        let begins = self.paused_until.is_none_or(|paused| at >= paused);
        if begins && until.millis_since(at) <= PAUSE_MS {
            return None;
        }
        self.paused_until = self.paused_until.max(Some(until));
        let why = if pulse.unreachable { "the service cannot be reached, again in" } else { "paused by the service for" };
        begins.then(|| format!(", {why} {}", span(left)))
    }
}

fn ending(stopped_by: Option<StoppedBy>) -> String {
    stopped_by.map_or_else(|| "ended".to_owned(), |by| format!("stopped ({})", by.name()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::sample::{START, tenants};
    use super::super::watch::Watch;
    use super::*;
    use crate::exec::Observer;
    use crate::model::{Status, StopCause, TenantStop};

    /// Plays events, each with its second, and returns the lines.
    fn play(total: u64, events: impl IntoIterator<Item = (i64, What, Option<u64>)>) -> Vec<String> {
        let (send, lines) = mpsc::channel();
        let mut watch = Watch::lines(total, &tenants(), Box::new(move |line| send.send(line.to_owned()).unwrap()));
        for (second, what, pause) in events {
            let event = Event { item: None, at: Stamp(START + second * 1000), what };
            watch.observe(&[event], &Pulse { pause_left: pause.map(Duration::from_secs), ..Pulse::default() });
        }
        drop(watch);
        lines.iter().collect()
    }

    fn revoked() -> What {
        What::Settled { status: Status::Revoked, reason: String::new() }
    }

    #[test]
    fn a_line_comes_with_each_tenth() {
        let lines = play(200, (1..=200).map(|second| (second / 4, revoked(), None)));
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[0], "04:14:58Z 20/200 done, 20 ok, 0 failed, 0 unknown, 47s left, 3.8/s");
        assert_eq!(lines[9], "04:15:43Z 200/200 done, 200 ok, 0 failed, 0 unknown, 4.0/s");
    }

    #[test]
    fn a_slow_run_says_something_once_a_minute() {
        let lines = play(100_000, (0..=150).map(|second| (second, revoked(), None)));
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("04:15:53Z 61/100000 done"), "{lines:?}");
    }

    #[test]
    fn a_long_pause_is_told_when_it_begins_and_only_then() {
        let pauses = [(0, None), (1, Some(3)), (10, Some(12)), (11, Some(14)), (12, Some(13)), (75, None), (85, Some(8))];
        let lines = play(1000, pauses.map(|(second, pause)| (second, What::Released, pause)));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[0], "04:15:03Z 0/1000 done, 0 ok, 0 failed, 0 unknown, paused by the service for 12s");
        assert!(lines[2].ends_with("paused by the service for 8s"));
    }

    #[test]
    fn a_stopped_tenant_and_the_end_are_told_at_once() {
        let stop =
            TenantStop { tenant: tenants()[1].id, service: None, cause: StopCause::SignIn, message: "bad\u{1b}[2Jsecret".into() };
        let ended = What::Ended { stopped_by: Some(StoppedBy::Breaker), spent: Box::default() };
        let lines = play(1000, [(0, What::TenantStopped(stop), None), (1, revoked(), None), (2, ended, None)]);
        let end = "04:14:55Z 1/1000 done, 1 ok, 0 failed, 0 unknown, stopped (breaker)";
        assert_eq!(lines, ["04:14:53Z tenant fabrikam stopped: bad\\u{1b}[2Jsecret", end]);
    }
}
