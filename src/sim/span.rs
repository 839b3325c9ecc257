//! A range of time from which the simulator draws.

use std::time::Duration;

/// From one duration to another, both included. `to` below `from` counts as `from`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The shortest.
    pub from: Duration,
    /// The longest.
    pub to: Duration,
}

impl Span {
    /// Always zero.
    pub const ZERO: Self = Self { from: Duration::ZERO, to: Duration::ZERO };

    /// Always exactly this.
    pub const fn exactly(duration: Duration) -> Self {
        Self { from: duration, to: duration }
    }

    /// In milliseconds.
    pub const fn of_millis(from: u64, to: u64) -> Self {
        Self { from: Duration::from_millis(from), to: Duration::from_millis(to) }
    }

    /// In seconds.
    pub const fn of_secs(from: u64, to: u64) -> Self {
        Self { from: Duration::from_secs(from), to: Duration::from_secs(to) }
    }
}
