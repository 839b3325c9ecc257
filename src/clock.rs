//! Tells the time. The only reader of the wall clock; everything that decides gets its `now` handed in.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::model::Stamp;

/// A moment of the monotonic clock: how long after the start of the clock it lies.
pub type Moment = Duration;

/// The clock of one run.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    wall: Option<Timestamp>,
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        Self { start: Instant::now(), wall: None }
    }

    /// A wall clock that shows `wall` now and goes with the runtime's clock, which tests may pause.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { start: Instant::now(), wall: Some(wall) }
    }

    /// The monotonic time since this clock was made.
    pub fn now(&self) -> Moment {
        self.start.elapsed()
    }

    /// The time of day, in UTC.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn wall(&self) -> Timestamp {
        match self.wall {
            Some(wall) => wall.checked_add(self.start.elapsed()).unwrap_or(Timestamp::MAX),
            None => Timestamp::now(),
        }
    }

    /// The time of day as the ledger keeps it.
    pub fn stamp(&self) -> Stamp {
        self.wall().into()
    }

    /// Waits until a moment of this clock; for ever if there is none.
    pub async fn sleep_until(&self, moment: Option<Moment>) {
        match moment {
            Some(moment) => tokio::time::sleep_until(self.start + moment).await,
            None => std::future::pending().await,
        }
    }
}
