//! The simulator's own clock: the only place in this room that reads the machine's time.
#![expect(clippy::disallowed_types, reason = "this file is the room's clock")]

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Time since the simulator started, and the wall time at which that was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Instant,
    wall: Timestamp,
}

impl Clock {
    /// A clock that starts now.
    #[expect(clippy::disallowed_methods, reason = "this file is the room's clock")]
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), wall: Timestamp::now() }
    }

    /// Time since the start; never goes back.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The wall time of the start.
    pub(super) fn wall(&self) -> Timestamp {
        self.wall
    }
}
