//! Brings items to outcomes under pace, concurrency, retry and stop, and says what happened as events.
//!
//! Knows no HTTP, no files, no SQL, no terminal and no configuration: a [`Transport`] speaks to the service,
//! a [`Journal`] makes events durable, an [`Observer`] sees them afterwards. What to do next is decided by a
//! pure scheduler that is told the time; one loop owns all state and obeys it.

mod agenda;
mod approvals;
mod attempts;
mod backoff;
mod breaker;
mod follow;
mod forecast;
mod gate;
mod held;
mod inventory;
mod lane;
mod lessons;
mod look;
mod looks;
mod pace;
mod plea;
mod policy;
mod port;
mod rate;
mod run;
mod schedule;
mod spell;
mod spent;
mod survey;
mod taken;
mod tenant;
#[cfg(test)]
mod tests;
mod ticket;

pub use approvals::{Approver, Requests, Seen, Standing, Unseen, approvals, ruling};
pub use forecast::{ASSUMED_LATENCY, Bottleneck, Forecast, Load, forecast};
pub use gate::Stream;
pub use inventory::{Unread, inventory};
pub use lane::concerns;
pub use policy::{Goal, Justification, PerService, Policy, Quota, Scope};
pub use port::{
    Answer, Journal, JournalError, NextPage, NoToken, Observer, Order, Page, Plea, Pulse, Reading, Sight, Transport, Verdict,
};
pub use run::run;
pub use spell::{Counted, Ended, Run, Stop};
pub use survey::{Listed, Surveyed};
