//! The observer that people look at: a bar on a terminal, lines in a log, or nothing.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use crate::exec::{Observer, Pulse};
use crate::model::{Event, Stamp, TenantRow, TenantStop, What};

use super::lines::Lines;
use super::meter::{Meter, time_of_day};
use super::plain::plain;

/// The bar takes what the text leaves of the line.
const TEMPLATE: &str = "{bar:12} {wide_msg}";

/// Shows how a run is doing. Sees events, has no clock, influences nothing.
pub struct Watch {
    meter: Meter,
    tenants: Vec<TenantRow>,
    view: View,
}

enum View {
    Bar(ProgressBar),
    Lines(Lines),
    Nothing,
}

impl Watch {
    /// A bar on the terminal behind standard error; hidden if there is none.
    ///
    /// `total` is the number of items that are not settled yet, `tenants` those of the run.
    pub fn bar(total: u64, tenants: &[TenantRow]) -> Self {
        Self::drawn(total, tenants, ProgressDrawTarget::stderr())
    }

    fn drawn(total: u64, tenants: &[TenantRow], target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), target).with_finish(ProgressFinish::AndClear);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self::of(total, tenants, View::Bar(bar))
    }

    /// Sparse lines for a log; `out` gets each without a line feed, free of control characters.
    pub fn lines(total: u64, tenants: &[TenantRow], out: Box<dyn FnMut(&str) + Send>) -> Self {
        Self::of(total, tenants, View::Lines(Lines::new(out)))
    }

    /// Nothing at all.
    pub fn nothing() -> Self {
        Self::of(0, &[], View::Nothing)
    }

    fn of(total: u64, tenants: &[TenantRow], view: View) -> Self {
        Self { meter: Meter::new(total), tenants: tenants.to_vec(), view }
    }

    /// What others need to write to standard error while a bar stands there.
    pub fn curtain(&self) -> Curtain {
        match &self.view {
            View::Bar(bar) => Curtain(Some(bar.clone())),
            View::Lines(_) | View::Nothing => Curtain(None),
        }
    }

    fn stopped(&self, stop: &TenantStop) -> String {
        let label = self.tenants.iter().find(|tenant| tenant.id == stop.tenant).map(|tenant| tenant.label.as_str());
        let label = label.map_or_else(|| stop.tenant.to_string(), plain);
        format!("tenant {label} stopped: {}", plain(&stop.message))
    }
}

impl Watch {
    /// So many items that were pending are counted anew.
    pub fn again(&mut self, items: u64) {
        self.meter.again(items);
    }
}

impl Observer for Watch {
    fn observe(&mut self, events: &[Event], pulse: &Pulse) {
        for event in events {
            self.meter.take(event);
            if let What::TenantStopped(stop) = &event.what {
                let text = self.stopped(stop);
                match &mut self.view {
                    View::Bar(bar) => bar.println(format!("{} {text}", time_of_day(event.at))),
                    View::Lines(lines) => lines.say(event.at, &text),
                    View::Nothing => {}
                }
            }
        }
        match &mut self.view {
            View::Bar(bar) => draw(bar, events, &self.meter, pulse),
            View::Lines(lines) => lines.observe(events, &self.meter, pulse),
            View::Nothing => {}
        }
    }
}

fn draw(bar: &ProgressBar, events: &[Event], meter: &Meter, pulse: &Pulse) {
    if events.iter().any(|event| matches!(event.what, What::Ended { .. })) {
        bar.finish_and_clear();
    } else {
        let at = events.iter().map(|event| event.at).fold(pulse.at, Stamp::max);
        bar.set_length(meter.total().max(meter.done()));
        bar.set_position(meter.done());
        bar.set_message(message(at, meter, pulse));
    }
}

/// What stands beside the bar. A pause is told by its end: while it lasts, there may be no event to count it down.
fn message(at: Stamp, meter: &Meter, pulse: &Pulse) -> String {
    match pulse.pause_left.filter(|left| *left >= Duration::from_secs(1)) {
        Some(left) => {
            let until = Stamp(at.0.saturating_add(i64::try_from(left.as_millis()).unwrap_or(i64::MAX)));
            let why = if pulse.unreachable { "the service cannot be reached, again at" } else { "paused by the service until" };
            format!("{}, {why} {}{}", meter.counts(), time_of_day(until), meter.time_left(at, pulse))
        }
        None => meter.line(at, pulse),
    }
}

/// Holds a bar aside while something else is written to the terminal.
#[derive(Debug, Clone)]
pub struct Curtain(Option<ProgressBar>);

impl Curtain {
    /// Where no bar stands.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Runs `write` with the bar taken away.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{START, tenants};
    use super::*;
    use crate::model::Status;

    fn settled() -> Event {
        Event { item: None, at: Stamp(START), what: What::Settled { status: Status::AwaitingApproval, reason: String::new() } }
    }

    #[test]
    fn the_bar_follows_the_events_and_goes_at_the_end() {
        let mut watch = Watch::drawn(2, &tenants(), ProgressDrawTarget::hidden());
        watch.observe(&[settled()], &Pulse { pause_left: Some(Duration::from_secs(12)), ..Pulse::default() });
        let View::Bar(bar) = &watch.view else { unreachable!() };
        let bar = bar.clone();
        assert_eq!((bar.position(), bar.length()), (1, Some(2)));
        assert_eq!(bar.message(), "1/2 done, 0 ok, 0 failed, 0 unknown, 1 pending, paused by the service until 04:15:05Z");
        watch.observe(&[Event { what: What::Ended { stopped_by: None, spent: Box::default() }, ..settled() }], &Pulse::default());
        assert!(bar.is_finished());
    }

    #[test]
    fn nothing_shows_nothing_and_others_can_always_write() {
        let mut quiet = Watch::nothing();
        quiet.observe(&[settled()], &Pulse::default());
        assert_eq!(quiet.curtain().aside(|| 1), 1);
        assert_eq!(Watch::drawn(2, &[], ProgressDrawTarget::hidden()).curtain().aside(|| 2), 2);
    }
}
