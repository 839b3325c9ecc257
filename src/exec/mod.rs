//! x
mod port;
pub use port::{Answer, Journal, JournalError, Observer, Order, Pulse, Transport, Verdict};
