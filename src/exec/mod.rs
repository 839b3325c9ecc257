//! Brings items to outcomes under pace, concurrency, retry and stop, and says what happened as events.
//!
//! Knows no HTTP, no files, no SQL, no terminal and no configuration: a [`Transport`] speaks to the service,
//! a [`Journal`] makes events durable, an [`Observer`] sees them afterwards. What to do next is decided by a
//! pure scheduler that is told the time; one loop owns all state and obeys it.

mod backoff;
mod breaker;
mod follow;
mod lane;
mod pace;
mod policy;
mod port;
mod rate;
mod run;
mod schedule;
#[cfg(test)]
mod tests;

pub use policy::{Policy, Quota};
pub use port::{Answer, Journal, JournalError, NoToken, Observer, Order, Pulse, Transport, Verdict};
pub use run::{Ended, Run, Stop, run};
